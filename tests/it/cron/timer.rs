//! The timer from the documents, run by a systemd in separate namespaces.

use super::restarting_hook;
use crate::support::systemd::under_systemd;
use crate::support::{World, have, pages};

/// A service that reads its secret when it starts. It opens the file itself, because a systemd in namespaces cannot
/// provide the directory for `LoadCredential=`.
const APP: &str =
    "[Service]\nExecStart=/bin/sh -c 'cp /etc/service-tokens/app /run/app.runs-with; exec sleep infinity'\n";

/// The last run of the timer was before the last full hour, so systemd runs it at once.
const LOOK: &str = r#"
waits() { n=0; until eval "$1"; do n=$((n + 1)); [ $n -lt 150 ] || { echo "never: $1"; return; }; sleep 0.1; done; }
mkdir -p /usr/local/bin && ln -s /usr/bin/tokenctl /usr/local/bin/tokenctl
mkdir -m 700 /etc/service-tokens
export TOKENCTL_STORE=/var/lib/tokenctl
tokenctl create app -q --ttl 90d --rotate-every 2s --grace 1s --out /etc/service-tokens/app
HOOK
systemctl start app
waits 'cmp -s /run/app.runs-with /etc/service-tokens/app'
sleep 3
mkdir -p /var/lib/systemd/timers && touch -d '2 hours ago' /var/lib/systemd/timers/stamp-tokenctl-rotate.timer
cp /etc/service-tokens/app /run/first
systemctl start tokenctl-rotate.timer && systemctl is-active tokenctl-rotate.timer
waits '[ $(tokenctl audit --action hook --format tsv | wc -l) = 1 ]'
systemctl show tokenctl-rotate.service -p Result --value
waits 'cmp -s /run/app.runs-with /etc/service-tokens/app'
cmp -s /run/first /run/app.runs-with || echo another secret
tokenctl verify </run/app.runs-with
systemctl is-active app
"#;

#[test]
fn the_timer_in_the_documents_rotates_due_tokens_and_the_hook_restarts_the_service() {
    if !have("bash") {
        return;
    }
    let world = World::new();
    world.real(&["init"], b"").ok();
    let unit = pages::unit;
    let units = [
        ("tokenctl-rotate.service", unit("tokenctl-rotate.service")),
        ("tokenctl-rotate.timer", unit("tokenctl-rotate.timer")),
        ("app.service", APP.to_owned()),
    ];
    let hook = format!("tokenctl edit app -q --after {}", restarting_hook());
    let Some(seen) = under_systemd(&world, &units, &LOOK.replace("HOOK", &hook)) else { return };
    assert_eq!(seen, "active\nsuccess\nanother secret\nvalid app\nactive\n");
}

//! The unit from the documents, run by a systemd in separate namespaces.

use std::fs;
use std::os::unix::fs::chown;

use crate::support::systemd::under_systemd;
use crate::support::{World, have, pages};

/// The script that runs under this systemd.
const LOOK: &str = r#"
systemctl start tokenctl-gate && echo started
pid=$(systemctl show tokenctl-gate -p MainPID --value)
systemctl show tokenctl-gate -p User --value
grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/$pid/status
stat -c '%U %G %a' /run/tokenctl/gate.sock
perl -MIO::Socket::UNIX -e '
  open my $file, "<", "/out/secret"; chomp(my $secret = <$file>);
  my $gate = IO::Socket::UNIX->new("/run/tokenctl/gate.sock") or die $!;
  print $gate "GET /route/reports HTTP/1.1\r\nHost: g\r\nConnection: close\r\nX-Api-Key: $secret\r\n\r\n";
  print((split / /, <$gate>)[1], "\n");'
systemctl start mint || systemctl show mint -p ExecMainStatus
systemctl stop tokenctl-gate && systemctl show tokenctl-gate -p ExecMainStatus
ls /run/tokenctl
cp -a /var/lib/tokenctl /out/after
"#;

#[test]
fn the_documented_unit_runs_the_gate_as_a_user_that_cannot_create_tokens() {
    if !have("perl") {
        return;
    }
    let world = World::new();
    let path = |name: &str| world.dir.path().join(name);
    world.real(&["init", "--group", "www-data"], b"").ok();
    world.real(&["scopes", "define", "events:read"], b"").ok();
    fs::write(path("secret"), world.real(&["create", "app", "-s", "events:read"], b"").ok().out).unwrap();
    let unit = pages::unit("tokenctl-gate.service");
    // This unit runs an operation that the gate is not allowed to do, with the same permissions.
    let mint =
        unit.lines().filter(|line| !line.starts_with("RuntimeDirectory=") && !line.starts_with("Restart="));
    let mint = mint.map(|line| match line.split_once('=') {
        Some(("ExecStart", _)) => "ExecStart=/usr/bin/tokenctl create minted",
        Some(("Type", _)) => "Type=oneshot",
        _ => line,
    });
    let units =
        [("tokenctl-gate.service", unit.clone()), ("mint.service", mint.collect::<Vec<_>>().join("\n"))];
    let Some(seen) = under_systemd(&world, &units, LOOK) else { return };
    let expected = "started\ntokenctl-gate\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n\
                    tokenctl-gate www-data 660\n200\n";
    assert!(seen.starts_with(expected), "{seen}");
    assert!(seen.contains("\nExecMainStatus=6\nExecMainStatus=0\n"), "{seen}");
    assert!(seen.contains("'/run/tokenctl': No such file"), "{seen}");
    fs::rename(path("after"), world.store()).expect(&seen);
    chown(world.store(), Some(0), None).unwrap();
    let tokens = world.real(&["list", "--json"], b"").ok().json();
    assert_eq!((tokens.as_array().unwrap().len(), &tokens[0]["name"]), (1, &"app".into()));
    assert!(!tokens[0]["last_used_at"].is_null(), "the use was not recorded");
}

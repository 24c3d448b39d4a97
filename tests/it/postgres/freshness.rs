//! Tests that a replica verifies secrets only while its data is known to be recent enough.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::processes::until;
use crate::support::server::{Server, have};
use crate::support::{Ran, program, run};

use super::link::{Link, LinkState};

/// Starts a primary with a store.
pub fn primary() -> Server {
    let fast =
        ["fsync=off", "full_page_writes=off", "max_connections=300", "max_wal_senders=8", "autovacuum=off"];
    let server = Server::start(&fast);
    server.sql("postgres", "CREATE DATABASE tokens");
    at(&server, &["init", "--apply"], b"").ok();
    server
}

/// Starts a replica of this primary, connected through a link that can be paused and cut.
pub fn replica(primary: &Server, name: &str, more: &[&str]) -> (Server, Link) {
    let link = Link::to(primary.dir().join(".s.PGSQL.5432"));
    let conninfo =
        format!("primary_conninfo=host=127.0.0.1 port={} user=postgres sslmode=disable", link.port);
    let retry = "wal_retrieve_retry_interval=100ms";
    let replica =
        primary.standby_with(name, &[&[&conninfo[..], retry, "hot_standby_feedback=off"], more].concat());
    (replica, link)
}

/// A command that uses the store on this server.
pub fn on(server: &Server) -> Command {
    let mut command = program();
    command.env("TOKENCTL_STORE", server.url("postgres", "tokens"));
    command
}

#[track_caller]
pub fn at(server: &Server, args: &[&str], input: &[u8]) -> Ran {
    run(on(server).args(args), input)
}

/// A gate process that is killed when the value is dropped.
pub struct Gate(Child);

impl Gate {
    /// Starts a gate on a socket in this directory, and waits until it listens.
    pub fn start(server: &Server, dir: &Path, args: &[&str]) -> Self {
        let socket = dir.join("gate.sock");
        let _ = std::fs::remove_file(&socket);
        let mut command = on(server);
        command.args(["serve", "--listen", &format!("unix:{}", socket.display())]).args(args);
        let mut child =
            command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
        until("the gate listens", || {
            assert!(
                child.try_wait().expect("the process can be waited for").is_none(),
                "the gate has exited"
            );
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        });
        Self(child)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a request to the gate in this directory. Returns the status and the body of the answer.
fn asked(dir: &Path, target: &str, args: &[&str]) -> (u16, String) {
    let mut curl = Command::new("curl");
    curl.args(["-s", "--max-time", "60", "-o", "-", "-w", "\n%{http_code}", "--unix-socket"]);
    let ran = run(curl.arg(dir.join("gate.sock")).args(args).arg(format!("http://gate{target}")), b"").ok();
    let (body, status) = ran.out.rsplit_once('\n').expect("the status is printed");
    (status.parse().expect("it is a number"), body.to_owned())
}

fn status(dir: &Path, secret: &str) -> u16 {
    asked(dir, "/verify", &["-H", &format!("Authorization: Bearer {secret}")]).0
}

/// Runs `verify` on this server with this maximum lag.
fn verified(server: &Server, max_lag: &str, secret: &str) -> Ran {
    at(server, &["verify", "--max-lag", max_lag, "--json"], secret.as_bytes())
}

#[track_caller]
fn is_stale(ran: &Ran) {
    assert_eq!((ran.code, ran.failure()["code"].as_str()), (6, Some("store_stale")), "{ran:?}");
}

/// Waits until the replica has applied all events of its primary.
fn caught_up(primary: &Server, replica: &Server) {
    let head = "SELECT max(seq) FROM tokenctl.events";
    until("the replica has all events", || replica.ask("tokens", head) == Some(primary.sql("tokens", head)));
}

#[test]
fn a_replica_verifies_only_while_a_heartbeat_shows_its_age() {
    if !have() {
        return;
    }
    let primary = primary();
    let secret = at(&primary, &["create", "web"], b"").ok().line().to_owned();
    let (replica, link) = replica(&primary, "r1", &[]);
    caught_up(&primary, &replica);
    for args in [&["verify"][..], &["verify", "--stream"], &["serve", "--listen", "127.0.0.1:0"]] {
        let ran = at(&replica, args, secret.as_bytes()).exit(2);
        assert!(
            ran.err.contains("is a replica") && ran.err.contains("--max-lag 2s"),
            "{args:?}: {}",
            ran.err
        );
    }
    // Without a heartbeat, the age of the data is unknown.
    is_stale(&verified(&replica, "1s", &secret));
    let streamed = at(&replica, &["verify", "--stream", "--max-lag", "1s"], format!("{secret}\n").as_bytes());
    assert_eq!(streamed.ok().out, "error store_stale\n");
    // The data of a primary is never too old.
    verified(&primary, "1s", &secret).ok();
    let dir = tempfile::tempdir().expect("a temporary directory can be created");
    let beat = Gate::start(&primary, dir.path(), &["--heartbeat", "--max-lag", "8s"]);
    let ran = verified(&replica, "8s", &secret).ok();
    assert_eq!(ran.json()["valid"], true, "{ran:?}");
    // The link is paused, so the revocation does not reach the replica.
    link.set(LinkState::Held);
    at(&primary, &["revoke", "web", "--yes"], b"").ok();
    until("the replica is too old", || {
        let ran = verified(&replica, "2s", &secret);
        assert_ne!(ran.code, 3, "the replica cannot know about the revocation: {ran:?}");
        ran.code == 6
    });
    is_stale(&verified(&replica, "2s", &secret));
    link.set(LinkState::Open);
    until("the replica knows about the revocation", || verified(&replica, "8s", &secret).code == 3);
    drop(beat);
    until("the last heartbeat is too old", || {
        let ran = verified(&replica, "2s", &secret);
        assert!([3, 6].contains(&ran.code), "{ran:?}");
        ran.code == 6
    });
}

/// According to the clock of this host, such a heartbeat is recent. The same would be true if the clock had stopped.
#[test]
fn a_heartbeat_counts_only_once_it_was_seen_to_change() {
    if !have() {
        return;
    }
    let primary = primary();
    let secret = at(&primary, &["create", "web"], b"").ok().line().to_owned();
    let (replica, _link) = replica(&primary, "r1", &[]);
    let ahead = "INSERT INTO tokenctl.beat SELECT 'x', (extract(epoch FROM clock_timestamp()) + 7) * 1000000";
    primary.sql("tokens", ahead);
    let beats = "SELECT count(*) FROM tokenctl.beat";
    until("the replica has the heartbeat", || replica.ask("tokens", beats).as_deref() == Some("1"));
    is_stale(&verified(&replica, "8s", &secret));
}

#[test]
fn a_replica_that_stays_ten_seconds_behind_always_answers_store_stale() {
    if !have() {
        return;
    }
    let primary = primary();
    let secret = at(&primary, &["create", "web"], b"").ok().line().to_owned();
    let dirs = [(), ()].map(|()| tempfile::tempdir().expect("a temporary directory can be created"));
    let _beat = Gate::start(&primary, dirs[0].path(), &["--heartbeat", "--max-lag", "2s"]);
    let (replica, _link) = replica(&primary, "late", &["recovery_min_apply_delay=10s"]);
    let lines = "SELECT count(*) FROM tokenctl.tokens";
    until("the token is there", || replica.ask("tokens", lines).as_deref() == Some("1"));
    let _gate = Gate::start(&replica, dirs[1].path(), &["--max-lag", "2s"]);
    at(&primary, &["revoke", "web", "--yes"], b"").ok();
    // The heartbeat of the replica changes as often as that of the primary, both before and after the replica applies
    // the revocation.
    let beat = "SELECT max(at) FROM tokenctl.beat";
    let revoked = "SELECT count(revoked_at) FROM tokenctl.tokens";
    let (mut changes, mut last, mut seen) = (0, String::new(), 0);
    while seen < 3 {
        is_stale(&verified(&replica, "2s", &secret));
        assert_eq!(status(dirs[1].path(), &secret), 503);
        let body = format!("{{\"secret\":\"{secret}\"}}");
        let body = asked(dirs[1].path(), "/api/verify", &["-d", &body]).1;
        let body: Value = serde_json::from_str(&body).expect("the body is JSON");
        assert_eq!(body["error"]["code"], "store_stale", "{body}");
        let now = replica.sql("tokens", beat);
        changes += i32::from(now != last);
        last = now;
        seen += i32::from(replica.sql("tokens", revoked) == "1");
    }
    assert!(changes > 3, "the heartbeat changed only {changes} times");
    replica.sql("postgres", "ALTER SYSTEM SET recovery_min_apply_delay = 0");
    replica.sql("postgres", "SELECT pg_reload_conf()");
    println!("the heartbeat changed {changes} times while the replica was late");
}

#[test]
fn a_replica_sends_uses_to_the_primary_given_with_usage_store() {
    if !have() {
        return;
    }
    let primary = primary();
    let secret = at(&primary, &["create", "web"], b"").ok().line().to_owned();
    let (replica, _link) = replica(&primary, "r1", &[]);
    caught_up(&primary, &replica);
    let dir = tempfile::tempdir().expect("a temporary directory can be created");
    let url = primary.url("postgres", "tokens");
    let ran =
        at(&replica, &["serve", "--listen", "127.0.0.1:0", "--heartbeat", "--max-lag", "8s"], b"").exit(2);
    assert!(ran.err.contains("`--usage-store`"), "{}", ran.err);
    let args = ["--heartbeat", "--max-lag", "8s", "--usage-store", &url];
    let _gate = Gate::start(&replica, dir.path(), &args);
    let uses = "SELECT count(*) FROM tokenctl.usage";
    verified(&replica, "8s", &secret).ok();
    assert_eq!(primary.sql("tokens", uses), "0", "the use was sent although no primary was given");
    at(&replica, &["verify", "--max-lag", "8s", "--usage-store", &url], secret.as_bytes()).ok();
    assert_eq!(primary.sql("tokens", uses), "1", "the command exited before it sent the use");
    primary.sql("tokens", "TRUNCATE tokenctl.usage");
    until("the gate answers", || status(dir.path(), &secret) == 200);
    until("the gate sends the use", || primary.sql("tokens", uses) == "1");
    // A primary that cannot be reached does not delay the answer.
    let away = "postgres://postgres@127.0.0.1:1/tokens?sslmode=disable";
    at(&replica, &["verify", "--max-lag", "8s", "--usage-store", away], secret.as_bytes()).ok();
}

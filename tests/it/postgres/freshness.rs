//! A replica verifies only with data that is known to be new enough.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::processes::until;
use crate::support::server::{Server, have};
use crate::support::{Ran, program, run};

use super::link::{Link, LinkState};

/// A primary with a store.
pub fn primary() -> Server {
    let fast =
        ["fsync=off", "full_page_writes=off", "max_connections=300", "max_wal_senders=8", "autovacuum=off"];
    let server = Server::start(&fast);
    server.sql("postgres", "CREATE DATABASE tokens");
    at(&server, &["init", "--apply"], b"").ok();
    server
}

/// A replica whose link to its primary can be held and cut.
pub fn replica(primary: &Server, name: &str, more: &[&str]) -> (Server, Link) {
    let link = Link::to(primary.dir().join(".s.PGSQL.5432"));
    let conninfo =
        format!("primary_conninfo=host=127.0.0.1 port={} user=postgres sslmode=disable", link.port);
    let retry = "wal_retrieve_retry_interval=100ms";
    let replica =
        primary.standby_with(name, &[&[&conninfo[..], retry, "hot_standby_feedback=off"], more].concat());
    (replica, link)
}

/// The program on the store of a server.
pub fn on(server: &Server) -> Command {
    let mut command = program();
    command.env("TOKENCTL_STORE", server.url("postgres", "tokens"));
    command
}

#[track_caller]
pub fn at(server: &Server, args: &[&str], input: &[u8]) -> Ran {
    run(on(server).args(args), input)
}

/// A gate, which is killed with what holds it.
pub struct Gate(Child);

impl Gate {
    /// Starts one on a socket in this directory, and waits until it listens.
    pub fn start(server: &Server, dir: &Path, args: &[&str]) -> Self {
        let socket = dir.join("gate.sock");
        let _ = std::fs::remove_file(&socket);
        let mut command = on(server);
        command.args(["serve", "--listen", &format!("unix:{}", socket.display())]).args(args);
        let mut child =
            command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
        until("the gate listens", || {
            assert!(child.try_wait().expect("a child").is_none(), "the gate has exited");
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

/// What a gate in this directory says of a secret: a status, and the body where one was posted.
fn asked(dir: &Path, target: &str, args: &[&str]) -> (u16, String) {
    let mut curl = Command::new("curl");
    curl.args(["-s", "--max-time", "60", "-o", "-", "-w", "\n%{http_code}", "--unix-socket"]);
    let ran = run(curl.arg(dir.join("gate.sock")).args(args).arg(format!("http://gate{target}")), b"").ok();
    let (body, status) = ran.out.rsplit_once('\n').expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}

fn status(dir: &Path, secret: &str) -> u16 {
    asked(dir, "/verify", &["-H", &format!("Authorization: Bearer {secret}")]).0
}

/// The answer of `verify` on a replica, whose data may have this age.
fn verified(server: &Server, max_lag: &str, secret: &str) -> Ran {
    at(server, &["verify", "--max-lag", max_lag, "--json"], secret.as_bytes())
}

#[track_caller]
fn is_stale(ran: &Ran) {
    assert_eq!((ran.code, ran.failure()["code"].as_str()), (6, Some("store_stale")), "{ran:?}");
}

/// Waits until a replica has applied everything that its primary has.
fn caught_up(primary: &Server, replica: &Server) {
    let head = "SELECT max(seq) FROM tokenctl.events";
    until("the replica has it all", || replica.ask("tokens", head) == Some(primary.sql("tokens", head)));
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
    // Without a heartbeat nobody can know.
    is_stale(&verified(&replica, "1s", &secret));
    let streamed = at(&replica, &["verify", "--stream", "--max-lag", "1s"], format!("{secret}\n").as_bytes());
    assert_eq!(streamed.ok().out, "error store_stale\n");
    // The primary is never too old.
    verified(&primary, "1s", &secret).ok();
    let dir = tempfile::tempdir().expect("a directory");
    let beat = Gate::start(&primary, dir.path(), &["--heartbeat", "--max-lag", "8s"]);
    let ran = verified(&replica, "8s", &secret).ok();
    assert_eq!(ran.json()["valid"], true, "{ran:?}");
    // Cut off, and the revocation goes by it.
    link.set(LinkState::Held);
    at(&primary, &["revoke", "web", "--yes"], b"").ok();
    until("it is too old", || {
        let ran = verified(&replica, "2s", &secret);
        assert_ne!(ran.code, 3, "it cannot know of the revocation: {ran:?}");
        ran.code == 6
    });
    is_stale(&verified(&replica, "2s", &secret));
    link.set(LinkState::Open);
    until("it knows of the revocation", || verified(&replica, "8s", &secret).code == 3);
    drop(beat);
    until("nobody says any more how old it is", || {
        let ran = verified(&replica, "2s", &secret);
        assert!([3, 6].contains(&ran.code), "{ran:?}");
        ran.code == 6
    });
}

/// By the clock of this host such a heartbeat is young enough, as it would be by a clock that has stopped.
#[test]
fn a_heartbeat_that_nobody_has_seen_change_proves_nothing() {
    if !have() {
        return;
    }
    let primary = primary();
    let secret = at(&primary, &["create", "web"], b"").ok().line().to_owned();
    let (replica, _link) = replica(&primary, "r1", &[]);
    let ahead = "INSERT INTO tokenctl.beat SELECT 'x', (extract(epoch FROM clock_timestamp()) + 7) * 1000000";
    primary.sql("tokens", ahead);
    let beats = "SELECT count(*) FROM tokenctl.beat";
    until("the replica has it", || replica.ask("tokens", beats).as_deref() == Some("1"));
    is_stale(&verified(&replica, "8s", &secret));
}

#[test]
fn a_replica_that_goes_on_ten_seconds_late_is_never_believed() {
    if !have() {
        return;
    }
    let primary = primary();
    let secret = at(&primary, &["create", "web"], b"").ok().line().to_owned();
    let dirs = [tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory")];
    let _beat = Gate::start(&primary, dirs[0].path(), &["--heartbeat", "--max-lag", "2s"]);
    let (replica, _link) = replica(&primary, "late", &["recovery_min_apply_delay=10s"]);
    let lines = "SELECT count(*) FROM tokenctl.tokens";
    until("the token is there", || replica.ask("tokens", lines).as_deref() == Some("1"));
    let _gate = Gate::start(&replica, dirs[1].path(), &["--max-lag", "2s"]);
    at(&primary, &["revoke", "web", "--yes"], b"").ok();
    // Its heartbeat changes as often as that of the primary, for as long as it takes to apply the revocation, and after that.
    let beat = "SELECT max(at) FROM tokenctl.beat";
    let revoked = "SELECT count(revoked_at) FROM tokenctl.tokens";
    let (mut changes, mut last, mut seen) = (0, String::new(), 0);
    while seen < 3 {
        is_stale(&verified(&replica, "2s", &secret));
        assert_eq!(status(dirs[1].path(), &secret), 503);
        let body = format!("{{\"secret\":\"{secret}\"}}");
        let body = asked(dirs[1].path(), "/api/verify", &["-d", &body]).1;
        let body: Value = serde_json::from_str(&body).expect("a document");
        assert_eq!(body["error"]["code"], "store_stale", "{body}");
        let now = replica.sql("tokens", beat);
        changes += i32::from(now != last);
        last = now;
        seen += i32::from(replica.sql("tokens", revoked) == "1");
    }
    assert!(changes > 3, "it stood still: {changes} changes");
    replica.sql("postgres", "ALTER SYSTEM SET recovery_min_apply_delay = 0");
    replica.sql("postgres", "SELECT pg_reload_conf()");
    println!("the heartbeat changed {changes} times while the replica was late");
}

#[test]
fn a_replica_sends_uses_to_the_primary_that_is_named() {
    if !have() {
        return;
    }
    let primary = primary();
    let secret = at(&primary, &["create", "web"], b"").ok().line().to_owned();
    let (replica, _link) = replica(&primary, "r1", &[]);
    caught_up(&primary, &replica);
    let dir = tempfile::tempdir().expect("a directory");
    let url = primary.url("postgres", "tokens");
    let ran =
        at(&replica, &["serve", "--listen", "127.0.0.1:0", "--heartbeat", "--max-lag", "8s"], b"").exit(2);
    assert!(ran.err.contains("`--usage-store`"), "{}", ran.err);
    let args = ["--heartbeat", "--max-lag", "8s", "--usage-store", &url];
    let _gate = Gate::start(&replica, dir.path(), &args);
    let uses = "SELECT count(*) FROM tokenctl.usage";
    verified(&replica, "8s", &secret).ok();
    assert_eq!(primary.sql("tokens", uses), "0", "no primary was named");
    at(&replica, &["verify", "--max-lag", "8s", "--usage-store", &url], secret.as_bytes()).ok();
    assert_eq!(primary.sql("tokens", uses), "1", "the use was sent before the command ended");
    primary.sql("tokens", "TRUNCATE tokenctl.usage");
    until("the gate answers", || status(dir.path(), &secret) == 200);
    until("the gate sends it", || primary.sql("tokens", uses) == "1");
    // A primary that is away holds up nobody.
    let away = "postgres://postgres@127.0.0.1:1/tokens?sslmode=disable";
    at(&replica, &["verify", "--max-lag", "8s", "--usage-store", away], secret.as_bytes()).ok();
}

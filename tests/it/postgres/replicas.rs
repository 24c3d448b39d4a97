//! Tests of changes that standbys confirm, and of what a failover keeps.

use std::thread;
use std::time::Duration;

use crate::support::server::{Server, have};
use crate::support::{Ran, program, run};

fn at(server: &Server, args: &[&str], input: &[u8]) -> Ran {
    run(program().env("TOKENCTL_STORE", server.url("postgres", "tokens")).args(args), input)
}

fn store(settings: &[&str]) -> Server {
    let server = Server::start(settings);
    server.sql("postgres", "CREATE DATABASE tokens");
    at(&server, &["init", "--apply"], b"").ok();
    server
}

fn wait_for(server: &Server, standbys: &str) {
    server.sql("postgres", &format!("ALTER SYSTEM SET synchronous_standby_names = '{standbys}'"));
    server.sql("postgres", "SELECT pg_reload_conf()");
    thread::sleep(Duration::from_millis(500));
}

#[test]
fn a_change_that_no_standby_confirms_is_reported_as_uncertain() {
    if !have() {
        return;
    }
    let server = store(&["fsync=off"]);
    let secret = at(&server, &["create", "web"], b"").ok().line().to_owned();
    wait_for(&server, "nobody");
    let ran = at(&server, &["revoke", "web", "--yes"], b"").exit(1);
    assert!(ran.err.contains("may or may not have been kept"), "{}", ran.err);
    wait_for(&server, "");
    assert!(
        at(&server, &["verify"], secret.as_bytes()).exit(3).out.starts_with("revoked "),
        "the revocation was lost"
    );
    at(&server, &["audit", "verify"], b"").ok();
}

#[test]
fn a_completed_revocation_is_on_the_standby_and_survives_a_failover() {
    if !have() {
        return;
    }
    let mut primary = store(&["fsync=off", "max_wal_senders=4"]);
    let standby = primary.standby("s1");
    wait_for(&primary, "s1");
    let secrets: Vec<String> = (0..25)
        .map(|nth| at(&primary, &["create", &format!("t{nth}")], b"").ok().line().to_owned())
        .collect();
    for (nth, secret) in secrets.iter().enumerate().take(20) {
        at(&primary, &["revoke", &format!("t{nth}"), "--yes"], b"").ok();
        let show = format!("SELECT revoked_at IS NOT NULL FROM tokenctl.tokens WHERE name = 't{nth}'");
        assert_eq!(standby.sql("tokens", &show), "t", "t{nth} is not revoked on the standby");
        if nth == 0 {
            let refused = at(&standby, &["verify"], secret.as_bytes()).exit(2);
            assert!(refused.err.contains("is a replica"), "{}", refused.err);
        }
    }
    let refused = at(&standby, &["create", "x"], b"").exit(6);
    assert!(refused.err.contains("it is a replica"), "{}", refused.err);
    primary.kill();
    standby.sql("postgres", "SELECT pg_promote()");
    for (nth, secret) in secrets.iter().enumerate() {
        let seen = at(&standby, &["verify"], secret.as_bytes());
        let expected = if nth < 20 { "revoked " } else { "valid " };
        assert!(seen.out.starts_with(expected), "t{nth} after the failover: {seen:?}");
    }
    at(&standby, &["create", "after"], b"").ok();
    at(&standby, &["audit", "verify"], b"").ok();
}

#[test]
fn doctor_warns_if_a_failover_could_undo_acknowledged_changes() {
    if !have() {
        return;
    }
    let primary = store(&["max_wal_senders=4"]);
    assert!(
        at(&primary, &["doctor"], b"").ok().out.starts_with("ok"),
        "a server without a standby was reported"
    );
    let _standby = primary.standby("s1");
    let found = at(&primary, &["doctor"], b"");
    assert!(found.out.contains("`synchronous_standby_names` is empty"), "{found:?}");
    wait_for(&primary, "s1");
    at(&primary, &["doctor"], b"").ok();
}

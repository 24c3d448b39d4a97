//! What several hosts that share a store must not do to each other.

use std::fs;
use std::process::Command;

use crate::support::server::have;
use crate::support::{program_path, run};

use super::Fixture;

#[test]
fn only_the_host_of_a_delivery_finishes_it() {
    if !have() {
        return;
    }
    let store = Fixture::new();
    let dir = tempfile::tempdir_in("/dev/shm").expect("a directory");
    let file = dir.path().join("secret");
    store.run(&["create", "web", "--out", file.to_str().expect("UTF-8")]).ok();
    // As if the process had been killed right after it had written the file.
    let begin = "UPDATE tokenctl.secret SET delivered_at = NULL; INSERT INTO tokenctl.delivery
         SELECT row, 'file', NULL, NULL, NULL, NULL, 0, 'elsewhere', 0, 1, 1600000000, 1600000600, NULL, NULL FROM tokenctl.secret";
    store.sql(begin);
    store.run(&["scopes", "define", "a"]).ok();
    assert_eq!(
        store.sql("SELECT count(*) FROM tokenctl.delivery"),
        "1",
        "it is for the other host to finish"
    );
    let uname = run(Command::new("uname").arg("-n"), b"").ok();
    store.sql(&format!("UPDATE tokenctl.delivery SET host = '{}'", uname.line()));
    let _ = store.run(&["scopes", "define", "b"]);
    assert_eq!(store.sql("SELECT count(*) FROM tokenctl.delivery WHERE host = 'elsewhere'"), "0");
}

#[test]
fn a_token_is_rotated_into_its_file_by_its_own_host_alone() {
    if !have() || crate::support::uid() != 0 {
        return;
    }
    let store = Fixture::new();
    let dir = tempfile::tempdir_in("/dev/shm").expect("a directory");
    let file = dir.path().join("secret");
    let place = file.to_str().expect("UTF-8");
    let elsewhere = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--uts", "sh", "-c", "hostname elsewhere && exec \"$@\"", "sh"]).arg(program_path());
        run(command.env("TOKENCTL_STORE", store.0.url()).args(args), b"")
    };
    store.run(&["create", "web", "--out", place, "--rotate-every", "30d"]).ok();
    let secret = fs::read(&file).expect("the secret");
    let ran = elsewhere(&["rotate", "web"]).exit(5);
    assert!(ran.err.contains("goes to") && ran.err.contains(" on "), "{}", ran.err);
    assert!(fs::read(&file).expect("the secret") == secret, "nobody else has touched it");
    store.run(&["rotate", "web"]).ok();
    assert!(fs::read(&file).expect("the secret") != secret, "its own host rotates it");
    // A file of the same name on another host is another file.
    elsewhere(&["create", "api", "--out", place, "--force"]).ok();
    let ran = store.run(&["create", "third", "--out", place, "--force"]);
    assert_ne!(ran.code, 0, "on one host two tokens do not share a file");
}

#[test]
fn commands_are_neither_remembered_nor_run() {
    if !have() {
        return;
    }
    let store = Fixture::new();
    let refused = |args: &[&str]| {
        let ran = store.run(args).exit(2);
        assert!(ran.err.contains("neither remembers commands"), "{args:?}: {}", ran.err);
    };
    store.run(&["create", "web", "--exec", "cat >/dev/null"]).ok();
    assert_eq!(store.run(&["show", "web", "--json"]).ok().json()["destination"], serde_json::Value::Null);
    refused(&["edit", "web", "--exec", "cat"]);
    refused(&["edit", "web", "--after", "true"]);
    refused(&["create", "api", "--exec", "cat", "--after", "true"]);
    refused(&["rotate", "web", "--remember", "--exec", "cat"]);
    // Given for once they run here and now.
    store.run(&["rotate", "web", "--exec", "cat >/dev/null"]).ok();
    assert_eq!(store.sql("SELECT count(hook) + count(destination_command) FROM tokenctl.tokens"), "0");
    assert_eq!(store.sql("SELECT count(*) FROM tokenctl.hook"), "0");
}

#[test]
fn a_host_whose_clock_is_wrong_may_only_end_access() {
    if !have() {
        return;
    }
    let store = Fixture::new();
    store.run(&["create", "web"]).ok();
    // The server's clock is that of the tables; here it is ten minutes ahead of this host's.
    store.sql(
        "CREATE OR REPLACE FUNCTION tokenctl.clock() RETURNS bigint LANGUAGE sql
         AS 'SELECT floor(extract(epoch FROM clock_timestamp()))::bigint + 600'",
    );
    let ran = store.run(&["create", "late", "--json"]);
    assert_eq!(ran.failure()["code"], "clock", "{ran:?}");
    store.run(&["revoke", "web", "--yes"]).ok();
    let ahead = store
        .sql("SELECT max(time) - floor(extract(epoch FROM clock_timestamp())) > 500 FROM tokenctl.events");
    assert_eq!(ahead, "t", "a revocation has the time of the server");
    store.run(&["create", "late", "--accept-clock"]).ok();
    store.run(&["audit", "verify"]).ok();
}

//! Tests of several hosts that share a store.

use std::ffi::OsStr;
use std::fs;
use std::process::Command;

use crate::support::server::have;
use crate::support::{Ran, program_path, run};

use super::Fixture;

/// Runs a command on a host with another name.
fn elsewhere(store: &Fixture, command: &[&OsStr]) -> Ran {
    let mut unshare = Command::new("unshare");
    unshare.args(["--uts", "sh", "-c", "hostname elsewhere && exec \"$@\"", "sh"]).args(command);
    run(unshare.env("TOKENCTL_STORE", store.0.url()), b"")
}

/// Runs the program on a host with another name.
fn program_elsewhere(store: &Fixture, args: &[&str]) -> Ran {
    let args = args.iter().map(OsStr::new);
    elsewhere(store, &[program_path().as_os_str()].into_iter().chain(args).collect::<Vec<_>>())
}

#[test]
fn only_the_host_that_started_a_delivery_finishes_it() {
    if !have() || !crate::support::have("strace") || crate::support::uid() != 0 {
        return;
    }
    let store = Fixture::new();
    let dir = tempfile::tempdir_in("/dev/shm").expect("a directory");
    let file = dir.path().join("secret");
    let inject = "inject=fsync:signal=SIGKILL:when=1";
    let strace =
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", inject].map(OsStr::new);
    let create = ["create", "web", "--no-remember", "--out"].map(OsStr::new);
    let killed = [&strace[..], &[program_path().as_os_str()], &create, &[file.as_os_str()]].concat();
    assert_ne!(elsewhere(&store, &killed).code, 0);
    store.sql("UPDATE tokenctl.delivery SET deadline = 1600000000");
    let open = || store.sql("SELECT count(*) FROM tokenctl.delivery");
    store.run(&["scopes", "define", "a"]).ok();
    assert_eq!(open(), "1", "this host finished a delivery of another host");
    program_elsewhere(&store, &["scopes", "define", "b"]).ok();
    assert_eq!(open(), "0");
}

#[test]
fn only_the_host_that_has_the_file_rotates_its_token() {
    if !have() || crate::support::uid() != 0 {
        return;
    }
    let store = Fixture::new();
    let dir = tempfile::tempdir_in("/dev/shm").expect("a directory");
    let file = dir.path().join("secret");
    let place = file.to_str().expect("the path is UTF-8");
    let elsewhere = |args: &[&str]| program_elsewhere(&store, args);
    store.run(&["create", "web", "--out", place, "--rotate-every", "30d"]).ok();
    let secret = fs::read(&file).expect("the file can be read");
    let ran = elsewhere(&["rotate", "web"]).exit(5);
    assert!(ran.err.contains("has its destination, ") && ran.err.contains(", on "), "{}", ran.err);
    assert!(fs::read(&file).expect("the file can be read") == secret, "another host changed the file");
    store.run(&["rotate", "web"]).ok();
    assert!(fs::read(&file).expect("the file can be read") != secret, "its own host did not rotate it");
    // A file with the same path on another host is a different file.
    elsewhere(&["create", "api", "--out", place, "--force"]).ok();
    let ran = store.run(&["create", "third", "--out", place, "--force"]);
    assert_ne!(ran.code, 0, "two tokens of one host share a file");
}

#[test]
fn commands_are_not_stored_but_run_if_given_by_flag() {
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
    // A command that is given by flag runs once, on this host.
    store.run(&["rotate", "web", "--exec", "cat >/dev/null"]).ok();
    assert_eq!(store.sql("SELECT count(hook) + count(destination_command) FROM tokenctl.tokens"), "0");
    assert_eq!(store.sql("SELECT count(*) FROM tokenctl.hook"), "0");
}

#[test]
fn a_host_with_a_wrong_clock_can_only_revoke() {
    if !have() {
        return;
    }
    let store = Fixture::new();
    store.run(&["create", "web"]).ok();
    // The clock of the server decides. In this test, it is ten minutes ahead of the clock of this host.
    store.sql(
        "CREATE OR REPLACE FUNCTION tokenctl.clock() RETURNS bigint LANGUAGE sql
         AS 'SELECT floor(extract(epoch FROM clock_timestamp()))::bigint + 600'",
    );
    let ran = store.run(&["create", "late", "--json"]);
    assert_eq!(ran.failure()["code"], "clock", "{ran:?}");
    store.run(&["revoke", "web", "--yes"]).ok();
    let ahead = store
        .sql("SELECT max(time) - floor(extract(epoch FROM clock_timestamp())) > 500 FROM tokenctl.events");
    assert_eq!(ahead, "t", "the revocation does not have the time of the server");
    store.run(&["create", "late", "--accept-clock"]).ok();
    store.run(&["audit", "verify"]).ok();
}

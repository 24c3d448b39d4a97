//! The tests of the verbs, run once more with every store in PostgreSQL.

use std::process::Command;

use crate::support::server::{OF_FILES, have};

/// What is not about stores, or about files from its name on.
const APART: &[&str] = &[
    "backup::",
    "doctor::",
    "help::",
    "hygiene::",
    "init::",
    "install::",
    "leaks::",
    "maintenance::",
    "man::",
    "migration::",
    "planted::",
    "postgres::",
    "proxies",
    "readme::",
    "recipes",
    "restore::",
    "scan::",
    "seals::",
    "slow::",
    "store::",
    "systemd",
    "terminals::",
    "tidy::",
    "users::",
    "wizard::signals",
];

/// Tests that expect words or figures that only a store in files has.
const OF_WORDS: &[&str] = &[];

#[test]
fn the_verbs_behave_the_same() {
    if !have() {
        return;
    }
    let mut suite = Command::new(std::env::current_exe().expect("this program"));
    suite.env("TOKENCTL_TEST_ENGINE", "postgres").env("RUST_BACKTRACE", "0");
    for name in APART.iter().chain(OF_WORDS) {
        suite.args(["--skip", name]);
    }
    let done = suite.output().expect("the suite");
    let out = String::from_utf8_lossy(&done.stdout).into_owned();
    let passed = out.lines().filter(|line| line.starts_with("test ") && line.ends_with("... ok")).count();
    // The output of each test that failed follows its name.
    let mut failed = Vec::new();
    let mut skipped = 0;
    for part in out.split("\n---- ").skip(1) {
        let name = part.split(' ').next().unwrap_or_default();
        if part.contains(OF_FILES) {
            skipped += 1;
        } else {
            failed.push(format!("{name}: {part}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    println!("{passed} tests passed on PostgreSQL; {skipped} are about files");
    assert!(passed > 300, "only {passed} tests ran: {out}");
}

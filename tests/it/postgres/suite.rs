//! The tests of the verbs, run once more with every store in PostgreSQL.

use std::process::Command;

use crate::support::server::{OF_FILES, have};

/// The verbs, and what concerns several of them.
const MODULES: &[&str] = &[
    "adopt::",
    "apply::",
    "audit::",
    "chain::",
    "check::",
    "create::",
    "diff::",
    "disable::",
    "due::",
    "edit::",
    "enable::",
    "export::",
    "if_missing::",
    "import::",
    "list::",
    "log::",
    "prune::",
    "remembered::",
    "rename::",
    "revoke::",
    "rotate::",
    "scopes::",
    "selecting::",
    "settings::",
    "show::",
    "stream::",
    "verify::",
];

/// Of these: shells that complete words, the gate, which has separate tests here, and suites that take minutes.
const APART: &[&str] = &["postgres::", "serve::", "shells", "slow::", "tests::"];

/// Tests that let a store remember or run commands, or expect that it is named by a directory.
const OF_FILES_BY_DESIGN: &[&str] = &[
    "apply::if_a_delivery_fails_the_others_happen_and_the_next_run_repeats_it",
    "apply::an_interrupted_run_names_the_tokens_that_it_did_not_create",
    "create::stdout_is_the_secret_and_stderr_has_the_messages",
    "if_missing::an_expired_token_is_rotated_with_revive_and_keeps_its_id",
    "if_missing::it_warns_of_a_destination_or_hook_that_the_token_does_not_have",
    "import::commands_in_an_export_must_be_accepted",
    "remembered::create_stores_its_destination_and_says_so",
    "remembered::rotate_due_delivers_to_each_destination_and_a_failure_does_not_stop_the_others",
];

#[test]
fn the_verbs_behave_the_same() {
    if !have() {
        return;
    }
    let mut suite = Command::new(std::env::current_exe().expect("this program"));
    suite.env("TOKENCTL_TEST_ENGINE", "postgres").env("RUST_BACKTRACE", "0");
    suite.args(MODULES);
    for name in APART.iter().chain(OF_FILES_BY_DESIGN) {
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
    assert!(passed > 150, "only {passed} tests ran: {out}");
}

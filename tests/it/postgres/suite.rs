//! Runs the tests of the verbs again with every store in PostgreSQL.

use std::process::Command;

use crate::support::server::{OF_FILES, have};

/// The modules of the verbs, and of topics that concern several verbs.
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

/// Tests that are skipped: shell completion, the gate (which has other tests here), and suites that take minutes.
const APART: &[&str] = &["postgres::", "serve::", "shells", "slow::", "tests::"];

/// Tests that need a store that remembers or runs commands, or that is given by a directory.
const OF_FILES_BY_DESIGN: &[&str] = &[
    "apply::a_failed_delivery_does_not_stop_the_others_and_is_repeated_by_the_next_run",
    "apply::an_interrupted_run_reports_what_was_not_created",
    "create::the_secret_is_printed_to_stdout_and_messages_to_stderr",
    "if_missing::if_missing_with_revive_rotates_an_expired_token_and_keeps_its_id",
    "if_missing::if_missing_warns_about_a_different_destination_or_hook",
    "import::commands_in_an_export_need_accept_commands",
    "remembered::create_stores_the_destination_and_says_so",
    "remembered::due_secrets_go_to_their_destinations_and_a_failure_does_not_stop_the_others",
];

#[test]
fn the_verbs_behave_as_on_files() {
    if !have() {
        return;
    }
    let mut suite = Command::new(std::env::current_exe().expect("the path of this program is known"));
    suite.env("TOKENCTL_TEST_ENGINE", "postgres").env("RUST_BACKTRACE", "0");
    suite.args(MODULES);
    for name in APART.iter().chain(OF_FILES_BY_DESIGN) {
        suite.args(["--skip", name]);
    }
    let done = suite.output().expect("the suite runs");
    let out = String::from_utf8_lossy(&done.stdout).into_owned();
    let passed = out.lines().filter(|line| line.starts_with("test ") && line.ends_with("... ok")).count();
    // In the output, each failed test has a section that starts with its name.
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

//! `prune`: removes revoked and expired tokens, while the log keeps their events.

use std::fs;

use serde_json::json;

use crate::import::many;
use crate::support::{DAY, World};

#[test]
fn revoked_and_expired_tokens_are_removed_and_the_log_still_verifies() {
    let world = World::with_store();
    let revoked = world.create("revoked", &[]);
    let live = world.create("live", &["--no-expiry"]);
    world.create("expired", &["--ttl", "1d"]);
    world.create("disabled", &["--no-expiry"]);
    world.run(&["disable", "disabled"]).ok();
    world.run(&["revoke", "revoked", "--yes"]).ok();
    let newer = world.rotate("live", &["--now"]);
    world.wait(2 * DAY);
    let head = world.run(&["audit", "head"]).ok().out;
    let document = world.run(&["prune", "--yes", "--json"]).ok().json();
    let rows: Vec<_> = document["tokens"]
        .as_array()
        .expect("`tokens` is an array")
        .iter()
        .map(|it| json!([it["name"], it["status"], it["removed"], it["secrets"]]))
        .collect();
    assert_eq!(
        rows,
        [
            json!(["expired", "expired", true, 1]),
            json!(["live", "active", false, 1]),
            json!(["revoked", "revoked", true, 1])
        ]
    );
    assert_eq!(
        (&document["changed"], &document["dry_run"], &document["count"]),
        (&json!(true), &json!(false), &json!(3))
    );
    assert_eq!(world.names(&["--all"]), ["disabled", "live"]);
    world.assert_valid(&newer, "live");
    for secret in [&revoked, &live] {
        assert_eq!(world.verify(secret, &[]), (3, "unknown".to_owned()));
    }
    assert_eq!(world.actions()[world.actions().len() - 3..], ["prune", "prune", "prune"]);
    assert!(world.run(&["audit", "--token", "revoked"]).ok().out.contains("revoke"));
    world.run(&["audit", "verify", "--anchor", head.trim()]).ok();
    assert_eq!(world.run(&["doctor"]).ok().out, "ok\n");
    let again = world.run(&["prune", "--yes"]).ok();
    assert_eq!(again.err, "there is nothing to remove; nothing was changed\n");
}

#[test]
fn a_pruned_secret_cannot_be_adopted_again() {
    let world = World::with_store();
    let old = "legacy_0123456789abcdefghijklmnopqrstuvwxyz\n";
    world.run_with(&["adopt", "old"], old.as_bytes()).ok();
    world.run(&["revoke", "old", "--yes"]).ok();
    world.run(&["prune", "--yes"]).ok();
    let refused = world.refuses_with(&["adopt", "new"], old.as_bytes(), 5, "policy");
    assert_eq!(refused["message"], "this secret was in the store before, and has expired or was revoked");
}

#[test]
fn recently_revoked_and_unselected_tokens_are_kept() {
    let world = World::with_store();
    for name in ["early", "late", "other"] {
        world.create(name, &["--owner", name, "--no-expiry"]);
    }
    world.run(&["revoke", "early", "--yes"]).ok();
    world.wait(10 * DAY);
    world.run(&["revoke", "late", "--yes"]).ok();
    let before = world.bytes();
    let shown = world.run(&["prune", "--older-than", "5d", "--dry-run"]).ok();
    assert!(
        shown.out.contains("\tearly\trevoked\tthe token\t1\n") && shown.out.lines().count() == 1,
        "{shown:?}"
    );
    assert_eq!(
        shown.err,
        "it would remove 1 token and 0 superseded secrets of others; nothing was changed\n"
    );
    assert_eq!(world.bytes(), before);
    world.refuses(&["prune", "--older-than", "5d", "--expect", "2"], 5, "count_differs");
    world.refuses(&["prune"], 2, "input_needed");
    world.refuses(&["prune", "nobody", "--yes"], 4, "not_found");
    world.refuses(&["prune", "early", "--owner", "early", "--yes"], 2, "usage");
    world.run(&["prune", "--owner", "late", "--yes"]).ok();
    assert_eq!(world.names(&["--all"]), ["early", "other"]);
    world.run(&["prune", "early", "--yes"]).ok();
    assert_eq!(world.names(&["--all"]), ["other"]);
}

#[test]
fn an_expired_token_that_is_due_for_rotation_is_not_pruned() {
    let world = World::with_store();
    world.create("due", &["--ttl", "5d", "--rotate-every", "2d", "--grace", "1d"]);
    world.wait(6 * DAY);
    let ran = world.run(&["prune", "--yes"]).ok();
    assert_eq!(ran.err, "there is nothing to remove; nothing was changed\n");
    assert_eq!(world.names(&["--all"]), ["due"]);
}

#[test]
fn prune_explains_why_the_file_has_not_become_smaller() {
    let world = World::with_store();
    world.create("gone", &[]);
    world.run(&["revoke", "gone", "--yes"]).ok();
    let ran = world.run(&["prune", "--yes"]).ok();
    let why = "the file has not become smaller: the log keeps the events of what was removed";
    assert_eq!(ran.err, format!("removed 1 token and 0 superseded secrets of others\n{why}\n"));
}

#[test]
fn the_file_shrinks_after_many_rotations_and_revocations() {
    let world = World::with_store();
    world.create("kept", &["--no-expiry"]);
    for n in 0..60 {
        world.create(&format!("gone-{n}"), &["-d", &"x".repeat(900)]);
        world.rotate("kept", &["--now"]);
    }
    world.run(&["revoke", "--search", "gone", "--yes"]).ok();
    world.wait(DAY);
    let size = || fs::metadata(world.database()).expect("the store exists").len();
    let (before, head) = (size(), world.run(&["audit", "head"]).ok().out);
    let ran = world.run(&["prune", "--yes"]).ok();
    assert_eq!(ran.err, "removed 60 tokens and 60 superseded secrets of others\n");
    assert!(size() < before, "{} of {before} bytes", size());
    assert_eq!(world.names(&["--all"]), ["kept"]);
    world.run(&["audit", "verify", "--anchor", head.trim()]).ok();
    assert_eq!(world.run(&["doctor"]).ok().out, "ok\n");
}

#[test]
fn the_log_verifies_after_ten_thousand_tokens_and_three_hundred_secrets_were_pruned() {
    let world = World::with_store();
    let adopted = "legacy_0123456789abcdefghijklmnopqrstuvwxyz\n";
    world.run_with(&["adopt", "legacy", "--no-expiry"], adopted.as_bytes()).ok();
    world.create("kept", &["--no-expiry", "--owner", "ann"]);
    let text = many(&world, 10_000);
    world.run_with(&["import", "-", "--quiet"], text.as_bytes()).ok();
    for _ in 0..300 {
        world.rotate("kept", &["--now"]);
    }
    world.run(&["revoke", "legacy", "--yes"]).ok();
    world.run(&["revoke", "--search", "many-", "--expect", "10000", "--yes", "--quiet"]).ok();
    world.wait(DAY);
    let size = || fs::metadata(world.database()).expect("the store exists").len();
    let (before, head) = (size(), world.run(&["audit", "head"]).ok().out);
    let ran = world.run(&["prune", "--yes"]).ok();
    let (summary, why) = ran.err.split_once('\n').expect("there is a line");
    assert_eq!(summary, "removed 10001 tokens and 300 superseded secrets of others");
    let grown = "the file has not become smaller: the log keeps the events of what was removed\n";
    assert!(size() < before && why.is_empty() || why == grown, "{why}: {} of {before}", size());
    assert_eq!(world.names(&["--all"]), ["kept"]);
    world.run(&["audit", "verify", "--anchor", head.trim()]).ok();
    assert_eq!(world.run(&["doctor"]).ok().out, "ok\n");
    world.refuses_with(&["adopt", "again", "--no-expiry"], adopted.as_bytes(), 5, "policy");
    let again = world.refuses_with(&["import", "-", "--quiet"], text.as_bytes(), 5, "policy");
    assert!(
        again["message"]
            .as_str()
            .expect("it is a string")
            .contains("a secret of `many-0` was in the store before")
    );
}

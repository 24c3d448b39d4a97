//! `restore`: resets the store to a backup, except that tokens that were revoked or have expired since stay revoked or
//! expired.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::rc::Rc;

use serde_json::{Value, json};
use tokenctl::context::{Actor, Clock};
use tokenctl::domain::event::{Action, Author};
use tokenctl::domain::token::Token;
use tokenctl::store::{Location, Store, StoreError};

use crate::support::{Answer, DAY, World, pages, run, search_path, write_program};

/// A store with a token, its secret, and the path of a backup.
fn backed_up() -> (World, String, String) {
    let world = World::with_store();
    let secret = world.create("demo", &["--no-expiry"]);
    let path = world.path("copy.db");
    world.run(&["backup", &path]).ok();
    (world, secret, path)
}

#[track_caller]
fn assert_intact(world: &World) {
    world.run(&["audit", "verify"]).ok();
    assert_eq!(world.run(&["doctor"]).ok().out, "ok\n");
}

fn names(document: &Value) -> Vec<&str> {
    document
        .as_array()
        .expect("`tokens` is an array")
        .iter()
        .map(|it| it["name"].as_str().expect("the name is a string"))
        .collect()
}

#[test]
fn a_missing_store_is_restored_exactly() {
    let (world, secret, path) = backed_up();
    let (head, shown) = (world.run(&["audit", "head"]).ok().out, world.show("demo"));
    fs::remove_dir_all(world.store()).expect("the store can be removed");
    let document = world.run(&["restore", &path, "--yes", "--json"]).ok().json();
    let (seq, hash) = head.trim().split_once(':').expect("there is a head");
    let anchor = json!({ "seq": seq.parse::<i64>().expect("it is a number"), "hash": hash });
    assert_eq!(
        document,
        json!({ "changed": true, "dry_run": false, "backup_head": anchor, "head": anchor,
            "kept_ended": [], "discarded": [], "widened": [] })
    );
    assert_eq!(world.run(&["audit", "head"]).ok().out, head);
    assert_eq!(world.show("demo")["id"], shown["id"]);
    world.assert_valid(&secret, "demo");
    assert_intact(&world);
}

#[test]
fn changes_since_the_backup_are_undone_and_logged() {
    let (world, secret, path) = backed_up();
    world.run(&["rename", "demo", "other"]).ok();
    world.run(&["edit", "other", "--owner", "ann", "-l", "env=prod", "--allow-widen"]).ok();
    world.run(&["settings", "grace", "1h"]).ok();
    world.define(&["events:read"]);
    world.run(&["scopes", "rename", "events:read", "events:view"]).ok();
    let head = world.run(&["audit", "head"]).ok().out;
    world.run(&["restore", &path, "--yes", "--reason", "a mistake"]).ok();
    world.assert_valid(&secret, "demo");
    let token = world.show("demo");
    assert_eq!((&token["owner"], &token["labels"]), (&Value::Null, &json!({})));
    assert_eq!(world.run(&["settings", "grace"]).ok().out, "1d\n");
    let actions = world.actions();
    assert_eq!(actions[actions.len() - 2..], ["restore", "restore"]);
    assert_eq!(world.last_event()["reason"], "a mistake");
    world.run(&["audit", "verify", "--anchor", head.trim()]).ok();
    assert_intact(&world);
    let again = world.run(&["restore", &path, "--yes"]).ok();
    assert_eq!(again.err, "the store is what the backup says; nothing was changed\n");
}

#[test]
fn tokens_that_were_revoked_disabled_or_have_expired_since_the_backup_keep_that_status() {
    let world = World::with_store();
    let all = ["revoked", "disabled", "expired", "previous"];
    let secrets = all.map(|name| world.create(name, &["--ttl", "90d"]));
    let path = world.path("copy.db");
    world.run(&["backup", &path]).ok();
    world.run(&["revoke", "revoked", "--yes"]).ok();
    world.run(&["disable", "disabled"]).ok();
    world.run(&["edit", "expired", "--ttl", "1d"]).ok();
    world.rotate("previous", &["--now"]);
    world.wait(2 * DAY);
    let refused = world.refuses(&["restore", &path, "--yes"], 5, "newer_exists");
    assert_eq!(
        refused["message"],
        "clients would lose access, since the backup has no secret of theirs: `previous`"
    );
    let document = world.run(&["restore", &path, "--yes", "--discard-newer", "--json"]).ok().json();
    assert_eq!(names(&document["kept_ended"]), all);
    assert_eq!(names(&document["discarded"]), ["previous"]);
    let answers: Vec<_> = secrets.iter().map(|secret| world.verify(secret, &[]).1).collect();
    assert_eq!(answers, ["revoked revoked", "disabled disabled", "expired expired", "expired previous"]);
    assert_intact(&world);
}

#[test]
fn newer_tokens_are_discarded_only_with_discard_newer() {
    let (world, secret, path) = backed_up();
    let newer = world.create("newer", &[]);
    world.create("gone", &[]);
    world.run(&["revoke", "gone", "--yes"]).ok();
    let rotated = world.rotate("demo", &[]);
    let before = world.bytes();
    let refused = world.refuses(&["restore", &path, "--yes"], 5, "newer_exists");
    assert!(refused["message"].as_str().expect("it is a string").ends_with(": `demo`, `newer`"), "{refused}");
    let document = world.run(&["restore", &path, "--dry-run", "--json"]).ok().json();
    assert_eq!((&document["changed"], names(&document["discarded"])), (&json!(false), vec!["demo", "newer"]));
    assert_eq!(world.bytes(), before);
    world.run(&["restore", &path, "--yes", "--discard-newer"]).ok();
    world.assert_valid(&secret, "demo");
    for secret in [&newer, &rotated] {
        assert_eq!(world.verify(secret, &[]), (3, "unknown".to_owned()));
    }
    assert_eq!(world.names(&["--all"]), ["demo", "gone"]);
    assert_intact(&world);
}

#[test]
fn a_token_regains_a_removed_scope_only_with_allow_widen() {
    let world = World::with_store();
    world.define(&["events:read", "admin"]);
    world.create("demo", &["-s", "events:read,admin"]);
    let path = world.path("copy.db");
    world.run(&["backup", &path]).ok();
    world.run(&["scopes", "remove", "demo", "admin"]).ok();
    let before = world.bytes();
    let refused = world.refuses(&["restore", &path, "--yes"], 2, "input_needed");
    assert_eq!(refused["message"], "restoring the backup: 1 token gains `admin` (`demo`)");
    assert_eq!(world.bytes(), before);
    let document = world.run(&["restore", &path, "--yes", "--allow-widen", "--json"]).ok().json();
    assert_eq!(names(&document["widened"]), ["demo"]);
    assert_eq!(world.show("demo")["scopes"], json!(["admin", "events:read"]));
    assert_intact(&world);
}

#[test]
fn swapped_names_and_scopes_are_swapped_back() {
    let world = World::with_store();
    world.define(&["a:x", "b:x"]);
    for (name, scope) in [("one", "a:x"), ("two", "b:x")] {
        world.create(name, &["-s", scope]);
    }
    let (path, before) = (world.path("copy.db"), [world.show("one"), world.show("two")]);
    world.run(&["backup", &path]).ok();
    for (from, to) in [("one", "three"), ("two", "one"), ("three", "two")] {
        world.run(&["rename", from, to]).ok();
    }
    for (from, to) in [("a:x", "c:x"), ("b:x", "a:x"), ("c:x", "b:x")] {
        world.run(&["scopes", "rename", from, to, "--allow-widen"]).ok();
    }
    world.run(&["restore", &path, "--yes", "--allow-widen"]).ok();
    for (name, before) in ["one", "two"].into_iter().zip(before) {
        let after = world.show(name);
        assert_eq!((&after["id"], &after["scopes"]), (&before["id"], &before["scopes"]));
    }
    assert_intact(&world);
}

#[test]
fn an_invalid_backup_is_refused_and_does_not_change_a_byte_of_the_store() {
    let (world, _, path) = backed_up();
    let bytes = fs::read(&path).expect("the copy can be read");
    let with = |at: usize, with: &[u8]| {
        let mut changed = bytes.clone();
        changed[at..at + with.len()].copy_from_slice(with);
        changed
    };
    let name = bytes.windows(4).position(|window| window == b"demo").expect("the name");
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("empty", Vec::new(), "store_foreign"),
        ("text", b"name,secret\n".repeat(100), "store_foreign"),
        ("foreign", with(68, &[1, 2, 3, 4]), "store_foreign"),
        ("newer", with(60, &[0, 0, 0, 99]), "store_newer"),
        ("cut", bytes[..bytes.len() / 2].to_vec(), "store_damaged"),
        ("edited", with(name, b"dome"), "store_damaged"),
    ];
    let before = world.bytes();
    for (case, bytes, code) in cases {
        let bad = world.path(case);
        fs::write(&bad, bytes).expect("the file can be written");
        let refused = world.refuses(&["restore", &bad, "--yes", "--force", "--discard-newer"], 6, code);
        let message = refused["message"].as_str().expect("it is a string");
        assert!(message.starts_with(&format!("the backup `{bad}` cannot be restored: ")), "{message}");
        assert_eq!(world.bytes(), before, "{case}");
    }
    world.refuses(&["restore", &world.path("missing"), "--yes"], 6, "store_unreadable");
    world.refuses(&["restore", &world.directory("dir"), "--yes"], 6, "store_unreadable");
    assert_eq!(world.bytes(), before);
}

#[test]
fn a_backup_of_another_store_replaces_the_store_only_with_force_and_a_copy_is_kept() {
    let (world, secret, _) = backed_up();
    let other = World::with_store();
    // The random generators of all worlds are the same, so the first secret is one that both stores have.
    other.create("first", &[]);
    let theirs = other.create("theirs", &[]);
    let path = other.path("copy.db");
    other.run(&["backup", &path]).ok();
    let before = world.bytes();
    let refused = world.refuses(&["restore", &path, "--yes"], 5, "policy");
    assert_eq!(refused["hint"], "`--force` replaces the store, and keeps it as `tokens.db.before-restore`");
    assert_eq!(world.bytes(), before);
    world.run(&["restore", &path, "--yes", "--force"]).ok();
    world.assert_valid(&theirs, "theirs");
    assert_eq!(world.names(&[]), ["first", "theirs"]);
    assert!(!world.store().join("tokens.db-journal").exists());
    assert_intact(&world);
    // The previous store can be restored in the same way.
    let kept = world.store().join("tokens.db.before-restore");
    let kept = kept.to_str().expect("the path is UTF-8").to_owned();
    world.run(&["restore", &kept, "--yes", "--force"]).ok();
    world.assert_valid(&secret, "demo");
    assert_intact(&world);
}

#[test]
fn the_copy_of_a_replaced_store_belongs_to_the_owner_of_the_store() {
    const OWNER: u32 = 64_001;
    let (world, ..) = backed_up();
    if world.uid != 0 {
        eprintln!("skipped: only root can give files to others");
        return;
    }
    let (_other, _, path) = backed_up();
    for name in ["", "tokens.db", "usage.secrets", "usage.scopes", "usage.refused"] {
        chown(world.store().join(name), Some(OWNER), None).expect("the owner can be set");
    }
    world.run(&["settings", "grace", "2h"]).ok();
    world.run(&["restore", &path, "--yes", "--force"]).ok();
    let kept = fs::metadata(world.store().join("tokens.db.before-restore")).expect("the copy exists");
    assert_eq!((kept.uid(), kept.mode() & 0o7777), (OWNER, 0o600));
}

#[test]
fn a_damaged_store_is_replaced_with_force_and_readable_revocations_are_kept() {
    for damage in ["digest", "header"] {
        let (world, secret, _) = backed_up();
        let other = world.create("other", &[]);
        let path = world.path("newer.db");
        world.run(&["backup", &path]).ok();
        world.run(&["revoke", "demo", "--yes"]).ok();
        if damage == "digest" {
            world.sql("UPDATE events SET hash = zeroblob(32) WHERE seq = 4");
        } else {
            let mut bytes = fs::read(world.database()).expect("the store can be read");
            bytes[..16].fill(b'x');
            fs::write(world.database(), bytes).expect("the store can be written");
        }
        let before = world.bytes();
        let refused = world.refuses(&["restore", &path, "--yes"], 5, "policy");
        assert!(
            refused["message"].as_str().expect("it is a string").starts_with("the current "),
            "{refused}"
        );
        assert_eq!(world.bytes(), before);
        world.run(&["restore", &path, "--yes", "--force"]).ok();
        world.assert_valid(&other, "other");
        // If SQLite cannot read the store, it is not known which tokens were revoked.
        let expected = if damage == "digest" { "revoked demo" } else { "valid demo" };
        assert_eq!(world.verify(&secret, &[]).1, expected, "{damage}");
        assert_intact(&world);
    }
}

#[test]
fn commands_in_a_backup_need_accept_commands() {
    let world = World::with_store();
    world.create("demo", &[]);
    give_hook(&world, "demo", "deploy --now");
    let path = world.path("copy.db");
    world.run(&["backup", &path]).ok();
    let other = World::new();
    let refused = other.run(&["restore", &path, "--yes"]).exit(2);
    assert!(
        refused.err.starts_with("warning: the backup has a command of `demo`: deploy --now\n"),
        "{}",
        refused.err
    );
    assert!(!other.store().join("tokens.db").exists());
    other.run(&["restore", &path, "--yes", "--accept-commands"]).ok();
    assert_eq!(other.names(&[]), ["demo"]);
    // A store that already has the commands does not need another confirmation.
    other.run(&["rename", "demo", "other"]).ok();
    other.run(&["restore", &path, "--yes"]).ok();
    assert_eq!(other.names(&[]), ["demo"]);
}

/// Adds a hook to a token, directly in the store.
fn give_hook(world: &World, name: &str, hook: &str) {
    let actor = Actor { uid: world.uid, login: None, sudo_user: None, host: None };
    let author = Author { actor, reason: None, accept_clock: false };
    let location = Location::named(world.store());
    let clock = At(world.now());
    let store = Store::open_to_write(&location, &clock, &author).expect("the store can be opened");
    let done = store.write::<_, StoreError>(&clock, &author, |tx| {
        let row = tx.named(&name.parse().expect("it is a name"))?.expect("the token");
        let before = tx.token(row, tx.now)?;
        let after = Token { hook: Some(hook.to_owned()), ..before.clone() };
        tx.update(&before, &after, Action::Edit)
    });
    done.expect("the change");
}

struct At(i64);

impl Clock for At {
    fn unix(&self) -> i64 {
        self.0
    }
}

#[test]
fn a_restore_needs_a_confirmation() {
    let (mut world, _, path) = backed_up();
    world.run(&["rename", "demo", "other"]).ok();
    let before = world.bytes();
    world.refuses(&["restore", &path], 2, "input_needed");
    world.at_terminal(&[Answer::No]);
    world.run(&["restore", &path]).exit(130);
    assert_eq!(world.bytes(), before);
}

#[test]
fn a_restore_is_refused_if_the_store_has_changed_since_the_check() {
    let (mut world, _, path) = backed_up();
    world.run(&["rename", "demo", "other"]).ok();
    world.at_terminal(&[Answer::Yes]);
    let world = Rc::new(world);
    let elsewhere = Rc::clone(&world);
    *world.meanwhile.borrow_mut() = Some(Box::new(move || {
        elsewhere.run(&["revoke", "other", "--yes"]).ok();
    }));
    let done = world.run(&["restore", &path]).exit(5);
    assert!(
        done.err.contains("the store changed while the command ran; nothing was changed"),
        "{}",
        done.err
    );
    assert_eq!(world.show("other")["status"], "revoked");
    assert_intact(&world);
}

#[test]
fn the_recipes_for_backups_and_moving_work() {
    let home = tempfile::Builder::new()
        .prefix("tokenctl-test-")
        .tempdir()
        .expect("a temporary directory can be created");
    let in_home = |line: &str| {
        let mut shell = std::process::Command::new("sh");
        let path = format!("{}/bin:{}", home.path().display(), search_path());
        shell
            .args(["-c", line])
            .env_clear()
            .current_dir(home.path())
            .env("HOME", home.path())
            .env("PATH", path);
        run(&mut shell, b"")
    };
    // A different directory plays the part of the other host.
    let ssh = "#!/bin/sh\nshift\nTOKENCTL_STORE=$HOME/new-host exec \"$@\"\n";
    fs::create_dir(home.path().join("bin")).expect("the directory can be created");
    fs::create_dir(home.path().join("backups")).expect("the directory can be created");
    write_program(&home.path().join("bin/ssh"), ssh.as_bytes());
    let secret = in_home("tokenctl create demo").ok().out;
    for line in pages::commands(pages::page("docs/moving.md")) {
        let cron = line.strip_prefix("30 3 * * * ").map(|line| line.replace("\\%", "%"));
        in_home(cron.as_deref().unwrap_or(&line)).ok();
        if cron.is_some() {
            fs::remove_dir_all(home.path().join(".local/share/tokenctl")).expect("the store is lost");
        }
    }
    for store in ["", "--store new-host "] {
        let verify = format!("printf %s '{}' | tokenctl {store}verify", secret.trim());
        assert_eq!(in_home(&verify).ok().out, "valid demo\n");
    }
    let head = |store: &str| in_home(&format!("tokenctl {store}audit head")).ok().out;
    assert_eq!(head(""), head("--store new-host "));
}

#[test]
fn what_was_revoked_since_the_backup_stays_so_even_if_its_row_is_damaged() {
    let (world, secret, path) = backed_up();
    world.run(&["revoke", "demo", "--yes"]).ok();
    world.sql_unsealed("UPDATE tokens SET description = 'flipped'");
    world.refuses_with(&["verify"], secret.as_bytes(), 6, "store_damaged");
    world.run(&["restore", &path, "--yes", "--force"]).ok();
    assert_eq!(world.verify(&secret, &[]).1, "revoked demo");
    assert_intact(&world);
}

#[test]
fn a_scope_that_was_retired_since_the_backup_stays_retired() {
    let world = World::with_store();
    world.define(&["old", "read"]);
    world.create("demo", &["-s", "read"]);
    let path = world.path("copy.db");
    world.run(&["backup", &path]).ok();
    world.run(&["scopes", "retire", "old"]).ok();
    world.run(&["scopes", "edit", "read", "-d", "changed"]).ok();
    world.run(&["restore", &path, "--yes"]).ok();
    let scopes = world.run(&["scopes", "list", "--json"]).ok().json();
    let shown = [0, 1].map(|at| (scopes[at]["retired_at"].is_null(), scopes[at]["description"].clone()));
    assert_eq!(shown, [(false, Value::Null), (true, Value::Null)], "{scopes}");
    assert_intact(&world);
}

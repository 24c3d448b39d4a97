//! From a store of the version before to one of today. `tests/data/make-store-v1` says how that store was made.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::World;

/// Minutes after the store was made, before the deadlines of its two deliveries.
const THEN: i64 = 1_795_774_500;

/// A store as the last program of version 1 left it: 1,000 tokens in every state, one of them edited by hand.
pub fn old() -> World {
    let world = World::new();
    world.wait(THEN - world.now());
    fs::create_dir(world.store()).expect("a directory");
    fs::set_permissions(world.store(), Permissions::from_mode(0o700)).expect("a mode");
    let packed = fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/store-v1.db.gz"));
    let unpacked = Command::new("gzip").arg("-dc").stdin(packed.expect("the store")).output();
    fs::write(world.database(), unpacked.expect("gzip runs").stdout).expect("the database");
    fs::set_permissions(world.database(), Permissions::from_mode(0o600)).expect("a mode");
    world
}

fn version(world: &World) -> i64 {
    let conn = Connection::open(world.database()).expect("the database");
    conn.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a number")
}

/// A document without what changes by looking: uses are recorded from the first change on.
fn without_uses(mut document: Value) -> Value {
    match &mut document {
        Value::Array(all) => all.iter_mut().for_each(|it| *it = without_uses(it.take())),
        Value::Object(fields) => {
            fields.retain(|key, _| key != "last_used_at" && key != "usage_since");
            fields.values_mut().for_each(|it| *it = without_uses(it.take()));
        }
        _ => {}
    }
    document
}

/// What can be seen of every token and scope, and the verdicts on the known secrets.
fn seen(world: &World) -> Value {
    let verdict = |state: &str| world.verify(&format!("a-secret-of-known-{state}"), &[]).0;
    let document = |args: &[&str]| without_uses(world.run(args).ok().json());
    let verdicts = ["active", "revoked", "disabled"].map(verdict);
    json!([
        document(&["list", "--all", "--json"]),
        document(&["scopes", "list", "--json"]),
        document(&["show", "token-017", "--json"])["secrets"],
        verdicts,
    ])
}

#[test]
fn a_store_of_version_1_is_read_as_it_is() {
    let world = old();
    let before = world.bytes();
    assert_eq!(seen(&world)[3], json!([0, 3, 3]));
    assert_eq!(world.run(&["list", "--all", "--json"]).ok().json().as_array().map(Vec::len), Some(1_000));
    let report = world.run(&["audit", "verify", "--json"]).exit(3).json();
    assert_eq!((&report["first_bad"], &report["rows"][0]["name"]), (&Value::Null, &json!("edited")));
    assert_eq!(report["rows"].as_array().map(Vec::len), Some(1));
    assert_eq!(world.run(&["settings", "--json"]).ok().json()["schema_version"], 1);
    assert_eq!(world.bytes(), before);
}

#[test]
fn the_first_change_migrates_and_nothing_else_looks_different() {
    let world = old();
    let (was, before) = (seen(&world), fs::read(world.database()).expect("the database"));
    let events = world.run(&["audit", "--json"]).ok().json();
    let events = events.as_array().expect("an array").len();
    world.run(&["init"]).ok();
    assert_eq!(version(&world), 2);
    assert_eq!(seen(&world), was);
    let kept = world.store().join("tokens.db.v1");
    assert_eq!(fs::metadata(&kept).expect("a copy").permissions().mode() & 0o777, 0o600);
    // Copying counts as a change, which the header of the copy says.
    assert!(fs::read(kept).expect("a copy")[100..] == before[100..], "the copy differs");
    let report = world.run(&["audit", "verify", "--json"]).exit(3).json();
    assert_eq!(report["rows"].as_array().map(Vec::len), Some(1), "{report}");
    assert_eq!(report["rows"][0]["name"], "edited");
    // Each object whose history held has its new digest: all tokens but one, the scopes and the settings.
    assert_eq!(report["events"], json!(events + 999 + 2));
    assert_eq!(world.actions()[events..].iter().filter(|action| *action == "migrate").count(), 1_001);
    world.refuses(&["edit", "edited", "-d", "x"], 6, "store_damaged");
    world.run(&["revoke", "edited", "--yes"]).ok();
    world.run(&["rotate", "token-001"]).ok();
    world.run(&["scopes", "rename", "read", "see", "--allow-widen"]).ok();
    world.run(&["audit", "verify"]).ok();
    assert_eq!(version(&world), 2);
}

#[test]
fn a_statement_of_version_1_cannot_write_into_version_2() {
    let world = old();
    world.run(&["init"]).ok();
    let conn = Connection::open(world.database()).expect("the database");
    for sql in
        ["UPDATE token SET revoked_at = NULL", "INSERT INTO audit (seq) VALUES (1)", "SELECT row FROM token"]
    {
        let err = conn.prepare(sql).err().map(|err| err.to_string()).unwrap_or_default();
        assert!(err.contains("no such table"), "{sql}: {err}");
    }
}

#[test]
fn a_migration_that_cannot_be_written_leaves_the_store_as_it_was() {
    let world = old();
    let before = fs::read(world.database()).expect("the database");
    // The copy cannot replace a directory.
    fs::create_dir(world.store().join("tokens.db.v1")).expect("a directory");
    fs::write(world.store().join("tokens.db.v1/x"), "").expect("a file");
    world.run(&["revoke", "token-001", "--yes"]).exit(1);
    assert!(fs::read(world.database()).expect("the database") == before);
    fs::remove_dir_all(world.store().join("tokens.db.v1")).expect("a directory");
    world.run(&["revoke", "token-001", "--yes"]).ok();
    assert_eq!(version(&world), 2);
}

#[test]
fn a_full_disk_leaves_the_store_as_it_was_and_a_later_command_migrates() {
    let world = old();
    let before = fs::read(world.database()).expect("the database");
    // In blocks of 1,024 bytes: too few for the copy, for the database, and for its journal; then enough.
    for most in [100, 500, 1_500, 2_000] {
        let script = format!("ulimit -f {most}; trap '' XFSZ; exec \"$0\" settings grace 3h");
        let ran = Command::new("bash")
            .args(["-c", &script])
            .arg(crate::support::program_path())
            .env("TOKENCTL_STORE", world.store())
            .stdin(Stdio::null())
            .output()
            .expect("bash starts");
        if !ran.status.success() {
            assert_eq!(version(&world), 1, "{most}");
            assert!(fs::read(world.database()).expect("the database") == before, "{most}");
        }
    }
    world.real(&["settings", "grace", "4h"], b"").ok();
    assert_eq!(version(&world), 2);
    assert_eq!(
        world.real(&["audit", "verify", "--json"], b"").exit(3).json()["rows"].as_array().map(Vec::len),
        Some(1)
    );
}

//! Migration of a store of version 1 to the current version. `tests/data/make-store-v1` shows how that store was made.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::{Command, Stdio};

use rusqlite::Connection;
use serde_json::{Value, json};
use tokenctl::context::Clock;
use tokenctl::{Reason, Requirements, Verifier};

use crate::support::{HOUR, World};

/// Some minutes after the store was made, before the deadlines of its two unfinished deliveries.
const THEN: i64 = 1_795_774_500;

struct Fixed(i64);

impl Clock for Fixed {
    fn unix(&self) -> i64 {
        self.0
    }
}

/// A store as the last release of version 1 left it: 1,000 tokens in every state, one of them edited by hand.
pub fn old() -> World {
    let world = World::new();
    world.wait(THEN - world.now());
    fs::create_dir(world.store()).expect("the directory can be created");
    fs::set_permissions(world.store(), Permissions::from_mode(0o700)).expect("the mode can be set");
    let packed = fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/store-v1.db.gz"));
    let unpacked = Command::new("gzip").arg("-dc").stdin(packed.expect("the store")).output();
    fs::write(world.database(), unpacked.expect("gzip runs").stdout).expect("the database can be written");
    fs::set_permissions(world.database(), Permissions::from_mode(0o600)).expect("the mode can be set");
    world
}

fn version(world: &World) -> i64 {
    let conn = Connection::open(world.database()).expect("the database can be opened");
    conn.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("the query returns a number")
}

/// A document without the fields that depend on uses, because uses are recorded only after the first change.
pub fn without_uses(mut document: Value) -> Value {
    match &mut document {
        Value::Array(all) => all.iter_mut().for_each(|it| *it = without_uses(it.take())),
        Value::Object(fields) => {
            fields.retain(|key, _| !["last_used_at", "refused_at", "usage_since"].contains(&key.as_str()));
            fields.values_mut().for_each(|it| *it = without_uses(it.take()));
        }
        _ => {}
    }
    document
}

/// The documents of all tokens and scopes, and the verdicts on the known secrets.
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
fn a_store_of_version_1_is_read_without_migrating_it() {
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
fn the_first_change_migrates_the_store_and_no_document_differs() {
    let world = old();
    let (was, before) = (seen(&world), fs::read(world.database()).expect("the database can be read"));
    let events = world.run(&["audit", "--json"]).ok().json();
    let events = events.as_array().expect("it is an array").len();
    world.run(&["init"]).ok();
    assert_eq!(version(&world), 2);
    assert_eq!(seen(&world), was);
    let kept = world.store().join("tokens.db.v1");
    assert_eq!(fs::metadata(&kept).expect("the file exists").permissions().mode() & 0o777, 0o600);
    // The headers differ, because the copy has a newer change counter.
    assert!(fs::read(kept).expect("the file can be read")[100..] == before[100..], "the copy differs");
    let report = world.run(&["audit", "verify", "--json"]).exit(3).json();
    assert_eq!(report["rows"].as_array().map(Vec::len), Some(1), "{report}");
    assert_eq!(report["rows"][0]["name"], "edited");
    // Every object that matches its last event gets an event with its new digest: all tokens except one, the scopes and
    // the settings.
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
fn an_event_of_version_1_with_changes_is_damage() {
    let world = old();
    world.run(&["disable", "token-001"]).ok();
    assert_eq!(world.run(&["audit", "verify", "--json"]).exit(3).json()["first_bad"], Value::Null);
    world.sql("UPDATE events SET changes = '[]' WHERE seq = 3");
    let report = world.run(&["audit", "verify", "--json"]).exit(3).json();
    assert_eq!(report["first_bad"]["seq"], 3);
    let problem = report["first_bad"]["problem"].as_str().expect("it is a text");
    assert!(problem.contains("version 1 did not record changes"), "{problem}");
}

#[test]
fn the_copy_of_a_migrated_store_belongs_to_the_owner_of_the_store() {
    const OWNER: u32 = 64_001;
    let world = old();
    if world.uid != 0 {
        eprintln!("skipped: only root can give files to others");
        return;
    }
    for path in [world.store(), world.database()] {
        chown(path, Some(OWNER), None).expect("the owner can be set");
    }
    world.run(&["settings", "grace", "2h"]).ok();
    let kept = fs::metadata(world.store().join("tokens.db.v1")).expect("the copy exists");
    assert_eq!((kept.uid(), kept.mode() & 0o7777), (OWNER, 0o600));
}

#[test]
fn a_statement_of_version_1_cannot_write_into_version_2() {
    let world = old();
    world.run(&["init"]).ok();
    let conn = Connection::open(world.database()).expect("the database can be opened");
    for sql in
        ["UPDATE token SET revoked_at = NULL", "INSERT INTO audit (seq) VALUES (1)", "SELECT row FROM token"]
    {
        let err = conn.prepare(sql).err().map(|err| err.to_string()).unwrap_or_default();
        assert!(err.contains("no such table"), "{sql}: {err}");
    }
}

fn no_table<T>(result: rusqlite::Result<T>) {
    let err = result.err().map(|err| err.to_string()).unwrap_or_default();
    assert!(err.contains("no such table"), "{err}");
}

/// A program of version 1 stores a secret, delivers it, and then tries to confirm it. If another program has migrated
/// the store in the meantime, the confirmation fails and changes nothing.
#[test]
fn a_program_of_version_1_cannot_confirm_a_delivery_after_the_migration() {
    let world = old();
    let conn = Connection::open(world.database()).expect("the database can be opened");
    let read = "SELECT row FROM token WHERE name = 'provisional'";
    let confirm = "UPDATE secret SET delivered_at = 1 WHERE token = ?1";
    let log = "INSERT INTO audit (seq, time, action, subject, uid, hash) VALUES (?1, 1, 'confirm', 'x', 0, zeroblob(32))";
    let row: i64 = conn
        .prepare_cached(read)
        .and_then(|mut it| it.query_row([], |row| row.get(0)))
        .expect("there is a row");
    for sql in [confirm, log, "DELETE FROM delivery"] {
        drop(conn.prepare_cached(sql).expect(sql));
    }
    world.run(&["init"]).ok();
    let bytes = fs::read(world.database()).expect("the database can be read");
    no_table(conn.prepare_cached(read).and_then(|mut it| it.query_row([], |row| row.get::<_, i64>(0))));
    conn.execute_batch("BEGIN IMMEDIATE").expect("the SQL can be executed");
    // The table `secret` exists in both versions. But version 1 records an event with every change, and that fails.
    conn.prepare_cached(confirm)
        .and_then(|mut it| it.execute([row]))
        .expect("a statement about a table that still exists");
    no_table(conn.prepare_cached(log).and_then(|mut it| it.execute([row])));
    conn.execute_batch("ROLLBACK").expect("the SQL can be executed");
    drop(conn);
    assert!(
        fs::read(world.database()).expect("the database can be read") == bytes,
        "a part of the change was committed"
    );
    let count = |sql: &str| -> i64 {
        let conn = Connection::open(world.database()).expect("the database can be opened");
        conn.query_row(sql, [], |row| row.get(0)).expect("the query returns a count")
    };
    assert_eq!(count("SELECT count(*) FROM delivery"), 2, "the deadlines have not passed yet");
    world.wait(HOUR);
    world.run(&["settings", "grace", "3h"]).ok();
    assert_eq!(count("SELECT count(*) FROM delivery"), 0);
    assert_eq!(count("SELECT count(*) FROM secret WHERE delivered_at IS NULL"), 0);
    world.run(&["show", "provisional"]).exit(4);
    assert_eq!(world.show("twice")["secrets"].as_array().map(Vec::len), Some(1));
    let report = world.run(&["audit", "verify", "--json"]).exit(3).json();
    assert_eq!(report["rows"].as_array().map(Vec::len), Some(1), "{report}");
}

#[test]
fn an_open_verifier_keeps_working_after_the_migration() {
    let world = old();
    let verifier = Verifier::with_clock(world.store(), Fixed(world.now())).expect("a verifier");
    let reasons = || {
        ["active", "revoked", "disabled", "nothing"].map(|state| {
            let secret = format!("a-secret-of-known-{state}");
            let verdict = verifier.verify(secret.as_bytes(), &Requirements::default()).expect("a verdict");
            verdict.reason()
        })
    };
    let right = [Reason::Valid, Reason::Revoked, Reason::Disabled, Reason::Unknown];
    assert_eq!(reasons(), right);
    world.run(&["init"]).ok();
    assert_eq!(version(&world), 2);
    assert_eq!(reasons(), right);
    world.run(&["revoke", "known-active", "--yes"]).ok();
    assert_eq!(reasons()[0], Reason::Revoked);
}

#[test]
fn the_migration_records_whether_the_store_was_shared_with_a_group() {
    for (directory, database, shared) in [(0o2750, 0o640, true), (0o2750, 0o600, true), (0o700, 0o640, false)]
    {
        let world = old();
        fs::set_permissions(world.store(), Permissions::from_mode(directory)).expect("the mode can be set");
        fs::set_permissions(world.database(), Permissions::from_mode(database)).expect("the mode can be set");
        world.run(&["init"]).ok();
        let gid = fs::metadata(world.database()).expect("the database exists").gid();
        let recorded = if shared { format!("group:{gid}") } else { "private".to_owned() };
        let changes = world.run(&["audit", "--json"]).ok().json();
        let changes =
            changes.as_array().expect("it is an array").iter().filter_map(|it| it["changes"].as_array());
        let found: Vec<_> = changes.flatten().filter(|it| it["field"] == "sharing").collect();
        assert_eq!(found, [&json!({"field": "sharing", "from": null, "to": recorded})]);
    }
}

#[test]
fn a_migration_that_fails_leaves_the_store_unchanged() {
    let world = old();
    let before = fs::read(world.database()).expect("the database can be read");
    // A directory at its path prevents the copy.
    fs::create_dir(world.store().join("tokens.db.v1")).expect("the directory can be created");
    fs::write(world.store().join("tokens.db.v1/x"), "").expect("the file can be written");
    world.run(&["revoke", "token-001", "--yes"]).exit(1);
    assert!(fs::read(world.database()).expect("the database can be read") == before);
    fs::remove_dir_all(world.store().join("tokens.db.v1")).expect("the directory can be removed");
    world.run(&["revoke", "token-001", "--yes"]).ok();
    assert_eq!(version(&world), 2);
}

#[test]
fn after_a_migration_failed_on_a_full_disk_a_later_command_migrates() {
    let world = old();
    let before = fs::read(world.database()).expect("the database can be read");
    // The limits, in blocks of 1,024 bytes, are too small for the copy, for the database and for its journal, and then
    // large enough.
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
            assert!(fs::read(world.database()).expect("the database can be read") == before, "{most}");
        }
    }
    world.real(&["settings", "grace", "4h"], b"").ok();
    assert_eq!(version(&world), 2);
    assert_eq!(
        world.real(&["audit", "verify", "--json"], b"").exit(3).json()["rows"].as_array().map(Vec::len),
        Some(1)
    );
}

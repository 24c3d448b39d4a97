//! Tests of the events that changes record, and of `audit verify` and its anchor.

use std::io::ErrorKind;

use serde_json::{Value, json};

use crate::support::{DAY, START, World};

fn head(world: &World) -> String {
    world.run(&["audit", "head"]).ok().line().to_owned()
}

fn events(world: &World) -> Vec<Value> {
    world.run(&["audit", "--json"]).ok().json().as_array().expect("it is an array").clone()
}

/// A store with about a dozen events.
fn world() -> World {
    let world = World::with_store();
    world.run(&["scopes", "define", "read"]).ok();
    world.create("demo", &["-s", "read", "-l", "env=prod"]);
    world.create("other", &["-s", "read"]);
    world.run(&["edit", "demo", "--owner", "ann"]).ok();
    world.run(&["settings", "grace", "1h"]).ok();
    world.run(&["disable", "other"]).ok();
    world
}

#[test]
fn every_change_records_exactly_its_events() {
    let world = World::new();
    let mut seen = 0;
    let steps: &[(&[&str], &[&str])] = &[
        (&["init"], &["init", "init"]),
        (&["init"], &[]),
        (&["scopes", "define", "read"], &["scope.define"]),
        (&["scopes", "define", "read"], &[]),
        (&["scopes", "define", "write", "--includes", "read"], &["scope.define"]),
        (&["create", "a", "-s", "read"], &["create", "confirm"]),
        (&["create", "b", "-s", "write"], &["create", "confirm"]),
        (&["create", "a", "-s", "read", "--if-missing"], &[]),
        (&["edit", "a", "b", "--owner", "ann"], &["edit", "edit"]),
        (&["edit", "a", "b", "--owner", "ann"], &[]),
        (&["rename", "b", "c"], &["rename"]),
        (&["rename", "c", "c"], &[]),
        (&["scopes", "add", "a", "write", "--allow-widen"], &["scopes.add"]),
        (&["scopes", "remove", "a", "write"], &["scopes.remove"]),
        (&["scopes", "set", "a", "write", "--allow-widen"], &["scopes.set"]),
        (&["scopes", "edit", "read", "-d", "Read"], &["scope.edit"]),
        (&["scopes", "rename", "read", "see", "--allow-widen"], &["scope.rename"]),
        (&["scopes", "retire", "see"], &["scope.retire"]),
        (&["scopes", "define", "see", "--allow-widen"], &["scope.define"]),
        (
            &["scopes", "retire", "write", "--ungrant", "--yes"],
            &["scopes.remove", "scopes.remove", "scope.retire"],
        ),
        (&["disable", "a", "c"], &["disable", "disable"]),
        (&["disable", "--owner", "ann", "--yes"], &[]),
        (&["enable", "a"], &["enable"]),
        (&["revoke", "--owner", "ann", "--yes"], &["revoke", "revoke"]),
        (&["settings", "grace", "1h"], &["settings"]),
        (&["settings", "grace", "60m"], &[]),
        (&["create", "d"], &[]),
        (&["edit", "nobody", "--owner", "x"], &[]),
        (&["list", "--all"], &[]),
        (&["doctor"], &[]),
    ];
    for (args, expected) in steps {
        let before = world.store().exists().then(|| world.bytes());
        world.run(args);
        assert_eq!(world.actions()[seen..], **expected, "{args:?}");
        seen += expected.len();
        if expected.is_empty() {
            assert_eq!(Some(world.bytes()), before, "{args:?}");
        }
    }
    assert_eq!(world.run(&["audit", "verify"]).ok().out, format!("ok {}\n", head(&world)));
}

#[test]
fn an_adoption_records_one_event_and_a_failed_delivery_two() {
    let world = World::with_store();
    world.run_with(&["adopt", "demo"], b"a-secret-made-elsewhere-long-ago").ok();
    assert_eq!(world.actions()[2..], ["adopt"]);
    world.run_failing(&["create", "new"], 0, ErrorKind::BrokenPipe).exit(7);
    assert_eq!(world.actions()[3..], ["create", "rollback"]);
    assert_eq!(events(&world)[4]["row_digest"], Value::Null, "a removed token has no digest");
    world.run(&["audit", "verify"]).ok();
}

#[test]
fn expiry_and_use_record_no_event() {
    let world = World::new();
    let secret = world.create("demo", &["--ttl", "1d"]);
    let before = head(&world);
    assert_eq!(world.verify(&secret, &[]).0, 0);
    world.wait(2 * DAY);
    assert_eq!(world.verify(&secret, &[]).0, 3);
    assert_eq!(world.show("demo")["status"], "expired");
    assert_eq!(head(&world), before);
    world.run(&["audit", "verify"]).ok();
}

#[test]
fn an_event_contains_who_did_what_when_and_why() {
    let world = World::new();
    world.create("demo", &[]);
    world.wait(60);
    world.run(&["disable", "demo", "--reason", "a \"test\""]).ok();
    let event = events(&world).pop().expect("there is an event");
    assert_eq!(
        event,
        json!({
            "seq": 5, "time": "2026-11-22T12:01:00Z", "action": "disable",
            "token": {"id": world.show("demo")["id"], "name": "demo"},
            "actor": {"uid": world.uid, "login": "tester", "sudo_user": null, "host": "here"},
            "reason": "a \"test\"", "changes": [{"field": "disabled_at", "from": null, "to": "2026-11-22T12:01:00Z"}],
            "row_digest": event["row_digest"], "hash": event["hash"],
        })
    );
    for digest in ["row_digest", "hash"] {
        let hex = event[digest].as_str().expect("it is a string");
        assert!(hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()), "{hex}");
    }
    assert_eq!(events(&world)[0]["token"], Value::Null, "the catalogue is not a token");
    assert_eq!(world.show("demo")["events"][2], event);
    assert_eq!(head(&world), format!("5:{}", event["hash"].as_str().expect("it is a string")));
    assert_eq!(world.run(&["audit", "head", "--json"]).ok().json(), json!({"seq": 5, "hash": event["hash"]}));
}

#[test]
fn the_log_of_a_token_includes_events_before_it_was_renamed() {
    let world = world();
    world.run(&["rename", "demo", "new"]).ok();
    let of = |name: &str| -> Vec<String> {
        let log = world.run(&["audit", "--token", name]).ok().out;
        log.lines().map(|line| line.split('\t').nth(2).expect("there is an action").to_owned()).collect()
    };
    assert_eq!(of("new"), ["create", "confirm", "edit", "rename"]);
    assert_eq!(of("other"), ["create", "confirm", "disable"]);
    world.refuses(&["audit", "--token", "demo"], 4, "not_found");
    assert_eq!(world.run_failing(&["audit"], 100, ErrorKind::BrokenPipe).code, 0);
}

#[test]
fn an_intact_log_passes_verification() {
    let world = world();
    let (seq, hash) =
        head(&world).split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a head");
    assert_eq!(
        world.run(&["audit", "verify", "--json"]).ok().json(),
        json!({
            "ok": true, "events": seq.parse::<i64>().expect("it is a number"),
            "head": {"seq": seq.parse::<i64>().expect("it is a number"), "hash": hash}, "first_bad": null, "rows": [],
            "database": [],
        })
    );
}

#[test]
fn the_first_bad_event_is_reported() {
    for (tampering, bad) in [
        ("UPDATE events SET reason = 'x' WHERE seq = 5", 5),
        ("UPDATE events SET time = time + 1 WHERE seq = 1", 1),
        ("UPDATE events SET hash = zeroblob(32) WHERE seq = 4", 4),
        ("UPDATE events SET digest = NULL WHERE seq = 4", 4),
        ("UPDATE events SET time = -1 WHERE seq = 5", 5),
        ("UPDATE events SET time = -1 WHERE seq = (SELECT max(seq) FROM events)", 10),
        ("UPDATE events SET subject = CAST(x'ff' AS TEXT) WHERE seq = 6", 6),
        ("DELETE FROM events WHERE seq = 3", 3),
        ("DELETE FROM events WHERE seq = 1", 1),
        ("UPDATE events SET seq = seq + 100 WHERE seq = 10", 10),
        ("INSERT INTO events SELECT 11, time, action, subject, name, uid, login, sudo_user, host, reason, digest, hash, format, changes
          FROM events WHERE seq = 10", 11),
        ("INSERT INTO events SELECT -7, time, action, subject, name, uid, login, sudo_user, host, reason, digest, hash, format, changes
          FROM events WHERE seq = 10", 1),
    ] {
        let world = world();
        world.sql(tampering);
        let report = world.run(&["audit", "verify", "--json"]).exit(3).json();
        assert_eq!(report["first_bad"]["seq"], json!(bad), "{tampering}: {report}");
        assert_eq!(report["ok"], json!(false));
        let text = world.run(&["audit", "verify"]).exit(3).out;
        assert!(text.starts_with(&format!("entry {bad}: ")), "{text}");
        world.run(&["doctor"]).exit(3);
    }
}

#[test]
fn no_sequence_number_causes_a_hang_or_an_overflow() {
    for seq in ["9223372036854775807", "-9223372036854775808"] {
        let world = world();
        world.sql(&format!("UPDATE events SET seq = {seq} WHERE seq = 10"));
        world.run(&["audit", "verify"]).exit(3);
        world.run(&["audit"]).exit(if seq.starts_with('-') { 6 } else { 0 });
        world.refuses(&["enable", "other"], 6, "store_damaged");
    }
}

#[test]
fn an_object_that_does_not_match_its_last_event_is_reported() {
    for (tampering, expected) in [
        ("UPDATE tokens SET owner = 'eve' WHERE name = 'demo'", &["demo"][..]),
        ("UPDATE secret SET expires_at = NULL", &["demo", "other"]),
        ("UPDATE tokens SET disabled_at = NULL", &["other"]),
        ("INSERT INTO label (token, key, value) VALUES (1, 'a', 'b')", &["demo"]),
        ("DELETE FROM label", &["demo"]),
        ("UPDATE scope SET description = 'all'", &["scopes"]),
        ("DELETE FROM setting", &["settings"]),
        // An event without its object, and an object without its event.
        (
            "DELETE FROM granted WHERE token = 2; DELETE FROM secret WHERE token = 2; DELETE FROM tokens WHERE row = 2",
            &["other"],
        ),
        (
            "INSERT INTO tokens (id, name, created_at, created_by) VALUES ('abcdefghijkl', 'eve', 1800000000, 'x')",
            &["eve"],
        ),
        (
            "INSERT INTO tokens (row, id, name, created_at, created_by)
             VALUES (-7, 'abcdefghijkl', 'eve', 1800000000, 'x')",
            &["eve"],
        ),
        // The last events are cut off.
        ("DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)", &["other"]),
        ("DELETE FROM events WHERE seq > 2", &["scopes", "settings", "demo", "other"]),
    ] {
        let world = world();
        world.sql(tampering);
        let report = world.run(&["audit", "verify", "--json"]).exit(3).json();
        let rows = report["rows"].as_array().expect("`rows` is an array");
        let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
        assert_eq!((names.as_slice(), &report["first_bad"]), (expected, &Value::Null), "{tampering}");
        assert!(rows.iter().all(|row| row["id"].is_null()
            == ["scopes", "settings"].contains(&&*row["name"].to_string().replace('"', ""))));
        world.run(&["doctor"]).exit(3);
    }
}

#[test]
fn an_anchor_proves_that_earlier_events_were_not_changed() {
    let world = World::with_store();
    let start = head(&world);
    world.create("demo", &[]);
    let middle = head(&world);
    let copy = std::fs::read(world.database()).expect("the database can be read");
    world.run(&["disable", "demo"]).ok();
    let end = head(&world);
    world.run(&["enable", "demo"]).ok();
    let check = |anchor: &str| world.run(&["audit", "verify", "--anchor", anchor]).code;
    let zeros = format!("0:{}", "0".repeat(64));
    for anchor in [&zeros, &start, &middle, &end, &head(&world)] {
        assert_eq!(check(anchor), 0, "{anchor}");
    }
    // The same number of other events follows. The log is consistent, and only the anchor shows the difference.
    std::fs::write(world.database(), copy).expect("the database can be written");
    assert_eq!((check(&start), check(&middle), check(&end)), (0, 0, 3), "cut off");
    world.run(&["edit", "demo", "--owner", "eve"]).ok();
    world.run(&["edit", "demo", "--owner", "ann"]).ok();
    assert_eq!(world.run(&["audit", "verify"]).code, 0);
    assert_eq!((check(&start), check(&middle), check(&end)), (0, 0, 3), "rewritten");
    let report = world.run(&["audit", "verify", "--json", "--anchor", &end]).exit(3).json();
    assert_eq!(report["first_bad"]["seq"], json!(5), "{report}");
    let other = World::with_store();
    other.wait(START % 7 + 1);
    other.create("demo", &[]);
    assert_eq!(other.run(&["audit", "verify", "--anchor", &middle]).code, 3, "another store");
}

#[test]
fn an_invalid_anchor_is_a_usage_error() {
    let world = world();
    let head = head(&world);
    for anchor in
        ["", ":", "5", "five:00", &head[..head.len() - 1], &format!("{head}0"), &format!("-{head}"), "1:"]
    {
        let args = ["audit", "verify", &*format!("--anchor={anchor}")];
        world.refuses(&args, 2, "usage");
    }
}

/// Hides rows from an index: rebuilds the index with a different definition, and then restores the definition.
fn hide_from_index(world: &World, index: &str, condition: &str) {
    let text = |change: &str| {
        world.sql(&format!(
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = {change} WHERE name = '{index}'"
        ));
    };
    let conn = rusqlite::Connection::open(world.database()).expect("the database can be opened");
    let find = "SELECT sql FROM sqlite_schema WHERE name = ?1";
    let original: String = conn.query_row(find, [index], |row| row.get(0)).expect("its text");
    drop(conn);
    let quoted = |sql: &str| format!("'{}'", sql.replace('\'', "''"));
    let joint = if original.contains(" WHERE ") { "AND" } else { "WHERE" };
    text(&quoted(&format!("{original} {joint} {condition}")));
    world.sql(&format!("REINDEX {index}"));
    text(&quoted(&original));
}

#[test]
fn a_row_that_is_missing_from_an_index_is_found() {
    let world = world();
    let secret = world.create("leaked", &["-s", "read"]);
    world.run(&["revoke", "leaked", "--yes"]).ok();
    world.sql("UPDATE tokens SET revoked_at = NULL WHERE name = 'leaked'");
    hide_from_index(&world, "event_subject", "action <> 'revoke'");
    let since = head(&world);
    assert_eq!(world.verify(&secret, &[]).0, 0, "verify does not notice the manipulation");
    let report = world.run(&["audit", "verify", "--anchor", &since, "--json"]).exit(3).json();
    assert_eq!(report["rows"], json!([{"id": world.show("leaked")["id"], "name": "leaked"}]), "{report}");
    assert_eq!(report["database"].as_array().map(Vec::len), Some(2), "{report}");
    let text = world.run(&["audit", "verify"]).exit(3).out;
    assert!(text.starts_with("database: ") && text.contains("event_subject"), "{text}");
}

#[test]
fn an_index_that_leads_to_a_row_with_another_secret_is_damage() {
    let world = world();
    let secret = world.create("new", &["-s", "read"]);
    let schema = |change: &str| world.sql(&format!("PRAGMA writable_schema = ON; {change}"));
    let conn = rusqlite::Connection::open(world.database()).expect("the database can be opened");
    let find = "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_secret_1'";
    let page: i64 = conn.query_row(find, [], |row| row.get(0)).expect("the index of hashes");
    drop(conn);
    // The hash in the row changes while SQLite does not know the index.
    schema(
        "UPDATE sqlite_schema SET sql = replace(sql, 'hash BLOB UNIQUE', 'hash BLOB') WHERE name = 'secret';
         DELETE FROM sqlite_schema WHERE name = 'sqlite_autoindex_secret_1'",
    );
    world.sql(
        "UPDATE secret SET hash = zeroblob(32) WHERE token = (SELECT row FROM tokens WHERE name = 'new')",
    );
    schema(&format!(
        "UPDATE sqlite_schema SET sql = replace(sql, 'hash BLOB', 'hash BLOB UNIQUE') WHERE name = 'secret';
         INSERT INTO sqlite_schema VALUES ('index', 'sqlite_autoindex_secret_1', 'secret', {page}, NULL)"
    ));
    let ran = world.run_with(&["verify"], secret.as_bytes()).exit(6);
    assert!(ran.err.contains("lacks a secret that an index finds there"), "{}", ran.err);
}

#[test]
fn a_token_that_is_missing_from_the_index_of_names_is_found() {
    let world = world();
    hide_from_index(&world, "token_name", "name <> 'demo'");
    let report = world.run(&["audit", "verify", "--json"]).exit(3).json();
    let problems = report["database"].to_string();
    assert!(problems.contains("missing from index token_name"), "{report}");
    world.run(&["doctor"]).exit(3);
}

#[test]
fn rows_that_refer_to_missing_rows_are_found() {
    for planted in [
        "INSERT INTO granted (token, scope) VALUES (99, 1)",
        "INSERT INTO label (token, key, value) VALUES (99, 'a', 'b')",
        "INSERT INTO scope_include (scope, included) VALUES (1, 99)",
    ] {
        let world = world();
        world.sql(&format!("PRAGMA foreign_keys = OFF; {planted}"));
        let report = world.run(&["audit", "verify", "--json"]).exit(3).json();
        assert_eq!(report["database"].as_array().map(Vec::len), Some(1), "{report}");
    }
}

#[test]
fn a_new_object_is_refused_if_planted_rows_would_belong_to_it() {
    for (planted, args) in [
        ("INSERT INTO granted (token, scope) VALUES (3, 1)", &["create", "new", "-s", "read"][..]),
        (
            "INSERT INTO label (token, key, value) VALUES (3, 'role', 'admin')",
            &["create", "new", "-s", "read"],
        ),
        (
            "INSERT INTO secret (token, hash, hint, created_at) VALUES (3, zeroblob(32), 'x', 1800000000)",
            &["create", "new", "-s", "read"],
        ),
        (
            "INSERT INTO delivery (secret, kind, target, uid, pid, started_at, deadline, expires_at, remember)
             VALUES (3, 'stdout', NULL, 0, 1, 1800000000, 2000000000, NULL, 0)",
            &["create", "new", "-s", "read"],
        ),
        (
            "INSERT INTO delivery (secret, kind, target, uid, pid, started_at, deadline, expires_at, remember)
             VALUES (3, 'stdout', NULL, 0, 1, 1800000000, 2000000000, NULL, 0)",
            &["rotate", "demo"],
        ),
        ("INSERT INTO scope_include (scope, included) VALUES (2, 1)", &["scopes", "define", "new"]),
        ("INSERT INTO scope_include (scope, included) VALUES (1, 2)", &["scopes", "define", "new"]),
        ("INSERT INTO granted (token, scope) VALUES (1, 2)", &["scopes", "define", "new"]),
    ] {
        let world = world();
        world.sql(&format!("PRAGMA foreign_keys = OFF; {planted}"));
        let before = world.bytes();
        world.refuses(args, 6, "store_damaged");
        assert_eq!(world.bytes(), before, "{planted}");
    }
}

#[test]
fn a_change_to_an_object_that_was_edited_by_hand_is_refused() {
    for (tampering, args) in [
        ("UPDATE tokens SET revoked_at = NULL", &["edit", "demo", "-d", "x"][..]),
        ("UPDATE tokens SET revoked_at = NULL", &["rename", "demo", "new"]),
        ("UPDATE tokens SET revoked_at = NULL", &["rotate", "demo"]),
        ("UPDATE tokens SET revoked_at = NULL", &["scopes", "remove", "demo", "read"]),
        (
            "UPDATE tokens SET revoked_at = NULL; UPDATE tokens SET disabled_at = 1800000000",
            &["enable", "demo"],
        ),
        ("UPDATE scope SET description = 'all'", &["scopes", "define", "new"]),
        ("UPDATE scope SET description = 'all'", &["scopes", "edit", "read", "-d", "x"]),
        ("UPDATE scope SET description = 'all'", &["scopes", "rename", "read", "see", "--allow-widen"]),
        ("UPDATE scope SET description = 'all'", &["scopes", "retire", "read"]),
        ("UPDATE setting SET value = '2h'", &["settings", "require-owner", "true"]),
    ] {
        let world = world();
        world.run(&["revoke", "demo", "--yes"]).ok();
        world.sql(tampering);
        let before = world.bytes();
        let ran = world.run(&[args, &["--json"]].concat()).exit(6);
        assert_eq!(ran.failure()["code"], "store_damaged", "{tampering}");
        assert!(ran.failure()["message"].to_string().contains("does not match its last event"), "{ran:?}");
        assert_eq!(world.bytes(), before, "{args:?}");
        world.run(&["audit", "verify"]).exit(3);
    }
}

#[test]
fn an_object_that_was_edited_by_hand_can_be_revoked_or_disabled_and_the_log_mentions_the_edit() {
    for (args, action) in [(["revoke", "demo", "--yes"], "revoke"), (["disable", "demo", "--yes"], "disable")]
    {
        let world = world();
        world.sql("UPDATE tokens SET owner = 'eve' WHERE name = 'demo'");
        world.run(&[&args[..], &["--reason", "leaked"]].concat()).ok();
        let last = events(&world).pop().expect("there is an event");
        assert_eq!(
            (&last["action"], &last["reason"]),
            (&json!(action), &json!("before this change it was not what its last event says; leaked"))
        );
        world.run(&["audit", "verify"]).ok();
    }
}

#[test]
fn a_token_whose_row_number_is_below_one_is_damage_for_every_command() {
    for row in ["-9223372036854775808", "-7", "0"] {
        let world = world();
        let secret = world.create("planted", &["-s", "read"]);
        world.sql(&format!(
            "PRAGMA foreign_keys = OFF; UPDATE tokens SET row = {row} WHERE row = 3;
             UPDATE secret SET token = {row} WHERE token = 3; UPDATE granted SET token = {row} WHERE token = 3"
        ));
        let verdict = world.run_with(&["verify", "--json"], secret.as_bytes()).exit(6);
        assert_eq!(verdict.failure()["code"], "store_damaged");
        for args in [
            &["list"][..],
            &["list", "--json"],
            &["list", "--owner", "x"],
            &["show", "planted"],
            &["list", "--sort", "created"],
        ] {
            world.run(args).exit(6);
        }
        let rows = &world.run(&["audit", "verify", "--json"]).exit(3).json()["rows"];
        assert!(rows.to_string().contains("planted"), "{rows}");
        world.run(&["doctor"]).exit(3);
    }
}

#[test]
fn a_secret_a_grant_or_a_scope_whose_row_number_is_below_one_is_damage() {
    for tampering in [
        "UPDATE secret SET row = -1 WHERE token = 1",
        "UPDATE granted SET row = 0 WHERE token = 1",
        "UPDATE scope SET row = -5; UPDATE granted SET scope = -5",
    ] {
        let world = world();
        world.sql(&format!("PRAGMA foreign_keys = OFF; {tampering}"));
        world.run(&["show", "demo"]).exit(6);
        world.run(&["audit", "verify"]).exit(3);
    }
}

#[test]
fn a_row_whose_seal_does_not_match_is_damage() {
    for (change, reader) in [
        ("UPDATE tokens SET owner = 'eve' WHERE name = 'demo'", &["show", "demo"][..]),
        ("UPDATE secret SET expires_at = NULL WHERE token = 1", &["show", "demo"]),
        ("UPDATE label SET value = 'dev' WHERE token = 1", &["show", "demo"]),
        ("UPDATE granted SET row = 9 WHERE token = 1", &["show", "demo"]),
        ("UPDATE scope SET description = 'x'", &["scopes", "list"]),
        ("UPDATE scope_include SET seal = seal + 1", &["scopes", "list"]),
    ] {
        let world = world();
        world.run(&["scopes", "define", "all", "--includes", "read"]).ok();
        world.sql_unsealed(change);
        let ran = world.run(reader).exit(6);
        assert!(ran.err.contains("the row is not what was written"), "{change}: {}", ran.err);
    }
}

#[test]
fn a_second_delivery_of_a_token_is_damage() {
    let world = world();
    world.run(&["rotate", "demo"]).ok();
    world.sql(
        "INSERT INTO delivery (secret, kind, target, uid, pid, started_at, deadline, expires_at, remember)
         SELECT row, 'stdout', NULL, 0, 1, 1800000000, 2093558400, NULL, 0 FROM secret
         WHERE token = 1",
    );
    world.refuses(&["rotate", "demo"], 6, "store_damaged");
    let rows = &world.run(&["audit", "verify", "--json"]).exit(3).json()["rows"];
    assert!(rows.to_string().contains("demo"), "{rows}");
    world.run(&["doctor"]).exit(3);
}

#[test]
fn a_user_name_from_the_environment_is_cut_to_64_characters() {
    let world = World::with_store();
    let claim = "s".repeat(1_000);
    crate::support::run(world.program().args(["create", "a"]).env("SUDO_USER", &claim), b"").ok();
    let log = world.real(&["audit", "--json"], b"").ok().json();
    let actor = &log.as_array().unwrap().last().unwrap()["actor"];
    assert_eq!(actor["sudo_user"], claim[..64]);
}

#[test]
fn a_token_that_is_missing_is_found_beside_a_damaged_index() {
    let world = world();
    world.create("gone", &["-s", "read"]);
    let id = world.show("gone")["id"].clone();
    hide_from_index(&world, "token_name", "name <> 'demo'");
    for (table, column) in [("granted", "token"), ("secret", "token"), ("tokens", "row")] {
        world.sql(&format!(
            "DELETE FROM {table} WHERE {column} = (SELECT row FROM tokens WHERE name = 'gone')"
        ));
    }
    let report = world.run(&["audit", "verify", "--json"]).exit(3).json();
    assert_eq!(report["rows"], json!([{"id": id, "name": "gone"}]), "{report}");
}

//! `import`: reads a store, or single tokens, from an export.

use serde_json::json;

use crate::export::lines;
use crate::support::{DAY, World};

/// A store with objects of every kind, its export, and a valid secret.
fn exported() -> (World, String, String) {
    let world = World::with_store();
    world.define(&["events:read", "events:write"]);
    world.run(&["scopes", "define", "admin", "--includes", "events:read,events:write"]).ok();
    world.run(&["scopes", "retire", "events:write"]).ok();
    world.create("demo", &["-s", "admin", "--owner", "ann", "-l", "env=prod", "--rotate-every", "30d"]);
    let secret = world.rotate("demo", &[]);
    world.create("gone", &["-s", "events:read"]);
    world.run(&["revoke", "gone", "--yes"]).ok();
    world.create("pruned", &["-s", "events:read"]);
    world.run(&["revoke", "pruned", "--yes"]).ok();
    world.run(&["prune", "pruned", "--yes"]).ok();
    world.run(&["settings", "grace", "2h"]).ok();
    world.run(&["rename", "demo", "demö".trim_end_matches('ö')]).ok();
    world.run(&["rename", "dem", "demo"]).ok();
    let out = world.run(&["export"]).ok().out;
    (world, out, secret)
}

#[test]
fn an_imported_store_equals_the_exported_one() {
    let (world, out, secret) = exported();
    for init in [false, true] {
        let other = if init { World::with_store() } else { World::new() };
        other.wait(DAY);
        let ran = other.run_with(&["import", "-"], out.as_bytes()).ok();
        let what = if init { "filled the store" } else { "created a store" };
        assert_eq!(ran.err, format!("{what} with 2 tokens and their history\n"));
        for args in [&["audit", "head"][..], &["export"], &["audit", "--json"], &["scopes", "list"]] {
            assert_eq!(other.run(args).ok().out, world.run(args).ok().out, "{args:?}");
        }
        other.assert_valid(&secret, "demo");
        other.run(&["audit", "verify"]).ok();
        assert_eq!(other.run(&["doctor"]).ok().out, "ok\n");
        other.run(&["edit", "demo", "--owner", "eve"]).ok();
        other.run(&["audit", "verify"]).ok();
    }
}

#[test]
fn an_incomplete_or_changed_export_is_refused_and_leaves_no_store() {
    let (_, out, _) = exported();
    let all: Vec<&str> = out.lines().collect();
    let joined = |all: &[&str]| format!("{}\n", all.join("\n"));
    let token = all.iter().position(|line| line.contains("\"type\":\"token\"")).expect("there is a token");
    let replaced = |from: &str, to: &str| {
        assert!(out.contains(from), "{from}");
        out.replacen(from, to, 1)
    };
    let line = token + 1;
    let hash = lines(&out)[token]["secrets"][0]["hash"].as_str().expect("the hash is a string").to_owned();
    let mut twice = all.clone();
    twice.insert(token, all[token]);
    let cases = [
        (String::new(), "line 0: there is nothing to import".to_owned()),
        ("name,secret\n".to_owned(), "line 1: it is not JSON".to_owned()),
        (joined(&all[..all.len() - 1]), "the export was cut short".to_owned()),
        (out[..out.len() - 9].to_owned(), "it has no end: the export was cut short".to_owned()),
        (
            joined(&[&all[..token], &all[token + 1..]].concat()),
            "lines of type `token`, but there are 1".to_owned(),
        ),
        (joined(&twice), format!("line {}: it breaks a rule, or repeats what must be unique", line + 1)),
        (replaced("\"name\":\"demo\"", "\"name\":\"de mo\""), format!("line {line}: `de mo` is not a name")),
        (replaced(&hash, &hash[2..]), format!("line {line}: `hash` is not a hash of 64 hexadecimal digits")),
        (replaced("\"owner\":\"ann\"", "\"owner\":7"), format!("line {line}: `owner` is not a text")),
        (replaced("\"owner\":\"ann\"", "\"ownr\":\"ann\""), format!("line {line}: `owner` is missing")),
        (replaced("\"name\":\"demo\"", "\"name\":null"), format!("line {line}: `name` is not a text")),
        (
            replaced("\"secrets\":[", "\"secrets\":[],\"x\":["),
            format!("line {line}: `secrets` is missing, or not a list of at least one"),
        ),
        (
            replaced("\"owner\":\"ann\"", "\"owner\":\"ann\",\"x\":1"),
            format!("line {line}: it has an unknown key `x`"),
        ),
        (
            replaced("\"owner\":\"ann\"", "\"owner\":\"eve\""),
            "`demo` does not match its last event".to_owned(),
        ),
        (
            replaced("\"action\":\"revoke\"", "\"action\":\"enable\""),
            "its hash is not that of its content".to_owned(),
        ),
        (replaced("\"format\":1,", "\"format\":9,"), "another format".to_owned()),
        (
            replaced("\"scopes\":[\"admin\"]", "\"scopes\":[\"other\"]"),
            format!("line {line}: no earlier line defines the scope `other`"),
        ),
        (
            replaced("\"includes\":[\"events:read\"", "\"includes\":[\"other\""),
            "no earlier line defines the scope `other`".to_owned(),
        ),
    ];
    for (text, expected) in cases {
        let other = World::new();
        let refused = other.refuses_with(&["import", "-"], text.as_bytes(), 2, "usage");
        let message = refused["message"].as_str().expect("it is a string");
        assert!(message.contains(&expected), "{message}: {expected}");
        assert!(!other.database().exists(), "{expected}");
    }
}

#[test]
fn tokens_are_imported_into_another_store_completely_or_not_at_all() {
    let (_, out, secret) = exported();
    let other = World::with_store();
    other.run_with(&["adopt", "mine"], b"mine_0123456789abcdefghijklmnopqrstuvwxyz").ok();
    let refused = other.refuses_with(&["import", "-"], out.as_bytes(), 4, "not_found");
    assert_eq!(refused["message"], "no such scope `admin`");
    other.define(&["events:read", "admin"]);
    let document = other.run_with(&["import", "-", "--json"], out.as_bytes()).ok().json();
    let rows: Vec<_> =
        document["tokens"].as_array().expect("`tokens` is an array").iter().map(|it| &it["name"]).collect();
    assert_eq!(rows, ["demo", "gone"]);
    assert_eq!((&document["changed"], &document["count"]), (&json!(true), &json!(2)));
    other.assert_valid(&secret, "demo");
    assert_eq!(other.names(&["--all"]), ["demo", "gone", "mine"]);
    assert_eq!(other.last_event()["action"], "import");
    let again = other.refuses_with(&["import", "-"], out.as_bytes(), 5, "policy");
    assert_eq!(
        again["message"],
        "the store has `demo` already, or one of its secrets, and 1 more tokens conflict: `gone`"
    );
    other.run_with(&["import", "-", "--skip-existing"], out.as_bytes()).ok();
    other.run(&["revoke", "demo", "--yes"]).ok();
    other.run(&["prune", "--yes"]).ok();
    let pruned = other.refuses_with(&["import", "-", "--skip-existing"], out.as_bytes(), 5, "policy");
    assert!(
        pruned["message"]
            .as_str()
            .expect("it is a string")
            .contains("a secret of `demo` was in the store before")
    );
    other.run(&["audit", "verify"]).ok();
    assert_eq!(other.run(&["doctor"]).ok().out, "ok\n");
}

#[test]
fn a_dry_run_checks_every_line_and_changes_no_byte() {
    let (_, out, _) = exported();
    let bad = out.replacen("\"owner\":\"ann\"", "\"owner\":\"eve\"", 1);
    let none = World::new();
    let ran = none.run_with(&["import", "-", "-n"], out.as_bytes()).ok();
    assert_eq!(ran.err, "it would create a store with 2 tokens and their history; nothing was changed\n");
    none.refuses_with(&["import", "-", "-n"], bad.as_bytes(), 2, "usage");
    assert!(!none.database().exists());

    let fresh = World::with_store();
    let before = fresh.bytes();
    let document = fresh.run_with(&["import", "-", "-n", "--json"], out.as_bytes()).ok().json();
    assert_eq!(document, json!({ "changed": false, "dry_run": true, "count": 2, "tokens": [] }));
    assert_eq!(fresh.bytes(), before);

    let used = World::with_store();
    used.define(&["events:read", "admin"]);
    let before = used.bytes();
    let ran = used.run_with(&["import", "-", "-n"], out.as_bytes()).ok();
    let names: Vec<_> = ran.out.lines().filter_map(|line| line.split_once('\t')).map(|row| row.1).collect();
    assert_eq!((names, &*ran.err), (vec!["demo", "gone"], "2 would be imported; nothing was changed\n"));
    let document = used.run_with(&["import", "-", "-n", "--json"], out.as_bytes()).ok().json();
    assert_eq!((&document["changed"], &document["dry_run"]), (&json!(false), &json!(true)));
    assert_eq!(document["tokens"][0]["name"], "demo");
    assert_eq!(used.bytes(), before);
    used.run_with(&["import", "-"], out.as_bytes()).ok();
    let refused = used.refuses_with(&["import", "-", "-n"], out.as_bytes(), 5, "policy");
    assert!(refused["message"].as_str().expect("it is a string").contains("the store has `demo` already"));

    let tokens = World::with_store();
    tokens.create("solo", &[]);
    let lines = tokens.run(&["export", "--tokens"]).ok().out;
    let ran = none.run_with(&["import", "-", "-n"], lines.as_bytes()).ok();
    assert_eq!(ran.err, "1 would be imported; nothing was changed\n");
    assert!(!none.database().exists());
}

/// An export of this many different tokens, whose secrets nobody knows.
pub fn many(world: &World, count: usize) -> String {
    let out = world.run(&["export", "--tokens"]).ok().out;
    let mut all = lines(&out);
    let mut text = format!("{}\n", all[0]);
    let token = all.iter_mut().find(|line| line["type"] == "token").expect("there is a token");
    for n in 0..count {
        token["id"] = json!(format!("{n:012}"));
        token["name"] = json!(format!("many-{n}"));
        token["secrets"][0]["hash"] = json!(format!("{n:064}"));
        text.push_str(&format!("{token}\n"));
    }
    text + &format!("{}\n", json!({ "type": "end", "token": count }))
}

#[test]
fn thousands_of_tokens_are_imported_in_one_transaction() {
    let world = World::with_store();
    world.create("demo", &["--owner", "ann"]);
    let text = many(&world, 1_200);
    let document = world.run_with(&["import", "-", "--json"], text.as_bytes()).ok().json();
    assert_eq!((&document["count"], &document["changed"]), (&json!(1_200), &json!(true)));
    let names: Vec<_> =
        document["tokens"].as_array().expect("`tokens` is an array").iter().map(|it| &it["name"]).collect();
    let expected: Vec<_> = (0..1_200).map(|n| json!(format!("many-{n}"))).collect();
    assert!(names.into_iter().eq(&expected), "{document}");
    world.run(&["audit", "verify"]).ok();
    assert_eq!(world.run(&["doctor"]).ok().out, "ok\n");
    let (before, second) = (world.bytes(), text.replace("many-700\"", "demo\"").replace("many-", "more-"));
    let refused = world.refuses_with(&["import", "-"], second.as_bytes(), 5, "policy");
    assert!(
        refused["message"].as_str().expect("it is a string").contains("and 1199 more tokens conflict"),
        "{refused}"
    );
    assert_eq!(world.bytes(), before);
}

#[test]
fn commands_in_an_export_need_accept_commands() {
    let world = World::with_store();
    world.run(&["create", "piped", "--exec", "cat >/dev/null"]).ok();
    world.run(&["create", "hooked", "--out", &world.path("secret"), "--after", "deploy --now"]).ok();
    let out = world.run(&["export"]).ok().out;
    let full = World::with_store();
    full.run_with(&["adopt", "here"], b"sk_live_0123456789abcdefghijklmnopqrstuvwxyz").ok();
    for other in [World::new(), full] {
        let had = other.store().exists();
        let refused = other.run_with(&["import", "-"], out.as_bytes()).exit(2);
        for brought in ["`piped`: cat >/dev/null\n", "`hooked`: deploy --now\n"] {
            assert!(refused.err.contains(&format!(" has a command of {brought}")), "{}", refused.err);
        }
        assert!(refused.err.ends_with("hint: read them, then pass `--accept-commands` to accept them\n"));
        assert_eq!(other.store().exists(), had);
        other.run_with(&["import", "-", "--accept-commands"], out.as_bytes()).ok();
        assert_eq!(other.show("piped")["destination"]["command"], "cat >/dev/null");
    }
}

#[test]
fn an_existing_token_is_skipped_even_if_its_scopes_are_retired() {
    let world = World::with_store();
    world.define(&["old"]);
    world.create("demo", &["-s", "old"]);
    world.run(&["scopes", "retire", "old"]).ok();
    let out = world.run(&["export"]).ok().out;
    let ran = world.run_with(&["import", "-", "--skip-existing", "--json"], out.as_bytes()).ok();
    assert_eq!(ran.json()["changed"], false);
}

#[test]
fn an_import_that_is_refused_leaves_no_store() {
    let world = World::with_store();
    world.create("demo", &[]);
    let good = many(&world, 3);
    let none = World::new();
    for (bad, exit, code) in [
        (good.replace("many-2", "many-1"), 5, "policy"),
        (good.replace(r#""scopes":[]"#, r#""scopes":["x"]"#), 4, "not_found"),
    ] {
        none.refuses_with(&["import", "-"], bad.as_bytes(), exit, code);
        assert!(!none.store().exists());
    }
    let csv = b"name,secret\na,sk_live_0123456789abcdefghijklmnopqrstuvwxyz\na,sk_live_9876543210abcdefghijklmnopqrstuvwxyz\n";
    none.refuses_with(&["adopt", "--from", "-"], csv, 5, "name_taken");
    assert!(!none.store().exists());
    let ran = none.run_with(&["import", "-"], good.as_bytes()).ok();
    let made = format!("created a new store at {}\n", none.store().display());
    assert!(ran.err.contains(&made), "{}", ran.err);
    assert_eq!(none.names(&[]), ["many-0", "many-1", "many-2"]);
    none.run(&["audit", "verify"]).ok();
    assert_eq!(none.run(&["doctor"]).ok().out, "ok\n");
}

#[test]
fn a_store_with_tokens_in_every_state_and_events_of_version_1_is_imported_completely() {
    let world = crate::migration::old();
    world.run(&["revoke", "edited", "--yes"]).ok();
    world.kill_by_command(&["rotate", "token-001", "--now"]);
    let out = world.run(&["export"]).ok().out;
    let other = World::new();
    other.wait(world.now() - other.now());
    other.run_with(&["import", "-", "--accept-commands"], out.as_bytes()).ok();
    assert!(other.run(&["export"]).ok().out == out, "the exports differ");
    assert_eq!(other.run(&["audit", "verify"]).ok().out, world.run(&["audit", "verify"]).ok().out);
    let open = lines(&out).iter().filter(|line| line["type"] == "token").any(|token| {
        let secrets = token["secrets"].as_array().expect("`secrets` is an array");
        secrets.iter().any(|secret| !secret["delivery"].is_null())
    });
    assert!(open, "the export contains an unfinished delivery");
    let joined = World::with_store();
    joined.run_with(&["adopt", "mine"], b"mine_0123456789abcdefghijklmnopqrstuvwxyz").ok();
    for scope in
        world.run(&["scopes", "list", "--json"]).ok().json().as_array().expect("`scopes` is an array")
    {
        joined.define(&[scope["name"].as_str().expect("the name is a string")]);
    }
    let ran = joined.run_with(&["import", "-", "--skip-existing", "--json"], out.as_bytes()).ok();
    assert_eq!(ran.json()["count"], 999);
    let kept = lines(&joined.run(&["export"]).ok().out);
    let mut secrets = kept.iter().filter_map(|line| line["secrets"].as_array()).flatten();
    assert!(secrets.all(|secret| !secret["delivered_at"].is_null()), "an undelivered secret was imported");
    joined.run(&["audit", "verify"]).ok();
    assert_eq!(joined.run(&["doctor"]).ok().out, "ok\n");
}

#[test]
fn an_export_that_does_not_match_its_log_is_refused() {
    let (world, out, _) = exported();
    let all: Vec<&str> = out.lines().collect();
    let joined = |all: &[&str]| format!("{}\n", all.join("\n"));
    let place = |what: &str| all.iter().position(|line| line.contains(what)).expect(what);
    // Events in a different order are the same log.
    let (mut shuffled, event) = (all.clone(), place(r#""type":"event""#));
    shuffled.swap(event, event + 1);
    let other = World::new();
    other.run_with(&["import", "-"], joined(&shuffled).as_bytes()).ok();
    assert_eq!(other.run(&["export"]).ok().out, world.run(&["export"]).ok().out);
    // One token is missing, one has a rotation policy that is not allowed, and one event is missing at the end.
    let token = place(r#""name":"gone""#);
    let lost = joined(&[&all[..token], &all[token + 1..]].concat()).replace(r#""token":2"#, r#""token":1"#);
    let wrong = out.replacen(r#""rotate_every":2592000"#, r#""rotate_every":-1"#, 1);
    let events = all.iter().filter(|line| line.contains(r#""type":"event""#)).count();
    let head = out.replacen(&format!(r#""seq":{events}}}"#), &format!(r#""seq":{}}}"#, events + 1), 1);
    for (text, why) in [
        (lost, "`gone` does not match its last event"),
        (wrong, "`demo` does not match its last event"),
        (head, "its log ends with"),
    ] {
        let none = World::new();
        let refused = none.refuses_with(&["import", "-"], text.as_bytes(), 2, "usage");
        assert!(refused["message"].as_str().expect("it is a string").contains(why), "{refused}");
    }
}

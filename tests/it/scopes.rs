//! `scopes`.

use std::rc::Rc;

use serde_json::{Value, json};
use tokenctl::context::Terminal;

use crate::support::{Answer, World};

/// A catalogue `admin` ⊃ `write` ⊃ `read`, and `other`.
fn world() -> World {
    let world = World::with_store();
    for args in
        [&["read"][..], &["write", "--includes", "read"], &["admin", "--includes", "write"], &["other"]]
    {
        world.run(&[&["scopes", "define"], args].concat()).ok();
    }
    world
}

fn held(world: &World, token: &str) -> Value {
    world.show(token)["scopes"].clone()
}

fn scope(world: &World, name: &str) -> Value {
    let all = world.run(&["scopes", "list", "--json"]).ok().json();
    all.as_array().expect("an array").iter().find(|scope| scope["name"] == name).expect(name).clone()
}

/// The `changed` of a command's document.
#[track_caller]
fn changed(world: &World, args: &[&str]) -> bool {
    world.run(&[args, &["--json"]].concat()).ok().json()["changed"].as_bool().expect("a boolean")
}

#[test]
fn a_scope_is_defined_once_and_listed() {
    let world = World::with_store();
    assert_eq!(world.run(&["scopes", "list", "--json"]).ok().json(), json!([]));
    let none = world.run(&["scopes", "list"]).ok();
    assert_eq!(none.out + &none.err, "no scopes yet; `tokenctl scopes define SCOPE` makes one\n");
    world.run(&["scopes", "define", "events:read"]).ok();
    let define = ["scopes", "define", "events:write", "-d", "Write events", "--includes", "events:read"];
    let mut document = json!({
        "name": "events:write", "description": "Write events", "includes": ["events:read"],
        "created_at": "2026-11-22T12:00:00Z", "retired_at": null, "tokens": 0, "changed": true,
    });
    assert_eq!(world.run(&[&define[..], &["--json"]].concat()).ok().json(), document);
    document["changed"] = json!(false);
    world.wait(1);
    assert_eq!(world.run(&[&define[..], &["--json"]].concat()).ok().json(), document);
    world.refuses(&["scopes", "define", "events:write", "-d", "else"], 5, "name_taken");

    world.create("demo", &["-s", "events:write"]);
    world.create("gone", &["-s", "events:write"]);
    world.run(&["revoke", "gone", "--yes"]).ok();
    assert_eq!(
        world.run(&["scopes", "list", "--json"]).ok().json(),
        json!([
            {"name": "events:read", "description": null, "includes": [],
             "created_at": "2026-11-22T12:00:00Z", "retired_at": null, "tokens": 0},
            {"name": "events:write", "description": "Write events", "includes": ["events:read"],
             "created_at": "2026-11-22T12:00:00Z", "retired_at": null, "tokens": 1},
        ])
    );
    assert_eq!(
        world.run(&["scopes", "list"]).ok().out,
        "events:read\t\t0\t\t\nevents:write\tevents:read\t1\t\tWrite events\n"
    );
}

#[test]
fn includes_reach_as_far_as_they_go_and_never_in_a_circle() {
    let world = world();
    let secret = world.create("demo", &["-s", "admin"]);
    assert_eq!(world.verify(&secret, &["-s", "read,write,admin"]), (0, "valid demo".into()));
    assert_eq!(world.verify(&secret, &["-s", "other"]), (3, "scope_missing demo".into()));
    assert_eq!(held(&world, "demo"), json!(["admin"]), "only what is granted");

    let before = world.bytes();
    for args in [["edit", "read", "--includes", "admin"], ["edit", "admin", "--includes", "admin"]] {
        let args = [&["scopes"], &args[..], &["--allow-widen"]].concat();
        world.refuses(&args, 2, "usage");
    }
    world.refuses(&["scopes", "define", "new", "--includes", "new"], 4, "not_found");
    assert_eq!(world.bytes(), before);
}

#[test]
fn granting_more_asks_and_yes_never_widens() {
    let mut world = world();
    world.create("demo", &["-s", "read"]);
    for args in [
        &["scopes", "add", "demo", "other"][..],
        &["scopes", "set", "demo", "admin"],
        &["scopes", "edit", "read", "--includes", "other"],
    ] {
        let before = world.bytes();
        world.refuses(args, 2, "input_needed");
        let with_yes = [args, &["--yes"]].concat();
        world.refuses(&with_yes, 2, "input_needed");
        assert_eq!(world.bytes(), before);
    }
    let refused = world.run(&["scopes", "add", "demo", "other"]).exit(2);
    assert!(refused.err.ends_with("hint: pass `--allow-widen` to allow it\n"), "{}", refused.err);

    world.at_terminal(&[Answer::No, Answer::CtrlC, Answer::Yes]);
    let add = ["scopes", "add", "demo", "other"];
    world.refuses_once(&add, 130, "declined");
    world.refuses_once(&add, 130, "interrupted");
    assert_eq!(held(&world, "demo"), json!(["read"]));
    world.run(&add).ok();
    assert_eq!(held(&world, "demo"), json!(["other", "read"]));
    let asked = world.asked.borrow().clone();
    assert_eq!(asked.len(), 3);
    assert!(asked[0].contains("`demo`") && asked[0].contains("1 token gains"), "{}", asked[0]);
}

#[test]
fn widening_an_include_names_how_many_live_tokens_gain() {
    let mut world = world();
    for (name, scope) in [("a", "read"), ("b", "write"), ("c", "other"), ("gone", "read")] {
        world.create(name, &["-s", scope]);
    }
    world.run(&["revoke", "gone", "--yes"]).ok();
    let edit = ["scopes", "edit", "read", "--includes", "other"];
    world.at_terminal(&[Answer::No]);
    world.run(&edit).exit(130);
    assert!(world.asked.borrow()[0].contains("2 tokens gain"), "{:?}", world.asked);
    world.run(&[&edit[..], &["--allow-widen"]].concat()).ok();
    assert_eq!(world.asked.borrow().len(), 1);
    assert_eq!(scope(&world, "read")["includes"], json!(["other"]));
}

#[test]
fn an_include_that_grew_while_it_was_asked_about_is_asked_about_again() {
    let mut world = world();
    world.define(&["more"]);
    world.create("a", &["-s", "read"]);
    world.at_terminal(&[Answer::Yes, Answer::No]);
    let world = Rc::new(world);
    let other = Rc::clone(&world);
    *world.meanwhile.borrow_mut() = Some(Box::new(move || {
        other.run(&["scopes", "edit", "other", "--includes", "more"]).ok();
    }));
    world.run(&["scopes", "edit", "read", "--includes", "other"]).exit(130);
    let asked = world.asked.borrow();
    assert_eq!(asked[0], "changing what `read` includes: 1 token gains `other` (`a`). Go on?");
    assert_eq!(asked[1], "changing what `read` includes: 1 token gains `more`, `other` (`a`). Go on?");
    assert_eq!(scope(&world, "read")["includes"], json!([]));
}

#[test]
fn renaming_a_scope_that_tokens_hold_is_widening() {
    let world = world();
    world.define(&["free"]);
    let secret = world.create("a", &["-s", "read"]);
    // It holds `read` through another scope.
    world.create("b", &["-s", "write"]);
    let args = ["scopes", "rename", "read", "all"];
    let failure = world.refuses(&args, 2, "input_needed");
    assert_eq!(failure["message"], "renaming `read`: 2 tokens gain `all` (`b`, `a`)");
    world.run(&[&args[..], &["--allow-widen"]].concat()).ok();
    assert_eq!(world.verify(&secret, &["-s", "all"]), (0, "valid a".to_owned()));
    // Nobody holds it.
    world.run(&["scopes", "rename", "free", "other2"]).ok();
}

#[test]
fn reopening_a_scope_with_wider_includes_names_who_gains() {
    let world = world();
    world.create("a", &["-s", "read"]);
    world.run(&["scopes", "retire", "read"]).ok();
    let failure = world.refuses(&["scopes", "define", "read"], 2, "input_needed");
    assert_eq!(failure["message"], "reopening `read`: `read` can be granted again");
    let failure = world.refuses(&["scopes", "define", "read", "--includes", "other"], 2, "input_needed");
    let wider = "reopening `read`: 1 token gains `other` (`a`), and `read` can be granted again";
    assert_eq!(failure["message"], wider);
}

#[test]
fn narrowing_needs_no_confirmation() {
    let world = world();
    let secret = world.create("demo", &["-s", "admin,other"]);
    for args in [
        &["edit", "write", "--includes", ""][..],
        &["edit", "write", "-d", "a text"],
        // What it may do already, it may be granted.
        &["add", "demo", "write"],
        &["remove", "demo", "other"],
        &["set", "demo", "write"],
    ] {
        assert!(changed(&world, &[&["scopes"], args].concat()), "{args:?}");
    }
    assert_eq!(held(&world, "demo"), json!(["write"]));
    assert_eq!(world.verify(&secret, &["-s", "write"]).0, 0);
    assert_eq!(world.verify(&secret, &["-s", "read"]).0, 3);
    // An include of a scope that nobody holds widens nothing.
    assert!(changed(&world, &["scopes", "edit", "other", "--includes", "read"]));
}

#[test]
fn grants_that_exist_already_change_nothing() {
    let world = world();
    world.create("demo", &["-s", "read,write"]);
    let head = world.run(&["audit", "head"]).ok().out;
    for args in [
        &["add", "demo", "read", "write"][..],
        &["remove", "demo", "other"],
        &["set", "demo", "write,read"],
        &["edit", "write", "--includes", "read", "-d", ""],
        &["rename", "read", "read"],
    ] {
        assert!(!changed(&world, &[&["scopes"], args].concat()), "{args:?}");
    }
    assert_eq!(world.run(&["audit", "head"]).ok().out, head);
    let mut token = world.show("demo");
    let document = token.as_object_mut().expect("an object");
    document.remove("events");
    document.insert("changed".to_owned(), json!(false));
    assert_eq!(world.run(&["scopes", "add", "demo", "read", "--json"]).ok().json(), token);
}

#[test]
fn a_mistyped_scope_names_the_nearest_and_changes_nothing() {
    let world = world();
    world.create("demo", &["-s", "read"]);
    let before = world.bytes();
    for args in [
        &["scopes", "add", "demo", "rite", "--allow-widen"][..],
        &["scopes", "remove", "demo", "rite"],
        &["scopes", "set", "demo", "read", "rite"],
        &["scopes", "edit", "rite", "-d", "x"],
        &["scopes", "edit", "read", "--includes", "rite"],
        &["scopes", "rename", "rite", "new"],
        &["scopes", "retire", "rite"],
        &["scopes", "define", "new", "--includes", "rite"],
        &["create", "new", "-s", "rite"],
        &["list", "-s", "rite"],
        &["disable", "-s", "rite", "--yes"],
    ] {
        let ran = world.run(args).exit(4);
        assert_eq!(ran.err, "error: no such scope `rite`\nhint: did you mean `write`?\n", "{args:?}");
        assert_eq!(ran.out, "");
    }
    assert_eq!(world.bytes(), before);
    world.refuses(&["scopes", "add", "nobody", "read"], 4, "not_found");
}

#[test]
fn a_retired_scope_is_kept_but_not_granted_until_it_is_reopened() {
    let world = world();
    let secret = world.create("demo", &["-s", "other"]);
    world.create("bare", &["-s", "read"]);
    world.wait(60);
    let retired = world.run(&["scopes", "retire", "other", "--json"]).ok().json();
    assert_eq!(
        retired,
        json!({
            "name": "other", "description": null, "includes": [], "created_at": "2026-11-22T12:00:00Z",
            "retired_at": "2026-11-22T12:01:00Z", "tokens": 1, "changed": true, "withdrawn_from": [],
        })
    );
    assert!(!changed(&world, &["scopes", "retire", "other"]));
    assert_eq!(world.verify(&secret, &["-s", "other"]), (0, "valid demo".into()));
    for args in [
        &["create", "new", "-s", "other"][..],
        &["scopes", "add", "bare", "other", "--allow-widen"],
        &["scopes", "set", "bare", "other", "--allow-widen"],
        &["scopes", "edit", "read", "--includes", "other", "--allow-widen"],
        &["scopes", "define", "new", "--includes", "other"],
    ] {
        world.refuses(args, 5, "policy");
    }
    world.create("all", &["--all-scopes"]);
    assert_eq!(held(&world, "all"), json!(["admin", "read", "write"]));

    world.refuses(&["scopes", "define", "other"], 2, "input_needed");
    assert!(changed(&world, &["scopes", "define", "other", "--allow-widen"]));
    assert_eq!(scope(&world, "other")["retired_at"], Value::Null);
    assert!(changed(&world, &["scopes", "add", "bare", "other", "--allow-widen"]));
}

#[test]
fn an_ungranted_scope_is_removed_from_every_token_and_include() {
    let mut world = world();
    let direct = world.create("direct", &["-s", "write,other"]);
    let through = world.create("through", &["-s", "admin"]);
    world.create("without", &["-s", "read"]);
    let withdraw = ["scopes", "retire", "write", "--ungrant"];
    world.refuses(&withdraw, 2, "input_needed");
    world.at_terminal(&[Answer::No]);
    world.refuses_once(&withdraw, 130, "declined");
    world.terminal = Terminal::default();
    assert_eq!(world.verify(&direct, &["-s", "write"]).0, 0);

    let done = world.run(&[&withdraw[..], &["--yes", "--json"]].concat()).ok().json();
    let mut from: Vec<&str> = done["withdrawn_from"]
        .as_array()
        .expect("an array")
        .iter()
        .filter_map(|it| it["name"].as_str())
        .collect();
    from.sort_unstable();
    assert_eq!(from, ["direct", "through"]);
    assert_eq!((&done["changed"], &done["tokens"]), (&json!(true), &json!(0)));
    assert_eq!((held(&world, "direct"), held(&world, "through")), (json!(["other"]), json!(["admin"])));
    assert_eq!(scope(&world, "admin")["includes"], json!([]));
    for secret in [&direct, &through] {
        assert_eq!(world.verify(secret, &["-s", "write"]).0, 3);
        assert_eq!(world.verify(secret, &["-s", "read"]).0, 3);
    }
    assert!(!changed(&world, &[&withdraw[..], &["--yes"]].concat()));
    world.run(&["doctor"]).ok();
}

#[test]
fn a_renamed_scope_is_held_and_included_under_its_new_name() {
    let world = world();
    let secret = world.create("demo", &["-s", "admin,read"]);
    let renamed =
        world.run(&["scopes", "rename", "read", "events:read", "--allow-widen", "--json"]).ok().json();
    assert_eq!((&renamed["name"], &renamed["changed"]), (&json!("events:read"), &json!(true)));
    assert_eq!(held(&world, "demo"), json!(["admin", "events:read"]));
    assert_eq!(scope(&world, "write")["includes"], json!(["events:read"]));
    assert_eq!(world.verify(&secret, &["-s", "events:read"]).0, 0);
    assert_eq!(world.verify(&secret, &["-s", "read"]), (3, "scope_missing demo".into()));
    world.refuses(&["scopes", "rename", "events:read", "other"], 5, "name_taken");
    world.run(&["doctor"]).ok();
}

#[test]
fn a_rename_changes_no_digest_of_a_holder_and_keeps_when_the_scope_was_required() {
    let world = world();
    let secret = world.create("demo", &["-s", "read"]);
    world.verify(&secret, &["-s", "read"]);
    let digests = || {
        let conn = rusqlite::Connection::open(world.database()).expect("the database");
        let mut all = conn.prepare("SELECT digest FROM events WHERE name = 'demo'").expect("a statement");
        let all: Result<Vec<Vec<u8>>, _> = all.query_map([], |row| row.get(0)).expect("rows").collect();
        all.expect("digests")
    };
    let asked = |scope: &str| {
        let page = world.run(&["show", "demo"]).ok().out;
        page.lines().any(|line| line.contains(&format!("{scope}  required ")))
    };
    let before = digests();
    assert!(asked("read"));
    world.run(&["scopes", "rename", "read", "see", "--allow-widen"]).ok();
    world.run(&["audit", "verify"]).ok();
    assert_eq!(digests(), before, "its holder got no new entry");
    assert!(asked("see"));
}

#[test]
fn meaningless_arguments_are_usage_errors() {
    let world = world();
    world.create("demo", &["-s", "read"]);
    let before = world.bytes();
    for args in [
        &["scopes"][..],
        &["scopes", "edit", "read"],
        &["scopes", "add", "demo"],
        &["scopes", "set", "demo", ""],
        &["scopes", "add", "demo", "Read"],
        &["scopes", "define", "a b"],
        &["scopes", "define", "a:"],
        &["scopes", "define", "x", "--includes", ""],
        &["create", "new"],
        &["create", "new", "-s", "read", "--all-scopes"],
    ] {
        assert_eq!(world.run(args).code, 2, "{args:?}");
    }
    assert_eq!(world.bytes(), before);
}

#[test]
fn the_first_scope_makes_the_store_as_the_first_token_does() {
    let world = World::new();
    assert_eq!(
        world.refuses(&["create", "a", "-s", "deploy"], 4, "not_found")["hint"],
        "`tokenctl scopes define deploy` makes it; `tokenctl scopes list` shows those that exist"
    );
    world.refuses(&["scopes", "define", "deploy", "--includes", "read"], 4, "not_found");
    assert!(!world.store().exists(), "what is refused makes no store");
    let ran = world.run(&["scopes", "define", "deploy"]).ok();
    let path = world.store().canonicalize().expect("the store");
    assert_eq!(ran.err, format!("warning: made a new store at {}\ndefined `deploy`\n", path.display()));
    world.create("a", &["-s", "deploy"]);
    assert_eq!(world.run(&["scopes", "define", "read"]).ok().err, "defined `read`\n");
}

#[test]
fn a_change_says_which_scopes_came_and_went() {
    let world = World::with_store();
    world.define(&["other", "read", "write"]);
    world.create("demo", &["-s", "read,write"]);
    let said = |args: &[&str]| world.run(&[&["scopes"], args].concat()).ok().err;
    assert_eq!(
        said(&["set", "demo", "other,read", "--allow-widen"]),
        "`demo` now holds other, read\n  scopes: -write\n  scopes: +other\n"
    );
    assert_eq!(said(&["add", "demo", "read"]), "`demo` already holds other, read\n");
    assert_eq!(
        said(&["remove", "demo", "read,other"]),
        "`demo` now holds no scopes\n  scopes: -other\n  scopes: -read\n"
    );
    assert_eq!(
        said(&["edit", "read", "-d", "Reads", "--includes", "other"]),
        "edited `read`\n  read.description: +Reads\n  read.includes: +other\n"
    );
    assert_eq!(said(&["edit", "read", "-d", "Reads"]), "nothing changed: `read`\n");
    assert_eq!(said(&["rename", "read", "reads"]), "renamed `read` to `reads`\n");
}

#[test]
fn the_question_about_a_retirement_names_the_tokens_that_lose_the_scope() {
    let mut world = World::with_store();
    world.define(&["read"]);
    for name in ["a", "b"] {
        world.create(name, &["-s", "read"]);
    }
    world.at_terminal(&[Answer::No]);
    world.run(&["scopes", "retire", "read", "--ungrant"]).exit(130);
    assert_eq!(*world.asked.borrow(), ["remove `read` from 2 tokens that hold it (`a`, `b`)?"]);
}

//! Tests of `scopes`, which defines, grants and retires scopes.

use std::rc::Rc;

use serde_json::{Value, json};
use tokenctl::context::Terminal;

use crate::support::{Answer, World};

/// A store with the scopes `admin`, which includes `write`, which includes `read`, and with `other`.
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
    all.as_array().expect("it is an array").iter().find(|scope| scope["name"] == name).expect(name).clone()
}

/// Whether the document of a command says that something was changed.
#[track_caller]
fn changed(world: &World, args: &[&str]) -> bool {
    world.run(&[args, &["--json"]].concat()).ok().json()["changed"].as_bool().expect("a boolean")
}

#[test]
fn a_scope_can_be_defined_and_listed() {
    let world = World::with_store();
    assert_eq!(world.run(&["scopes", "list", "--json"]).ok().json(), json!([]));
    let none = world.run(&["scopes", "list"]).ok();
    assert_eq!(none.out + &none.err, "no scopes yet; define one with `tokenctl scopes define SCOPE`\n");
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
fn includes_are_transitive_and_cannot_be_circular() {
    let world = world();
    let secret = world.create("demo", &["-s", "admin"]);
    assert_eq!(world.verify(&secret, &["-s", "read,write,admin"]), (0, "valid demo".into()));
    assert_eq!(world.verify(&secret, &["-s", "other"]), (3, "scope_missing demo".into()));
    assert_eq!(held(&world, "demo"), json!(["admin"]), "only granted scopes are listed");

    let before = world.bytes();
    for args in [["edit", "read", "--includes", "admin"], ["edit", "admin", "--includes", "admin"]] {
        let args = [&["scopes"], &args[..], &["--allow-widen"]].concat();
        world.refuses(&args, 2, "usage");
    }
    world.refuses(&["scopes", "define", "new", "--includes", "new"], 4, "not_found");
    assert_eq!(world.bytes(), before);
}

#[test]
fn granting_scopes_needs_a_confirmation_and_yes_is_not_enough() {
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
fn a_wider_include_says_how_many_active_tokens_gain_scopes() {
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
fn an_include_that_grew_during_the_question_needs_another_confirmation() {
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
fn renaming_a_scope_that_tokens_have_needs_allow_widen() {
    let world = world();
    world.define(&["free"]);
    let secret = world.create("a", &["-s", "read"]);
    // This token has `read` through another scope.
    world.create("b", &["-s", "write"]);
    let args = ["scopes", "rename", "read", "all"];
    let failure = world.refuses(&args, 2, "input_needed");
    assert_eq!(failure["message"], "renaming `read`: 2 tokens gain `all` (`b`, `a`)");
    world.run(&[&args[..], &["--allow-widen"]].concat()).ok();
    assert_eq!(world.verify(&secret, &["-s", "all"]), (0, "valid a".to_owned()));
    // No token has this scope.
    world.run(&["scopes", "rename", "free", "other2"]).ok();
}

#[test]
fn reopening_a_scope_with_wider_includes_names_the_tokens_that_gain_scopes() {
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
fn removing_access_needs_no_confirmation() {
    let world = world();
    let secret = world.create("demo", &["-s", "admin,other"]);
    for args in [
        &["edit", "write", "--includes", ""][..],
        &["edit", "write", "-d", "a text"],
        // The token already has `write` through `admin`.
        &["add", "demo", "write"],
        &["remove", "demo", "other"],
        &["set", "demo", "write"],
    ] {
        assert!(changed(&world, &[&["scopes"], args].concat()), "{args:?}");
    }
    assert_eq!(held(&world, "demo"), json!(["write"]));
    assert_eq!(world.verify(&secret, &["-s", "write"]).0, 0);
    assert_eq!(world.verify(&secret, &["-s", "read"]).0, 3);
    // Adding an include to a scope that no token has is not a widening.
    assert!(changed(&world, &["scopes", "edit", "other", "--includes", "read"]));
}

#[test]
fn existing_grants_change_nothing() {
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
    let document = token.as_object_mut().expect("it is an object");
    document.remove("events");
    document.insert("changed".to_owned(), json!(false));
    assert_eq!(world.run(&["scopes", "add", "demo", "read", "--json"]).ok().json(), token);
}

#[test]
fn a_mistyped_scope_gets_a_suggestion_and_changes_nothing() {
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
fn a_retired_scope_is_kept_but_cannot_be_granted_until_it_is_reopened() {
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
    let retire = ["scopes", "retire", "write", "--ungrant"];
    world.refuses(&retire, 2, "input_needed");
    world.at_terminal(&[Answer::No]);
    world.refuses_once(&retire, 130, "declined");
    world.terminal = Terminal::default();
    assert_eq!(world.verify(&direct, &["-s", "write"]).0, 0);

    let done = world.run(&[&retire[..], &["--yes", "--json"]].concat()).ok().json();
    let mut from: Vec<&str> = done["withdrawn_from"]
        .as_array()
        .expect("it is an array")
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
    assert!(!changed(&world, &[&retire[..], &["--yes"]].concat()));
    world.run(&["doctor"]).ok();
}

#[test]
fn grants_and_includes_keep_a_renamed_scope_under_its_new_name() {
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
fn renaming_a_scope_does_not_change_its_tokens_or_its_recorded_use() {
    let world = world();
    let secret = world.create("demo", &["-s", "read"]);
    world.verify(&secret, &["-s", "read"]);
    let digests = || {
        let conn = rusqlite::Connection::open(world.database()).expect("the database can be opened");
        let mut all =
            conn.prepare("SELECT digest FROM events WHERE name = 'demo'").expect("the SQL can be executed");
        let all: Result<Vec<Vec<u8>>, _> = all.query_map([], |row| row.get(0)).expect("rows").collect();
        all.expect("digests")
    };
    let is_required = |scope: &str| {
        let page = world.run(&["show", "demo"]).ok().out;
        page.lines().any(|line| line.contains(&format!("{scope}  required ")))
    };
    let before = digests();
    assert!(is_required("read"));
    world.run(&["scopes", "rename", "read", "see", "--allow-widen"]).ok();
    world.run(&["audit", "verify"]).ok();
    assert_eq!(digests(), before, "the tokens with the scope got no new event");
    assert!(is_required("see"));
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
fn defining_the_first_scope_creates_the_store() {
    let world = World::new();
    assert_eq!(
        world.refuses(&["create", "a", "-s", "deploy"], 4, "not_found")["hint"],
        "define it with `tokenctl scopes define deploy`; `tokenctl scopes list` shows those that exist"
    );
    world.refuses(&["scopes", "define", "deploy", "--includes", "read"], 4, "not_found");
    assert!(!world.store().exists(), "a refused command created a store");
    let ran = world.run(&["scopes", "define", "deploy"]).ok();
    let path = world.store().canonicalize().expect("the path exists");
    assert_eq!(ran.err, format!("warning: created a new store at {}\ndefined `deploy`\n", path.display()));
    world.create("a", &["-s", "deploy"]);
    assert_eq!(world.run(&["scopes", "define", "read"]).ok().err, "defined `read`\n");
}

#[test]
fn a_change_prints_the_added_and_removed_scopes() {
    let world = World::with_store();
    world.define(&["other", "read", "write"]);
    world.create("demo", &["-s", "read,write"]);
    let message = |args: &[&str]| world.run(&[&["scopes"], args].concat()).ok().err;
    assert_eq!(
        message(&["set", "demo", "other,read", "--allow-widen"]),
        "`demo` now holds other, read\n  scopes: -write\n  scopes: +other\n"
    );
    assert_eq!(message(&["add", "demo", "read"]), "`demo` already holds other, read\n");
    assert_eq!(
        message(&["remove", "demo", "read,other"]),
        "`demo` now holds no scopes\n  scopes: -other\n  scopes: -read\n"
    );
    assert_eq!(
        message(&["edit", "read", "-d", "Reads", "--includes", "other"]),
        "edited `read`\n  read.description: +Reads\n  read.includes: +other\n"
    );
    assert_eq!(message(&["edit", "read", "-d", "Reads"]), "nothing changed: `read`\n");
    assert_eq!(message(&["rename", "read", "reads"]), "renamed `read` to `reads`\n");
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

//! Tests of `rename`, which changes only the name of a token.

use std::rc::Rc;

use serde_json::json;

use crate::support::{HOSTILE, World, assert_token_keys};

#[test]
fn a_rename_changes_nothing_except_the_name() {
    let world = World::new();
    let secret = world.create("old", &["--owner", "ann", "-l", "env=prod"]);
    let before = world.show("old");
    let ran = world.run(&["rename", "old", "new", "--reason", "typo"]).ok();
    assert_eq!((&*ran.out, &*ran.err), ("", "renamed `old` to `new`\n"));
    let mut after = world.show("new");
    assert_eq!(after["events"][2]["action"], "rename");
    assert_eq!(after["events"][2]["reason"], "typo");
    after["name"] = json!("old");
    after["events"] = before["events"].clone();
    assert_eq!(after, before);
    world.assert_valid(&secret, "new");
    world.refuses(&["show", "old"], 4, "not_found");
    world.create("old", &[]);
}

#[test]
fn a_rename_to_the_same_name_changes_nothing() {
    let world = World::new();
    world.create("demo", &[]);
    let id = world.show("demo")["id"].as_str().unwrap().to_owned();
    let before = world.bytes();
    for reference in ["demo", &id] {
        let same = world.run(&["rename", reference, "demo", "--json"]).ok().json();
        assert_token_keys(&same, &["changed"]);
        assert_eq!(same["changed"], false);
    }
    assert!(world.bytes() == before);
    let document = world.run(&["rename", &id[..8], "other", "--json"]).ok().json();
    assert_token_keys(&document, &["changed"]);
    assert_eq!((&document["changed"], &document["name"]), (&json!(true), &json!("other")));
}

#[test]
fn a_rename_to_a_taken_or_invalid_name_is_refused() {
    let world = World::new();
    for name in ["demo", "taken", "revoked", "disabled", "Demo"] {
        world.create(name, &[]);
    }
    world.run(&["revoke", "revoked", "-y"]).ok();
    world.run(&["disable", "disabled"]).ok();
    for name in ["taken", "disabled"] {
        let failure = world.refuses(&["rename", "demo", name], 5, "name_taken");
        assert_eq!(failure["message"], format!("the name `{name}` is taken"));
    }
    world.refuses(&["rename", "revoked", "x"], 5, "revoked");
    world.refuses(&["rename", "nobody", "x"], 4, "not_found");
    for args in [&["rename", "demo"][..], &["rename"], &["rename", "demo", "a", "b"], &["rename", "demo", ""]]
    {
        world.refuses(args, 2, "usage");
    }
    for name in ["-x", "a b", ".", "é", &"x".repeat(65)].into_iter().chain(HOSTILE) {
        world.refuses(&["rename", "demo", name], 2, "usage");
    }
    world.run(&["rename", "demo", "revoked"]).ok();
    world.run(&["rename", "revoked", &"x".repeat(64)]).ok();
}

#[test]
fn a_rename_does_not_disturb_a_delivery_in_progress() {
    let world = Rc::new(World::with_store());
    let other = Rc::clone(&world);
    let ran = world.run_while(&["create", "demo"], move || {
        other.run(&["rename", "demo", "renamed"]).ok();
        other.create("demo", &[]);
    });
    let ran = ran.ok();
    world.assert_valid(ran.line(), "renamed");
}

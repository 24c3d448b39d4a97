//! Tests of `revoke`, which makes tokens or secrets invalid for ever.

use serde_json::json;

use crate::support::{Answer, DAY, World};

#[test]
fn revocation_is_final_and_the_row_is_kept() {
    let world = World::with_store();
    world.run(&["scopes", "define", "read"]).ok();
    let secret = world.create("demo", &["-s", "read", "--owner", "ann"]);
    let document = world.run(&["revoke", "demo", "--yes", "--json", "--reason", "left"]).ok().json();
    assert_eq!((&document["changed"], &document["count"]), (&json!(true), &json!(1)));
    assert_eq!(document["tokens"][0]["status"], "revoked");
    assert_eq!(world.verify(&secret, &[]), (3, "revoked demo".into()));

    let token = world.show("demo");
    assert_eq!((&token["owner"], &token["scopes"]), (&json!("ann"), &json!(["read"])));
    assert_eq!(token["secrets"][0]["status"], "revoked");
    assert_eq!(world.names(&[]), [""; 0]);
    assert_eq!(world.names(&["--all"]), ["demo"]);
    assert_eq!(world.names(&["--status", "revoked"]), ["demo"]);

    let head = world.run(&["audit", "head"]).ok().out;
    for args in [
        &["enable", "demo"][..],
        &["disable", "demo"],
        &["edit", "demo", "--ttl", "90d"],
        &["rename", "demo", "new"],
        &["scopes", "add", "demo", "read"],
        &["scopes", "remove", "demo", "read"],
        &["scopes", "set", "demo", "read"],
    ] {
        world.refuses(args, 5, "revoked");
    }
    let again = world.run(&["revoke", "demo", "--yes", "--json"]).ok().json();
    assert_eq!((&again["changed"], &again["tokens"][0]["changed"]), (&json!(false), &json!(false)));
    assert_eq!(world.run(&["audit", "head"]).ok().out, head);
    world.wait(400 * DAY);
    assert_eq!(world.verify(&secret, &[]), (3, "revoked demo".into()), "not merely expired");
}

#[test]
fn after_a_revocation_another_token_can_have_the_name() {
    let world = World::new();
    let old = world.create("demo", &[]);
    let id = world.show("demo")["id"].as_str().expect("the id is a string").to_owned();
    world.run(&["revoke", "demo", "--yes"]).ok();
    let new = world.create("demo", &["--if-missing"]);
    assert_eq!(world.verify(&old, &[]), (3, "revoked demo".into()));
    world.assert_valid(&new, "demo");
    // The id refers to the revoked token, and the name to the new one.
    assert_eq!(world.show(&id)["status"], "revoked");
    world.run(&["revoke", &id, "--yes"]).ok();
    assert_eq!(world.verify(&new, &[]).0, 0);
    world.run(&["revoke", "demo", "--yes"]).ok();
    assert_eq!(world.verify(&new, &[]), (3, "revoked demo".into()));
    world.run(&["doctor"]).ok();
}

#[test]
fn revoking_works_even_if_the_clock_is_wrong() {
    let world = World::new();
    let secret = world.create("demo", &[]);
    world.wait(DAY);
    world.run(&["edit", "demo", "--owner", "ann"]).ok();
    world.wait(-DAY);
    world.refuses(&["create", "new"], 6, "clock");
    world.run(&["revoke", "demo", "--yes"]).ok();
    assert_eq!(world.verify(&secret, &[]), (3, "revoked demo".into()));
    assert_eq!(world.run(&["audit", "verify"]).code, 0);
}

#[test]
fn the_question_about_one_token_contains_its_owner_and_last_use() {
    let mut world = World::new();
    let secret = world.create("used", &["--owner", "ann"]);
    world.create("unused", &[]);
    world.verify(&secret, &[]);
    world.wait(3 * DAY);
    world.at_terminal(&[Answer::No, Answer::No, Answer::No]);
    for args in [&["used"][..], &["unused"], &["used", "unused"]] {
        world.run(&[&["revoke"], args].concat()).exit(130);
    }
    let asked = [
        "revoke `used` (owner: ann, last used 3 days ago)?",
        "revoke `unused` (no owner, no use recorded)?",
        "revoke 2 tokens (`used`, `unused`)?",
    ];
    assert_eq!(*world.asked.borrow(), asked);
}

//! Tests of `disable`, which makes tokens invalid until they are enabled again.

use serde_json::json;

use crate::support::{DAY, World};

#[test]
fn a_disabled_token_is_refused_until_it_is_enabled() {
    let world = World::new();
    let secret = world.create("demo", &["--no-expiry"]);
    let other = world.create("other", &[]);
    let document = world.run(&["disable", "demo", "--json", "--reason", "leak?"]).ok().json();
    let mut token = world.show("demo");
    let events = token.as_object_mut().and_then(|it| it.remove("events")).expect("events");
    assert_eq!(token["status"], "disabled");
    token["changed"] = json!(true);
    token["error"] = json!(null);
    assert_eq!(document, json!({"changed": true, "dry_run": false, "count": 1, "tokens": [token]}));
    assert_eq!(events[2]["reason"], "leak?");

    assert_eq!(world.verify(&secret, &[]), (3, "disabled demo".into()));
    world.assert_valid(&other, "other");
    world.refuses(&["create", "demo"], 5, "name_taken");
    assert_eq!(world.names(&[]), ["demo", "other"], "a disabled token is still listed");
    world.run(&["enable", "demo"]).ok();
    world.assert_valid(&secret, "demo");
}

#[test]
fn an_expired_or_pending_token_can_be_disabled_and_enabled() {
    let world = World::new();
    let past = world.create("past", &["--ttl", "1h"]);
    let pending = world.create("pending", &["--not-before", "30d"]);
    world.wait(DAY);
    for (name, secret, status) in [("past", past, "expired"), ("pending", pending, "not_yet_valid")] {
        assert_eq!(world.verify(&secret, &[]).1, format!("{status} {name}"));
        world.run(&["disable", name]).ok();
        assert_eq!(world.verify(&secret, &[]).1, format!("disabled {name}"));
        world.run(&["enable", name]).ok();
        assert_eq!(world.verify(&secret, &[]).1, format!("{status} {name}"));
    }
}

#[test]
fn disabling_works_even_if_the_clock_is_wrong() {
    let world = World::new();
    let secret = world.create("demo", &[]);
    world.wait(DAY);
    world.run(&["edit", "demo", "--owner", "ann"]).ok();
    world.wait(-301);
    world.refuses(&["edit", "demo", "--owner", "bob"], 6, "clock");
    world.run(&["disable", "demo"]).ok();
    assert_eq!(world.verify(&secret, &[]).0, 3);
    assert_eq!(world.run(&["audit", "verify"]).code, 0);
}

#[test]
fn a_change_with_a_wrong_clock_does_not_make_later_changes_accept_it() {
    let world = World::new();
    world.create("demo", &[]);
    let secret = world.create("other", &[]);
    world.wait(DAY);
    world.run(&["edit", "demo", "--owner", "ann"]).ok();
    let time = world.last_event()["time"].clone();
    world.wait(-301);
    for change in [&["disable", "demo"][..], &["revoke", "other", "--yes"]] {
        world.run(change).ok();
        assert_eq!((&world.last_event()["action"], &world.last_event()["time"]), (&change[0].into(), &time));
        world.refuses(&["create", "new"], 6, "clock");
    }
    assert_eq!(world.verify(&secret, &[]), (3, "revoked other".into()));
    // If an administrator accepts the clock, it counts as correct from then on.
    world.run(&["edit", "demo", "--owner", "bob", "--accept-clock"]).ok();
    world.run(&["create", "new"]).ok();
    world.run(&["audit", "verify"]).ok();
}

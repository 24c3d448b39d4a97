//! Tests of `edit`, which changes the properties of tokens but not their secrets.

use std::rc::Rc;

use serde_json::{Value, json};

use crate::support::{Answer, DAY, HOSTILE, HOUR, World, assert_token_keys};

#[test]
fn every_flag_sets_or_clears_its_field() {
    let world = World::with_store();
    world.create("demo", &[]);
    let cases: [(&[&str], &str, Value); 16] = [
        (&["-d", " text "], "description", json!("text")),
        (&["--owner", "ann"], "owner", json!("ann")),
        (&["--icon", "⚙️"], "icon", json!("⚙️")),
        (&["-l", "env=prod", "-l", "a/b=c", "--allow-widen"], "labels", json!({"env": "prod", "a/b": "c"})),
        (&["-l", "env="], "labels", json!({"a/b": "c"})),
        (&["--rotate-every", "30d"], "rotate_every", json!(30 * DAY)),
        (&["--grace", "12h"], "grace", json!(12 * HOUR)),
        (&["--not-before", "2026-12-24"], "not_before", json!("2026-12-24T00:00:00Z")),
        (&["--not-before", "1d"], "not_before", json!("2026-11-23T12:00:00Z")),
        (&["-d", ""], "description", Value::Null),
        (&["--owner", " "], "owner", Value::Null),
        (&["--icon", ""], "icon", Value::Null),
        (&["--grace", ""], "grace", Value::Null),
        (&["--rotate-every", "never"], "rotate_every", Value::Null),
        (&["--not-before", ""], "not_before", Value::Null),
        (&["-l", "a/b="], "labels", json!({})),
    ];
    for (args, key, expected) in cases {
        let ran = world.run(&[&["edit", "demo"], args].concat()).ok();
        assert!(ran.out.is_empty() && ran.err.starts_with("edited `demo`\n  "), "{args:?}: {}", ran.err);
        assert_eq!(world.show("demo")[key], expected, "{args:?}");
    }
    assert_eq!(world.actions().iter().filter(|action| *action == "edit").count(), 16);
}

#[test]
fn an_edit_prints_each_field_with_its_old_and_new_value() {
    let world = World::with_store();
    world.create("a", &["--owner", "ann", "-l", "env=prod", "--ttl", "60d"]);
    world.create("b", &["--owner", "bob", "--ttl", "90d"]);
    let ran =
        world.run(&["edit", "a", "b", "--owner", "bob", "--ttl", "90d", "-l", "env=", "-d", "text"]).ok();
    let expected = "edited `a`
  description: +text
  owner: ann → bob
  labels: -env=prod
  expires_at: 2027-01-21T12:00:00Z → 2027-02-20T12:00:00Z
  ttl: 60d → 90d
edited `b`
  description: +text
";
    assert_eq!((&*ran.out, &*ran.err), ("", expected));
    assert_eq!(world.run(&["edit", "b", "-d", "text"]).ok().err, "`b` has these values already\n");
    assert_eq!(world.run(&["edit", "b", "-d", "other", "--quiet"]).ok().err, "");
}

#[test]
fn a_new_lifetime_starts_now() {
    let world = World::with_store();
    let secret = world.create("demo", &["--ttl", "5d"]);
    world.wait(10 * DAY);
    assert_eq!(world.verify(&secret, &[]), (3, "expired demo".to_owned()));
    let until = "2026-12-31T23:59:59Z";
    let cases: [(&[&str], Value, Value, Value); 4] = [
        (&["--ttl", "90d", "--revive"], json!("2027-03-02T12:00:00Z"), json!(90 * DAY), Value::Null),
        (&["--expires", "2026-12-31"], json!(until), Value::Null, json!(until)),
        (&["--no-expiry"], Value::Null, Value::Null, Value::Null),
        (&["--ttl", "1h"], json!("2026-12-02T13:00:00Z"), json!(HOUR), Value::Null),
    ];
    for (args, expires, ttl, until) in cases {
        world.run(&[&["edit", "demo"], args].concat()).ok();
        let shown = world.show("demo");
        assert_eq!(
            (&shown["expires_at"], &shown["ttl"], &shown["until"]),
            (&expires, &ttl, &until),
            "{args:?}"
        );
        assert_eq!(shown["secrets"][0]["expires_at"], expires);
        world.assert_valid(&secret, "demo");
    }
    world.wait(HOUR);
    assert_eq!(world.verify(&secret, &[]), (3, "expired demo".to_owned()));
}

#[test]
fn a_previous_secret_never_expires_after_the_current_one() {
    let world = World::with_store();
    world.create("demo", &[]);
    world.run(&["rotate", "demo", "--grace", "10d"]).ok();
    let ends = |args: &[&str]| {
        world.run(&[&["edit", "demo"], args].concat()).ok();
        let secrets = world.show("demo")["secrets"].take();
        [secrets[0]["expires_at"].clone(), secrets[1]["expires_at"].clone()]
    };
    assert_eq!(ends(&["--ttl", "20d"]), ["2026-12-02T12:00:00Z", "2026-12-12T12:00:00Z"]);
    assert_eq!(ends(&["--expires", "2026-11-24"]), ["2026-11-24T23:59:59Z"; 2]);
    assert_eq!(ends(&["--no-expiry"]), [json!("2026-11-24T23:59:59Z"), Value::Null]);
}

#[test]
fn invalid_input_changes_nothing() {
    let world = World::with_store();
    world.create("demo", &["--ttl", "60d", "--rotate-every", "30d", "--owner", "ann"]);
    let long = "x".repeat(1_001);
    let cases: [&[&str]; 25] = [
        &[],
        &["--allow-widen"],
        &["--reason", "why"],
        &["-d", &long],
        &["--owner", &long],
        &["--icon", "ab"],
        &["-l", ""],
        &["-l", "env"],
        &["-l", "=prod"],
        &["--ttl", ""],
        &["--ttl", "0s"],
        &["--ttl", "5"],
        &["--ttl", "30d"],
        &["--ttl", "1d", "--no-expiry"],
        &["--ttl", "1d", "--expires", "2030-01-01"],
        &["--expires", "30d"],
        &["--expires", "2026-11-21"],
        &["--not-before", "soon"],
        &["--not-before", "2027-06-01"],
        &["--rotate-every", "0d"],
        &["--rotate-every", "24h"],
        &["--rotate-every", "60d"],
        &["--grace", "never mind"],
        &["--grace", "30d"],
        &["--scope", "admin"],
    ];
    for args in cases {
        world.refuses(&[&["edit", "demo"], args].concat(), 2, "usage");
    }
    for text in HOSTILE {
        for flag in [
            "-d",
            "--owner",
            "--icon",
            "-l",
            "--ttl",
            "--expires",
            "--not-before",
            "--rotate-every",
            "--grace",
        ] {
            world.refuses(&["edit", "demo", flag, text], 2, "usage");
        }
    }
    world.refuses(&["edit", "--owner", "ann"], 2, "usage");
    world.refuses(&["edit", "", "--owner", "ann"], 2, "usage");
}

#[test]
fn the_requirements_of_the_store_apply_to_edits() {
    let world = World::with_store();
    world.create("demo", &["--owner", "ann", "-d", "x", "--ttl", "20d"]);
    world.run(&["settings", "require-owner", "true"]).ok();
    world.run(&["settings", "require-description", "true"]).ok();
    world.run(&["settings", "max-ttl", "30d"]).ok();
    for args in [&["--owner", ""], &["-d", ""], &["--ttl", "31d"], &["--expires", "2026-12-23"]] {
        world.refuses(&[&["edit", "demo"], &args[..]].concat(), 5, "policy");
    }
    world.refuses(&["edit", "demo", "--no-expiry"], 5, "policy");
    world.run(&["edit", "demo", "--ttl", "30d", "--owner", "bob"]).ok();
}

#[test]
fn several_tokens_are_changed_together_or_not_at_all() {
    let world = World::with_store();
    for name in ["a", "b", "revoked"] {
        world.create(name, &[]);
    }
    world.run(&["revoke", "revoked", "-y"]).ok();
    let id = world.show("a")["id"].as_str().unwrap().to_owned();
    world.refuses(&["edit", "a", "nobody", "b", "--owner", "ann"], 4, "not_found");
    world.refuses(&["edit", "a", "revoked", "--owner", "ann"], 5, "revoked");
    world.run(&["edit", "b", "--owner", "ann"]).ok();
    let document =
        world.run(&["edit", "a", "b", &id, "--owner", "ann", "--json", "--reason", "r"]).ok().json();
    let keys: Vec<_> = document.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["changed", "count", "dry_run", "tokens"]);
    assert_eq!((&document["changed"], &document["count"]), (&json!(true), &json!(2)));
    assert_eq!(document["dry_run"], false);
    let tokens = document["tokens"].as_array().unwrap();
    for (token, (name, changed)) in tokens.iter().zip([("a", true), ("b", false)]) {
        assert_token_keys(token, &["changed", "error"]);
        assert_eq!((&token["name"], &token["changed"]), (&json!(name), &json!(changed)));
        assert_eq!((&token["owner"], &token["error"]), (&json!("ann"), &Value::Null));
    }
    assert_eq!(world.show("a")["events"][2]["reason"], "r");
    let before = world.bytes();
    let again = world.run(&["edit", "a", "b", "--owner", "ann", "--json"]).ok().json();
    assert_eq!((&again["changed"], &again["count"]), (&json!(false), &json!(2)));
    world.run(&["edit", "a", "b", "--owner", "ann"]).ok();
    assert!(world.bytes() == before);
}

#[test]
fn adding_or_changing_a_label_needs_allow_widen_and_removing_one_does_not() {
    let world = World::with_store();
    for name in ["a", "b"] {
        world.create(name, &["-l", "env=prod", "-l", "old=1"]);
    }
    for args in [&["-l", "env=dev"][..], &["-l", "role=admin"], &["-l", "env=dev", "--yes"]] {
        let failure = world.refuses(&[&["edit", "a"], args].concat(), 2, "input_needed");
        assert!(failure["hint"].as_str().unwrap().contains("--allow-widen"), "{failure}");
    }
    for free in [&["-l", "env=prod"][..], &["-l", "old="], &["-l", "none="], &["--owner", "ann"]] {
        world.run(&[&["edit", "a", "b"], free].concat()).ok();
    }
    world.run(&["edit", "a", "-l", "env=dev", "-l", "role=admin", "--allow-widen"]).ok();
    assert_eq!(world.show("a")["labels"], json!({"env": "dev", "role": "admin"}));
    assert_eq!(world.show("b")["labels"], json!({"env": "prod"}));
}

#[test]
fn at_a_terminal_the_user_must_confirm_that_tokens_gain_labels() {
    let mut world = World::with_store();
    for name in ["a", "b"] {
        world.create(name, &[]);
    }
    world.create("labelled", &["-l", "env=prod"]);
    let before = world.bytes();
    world.at_terminal(&[Answer::No, Answer::CtrlC, Answer::Yes]);
    let all = ["edit", "a", "b", "labelled", "-l", "env=prod"];
    world.refuses_once(&all, 130, "declined");
    world.refuses_once(&[&all[..], &["--yes"]].concat(), 130, "interrupted");
    assert!(world.bytes() == before);
    world.refuses_once(&[&all[..], &["--no-input"]].concat(), 2, "input_needed");
    world.run(&all).ok();
    let asked = world.asked.borrow();
    assert_eq!(asked.len(), 3);
    for question in asked.iter() {
        assert!(question.starts_with("adding or changing a label: 2 tokens gain `env=prod` ("), "{question}");
        assert!(question.ends_with("). Go on?") && !question.contains("labelled"), "{question}");
    }
    assert_eq!(world.show("a")["labels"], json!({"env": "prod"}));
}

#[test]
fn a_widening_that_grew_during_the_question_needs_another_confirmation() {
    let mut world = World::with_store();
    world.create("a", &[]);
    world.create("b", &["-l", "env=prod"]);
    world.at_terminal(&[Answer::Yes, Answer::No]);
    let world = Rc::new(world);
    let other = Rc::clone(&world);
    *world.meanwhile.borrow_mut() = Some(Box::new(move || {
        other.run(&["edit", "b", "-l", "env="]).ok();
    }));
    world.run(&["edit", "a", "b", "-l", "env=prod"]).exit(130);
    let asked = world.asked.borrow();
    assert_eq!(asked[0], "adding or changing a label: 1 token gains `env=prod` (`a`). Go on?");
    assert!(asked[1].starts_with("adding or changing a label: 2 tokens gain `env=prod` ("), "{asked:?}");
    assert_eq!(world.show("a")["labels"], json!({}));
}

#[test]
fn an_edit_does_not_disturb_a_delivery_in_progress() {
    for (args, expires) in [
        (&["--owner", "ann"][..], "2027-02-20T12:00:00Z"),
        (&["--expires", "2026-12-01"], "2026-12-01T23:59:59Z"),
    ] {
        let world = Rc::new(World::with_store());
        let other = Rc::clone(&world);
        let ran = world.run_while(&["create", "demo"], move || {
            other.run(&[&["edit", "demo"], args].concat()).ok();
        });
        world.assert_valid(ran.ok().line(), "demo");
        assert_eq!(world.show("demo")["expires_at"], expires, "{args:?}");
    }
}

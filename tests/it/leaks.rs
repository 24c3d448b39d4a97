//! `revoke --previous` and `revoke --secret-file`, for secrets that have leaked.

use std::rc::Rc;

use serde_json::{Value, json};

use crate::support::{Answer, DAY, HOUR, Ran, World, assert_token_keys};

/// Revokes the secret, which is passed on stdin.
#[track_caller]
fn leaked(world: &World, secret: &str) -> Ran {
    world.run_with(&["revoke", "--secret-file", "-", "--yes", "--json"], secret.as_bytes())
}

/// A token with a previous and a current secret.
fn rotated() -> (World, String, String) {
    let world = World::new();
    let old = world.create("demo", &["--ttl", "90d"]);
    world.wait(DAY);
    let new = world.rotate("demo", &[]);
    (world, old, new)
}

/// Fails unless the document contains exactly one token. Returns whether it was changed, and its status.
#[track_caller]
fn only_token(ran: &Ran) -> (bool, String) {
    let document = ran.json();
    let keys: Vec<_> = document.as_object().expect("it is an object").keys().collect();
    assert_eq!(keys, ["changed", "count", "dry_run", "tokens"]);
    assert_eq!((&document["count"], &document["dry_run"]), (&json!(1), &json!(false)));
    let token = &document["tokens"][0];
    assert_token_keys(token, &["changed", "error"]);
    assert_eq!((&token["changed"], &token["error"]), (&document["changed"], &Value::Null));
    (token["changed"] == true, token["status"].as_str().expect("the status is a string").to_owned())
}

#[test]
fn a_leaked_current_secret_revokes_its_token() {
    let (world, old, new) = rotated();
    assert_eq!(only_token(&leaked(&world, &new).ok()), (true, "revoked".to_owned()));
    for secret in [&old, &new] {
        assert_eq!(world.verify(secret, &[]), (3, "revoked demo".to_owned()));
    }
    assert_eq!(world.actions().last().expect("there is an event"), "revoke");
    // Both secrets are revoked, so nothing is left to change.
    let bytes = world.bytes();
    for secret in [&old, &new] {
        assert_eq!(only_token(&leaked(&world, secret).ok()), (false, "revoked".to_owned()));
    }
    assert!(world.bytes() == bytes, "the store was changed");
}

#[test]
fn a_leaked_previous_secret_is_revoked_alone() {
    let (world, old, new) = rotated();
    let ran = leaked(&world, &old).ok();
    assert_eq!(only_token(&ran), (true, "active".to_owned()));
    let secrets = ran.json()["tokens"][0]["secrets"].clone();
    assert_eq!(
        (secrets.as_array().expect("`secrets` is an array").len(), &secrets[0]["role"]),
        (1, &json!("current"))
    );
    assert_eq!(world.verify(&old, &[]), (3, "revoked demo".to_owned()));
    world.assert_valid(&new, "demo");
    let bytes = world.bytes();
    assert_eq!(only_token(&leaked(&world, &old).ok()), (false, "active".to_owned()));
    assert!(world.bytes() == bytes, "the store was changed");
    world.run(&["audit", "verify"]).ok();
}

#[test]
fn only_the_leaked_one_of_several_previous_secrets_is_revoked() {
    let (world, first, second) = rotated();
    let third = world.rotate("demo", &[]);
    leaked(&world, &second).ok();
    assert_eq!(world.verify(&first, &[]), (0, "valid demo previous".to_owned()));
    assert_eq!(world.verify(&second, &[]).0, 3);
    world.assert_valid(&third, "demo");
}

#[test]
fn a_leaked_provisional_secret_revokes_its_token_and_stops_the_delivery() {
    let world = Rc::new(World::of_processes());
    let old = world.mint("demo");
    let script = "cat >got; tokenctl revoke --secret-file got --yes";
    for (args, left) in [(["create", "new"], 0), (["rotate", "demo"], 1)] {
        let ran = world.shell(&format!("tokenctl {} --exec '{script}'", args.join(" "))).exit(7);
        assert!(ran.err.contains("revoked"), "{}", ran.err);
        let provisional = std::fs::read_to_string(world.path("got")).expect("the file can be read");
        assert_eq!(provisional.len(), 42);
        assert_eq!(world.real(&["verify"], provisional.as_bytes()).exit(3).line(), "unknown");
        let shown = world.look_at(args[1]);
        assert_eq!(shown["status"], "revoked");
        assert_eq!(shown["secrets"].as_array().expect("`secrets` is an array").len(), left);
    }
    assert_eq!(world.real(&["verify"], old.as_bytes()).exit(3).line(), "revoked demo");
    world.assert_intact();
}

#[test]
fn expired_secrets_are_not_changed() {
    let (world, old, new) = rotated();
    world.wait(DAY);
    let bytes = world.bytes();
    assert_eq!(only_token(&leaked(&world, &old).ok()), (false, "active".to_owned()));
    world.wait(90 * DAY);
    assert_eq!(only_token(&leaked(&world, &new).ok()), (false, "expired".to_owned()));
    assert!(world.bytes() == bytes, "the store was changed");
    // Nothing would be changed, so there is no question.
    world.run_with(&["revoke", "--secret-file", "-"], old.as_bytes()).ok();
}

#[test]
fn an_unknown_secret_is_not_found_and_a_malformed_one_is_a_usage_error() {
    let world = World::with_store();
    let secret = world.create("demo", &[]);
    let args = ["revoke", "--secret-file", "-", "--yes"];
    world.refuses_with(&args, b"a-secret-that-nobody-knows-here", 4, "not_found");
    let typo = format!("{}x", &secret[..41]);
    for malformed in ["", "short", "\n", "two words of sixteen", &"x".repeat(513), &typo] {
        world.refuses_with(&args, malformed.as_bytes(), 2, "usage");
    }
    let file = world.write("secret", &format!("{secret}\n"));
    for more in [
        &["demo"][..],
        &["--owner", "ann"],
        &["--status", "active"],
        &["--previous"],
        &["--secret-file", &file],
    ] {
        world.refuses_with(&[&args, more].concat(), secret.as_bytes(), 2, "usage");
    }
    world.refuses(&["revoke", "--secret-file", &world.path("missing"), "-y"], 1, "io");
    world.refuses(&["revoke", "--secret-file", &file], 2, "input_needed");
    let failure = world.refuses_with(&["revoke", &secret, "-y"], b"", 2, "secret_as_argument");
    assert!(!failure.to_string().contains(&secret), "{failure}");
    world.assert_valid(&secret, "demo");
}

#[test]
fn a_leaked_secret_is_read_from_a_file_or_from_stdin() {
    for (before, after) in
        [("", ""), ("", "\n"), ("", "\r\n"), ("", " \n\n"), ("Bearer ", "\n"), ("\n\t", "\t")]
    {
        let world = World::new();
        let (a, b) = (world.create("a", &[]), world.create("b", &[]));
        let file = world.write("secret", &format!("{before}{a}{after}"));
        let ran = world.run(&["revoke", "--secret-file", &file, "-y"]).ok();
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", "revoked `a`\n"));
        let input = format!("{before}{b}{after}");
        world.run_with(&["revoke", "--secret-file", "-", "-y"], input.as_bytes()).ok();
        assert!(world.names(&[]).is_empty());
    }
}

#[test]
fn a_dry_run_or_a_negative_answer_revokes_nothing() {
    let (mut world, _, new) = rotated();
    let file = world.write("secret", &new);
    let bytes = world.bytes();
    let ran = world.run(&["revoke", "--secret-file", &file, "--dry-run", "--json"]).ok();
    assert_eq!((&ran.json()["changed"], &ran.json()["dry_run"]), (&json!(false), &json!(true)));
    assert_eq!(ran.json()["tokens"][0]["name"], "demo");
    world.at_terminal(&[Answer::No]);
    world.run(&["revoke", "--secret-file", &file]).exit(130);
    assert!(world.bytes() == bytes, "the store was changed");
    assert_eq!(world.asked.borrow().len(), 1);
}

#[test]
fn previous_revokes_only_previous_secrets() {
    let (world, first, second) = rotated();
    let third = world.rotate("demo", &[]);
    let ran = world.run(&["revoke", "demo", "--previous", "--yes", "--json"]).ok();
    assert_eq!(only_token(&ran), (true, "active".to_owned()));
    for secret in [&first, &second] {
        assert_eq!(world.verify(secret, &[]), (3, "revoked demo".to_owned()));
    }
    world.assert_valid(&third, "demo");
    let bytes = world.bytes();
    let again = world.run(&["revoke", "demo", "--previous", "--json"]).ok();
    assert_eq!(only_token(&again), (false, "active".to_owned()));
    assert!(world.bytes() == bytes, "the store was changed");
    assert_eq!(world.show("demo")["status"], "active");
    // Later rotations work as before.
    let fourth = world.rotate("demo", &[]);
    assert_eq!(world.verify(&third, &[]), (0, "valid demo previous".to_owned()));
    world.assert_valid(&fourth, "demo");
}

#[test]
fn messages_about_previous_secrets_mention_only_the_secrets() {
    let (world, old, _) = rotated();
    let ran = world.run_with(&["revoke", "--secret-file", "-", "-y"], old.as_bytes()).ok();
    assert_eq!(ran.err, "revoked a previous secret of `demo`\n");
    let (mut world, old, _) = rotated();
    world.at_terminal(&[Answer::Yes]);
    let ran = world.run(&["revoke", "demo", "--previous"]).ok();
    assert_eq!(*world.asked.borrow(), ["revoke the previous secrets of `demo`?"]);
    assert_eq!(ran.err, "revoked the previous secrets of `demo`\n");
    let ran = world.run(&["revoke", "demo", "--previous"]).ok();
    assert_eq!(ran.err, "`demo` had nothing left to be revoked\n");
    let file = world.write("secret", &old);
    let ran = world.run(&["revoke", "--secret-file", &file]);
    assert_eq!(ran.ok().err, "`demo` had nothing left to be revoked\n");
}

#[test]
fn previous_can_be_combined_with_names_and_filters() {
    let world = World::new();
    let mut old = Vec::new();
    for name in ["a", "b", "c"] {
        old.push(world.create(name, &["--owner", if name == "c" { "bob" } else { "ann" }]));
        world.rotate(name, &[]);
    }
    world.wait(HOUR);
    world.refuses(&["revoke", "--previous"], 2, "usage");
    world.refuses(&["revoke", "--previous", "--owner", "ann"], 2, "input_needed");
    world.refuses(&["revoke", "--previous", "--owner", "ann", "-y", "--expect", "3"], 5, "count_differs");
    world.refuses(&["revoke", "--previous", "a", "nobody", "-y"], 4, "not_found");
    let ran = world.run(&["revoke", "--previous", "--owner", "ann", "-y", "--json"]).ok();
    assert_eq!(ran.json()["count"], 2);
    let answers: Vec<_> = old.iter().map(|secret| world.verify(secret, &[]).1).collect();
    assert_eq!(answers, ["revoked a", "revoked b", "valid c previous"]);
    assert_eq!(world.names(&[]), ["a", "b", "c"]);
}

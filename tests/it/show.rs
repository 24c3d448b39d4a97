//! Tests of `show`, which prints everything about a token except its secrets.

use crate::support::{DAY, HOUR, MINUTE, World, assert_token_keys};

#[test]
fn the_page_of_a_token_shows_everything() {
    let world = World::with_store();
    world.define(&["events:read", "admin"]);
    let args = "-s admin,events:read -l env=prod -l a=b --owner ann --icon 🔑 --ttl 60d --not-before 2d \
        --rotate-every 30d --grace 12h --reason start -d";
    let secret = world.create("demo", &args.split_whitespace().chain(["Deploys"]).collect::<Vec<_>>());
    world.wait(3 * DAY);
    world.verify(&secret, &["-s", "admin"]);
    world.wait(HOUR);
    world.run(&["disable", "demo", "--reason", "leak?"]).ok();
    world.wait(5 * MINUTE);
    let shown = world.show("demo");
    let expected = format!(
        "\
🔑 demo  disabled
  id           {}
  description  Deploys
  owner        ann
  labels       a=b, env=prod
  created      2026-11-22T12:00:00Z (3 days ago) by tester
  expires      2027-01-21T12:00:00Z (in 57 days)
  valid from   2026-11-24T12:00:00Z (25 hours ago)
  lifetime     60d for every new secret
  rotation     every 30d
  due          2026-12-22T12:00:00Z (in 27 days)
  grace        12h
  last used    2026-11-25T12:00:00Z (65 minutes ago)
  disabled     2026-11-25T13:00:00Z (5 minutes ago)
scopes
  admin        required 65 minutes ago
  events:read  -
secrets
  {}  current  disabled  expires in 57 days  used 65 minutes ago
events
  2026-11-22T12:00:00Z  create   tester  start
  2026-11-25T13:00:00Z  disable  tester  leak?
",
        shown["id"].as_str().unwrap(),
        shown["secrets"][0]["hint"].as_str().unwrap(),
    );
    let ran = world.run(&["show", "demo"]).ok();
    assert_eq!((ran.out, ran.err), (expected, String::new()));
    assert_eq!(shown["secrets"][0]["last_used_at"], "2026-11-25T12:00:00Z");
    assert_eq!(shown["last_used_at"], "2026-11-25T12:00:00Z");
}

#[test]
fn the_document_contains_the_token_and_its_last_ten_events() {
    let world = World::new();
    world.create("demo", &["--no-expiry"]);
    world.create("other", &[]);
    for at in 0..12 {
        world.wait(MINUTE);
        world.run(&["edit", "demo", "--owner", &at.to_string(), "--reason", &format!("r{at}")]).ok();
    }
    let shown = world.show("demo");
    assert_token_keys(&shown, &["events"]);
    let secret = shown["secrets"][0].as_object().unwrap();
    let keys: Vec<_> = secret.keys().collect();
    assert_eq!(keys, ["created_at", "expires_at", "hint", "last_used_at", "refused_at", "role", "status"]);
    let events = shown["events"].as_array().unwrap();
    let reasons: Vec<_> = events.iter().map(|event| event["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11"]);
    let log = world.run(&["audit", "--json"]).ok().json();
    assert_eq!(log.as_array().unwrap().last(), events.last());
    let keys: Vec<_> = events[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["action", "actor", "changes", "hash", "reason", "row_digest", "seq", "time", "token"]);
}

#[test]
fn expired_and_revoked_secrets_are_in_show_but_not_in_list() {
    let world = World::new();
    world.create("expired", &["--ttl", "1h"]);
    world.create("revoked", &[]);
    world.run(&["revoke", "revoked", "-y"]).ok();
    world.wait(HOUR);
    for name in ["expired", "revoked"] {
        let shown = world.show(name);
        assert_eq!((&shown["status"], &shown["secrets"][0]["status"]), (&name.into(), &name.into()));
        let list = world.run(&["list", "--json", "--status", name]).ok().json();
        let secrets = list[0]["secrets"].as_array().unwrap();
        assert!(secrets.is_empty(), "{name}: {secrets:?}");
    }
}

#[test]
fn a_token_can_be_given_by_name_id_start_of_id_or_hint() {
    let world = World::new();
    world.create("demo", &[]);
    let shown = world.show("demo");
    let (id, hint) = (shown["id"].as_str().unwrap(), shown["secrets"][0]["hint"].as_str().unwrap());
    // A name takes precedence over the start of an id.
    for reference in [id, &id[..6], hint, &hint.replace('…', "...")] {
        assert_eq!(world.show(reference), shown, "{reference}");
    }
    for reference in [&id[..5], "Demo", "demo ", "dem", "tkn_", "…", "…\u{202e}", "x\nEVIL", "' OR 1=1 --"]
    {
        world.refuses(&["show", reference], 4, "not_found");
    }
    world.create(&id[..6], &["--owner", "ann"]);
    assert_eq!(world.show(&id[..6])["owner"], "ann");
    world.refuses(&["show", ""], 2, "usage");
    world.refuses(&["show"], 2, "usage");
    world.refuses(&["show", "demo", id], 2, "usage");
}

#[test]
fn a_name_refers_to_the_token_that_is_not_revoked_and_is_ambiguous_otherwise() {
    let world = World::new();
    let mut ids = Vec::new();
    for _ in 0..2 {
        world.create("demo", &[]);
        ids.push(world.show("demo")["id"].as_str().unwrap().to_owned());
        world.run(&["revoke", "demo", "-y"]).ok();
    }
    let failure = world.refuses(&["show", "demo"], 4, "ambiguous");
    for id in &ids {
        assert!(failure["message"].as_str().unwrap().contains(&**id), "{failure}");
        assert_eq!(world.show(id)["status"], "revoked");
    }
    world.create("demo", &[]);
    assert_eq!(world.show("demo")["status"], "active");
}

#[test]
fn a_hint_or_start_of_an_id_that_two_tokens_share_is_ambiguous() {
    let world = World::new();
    for name in ["a", "b"] {
        world.create(name, &[]);
    }
    world.sql("UPDATE tokens SET id = 'abcdef00000' || row; UPDATE secret SET hint = 'tkn_AbCd…'");
    for reference in ["tkn_AbCd…", "abcdef"] {
        let failure = world.refuses(&["show", reference], 4, "ambiguous");
        let message = format!("`{reference}` means 2 tokens: abcdef000001, abcdef000002");
        assert_eq!(failure["message"], message);
    }
}

#[test]
fn ten_old_secrets_are_listed_and_the_others_are_counted() {
    let world = World::new();
    world.create("demo", &["--no-expiry"]);
    let listed = || {
        let page = world.run(&["show", "demo"]).ok().out;
        let (_, secrets) = page.split_once("secrets\n").expect("the secrets");
        let (secrets, _) = secrets.split_once("events\n").expect("the events");
        let lines: Vec<String> = secrets.lines().map(str::to_owned).collect();
        (lines.len(), lines.last().cloned().unwrap_or_default())
    };
    for _ in 0..10 {
        world.rotate("demo", &["--now"]);
    }
    assert_eq!(listed().0, 11);
    for _ in 0..5 {
        world.rotate("demo", &["--now"]);
    }
    let more = "  and 5 more that have expired or were revoked".to_owned();
    assert_eq!(listed(), (12, more));
    world.rotate("demo", &["--grace", "1h"]);
    assert_eq!(listed().0, 13);
    world.run(&["revoke", "demo", "--yes"]).ok();
    assert_eq!(listed(), (11, "  and 7 more that have expired or were revoked".to_owned()));
    assert_eq!(world.show("demo")["secrets"].as_array().unwrap().len(), 17);
}

#[test]
fn the_page_shows_ten_events_without_confirmations_and_the_document_shows_the_last_ten() {
    let world = World::new();
    world.create("demo", &["--no-expiry"]);
    for _ in 0..300 {
        world.rotate("demo", &["--now"]);
    }
    let page = world.run(&["show", "demo"]).ok().out;
    let (_, events) = page.split_once("events\n").expect("the events");
    assert_eq!(events, "  2026-11-22T12:00:00Z  rotate  tester\n".repeat(10));
    let document = world.show("demo");
    let actions: Vec<_> = document["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["rotate", "confirm"].repeat(5));
}

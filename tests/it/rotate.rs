//! Tests of `rotate`, which gives a token a new secret. The old one remains valid for a grace period.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::rc::Rc;

use serde_json::{Value, json};

use crate::support::{Answer, DAY, HOUR, MINUTE, Ran, START, World, assert_token_keys, time};

/// A policy by which a token is due every 30 days.
const MONTHLY: [&str; 6] = ["--ttl", "90d", "--rotate-every", "30d", "--grace", "24h"];

/// The role and the expiry of every secret of a token, the oldest first.
#[track_caller]
fn expiries(world: &World, name: &str) -> Vec<(String, Value)> {
    let shown = world.show(name);
    let role = |secret: &Value| secret["role"].as_str().expect("the role is a string").to_owned();
    let secrets = shown["secrets"].as_array().expect("`secrets` is an array");
    secrets.iter().map(|secret| (role(secret), secret["expires_at"].clone())).collect()
}

#[test]
fn the_new_secret_is_current_and_the_old_one_works_during_its_grace_period() {
    let world = World::new();
    let old = world.create("demo", &["--ttl", "90d"]);
    let id = world.show("demo")["id"].as_str().unwrap().to_owned();
    world.wait(10 * DAY);
    let ran = world.run(&["rotate", "demo"]).ok();
    let new = ran.line();
    assert_eq!((ran.out.as_str(), new.len()), (format!("{new}\n").as_str(), 42));
    assert_eq!(
        ran.err,
        format!(
            "rotated `demo` ({id}), expires 2027-03-02T12:00:00Z (in 3 months)\n\
             the previous secret expires 2026-12-03T12:00:00Z (in 24 hours)\n\
             this secret is shown once; keep it now\n\
             use it: curl -H \"Authorization: Bearer $TOKEN\" https://…\n"
        )
    );
    assert_ne!(old, new);
    world.assert_valid(new, "demo");
    assert_eq!(world.verify(&old, &[]), (0, "valid demo previous".to_owned()));
    world.wait(DAY - 1);
    assert_eq!(world.verify(&old, &[]), (0, "valid demo previous".to_owned()));
    world.wait(1);
    assert_eq!(world.verify(&old, &[]), (3, "superseded demo".to_owned()));
    world.assert_valid(new, "demo");
    assert_eq!(world.actions(), ["init", "init", "create", "confirm", "rotate", "confirm"]);
}

#[test]
fn the_document_contains_the_confirmed_token_and_its_secret() {
    let world = World::new();
    world.create("demo", &[&MONTHLY[..], &["--owner", "ann"]].concat());
    let before = world.show("demo");
    world.wait(10 * DAY);
    let ran = world.run(&["rotate", "demo", "--json", "--reason", "ticket 7"]).ok();
    assert_eq!(ran.err, "");
    let mut document = ran.json();
    assert_token_keys(&document, &["changed", "secret"]);
    let secret = document["secret"].take();
    world.assert_valid(secret.as_str().unwrap(), "demo");
    let now = START + 10 * DAY;
    let mut expected = before.clone();
    let changes = json!({
        "changed": true, "secret": null, "expires_at": time(now + 90 * DAY), "rotated_at": time(now),
        "due_at": time(now + 30 * DAY),
        "destination": null,
        "hook": null,
        "secrets": [
            {
                "hint": before["secrets"][0]["hint"], "role": "previous", "status": "active",
                "created_at": time(START), "expires_at": time(now + DAY), "last_used_at": null,
                "refused_at": null,
            },
            {
                "hint": format!("{}…", &secret.as_str().unwrap()[..8]), "role": "current", "status": "active",
                "created_at": time(now), "expires_at": time(now + 90 * DAY), "last_used_at": null,
                "refused_at": null,
            },
        ],
    });
    expected.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    expected.as_object_mut().unwrap().remove("events");
    assert_eq!(document, expected);
    let shown = world.show("demo");
    assert_eq!(shown["events"].as_array().unwrap().len(), 4);
    assert_eq!(shown["events"][2]["reason"], "ticket 7");
}

#[test]
fn a_previous_secret_expires_at_the_earliest_of_three_instants() {
    // The flags of the token, how long to wait, the flags of the rotation, and how long the old secret still works.
    let cases: [(&[&str], i64, &[&str], i64); 9] = [
        (&["--ttl", "90d"], DAY, &[], DAY),
        (&["--no-expiry"], DAY, &[], DAY),
        (&["--ttl", "90d", "--grace", "2h"], DAY, &[], 2 * HOUR),
        (&["--ttl", "90d", "--grace", "2h"], DAY, &["--grace", "3h"], 3 * HOUR),
        // The expiry of the old secret.
        (&["--ttl", "90d"], 90 * DAY - HOUR, &[], HOUR),
        (&["--ttl", "1h"], 0, &["--grace", "2d"], HOUR),
        // The expiry of the new secret.
        (&["--ttl", "90d"], DAY, &["--ttl", "30m"], 30 * MINUTE),
        (&["--no-expiry"], DAY, &["--ttl", "30m", "--grace", "1h"], 30 * MINUTE),
        (&["--ttl", "90d"], DAY, &["--now"], 0),
    ];
    for (token, wait, rotation, left) in cases {
        let world = World::new();
        let old = world.create("demo", token);
        world.wait(wait);
        let now = world.now();
        let new = world.rotate("demo", rotation);
        let case = format!("{token:?} {rotation:?}");
        assert_eq!(expiries(&world, "demo")[0], ("previous".to_owned(), time(now + left)), "{case}");
        world.assert_valid(&new, "demo");
        world.wait((left - 1).max(0));
        let before = if left > 0 { (0, "valid demo previous") } else { (3, "superseded demo") };
        assert_eq!(world.verify(&old, &[]), (before.0, before.1.to_owned()), "{case}");
        world.wait(1);
        assert_eq!(world.verify(&old, &[]).0, 3, "{case}");
    }
    let world = World::new();
    world.create("demo", &[]);
    world.run(&["settings", "grace", "3h"]).ok();
    world.rotate("demo", &[]);
    assert_eq!(expiries(&world, "demo")[0].1, time(START + 3 * HOUR));
}

#[test]
fn a_rotation_does_not_extend_earlier_secrets() {
    let world = World::new();
    let first = world.create("demo", &["--ttl", "1h"]);
    world.wait(2 * HOUR);
    let second = world.rotate("demo", &["--ttl", "10d", "--grace", "2d", "--revive"]);
    assert_eq!(expiries(&world, "demo")[0].1, time(START + HOUR));
    assert_eq!(world.verify(&first, &[]).0, 3);
    world.wait(HOUR);
    let third = world.rotate("demo", &["--ttl", "10d", "--grace", "2d"]);
    world.wait(HOUR);
    // A longer grace period applies only to the secret that is replaced, not to earlier ones.
    let fourth = world.rotate("demo", &["--ttl", "10d", "--grace", "5d"]);
    let role = |role: &str, end: i64| (role.to_owned(), time(START + end));
    assert_eq!(
        expiries(&world, "demo"),
        [
            role("previous", HOUR),
            role("previous", 3 * HOUR + 2 * DAY),
            role("previous", 4 * HOUR + 5 * DAY),
            role("current", 4 * HOUR + 10 * DAY),
        ]
    );
    for previous in [&second, &third] {
        assert_eq!(world.verify(previous, &[]), (0, "valid demo previous".to_owned()));
    }
    let listed = world.run(&["list", "--json"]).ok().json();
    assert_eq!(listed[0]["secrets"].as_array().unwrap().len(), 3, "`list` shows no expired secret");
    let fifth = world.rotate("demo", &["--now"]);
    for secret in [&first, &second, &third, &fourth] {
        assert_eq!(world.verify(secret, &[]).0, 3);
    }
    assert_eq!(expiries(&world, "demo")[0], role("previous", HOUR));
    world.assert_valid(&fifth, "demo");
}

#[test]
fn no_previous_secret_expires_after_the_new_one() {
    let world = World::new();
    let first = world.create("demo", &["--no-expiry"]);
    let second = world.rotate("demo", &["--grace", "10d"]);
    let third = world.rotate("demo", &["--ttl", "1h"]);
    world.wait(HOUR);
    assert_eq!(world.show("demo")["status"], "expired");
    for secret in [&first, &second, &third] {
        assert_eq!(world.verify(secret, &[]).0, 3, "{:?}", expiries(&world, "demo"));
    }
}

#[test]
fn a_grace_period_excludes_now_and_must_be_shorter_than_the_interval() {
    let world = World::new();
    world.create("demo", &MONTHLY);
    world.refuses(&["rotate", "demo", "--grace", "1h", "--now"], 2, "usage");
    world.refuses(&["rotate", "demo", "--grace", "30d"], 2, "usage");
    world.refuses(&["rotate", "demo", "--grace", "soon"], 2, "usage");
    world.rotate("demo", &["--grace", "29d"]);
}

#[test]
fn a_new_secret_has_the_lifetime_of_its_token() {
    let world = World::new();
    let end = |name: &str| world.show(name)["expires_at"].clone();
    world.create("ttl", &["--ttl", "90d"]);
    world.create("until", &["--expires", "2027-03-01"]);
    world.create("endless", &["--no-expiry"]);
    world.wait(10 * DAY);
    for name in ["ttl", "until", "endless"] {
        world.rotate(name, &[]);
    }
    assert_eq!(end("ttl"), time(START + 100 * DAY));
    assert_eq!(end("until"), "2027-03-01T23:59:59Z");
    assert_eq!(end("endless"), Value::Null);
    // A flag applies only to this secret. The next one has the lifetime of the token again.
    for (flags, expected) in [
        (&["--ttl", "5d"][..], time(START + 15 * DAY)),
        (&["--expires", "2027-01-01"], json!("2027-01-01T23:59:59Z")),
        (&["--no-expiry"], Value::Null),
    ] {
        world.rotate("ttl", flags);
        let shown = world.show("ttl");
        assert_eq!((&shown["expires_at"], &shown["ttl"]), (&expected, &json!(90 * DAY)), "{flags:?}");
        assert_eq!(shown["until"], Value::Null);
    }
    world.rotate("ttl", &[]);
    assert_eq!(end("ttl"), time(START + 100 * DAY));
    world.rotate("until", &["--ttl", "5d"]);
    assert_eq!(end("until"), time(START + 15 * DAY));
    for flags in [&["--ttl", "1y"][..], &["--expires", "2027-03-02"], &["--no-expiry"]] {
        world.refuses(&[&["rotate", "until"], flags].concat(), 5, "policy");
    }
    for flags in [
        &["--ttl", "0s"][..],
        &["--expires", "90d"],
        &["--expires", "2026-11-01"],
        &["--ttl", "1d", "--no-expiry"],
    ] {
        world.refuses(&[&["rotate", "ttl"], flags].concat(), 2, "usage");
    }
}

#[test]
fn a_token_cannot_be_rotated_after_its_fixed_expiry() {
    let world = World::new();
    world.create("demo", &["--expires", "2026-11-30"]);
    world.wait(9 * DAY);
    for flags in [&[][..], &["--ttl", "1d"], &["--no-expiry"]] {
        let failure = world.refuses(&[&["rotate", "demo"], flags].concat(), 5, "policy");
        assert!(failure["hint"].as_str().unwrap().contains("tokenctl edit"), "{failure}");
    }
    world.run(&["edit", "demo", "--ttl", "30d", "--revive"]).ok();
    world.rotate("demo", &[]);
    assert_eq!(world.show("demo")["expires_at"], time(START + 39 * DAY));
}

#[test]
fn the_longest_allowed_lifetime_applies_to_rotations() {
    let world = World::new();
    world.create("ttl", &["--ttl", "90d"]);
    world.create("endless", &["--no-expiry"]);
    world.run(&["settings", "max-ttl", "30d"]).ok();
    for args in [
        &["ttl"][..],
        &["endless"],
        &["ttl", "--ttl", "31d"],
        &["ttl", "--no-expiry"],
        &["ttl", "--expires", "2026-12-31"],
    ] {
        world.refuses(&[&["rotate"], args].concat(), 5, "policy");
    }
    world.rotate("ttl", &["--ttl", "30d"]);
    assert_eq!(world.show("ttl")["expires_at"], time(START + 30 * DAY));
}

#[test]
fn revoked_and_disabled_tokens_cannot_be_rotated() {
    let world = World::new();
    for name in ["revoked", "disabled"] {
        world.create(name, &[]);
    }
    world.run(&["revoke", "revoked", "-y"]).ok();
    world.run(&["disable", "disabled"]).ok();
    world.refuses(&["rotate", "revoked"], 5, "revoked");
    let failure = world.refuses(&["rotate", "disabled"], 5, "policy");
    assert!(failure["hint"].as_str().unwrap().contains("tokenctl enable"), "{failure}");
    world.refuses(&["rotate", "nobody"], 4, "not_found");
    world.refuses(&["rotate"], 2, "usage");
    world.refuses(&["rotate", ""], 2, "usage");
    world.run(&["enable", "disabled"]).ok();
    world.rotate("disabled", &[]);
}

#[test]
fn an_expired_a_pending_and_an_adopted_token_can_be_rotated() {
    let world = World::new();
    let expired = world.create("expired", &["--ttl", "1h"]);
    world.wait(HOUR);
    assert_eq!(world.verify(&expired, &[]), (3, "expired expired".to_owned()));
    let new = world.rotate("expired", &["--revive"]);
    world.assert_valid(&new, "expired");
    assert_eq!(world.verify(&expired, &[]).0, 3);

    world.create("pending", &["--not-before", "2d"]);
    let new = world.rotate("pending", &[]);
    assert_eq!(world.verify(&new, &[]), (3, "not_yet_valid pending".to_owned()));
    world.wait(2 * DAY);
    world.assert_valid(&new, "pending");

    let legacy = "a-secret-from-elsewhere-0123456789abcdef";
    world.run_with(&["adopt", "adopted"], legacy.as_bytes()).ok();
    let new = world.rotate("adopted", &[]);
    assert!(new.starts_with("tkn_"));
    world.assert_valid(&new, "adopted");
    assert_eq!(world.verify(legacy, &[]), (0, "valid adopted previous".to_owned()));
}

#[test]
fn a_token_can_be_given_by_id_prefix_or_hint() {
    let world = World::new();
    world.create("demo", &[]);
    let shown = world.show("demo");
    let (id, hint) = (shown["id"].as_str().unwrap(), shown["secrets"][0]["hint"].as_str().unwrap());
    for reference in [id, &id[..6], hint] {
        let new = world.rotate(reference, &["--now"]);
        world.assert_valid(&new, "demo");
    }
}

#[test]
fn a_failed_delivery_does_not_change_the_old_secret() {
    let world = World::new();
    let old = world.create("demo", &["--ttl", "90d"]);
    let before = world.show("demo");
    world.wait(HOUR);
    for (args, limit) in [(&["rotate", "demo"][..], 20), (&["rotate", "demo", "--now", "--json"], 30)] {
        let ran = world.run_failing(args, limit, io::ErrorKind::BrokenPipe).exit(7);
        assert!(ran.err.contains("nothing was changed"), "{}", ran.err);
    }
    world.run(&["rotate", "demo", "--exec", "cat >/dev/null; exit 9"]).exit(7);
    world.run(&["rotate", "demo", "--out", &world.path("missing/file")]).exit(7);
    let after = world.show("demo");
    for key in ["secrets", "expires_at", "rotated_at", "status"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    world.assert_valid(&old, "demo");
    let rolled_back = ["rotate", "rollback"].repeat(3);
    assert_eq!(world.actions(), [&["init", "init", "create", "confirm"], &rolled_back[..]].concat());
    world.run(&["audit", "verify"]).ok();
}

/// Runs another command while a rotation of `demo` is in progress. Returns the results of the command and of the
/// rotation.
fn meanwhile(world: &Rc<World>, args: &'static [&str]) -> (Ran, Ran) {
    let did = Rc::new(RefCell::new(None));
    let (other, result) = (Rc::clone(world), Rc::clone(&did));
    let ran = world.run_while(&["rotate", "demo"], move || {
        other.wait(MINUTE);
        *result.borrow_mut() = Some(other.run(args));
    });
    let did = did.borrow_mut().take().expect("the command was run");
    (did, ran)
}

#[test]
fn the_second_of_two_simultaneous_rotations_is_refused() {
    let world = Rc::new(World::new());
    let old = world.create("demo", &[]);
    let (second, first) = meanwhile(&world, &["rotate", "demo", "--json"]);
    let failure = second.failure();
    assert_eq!((second.code, &failure["code"]), (5, &json!("under_way")), "{failure}");
    let expected = format!(
        "`demo` is being delivered by process {} of uid {} since 2026-11-22T12:00:00Z",
        std::process::id(),
        world.uid
    );
    assert_eq!(failure["message"], expected);
    assert_eq!(failure["hint"], "wait until 2026-11-22T12:10:00Z at the latest");
    let first = first.ok();
    world.assert_valid(first.line(), "demo");
    assert_eq!(world.verify(&old, &[]), (0, "valid demo previous".to_owned()));
    // The grace period starts with the confirmation.
    assert_eq!(expiries(&world, "demo")[0].1, time(START + MINUTE + DAY));
}

#[test]
fn a_pending_rotation_can_be_replaced() {
    let world = Rc::new(World::new());
    let old = world.create("demo", &[]);
    let (second, first) = meanwhile(&world, &["rotate", "demo", "--replace-pending"]);
    let second = second.ok();
    assert_eq!(first.code, 7, "{first:?}");
    assert!(first.err.contains("taken over"), "{}", first.err);
    assert_eq!(world.verify(first.line(), &[]), (3, "unknown".to_owned()));
    world.assert_valid(second.line(), "demo");
    assert_eq!(world.verify(&old, &[]), (0, "valid demo previous".to_owned()));
    assert_eq!(world.show("demo")["secrets"].as_array().unwrap().len(), 2);
    world.run(&["audit", "verify"]).ok();
    // If no delivery is pending, it is an ordinary rotation.
    world.rotate("demo", &["--replace-pending"]);
}

#[test]
fn other_changes_do_not_disturb_a_rotation() {
    let commands: [&'static [&str]; 4] = [
        &["disable", "demo"],
        &["rename", "demo", "renamed"],
        &["edit", "demo", "--owner", "ann"],
        &["edit", "demo", "--ttl", "10d"],
    ];
    for args in commands {
        let world = Rc::new(World::new());
        world.create("demo", &[]);
        let (other, first) = meanwhile(&world, args);
        other.ok();
        let (secret, name) = (first.ok().out, if args[0] == "rename" { "renamed" } else { "demo" });
        world.run(&["enable", name]).ok();
        assert_eq!(world.verify(&secret, &[]), (0, format!("valid {name}")), "{args:?}");
        world.run(&["audit", "verify"]).ok();
    }
    let world = Rc::new(World::new());
    let old = world.create("demo", &[]);
    let (other, first) = meanwhile(&world, &["revoke", "demo", "--yes"]);
    other.ok();
    assert_eq!(first.code, 7, "{first:?}");
    assert!(first.err.contains("revoked"), "{}", first.err);
    assert_eq!(world.verify(&old, &[]), (3, "revoked demo".to_owned()));
    assert_eq!(world.verify(first.line(), &[]), (3, "unknown".to_owned()));
}

#[test]
fn a_token_that_is_not_due_is_not_rotated() {
    let world = World::new();
    world.create("demo", &MONTHLY);
    world.create("unruled", &[]);
    world.wait(30 * DAY - 1);
    let bytes = world.bytes();
    let ran = world.run(&["rotate", "demo", "--due"]).ok();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", "`demo` is not due; nothing was changed\n"));
    let document = world.run(&["rotate", "demo", "--due", "--json"]).ok().json();
    assert_token_keys(&document, &["changed", "secret"]);
    assert_eq!((&document["changed"], &document["secret"]), (&json!(false), &Value::Null));
    // The destination is not even checked if the token is not due.
    let missing = world.path("missing/file");
    world.run(&["rotate", "demo", "--due", "--out", &missing]).ok();
    world.run(&["rotate", "unruled", "--due", "--exec", "false"]).ok();
    assert!(world.bytes() == bytes, "the store was changed");
    world.wait(1);
    world.run(&["rotate", "demo", "--due", "--out", &missing]).exit(7);
    let new = world.run(&["rotate", "demo", "--due"]).ok();
    world.assert_valid(new.line(), "demo");
    assert_eq!(world.run(&["rotate", "demo", "--due"]).ok().out, "");
}

#[test]
fn a_token_that_is_not_due_needs_no_stdout() {
    let world = World::of_processes();
    world.real(&[&["create", "demo"], &MONTHLY[..]].concat(), b"").ok();
    let bytes = world.bytes();
    for redirection in [">/dev/null", ">&-", ">/dev/full"] {
        let ran = world.shell(&format!("tokenctl rotate demo --due {redirection}")).ok();
        assert_eq!(ran.err, "`demo` is not due; nothing was changed\n", "{redirection}");
    }
    assert!(world.bytes() == bytes, "the store was changed");
}

/// Two tokens that are due, one of which has expired since, and one token of every kind that is not due.
fn a_month_later() -> World {
    let world = World::new();
    world.create("b-due", &MONTHLY);
    world.create("a-expired", &["--ttl", "31d", "--rotate-every", "30d"]);
    for name in ["revoked", "disabled"] {
        world.create(name, &MONTHLY);
    }
    world.create("pending", &[&MONTHLY[..], &["--not-before", "40d"]].concat());
    world.create("past-until", &["--expires", "2026-12-20", "--rotate-every", "20d"]);
    world.create("unruled", &[]);
    world.wait(DAY);
    world.run(&["revoke", "revoked", "-y"]).ok();
    world.run(&["disable", "disabled"]).ok();
    world.wait(29 * DAY);
    world.create("young", &MONTHLY);
    world.wait(DAY);
    world
}

#[test]
fn exactly_the_due_tokens_are_rotated() {
    let world = a_month_later();
    let dir = world.directory("out");
    let ran = world.run(&["rotate", "--due", "--out-dir", &dir]).ok();
    assert_eq!(ran.out, "a-expired\nb-due\n");
    let warning = "warning: `a-expired` had expired at 2026-12-23T12:00:00Z; the rotation revived it\n";
    assert_eq!(ran.err, format!("{warning}rotated `a-expired`\nrotated `b-due`\n"));
    let mut files: Vec<_> =
        fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, ["a-expired", "b-due"]);
    for name in files {
        world.assert_file_holds(&format!("{dir}/{name}"), &format!("valid {name}"));
    }
    // A second run has nothing to do and prints nothing.
    let bytes = world.bytes();
    for args in [&["--out-dir", &dir][..], &["--exec", "false"]] {
        let ran = world.run(&[&["rotate", "--due"], args].concat()).ok();
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
    }
    assert!(world.bytes() == bytes, "the store was changed");
    let quiet = world.run(&["rotate", "--due", "--exec", "false", "--json"]).ok();
    assert_eq!(quiet.json(), json!({"changed": false, "dry_run": false, "count": 0, "tokens": []}));
}

#[test]
fn missed_runs_cause_only_one_rotation() {
    let world = World::new();
    let dir = world.directory("out");
    world.create("demo", &MONTHLY);
    let run = || world.run(&["rotate", "--due", "--out-dir", &dir, "-q"]).ok().out;
    // Although two runs were missed, there is only one rotation, and the next one is due a whole interval later.
    world.wait(75 * DAY);
    assert_eq!((run(), run()), ("demo\n".to_owned(), String::new()));
    world.wait(15 * DAY);
    assert_eq!(run(), "");
    world.wait(15 * DAY);
    assert_eq!(run(), "demo\n");
    // The file contains an older secret of the token, so it is replaced each time.
    world.wait(120 * DAY);
    assert_eq!(world.show("demo")["status"], "expired");
    assert_eq!(run(), "demo\n");
    world.assert_file_holds(&format!("{dir}/demo"), "valid demo");
}

#[test]
fn one_failed_rotation_does_not_stop_the_others() {
    for json in [false, true] {
        let world = World::new();
        let dir = world.directory("out");
        for name in ["a", "b", "c"] {
            world.create(name, &MONTHLY);
        }
        world.wait(30 * DAY);
        world.write("out/b", "something else");
        let args = ["rotate", "--due", "--out-dir", &dir];
        if json {
            let ran = world.run(&[&args[..], &["--json"]].concat()).exit(5);
            assert_eq!(ran.failure()["code"], "not_replaced");
            let document = ran.json();
            let keys: Vec<_> = document.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["changed", "count", "dry_run", "tokens"]);
            assert_eq!((&document["changed"], &document["count"]), (&json!(true), &json!(3)));
            let tokens = document["tokens"].as_array().unwrap();
            for (token, (name, changed)) in tokens.iter().zip([("a", true), ("b", false), ("c", true)]) {
                assert_token_keys(token, &["changed", "error"]);
                assert_eq!((&token["name"], &token["changed"]), (&json!(name), &json!(changed)));
                assert_eq!(token["error"].is_null(), changed, "{token}");
                assert!(changed != token["rotated_at"].is_null(), "{token}");
            }
            let error = tokens[1]["error"].as_object().unwrap();
            assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "exit", "hint", "message"]);
            assert_eq!((&error["code"], &error["exit"]), (&json!("not_replaced"), &json!(5)));
        } else {
            let ran = world.run(&args).exit(5);
            assert_eq!(ran.out, "a\nc\n");
            let path = fs::canonicalize(&dir).unwrap().join("b");
            let why = format!(
                "`{}` exists and does not contain a secret of this token; nothing was changed",
                path.display()
            );
            let expected = format!(
                "rotated `a`\nrotated `c`\nerror: `b`: {why}\nhint: pass `--force` to replace what it holds\n\
                 error: 1 of 3 tokens could not be rotated\n"
            );
            assert_eq!(ran.err, expected);
        }
        assert_eq!(fs::read_to_string(format!("{dir}/b")).unwrap(), "something else");
        // The next run rotates the rest.
        let again = world.run(&[&args[..], &["--force"]].concat()).ok();
        assert_eq!(again.out, "b\n");
    }
}

#[test]
fn a_requirement_of_the_store_stops_only_the_tokens_that_break_it() {
    let world = World::new();
    world.create("long", &["--ttl", "90d", "--rotate-every", "30d"]);
    world.create("short", &["--ttl", "40d", "--rotate-every", "30d"]);
    world.run(&["settings", "max-ttl", "40d"]).ok();
    world.wait(30 * DAY);
    let ran = world.run(&["rotate", "--due", "--exec", "cat >/dev/null"]).exit(5);
    assert_eq!(ran.out, "short\n");
    assert!(ran.err.contains("`long`: the lifetime is longer than this store allows"), "{}", ran.err);
}

#[test]
fn two_simultaneous_runs_share_the_due_tokens() {
    let world = Rc::new(World::new());
    let dir = world.directory("out");
    for name in ["a", "b", "c"] {
        world.create(name, &MONTHLY);
    }
    world.wait(30 * DAY);
    let (other, second) = (Rc::clone(&world), Rc::new(RefCell::new(None)));
    let result = Rc::clone(&second);
    let args = ["rotate", "--due", "--out-dir", &dir];
    let command: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    // The second run starts after the first has rotated `a` and before it rotates `b`.
    let first = world.run_while(&args, move || {
        let args: Vec<&str> = command.iter().map(String::as_str).collect();
        *result.borrow_mut() = Some(other.run(&args));
    });
    assert_eq!(first.ok().out, "a\n");
    assert_eq!(second.borrow_mut().take().unwrap().ok().out, "b\nc\n");
    for name in ["a", "b", "c"] {
        world.assert_file_holds(&format!("{dir}/{name}"), &format!("valid {name}"));
        assert_eq!(world.show(name)["secrets"].as_array().unwrap().len(), 2);
    }
    // A delivery by another run is not a failure of this run.
    world.wait(30 * DAY);
    let (other, second) = (Rc::clone(&world), Rc::new(RefCell::new(None)));
    let result = Rc::clone(&second);
    world
        .run_while(&["rotate", "a", "--due"], move || {
            *result.borrow_mut() = Some(other.run(&["rotate", "--due", "--exec", "cat >/dev/null"]));
        })
        .ok();
    assert_eq!(second.borrow_mut().take().unwrap().ok().out, "b\nc\n");
}

#[test]
fn due_can_be_combined_with_a_filter_or_names() {
    let world = World::new();
    world.create("ann", &[&MONTHLY[..], &["--owner", "ann"]].concat());
    world.create("bob", &[&MONTHLY[..], &["--owner", "bob"]].concat());
    world.create("unruled", &["--owner", "ann"]);
    world.wait(30 * DAY);
    let ran = world.run(&["rotate", "--due", "--owner", "ann", "--exec", "cat >/dev/null"]).ok();
    assert_eq!(ran.out, "ann\n");
    let named = world.run(&["rotate", "--due", "ann", "bob", "unruled", "--exec", "cat >/dev/null"]).ok();
    assert_eq!((named.out.as_str(), named.err.as_str()), ("", "rotated `bob`\n"));
}

#[test]
fn several_tokens_need_separate_destinations() {
    let world = World::new();
    let dir = world.directory("out");
    for name in ["a", "b"] {
        world.create(name, &["--owner", "ann"]);
    }
    let file = world.path("file");
    for args in [
        &["a", "b", "--out", &file][..],
        &["a", "b", "--stdout"],
        &["--due", "--env-file", &file, "--env-name", "TOKEN"],
        &["--due", "--out-dir", &dir, "--exec", "cat"],
        &["a", "--out-dir", &dir, "--out", &file],
        &["a", "b", "--exec", "cat", "--force"],
        &["a", "--owner", "ann", "--out-dir", &dir],
        &["--owner", "", "--out-dir", &dir],
    ] {
        world.refuses(&[&["rotate"], args].concat(), 2, "usage");
    }
    world.run(&["rotate", "--due"]).ok();
    let ran = world.run(&["rotate", "a", "b"]).exit(5);
    assert!(ran.err.starts_with("error: `a`: `a` has no destination\n"), "{}", ran.err);
    world.refuses(&["rotate", "a", "nobody", "--out-dir", &dir], 4, "not_found");
    assert!(fs::read_dir(&dir).unwrap().next().is_none());
    let ran = world.run(&["rotate", "a", "b", "a", "--out-dir", &dir]).ok();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", "rotated `a`\nrotated `b`\n"));
    for name in ["a", "b"] {
        world.assert_file_holds(&format!("{dir}/{name}"), &format!("valid {name}"));
    }
    let document = world.run(&["rotate", "b", "a", "--exec", "cat >/dev/null", "--json"]).ok().json();
    let names: Vec<_> = document["tokens"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!((names, &document["count"]), (vec![&json!("b"), &json!("a")], &json!(2)));
    world.run(&["rotate", "a", "--out-dir", &world.path("nowhere")]).exit(7);
}

#[test]
fn a_selection_by_filter_needs_a_confirmation() {
    let mut world = World::new();
    let dir = world.directory("out");
    for name in ["a", "b"] {
        world.create(name, &["--owner", "ann"]);
    }
    world.create("c", &[]);
    world.create("expired", &["--owner", "ann", "--ttl", "1h"]);
    world.wait(HOUR);
    let args = ["rotate", "--owner", "ann", "--out-dir", &dir];
    world.refuses(&args, 2, "input_needed");
    let ran = world.run(&[&args[..], &["--yes"]].concat()).ok();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", "rotated `a`\nrotated `b`\n"));
    let none = world.run(&["rotate", "--owner", "nobody", "--out-dir", &dir, "--json"]).ok();
    assert_eq!(none.json(), json!({"changed": false, "dry_run": false, "count": 0, "tokens": []}));
    world.at_terminal(&[Answer::No, Answer::Yes]);
    world.run(&args).exit(130);
    world.run(&args).ok();
    assert_eq!(*world.asked.borrow(), ["rotate 2 tokens?", "rotate 2 tokens?"]);
    // There is no question about tokens that are given by name.
    world.run(&["rotate", "a"]).ok();
    assert_eq!(world.asked.borrow().len(), 2);
}

#[test]
fn a_dry_run_shows_everything_and_changes_nothing() {
    let world = a_month_later();
    let bytes = world.bytes();
    let names = |ran: &Ran| -> Vec<String> {
        ran.out.lines().map(|line| line.split('\t').nth(1).expect("there is a name").to_owned()).collect()
    };
    for (args, expected) in [
        (&["--due"][..], &["a-expired", "b-due"][..]),
        (&["b-due"], &["b-due"]),
        (&["young", "b-due"], &["young", "b-due"]),
        (&["young", "b-due", "--due"], &["b-due"]),
        (&["young", "--due"], &[]),
        (&["--search", "due"], &["b-due"]),
    ] {
        let ran = world.run(&[&["rotate", "--dry-run", "--exec", "false"], args].concat()).ok();
        assert_eq!(names(&ran), expected, "{args:?}");
        assert_eq!(ran.err, format!("{} would be rotated; nothing was changed\n", expected.len()));
        let document =
            world.run(&[&["rotate", "-n", "--json", "--exec", "false"], args].concat()).ok().json();
        assert_eq!((&document["changed"], &document["dry_run"]), (&json!(false), &json!(true)));
        assert_eq!(document["count"], expected.len(), "{args:?}");
    }
    for args in [
        &["--due", "--exec", "false", "--expect", "3"][..],
        &["--due", "-n", "--exec", "false", "--expect", "1"],
        &["young", "b-due", "--exec", "false", "--expect", "1"],
        &["young", "--expect", "2"],
    ] {
        world.refuses(&[&["rotate"], args].concat(), 5, "count_differs");
    }
    assert!(world.bytes() == bytes, "the store was changed");
    let ran = world.run(&["rotate", "--due", "--expect", "2", "--exec", "cat >/dev/null"]).ok();
    assert_eq!(ran.out, "a-expired\nb-due\n");
    world.run(&["rotate", "young", "--expect", "1"]).ok();
}

#[test]
fn a_dry_run_fails_wherever_the_rotation_would_fail() {
    let world = World::new();
    for name in ["ended", "fine", "paused"] {
        world.create(name, &[]);
    }
    world.run(&["disable", "paused"]).ok();
    world.run(&["revoke", "ended", "--yes"]).ok();
    let real = world.run(&["rotate", "paused"]).exit(5);
    for args in [&["paused"][..], &["fine", "paused"]] {
        let ran = world.run(&[&["rotate", "--dry-run", "--exec", "false"], args].concat()).exit(5);
        let why =
            real.err.lines().next().and_then(|line| line.strip_prefix("error: ")).expect("there is an error");
        assert!(ran.err.contains(why), "{} {}", ran.err, real.err);
        assert_eq!(ran.out.lines().count(), args.len() - 1, "{}", ran.out);
    }
    let document = world.run(&["rotate", "-n", "fine", "paused", "--exec", "false", "--json"]).exit(5).json();
    assert_eq!(document["tokens"][1]["error"]["code"], "policy");
    let document = world.run(&["rotate", "-n", "ended", "--json"]).exit(5).json();
    assert_eq!(document["tokens"][0]["error"]["code"], "revoked");
}

#[test]
fn a_rotation_is_not_stopped_if_its_output_cannot_be_written() {
    let world = World::new();
    for name in ["a", "b"] {
        world.create(name, &MONTHLY);
    }
    world.wait(30 * DAY);
    let args = ["rotate", "--due", "--exec", "cat >/dev/null"];
    world.run_failing(&args, 0, io::ErrorKind::StorageFull).exit(1);
    for name in ["a", "b"] {
        assert_eq!(world.show(name)["rotated_at"], time(START + 30 * DAY));
    }
}

#[test]
fn the_page_of_a_token_shows_whether_the_previous_secret_is_still_used() {
    let world = World::new();
    let old = world.create("demo", &["--ttl", "90d"]);
    world.verify(&old, &[]);
    world.wait(DAY);
    let new = world.rotate("demo", &[]);
    let page = || world.run(&["show", "demo"]).ok().out;
    let rows = |page: &str| -> Vec<String> {
        let section = page.lines().skip_while(|line| *line != "secrets").skip(1).take(2);
        section.map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")).collect()
    };
    world.wait(HOUR);
    assert!(page().contains("rotated      2026-11-23T12:00:00Z (60 minutes ago)\n"), "{}", page());
    assert_eq!(
        rows(&page()),
        [
            "current active expires in 3 months -",
            "previous active expires in 23 hours used 25 hours ago, before the rotation"
        ]
    );
    world.verify(&new, &[]);
    world.verify(&old, &[]);
    world.wait(5 * MINUTE);
    assert_eq!(
        rows(&page()),
        [
            "current active expires in 3 months used 5 minutes ago",
            "previous active expires in 23 hours used 5 minutes ago, after the rotation"
        ]
    );
}

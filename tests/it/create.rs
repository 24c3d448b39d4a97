//! Tests of `create`, which creates a token and delivers its secret.

use std::rc::Rc;

use serde_json::{Value, json};

use crate::support::{Answer, DAY, HOSTILE, HOUR, MINUTE, World, assert_token_keys};

#[test]
fn a_secret_is_printed_once_and_never_listed() {
    let world = World::new();
    let secret = world.create("demo", &[]);
    assert!(secret.starts_with("tkn_") && secret.len() == 42, "{secret}");
    world.assert_valid(&secret, "demo");
    for args in
        [&["list", "--all"][..], &["show", "demo"], &["list", "--json"], &["audit", "--json"], &["doctor"]]
    {
        assert!(!world.run(args).ok().out.contains(&secret), "{args:?}");
    }
    for (name, bytes) in world.bytes() {
        assert!(!bytes.windows(secret.len()).any(|text| text == secret.as_bytes()), "{name:?}");
    }
}

#[test]
fn the_secret_is_printed_to_stdout_and_messages_to_stderr() {
    let world = World::new();
    let ran = world.run(&["create", "demo"]).ok();
    let secret = ran.line();
    assert_eq!(ran.out, format!("{secret}\n"));
    let path = world.dir.path().canonicalize().unwrap().join("store");
    let id = &world.show("demo")["id"];
    assert_eq!(
        ran.err,
        format!(
            "warning: created a new store at {}\n\
             created `demo` ({}), expires 2027-02-20T12:00:00Z (in 3 months)\n\
             the lifetime is the default, 90d; set another with --ttl, --expires or --no-expiry\n\
             this secret is shown once; keep it now\n\
             use it: curl -H \"Authorization: Bearer $TOKEN\" https://…\n",
            path.display(),
            id.as_str().unwrap()
        )
    );
    let given = world.run(&["create", "given", "--ttl", "1d"]).ok();
    assert!(!given.err.contains("default"), "{}", given.err);
    assert_eq!(world.run(&["create", "quiet", "-q"]).ok().err, "");
}

#[test]
fn create_stores_the_value_of_every_flag() {
    let world = World::with_store();
    world.define(&["events:read", "events:write", "admin"]);
    world.wait(HOUR);
    let args = "create ci --json -l env=prod -l team=a=b -s events:write,events:read -s admin --ttl 60d \
        --not-before 2d --rotate-every 30d --grace 12h --icon 🔑 --owner ann -d";
    let args: Vec<&str> =
        args.split_whitespace().chain(["Deploys, nightly", "--reason", "ticket 7"]).collect();
    let mut made = world.run(&args).ok().json();
    assert_token_keys(&made, &["changed", "secret"]);
    let secret = made["secret"].take();
    let id = made["id"].take();
    assert_eq!(world.show("ci")["id"], id);
    let expected = json!({
        "id": null, "name": "ci", "description": "Deploys, nightly", "owner": "ann", "icon": "🔑",
        "labels": {"env": "prod", "team": "a=b"}, "scopes": ["admin", "events:read", "events:write"],
        "status": "pending", "created_at": "2026-11-22T13:00:00Z", "created_by": "tester",
        "expires_at": "2027-01-21T13:00:00Z", "not_before": "2026-11-24T13:00:00Z", "ttl": 60 * DAY,
        "until": null, "rotate_every": 30 * DAY, "grace": 12 * HOUR, "rotated_at": null,
        "due_at": "2026-12-22T13:00:00Z", "destination": null, "hook": null, "allow_from": [],
        "last_used_at": null, "usage_since": "2026-11-22T12:00:00Z", "changed": true, "secret": null,
        "secrets": [{
            "hint": format!("{}…", &secret.as_str().unwrap()[..8]), "role": "current", "status": "pending",
            "created_at": "2026-11-22T13:00:00Z", "expires_at": "2027-01-21T13:00:00Z", "last_used_at": null,
            "refused_at": null,
        }],
    });
    assert_eq!(made, expected);
    let events = world.show("ci")["events"].as_array().unwrap().clone();
    let reasons: Vec<_> = events.iter().map(|it| (it["action"].as_str().unwrap(), &it["reason"])).collect();
    assert_eq!(reasons, [("create", &json!("ticket 7")), ("confirm", &Value::Null)]);
    assert_eq!(world.verify(secret.as_str().unwrap(), &[]), (3, "not_yet_valid ci".to_owned()));
    world.wait(2 * DAY);
    let scopes = ["-s", "events:read,admin", "-l", "env=prod"];
    assert_eq!(world.verify(secret.as_str().unwrap(), &scopes), (0, "valid ci".to_owned()));
}

#[test]
fn each_lifetime_flag_sets_when_the_secret_expires() {
    let world = World::with_store();
    let cases: [(&[&str], Value, Value, Value); 7] = [
        (&[], json!("2027-02-20T12:00:00Z"), json!(90 * DAY), Value::Null),
        (&["--ttl", "1mo"], json!("2026-12-22T12:00:00Z"), json!(30 * DAY), Value::Null),
        (&["--ttl", "100y"], json!("2126-10-29T12:00:00Z"), json!(36_500 * DAY), Value::Null),
        (
            &["--expires", "2027-01-31"],
            json!("2027-01-31T23:59:59Z"),
            Value::Null,
            json!("2027-01-31T23:59:59Z"),
        ),
        (
            &["--expires", "2027-01-31T12:00:00+02:00"],
            json!("2027-01-31T10:00:00Z"),
            Value::Null,
            json!("2027-01-31T10:00:00Z"),
        ),
        (
            &["--expires", "9999-12-31"],
            json!("9999-12-31T23:59:59Z"),
            Value::Null,
            json!("9999-12-31T23:59:59Z"),
        ),
        (&["--no-expiry"], Value::Null, Value::Null, Value::Null),
    ];
    for (at, (args, expires, ttl, until)) in cases.into_iter().enumerate() {
        let made = world.run(&[&["create", &format!("t{at}"), "--json"], args].concat()).ok().json();
        assert_eq!((&made["expires_at"], &made["ttl"], &made["until"]), (&expires, &ttl, &until), "{args:?}");
    }
    // A date means the end of that day in local time, which is five hours behind UTC here.
    let ran = run_in_zone(
        &world,
        "EST5",
        &["create", "zone", "--expires", "2030-01-31", "--not-before", "2029-01-31"],
    );
    assert_eq!(ran, ("2030-02-01T04:59:59Z".into(), "2029-01-31T05:00:00Z".into()));
}

fn run_in_zone(world: &World, zone: &str, args: &[&str]) -> (Value, Value) {
    let made = crate::support::run(world.program().env("TZ", zone).args(args).arg("--json"), b"").ok().json();
    (made["expires_at"].clone(), made["not_before"].clone())
}

#[test]
fn invalid_input_changes_nothing() {
    let world = World::with_store();
    world.create("taken", &[]);
    let long = "x".repeat(1_001);
    let cases: [(&[&str], i32, &str); 42] = [
        (&[], 2, "input_needed"),
        (&[""], 2, "usage"),
        (&["-a"], 2, "usage"),
        (&["a/b"], 2, "usage"),
        (&["a b"], 2, "usage"),
        (&["é"], 2, "usage"),
        (&[&long[..65]], 2, "usage"),
        (&["a", "b"], 2, "usage"),
        (&["taken"], 5, "name_taken"),
        (&["a", "-d", &long], 2, "usage"),
        (&["a", "--owner", &long], 2, "usage"),
        (&["a", "--reason", &long], 2, "usage"),
        (&["a", "--icon", "ab"], 2, "usage"),
        (&["a", "--icon", " "], 2, "usage"),
        (&["a", "--icon", "🔑🔑"], 2, "usage"),
        (&["a", "-l", ""], 2, "usage"),
        (&["a", "-l", "env"], 2, "usage"),
        (&["a", "-l", "env="], 2, "usage"),
        (&["a", "-l", "=x"], 2, "usage"),
        (&["a", "-l", "env=a", "-l", "env=b"], 2, "usage"),
        (&["a", "-s", ""], 2, "usage"),
        (&["a", "-s", "a,,b"], 2, "usage"),
        (&["a", "-s", "Admin"], 2, "usage"),
        (&["a", "-s", "admin", "--all-scopes"], 2, "usage"),
        (&["a", "-s", "admin"], 4, "not_found"),
        (&["a", "--ttl", ""], 2, "usage"),
        (&["a", "--ttl", "0d"], 2, "usage"),
        (&["a", "--ttl", "90"], 2, "usage"),
        (&["a", "--ttl", "-1d"], 2, "usage"),
        (&["a", "--ttl", "101y"], 2, "usage"),
        (&["a", "--ttl", "2027-01-31"], 2, "usage"),
        (&["a", "--expires", "90d"], 2, "usage"),
        (&["a", "--expires", "2026-11-21"], 2, "usage"),
        (&["a", "--expires", "2026-11-22T12:00:00Z"], 2, "usage"),
        (&["a", "--expires", "2027-02-29"], 2, "usage"),
        (&["a", "--expires", "2019-12-31"], 2, "usage"),
        (&["a", "--ttl", "1d", "--no-expiry"], 2, "usage"),
        (&["a", "--expires", "2027-01-31", "--no-expiry"], 2, "usage"),
        (&["a", "--not-before", "never"], 2, "usage"),
        (&["a", "--not-before", "10000-01-01"], 2, "usage"),
        (&["a", "--not-before", "90d"], 2, "usage"),
        (&["a", "--grace", "24"], 2, "usage"),
    ];
    for (args, exit, code) in cases {
        world.refuses(&[&["create"], args].concat(), exit, code);
    }
    for text in HOSTILE {
        world.refuses(&["create", text], 2, "usage");
        for flag in [
            "-d",
            "--owner",
            "--icon",
            "-l",
            "-s",
            "--ttl",
            "--expires",
            "--not-before",
            "--rotate-every",
            "--grace",
            "--reason",
        ] {
            world.refuses(&["create", "a", flag, text], 2, "usage");
        }
        world.refuses(&["create", "a", "-l", &format!("env={text}")], 2, "usage");
    }
    let hint = &world.refuses(&["create", "a", "--expires", "90d"], 2, "usage")["hint"];
    assert!(hint.as_str().unwrap().contains("`--ttl 90d`"), "{hint}");
}

#[test]
fn a_refused_first_create_leaves_no_store() {
    let world = World::new();
    let cases: [(&[&str], i32, &str); 4] = [
        (&["--ttl", "0d"], 2, "usage"),
        (&["--expires", "2026-01-01"], 2, "usage"),
        (&["-s", "admin"], 4, "not_found"),
        (&["--rotate-every", "12h"], 2, "usage"),
    ];
    for (args, exit, code) in cases {
        world.refuses(&[&["create", "a"], args].concat(), exit, code);
        assert!(!world.store().exists(), "{args:?}");
    }
}

#[test]
fn the_rotation_interval_must_be_longer_than_the_grace_period_and_shorter_than_the_lifetime() {
    let world = World::with_store();
    let cases: [(&[&str], bool); 10] = [
        (&["--rotate-every", "30d"], true),
        (&["--rotate-every", "25h"], true),
        (&["--rotate-every", "24h"], false),
        (&["--rotate-every", "24h", "--grace", "0s"], true),
        (&["--rotate-every", "0d", "--grace", "0s"], false),
        (&["--rotate-every", "90d"], false),
        (&["--rotate-every", "30d", "--ttl", "30d"], false),
        (&["--rotate-every", "30d", "--grace", "30d"], false),
        (&["--rotate-every", "200d", "--no-expiry"], true),
        (&["--rotate-every", "never"], false),
    ];
    for (at, (args, allowed)) in cases.into_iter().enumerate() {
        let name = format!("t{at}");
        let args = [&["create", &name], args].concat();
        if allowed {
            world.run(&args).ok();
        } else {
            world.refuses(&args, 2, "usage");
        }
    }
}

#[test]
fn a_value_that_breaks_a_requirement_is_refused_and_never_adjusted() {
    let world = World::with_store();
    world.run(&["settings", "max-ttl", "30d"]).ok();
    for args in [
        &[][..],
        &["--no-expiry"],
        &["--ttl", "31d"],
        &["--expires", "2026-12-23"],
        &["--expires", "2026-12-22T12:00:01Z"],
    ] {
        world.refuses(&[&["create", "a"], args].concat(), 5, "policy");
    }
    world.create("least", &["--ttl", "30d"]);
    world.create("dated", &["--expires", "2026-12-22T12:00:00Z"]);
    world.run(&["settings", "default-ttl", "7d"]).ok();
    world.create("default", &[]);
    assert_eq!(world.show("default")["ttl"], 7 * DAY);

    world.run(&["settings", "require-owner", "true"]).ok();
    world.run(&["settings", "require-description", "true"]).ok();
    for args in [&[][..], &["--owner", "ann"], &["-d", "x"], &["--owner", " ", "-d", "x"]] {
        world.refuses(&[&["create", "a"], args].concat(), 5, "policy");
    }
    world.create("a", &["--owner", "ann", "-d", "x"]);
}

#[test]
fn in_a_store_with_scopes_every_token_must_be_given_scopes() {
    let world = World::with_store();
    world.define(&["events:read", "events:write", "old"]);
    world.run(&["scopes", "retire", "old"]).ok();
    world.refuses(&["create", "a"], 2, "input_needed");
    world.refuses(&["create", "a", "--yes"], 2, "input_needed");
    let unknown = world.refuses(&["create", "a", "-s", "event:read"], 4, "not_found");
    assert_eq!(unknown["hint"], "did you mean `events:read`?");
    world.refuses(&["create", "a", "-s", "old"], 5, "policy");
    world.create("all", &["--all-scopes"]);
    world.define(&["later"]);
    assert_eq!(world.show("all")["scopes"], json!(["events:read", "events:write"]));
}

#[test]
fn at_a_terminal_the_user_is_prompted_for_scopes() {
    let mut world = World::with_store();
    world.define(&["admin", "events:read", "events:write"]);
    world.at_terminal(&[Answer::Choose(vec![0, 2]), Answer::Choose(vec![]), Answer::CtrlC]);
    world.create("a", &[]);
    assert_eq!(world.show("a")["scopes"], json!(["admin", "events:write"]));
    let before = world.bytes();
    // An empty selection is not accepted.
    let ran = world.run(&["create", "b"]).exit(130);
    assert!(ran.err.contains("no scope is marked"), "{ran:?}");
    assert_eq!(world.asked.borrow().len(), 3);
    world.run(&["create", "b", "--no-input"]).exit(2);
    assert_eq!(world.asked.borrow().len(), 3);
    assert!(world.bytes() == before);
}

#[test]
fn the_name_of_a_revoked_token_can_be_used_again() {
    let world = World::new();
    let first = world.create("demo", &[]);
    let taken = world.refuses(&["create", "demo"], 5, "name_taken");
    assert_eq!(taken["message"], "the name `demo` is taken");
    world.run(&["revoke", "demo", "-y"]).ok();
    let second = world.create("demo", &[]);
    assert_eq!(world.verify(&first, &[]), (3, "revoked demo".to_owned()));
    world.assert_valid(&second, "demo");
}

#[test]
fn if_missing_depends_on_the_status_of_the_token() {
    let world = World::with_store();
    world.create("active", &["--if-missing"]);
    world.create("pending", &["--not-before", "1d"]);
    world.create("disabled", &[]);
    world.run(&["disable", "disabled"]).ok();
    world.create("expired", &["--ttl", "1h"]);
    world.create("revoked", &[]);
    world.run(&["revoke", "revoked", "-y"]).ok();
    world.wait(HOUR);
    let before = world.bytes();
    for name in ["active", "pending"] {
        let ran = world.run(&["create", name, "--if-missing"]).ok();
        assert_eq!((&*ran.out, &*ran.err), ("", &*format!("`{name}` exists; nothing was changed\n")));
        let ran = world.run(&["create", name, "--if-missing", "--json"]).ok();
        assert_token_keys(&ran.json(), &["changed", "secret"]);
        assert_eq!((&ran.json()["changed"], &ran.json()["secret"]), (&json!(false), &Value::Null));
        assert_eq!(ran.err, "");
    }
    assert!(world.bytes() == before);
    world.refuses(&["create", "disabled", "--if-missing"], 5, "policy");
    world.refuses(&["create", "expired", "--if-missing"], 5, "policy");
    world.create("revoked", &["--if-missing"]);
}

#[test]
fn if_missing_warns_about_each_option_that_differs() {
    let world = World::with_store();
    world.define(&["admin", "events:read"]);
    let same = "-s admin -d text --owner ann --icon 🔑 -l env=prod --ttl 60d --rotate-every 30d --grace 12h";
    let same: Vec<&str> = same.split(' ').collect();
    world.create("demo", &same);
    let warned = |args: &[&str]| {
        let ran = world.run(&[&["create", "demo", "--if-missing", "-q"], args].concat()).ok();
        assert_eq!(ran.out, "");
        ran.err
    };
    assert_eq!(warned(&same), "");
    assert_eq!(warned(&[]), "");
    let cases: [(&[&str], &str); 12] = [
        (&["-d", "other"], "--description"),
        (&["--owner", "bob"], "--owner"),
        (&["--icon", "x"], "--icon"),
        (&["-l", "env=dev"], "--label"),
        (&["-s", "events:read"], "--scope"),
        (&["--all-scopes"], "--all-scopes"),
        (&["--ttl", "61d"], "--ttl"),
        (&["--expires", "2030-01-01"], "--expires"),
        (&["--no-expiry"], "--no-expiry"),
        (&["--not-before", "2027-01-01"], "--not-before"),
        (&["--rotate-every", "31d"], "--rotate-every"),
        (&["--grace", "13h"], "--grace"),
    ];
    for (args, flag) in cases {
        let err = warned(args);
        assert!(
            err.starts_with("warning: `demo` exists and differs from ") && err.contains(flag),
            "{args:?}: {err}"
        );
        assert_eq!(err.lines().count(), 1, "{args:?}: {err}");
    }
    assert_eq!(warned(&["--owner", "bob", "--grace", "13h"]).lines().count(), 2);
}

#[test]
fn an_unconfirmed_creation_is_listed_as_provisional_until_its_deadline() {
    let world = Rc::new(World::with_store());
    let other = Rc::clone(&world);
    let ran = world.run_while(&["create", "demo"], move || {
        assert_eq!(other.show("demo")["status"], "provisional");
        assert_eq!(other.show("demo")["expires_at"], "2026-11-22T12:10:00Z");
        other.wait(10 * MINUTE);
        assert_eq!(other.names(&["--all"]), Vec::<String>::new());
        other.create("demo", &[]);
    });
    assert_eq!(ran.exit(7).out.len(), 42);
    assert_eq!(world.show("demo")["status"], "active");
}

#[test]
fn a_copy_has_every_property_of_a_token_except_its_name_and_secret() {
    let world = World::with_store();
    world.define(&["read", "write"]);
    let args = "-s read -l env=prod -l team=web --owner ann --icon 🔑 --ttl 60d --not-before 2d --rotate-every 30d \
        --grace 12h -d";
    let secret = world.create("old", &args.split_whitespace().chain(["Deploys"]).collect::<Vec<_>>());
    let keys =
        ["description", "owner", "icon", "labels", "scopes", "not_before", "ttl", "rotate_every", "grace"];
    let copied = |name: &str| keys.map(|key| world.show(name)[key].clone());
    let copy = world.create("new", &["--like", "old"]);
    assert_eq!(copied("new"), copied("old"));
    assert!(copy != secret && world.show("new")["id"] != world.show("old")["id"]);
    // A revoked token can be copied too, even under its name.
    let old = copied("old");
    world.run(&["revoke", "old", "--yes"]).ok();
    world.create("old", &["--like", "old"]);
    assert_eq!(copied("old"), old);
    // A flag overrides the copied value.
    let more = ["--like", "old", "--owner", "bob", "-s", "write", "--no-expiry", "-l", "env=test"];
    world.create("other", &more);
    let other = world.show("other");
    assert_eq!(
        (&other["owner"], &other["scopes"], &other["ttl"], &other["labels"], &other["icon"]),
        (&json!("bob"), &json!(["write"]), &json!(null), &json!({"env": "test"}), &json!("🔑"))
    );
    world.refuses(&["create", "more", "--like", "nothing"], 4, "not_found");
}

#[test]
fn a_copy_must_meet_the_current_requirements() {
    let world = World::with_store();
    world.define(&["read"]);
    world.create("old", &["-s", "read", "--expires", "2026-12-01"]);
    world.wait(20 * DAY);
    world.refuses(&["create", "new", "--like", "old"], 2, "usage");
    world.run(&["scopes", "retire", "read"]).ok();
    world.refuses(&["create", "new", "--like", "old", "--ttl", "1d"], 5, "policy");
}

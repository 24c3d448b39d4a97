//! Tests of `settings`, which shows and changes the settings of the store.

use serde_json::{Value, json};

use crate::support::{DAY, HOSTILE, HOUR, World};

const KEYS: [&str; 8] =
    ["prefix", "default-ttl", "max-ttl", "grace", "url", "header", "require-owner", "require-description"];

#[test]
fn all_settings_are_listed_one_per_line() {
    let mut world = World::with_store();
    let path = world.store().canonicalize().unwrap().display().to_string();
    let ran = world.run(&["settings"]).ok();
    let expected = format!(
        "path\t{path}\nschema-version\t2\npattern\ttkn_[0-9A-Za-z]{{38}}\nprefix\ttkn\ndefault-ttl\t90d\nmax-ttl\tnone\ngrace\t1d\nurl\tnone\n\
         header\tAuthorization: Bearer {{}}\nrequire-owner\tfalse\nrequire-description\tfalse\n"
    );
    assert_eq!((ran.out, ran.err), (expected, String::new()));
    let document = world.run(&["settings", "--json"]).ok().json();
    let expected = json!({
        "path": path, "schema_version": 2, "prefix": "tkn",
        "pattern": "tkn_[0-9A-Za-z]{38}", "default_ttl": 90 * DAY, "max_ttl": null,
        "grace": 24 * HOUR, "url": null, "header": "Authorization: Bearer {}", "require_owner": false,
        "require_description": false, "changed": false,
    });
    assert_eq!(document, expected);
    assert_eq!(world.run(&["settings", "prefix", "--json"]).ok().json(), expected);
    world.at_terminal(&[]);
    let ran = world.run(&["settings"]).ok();
    assert!(ran.out.contains("\nprefix               tkn\n") && !ran.out.contains('\t'), "{}", ran.out);
}

#[test]
fn every_setting_can_be_changed_and_reset_to_its_default() {
    let world = World::with_store();
    let document = || world.run(&["settings", "--json"]).ok().json();
    let default = document();
    let cases: [(&str, &str, Value); 11] = [
        ("prefix", "acme2", json!("acme2")),
        ("default-ttl", "30d", json!(30 * DAY)),
        ("default-ttl", "none", Value::Null),
        ("max-ttl", "1y", json!(365 * DAY)),
        ("grace", "0s", json!(0)),
        ("grace", "2d", json!(2 * DAY)),
        ("url", "https://api.example/v1", json!("https://api.example/v1")),
        ("header", "X-Api-Key: {}", json!("X-Api-Key: {}")),
        ("require-owner", "true", json!(true)),
        ("require-owner", "false", json!(false)),
        ("require-description", "true", json!(true)),
    ];
    for (key, value, expected) in cases {
        let field = key.replace('-', "_");
        let changes = document()[&field] != expected;
        let ran = world.run(&["settings", key, value, "--reason", "why"]).ok();
        assert_eq!(ran.out, "");
        assert_eq!(document()[&field], expected, "{key} {value}");
        let before = world.bytes();
        let again = world.run(&["settings", key, value, "--json"]).ok().json();
        assert_eq!((&again["changed"], &again[&field]), (&json!(false), &expected), "{key} {value}");
        assert!(world.bytes() == before && changes, "{key} {value}");
    }
    assert_eq!(world.actions().iter().filter(|action| *action == "settings").count(), 11);
    for key in KEYS {
        world.run(&["settings", key, ""]).ok();
    }
    assert_eq!(document(), default);
    for key in KEYS {
        let value = world.run(&["settings", key]).ok().out;
        let before = world.bytes();
        world.run(&["settings", key, value.trim_end()]).ok();
        assert!(world.bytes() == before, "{key} accepts the value that it prints: {value}");
    }
}

#[test]
fn an_invalid_value_changes_nothing() {
    let world = World::with_store();
    let long = "x".repeat(1_001);
    let cases = [
        ("prefix", "t"),
        ("prefix", "Tkn"),
        ("prefix", "1tk"),
        ("prefix", "tk_n"),
        ("prefix", "-x"),
        ("prefix", "abcdefghijk"),
        ("default-ttl", "0d"),
        ("default-ttl", "90"),
        ("default-ttl", "101y"),
        ("default-ttl", "2027-01-31"),
        ("max-ttl", "0s"),
        ("max-ttl", "never"),
        ("grace", "none"),
        ("grace", "-1h"),
        ("url", &long),
        ("header", "X-Api-Key"),
        ("header", "X-Api-Key {}"),
        ("header", "X: {} {}"),
        ("header", "X: \"{}\""),
        ("header", "X: `id` {}"),
        ("require-owner", "yes"),
        ("require-description", "1"),
        ("Prefix", "abc"),
        ("path", "/x"),
        ("schema-version", "2"),
        ("", "x"),
    ];
    for (key, value) in cases {
        world.refuses(&["settings", key, value], 2, "usage");
    }
    for text in HOSTILE {
        world.refuses(&["settings", text], 2, "usage");
        for key in KEYS {
            world.refuses(&["settings", key, text], 2, "usage");
        }
    }
    world.refuses(&["settings", "prefix", "abc", "extra"], 2, "usage");
}

#[test]
fn settings_apply_to_later_tokens() {
    let world = World::with_store();
    let old = world.create("old", &[]);
    for (key, value) in [
        ("prefix", "acme"),
        ("default-ttl", "7d"),
        ("url", "https://api.example/v1"),
        ("header", "X-Api-Key: {}"),
    ] {
        world.run(&["settings", key, value]).ok();
    }
    let ran = world.run(&["create", "new"]).ok();
    assert!(ran.out.starts_with("acme_") && ran.out.len() == 44, "{}", ran.out.len());
    assert!(ran.err.contains("the lifetime is the default, 7d;"), "{}", ran.err);
    assert!(
        ran.err.ends_with("use it: curl -H \"X-Api-Key: $TOKEN\" https://api.example/v1\n"),
        "{}",
        ran.err
    );
    world.assert_valid(&old, "old");
    world.run(&["settings", "default-ttl", "none"]).ok();
    let endless = world.run(&["create", "endless"]).ok();
    assert!(!endless.err.contains("default lifetime"), "{}", endless.err);
    assert_eq!(world.show("endless")["expires_at"], Value::Null);
    world.run(&["settings", "grace", "3d"]).ok();
    world.refuses(&["create", "tight", "--rotate-every", "3d"], 2, "usage");
}

#[test]
fn a_default_lifetime_above_the_maximum_causes_a_warning() {
    let world = World::with_store();
    let warning = "warning: default-ttl (90d) is longer than max-ttl (30d)";
    let ran = world.run(&["settings", "max-ttl", "30d", "-q"]).ok();
    assert!(ran.err.starts_with(warning), "{}", ran.err);
    assert_eq!(world.run(&["settings", "default-ttl", "30d", "-q"]).ok().err, "");
}

#[test]
fn a_change_prints_the_old_and_the_new_value() {
    let world = World::with_store();
    let message = |args: &[&str]| world.run(&[&["settings"], args].concat()).ok().err;
    assert_eq!(message(&["grace", "2d"]), "grace is now `2d`; it was `1d`\n");
    assert_eq!(message(&["grace", "2d"]), "grace is already `2d`\n");
    assert_eq!(
        message(&["url", "https://api.example/v1"]),
        "url is now `https://api.example/v1`; it was `none`\n"
    );
}

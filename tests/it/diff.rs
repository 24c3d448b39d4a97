//! `diff`: compares the store with a file of wanted tokens.

use serde_json::json;

use crate::apply::file;
use crate::support::World;

#[test]
fn drift_is_shown_and_reverted() {
    let world = World::new();
    let path = world.write("tokens.toml", &file(&world));
    world.run(&["apply", &path]).ok();
    world.run(&["edit", "ci", "--owner", "eve", "--description", ""]).ok();
    world.run(&["edit", "ci", "-l", "env=dev", "-l", "extra=x", "--ttl", "60d", "--allow-widen"]).ok();
    world.run(&["scopes", "add", "ci", "admin", "--allow-widen"]).ok();
    world.run(&["enable", "ops.eu"]).ok();
    world.run(&["settings", "grace", "3h"]).ok();
    let before = world.bytes();
    let drift = world.run(&["diff", &path]).exit(3);
    let expected = "~ update setting grace
    grace: 3h → 2h
~ update token ci (widens)
    description: +Builds
    owner: eve → ann
    labels: -env=dev
    labels: -extra=x
    labels: +env=prod
    scopes: -admin
    ttl: 60d → 30d
~ update token ops.eu
    disabled: +true
";
    assert_eq!(drift.out, expected);
    assert_eq!(drift.err, format!("3 to update; run `tokenctl apply {path}` to make these changes\n"));
    let document = world.run(&["diff", &path, "--json"]).exit(3).json();
    assert_eq!((&document["changed"], &document["dry_run"]), (&json!(false), &json!(true)));
    assert_eq!(document["plan"][1]["widens"], true);
    assert_eq!(document["plan"][1]["changes"][1], json!({ "field": "owner", "from": "eve", "to": "ann" }));
    world.run(&["apply", &path, "--dry-run", "--allow-widen"]).ok();
    assert_eq!(world.bytes(), before);
    let refused = world.refuses(&["apply", &path], 2, "input_needed");
    assert_eq!(refused["message"], format!("applying `{path}`: 1 token gains `env=prod` (`ci`)"));
    assert_eq!(world.bytes(), before);
    world.run(&["apply", &path, "--allow-widen"]).ok();
    world.run(&["diff", &path]).ok();
    assert_eq!(world.last_event()["action"], "apply");
    world.run(&["audit", "verify"]).ok();
}

#[test]
fn an_invalid_file_is_refused_with_the_position_and_the_nearest_key() {
    let world = World::with_store();
    let cases = [
        ("[tokens.a]\nownr = \"x\"", "`ownr` is not a key of `tokens.a`", "did you mean `owner`?"),
        ("[token.a]", "`token` is not a key of the file", "did you mean `tokens`?"),
        ("[scopes.a]\ninclude = []", "`include` is not a key of `scopes.a`", "did you mean `includes`?"),
        (
            "[settings]\ndefault_ttl = \"1d\"",
            "`default_ttl` is not a key of `settings`",
            "did you mean `default-ttl`?",
        ),
        ("[tokens.a]\nttl = \"1d\"\n\n[tokens.a", "line 4 is not valid TOML", ""),
        ("[tokens.a]\n[tokens.a]", "line 2 is not valid TOML", ""),
        ("[tokens.a]\nttl = 7", "`tokens.a.ttl` is not a string", ""),
        ("[tokens.a]\nttl = \"7\"", "`tokens.a.ttl`: `7` is not a duration: the unit is missing", ""),
        (
            "[tokens.a]\nttl = \"7d\"\nno_expiry = true",
            "has more than one of `ttl`, `expires` and `no_expiry`",
            "keep only one of them",
        ),
        ("[tokens.a]\nexpires = \"7d\"", "`tokens.a.expires`", ""),
        ("[tokens.a]\nnot_before = \"7d\"", "`tokens.a.not_before` is not a point in time", ""),
        ("[tokens.a]\nscopes = \"read\"", "`tokens.a.scopes` is not a list of strings", ""),
        ("[tokens.a]\nscopes = [\"READ\"]", "`tokens.a.scopes`: `READ` is not a scope", ""),
        ("[tokens.a]\nout = \"key\"", "`tokens.a.out` is not an absolute path", ""),
        (
            "[tokens.a]\nout = \"/key\"\nexec = \"cat\"",
            "has more than one of `out`, `env_file` and `exec`",
            "",
        ),
        ("[tokens.a]\nenv_file = \"/env\"", "needs both `env_file` and `env_name`", ""),
        ("[tokens.a]\ndisabled = \"yes\"", "`tokens.a.disabled` is not `true` or `false`", ""),
        ("[tokens.a]\nlabels = { \"\" = \"x\" }", "`tokens.a.labels.`", ""),
        ("[tokens.a]\nicon = \"ab\"", "`tokens.a.icon`: the icon is not a single character", ""),
        ("[tokens.\"a b\"]", "`a b` is not a name", ""),
        ("[settings]\nprefix = \"X\"", "`settings.prefix`", ""),
        ("[scopes.A]", "`A` is not a scope", ""),
        ("tokens = 7", "`tokens` is not a table", ""),
    ];
    let before = world.bytes();
    for (text, why, hint) in cases {
        let path = world.write("tokens.toml", text);
        for verb in ["diff", "apply"] {
            let refused = world.refuses(&[verb, &path], 2, "usage");
            let message = refused["message"].as_str().expect("it is a string");
            assert!(message.contains(why), "{text}: {message}");
            assert!(hint.is_empty() || refused["hint"] == hint, "{text}: {refused}");
        }
    }
    assert_eq!(world.bytes(), before);
    world.refuses(&["diff", &world.path("none.toml")], 1, "io");
}

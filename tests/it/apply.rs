//! `apply`: changes the store so that it matches a file.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use std::rc::Rc;

use crate::support::{Answer, DAY, MINUTE, START, World};

/// A file with settings, scopes and two tokens, whose secrets go to the directory `keys`.
pub fn file(world: &World) -> String {
    let keys = world.path("keys");
    fs::create_dir_all(&keys).expect("the directory can be created");
    format!(
        r#"
[settings]
grace = "2h"
require-owner = true

[scopes."events:read"]
description = "Read events"

[scopes.admin]
includes = ["events:read", "events:write"]

[scopes."events:write"]

[tokens.ci]
description = "Builds"
owner = "ann"
icon = "🔑"
scopes = ["events:read"]
labels = {{ env = "prod", team = "web" }}
ttl = "30d"
rotate_every = "7d"
grace = "1h"
allow_from = ["10.0.0.0/8"]
out = "{keys}/ci"
after = "true"

[tokens."ops.eu"]
owner = "bob"
scopes = ["admin"]
expires = 2027-06-30
not_before = 2027-01-01
env_file = "{keys}/env"
env_name = "OPS"
disabled = true
"#
    )
}

fn items(document: &Value) -> Vec<String> {
    let plan = document["plan"].as_array().expect("a plan");
    let word = |item: &Value, key: &str| item[key].as_str().expect(key).to_owned();
    plan.iter()
        .map(|it| format!("{} {} {}", word(it, "action"), word(it, "kind"), word(it, "name")))
        .collect()
}

#[test]
fn a_file_creates_a_store_and_a_second_run_changes_nothing() {
    let world = World::new();
    let path = world.write("tokens.toml", &file(&world));
    let ran = world.run(&["apply", &path, "--json"]).ok();
    let document = ran.json();
    assert_eq!(
        items(&document),
        [
            "update setting grace",
            "update setting require-owner",
            "create scope admin",
            "create scope events:read",
            "create scope events:write",
            "create token ci",
            "create token ops.eu"
        ]
    );
    let keys: Vec<_> = document.as_object().expect("it is an object").keys().collect();
    assert_eq!(keys, ["changed", "count", "dry_run", "plan"]);
    let keys: Vec<_> = document["plan"][0].as_object().expect("it is an object").keys().collect();
    assert_eq!(keys, ["action", "changes", "error", "kind", "name", "widens"]);
    assert_eq!((&document["changed"], &document["count"]), (&json!(true), &json!(7)));
    let shown = world.show("ci");
    for (key, value) in [
        ("description", json!("Builds")),
        ("owner", json!("ann")),
        ("icon", json!("🔑")),
        ("scopes", json!(["events:read"])),
        ("labels", json!({ "env": "prod", "team": "web" })),
        ("ttl", json!(30 * DAY)),
        ("rotate_every", json!(7 * DAY)),
        ("grace", json!(3_600)),
        ("allow_from", json!(["10.0.0.0/8"])),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }
    assert_eq!(shown["destination"]["path"], world.path("keys/ci"));
    assert_eq!(shown["hook"]["command"], "true");
    world.assert_file_holds(&world.path("keys/ci"), "source_not_allowed ci");
    let ops = world.show("ops.eu");
    assert_eq!((&ops["status"], &ops["until"]), (&json!("disabled"), &json!("2027-06-30T23:59:59Z")));
    assert_eq!(ops["destination"]["variable"], "OPS");
    assert!(
        fs::read_to_string(world.path("keys/env")).expect("the file can be read").starts_with("OPS=tkn_")
    );

    let before = world.bytes();
    world.wait(DAY);
    let again = world.run(&["apply", &path]).ok();
    assert_eq!((&*again.out, &*again.err), ("", "the store matches the file; nothing was changed\n"));
    let document = world.run(&["apply", &path, "--json"]).ok().json();
    assert_eq!(document, json!({ "changed": false, "dry_run": false, "count": 0, "plan": [] }));
    let diff = world.run(&["diff", &path]).ok();
    assert_eq!((&*diff.out, diff.err), ("", format!("no drift: the store matches `{path}`\n")));
    assert_eq!(world.bytes(), before);
    world.run(&["audit", "verify"]).ok();
    assert_eq!(world.run(&["doctor"]).ok().out, "ok\n");
}

#[test]
fn values_whose_keys_are_not_in_the_file_are_not_changed() {
    let world = World::with_store();
    world.create(
        "mine",
        &["--owner", "ann", "-d", "text", "-l", "a=b", "--ttl", "9d", "--rotate-every", "2d"],
    );
    let other = world.create("other", &[]);
    let before = world.show("mine");
    let path = world.write("tokens.toml", "[tokens.mine]\nicon = \"*\"\n");
    world.run(&["apply", &path]).ok();
    let mut after = world.show("mine");
    assert_eq!(after["icon"], "*");
    after["icon"] = Value::Null;
    let events = |mut it: Value| {
        it.as_object_mut().expect("it is an object").remove("events");
        it
    };
    assert_eq!(events(after), events(before));
    world.assert_valid(&other, "other");
    // The file clears everything that can be cleared.
    let path = world.write(
        "tokens.toml",
        "[tokens.mine]\nicon = \"\"\nowner = \"\"\ndescription = \"\"\nlabels = {}\nrotate_every = \"none\"
         grace = \"none\"\nnot_before = \"none\"\nallow_from = \"none\"\nout = \"none\"\nafter = \"none\"\nno_expiry = true\n",
    );
    world.run(&["apply", &path]).ok();
    let shown = world.show("mine");
    for key in ["icon", "owner", "description", "rotate_every", "ttl", "destination", "hook", "expires_at"] {
        assert_eq!(shown[key], Value::Null, "{key}");
    }
    assert_eq!(shown["labels"], json!({}));
}

#[test]
fn none_clears_lists_and_labels_as_well_as_single_values() {
    let world = World::with_store();
    world.define(&["read"]);
    world.run(&["scopes", "define", "admin", "--includes", "read"]).ok();
    world.create("mine", &["--scope", "admin", "-l", "a=b", "--allow-from", "10.0.0.0/8"]);
    let text = "[scopes.admin]\nincludes = \"none\"\n[tokens.mine]\nscopes = \"none\"\nlabels = \"none\"\n";
    let path = world.write("tokens.toml", text);
    world.run(&["apply", &path]).ok();
    let shown = world.show("mine");
    assert_eq!((&shown["scopes"], &shown["labels"]), (&json!([]), &json!({})));
    let path = world.write("tokens.toml", "[tokens.mine]\nallow_from = \"none\"\n");
    world.run(&["apply", &path, "--allow-widen"]).ok();
    assert_eq!(world.show("mine")["allow_from"], json!([]));
    world.run(&["diff", &path]).ok();
}

#[test]
fn tokens_missing_from_the_file_are_revoked_only_with_exclusive_and_a_confirmation() {
    let mut world = World::with_store();
    world.create("kept", &[]);
    let (a, b) = (world.create("a", &[]), world.create("b", &["--no-expiry"]));
    let path = world.write("tokens.toml", "[tokens.kept]\n");
    world.run(&["diff", &path]).ok();
    let drift = world.run(&["diff", &path, "--exclusive"]).exit(3);
    assert_eq!(drift.out, "- revoke token a\n- revoke token b\n");
    world.run(&["apply", &path]).ok();
    let refused = world.refuses(&["apply", &path, "--exclusive"], 2, "input_needed");
    assert!(refused["message"].as_str().expect("it is a string").contains("revoke 2 tokens"), "{refused}");
    world.at_terminal(&[Answer::No]);
    world.run(&["apply", &path, "--exclusive"]).exit(130);
    assert_eq!(world.asked.borrow()[0], "revoke 2 tokens that the file does not name (`a`, `b`)?");
    world.terminal = tokenctl::context::Terminal::default();
    world.assert_valid(&a, "a");
    world.refuses(&["apply", &path, "--exclusive", "--yes", "--expect", "3"], 5, "count_differs");
    world.run(&["apply", &path, "--exclusive", "--yes", "--expect", "2"]).ok();
    for secret in [&a, &b] {
        assert_eq!(world.verify(secret, &[]).0, 3);
    }
    world.run(&["apply", &path, "--exclusive"]).ok();
}

#[test]
fn everything_is_checked_before_the_first_change() {
    let world = World::with_store();
    world.define(&["read"]);
    world.create("demo", &["-s", "read", "--ttl", "9d"]);
    world.create("gone", &["-s", "read", "--ttl", "1d"]);
    world.wait(2 * DAY);
    let keys = world.directory("keys");
    let taken = world.write("keys/taken", "something else\n");
    let before = world.bytes();
    let cases = [
        ("[tokens.new]\nscopes = []".to_owned(), 5, "no_destination", "is new, and has no destination"),
        (format!("[tokens.new]\nout = \"{keys}/x\""), 2, "usage", "has no `scopes`"),
        (
            format!("[tokens.new]\nscopes = [\"reed\"]\nout = \"{keys}/x\""),
            4,
            "not_found",
            "no such scope `reed`",
        ),
        (format!("[tokens.new]\nscopes = []\nout = \"{taken}\""), 5, "not_replaced", "taken"),
        (
            format!("[tokens.new]\nscopes = []\nout = \"{keys}/none/x\""),
            7,
            "delivery_failed",
            "cannot take a secret",
        ),
        ("[settings]\nmax-ttl = \"5d\"\n[tokens.demo]\nttl = \"6d\"".to_owned(), 5, "policy", "longer than"),
        ("[settings]\nrequire-owner = true\n[tokens.demo]\nicon = \"*\"".to_owned(), 5, "policy", "an owner"),
        ("[tokens.gone]\nttl = \"9d\"".to_owned(), 5, "policy", "would revive it"),
        ("[tokens.demo]\nrotate_every = \"10d\"".to_owned(), 2, "usage", "must be shorter than the lifetime"),
        (
            format!(
                "[tokens.a]\nscopes = []\nout = \"{keys}/x\"\n[tokens.b]\nscopes = []\nout = \"{keys}/x\""
            ),
            5,
            "policy",
            "is the destination of `a` too",
        ),
    ];
    for (bad, exit, code, why) in cases {
        // The valid parts of the file are not applied either.
        let good = format!("[scopes.write]\n[tokens.aa]\nscopes = []\nout = \"{keys}/aa\"\n{bad}\n");
        let good = good.replacen(
            "[tokens.aa]",
            if bad.starts_with("[settings]") {
                "[tokens.aa]\nowner = \"x\"\nttl = \"1d\""
            } else {
                "[tokens.aa]"
            },
            1,
        );
        let path = world.write("tokens.toml", &good);
        let ran = world.run(&["apply", &path, "--json"]).exit(exit);
        assert_eq!(ran.failure()["code"], code, "{bad}: {ran:?}");
        let document = ran.json();
        assert_eq!(document["changed"], false);
        let errors: Vec<_> =
            document["plan"].as_array().expect("a plan").iter().map(|it| &it["error"]).collect();
        let errors: Vec<_> = errors.into_iter().filter(|error| !error.is_null()).collect();
        let message = errors[0]["message"].as_str().expect("it is a string");
        assert!(errors.len() == 1 && message.contains(why), "{bad}: {message}");
        assert_eq!(world.bytes(), before, "{bad}");
        assert_eq!(fs::read_dir(&keys).expect("the directory can be read").count(), 1, "{bad}");
    }
    let loops =
        world.write("tokens.toml", "[scopes.a]\nincludes = [\"b\"]\n[scopes.b]\nincludes = [\"a\"]\n");
    world.refuses(&["apply", &loops], 2, "usage");
    assert_eq!(world.bytes(), before);
}

#[test]
fn a_file_that_others_can_write_is_not_applied() {
    let world = World::with_store();
    let path = world.write("tokens.toml", "[settings]\ngrace = \"2h\"\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o646)).expect("the mode can be set");
    let refused = world.refuses(&["apply", &path], 5, "policy");
    assert_eq!(refused["message"], format!("`{path}` is refused: its mode 646 lets others write"));
    assert_eq!(refused["hint"], format!("`chmod go-w {path}`"));
    world.run(&["diff", &path]).exit(3);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("the mode can be set");
    let dir = world.directory("open");
    fs::rename(&path, format!("{dir}/tokens.toml")).expect("the file can be renamed");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("the mode can be set");
    let refused = world.refuses(&["apply", &format!("{dir}/tokens.toml")], 5, "policy");
    assert!(
        refused["message"].as_str().expect("it is a string").contains("its mode 777 lets others"),
        "{refused}"
    );
    if crate::support::uid() == 0 {
        std::os::unix::fs::chown(path.replace("tokens.toml", "open/tokens.toml"), Some(4_242), None)
            .expect("the owner can be set");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("the mode can be set");
        let refused = world.refuses(&["apply", &format!("{dir}/tokens.toml")], 5, "policy");
        assert!(
            refused["message"].as_str().expect("it is a string").ends_with("it belongs to uid 4242"),
            "{refused}"
        );
    }
}

#[test]
fn a_toml_export_creates_the_same_tokens_in_an_empty_store() {
    let world = World::new();
    let path = world.write("tokens.toml", &file(&world));
    world.run(&["apply", &path]).ok();
    world.create("plain", &["--owner", "eve", "--no-expiry", "--all-scopes"]);
    world.create("hostile", &["--owner", "a\"b\\c", "-d", "'''\"\"\"", "-s", "events:read"]);
    world.create("revoked", &["--owner", "eve", "-s", "admin"]);
    world.run(&["revoke", "revoked", "--yes"]).ok();
    world.run(&["scopes", "retire", "events:write"]).ok();
    let exported = world.run(&["export", "--toml"]).ok();
    assert_eq!(exported.err, "left out, since they are revoked, expired or were never delivered: 1\n");
    assert!(
        exported.out.starts_with("[settings]\ngrace = \"2h\"\nrequire-owner = true\n\n"),
        "{}",
        exported.out
    );
    assert!(exported.out.contains("\n[tokens.\"ops.eu\"]\n"), "{}", exported.out);
    let own = world.run_with(&["diff", "-"], exported.out.as_bytes()).ok();
    assert_eq!(own.out, "", "a store matches its own export");

    let other = World::new();
    let keys = other.directory("keys");
    let text = exported.out.replace(&world.path("keys"), &keys);
    other.run_with(&["apply", "-", "--out-dir", &keys], text.as_bytes()).ok();
    for name in ["ci", "ops.eu", "plain", "hostile"] {
        let (was, is) = (world.show(name), other.show(name));
        for key in
            "name description owner icon labels scopes ttl until not_before rotate_every grace allow_from"
                .split(' ')
        {
            assert_eq!(was[key], is[key], "{name} {key}");
        }
        assert_eq!(was["hook"]["command"], is["hook"]["command"]);
    }
    assert_eq!(other.names(&[]), ["ci", "hostile", "ops.eu", "plain"]);
    assert_eq!(other.run(&["settings", "grace"]).ok().out, "2h\n");
    let again = other.run_with(&["apply", "-", "--out-dir", &keys], text.as_bytes()).ok();
    assert_eq!(again.err, "the store matches the file; nothing was changed\n");
    let part = world.run(&["export", "--toml", "--owner", "eve"]).ok().out;
    assert!(part.contains("[tokens.plain]") && !part.contains("[tokens.ci]"), "{part}");
}

#[test]
fn a_failed_delivery_does_not_stop_the_others_and_is_repeated_by_the_next_run() {
    let world = World::with_store();
    world.create("spare", &[]);
    let keys = world.directory("keys");
    let path = world.write(
        "tokens.toml",
        &format!(
            "[tokens.a]\nexec = \"test -e {keys}/ready && cat >/dev/null\"\n[tokens.b]\nout = \"{keys}/b\"\n"
        ),
    );
    let ran = world.run(&["apply", &path, "--exclusive", "--yes", "--json"]).exit(7);
    let document = ran.json();
    assert_eq!(document["plan"][0]["error"]["code"], "delivery_failed");
    assert_eq!(document["plan"][1]["error"], Value::Null);
    assert_eq!(world.names(&[]), ["b", "spare"], "nothing is revoked if a creation failed");
    fs::write(format!("{keys}/ready"), "").expect("the file can be written");
    world.run(&["apply", &path, "--exclusive", "--yes"]).ok();
    assert_eq!(world.names(&[]), ["a", "b"]);
}

#[test]
fn apply_waits_for_a_creation_that_another_process_has_started() {
    let world = Rc::new(World::with_store());
    let keys = world.directory("keys");
    let path =
        world.write("tokens.toml", &format!("[tokens.demo]\nowner = \"ann\"\nout = \"{keys}/demo\"\n"));
    let other = Rc::clone(&world);
    let stopped = world.run_while(&["create", "demo"], move || {
        other.run(&["apply", &path, "--dry-run"]).exit(5);
        let ran = other.run(&["apply", &path]).ok();
        assert!(ran.err.starts_with("waiting for the delivery of `demo` by pid "), "{ran:?}");
        assert_eq!(other.now(), START + 10 * MINUTE);
    });
    assert_eq!(stopped.code, 7, "{stopped:?}");
    world.assert_file_holds(&world.path("keys/demo"), "valid demo");
    assert_eq!(world.show("demo")["owner"], "ann");
}

#[test]
fn exclusive_with_a_file_without_tokens_is_refused() {
    let world = World::new();
    world.create("demo", &[]);
    for text in ["", "[settings]\ngrace = \"2h\"\n"] {
        let failure =
            world.refuses(&["apply", &world.write("empty.toml", text), "--exclusive", "--yes"], 2, "usage");
        assert_eq!(failure["message"], "the file names no token, and `--exclusive` would revoke all");
    }
}

#[test]
fn a_secret_in_the_file_is_neither_stored_nor_printed() {
    let world = World::new();
    let secret = world.create("demo", &[]);
    for text in [
        format!("[tokens.demo]\nafter = \"curl -H 'Authorization: Bearer {secret}' x\"\n"),
        format!("[tokens.demo]\nttl = \"{secret}\"\n"),
        format!("[tokens.demo]\n{secret} = 1\n"),
    ] {
        let path = world.write("wanted.toml", &text);
        for verb in ["apply", "diff"] {
            let failure = world.refuses(&[verb, &path], 2, "usage");
            assert_eq!(failure["message"], format!("line 2 of `{path}` contains a secret"));
        }
    }
}

#[test]
fn an_interrupted_run_reports_what_was_not_created() {
    let world = World::of_processes();
    world.mint("other");
    let text = "[tokens.a]\nexec = \"kill -TERM $PPID; sleep 5; cat >/dev/null\"\n\
                [tokens.b]\nexec = \"cat >/dev/null\"\n";
    let path = world.write("wanted.toml", text);
    let ran = world.real(&["apply", &path, "--json"], b"").exit(130);
    let document = ran.json();
    assert_eq!(document["changed"], false);
    let errors: Vec<_> = document["plan"].as_array().unwrap().iter().map(|it| &it["error"]["code"]).collect();
    assert_eq!(errors, ["interrupted", "interrupted"]);
    assert_eq!(world.real(&["list", "--format", "names"], b"").ok().out, "other\n");
}

#[test]
fn tokens_can_swap_destination_files_in_one_run() {
    let world = World::new();
    let (one, two, three) = (world.path("one"), world.path("two"), world.path("three"));
    world.run(&["create", "a", "--out", &two]).ok();
    world.run(&["create", "b", "--out", &one]).ok();
    let text = format!("[tokens.a]\nout = \"{three}\"\n[tokens.b]\nout = \"{two}\"\n");
    world.run(&["apply", &world.write("wanted.toml", &text)]).ok();
    let path = |name: &str| world.run(&["show", name, "--json"]).ok().json()["destination"]["path"].clone();
    assert_eq!((path("a"), path("b")), (json!(three), json!(two)));
    let text = format!("[tokens.b]\nout = \"{three}\"\n");
    let ran = world.run(&["apply", &world.write("wanted.toml", &text)]).exit(5);
    assert!(ran.out.contains("three` is the destination of `a`"), "{ran:?}");
}

#[test]
fn a_later_requirement_does_not_make_an_unchanged_token_differ() {
    let world = World::new();
    world.create("demo", &[]);
    world.run(&["settings", "require-owner", "true"]).ok();
    let out = world.run(&["export", "--toml"]).ok().out;
    world.run(&["diff", &world.write("wanted.toml", &out)]).ok();
    world.refuses(&["export", "--toml", "--json"], 2, "usage");
}

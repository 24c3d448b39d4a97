//! Stored destinations: where the secrets of a token go is stored with it, and rotations deliver there.

use std::fs;

use serde_json::{Value, json};

use crate::support::{DAY, World, run, uid};

const MONTHLY: [&str; 4] = ["--ttl", "90d", "--rotate-every", "30d"];

fn create(world: &World, name: &str, args: &[&str]) -> String {
    world.run(&[&["create", name], &MONTHLY[..], args].concat()).ok().err
}

/// The value of this field on the page of a token.
fn shown(world: &World, name: &str, field: &str) -> Option<String> {
    let page = world.run(&["show", name]).ok().out;
    let line = page.lines().find(|line| line.trim_start().starts_with(&format!("{field} ")))?;
    Some(line.trim_start()[field.len()..].trim().to_owned())
}

#[test]
fn create_stores_the_destination_and_says_so() {
    let world = World::new();
    let (file, env) = (world.path("secret"), world.write("app.env", "A=1\n"));
    let note = "later rotations deliver there too; use `--no-remember` to prevent that\n";
    assert!(create(&world, "file", &["--out", &file]).contains(note));
    assert!(create(&world, "env", &["--env-file", &env, "--env-name", "TOKEN"]).contains(note));
    assert!(create(&world, "command", &["--exec", "cat >/dev/null"]).contains(note));
    let once = world.path("once");
    assert!(!create(&world, "once", &["--out", &once, "--no-remember"]).contains(note));
    assert!(!create(&world, "stdout", &[]).contains(note));

    let uid = uid();
    let host = world.show("file")["destination"]["host"].clone();
    let expected = |kind: &str, path: Option<&str>, variable: Option<&str>, command: Option<&str>| json!({"kind": kind, "path": path, "variable": variable, "command": command, "host": host, "uid": uid});
    let destination = |name: &str| world.show(name)["destination"].clone();
    assert_eq!(destination("file"), expected("file", Some(&file), None, None));
    assert_eq!(destination("env"), expected("env_file", Some(&env), Some("TOKEN"), None));
    assert_eq!(destination("command"), expected("command", None, None, Some("cat >/dev/null")));
    assert_eq!((destination("once"), destination("stdout")), (Value::Null, Value::Null));

    let list = world.run(&["list", "--columns", "name,destination"]).ok().out;
    let rows = format!(
        "command\tcommand cat >/dev/null\nenv\tenv-file {env} TOKEN\nfile\tfile {file}\nonce\t\nstdout\t\n"
    );
    assert_eq!(list, rows);
    let on = host.as_str().map(|host| format!(" on {host}")).unwrap_or_default();
    assert_eq!(shown(&world, "env", "destination"), Some(format!("env-file {env} TOKEN (uid {uid}{on})")));
    let changes = world.run(&["audit", "--token", "file", "--json"]).ok().json();
    let change = json!({"field": "destination", "from": null, "to": format!("file {file}")});
    assert!(changes[1]["changes"].as_array().unwrap().contains(&change), "{changes}");
}

#[test]
fn a_rotation_delivers_to_the_stored_destination() {
    let world = World::new();
    let file = world.path("secret");
    create(&world, "demo", &["--out", &file]);
    let first = fs::read_to_string(&file).unwrap();
    let ran = world.run(&["rotate", "demo", "--quiet"]).ok();
    let warning = format!("warning: the secret went to `{file}`; to print it, pass `--stdout`\n");
    assert_eq!((ran.out.as_str(), ran.err), ("", warning));
    world.assert_file_holds(&file, "valid demo");
    assert_eq!(world.verify(&first, &[]), (0, "valid demo previous".to_owned()));

    // If a new secret is printed instead, the file contains the previous one, and a warning gives its expiry.
    let ran = world.run(&["rotate", "demo", "--stdout", "--quiet"]).ok();
    world.assert_valid(ran.line(), "demo");
    let end = "2026-11-23T12:00:00Z";
    let warning = format!(
        "warning: later rotations of `demo` still deliver to `{file}`, whose secret stops working at {end}; to \
         change that, pass `--remember`\n"
    );
    assert_eq!(ran.err, warning);
    assert_eq!(world.show("demo")["destination"]["path"], file.as_str());
}

#[test]
fn a_stored_destination_is_changed_only_with_remember() {
    let world = World::new();
    let (one, two) = (world.path("one"), world.path("two"));
    create(&world, "demo", &[]);
    let ran = world.run(&["rotate", "demo", "--out", &one]).ok();
    assert!(ran.err.contains(&format!("later rotations will deliver to `{one}`\n")), "{}", ran.err);
    let ran = world.run(&["rotate", "demo", "--out", &two]).ok();
    assert!(ran.err.contains("later rotations of `demo` still deliver to"), "{}", ran.err);
    let path = || world.show("demo")["destination"]["path"].clone();
    assert_eq!(path(), one.as_str());
    let ran = world.run(&["rotate", "demo", "--out", &two, "--remember"]).ok();
    assert!(
        ran.err.contains(&format!("`{one}` was not changed, and still contains the superseded secret")),
        "{}",
        ran.err
    );
    assert_eq!(path(), two.as_str());
    for bad in [&["--stdout"][..], &["--copy"], &["--out-dir", "."], &["--no-remember"]] {
        world.refuses(&[&["rotate", "demo", "--remember"], bad].concat(), 2, "usage");
    }
    world.run(&["rotate", "demo", "--stdout"]).ok();
    world.run(&["edit", "demo", "--no-destination"]).ok();
    let three = world.path("three");
    world.run(&["rotate", "demo", "--out", &three, "--no-remember"]).ok();
    assert_eq!(world.show("demo")["destination"], Value::Null);
}

#[test]
fn edit_sets_and_clears_a_destination_without_a_delivery() {
    let world = World::new();
    let secret = world.create("demo", &MONTHLY);
    world.create("other", &MONTHLY);
    let env = world.write("app.env", "TOKEN=something\n");
    let args = ["edit", "demo", "--env-file", &env, "--env-name", "TOKEN"];
    let ran = world.run(&args).ok();
    assert!(ran.err.contains("warning: a rotation would not deliver there now: "), "{}", ran.err);
    fs::write(&env, format!("TOKEN={secret}\n")).unwrap();
    world.refuses(&["edit", "demo", "other", "--out", &world.path("x")], 2, "usage");
    world.refuses(&["edit", "demo", "other", "--no-destination"], 2, "usage");
    world.refuses(&["edit", "demo", "--no-destination", "--out", &world.path("x")], 2, "usage");
    world.refuses(&["edit", "demo", "--out", &world.path("nowhere/x")], 7, "delivery_failed");
    assert_eq!(fs::read_to_string(&env).unwrap(), format!("TOKEN={secret}\n"), "`edit` delivered a secret");
    assert!(
        !world.run(&args).ok().err.contains("warning"),
        "there is no warning if the file has a secret of the token"
    );
    world.run(&["rotate", "demo"]).ok();
    let new = fs::read_to_string(&env).unwrap();
    world.assert_valid(new.trim_start_matches("TOKEN=").trim_end(), "demo");
    world.run(&["edit", "demo", "--no-destination"]).ok();
    assert_eq!(world.show("demo")["destination"], Value::Null);
    let log = world.run(&["audit", "--token", "demo", "--json"]).ok().json();
    let last = json!([{"field": "destination", "from": format!("env-file {env} TOKEN"), "to": null}]);
    assert_eq!(log.as_array().unwrap().last().unwrap()["changes"], last);
}

#[test]
fn two_active_tokens_cannot_share_a_file_or_a_variable() {
    let world = World::new();
    let (file, env) = (world.path("secret"), world.path("app.env"));
    create(&world, "a", &["--out", &file]);
    create(&world, "b", &["--env-file", &env, "--env-name", "B"]);
    create(&world, "c", &[]);
    for args in [
        &["create", "d", "--out", &file, "--force"][..],
        &["create", "d", "--env-file", &env, "--env-name", "B", "--force"],
        &["edit", "c", "--out", &file],
        &["edit", "c", "--out", &env],
        &["edit", "c", "--env-file", &env, "--env-name", "B"],
        &["rotate", "c", "--out", &file, "--force"],
    ] {
        let refused = world.refuses(args, 5, "policy");
        assert!(refused["message"].as_str().unwrap().contains("is the destination of `"), "{refused}");
    }
    world.run(&["edit", "c", "--env-file", &env, "--env-name", "C"]).ok();
    world.run(&["edit", "a", "--out", &file]).ok();
    world.run(&["revoke", "a", "--yes"]).ok();
    world.run(&["edit", "c", "--out", &file]).ok();
}

#[test]
fn due_secrets_go_to_their_destinations_and_a_failure_does_not_stop_the_others() {
    let world = World::new();
    let (file, env, piped) = (world.path("a"), world.write("b.env", "X=1\n"), world.path("c"));
    create(&world, "a", &["--out", &file]);
    create(&world, "b", &["--env-file", &env, "--env-name", "B"]);
    create(&world, "c", &["--exec", &format!("cat >{piped}")]);
    create(&world, "d", &[]);
    create(&world, "e", &["--out", &world.path("e")]);
    world.wait(30 * DAY);
    let ran = world.run(&["rotate", "--due", "-n", "--json"]).exit(5);
    assert_eq!(ran.json()["count"], 5);
    let ran = world.run(&["rotate", "--due", "--quiet"]).exit(5);
    assert_eq!(ran.out, "");
    let error = "error: `d`: `d` has no destination\nhint: name one, like `--out FILE`, or store one with \
                 `tokenctl edit NAME --out FILE`\nerror: 1 of 5 tokens could not be rotated\n";
    assert_eq!(ran.err, error);
    world.assert_file_holds(&file, "valid a");
    world.assert_valid(fs::read_to_string(&env).unwrap().trim_start_matches("X=1\nB=").trim_end(), "b");
    world.assert_valid(&fs::read_to_string(&piped).unwrap(), "c");
    let failure = world.run(&["rotate", "--due", "--json"]).exit(5).json();
    assert_eq!(
        (&failure["count"], &failure["tokens"][0]["error"]["code"]),
        (&json!(1), &json!("no_destination"))
    );

    // `--out-dir` and `--exec` apply only to tokens without a stored destination.
    world.wait(30 * DAY);
    let dir = world.directory("out");
    let ran = world.run(&["rotate", "--due", "--out-dir", &dir]).ok();
    assert_eq!(ran.out, "a\nb\nc\nd\ne\n");
    world.assert_file_holds(&format!("{dir}/d"), "valid d");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    assert_eq!(world.show("d")["destination"], Value::Null, "the directory was stored as a destination");
}

#[test]
fn if_a_destination_fails_nothing_is_changed_or_printed() {
    let world = World::new();
    let dir = world.directory("out");
    let file = format!("{dir}/secret");
    create(&world, "demo", &["--out", &file]);
    let secret = fs::read_to_string(&file).unwrap();
    run(std::process::Command::new("chmod").args(["777", &dir]), b"").ok();
    world.refuses(&["rotate", "demo"], 7, "delivery_failed");
    world.assert_valid(&secret, "demo");
    run(std::process::Command::new("chmod").args(["700", &dir]), b"").ok();
    fs::write(&file, "mine\n").unwrap();
    world.refuses(&["rotate", "demo"], 5, "not_replaced");
    world.run(&["rotate", "demo", "--force"]).ok();
    world.assert_file_holds(&file, "valid demo");
}

#[test]
fn a_destination_that_another_user_set_is_skipped() {
    let mut world = World::new();
    let file = world.path("secret");
    create(&world, "demo", &["--out", &file]);
    world.wait(32 * DAY);
    world.uid = 4242;
    let ran = world.run(&["rotate", "--due"]).ok();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
    let refused = world.refuses(&["rotate", "demo"], 5, "no_destination");
    let message = format!("`demo` has the destination `{file}`, which belongs to uid {}", uid());
    assert_eq!(refused["message"], message.as_str());
    let found = world.run(&["check", "--only", "rotation_overdue"]).exit(3).out;
    assert!(found.contains("demo"), "{found}");
    world.uid = uid();
    assert_eq!(world.run(&["rotate", "--due"]).ok().out, "demo\n");
}

#[test]
fn a_misspelt_variable_is_reported() {
    let world = World::new();
    let env = world.path("app.env");
    create(&world, "demo", &["--env-file", &env, "--env-name", "TOKEN"]);
    let to = |name| ["rotate", "demo", "--env-file", &env, "--env-name", name];
    let refused = world.refuses(&to("TOKNE"), 5, "policy");
    let message = format!("TOKNE is not in `{env}`, where TOKEN contains a secret of this token");
    assert_eq!(refused["message"], message.as_str());
    let ran = world.run(&[&to("NEW")[..], &["--remember"]].concat()).ok();
    let beside = format!(
        "warning: the new secret is NEW in `{env}`, but TOKEN there still holds another secret of `demo`\n"
    );
    assert!(ran.err.contains(&beside), "{}", ran.err);
    assert_eq!(world.show("demo")["destination"]["variable"], "NEW");

    // Without a stored destination, there is only a warning.
    world.run(&["edit", "demo", "--no-destination"]).ok();
    let ran = world.run(&[&to("OTHER")[..], &["--no-remember"]].concat()).ok();
    assert!(ran.err.contains("warning: the new secret is OTHER in"), "{}", ran.err);
}

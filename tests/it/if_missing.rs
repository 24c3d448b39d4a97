//! `--if-missing`: a script makes sure that a token exists. It gets a warning about everything that differs from its
//! flags.

use std::fs;
use std::rc::Rc;

use serde_json::{Value, json};

use crate::support::processes::{finished, until};
use crate::support::{DAY, HOUR, MINUTE, START, World};

/// Starts to create `demo` with the real program. The secret is delivered to a file `got`, and the delivery succeeds
/// once a file `go` exists.
fn slow_creation(world: &World) -> std::process::Child {
    let (got, go) = (world.path("got"), world.path("go"));
    let command = format!("cat >{got}.new; mv {got}.new {got}; until test -e {go}; do sleep 0.05; done");
    let child = world.start(&["create", "demo", "--exec", &command], std::process::Stdio::piped());
    until("the command has the secret", || fs::exists(&got).unwrap());
    child
}

#[test]
fn if_missing_waits_for_a_delivery_in_progress() {
    let world = World::of_processes();
    let creation = slow_creation(&world);
    let waiting = world
        .start(&["create", "demo", "--if-missing", "--exec", "cat >/dev/null"], std::process::Stdio::piped());
    std::thread::sleep(std::time::Duration::from_millis(300));
    fs::write(world.path("go"), "").unwrap();
    finished(creation).ok();
    let ran = finished(waiting).ok();
    assert_eq!(ran.out, "");
    let lines: Vec<&str> = ran.err.lines().collect();
    assert!(lines[0].starts_with("waiting for the delivery of `demo` by pid "), "{lines:?}");
    assert_eq!(lines[lines.len() - 1], "`demo` exists; nothing was changed");
    let secret = fs::read(world.path("got")).unwrap();
    assert_eq!(world.real(&["verify"], &secret).ok().line(), "valid demo");
}

#[test]
fn an_adoption_waits_for_a_delivery_and_then_compares_the_secrets() {
    for same in [true, false] {
        let world = World::of_processes();
        let creation = slow_creation(&world);
        let mut secret = fs::read(world.path("got")).unwrap();
        if !same {
            secret = b"sk_live_0123456789abcdefghijklmnopqrstuvwxyz".to_vec();
        }
        let file = world.write("secret", std::str::from_utf8(&secret).unwrap());
        let args = ["adopt", "demo", "--if-missing", "--secret-file", &file, "--json"];
        let waiting = world.start(&args, std::process::Stdio::piped());
        std::thread::sleep(std::time::Duration::from_millis(300));
        fs::write(world.path("go"), "").unwrap();
        finished(creation).ok();
        let ran = finished(waiting);
        if same {
            assert_eq!((&ran.ok().json()["changed"]), &json!(false));
        } else {
            assert_eq!(ran.exit(5).failure()["message"], "`demo` exists with another secret");
        }
    }
}

#[test]
fn a_stopped_creation_loses_its_name_at_its_deadline() {
    let world = Rc::new(World::with_store());
    let other = Rc::clone(&world);
    let stopped = world.run_while(&["create", "demo"], move || {
        let failure = other.refuses(&["create", "demo"], 5, "under_way");
        assert_eq!(failure["hint"], "wait until 2026-11-22T12:10:00Z at the latest");
        let ran = other.run(&["create", "demo", "--if-missing", "-d", "second"]).ok();
        assert_eq!(other.now(), START + 10 * MINUTE);
        other.assert_valid(ran.line(), "demo");
    });
    assert_eq!(stopped.code, 7, "{stopped:?}");
    assert_eq!(world.show("demo")["description"], "second");
}

#[test]
fn if_missing_warns_if_the_file_of_the_destination_is_missing() {
    let world = World::with_store();
    let (file, env) = (world.path("secret"), world.path("app.env"));
    let to_file = ["create", "demo", "--if-missing", "--out", &file];
    let to_env = ["create", "worker", "--if-missing", "--env-file", &env, "--env-name", "KEY"];
    for args in [&to_file[..], &to_env] {
        world.run(args).ok();
        assert_eq!(world.run(args).ok().err, format!("`{}` exists; nothing was changed\n", args[1]));
    }
    fs::remove_file(&file).unwrap();
    fs::remove_file(&env).unwrap();
    let warning = |file: &str, name: &str| {
        format!(
            "warning: `{file}`, where `{name}` has its secret, is missing; `tokenctl rotate {name}` delivers a new \
             one there\n"
        )
    };
    assert_eq!(world.run(&[&to_file[..], &["-q"]].concat()).ok().err, warning(&file, "demo"));
    assert_eq!(world.run(&[&to_env[..], &["-q"]].concat()).ok().err, warning(&env, "worker"));
    world.run(&["rotate", "demo"]).ok();
    world.assert_file_holds(&file, "valid demo");
    assert_eq!(world.run(&[&to_file[..], &["-q"]].concat()).ok().err, "");

    // An adopted token can have a destination too.
    let secret = b"sk_live_0123456789abcdefghijklmnopqrstuvwxyz";
    let adopt = ["adopt", "legacy", "--if-missing", "-q"];
    world.run_with(&adopt, secret).ok();
    let elsewhere = world.path("elsewhere");
    world.run(&["edit", "legacy", "--out", &elsewhere]).ok();
    assert_eq!(world.run_with(&adopt, secret).ok().err, warning(&elsewhere, "legacy"));
}

#[test]
fn if_missing_warns_about_a_different_destination_or_hook() {
    let world = World::with_store();
    let (file, other) = (world.path("secret"), world.path("other"));
    world.run(&["create", "demo", "--out", &file, "--after", "true"]).ok();
    let warned =
        |args: &[&str]| world.run(&[&["create", "demo", "--if-missing", "-q"], args].concat()).ok().err;
    assert_eq!(warned(&["--out", &file, "--after", "true"]), "");
    let differs =
        |flag: &str| format!("warning: `demo` exists and differs from {flag}; it was not changed\n");
    assert_eq!(warned(&["--after", "false"]), differs("--after"));
    assert_eq!(warned(&["--exec", "cat >/dev/null"]), differs("--out, --env-file, --exec"));
    let missing = format!(
        "warning: `{other}` is missing, and nothing was put there; `tokenctl rotate demo` with the same flags does that\n"
    );
    assert_eq!(warned(&["--out", &other]), differs("--out, --env-file, --exec") + &missing);
    assert_eq!(warned(&["--out", &other, "--no-remember"]), missing);
}

#[test]
fn if_missing_with_revive_rotates_an_expired_token_and_keeps_its_id() {
    let world = World::with_store();
    let (file, runs) = (world.path("secret"), world.path("runs"));
    let after = format!("echo run >>{runs}");
    world.run(&["create", "demo", "--ttl", "10d", "--out", &file, "--after", &after]).ok();
    let (id, first) = (world.show("demo")["id"].clone(), fs::read_to_string(&file).unwrap());
    world.wait(11 * DAY);
    let failure = world.refuses(&["create", "demo", "--if-missing"], 5, "policy");
    assert_eq!(
        (&failure["message"], &failure["hint"]),
        (
            &json!("`demo` exists, but has expired"),
            &json!("use `--revive` to give it a new secret, or revoke it first")
        )
    );
    world.refuses(&["create", "demo", "--revive"], 2, "usage");
    let create = ["create", "demo", "--if-missing", "--revive", "--ttl", "10d"];
    let document = world.run(&[&create[..], &["--json"]].concat()).ok().json();
    assert_eq!(
        (&document["id"], &document["changed"], &document["secret"], &document["expires_at"]),
        (&id, &json!(true), &Value::Null, &json!("2026-12-13T12:00:00Z"))
    );
    world.assert_file_holds(&file, "valid demo");
    assert_eq!(world.verify(&first, &[]), (3, "superseded demo".to_owned()));
    assert_eq!(fs::read_to_string(&runs).unwrap(), "run\n", "a rotation ran the hook");
    assert_eq!(world.actions()[4..], ["rotate", "confirm", "hook"]);
    // A token that has not expired is not changed.
    let ran = world.run(&create).ok();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", "`demo` exists; nothing was changed\n"));

    // Without a destination, the secret is printed, as it is by `create`.
    world.create("plain", &["--ttl", "1h"]);
    world.wait(2 * HOUR);
    let ran = world.run(&["create", "plain", "--if-missing", "--revive"]).ok();
    world.assert_valid(ran.line(), "plain");
    assert!(ran.err.starts_with("warning: `plain` had expired at 2026-12-03T13:00:00Z; "), "{}", ran.err);
    // If no token has the name, one is created.
    world.assert_valid(&world.create("new", &["--if-missing", "--revive"]), "new");
}

#[test]
fn an_adoption_prints_how_to_revive_an_expired_token() {
    let world = World::with_store();
    let secret = b"sk_live_0123456789abcdefghijklmnopqrstuvwxyz";
    world.run_with(&["adopt", "legacy", "--ttl", "1h"], secret).ok();
    world.wait(HOUR);
    let failure = world.refuses_with(&["adopt", "legacy", "--if-missing"], secret, 5, "policy");
    assert_eq!(
        failure["hint"],
        "use `tokenctl rotate legacy --revive` to give it a new secret, or revoke it first"
    );
}

//! The hook of a token, which runs once the rotated secret is in place, and again until it succeeds.

use std::fs;

use serde_json::{Value, json};

use crate::support::processes::At;
use crate::support::{DAY, HOUR, MINUTE, Ran, World, assert_token_keys, program, run, search_path};

const MONTHLY: [&str; 4] = ["--ttl", "90d", "--rotate-every", "30d"];

/// A store with a token `demo`, whose destination is a file and which has this hook.
fn world_with(hook: impl Fn(&World) -> String) -> World {
    let world = World::new();
    let (file, hook) = (world.path("secret"), hook(&world));
    world.run(&[&["create", "demo", "--out", &file, "--after", &hook], &MONTHLY[..]].concat()).ok();
    world
}

/// A hook that records each of its runs, and fails in the first few.
fn fails(times: usize) -> impl Fn(&World) -> String {
    move |world| {
        let runs = world.path("runs");
        format!("echo run >>{runs}; test $(wc -l <{runs}) -gt {times}")
    }
}

fn runs(world: &World) -> usize {
    fs::read_to_string(world.path("runs")).map_or(0, |runs| runs.lines().count())
}

fn pending(world: &World) -> Value {
    world.show("demo")["hook"]["pending_since"].clone()
}

/// The real program against the store of a world.
fn real(world: &World, args: &[&str]) -> Ran {
    run(program().env("TOKENCTL_STORE", world.store()).args(args), b"")
}

#[test]
fn a_hook_runs_after_a_rotation_and_gets_variables_but_not_the_secret() {
    let world = world_with(|world| {
        let got = world.path("got");
        format!("env | grep ^TOKENCTL_ | sort >{got}; cat >>{got}")
    });
    let got = || fs::read_to_string(world.path("got"));
    assert!(got().is_err(), "`create` does not run the hook");
    assert!(world.show("demo")["hook"]["command"].as_str().unwrap().starts_with("env | grep"));
    world.wait(DAY);
    let ran = world.run(&["rotate", "demo", "--json"]).ok();
    assert_eq!(ran.json()["secret"], Value::Null);
    let document = world.show("demo");
    let expected = format!(
        "TOKENCTL_DESTINATION={}\nTOKENCTL_EXPIRES_AT={}\nTOKENCTL_ID={}\nTOKENCTL_NAME=demo\n\
         TOKENCTL_PREVIOUS_EXPIRES_AT=2026-11-24T12:00:00Z\n",
        world.path("secret"),
        document["expires_at"].as_str().unwrap(),
        document["id"].as_str().unwrap(),
    );
    assert_eq!(got().unwrap(), expected);
    assert_eq!(pending(&world), Value::Null);
    assert_eq!(world.actions()[2..], ["create", "confirm", "rotate", "confirm", "hook"]);
}

#[test]
fn a_failed_hook_is_repeated_by_every_rotate_due_until_it_succeeds() {
    let world = world_with(fails(2));
    world.wait(30 * DAY);
    let since = crate::support::time(world.now());
    let ran = world.run(&["rotate", "--due", "--quiet"]).exit(1);
    let command = fails(2)(&world);
    let error = format!(
        "error: `demo`: `demo` was rotated, but its hook `{command}` failed with exit 1\nhint: `tokenctl rotate --due` \
         runs it again until it succeeds\nerror: 1 of 1 tokens could not be finished\n"
    );
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", error.as_str()));
    world.assert_file_holds(&world.path("secret"), "valid demo");
    assert_eq!(pending(&world), since);
    let found = world.run(&["check", "--only", "hook_pending", "--json"]).exit(3).json();
    assert_eq!(
        (&found["findings"][0]["code"], &found["findings"][0]["since"]),
        (&json!("hook_pending"), &since)
    );
    assert!(world.run(&["show", "demo"]).ok().out.contains(", failed "));

    world.wait(HOUR);
    let rehearsed = world.run(&["rotate", "--due", "--dry-run"]).ok();
    assert_eq!((runs(&world), rehearsed.out.as_str()), (1, ""));
    assert!(rehearsed.err.contains("the hook of `demo` would be run again\n"), "{}", rehearsed.err);
    let listed = world.run(&["rotate", "--due", "--dry-run", "--json"]).ok().json();
    assert_eq!(
        (&listed["tokens"][0]["name"], &listed["tokens"][0]["changed"]),
        (&json!("demo"), &json!(false))
    );

    let failed = world.run(&["rotate", "--due", "--json"]).exit(1);
    let document = failed.json();
    assert_eq!((&document["changed"], &document["tokens"][0]["changed"]), (&json!(false), &json!(false)));
    assert_eq!(document["tokens"][0]["error"]["code"], "hook_failed");

    world.wait(HOUR);
    let ran = world.run(&["rotate", "--due"]).ok();
    assert_eq!((ran.out.as_str(), ran.err.as_str(), runs(&world)), ("", "", 3));
    world.run(&["rotate", "--due"]).ok();
    assert_eq!((runs(&world), pending(&world)), (3, Value::Null));
    world.run(&["check", "--only", "hook_pending"]).ok();
}

#[test]
fn a_failed_hook_does_not_undo_the_rotation_and_the_document_is_complete() {
    let world = world_with(|_| "exit 7".to_owned());
    let ran = world.run(&["rotate", "demo", "--json"]).exit(1);
    assert_eq!((&ran.json()["changed"], &ran.json()["secret"]), (&json!(true), &Value::Null));
    let last: Value = serde_json::from_str(ran.err.lines().last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "hook_failed");
    assert_eq!(ran.json()["error"], last["error"], "the document contains the error of the hook");
    assert_token_keys(&ran.json(), &["changed", "secret", "error"]);
    assert_eq!(ran.json()["hook"]["pending_since"], crate::support::time(world.now()));
    assert_eq!(last["error"]["message"], "`demo` was rotated, but its hook `exit 7` failed with exit 7");
    world.assert_file_holds(&world.path("secret"), "valid demo");
    // The next `rotate --due` runs the hook again, although the token is not due.
    world.run(&["rotate", "demo", "--due"]).exit(1);
    world.run(&["rotate", "demo", "--after", "true"]).ok();
    assert_eq!(pending(&world), Value::Null, "a later rotation replaces the pending hook");
}

#[test]
fn the_stored_hook_runs_only_if_the_secret_goes_to_the_stored_destination() {
    let world = world_with(fails(0));
    world.run(&["rotate", "demo", "--stdout"]).ok();
    world.run(&["rotate", "demo", "--out", &world.path("elsewhere")]).ok();
    assert_eq!(runs(&world), 0);
    world.run(&["rotate", "demo", "--out", &world.path("secret"), "--force"]).ok();
    assert_eq!(runs(&world), 1);
    let (once, hook) = (world.path("once"), fails(0)(&world));
    world.run(&["rotate", "demo", "--stdout", "--after", &format!("touch {once}")]).ok();
    assert!(fs::metadata(&once).is_ok());
    assert_eq!(
        world.show("demo")["hook"]["command"],
        hook.as_str(),
        "a hook given for one rotation is not stored"
    );
    world.run(&["rotate", "demo", "--after", "true", "--remember"]).ok();
    assert_eq!((runs(&world), &world.show("demo")["hook"]["command"]), (1, &json!("true")));
    world.run(&["edit", "demo", "--after", "none"]).ok();
    assert_eq!(world.show("demo")["hook"], Value::Null);
    world.refuses(&["edit", "demo", "--after", " "], 2, "usage");
}

#[test]
fn a_hook_given_for_all_due_tokens_runs_only_for_tokens_without_one() {
    let world = world_with(fails(0));
    world.run(&[&["create", "bare", "--out", &world.path("bare")], &MONTHLY[..]].concat()).ok();
    world.wait(30 * DAY);
    let (given, after) = (world.path("given"), format!("echo $TOKENCTL_NAME >>{}", world.path("given")));
    assert_eq!(world.run(&["rotate", "--due", "--after", &after]).ok().out, "bare\ndemo\n");
    assert_eq!((runs(&world), fs::read_to_string(given).unwrap().as_str()), (1, "bare\n"));
    assert_eq!(world.show("bare")["hook"], Value::Null);
}

#[test]
fn all_due_secrets_are_delivered_before_the_first_hook_runs() {
    let world = World::new();
    let (last, copy) = (world.path("z"), world.path("copy"));
    let after = format!("cp {last} {copy}");
    world.run(&[&["create", "a", "--out", &world.path("a"), "--after", &after], &MONTHLY[..]].concat()).ok();
    world.run(&[&["create", "z", "--out", &last], &MONTHLY[..]].concat()).ok();
    world.wait(30 * DAY);
    world.run(&["rotate", "--due", "--quiet"]).ok();
    world.assert_file_holds(&copy, "valid z");
}

#[test]
fn the_pending_hook_of_a_revoked_token_does_not_run() {
    let world = world_with(fails(9));
    world.run(&["rotate", "demo"]).exit(1);
    world.run(&["revoke", "demo", "--yes"]).ok();
    world.run(&["rotate", "--due"]).ok();
    assert_eq!((runs(&world), pending(&world)), (1, Value::Null));
}

#[test]
fn a_hook_can_call_tokenctl_and_still_runs_only_once() {
    let world = world_with(|world| {
        let (store, path) = (world.store(), search_path());
        let inner = format!("PATH='{path}' tokenctl --store {} rotate --due --quiet", store.display());
        format!("{}; {inner} && {inner}", fails(0)(world))
    });
    world.at_real_time(0);
    real(&world, &["rotate", "demo"]).ok();
    assert_eq!((runs(&world), pending(&world)), (1, Value::Null));
}

#[test]
fn a_hook_that_was_killed_is_repeated_after_six_minutes_or_if_the_clock_was_set_back() {
    for (later, again) in [(5 * MINUTE, false), (7 * MINUTE, true), (-HOUR, true)] {
        let world = world_with(|world| {
            let runs = world.path("runs");
            format!("echo run >>{runs}; test $(wc -l <{runs}) -gt 1 || kill -9 $PPID")
        });
        let killed = real(&world, &["rotate", "demo"]);
        assert_eq!(killed.code, -1, "{killed:?}");
        world.at_real_time(0);
        world.assert_file_holds(&world.path("secret"), "valid demo");
        assert_ne!(pending(&world), Value::Null);
        world.at_real_time(later);
        world.run(&["rotate", "--due"]).ok();
        assert_eq!((runs(&world) == 2, pending(&world) == Value::Null), (again, again), "{later}");
    }
}

#[test]
fn a_hook_that_does_not_exit_is_killed_after_five_minutes() {
    // On the simulated machine, the five minutes pass at once.
    let world = world_with(|_| "sleep infinity".to_owned());
    let ran = world.run(&["rotate", "demo"]).exit(1);
    assert!(ran.err.contains("`sleep infinity` did not finish within 300 s and was killed\n"), "{}", ran.err);
}

#[test]
fn output_of_commands_goes_to_stderr_and_is_discarded_with_quiet() {
    let world = World::new();
    let args = ["create", "demo", "--exec", "cat >/dev/null; echo delivered", "--after", "echo restarted"];
    assert!(real(&world, &args).ok().err.contains("delivered\n"));
    let loud = real(&world, &["rotate", "demo"]).ok();
    assert!(
        loud.out.is_empty() && loud.err.contains("delivered\n") && loud.err.ends_with("restarted\n"),
        "{loud:?}"
    );
    let mute = real(&world, &["rotate", "demo", "--quiet", "--exec", "cat >/dev/null; echo delivered"]).ok();
    assert_eq!((mute.out.as_str(), mute.err.as_str()), ("", ""));
}

#[test]
fn the_hook_of_each_of_four_hundred_due_tokens_runs_once() {
    let world = World::new();
    let runs = world.path("runs");
    let dir = world.directory("out");
    for at in 0..400 {
        let (name, file) = (format!("t{at:03}"), format!("{dir}/t{at:03}"));
        let after = format!("echo $TOKENCTL_NAME >>{runs}");
        world.run(&[&["create", &name, "--out", &file, "--after", &after], &MONTHLY[..]].concat()).ok();
    }
    world.wait(30 * DAY);
    let ran = world.run(&["rotate", "--due"]).ok();
    assert_eq!(ran.out.lines().count(), 400);
    let all = fs::read_to_string(&runs).unwrap();
    assert_eq!(all, ran.out, "the hooks run in the order of the rotations, each once");
    assert_eq!(world.run(&["rotate", "--due"]).ok().out, "");
    world.run(&["audit", "verify"]).ok();
}

#[test]
fn two_simultaneous_runs_rotate_each_token_once_and_run_each_hook_once() {
    let world = World::new();
    world.at_real_time(-31 * DAY);
    for name in ["a", "b", "c", "d"] {
        let (file, after) = (world.path(name), format!("echo $TOKENCTL_NAME >>{}", world.path("runs")));
        world.run(&[&["create", name, "--out", &file, "--after", &after], &MONTHLY[..]].concat()).ok();
    }
    let start = || {
        let mut command = program();
        command.env("TOKENCTL_STORE", world.store()).args(["rotate", "--due"]);
        command.stdout(std::process::Stdio::piped()).spawn().expect("the program starts")
    };
    let both: Vec<_> = (0..2).map(|_| start()).collect();
    let mut names: Vec<String> = Vec::new();
    for child in both {
        let done = child.wait_with_output().expect("the program ends");
        assert!(done.status.success());
        names.extend(String::from_utf8_lossy(&done.stdout).lines().map(str::to_owned));
    }
    names.sort();
    assert_eq!(names, ["a", "b", "c", "d"]);
    let mut ran: Vec<_> =
        fs::read_to_string(world.path("runs")).unwrap().lines().map(str::to_owned).collect();
    ran.sort();
    assert_eq!(ran, names);
}

#[test]
fn after_recovery_the_hook_runs_only_if_the_delivery_was_confirmed() {
    for (at, confirmed) in [(At::AfterRename, true), (At::BeforeRename, false)] {
        let world = World::new();
        world.at_real_time(0);
        let file = format!("{}/secret", world.directory("out"));
        world.run(&["create", "demo", "--out", &file, "--after", &fails(0)(&world)]).ok();
        if !world.kill_at(at, "rotate demo") {
            return;
        }
        world.at_real_time(11 * MINUTE);
        world.run(&["rotate", "--due", "--quiet"]).ok();
        assert_eq!((runs(&world) == 1, pending(&world)), (confirmed, Value::Null), "{at:?}");
        world.assert_file_holds(&file, "valid demo");
        let last = if confirmed { "hook" } else { "rollback" };
        assert_eq!(world.last_event()["action"], last);
    }
}

#[test]
fn a_token_with_a_pending_hook_is_not_pruned() {
    let world = world_with(fails(1));
    world.wait(30 * DAY);
    world.run(&["rotate", "--due", "--quiet"]).exit(1);
    world.wait(20 * DAY);
    let prune = || world.run(&["prune", "--yes", "--json"]).ok().json()["count"].clone();
    assert_eq!(prune(), 0);
    world.run(&["rotate", "--due", "--quiet"]).ok();
    assert_eq!((pending(&world), prune()), (Value::Null, json!(1)));
}

#[test]
fn an_edit_of_the_hook_also_changes_the_pending_hook() {
    let world = World::new();
    let runs = world.path("runs");
    world.run(&["create", "demo", "--out", &world.path("demo"), "--after", "exit 1"]).ok();
    world.run(&["rotate", "demo"]).exit(1);
    world.run(&["edit", "demo", "--after", &format!("echo run >>{runs}")]).ok();
    world.run(&["rotate", "--due"]).ok();
    assert_eq!(fs::read_to_string(&runs).unwrap(), "run\n");
    world.run(&["edit", "demo", "--after", "exit 1"]).ok();
    world.run(&["rotate", "demo"]).exit(1);
    world.run(&["edit", "demo", "--after", "none"]).ok();
    assert!(world.look_at("demo")["hook"].is_null());
    world.run(&["rotate", "--due"]).ok();
    world.run(&["audit", "verify"]).ok();
}

#[test]
fn an_edit_does_not_change_the_pending_hook_of_a_single_rotation() {
    let world = World::new();
    world.run(&["create", "demo", "--out", &world.path("demo"), "--after", "true"]).ok();
    world.run(&["rotate", "demo", "--after", "exit 1"]).exit(1);
    let wanted = world.run(&["export", "--toml"]).ok().out;
    world.run(&["diff", &world.write("wanted.toml", &wanted)]).ok();
    world.run(&["edit", "demo", "--after", "true # again"]).ok();
    world.run(&["rotate", "demo", "--due"]).exit(1);
}

//! Recovery of killed deliveries, and what `doctor` finds and repairs.

use std::cell::RefCell;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::rc::Rc;

use serde_json::{Value, json};
use tokenctl::context::CopyMethod;

use crate::support::processes::{At, assert_failure, full_pipe, mode, wait_until_stuck};
use crate::support::{Answer, Clipboards, DAY, HOUR, MINUTE, Ran, START, World, have, program, run, time};

fn count(world: &World, action: &str) -> usize {
    world.actions().iter().filter(|it| *it == action).count()
}

#[test]
fn a_killed_creation_expires_after_ten_minutes_without_any_clean_up() {
    let world = World::of_processes();
    let secret = world.kill_by_command(&["create", "demo"]);
    assert_eq!(world.real(&["verify"], secret.as_bytes()).line(), "valid demo");
    let failure = assert_failure(&world.real(&["create", "demo", "--json"], b""), "under_way", 5);
    assert!(
        failure["message"].as_str().expect("it is a string").contains("`demo` is being delivered by process")
    );
    world.at_real_time(10 * MINUTE);
    let bytes = world.bytes();
    assert_eq!(world.verify(&secret, &[]), (3, "unknown".to_owned()));
    assert!(world.names(&["--all"]).is_empty());
    world.run(&["show", "demo"]).exit(4);
    assert!(world.bytes() == bytes, "reading changed the store");
    let new = world.create("demo", &[]);
    world.assert_valid(&new, "demo");
    assert_eq!(world.verify(&secret, &[]), (3, "unknown".to_owned()));
    assert_eq!(count(&world, "rollback"), 1);
    world.run(&["audit", "verify"]).ok();
    world.run(&["doctor"]).ok();
}

#[test]
fn a_killed_rotation_expires_after_ten_minutes_without_any_clean_up() {
    let world = World::of_processes();
    let old = world.mint("demo");
    let secret = world.kill_by_command(&["rotate", "demo", "--now"]);
    for secret in [&old, &secret] {
        assert!(world.real(&["verify"], secret.as_bytes()).ok().line().starts_with("valid demo"));
    }
    let ran = world.real(&["rotate", "demo", "--json"], b"");
    let failure = assert_failure(&ran, "under_way", 5);
    assert!(failure["hint"].as_str().expect("the hint is a string").starts_with("wait until "), "{failure}");
    world.at_real_time(10 * MINUTE);
    let bytes = world.bytes();
    assert_eq!(world.verify(&secret, &[]), (3, "expired demo".to_owned()));
    world.assert_valid(&old, "demo");
    world.run(&["list"]).ok();
    // Only the use was recorded, in a separate file.
    let database = |files: &[(std::ffi::OsString, Vec<u8>)]| -> Vec<u8> {
        files.iter().find(|(name, _)| name == "tokens.db").expect("the database").1.clone()
    };
    assert!(database(&world.bytes()) == database(&bytes), "reading changed the store");
    let new = world.rotate("demo", &[]);
    world.assert_valid(&new, "demo");
    assert_eq!(world.verify(&secret, &[]), (3, "unknown".to_owned()));
    assert_eq!(world.verify(&old, &[]), (0, "valid demo previous".to_owned()));
    world.run(&["doctor"]).ok();
}

#[test]
fn a_delivery_killed_while_it_wrote_to_stdout_also_expires() {
    let world = World::of_processes();
    let old = world.mint("demo");
    for args in [&["create", "new"][..], &["rotate", "demo"]] {
        let (_reader, writer) = full_pipe();
        let mut stuck = world.start(args, writer);
        wait_until_stuck(&mut stuck);
        stuck.kill().expect("the process can be killed");
        stuck.wait().expect("the process can be waited for");
    }
    world.at_real_time(10 * MINUTE);
    assert_eq!(world.names(&["--all"]), ["demo"]);
    world.create("new", &[]);
    assert_eq!(world.show("demo")["secrets"].as_array().expect("`secrets` is an array").len(), 1);
    world.assert_valid(&old, "demo");
    assert_eq!(count(&world, "rollback"), 2);
}

#[test]
fn a_delivery_killed_after_it_wrote_to_a_redirected_stdout_also_expires() {
    if !have("strace") || !have("bash") {
        return;
    }
    let world = World::of_processes();
    let file = fs::canonicalize(world.dir.path()).expect("the path exists").join("secret");
    let script = format!(
        "exec strace -f -o /dev/null -P {} -e trace=fsync -e inject=fsync:signal=SIGKILL \
         tokenctl create demo >secret",
        file.display()
    );
    assert_eq!(run(&mut world.bash(&script), b"").code, -1, "not killed");
    let secret = fs::read_to_string(&file).expect("the file can be read");
    assert_eq!(secret.len(), 42, "the newline is written only after the confirmation");
    assert_eq!(world.real(&["verify"], secret.as_bytes()).ok().line(), "valid demo");
    world.at_real_time(10 * MINUTE);
    assert_eq!(world.verify(&secret, &[]), (3, "unknown".to_owned()));
}

#[test]
fn the_next_change_by_the_same_user_rolls_a_killed_delivery_back_and_logs_it() {
    let mut world = World::of_processes();
    world.mint("demo");
    let secret = world.kill_by_command(&["rotate", "demo"]);
    world.at_real_time(9 * MINUTE);
    world.run(&["edit", "demo", "--owner", "ann"]).ok();
    assert_eq!((count(&world, "rollback"), world.verify(&secret, &[]).0), (0, 0), "too early");
    world.wait(2 * MINUTE);
    let us = world.uid;
    world.uid = 64_001;
    world.run(&["edit", "demo", "--owner", "bob"]).ok();
    assert_eq!(count(&world, "rollback"), 0, "another user does not roll it back");
    assert_eq!(world.verify(&secret, &[]), (3, "expired demo".to_owned()));
    world.uid = us;
    // A change to something else also rolls it back, before its own work; reading does not.
    world.run(&["list"]).ok();
    assert_eq!(count(&world, "rollback"), 0);
    world.run(&["settings", "grace", "2h", "--reason", "calm"]).ok();
    let log = world.run(&["audit", "--json"]).ok().json();
    let [.., rollback, settings] = &log.as_array().expect("`events` is an array")[..] else {
        panic!("{log}")
    };
    assert_eq!((&rollback["action"], &settings["action"]), (&json!("rollback"), &json!("settings")));
    assert_eq!(rollback["token"]["name"], "demo");
    assert_eq!((&rollback["actor"]["uid"], &rollback["reason"]), (&json!(us), &Value::Null));
    assert_eq!(world.verify(&secret, &[]), (3, "unknown".to_owned()));
    world.run(&["audit", "verify"]).ok();
}

#[test]
fn another_user_can_rotate_the_token_of_a_killed_delivery() {
    let mut world = World::of_processes();
    world.mint("demo");
    world.kill_by_command(&["rotate", "demo"]);
    world.at_real_time(10 * MINUTE);
    world.uid = 64_001;
    let new = world.rotate("demo", &[]);
    world.assert_valid(&new, "demo");
    world.run(&["audit", "verify"]).ok();
}

#[test]
fn the_next_change_confirms_a_killed_delivery_whose_file_has_the_secret() {
    for (destination, name) in [("--out out/file", "file"), ("--env-file out/env --env-name A", "env")] {
        let world = World::of_processes();
        world.directory("out");
        world.shell(&format!("tokenctl create demo --grace 3h {destination}")).ok();
        let path = world.path(&format!("out/{name}"));
        let secret = || {
            let text = fs::read_to_string(&path).expect("the file can be read");
            let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
            words.find(|word| word.starts_with("tkn_")).expect("there is a secret").to_owned()
        };
        let old = secret();
        if name == "env" {
            // Recovery accepts the same spellings of the line as the writer.
            fs::write(&path, format!("A = \"{old}\" # ci\n")).expect("the file can be written");
        }
        if !world.kill_at(At::AfterRename, &format!("rotate demo {destination}")) {
            return;
        }
        let new = secret();
        assert_ne!(old, new);
        let both = |world: &World, at: &str| {
            assert_eq!(world.verify(&new, &[]).0, 0, "{at}");
            assert_eq!(world.verify(&old, &[]).0, 0, "{at}");
            assert_eq!(count(world, "confirm"), 1, "{at}");
        };
        world.at_real_time(0);
        both(&world, "at once");
        world.run(&["edit", "demo", "--owner", "ann"]).ok();
        both(&world, "before the deadline");
        // A secret that is in the file does not expire by itself.
        world.wait(20 * DAY);
        both(&world, "without a change");
        world.run(&["edit", "demo", "--owner", "bob"]).ok();
        assert_eq!(count(&world, "confirm"), 2);
        world.assert_valid(&new, "demo");
        assert_eq!(world.verify(&old, &[]), (0, "valid demo previous".to_owned()));
        // The grace period starts at the confirmation, not when the program was killed.
        world.wait(3 * HOUR - 1);
        assert_eq!(world.verify(&old, &[]).0, 0);
        world.wait(1);
        assert_eq!(world.verify(&old, &[]), (3, "superseded demo".to_owned()));
        world.assert_valid(&new, "demo");
        world.run(&["doctor"]).ok();
    }
}

#[test]
fn a_provisional_secret_expires_at_a_new_fixed_expiry_of_its_token() {
    let world = World::of_processes();
    world.directory("out");
    world.shell("tokenctl create demo --out out/file").ok();
    if !world.kill_at(At::AfterRename, "rotate demo --out out/file") {
        return;
    }
    let secret = fs::read_to_string(world.path("out/file")).expect("the file can be read");
    world.at_real_time(0);
    let until = time(world.now() + 3 * MINUTE);
    world.run(&["edit", "demo", "--expires", until.as_str().expect("the time is a string")]).ok();
    assert_eq!(world.verify(&secret, &[]).0, 0);
    world.wait(5 * MINUTE);
    assert_eq!(world.verify(&secret, &[]), (3, "expired demo".to_owned()));
}

#[test]
fn a_killed_creation_whose_file_is_in_place_is_confirmed() {
    let world = World::of_processes();
    world.directory("out");
    if !world.kill_at(At::AfterRename, "create demo --out out/file") {
        return;
    }
    let secret = fs::read_to_string(world.path("out/file")).expect("the file can be read");
    world.at_real_time(20 * MINUTE);
    world.assert_valid(&secret, "demo");
    assert_eq!(world.show("demo")["status"], "provisional");
    world.run(&["create", "demo"]).exit(5);
    assert_eq!(world.show("demo")["status"], "active");
    assert_eq!(world.last_event()["action"], "confirm");
    world.assert_valid(&secret, "demo");
    world.run(&["doctor"]).ok();
}

#[test]
fn a_killed_delivery_without_the_file_is_rolled_back_and_its_temporary_file_is_removed() {
    let world = World::of_processes();
    world.directory("out");
    for (verb, name, destination) in [
        ("create", "new", "--out out/new"),
        ("rotate", "file", "--out out/file"),
        ("rotate", "env", "--env-file out/env --env-name A"),
    ] {
        if verb == "rotate" {
            world.shell(&format!("tokenctl create {name} {destination}")).ok();
        }
        let path = world.path(&format!("out/{name}"));
        let before = fs::read(&path).ok();
        if !world.kill_at(At::BeforeRename, &format!("{verb} {name} {destination}")) {
            return;
        }
        assert_eq!(fs::read(&path).ok(), before, "{name}");
        let [temporary] = &world.temporaries()[..] else { panic!("{:?}", world.temporaries()) };
        let temporary = world.path(&format!("out/{temporary}"));
        let secret = fs::read_to_string(&temporary).expect("the file can be read");
        let secret = secret.trim_end().trim_start_matches("A=").to_owned();
        assert_eq!(mode(temporary.as_ref()), 0o600);
        world.at_real_time(9 * MINUTE);
        world.run(&["settings", "grace", "1h"]).ok();
        assert_eq!((world.verify(&secret, &[]).0, world.temporaries().len()), (0, 1), "too early");
        world.wait(2 * MINUTE);
        if verb == "create" {
            world.create(name, &[]);
        } else {
            world.run(&["settings", "grace", "2h"]).ok();
            let kept = String::from_utf8(before.clone().expect("a file")).expect("the bytes are UTF-8");
            let kept = kept.trim_end().trim_start_matches("A=");
            assert_eq!(world.verify(kept, &[]), (0, format!("valid {name}")));
        }
        assert_eq!(world.verify(&secret, &[]), (3, "unknown".to_owned()), "{name}");
        assert!(world.temporaries().is_empty(), "{name}");
        assert_eq!(fs::read(&path).ok(), before, "recovery does not write to the destination");
        world.run(&["doctor"]).ok();
        // The real program uses the real clock, which is behind the simulated one, so it needs a new store.
        fs::remove_dir_all(world.store()).expect("the store can be removed");
        world.real(&["init"], b"").ok();
    }
}

#[test]
fn recovery_deletes_only_a_temporary_file_that_tokenctl_wrote() {
    type Prepare = fn(&str);
    let cases: [(&str, Prepare); 3] = [
        ("a link", |path| {
            fs::remove_file(path).expect("the file can be removed");
            symlink("precious", path).expect("the link can be created");
        }),
        ("a second name", |path| {
            fs::hard_link(path, format!("{path}.copy")).expect("the link can be created");
        }),
        ("a directory", |path| {
            fs::remove_file(path).expect("the file can be removed");
            fs::create_dir(path).expect("the directory can be created");
        }),
    ];
    for (what, prepare) in cases {
        let world = World::of_processes();
        world.directory("out");
        world.write("out/precious", "precious");
        if !world.kill_at(At::BeforeRename, "create demo --out out/file") {
            return;
        }
        let temporary = world.path(&format!("out/{}", world.temporaries()[0]));
        prepare(&temporary);
        world.at_real_time(11 * MINUTE);
        world.create("demo", &[]);
        assert!(fs::symlink_metadata(&temporary).is_ok(), "{what} was deleted");
        assert_eq!(fs::read_to_string(world.path("out/precious")).expect("the file can be read"), "precious");
    }
}

#[test]
fn a_killed_delivery_is_rolled_back_if_its_file_was_replaced_by_something_else() {
    for what in ["fifo", "link", "gone", "directory", "foreign"] {
        let world = World::of_processes();
        world.directory("out");
        world.shell("tokenctl create demo --out out/file").ok();
        let old = fs::read_to_string(world.path("out/file")).expect("the file can be read");
        if !world.kill_at(At::AfterRename, "rotate demo --out out/file") {
            return;
        }
        let path = world.path("out/file");
        let new = fs::read_to_string(&path).expect("the file can be read");
        fs::rename(&path, world.path("out/moved")).expect("the file can be renamed");
        match what {
            "fifo" => {
                let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
                rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0)
                    .expect("the FIFO can be created");
            }
            "link" => symlink("moved", &path).expect("the link can be created"),
            "directory" => fs::create_dir(&path).expect("the directory can be created"),
            "foreign" => drop(world.write("out/file", "text")),
            _ => {}
        }
        world.at_real_time(11 * MINUTE);
        world.run(&["settings", "grace", "2h"]).ok();
        assert_eq!(world.verify(&new, &[]), (3, "unknown".to_owned()), "{what}");
        world.assert_valid(&old, "demo");
    }
}

/// Creates a token `demo` with its secret in `out/file`, and kills a rotation whose new secret is already in the file.
/// Returns the old and the new secret, or `None` if that is not possible.
fn killed_after_the_rename(world: &World, args: &str) -> Option<(String, String)> {
    world.directory("out");
    let read = || fs::read_to_string(world.path("out/file")).expect("the file can be read");
    world.shell(&format!("tokenctl create demo {args} --out out/file")).ok();
    let old = read();
    world.kill_at(At::AfterRename, "rotate demo --out out/file").then(|| (old, read()))
}

#[test]
fn a_delivery_whose_directory_is_empty_stays_open_until_doctor_rolls_it_back() {
    let world = World::of_processes();
    let Some((old, new)) = killed_after_the_rename(&world, "") else { return };
    fs::rename(world.path("out/file"), world.path("moved")).expect("the file can be renamed");
    world.at_real_time(11 * MINUTE);
    let ran = world.run(&["settings", "grace", "2h"]).ok();
    assert!(ran.err.contains("the delivery of `demo` stays open"), "{}", ran.err);
    assert!(ran.err.contains("out/file` is missing in an empty directory"), "{}", ran.err);
    assert_eq!((world.verify(&old, &[]).0, world.verify(&new, &[]).0), (0, 0));
    world.run(&["doctor", "--repair", "--yes"]).ok();
    assert_eq!(world.verify(&new, &[]), (3, "unknown".to_owned()));
    world.assert_valid(&old, "demo");
}

#[test]
fn a_delivery_whose_destination_cannot_be_read_stays_open() {
    let world = World::of_processes();
    let Some((_, new)) = killed_after_the_rename(&world, "") else { return };
    fs::rename(world.path("out"), world.path("kept")).expect("the directory can be renamed");
    world.write("out", "text");
    world.at_real_time(11 * MINUTE);
    let ran = world.run(&["settings", "grace", "2h"]).ok();
    assert!(ran.err.contains("out/file` could still be replaced: Not a directory"), "{}", ran.err);
    fs::remove_file(world.path("out")).expect("the file can be removed");
    fs::rename(world.path("kept"), world.path("out")).expect("the directory can be renamed");
    world.run(&["settings", "grace", "3h"]).ok();
    assert_eq!(count(&world, "confirm"), 2);
    world.assert_valid(&new, "demo");
}

#[test]
fn a_delivery_of_a_secret_that_has_expired_since_is_rolled_back() {
    let world = World::of_processes();
    let Some((_, new)) = killed_after_the_rename(&world, "--ttl 1h") else { return };
    world.at_real_time(2 * HOUR);
    world.run(&["settings", "grace", "2h"]).ok();
    assert_eq!((count(&world, "confirm"), count(&world, "rollback")), (1, 1));
    assert_eq!(world.verify(&new, &[]), (3, "unknown".to_owned()));
}

#[test]
fn a_killed_rotation_can_be_replaced_at_once_with_replace_pending() {
    for at in [At::BeforeRename, At::AfterRename] {
        let world = World::of_processes();
        world.directory("out");
        world.shell("tokenctl create demo --out out/file").ok();
        let old = fs::read_to_string(world.path("out/file")).expect("the file can be read");
        if !world.kill_at(at, "rotate demo --out out/file") {
            return;
        }
        let provisional = fs::read_to_string(world.path("out/file")).expect("the file can be read");
        world.shell("tokenctl rotate demo --out out/file").exit(5);
        world.shell("tokenctl rotate demo --out out/file --replace-pending").ok();
        let new = fs::read_to_string(world.path("out/file")).expect("the file can be read");
        let verify = |secret: &str| world.real(&["verify"], secret.as_bytes()).line().to_owned();
        assert_eq!(verify(&new), "valid demo");
        assert_eq!(verify(&old), "valid demo previous");
        // The secret in the file might be in use, so it gets a grace period too.
        assert_eq!(verify(&provisional), "valid demo previous");
        assert!(world.temporaries().is_empty(), "{at:?}");
        let secrets = if at == At::BeforeRename { 2 } else { 3 };
        assert_eq!(
            world.look_at("demo")["secrets"].as_array().expect("`secrets` is an array").len(),
            secrets
        );
        world.assert_intact();
    }
}

#[test]
fn doctor_finds_and_repairs_an_unfinished_delivery() {
    let mut world = World::of_processes();
    world.mint("demo");
    world.kill_by_command(&["rotate", "demo"]);
    world.real(&["doctor"], b"").ok();
    world.at_real_time(11 * MINUTE);
    let bytes = world.bytes();
    let ran = world.run(&["doctor"]).exit(3);
    assert!(ran.out.starts_with("warning: leftover: the delivery of `demo`, begun at "), "{}", ran.out);
    assert!(ran.out.ends_with(" was never finished\n") && ran.out.lines().count() == 1, "{}", ran.out);
    let finding = |ran: &Ran| ran.json()["findings"][0].clone();
    let found = finding(&world.run(&["doctor", "--json"]).exit(3));
    let keys: Vec<_> = found.as_object().expect("it is an object").keys().collect();
    assert_eq!(keys, ["code", "message", "repairable", "repaired", "severity"]);
    assert_eq!((&found["repairable"], &found["repaired"]), (&json!(true), &json!(false)));
    // Without confirmation, nothing is repaired.
    world.refuses(&["doctor", "--repair"], 2, "input_needed");
    assert!(world.bytes() == bytes, "the store was changed");
    let us = world.uid;
    world.uid = 64_001;
    let theirs = finding(&world.run(&["doctor", "--repair", "--yes", "--json"]).exit(3));
    assert_eq!((&theirs["repairable"], &theirs["repaired"]), (&json!(false), &json!(false)));
    assert!(
        theirs["message"].as_str().expect("it is a string").contains(&format!(" of uid {us} ")),
        "{theirs}"
    );
    world.uid = us;
    let ran = world.run(&["doctor", "--repair", "--yes", "--json"]).ok();
    assert_eq!((&ran.json()["ok"], &finding(&ran)["repaired"]), (&json!(true), &json!(true)));
    assert_eq!(world.last_event()["action"], "rollback");
    assert_eq!(world.run(&["doctor", "--repair"]).ok().out, "ok\n");
}

#[test]
fn a_repair_needs_a_confirmation() {
    let mut world = World::with_store();
    fs::remove_file(world.store().join("usage.secrets")).expect("the file can be removed");
    world.at_terminal(&[Answer::No, Answer::CtrlC, Answer::Yes]);
    world.run(&["doctor", "--repair"]).exit(130);
    world.run(&["doctor", "--repair"]).exit(130);
    let ran = world.run(&["doctor", "--repair"]).ok();
    assert!(ran.out.starts_with("repaired: usage: "), "{}", ran.out);
    assert_eq!(*world.asked.borrow(), vec!["repair 1 of 1 findings?"; 3]);
    world.run(&["doctor", "--repair"]).ok();
    assert_eq!(world.asked.borrow().len(), 3, "there is no question if there is nothing to repair");
}

#[test]
fn doctor_repairs_every_repairable_finding() {
    type Break = fn(&World);
    let cases: [(&str, Break); 8] = [
        ("usage", |world| {
            fs::remove_file(world.store().join("usage.secrets")).expect("the file can be removed");
        }),
        ("usage", |world| {
            fs::remove_file(world.store().join("usage.scopes")).expect("the file can be removed");
        }),
        ("usage", |world| {
            fs::write(world.store().join("usage.secrets"), "short").expect("the file can be written");
        }),
        ("leftover", |world| {
            fs::write(world.store().join("usage.new-x"), "").expect("the file can be written");
        }),
        ("permissions", |world| chmod(world, "tokens.db", 0o644)),
        ("permissions", |world| chmod(world, "tokens.db", 0o602)),
        ("permissions", |world| chmod(world, "tokens.db", 0o400)),
        ("permissions", |world| chmod(world, "", 0o707)),
    ];
    for (at, (code, harm)) in cases.into_iter().enumerate() {
        let world = World::with_store();
        let secret = world.create("demo", &[]);
        world.wait(HOUR);
        harm(&world);
        let case = format!("{at}: {code}");
        let before = world.run(&["doctor", "--json"]).exit(3).json();
        let findings = before["findings"].as_array().expect("`findings` is an array");
        assert!(!findings.is_empty(), "{case}");
        for finding in findings {
            assert_eq!((&finding["code"], &finding["repairable"]), (&json!(code), &json!(true)), "{case}");
        }
        let ran = world.run(&["doctor", "--repair", "--yes", "--json"]).ok();
        let after = ran.json();
        assert_eq!(after["ok"], true, "{case}");
        assert!(
            after["findings"]
                .as_array()
                .expect("`findings` is an array")
                .iter()
                .all(|it| it["repaired"] == true)
        );
        assert_eq!(world.run(&["doctor"]).ok().out, "ok\n", "{case}");
        world.assert_valid(&secret, "demo");
        // The mode of a restored database does not share a store that was private.
        assert_eq!(mode(&world.database()), 0o600, "{case}");
        assert_eq!(mode(&world.store()) & 0o022, 0, "{case}");
        assert!(!world.store().join("usage.new-x").exists());
        // A new usage file does not claim to know earlier uses.
        if code == "usage" && at != 1 {
            assert_eq!(world.show("demo")["usage_since"], time(START + HOUR));
        }
    }
}

#[test]
fn damage_that_cannot_be_repaired_is_still_reported_after_a_repair() {
    let world = World::with_store();
    world.create("demo", &[]);
    world.sql("UPDATE tokens SET owner = 'mallory'");
    fs::remove_file(world.store().join("usage.scopes")).expect("the file can be removed");
    let ran = world.run(&["doctor", "--repair", "--yes", "--json"]).exit(3);
    let document = ran.json();
    assert_eq!(document["ok"], false);
    let found: Vec<_> = document["findings"]
        .as_array()
        .expect("`findings` is an array")
        .iter()
        .map(|it| (it["severity"].as_str(), it["repairable"].as_bool(), it["repaired"].as_bool()))
        .collect();
    assert!(found.contains(&(Some("warning"), Some(true), Some(true))), "{document}");
    assert!(found.contains(&(Some("error"), Some(false), Some(false))), "{document}");
    world.run(&["doctor"]).exit(3);
}

fn chmod(world: &World, name: &str, mode: u32) {
    fs::set_permissions(world.store().join(name), Permissions::from_mode(mode)).expect("the mode can be set");
}

#[test]
fn a_damaged_delivery_does_not_prevent_changes_to_other_tokens() {
    let world = World::with_store();
    world.at_real_time(0);
    for name in ["good", "bad", "late"] {
        world.run(&["create", name]).ok();
    }
    world.kill_by_command(&["rotate", "bad"]);
    world.kill_by_command(&["rotate", "late"]);
    world.sql("UPDATE tokens SET created_by = CAST(x'ff' AS TEXT) WHERE name = 'bad'");
    world.at_real_time(HOUR);
    let ran = world.run(&["revoke", "good", "--yes"]).ok();
    assert!(ran.err.contains("warning: an interrupted delivery could not be settled: "), "{}", ran.err);
    assert!(ran.err.contains("`created_by` in `tokens` where `row` is 2"), "{}", ran.err);
    assert_eq!(world.last_event()["action"], "revoke");
    assert_eq!(
        world.show("late")["secrets"].as_array().map(Vec::len),
        Some(1),
        "the other delivery was rolled back"
    );
    let findings = world.run(&["doctor", "--json"]).exit(3).json();
    assert!(findings.to_string().contains("bad does not match its last event"), "{findings}");
}

#[test]
fn an_unfinished_delivery_of_another_user_is_reported_until_the_owner_of_the_store_settles_it() {
    const OWNER: u32 = 64_001;
    let mut world = World::of_processes();
    if world.uid != 0 {
        println!("skipped: only root can give files away");
        return;
    }
    world.directory("out");
    world.shell("tokenctl create demo --rotate-every 30d --grace 3h --out out/demo --no-remember").ok();
    if !world.kill_at(At::AfterRename, "rotate demo --out out/demo --no-remember") {
        return;
    }
    let secret = fs::read_to_string(world.path("out/demo")).expect("the file can be read");
    for path in ["", "tokens.db", "usage.secrets", "usage.scopes"] {
        std::os::unix::fs::chown(world.store().join(path), Some(OWNER), None).expect("the owner can be set");
    }
    let root = world.uid;
    let out = world.path("out");
    let due = ["rotate", "--due", "--out-dir", &out];
    world.at_real_time(40 * DAY);
    world.uid = 64_002;
    for _ in 0..2 {
        let ran = world.run(&due).exit(5);
        assert!(ran.err.contains("demo") && ran.err.contains(&format!("uid {root}")), "{}", ran.err);
        assert_eq!(ran.out, "");
    }
    assert_eq!(count(&world, "confirm"), 1);
    world.uid = OWNER;
    world.run(&["settings", "grace", "2h"]).ok();
    assert_eq!(count(&world, "confirm"), 2);
    assert_eq!(world.verify(&secret, &[]), (0, "valid demo".to_owned()));
    world.wait(31 * DAY);
    assert_eq!(world.run(&due).ok().out, "demo\n");
    world.run(&["audit", "verify"]).ok();
}

#[test]
fn recovery_never_opens_a_device_in_place_of_the_destination() {
    let world = World::of_processes();
    world.directory("out");
    world.shell("tokenctl create demo --out out/file").ok();
    if !world.kill_at(At::AfterRename, "rotate demo --out out/file") {
        return;
    }
    let path = world.path("out/file");
    let new = fs::read_to_string(&path).expect("the file can be read");
    fs::remove_file(&path).expect("the file can be removed");
    let (kind, null) = (rustix::fs::FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    if rustix::fs::mknodat(rustix::fs::CWD, &path, kind, rustix::fs::Mode::RUSR, null).is_err() {
        println!("skipped: making a device is not allowed here");
        return;
    }
    let script =
        "exec strace -f -o log -e trace=open,openat tokenctl rotate demo --take-over --out out/other";
    world.shell(script).ok();
    let log = fs::read_to_string(world.path("log")).expect("the file can be read");
    assert!(log.contains("tokens.db\"") && !log.contains("out/file\""), "{log}");
    assert_eq!(world.real(&["verify"], new.as_bytes()).exit(3).line(), "unknown");
}

#[test]
fn a_replaced_delivery_does_not_confirm_the_one_that_replaced_it() {
    let world = World::with_store();
    world.at_real_time(0);
    let old = world.create("demo", &[]);
    let other = Rc::new(RefCell::new(String::new()));
    let (store, got, seen) = (world.store(), world.path("got"), Rc::clone(&other));
    let first = world.run_while(&["rotate", "demo"], move || {
        let command = format!("cat >{got}; kill -KILL $PPID");
        let mut killed = program();
        killed.env("TOKENCTL_STORE", store).args(["rotate", "demo", "--take-over"]);
        assert_eq!(run(killed.args(["--exec", &command]), b"").code, -1);
        *seen.borrow_mut() = fs::read_to_string(got).expect("the file can be read");
    });
    let first = first.exit(7);
    world.wait(MINUTE);
    assert!(
        first.err.contains("the secret was revoked or taken over before it was confirmed"),
        "{}",
        first.err
    );
    assert_eq!(count(&world, "confirm"), 1);
    assert_eq!(world.verify(first.line(), &[]), (3, "unknown".to_owned()));
    assert_eq!(world.verify(&old, &[]), (0, "valid demo".to_owned()));
    assert_eq!(world.show("demo")["secrets"][1]["role"], "provisional");
    assert_eq!(world.verify(&other.borrow(), &[]).0, 0, "the second delivery is still in progress");
}

#[test]
fn a_delivery_whose_temporary_file_belongs_to_another_user_stays_open() {
    let world = World::of_processes();
    world.directory("out");
    if world.uid != 0 || !world.kill_at(At::BeforeRename, "create demo --out out/file") {
        return;
    }
    let temporary = world.path(&format!("out/{}", world.temporaries()[0]));
    let secret = fs::read_to_string(&temporary).expect("the file can be read");
    std::os::unix::fs::chown(&temporary, Some(64_001), None).expect("the owner can be set");
    world.at_real_time(20 * MINUTE);
    let ran = world.run(&["settings", "grace", "2h"]).ok();
    assert!(ran.err.contains("belongs to uid 64001") && ran.err.contains("stays open"), "{}", ran.err);
    // The next delivery to the directory does not remove it either.
    world.run(&["create", "other", "--out", &world.path("out/other")]).ok();
    assert!(fs::symlink_metadata(&temporary).is_ok(), "the temporary file was deleted");
    assert_eq!((count(&world, "rollback"), world.verify(&secret, &[]).0), (0, 0));
}

#[test]
fn after_a_failed_rollback_the_error_says_how_long_the_secret_might_work() {
    let world = World::of_processes();
    let command = "cat >got; mv store/tokens.db store/away; exit 3";
    let ran = world.shell(&format!("tokenctl create demo --exec '{command}'"));
    fs::rename(world.store().join("away"), world.database()).expect("the database can be renamed");
    let message =
        "the command failed with exit 3, and it could not be rolled back; the secret may work until ";
    assert!(ran.code != 0 && ran.err.contains(message), "{ran:?}");
    assert!(!ran.err.contains("nothing was changed"), "{}", ran.err);
    let secret = fs::read(world.path("got")).expect("the file can be read");
    assert_eq!(world.real(&["verify"], &secret).ok().line(), "valid demo");
}

#[test]
fn a_delivery_succeeds_even_if_the_clock_is_set_back_meanwhile() {
    let world = World::new();
    *world.clipboards.borrow_mut() =
        Clipboards { there: vec![CopyMethod::Tmux], slow: -HOUR, ..Clipboards::default() };
    world.run(&["create", "demo", "--copy"]).ok();
    assert_eq!(world.show("demo")["status"], "active");
    let confirmed = world.last_event();
    assert_eq!((&confirmed["action"], &confirmed["time"]), (&"confirm".into(), &time(START)));
    // A new creation with this clock is refused.
    world.refuses(&["create", "new"], 6, "clock");
}

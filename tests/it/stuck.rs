//! A full pipe or a stopped terminal never blocks other commands.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use crate::support::processes::{assert_failure, finished, full_pipe, soon, wait_until_stuck};
use crate::support::{World, have, run};
use crate::terminals::{all, stopped};

/// Several database pages of tokens, each of which exceeds the buffer of a pipe.
const MANY: usize = 3_000;

/// Runs commands of every kind. None of them must wait for the one that is stuck.
#[track_caller]
fn others_go_on(world: &World, stuck: &mut Child, name: &str) {
    let secret = finished(world.start(&["create", name], Stdio::piped()));
    assert_eq!(secret.code, 0, "{secret:?}");
    let mut verify = world
        .program()
        .args(["verify", "--quiet"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program starts");
    verify
        .stdin
        .take()
        .expect("stdin is a pipe")
        .write_all(secret.out.as_bytes())
        .expect("the program reads its input");
    assert_eq!(soon(&mut verify).code(), Some(0));
    for args in [
        &["edit", name, "--owner", "ann"][..],
        &["show", name],
        &["revoke", name, "--yes"],
        &["list", "--limit", "5"],
    ] {
        let mut child = world.start(args, Stdio::null());
        assert_eq!(soon(&mut child).code(), Some(0), "{args:?}");
    }
    assert!(stuck.try_wait().expect("the process can be waited for").is_none(), "the command was not stuck");
}

#[test]
fn a_delivery_to_a_full_pipe_does_not_block_other_commands() {
    for json in [&[][..], &["--json"]] {
        let world = World::of_processes();
        let (mut reader, writer) = full_pipe();
        let mut stuck = world.start(&[&["create", "demo"], json].concat(), writer);
        wait_until_stuck(&mut stuck);
        others_go_on(&world, &mut stuck, "other");
        // The name is taken as long as the delivery lasts, and the error contains the process id.
        let second = world.real(&["create", "demo", "--json"], b"");
        let failure = assert_failure(&second, "under_way", 5);
        assert!(
            failure["message"].as_str().expect("it is a string").contains(&stuck.id().to_string()),
            "{failure}"
        );
        // The delivery succeeds once its output is read.
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("it can be read");
        let done = finished(stuck);
        assert_eq!(done.code, 0, "{done:?}");
        let text = text.trim_start_matches('x');
        let secret = if json.is_empty() {
            text.trim_end().to_owned()
        } else {
            let document: serde_json::Value = serde_json::from_str(text).expect(text);
            document["secret"].as_str().expect("the secret is a string").to_owned()
        };
        assert_eq!(world.real(&["verify"], secret.as_bytes()).ok().line(), "valid demo");
        world.assert_intact();
    }
}

#[test]
fn a_delivery_that_was_killed_while_stuck_stays_pending_until_its_deadline() {
    let world = World::of_processes();
    let (_reader, writer) = full_pipe();
    let mut stuck = world.start(&["create", "demo"], writer);
    wait_until_stuck(&mut stuck);
    stuck.kill().expect("the process can be killed");
    stuck.wait().expect("the process can be waited for");
    let token = world.look_at("demo");
    assert_eq!(token["status"], "provisional");
    assert_failure(&world.real(&["create", "demo", "--json"], b""), "under_way", 5);
    world.real(&["revoke", "demo", "--yes"], b"").ok();
    world.mint("demo");
    world.assert_intact();
}

#[test]
fn a_rotation_to_a_full_pipe_does_not_block_other_commands_and_keeps_the_old_secret() {
    let world = World::of_processes();
    let secret = world.mint("demo");
    let (reader, writer) = full_pipe();
    let mut stuck = world.start(&["rotate", "demo", "--now"], writer);
    wait_until_stuck(&mut stuck);
    others_go_on(&world, &mut stuck, "other");
    assert_eq!(world.real(&["verify"], secret.as_bytes()).ok().line(), "valid demo");
    assert_failure(&world.real(&["rotate", "demo", "--json"], b""), "under_way", 5);
    drop(reader);
    assert_eq!(finished(stuck).code, 7);
    assert_eq!(world.real(&["verify"], secret.as_bytes()).ok().line(), "valid demo");
    world.assert_intact();
}

#[test]
fn a_slow_command_does_not_block_other_commands() {
    if !have("mkfifo") {
        return;
    }
    let world = World::of_processes();
    let gate = world.dir.path().join("gate");
    run(Command::new("mkfifo").arg(&gate), b"").ok();
    let mut held = File::options().read(true).write(true).open(&gate).expect("a gate");
    let command = format!("cat >'{}/secret'; head -c 1 '{}'", world.dir.path().display(), gate.display());
    let mut stuck = world.start(&["create", "demo", "--exec", &command], Stdio::null());
    let secret = world.dir.path().join("secret");
    while fs::metadata(&secret).map_or(0, |meta| meta.len()) == 0 {
        assert!(
            stuck.try_wait().expect("the process can be waited for").is_none(),
            "the command never got the secret"
        );
    }
    let secret = fs::read(&secret).expect("the file can be read");
    // The secret is valid immediately, although the result of the delivery is not known yet.
    assert_eq!(world.real(&["verify"], &secret).ok().line(), "valid demo");
    others_go_on(&world, &mut stuck, "other");
    held.write_all(b"x").expect("a gate");
    let done = finished(stuck);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(world.real(&["verify"], &secret).ok().line(), "valid demo");
}

#[test]
fn a_list_to_a_full_pipe_does_not_block_other_commands() {
    let world = World::of_processes();
    world.mint("demo");
    world.multiply("demo", MANY);
    for args in [
        &["list"][..],
        &["list", "--json"],
        &["list", "--format", "table"],
        &["list", "--sort", "expires", "--all"],
    ] {
        let (reader, writer) = full_pipe();
        let mut stuck = world.start(args, writer);
        wait_until_stuck(&mut stuck);
        others_go_on(&world, &mut stuck, "other");
        drop(reader);
        assert_eq!(finished(stuck).code, 0, "{args:?}");
    }
}

#[test]
fn a_list_that_is_stuck_between_pages_does_not_block_other_commands() {
    let world = World::of_processes();
    world.mint("demo");
    world.multiply("demo", MANY);
    let (mut reader, writer) = std::io::pipe().expect("a pipe can be created");
    let mut stuck = world.start(&["list"], writer);
    // Read more than the first page, which has 1,000 rows of more than 100 characters.
    let mut some = vec![0; 150_000];
    reader.read_exact(&mut some).expect("it can be read");
    wait_until_stuck(&mut stuck);
    others_go_on(&world, &mut stuck, "aaa-before-all");
    others_go_on(&world, &mut stuck, "zzz-after-all");
    reader.read_to_end(&mut some).expect("it can be read");
    assert_eq!(finished(stuck).code, 0);
    let lines = String::from_utf8(some).expect("the bytes are UTF-8").lines().count();
    assert_eq!(lines, MANY + 1, "each token that existed throughout is listed once");
}

#[test]
fn a_stopped_terminal_does_not_block_other_commands() {
    let world = World::of_processes();
    world.mint("demo");
    world.multiply("demo", MANY);
    for args in [&["list"][..], &["show", "demo"], &["audit"]] {
        let (mut keyboard, screen) = stopped();
        let mut stuck = world.start(args, screen);
        wait_until_stuck(&mut stuck);
        others_go_on(&world, &mut stuck, "other");
        // Ctrl-Q lets the output continue.
        keyboard.write_all(b"\x11").expect("the terminal can be written to");
        let reading = std::thread::spawn(move || all(keyboard));
        assert_eq!(finished(stuck).code, 0, "{args:?}");
        assert!(reading.join().expect("the thread does not panic").contains("demo"));
    }
}

#[test]
fn progress_on_a_stopped_terminal_does_not_block_other_commands() {
    let world = World::large();
    let (mut keyboard, screen) = stopped();
    let mut stuck = world.doctor_on(screen);
    wait_until_stuck(&mut stuck);
    others_go_on(&world, &mut stuck, "other");
    keyboard.write_all(b"\x11").expect("the terminal can be written to");
    let reading = std::thread::spawn(move || all(keyboard));
    assert_eq!(finished(stuck).code, 3, "`doctor` reports the copies, because they have no events");
    let shown = reading.join().expect("the thread does not panic");
    assert!(shown.starts_with("\rchecking ") && shown.ends_with("\x1b[K\r\x1b[K"), "{shown:?}");
}

#[test]
fn a_delivery_to_a_stopped_terminal_does_not_block_other_commands() {
    let world = World::of_processes();
    let (mut keyboard, screen) = stopped();
    let mut stuck = world.start(&["create", "demo"], screen);
    wait_until_stuck(&mut stuck);
    others_go_on(&world, &mut stuck, "other");
    keyboard.write_all(b"\x11").expect("the terminal can be written to");
    let reading = std::thread::spawn(move || all(keyboard));
    let done = finished(stuck);
    assert_eq!(done.code, 0, "{done:?}");
    let secret = reading.join().expect("the thread does not panic");
    assert_eq!(world.real(&["verify"], secret.trim().as_bytes()).ok().line(), "valid demo");
}

#[test]
fn the_error_about_a_lock_contains_the_process_that_holds_it() {
    let world = World::of_processes();
    let secret = world.mint("demo");
    let holder = rusqlite::Connection::open(world.database()).expect("the database can be opened");
    holder.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    // Readers do not wait for the lock.
    assert_eq!(world.real(&["verify"], secret.as_bytes()).ok().line(), "valid demo");
    let failure = assert_failure(&world.real(&["create", "other", "--json"], b""), "store_locked", 6);
    let holder = std::process::id().to_string();
    assert!(failure["message"].as_str().expect("it is a string").contains(&holder), "{failure}");
}

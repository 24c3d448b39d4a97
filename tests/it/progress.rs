//! The progress of a long command: when it is shown, and that it is removed.

use std::cell::RefCell;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::processes::{soon, wait_until_stuck};
use crate::support::{Answer, DAY, World};
use crate::terminals::{all, stopped};

const ERASED: &str = "\r\x1b[K";

/// A world with a terminal of 100 columns, in which each step of a command takes this many milliseconds.
fn slow(pace: u64) -> World {
    let mut world = World::with_store();
    world.create("demo", &[]);
    world.at_terminal(&[]);
    world.pace = Duration::from_millis(pace);
    world.env.insert("NO_COLOR".to_owned(), "1".to_owned());
    world
}

/// The output for a progress line that is replaced by the next of these lines and erased at the end.
fn screen(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("\r{line}\x1b[K")).chain([ERASED.to_owned()]).collect()
}

#[test]
fn a_long_check_shows_its_progress_and_removes_it_at_the_end() {
    let world = slow(400);
    let lines = [
        "checking tokens 0 of 1",
        "checking tokens 1 of 1",
        "checking rules 0 of 1",
        "checking rules 1 of 1",
    ];
    let ran = world.run(&["doctor"]).ok();
    assert_eq!((&*ran.out, ran.err), ("ok\n", screen(&lines)));
    let (code, shown) = world.run_on_screen(&["doctor"]);
    assert_eq!((code, shown), (0, screen(&lines) + "ok\n"));
    let ran = world.run(&["audit", "verify"]).ok();
    assert_eq!(ran.err, screen(&lines[..2]));
}

#[test]
fn progress_is_shown_in_steps_of_a_thousand() {
    let world = slow(400);
    world.multiply("demo", 2_500);
    let ran = world.run(&["audit", "verify"]).exit(3);
    let lines = [0, 1, 2].map(|thousand| format!("checking tokens {thousand},000 of 2,501"));
    assert!(ran.err.ends_with(&screen(&[&lines[2], "checking tokens 2,501 of 2,501"])), "{:?}", ran.err);
    assert!(ran.err.contains(&format!("\r{}\x1b[K", lines[1])), "{:?}", ran.err);
}

#[test]
fn a_short_command_shows_no_progress() {
    let world = slow(100);
    assert_eq!(world.run(&["doctor"]).ok().err, "");
}

#[test]
fn progress_is_shown_only_if_stderr_is_a_suitable_terminal() {
    let mut world = slow(1_000);
    for flag in ["--quiet", "--json"] {
        assert_eq!(world.run(&["doctor", flag]).ok().err, "", "{flag}");
        assert_eq!(world.run(&["audit", "verify", flag]).ok().err, "", "{flag}");
    }
    world.env.insert("TERM".to_owned(), "dumb".to_owned());
    assert_eq!(world.run(&["doctor"]).ok().err, "", "stderr is a dumb terminal");
    world.env.insert("TERM".to_owned(), "xterm".to_owned());
    assert_ne!(world.run(&["doctor"]).ok().err, "");
    world.terminal.width = None;
    assert_eq!(world.run(&["doctor"]).ok().err, "", "the command is in the background");
    world.at_terminal(&[]);
    world.terminal.stderr = false;
    assert_eq!(world.run(&["doctor"]).ok().err, "", "stderr is a pipe");
    world.terminal.stderr = true;
    world.terminal.stdout = false;
    assert_ne!(world.run(&["doctor"]).ok().err, "", "only stdout is not a terminal");
}

#[test]
fn progress_is_removed_before_an_error() {
    let world = slow(1_000);
    world.create("other", &["--rotate-every", "1d", "--grace", "1h"]);
    world.wait(2 * DAY);
    let dir = world.directory("secrets");
    std::fs::write(format!("{dir}/other"), "not a secret of it").expect("the file can be written");
    let (code, shown) = world.run_on_screen(&["rotate", "--due", "--out-dir", &dir]);
    assert_eq!(code, 7);
    assert!(shown.starts_with(&(screen(&["rotating tokens 0 of 1"]) + "error: ")), "{shown:?}");
}

#[test]
fn progress_is_removed_before_a_question() {
    let mut world = slow(1_000);
    std::fs::remove_file(world.store().join("usage.scopes")).expect("the file can be removed");
    world.at_terminal(&[Answer::No]);
    let (code, shown) = world.run_on_screen(&["doctor", "--repair"]);
    assert_eq!((code, world.asked.borrow().len()), (130, 1));
    let (_, end) = shown.rsplit_once("checking rules 1 of 1").expect("there is a line");
    assert_eq!(end, format!("\x1b[K{ERASED}error: you answered no; nothing was changed\n"));
}

/// A terminal that checks, each time it is written to, whether the store is locked.
struct Probe {
    store: Connection,
    locked: Rc<RefCell<Vec<bool>>>,
}

impl Write for Probe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let locked = self.store.execute_batch("BEGIN EXCLUSIVE; ROLLBACK").is_err();
        self.locked.borrow_mut().push(locked);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_lock_is_held_while_progress_is_written() {
    let world = slow(1_000);
    world.create("other", &["--rotate-every", "1d", "--grace", "1h"]);
    world.wait(2 * DAY);
    let dir = world.directory("secrets");
    for (args, lines) in
        [(&["doctor"][..], 7), (&["audit", "verify"], 5), (&["rotate", "--due", "--out-dir", &dir], 3)]
    {
        let store = Connection::open(world.database()).expect("the database can be opened");
        store.busy_timeout(Duration::ZERO).expect("the timeout can be set");
        let locked = Rc::default();
        let probe = Probe { store, locked: Rc::clone(&locked) };
        assert_eq!(world.run_talking_to(args, Box::new(probe)), 0, "{args:?}");
        assert_eq!(*locked.borrow(), vec![false; lines], "{args:?}");
    }
}

#[test]
fn progress_is_removed_after_ctrl_c() {
    let mut world = slow(1_000);
    world.at_terminal(&[Answer::CtrlC]);
    let (code, shown) = world.run_on_screen(&["audit", "verify"]);
    assert_eq!((code, shown), (130, screen(&["checking the database"]) + "error: interrupted\n"));
}

#[test]
fn progress_is_shown_below_printed_names() {
    let mut world = slow(600);
    for name in ["a", "b", "c", "d"] {
        let policy = ["--ttl", "90d", "--rotate-every", "1d", "--grace", "1h"];
        world.create(name, &policy);
    }
    world.wait(2 * DAY);
    let dir = world.directory("secrets");
    let (code, shown) = world.run_on_screen(&["rotate", "--due", "--out-dir", &dir]);
    let progress = |done| format!("\rrotating tokens {done} of 4\x1b[K{ERASED}");
    assert_eq!(code, 0);
    let [one, two, three] = [1, 2, 3].map(progress);
    let rotated = "rotated `a`\nrotated `b`\nrotated `c`\nrotated `d`\n";
    assert_eq!(shown, format!("a\n{one}b\n{two}c\n{three}d\n{rotated}"));
    // Commands that receive secrets can use the terminal, so no progress is shown.
    world.wait(2 * DAY);
    let (_, shown) = world.run_on_screen(&["rotate", "--due", "--exec", "cat >/dev/null"]);
    assert_eq!(shown, format!("a\nb\nc\nd\n{rotated}"));
    // After Ctrl-C, the token that is being rotated still gets its secret.
    world.wait(2 * DAY);
    world.at_terminal(&[Answer::CtrlC]);
    let (code, shown) = world.run_on_screen(&["rotate", "--due", "--out-dir", &dir]);
    assert_eq!(code, 130);
    assert!(shown.starts_with(&format!("a\n{one}b\n")), "{shown:?}");
    assert!(!shown.contains("c\n"), "{shown:?}");
}

#[test]
fn progress_is_removed_after_ctrl_c_in_a_real_terminal() {
    let world = World::large();
    let (mut keyboard, screen) = stopped();
    let mut child = world.doctor_on(screen);
    wait_until_stuck(&mut child);
    kill_process(Pid::from_child(&child), Signal::INT).expect("the signal can be sent");
    keyboard.write_all(b"\x11").expect("the terminal can be written to");
    let reading = thread::spawn(move || all(keyboard));
    assert_eq!(soon(&mut child).code(), Some(130));
    let shown = reading.join().expect("the thread does not panic");
    assert!(shown.starts_with("\rchecking "), "{shown:?}");
    assert!(shown.ends_with("\x1b[K\r\x1b[Kerror: interrupted\r\n"), "{shown:?}");
}

#[test]
fn a_second_ctrl_c_kills_the_program_at_once() {
    let world = World::large();
    let (_keyboard, screen) = stopped();
    let mut child = world.doctor_on(screen);
    wait_until_stuck(&mut child);
    kill_process(Pid::from_child(&child), Signal::INT).expect("the signal can be sent");
    // Without this wait, both signals could be merged into one.
    wait_until_stuck(&mut child);
    kill_process(Pid::from_child(&child), Signal::INT).expect("the signal can be sent");
    assert_eq!(soon(&mut child).signal(), Some(Signal::INT.as_raw()));
}

#[test]
fn moving_a_store_shows_progress() {
    let mut world = slow(400);
    let copy = world.path("copy.db");
    world.run(&["backup", &copy]).ok();
    let exported = world.run(&["export"]).ok();
    let lines = ["exporting tokens 1 of 1"];
    assert_eq!(exported.err, screen(&lines));
    world.run(&["rename", "demo", "other"]).ok();
    world.at_terminal(&[]);
    let ran = world.run(&["restore", &copy, "--yes"]).ok();
    assert!(ran.err.starts_with("\rchecking tokens"), "{:?}", ran.err);
    let many = crate::import::many(&world, 4_500);
    let ran = world.run_with(&["import", "-", "-n"], many.as_bytes());
    assert!(ran.err.starts_with("\rreading lines"), "{:?}", ran.err);
}

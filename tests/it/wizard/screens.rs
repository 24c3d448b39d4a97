//! Questions on a real terminal, which are complete at any width. The cursor is restored in every case.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::readme::lines;
use crate::support::processes::soon;
use crate::support::{World, have, pages};
use crate::terminals::{Screen, terminal};

impl Screen {
    /// Answers the questions before this one.
    #[track_caller]
    fn answer_until(&self, last: &str) {
        let answers = [
            ("Name", "ci"),
            ("Description", "Deploys the 漢字 site, day and night, wherever it is"),
            ("Owner", ""),
            ("Icon", ""),
            ("Lifetime", ""),
            ("Create `ci`", ""),
        ];
        for (question, answer) in answers {
            self.wait(question);
            if question == last {
                return;
            }
            self.type_text(answer);
            self.press(&["Enter"]);
        }
    }
}

#[test]
fn a_token_can_be_created_on_a_terminal_of_any_size() {
    if !have("tmux") {
        return;
    }
    for (columns, rows) in [(80, 24), (40, 12), (24, 5)] {
        let world = World::new();
        let screen = Screen::new(&world, (columns, rows), &[]);
        screen.run("tokenctl create");
        screen.answer_until("Create `ci`");
        let shown = screen.wait("> Print the secret");
        if columns == 80 {
            let (start, end) = shown.split_once("Description").expect("the answers");
            assert_eq!(start.lines().last(), Some("Name: ci"));
            let end = end.lines().skip(1).filter(|line| !line.contains("90d, expires")).collect::<Vec<_>>();
            assert_eq!(
                end,
                [
                    "Owner:",
                    "Icon:",
                    "Lifetime: 90d",
                    "",
                    "ci",
                    "  description  Deploys the 漢字 site, day and night, wherever it is",
                    "",
                    "Create `ci`: move with the arrows, choose with enter",
                    "> Print the secret  once, to standard output",
                    "  Copy the secret   to the clipboard of tmux, for a short time",
                    "  Cancel            do not create it",
                ]
            );
        }
        assert!(!screen.cursor_is_shown(), "a list hides the cursor");
        screen.press(&["Enter"]);
        screen.wait("EXIT 0");
        assert!(screen.cursor_is_shown());
        let token = world.look_at("ci");
        assert_eq!(token["description"], "Deploys the 漢字 site, day and night, wherever it is");
    }
}

#[test]
fn the_screen_in_the_documents_is_that_of_a_real_terminal() {
    if !have("tmux") {
        return;
    }
    let world = World::of_processes();
    for scope in ["events:read", "events:write"] {
        world.real(&["scopes", "define", scope], b"").ok();
    }
    let screen = Screen::new(&world, (80, 24), &[]);
    screen.run("tokenctl create");
    for (question, answer) in
        [("Name", "api-gateway"), ("Description", "Lets the gateway in"), ("Owner", "ann"), ("Icon", "")]
    {
        screen.wait(question);
        screen.type_text(answer);
        screen.press(&["Enter"]);
    }
    screen.wait("> [ ] events:read");
    screen.press(&["Space", "Enter"]);
    screen.wait("> 90d");
    screen.press(&["Down", "Down", "Enter"]);
    let shown = screen.wait("> Print").replace("; echo EXIT $?", "");
    assert_eq!(lines(&format!("$ {shown}")), lines(&pages::blocks("text")[0]));
}

#[test]
fn a_list_that_is_longer_than_the_screen_scrolls() {
    if !have("tmux") {
        return;
    }
    let world = World::of_processes();
    for number in 0..20 {
        let about = "漢字 grün, and far more than a line of forty columns can take";
        world.real(&["scopes", "define", &format!("scope-{number:02}"), "-d", about], b"").ok();
    }
    let screen = Screen::new(&world, (40, 8), &[]);
    screen.run("tokenctl create ci");
    let shown = screen.wait("> [ ] scope-00");
    let first = "Scopes: 1-7 of 20 space to mark, a for…
> [ ] scope-00  漢字 grün, and far mor…
  [ ] scope-01  漢字 grün, and far mor…
  [ ] scope-02  漢字 grün, and far mor…
  [ ] scope-03  漢字 grün, and far mor…
  [ ] scope-04  漢字 grün, and far mor…
  [ ] scope-05  漢字 grün, and far mor…
  [ ] scope-06  漢字 grün, and far mor…";
    assert_eq!(shown, first);
    screen.press(&["Space", "Up", "Space"]);
    let shown = screen.wait("> [x] scope-19");
    assert!(shown.starts_with("Scopes: 14-20 of 20 ") && shown.lines().count() == 8, "{shown}");
    // After the window was made smaller, down to one line, the next key redraws the list.
    for (columns, rows) in ["20 3", "9 1", "60 9"].map(|size| size.split_once(' ').expect("there is a size"))
    {
        screen.tmux(&["resize-window", "-x", columns, "-y", rows]).ok();
        // tmux reports a new size with a delay.
        screen.wait_for("> [x] s", |shown| {
            screen.press(&["Up", "Down"]);
            shown.lines().any(|line| line.starts_with("> [x] s"))
        });
    }
    screen.press(&["Enter"]);
    screen.wait("EXIT 0");
    assert_eq!(world.look_at("ci")["scopes"], serde_json::json!(["scope-00", "scope-19"]));
}

#[test]
fn cancelling_at_any_question_restores_the_cursor_and_creates_nothing() {
    if !have("tmux") {
        return;
    }
    let world = World::new();
    let screen = Screen::new(&world, (80, 24), &[]);
    for question in ["Name", "Description", "Owner", "Icon", "Lifetime", "Create `ci`"] {
        let is_list = ["Lifetime", "Create `ci`"].contains(&question);
        let other: &[&str] = if is_list { &["C-d", "Escape", "q"] } else { &["C-d"] };
        for key in [&["C-c"], other].concat() {
            screen.run("tokenctl create");
            screen.answer_until(question);
            screen.press(&[key]);
            let shown = screen.wait("EXIT 130");
            assert!(shown.contains("error: interrupted\n"), "{question} {key}: {shown}");
            assert!(screen.cursor_is_shown(), "{question} {key}");
            assert!(!world.store().exists(), "{question} {key}");
        }
    }
    let other = World::of_processes();
    other.mint("a");
    let asking = Screen::new(&other, (80, 24), &[]);
    for key in ["C-c", "C-d", "Escape", "q"] {
        asking.run("tokenctl revoke a");
        asking.wait("revoke `a` (no owner, no use recorded)? [y/N]");
        asking.press(&[key]);
        let shown = asking.wait("EXIT 130");
        assert!(shown.contains("\nerror: interrupted\n") && asking.cursor_is_shown(), "{key}: {shown}");
    }
    // The terminal of the shell is restored, so it shows what is typed.
    screen.run("tokenctl adopt x");
    screen.wait("Secret to adopt:");
    screen.press(&["C-c"]);
    screen.wait("EXIT 130");
    screen.run("tokenctl settings");
    screen.wait("EXIT 6");
    screen.type_text("echo seen");
    screen.wait("$ echo seen");
}

#[test]
fn a_signal_at_a_question_restores_the_cursor() {
    if !have("tmux") {
        return;
    }
    let world = World::new();
    let screen = Screen::new(&world, (80, 24), &[]);
    for question in ["Name", "Lifetime"] {
        for signal in ["TERM", "HUP", "INT"] {
            // The shell prints its process id and then runs the program in the same process.
            screen.run("sh -c 'echo PID $$; exec tokenctl create'");
            let shown = screen.wait("PID ");
            let id =
                shown.lines().find_map(|line| line.strip_prefix("PID ")).expect("there is an id").to_owned();
            screen.answer_until(question);
            let done = Command::new("kill").args([&format!("-{signal}"), &id]).status();
            assert!(done.expect("kill runs").success());
            screen.wait("EXIT 130");
            assert!(screen.cursor_is_shown() && !world.store().exists(), "{question} {signal}");
        }
    }
}

#[test]
fn a_hostile_scope_cannot_move_the_cursor() {
    if !have("tmux") {
        return;
    }
    let world = World::of_processes();
    world.real(&["scopes", "define", "read"], b"").ok();
    world.real(&["scopes", "define", "write"], b"").ok();
    world.sql("UPDATE scope SET description = char(27) || '[2J' || char(10) || 'EVIL' WHERE name = 'read'");
    let screen = Screen::new(&world, (80, 24), &[]);
    screen.run("tokenctl create ci");
    let shown = screen.wait("  [ ] write");
    let expected = "tokenctl create ci; echo EXIT $?
Scopes: space to mark, a for all, enter to go on
> [ ] read   \\u{1b}[2J\\u{a}EVIL
  [ ] write";
    assert_eq!(shown, expected);
    screen.press(&["C-c"]);
    screen.wait("EXIT 130");
}

/// Starts the program on a terminal that supports no escape sequences.
fn at_dumb_terminal(world: &World, args: &[&str]) -> (std::process::Child, File) {
    let (ours, theirs) = terminal();
    let stream = || Stdio::from(theirs.try_clone().expect("the descriptor can be duplicated"));
    let mut command = world.program();
    command.env("TERM", "dumb").args(args).stdin(stream()).stdout(Stdio::null()).stderr(stream());
    (command.spawn().expect("the program starts"), ours)
}

/// Reads the output to a terminal until it ends with this text.
#[track_caller]
fn until(terminal: &mut File, text: &str) -> String {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&seen).ends_with(text) {
        let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
        let ready = poll(&mut [PollFd::new(terminal, PollFlags::IN)], Some(&limit))
            .expect("a terminal can be opened");
        let read = if ready == 1 { terminal.read(&mut byte).unwrap_or(0) } else { 0 };
        assert!(read == 1, "no `{text}`: {:?}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
    String::from_utf8_lossy(&seen).replace('\r', "")
}

#[test]
fn on_a_dumb_terminal_questions_are_asked_line_by_line() {
    let world = World::of_processes();
    world.real(&["scopes", "define", "read", "-d", "See things"], b"").ok();
    world.real(&["scopes", "define", "write"], b"").ok();
    let out = world.dir.path().join("secret");
    let out = out.to_str().expect("the path is UTF-8");
    let (mut child, mut terminal) = at_dumb_terminal(&world, &["create", "--out", out]);
    let mut seen = String::new();
    for (question, answer) in [
        ("Name (letters, digits, . _ @ -): ", "ci\n"),
        ("Description (optional): ", "Deploys\n"),
        ("Owner (optional): ", "\n"),
        ("Icon (optional, one character): ", "\n"),
        ("Scopes:\n  1  [ ] read  See things\n  2  [ ] write\n", ""),
        ("numbers, like 1,3 (empty keeps the marks, - clears them): ", "3\n"),
        ("type numbers from 1 to 2\n", ""),
        ("them): ", "1 2\n"),
        ("number [1]: ", "3\n"),
        ("  2  Cancel  do not create it\nnumber [1]: ", "\n"),
    ] {
        seen.push_str(&until(
            &mut terminal,
            question.rsplit('\n').next().filter(|end| !end.is_empty()).unwrap_or("\n"),
        ));
        if !answer.is_empty() {
            assert!(seen.ends_with(question), "{seen:?} {question:?}");
            terminal.write_all(answer.as_bytes()).expect("the terminal can be written to");
        }
    }
    assert_eq!(soon(&mut child).code(), Some(0));
    assert!(!seen.contains('\x1b'), "{seen:?}");
    let token = world.look_at("ci");
    assert_eq!(
        (&token["scopes"], &token["ttl"]),
        (&serde_json::json!(["read", "write"]), &(30 * 86_400).into())
    );
    // The current value is shown, and an empty line keeps it.
    let (mut child, mut terminal) = at_dumb_terminal(&world, &["edit", "ci"]);
    until(&mut terminal, "Description [Deploys] (empty keeps it, - clears it): ");
    terminal.write_all(b"-\n").expect("the terminal can be written to");
    until(&mut terminal, "Owner (optional): ");
    terminal.write_all(b"ann\n").expect("the terminal can be written to");
    // Ctrl-D on an empty line cancels.
    until(&mut terminal, "character): ");
    terminal.write_all(b"\x04").expect("the terminal can be written to");
    assert_eq!(soon(&mut child).code(), Some(130));
    assert_eq!(world.look_at("ci")["owner"], serde_json::json!(null));
}

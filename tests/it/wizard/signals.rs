//! A signal is never lost at a question, whatever the program is doing when the signal arrives.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use rustix::termios::tcgetattr;

use crate::support::processes::{eventually, soon};
use crate::support::{World, have, program_path};
use crate::terminals::terminal;

/// A question: the type of the terminal, the command that asks, the question, and an answer.
struct Asked {
    term: &'static str,
    args: &'static [&'static str],
    question: &'static str,
    answer: &'static str,
}

const QUESTIONS: [Asked; 5] = [
    Asked {
        term: "xterm",
        args: &["revoke", "a"],
        question: "revoke `a` (no owner, no use recorded)? [y/N]",
        answer: "y",
    },
    Asked { term: "xterm", args: &["adopt", "x"], question: "Secret to adopt:", answer: "x\r" },
    Asked { term: "xterm", args: &["create"], question: "Name", answer: "\x1b[Da\r" },
    Asked { term: "xterm", args: &["create", "ci"], question: "[ ] read", answer: "\r" },
    Asked {
        term: "dumb",
        args: &["revoke", "a"],
        question: "revoke `a` (no owner, no use recorded)? [y/N]",
        answer: "y\n",
    },
];

fn world() -> World {
    let world = World::of_processes();
    world.mint("a");
    world.real(&["scopes", "define", "read"], b"").ok();
    world
}

/// The program under strace, on a terminal that the test reads. The child is the program itself (`-D`), so that killing it
/// leaves no process.
struct Traced {
    child: Child,
    screen: fs::File,
    theirs: OwnedFd,
    shown: String,
}

impl Traced {
    fn start(world: &World, asked: &Asked, strace: &[&str]) -> Self {
        let (screen, theirs) = terminal();
        rustix::fs::fcntl_setfl(&screen, rustix::fs::OFlags::NONBLOCK).expect("the flag can be set");
        let stream = || Stdio::from(theirs.try_clone().expect("the descriptor can be duplicated"));
        let mut command = Command::new("strace");
        command.arg("-D").args(strace).arg(program_path()).args(asked.args).env("TERM", asked.term);
        command.env("TOKENCTL_STORE", world.store()).env("LANG", "C.UTF-8");
        let child = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().expect("strace runs");
        Self { child, screen, theirs, shown: String::new() }
    }

    fn read(&mut self) {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = self.screen.read(&mut bytes) {
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    }

    /// Answers the question when it appears. Also continues if the program has already exited.
    #[track_caller]
    fn answer(&mut self, asked: &Asked) {
        eventually(|| {
            self.read();
            let exited = self.child.try_wait().expect("the process can be waited for").is_some();
            let is_asked = self.shown.contains(asked.question);
            (exited || is_asked).then_some(()).ok_or_else(|| format!("{:?}", self.shown))
        });
        self.screen.write_all(asked.answer.as_bytes()).expect("the terminal can be written to");
    }
}

/// The system calls from the start of the question to its end, each with its number among the calls with the same name,
/// and whether it happens only after an answer.
fn calls(asked: &Asked) -> Vec<(String, usize, bool)> {
    let world = world();
    let path = world.dir.path().join("trace");
    let mut traced = Traced::start(&world, asked, &["-o", path.to_str().expect("the path is UTF-8")]);
    traced.answer(asked);
    let ended = |trace: &str| trace.matches("TCSETSW").count() >= 2 || trace.contains("read(0, \"y\\n");
    let trace = eventually(|| {
        traced.read();
        let trace = fs::read_to_string(&path).expect("the file can be read");
        if ended(&trace) { Ok(trace) } else { Err(trace) }
    });
    let _ = traced.child.kill();
    let _ = traced.child.wait();
    let lines: Vec<&str> = trace.lines().collect();
    let is_first = |line: &&str| line.contains("TCSETSW") || line.starts_with("write(2, ");
    let is_last = |line: &&str| line.contains("TCSETSW") || line.starts_with("read(0, \"y\\n");
    let first = lines.iter().position(is_first).expect("there is a question");
    let last = lines[first + 1..].iter().position(is_last).expect("its end") + first + 1;
    let waits = |line: &&str| line.contains("poll([{fd=0");
    let wait = lines[first..].iter().position(waits).expect("there is a wait") + first;
    let name = |line: &str| line.split('(').next().expect("there is a call").to_owned();
    (first..=last)
        .map(|at| {
            let name = name(lines[at]);
            let number = lines[..=at].iter().filter(|line| line.starts_with(&format!("{name}("))).count();
            (name, number, at > wait)
        })
        .collect()
}

#[test]
fn a_signal_at_any_system_call_of_a_question_cancels_it() {
    if !have("strace") {
        return;
    }
    let world = world();
    for asked in &QUESTIONS {
        let calls = calls(asked);
        assert!(calls.len() >= 3, "{calls:?}");
        for (name, number, needs_answer) in calls {
            let at = format!("{} {} {name} {number}", asked.term, asked.question);
            let inject = format!("inject={name}:signal=SIGTERM:when={number}");
            let trace = format!("trace={name}");
            let mut traced = Traced::start(&world, asked, &["-o", "/dev/null", "-e", &trace, "-e", &inject]);
            let before = tcgetattr(&traced.theirs).expect("it is a terminal").local_modes;
            if needs_answer {
                traced.answer(asked);
            }
            let status = soon(&mut traced.child);
            traced.read();
            assert_eq!(status.code(), Some(130), "{at}: {:?}", traced.shown);
            let (hidden, back) = (traced.shown.rfind("\x1b[?25l"), traced.shown.rfind("\x1b[?25h"));
            assert!(hidden <= back, "{at}: {:?}", traced.shown);
            assert_eq!(tcgetattr(&traced.theirs).expect("it is a terminal").local_modes, before, "{at}");
        }
    }
    assert_eq!(world.look_at("a")["status"], "active");
    assert_eq!(world.real(&["list", "--format", "names", "--all"], b"").line(), "a");
}

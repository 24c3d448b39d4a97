//! Random commands in several processes, some of which are killed. Whatever happens, no secret is lost, and the log
//! matches every object.
//!
//! The environment variable `HISTORY_STEPS` sets another number of steps than 300, and `HISTORY_SEED` another seed.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::processes::finished;
use crate::support::{MINUTE, Ran, World, program, run};

const PROCESSES: u64 = 3;
/// How many tokens each process uses alone.
const OWN: u64 = 4;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("it is a number"))
}

/// A splitmix64 generator.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).expect("the number is in range")]
    }
}

/// What a process knows about a token that no other process changes.
#[derive(Default)]
struct Known {
    /// The secret that the last command with exit 0 delivered.
    secret: Option<String>,
    /// Whether a command tried to revoke the token. If it was killed, the token can be revoked or not.
    revoked: bool,
    paused: bool,
}

struct Process<'a> {
    dir: &'a Path,
    label: u64,
    random: Random,
    known: HashMap<String, Known>,
    log: Vec<String>,
}

impl Process<'_> {
    fn program(&self) -> Command {
        let mut command = program();
        command.env("TOKENCTL_STORE", self.dir.join("store")).env("TMPDIR", self.dir.join("tmp"));
        command
    }

    /// Runs a command and returns its result. One command in four is killed while it runs; then the result is `None`.
    fn act(&mut self, args: &[&str]) -> Option<Ran> {
        let mut child = self
            .program()
            .args(args)
            .current_dir(self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let killed = self.random.below(4) == 0;
        if killed {
            thread::sleep(Duration::from_millis(self.random.below(60)));
            child.kill().expect("the process can be killed");
        }
        let ran = finished(child);
        self.log.push(format!(
            "{}: {args:?} {}{}",
            self.label,
            ran.code,
            if killed { " killed" } else { "" }
        ));
        assert!((-1..8).contains(&ran.code) && !ran.err.contains("panicked"), "{args:?}: {ran:?}");
        assert!(ran.code != 6, "the store is damaged: {args:?}: {ran:?}");
        (ran.code != -1).then_some(ran)
    }

    /// Runs a command. Returns false only if it certainly changed nothing.
    fn may_have_done(&mut self, args: &[&str]) -> bool {
        self.act(args).is_none_or(|ran| ran.code == 0)
    }

    fn step(&mut self) {
        if self.random.below(3) == 0 {
            return self.step_of_all();
        }
        let name = format!("p{}-{}", self.label, self.random.below(OWN));
        let mut known = self.known.remove(&name).unwrap_or_default();
        let file = format!("out/{name}");
        match self.random.below(12) {
            0..=3 => {
                if let Some(ran) = self.act(&["create", &name, "--all-scopes"]).filter(|ran| ran.code == 0) {
                    known = Known { secret: Some(ran.line().to_owned()), ..Known::default() };
                }
            }
            4..=6 => {
                if let Some(ran) = self.act(&["rotate", &name]).filter(|ran| ran.code == 0) {
                    known.secret = Some(ran.line().to_owned());
                }
            }
            7 => {
                let verb = self.random.pick(&["create", "rotate"]);
                let scopes: &[&str] = if verb == "create" { &["--all-scopes"] } else { &[] };
                let args = [&[verb, &name, "--out", &file, "--force"], scopes].concat();
                if self.act(&args).is_some_and(|ran| ran.code == 0) {
                    let secret = std::fs::read_to_string(self.dir.join(&file)).expect("the file can be read");
                    let kept = if verb == "create" { Known::default() } else { known };
                    known = Known { secret: Some(secret.trim_end().to_owned()), ..kept };
                }
            }
            8 => {
                let args = ["rotate", &name, "--take-over", "--no-remember", "--exec", "cat >/dev/null"];
                // No client has the new secret, so the previous one must keep working.
                self.act(&args);
            }
            9 => {
                known.paused |= self.may_have_done(&["disable", &name]);
                known.paused &= self.act(&["enable", &name]).is_none_or(|ran| ran.code != 0);
            }
            10 => drop(self.act(&["edit", &name, "--owner", "ann"])),
            _ => {
                known.revoked |= self.may_have_done(&["revoke", &name, "--yes"]);
            }
        }
        self.known.insert(name, known);
    }

    /// Changes an object that all processes use.
    fn step_of_all(&mut self) {
        let (scope, other) =
            (self.random.pick(&["read", "write"]), self.random.pick(&["read", "write", "all"]));
        let (name, new) = (self.random.pick(&["x", "y"]), self.random.pick(&["x", "y"]));
        match self.random.below(8) {
            0 => drop(self.act(&["create", name, "--all-scopes"])),
            1 => drop(self.act(&["scopes", "define", other])),
            2 => drop(self.act(&["scopes", "add", name, scope, "--allow-widen"])),
            3 => drop(self.act(&["scopes", "remove", name, scope])),
            4 => drop(self.act(&["rename", name, new])),
            5 => drop(self.act(&["revoke", name, "--yes"])),
            6 => drop(self.act(&["list", "--all"])),
            _ => drop(self.act(&["rotate", name, "--now"])),
        }
    }

    /// The names and secrets of the tokens that must be valid.
    fn valid_secrets(&self) -> impl Iterator<Item = (&String, &String)> {
        let live = self.known.iter().filter(|(_, known)| !known.revoked && !known.paused);
        live.filter_map(|(name, known)| Some((name, known.secret.as_ref()?)))
    }
}

#[test]
fn no_secret_is_lost_whatever_three_processes_do_and_whichever_are_killed() {
    let (steps, seed) = (number("HISTORY_STEPS", 300), number("HISTORY_SEED", 1));
    let world = World::of_processes();
    for name in ["out", "tmp"] {
        world.directory(name);
    }
    let dir = world.dir.path();
    let processes: Vec<Process<'_>> = thread::scope(|scope| {
        let start = |label| {
            let random = Random(seed.wrapping_mul(PROCESSES) + label);
            let mut it = Process { dir, label, random, known: HashMap::new(), log: Vec::new() };
            scope.spawn(move || {
                (0..steps / PROCESSES).for_each(|_| it.step());
                it
            })
        };
        let running: Vec<_> = (0..PROCESSES).map(start).collect();
        running.into_iter().map(|it| it.join().expect("the thread does not panic")).collect()
    });
    let history = processes.iter().flat_map(|it| it.log.clone()).collect::<Vec<_>>().join("\n");
    let valid_secrets: Vec<_> = processes.iter().flat_map(Process::valid_secrets).collect();
    let killed = history.matches(" killed").count();
    println!(
        "seed {seed}: {} commands, {killed} killed, {} secrets to check",
        history.lines().count(),
        valid_secrets.len()
    );
    assert!(killed > 0 && !valid_secrets.is_empty(), "nothing was tried\n{history}");
    let valid = |answer: (i32, String), name: &str, when: &str| {
        assert!(answer.0 == 0, "{name} {when}: {answer:?}, seed {seed}\n{history}");
    };
    for (name, secret) in &valid_secrets {
        let ran = run(world.program().arg("verify"), secret.as_bytes());
        valid((ran.code, ran.out), name, "at the end");
    }
    world.real(&["audit", "verify"], b"").ok();
    // The next change rolls back what a killed writer left, and the first change after the deadline settles a killed
    // delivery.
    for (later, grace) in [(0, "25h"), (11 * MINUTE, "26h")] {
        world.at_real_time(later);
        world.run(&["settings", "grace", grace]).ok();
        world.run(&["audit", "verify"]).ok();
        world.run(&["doctor", "--repair", "--yes"]).ok();
        world.run(&["doctor"]).ok();
        for (name, secret) in &valid_secrets {
            valid(world.verify(secret, &[]), name, "later");
        }
    }
}

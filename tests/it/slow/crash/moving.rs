//! Commands that move a whole store are killed, or fail, at every point. Afterwards the store is in the old or the new
//! state, and what was revoked stays revoked.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tempfile::TempDir;

use super::power::{CALLS, Disk, lay_out, replay, steps};
use super::{
    CHANGING, Destination, Scene, Verb, World, assert_none, copy, each, every, killed, now, points, sampled,
    scratch, sound, traced,
};
use crate::support::{have, run};

/// System calls that can need space on the disk.
const GROWING: &str =
    "openat,write,pwrite64,ftruncate,fsync,fdatasync,link,linkat,rename,renameat,renameat2,mkdir";
/// The smallest number of kills or failures for a command. If there are fewer, the test does not do what it should.
const AT_LEAST: usize = 7;

/// The state if there is no store.
const MISSING: &str = "missing";

/// A step of a preparation that renames the store `there`, so that it is missing.
const AWAY: &[&str] = &["away"];

/// A command that moves a store, and the states before and after it.
struct Move {
    base: TempDir,
    args: &'static [&'static str],
    /// A secret that was revoked before, and must stay revoked.
    revoked: String,
    states: [String; 2],
}

impl Move {
    /// Runs the steps in `prepare` in a new directory. `{}` in an argument is replaced by the directory.
    fn new(args: &'static [&'static str], prepare: &[&[&str]]) -> Self {
        let base = scratch();
        let run_all = |lines: &[&[&str]]| {
            for line in lines {
                if *line == AWAY {
                    let (store, there) = (base.path().join("store"), base.path().join("there"));
                    fs::rename(store, there).expect("the store can be renamed");
                    continue;
                }
                // `> FILE` writes the output of the rest to a file.
                let (file, line) = match line {
                    [">", file, line @ ..] => (Some(file), line),
                    line => (None, *line),
                };
                let ran = run(Scene::program(base.path()).args(filled(line, base.path())), b"").ok();
                if let Some(file) = file {
                    fs::write(base.path().join(file), ran.out).expect("the file can be written");
                }
            }
        };
        let revoked = run(Scene::program(base.path()).args(["create", "revoked"]), b"").ok().out;
        run_all(prepare);
        let mut it = Self { base, args, revoked, states: Default::default() };
        let dir = it.stage();
        it.states[0] = state(dir.path()).expect("a state");
        run(Scene::program(dir.path()).args(filled(args, dir.path())), b"").ok();
        it.states[1] = state(dir.path()).expect("a state");
        assert_ne!(it.states[0], it.states[1], "{args:?} changes nothing");
        it
    }

    fn all() -> Vec<Self> {
        const RESTORE: &[&str] = &["restore", "{}/copy.db", "--yes", "--discard-newer"];
        vec![
            Self::new(
                RESTORE,
                &[
                    &["create", "demo"],
                    &["backup", "{}/copy.db"],
                    &["rename", "demo", "other"],
                    &["create", "newer"],
                    &["revoke", "revoked", "--yes"],
                ],
            ),
            Self::new(
                &["import", "{}/all.jsonl"],
                &[&["create", "demo"], &["revoke", "revoked", "--yes"], &[">", "all.jsonl", "export"], AWAY],
            ),
            Self::new(
                &["import", "{}/all.jsonl"],
                &[
                    &["create", "demo"],
                    &["revoke", "revoked", "--yes"],
                    &[">", "all.jsonl", "export"],
                    AWAY,
                    &["init"],
                ],
            ),
            Self::new(
                &["import", "{}/more.jsonl"],
                &[
                    &["revoke", "revoked", "--yes"],
                    &["--store", "{}/there", "create", "demo"],
                    &["--store", "{}/there", "create", "other"],
                    &[">", "more.jsonl", "--store", "{}/there", "export", "--tokens"],
                ],
            ),
            Self::new(&["prune", "--yes"], &[&["create", "demo"], &["revoke", "revoked", "--yes"]]),
            Self::new(
                &["restore", "{}/copy.db", "--yes", "--force"],
                &[
                    &["revoke", "revoked", "--yes"],
                    &["--store", "{}/there", "create", "demo"],
                    &["--store", "{}/there", "backup", "{}/copy.db"],
                ],
            ),
        ]
    }

    fn stage(&self) -> TempDir {
        let dir = scratch();
        copy(self.base.path(), dir.path());
        dir
    }

    /// Checks the conditions. `exit` is `None` if the run was killed.
    fn check(&self, dir: TempDir, exit: Option<i32>, message: &str) -> Result<(), String> {
        ensure!(!message.contains("panicked"), "a panic");
        let after = state(dir.path())?;
        ensure!(self.states.contains(&after), "neither the old nor the new state: {after}");
        ensure!(exit != Some(0) || after == self.states[1], "exit 0, but the state is the old one");
        let unchanged = message.contains("nothing was changed");
        ensure!(
            !unchanged || after == self.states[0],
            "the state is the new one, but the message says that nothing was changed"
        );
        let world = World::at(dir, now());
        let answer = world.verify(&self.revoked, &[]);
        ensure!(answer.0 != 0, "the revoked secret is valid: {answer:?}");
        if after != MISSING {
            sound(&world)?;
        }
        let ran = world.run(&["create", "next"]);
        ensure!(ran.code == 0, "the next change: {ran:?}");
        sound(&world)
    }
}

fn filled(args: &[&str], dir: &Path) -> Vec<String> {
    args.iter().map(|arg| arg.replace("{}", dir.to_str().expect("the path is UTF-8"))).collect()
}

/// The names and statuses of all tokens. They are read from a copy, because reading must not repair anything.
fn state(dir: &Path) -> Result<String, String> {
    let look = scratch();
    copy(dir, look.path());
    let world = World::at(look, now());
    if !world.store().join("tokens.db").exists() {
        return Ok(MISSING.to_owned());
    }
    let ran = world.run(&["list", "--all", "--columns", "name,status", "--format", "tsv"]);
    ensure!(ran.code == 0, "list: {ran:?}");
    Ok(ran.out)
}

#[test]
fn a_move_that_is_killed_anywhere_is_complete_or_not_begun() {
    if !have("strace") {
        return;
    }
    for it in Move::all() {
        let stage = it.stage();
        let jobs = sampled(points(stage.path(), CHANGING, &filled(it.args, stage.path())), 4);
        let failed = each(&jobs, |point| {
            let dir = it.stage();
            let done = killed(dir.path(), point, &filled(it.args, dir.path()));
            let place = format!("{:?} killed before {} {}", it.args, point.0, point.1);
            ensure!(done.killed, "{place}: the program was not killed, {:?}", done.ran);
            it.check(dir, None, "").map_err(|why| format!("{place}: {why}"))
        });
        println!("kill points of {}: {}", it.args[0], jobs.len());
        assert_none(&failed, jobs.len());
        assert!(jobs.len() >= AT_LEAST, "{} points", jobs.len());
    }
}

#[test]
fn after_an_error_of_a_full_or_defective_disk_a_move_is_complete_or_not_begun_and_the_message_says_which() {
    if !have("strace") {
        return;
    }
    for it in Move::all() {
        for error in ["ENOSPC", "EIO"] {
            let stage = it.stage();
            let calls =
                if error == "EIO" { &format!("{GROWING},read,pread64,unlink,fcntl") } else { GROWING };
            let jobs = sampled(points(stage.path(), calls, &filled(it.args, stage.path())), 6);
            let count = Mutex::new(0);
            let failed = each(&jobs, |(call, nth)| {
                let dir = it.stage();
                let inject = format!("inject={call}:error={error}:when={nth}");
                let options = ["-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject];
                let done = traced(dir.path(), &options, &filled(it.args, dir.path()));
                *count.lock().expect("no thread panicked") += 1;
                let place = format!("{:?} with {error} at {call} {nth}", it.args);
                let checked = it.check(dir, Some(done.ran.code), &done.ran.err);
                checked.map_err(|why| format!("{place}: {why}; {:?}", done.ran))
            });
            println!("{error} points of {}: {}", it.args[0], jobs.len());
            assert_none(&failed, jobs.len());
            assert!(jobs.len() >= AT_LEAST, "{} points", jobs.len());
        }
    }
}

/// The lines of a recording that concern these directories. The private copies that a move makes can be lost.
fn about(log: &str, dirs: &[PathBuf]) -> String {
    let hex = |dir: &PathBuf| {
        let digits = dir.to_str().expect("the path is UTF-8").bytes().map(|b| format!("\\x{b:02x}"));
        digits.collect::<Vec<_>>().concat()
    };
    let dirs: Vec<String> = dirs.iter().map(hex).collect();
    log.lines().filter(|line| dirs.iter().any(|dir| line.contains(dir))).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_move_interrupted_by_a_power_loss_is_complete_or_not_begun() {
    if !have("strace") {
        return;
    }
    // If the store is missing, it is created like that of `create`, whose power losses have a separate test.
    for it in Move::all().into_iter().filter(|it| it.states[0] != MISSING) {
        let base = it.stage();
        fs::create_dir(base.path().join("target")).expect("the directory can be created");
        let (verb, destination) = (Verb::Create, Destination::File);
        let scene = Scene { verb, destination, remembers: false, base, old: None, bystander: String::new() };
        let dir = scene.stage();
        let (mut disk, place) = (Disk::default(), dir.path().to_owned());
        disk.load(&place.join("store"));
        let log = scratch();
        let log = log.path().join("log");
        let trace = format!("trace={CALLS}");
        let options =
            ["-y", "-xx", "-s", "10000000", "-o", log.to_str().expect("the path is UTF-8"), "-e", &trace];
        let done = traced(dir.path(), &options, &filled(it.args, dir.path()));
        assert_eq!(done.ran.code, 0, "{:?}", done.ran);
        let log = fs::read_to_string(&log).expect("the file can be read");
        let steps = steps(&about(&log, &[place.join("store")]), &scene, &place);
        drop(dir);
        let lost = replay(disk, &steps, every(5));
        let failed: Vec<_> = (0..)
            .zip(&lost)
            .filter_map(|(nth, lost)| {
                let checked = it.check(lay_out(&place, &scene, lost), lost.2.then_some(0), "");
                checked.err().map(|why: String| format!("{:?} state {nth}: {why}", it.args))
            })
            .collect();
        println!("states of {} after a power loss: {}", it.args[0], lost.len());
        assert_none(&failed, lost.len());
        assert!(lost.len() >= 20, "{} states", lost.len());
    }
}

/// A file for `apply`, in a store with two tokens. `{}` is replaced by the directory.
const WANTED: &str = r#"
[settings]
grace = "2h"
[scopes.read]
[scopes.admin]
includes = ["read"]
[tokens.demo]
owner = "ann"
scopes = ["read"]
[tokens.new]
scopes = ["admin"]
out = "{}/target/new"
[tokens.more]
scopes = []
labels = { env = "prod" }
env_file = "{}/target/env"
env_name = "MORE"
"#;

/// Everything that exists before an `apply`.
struct Apply {
    base: TempDir,
    /// The tokens before and after it.
    states: [String; 2],
}

impl Apply {
    const ARGS: &[&str] = &["apply", "{}/tokens.toml", "--exclusive", "--allow-widen", "--yes"];

    fn new() -> Self {
        let base = scratch();
        fs::create_dir(base.path().join("target")).expect("the directory can be created");
        for name in ["demo", "spare"] {
            run(Scene::program(base.path()).args(["create", name]), b"").ok();
        }
        let mut it = Self { base, states: Default::default() };
        let dir = it.stage();
        it.states[0] = tokens(dir.path()).expect("a list");
        run(Scene::program(dir.path()).args(filled(Self::ARGS, dir.path())), b"").ok();
        it.states[1] = tokens(dir.path()).expect("a list");
        it
    }

    fn stage(&self) -> TempDir {
        let dir = scratch();
        copy(self.base.path(), dir.path());
        Self::write(dir.path());
        dir
    }

    fn write(dir: &Path) {
        let text = WANTED.replace("{}", dir.to_str().expect("the path is UTF-8"));
        fs::write(dir.join("tokens.toml"), text).expect("the file can be written");
    }

    /// Checks that the next run completes the changes. It waits for the deadline of a creation that was killed.
    fn completes(&self, dir: TempDir) -> Result<(), String> {
        let again = filled(Self::ARGS, dir.path());
        let again: Vec<&str> = again.iter().map(String::as_str).collect();
        let world = World::at(dir, now());
        let ran = world.run(&again);
        ensure!(ran.code == 0, "the next run: {ran:?}");
        let is = tokens(world.dir.path())?;
        ensure!(is == self.states[1], "{is}, not {}", self.states[1]);
        let drift = world.run(&["diff", again[1], "--exclusive"]);
        ensure!(drift.code == 0, "{drift:?}");
        for (file, answer) in [("target/new", "valid new"), ("target/env", "valid more")] {
            let text =
                fs::read_to_string(world.dir.path().join(file)).map_err(|err| format!("{file}: {err}"))?;
            let found = world.verify(text.trim().trim_start_matches("MORE="), &[]);
            ensure!(found == (0, answer.to_owned()), "{file}: {found:?}");
        }
        sound(&world)
    }
}

/// The tokens of a store, without what differs between runs.
fn tokens(dir: &Path) -> Result<String, String> {
    let look = scratch();
    copy(dir, look.path());
    let columns = ["--columns", "name,status,owner,scopes,labels", "--format", "tsv"];
    let ran = World::at(look, now()).run(&[&["list", "--all"], &columns[..]].concat());
    ensure!(ran.code == 0, "list: {ran:?}");
    Ok(ran.out)
}

#[test]
fn an_apply_that_is_killed_anywhere_is_completed_by_the_next_run() {
    if !have("strace") {
        return;
    }
    let it = Apply::new();
    let stage = it.stage();
    let jobs = sampled(points(stage.path(), CHANGING, &filled(Apply::ARGS, stage.path())), 4);
    let failed = each(&jobs, |point| {
        let dir = it.stage();
        let done = killed(dir.path(), point, &filled(Apply::ARGS, dir.path()));
        let place = format!("killed before {} {}", point.0, point.1);
        ensure!(done.killed, "{place}: the program was not killed, {:?}", done.ran);
        it.completes(dir).map_err(|why| format!("{place}: {why}"))
    });
    println!("kill points of apply: {}", jobs.len());
    assert_none(&failed, jobs.len());
    assert!(jobs.len() >= 50, "{} points", jobs.len());
}

#[test]
fn an_apply_on_a_full_or_defective_disk_reports_it_and_is_completed_by_the_next_run() {
    if !have("strace") {
        return;
    }
    let it = Apply::new();
    for error in ["ENOSPC", "EIO"] {
        let stage = it.stage();
        let calls = if error == "EIO" { &format!("{GROWING},read,pread64,unlink,fcntl") } else { GROWING };
        let jobs = sampled(points(stage.path(), calls, &filled(Apply::ARGS, stage.path())), 10);
        let failed = each(&jobs, |(call, nth)| {
            let dir = it.stage();
            let inject = format!("inject={call}:error={error}:when={nth}");
            let options = ["-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject];
            let done = traced(dir.path(), &options, &filled(Apply::ARGS, dir.path())).ran;
            let place = format!("{error} at {call} {nth}");
            let check = || {
                ensure!(!done.err.contains("panicked"), "a panic");
                let is = tokens(dir.path())?;
                ensure!(done.code != 0 || is == it.states[1], "exit 0, but the changes are incomplete: {is}");
                let unchanged = done.err.contains("nothing was changed");
                ensure!(!unchanged || is == it.states[0], "the message says that nothing was changed: {is}");
                Ok(())
            };
            check().map_err(|why| format!("{place}: {why}; {done:?}"))?;
            it.completes(dir).map_err(|why| format!("{place}: {why}; {done:?}"))
        });
        println!("{error} points of apply: {}", jobs.len());
        assert_none(&failed, jobs.len());
        assert!(jobs.len() >= 15, "{} points", jobs.len());
    }
}

#[test]
fn an_apply_interrupted_by_a_power_loss_is_completed_by_the_next_run() {
    if !have("strace") {
        return;
    }
    let it = Apply::new();
    let (verb, destination) = (Verb::Create, Destination::File);
    let scene =
        Scene { verb, destination, remembers: false, base: it.stage(), old: None, bystander: String::new() };
    let dir = it.stage();
    let (mut disk, place) = (Disk::default(), dir.path().to_owned());
    disk.load(&place.join("store"));
    let log = scratch();
    let log = log.path().join("log");
    let trace = format!("trace={CALLS}");
    let options =
        ["-y", "-xx", "-s", "10000000", "-o", log.to_str().expect("the path is UTF-8"), "-e", &trace];
    let done = traced(dir.path(), &options, &filled(Apply::ARGS, dir.path()));
    assert_eq!(done.ran.code, 0, "{:?}", done.ran);
    let log = fs::read_to_string(&log).expect("the file can be read");
    let steps = steps(&about(&log, &[place.join("store"), place.join("target")]), &scene, &place);
    drop(dir);
    let lost = replay(disk, &steps, every(20));
    let failed: Vec<_> = (0..)
        .zip(&lost)
        .filter_map(|(nth, lost)| {
            let dir = lay_out(&place, &scene, lost);
            Apply::write(dir.path());
            it.completes(dir).err().map(|why: String| format!("state {nth}: {why}"))
        })
        .collect();
    println!("states of apply after a power loss: {}", lost.len());
    assert_none(&failed, lost.len());
    assert!(lost.len() >= 20, "{} states", lost.len());
}

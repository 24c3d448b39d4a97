//! Whatever dies or fails while a store is moved, it is the old one or the new one, and what was revoked stays revoked.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use tempfile::TempDir;

use super::power::{CALLS, Disk, lay_out, replay, steps};
use super::{
    CHANGING, Receiver, Scene, Verb, World, assert_none, copy, each, every, killed, now, points, sampled,
    scratch, sound, traced,
};
use crate::support::{have, run};

/// Calls that may need room.
const GROWING: &str =
    "openat,write,pwrite64,ftruncate,fsync,fdatasync,link,linkat,rename,renameat,renameat2,mkdir";
/// Fewer real kills or failures than this for one move: the test no longer does what it should.
const AT_LEAST: usize = 7;

/// The state of a store that is not there.
const MISSING: &str = "missing";

/// A line of a preparation that takes the store away.
const AWAY: &[&str] = &["away"];

/// A command about to begin, and what is there before and after it.
struct Move {
    base: TempDir,
    args: &'static [&'static str],
    /// A secret that was revoked before, and stays so.
    revoked: String,
    states: [String; 2],
}

impl Move {
    /// What `prepare` makes in a directory; `{}` in an argument stands for it.
    fn new(args: &'static [&'static str], prepare: &[&[&str]]) -> Self {
        let base = scratch();
        let run_all = |lines: &[&[&str]]| {
            for line in lines {
                if *line == AWAY {
                    let (store, there) = (base.path().join("store"), base.path().join("there"));
                    fs::rename(store, there).expect("the store");
                    continue;
                }
                // `> FILE` keeps what the rest prints.
                let (file, line) = match line {
                    [">", file, line @ ..] => (Some(file), line),
                    line => (None, *line),
                };
                let ran = run(Scene::program(base.path()).args(filled(line, base.path())), b"").ok();
                if let Some(file) = file {
                    fs::write(base.path().join(file), ran.out).expect("a file");
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

    /// What must hold afterwards; `exit` and `said` of a run that ended by itself.
    fn check(&self, dir: TempDir, exit: Option<i32>, said: &str) -> Result<(), String> {
        want!(!said.contains("panicked"), "a panic");
        let after = state(dir.path())?;
        want!(self.states.contains(&after), "half done: {after}");
        want!(exit != Some(0) || after == self.states[1], "exit 0, and it was not done");
        let unchanged = said.contains("nothing was changed");
        want!(!unchanged || after == self.states[0], "it was done, and the message says that it was not");
        let world = World::at(dir, now());
        let answer = world.verify(&self.revoked, &[]);
        want!(answer.0 != 0, "what was revoked works: {answer:?}");
        if after != MISSING {
            sound(&world)?;
        }
        let ran = world.run(&["create", "next"]);
        want!(ran.code == 0, "the next change: {ran:?}");
        sound(&world)
    }
}

fn filled(args: &[&str], dir: &Path) -> Vec<String> {
    args.iter().map(|arg| arg.replace("{}", dir.to_str().expect("UTF-8"))).collect()
}

/// The tokens that there are. To look must not mend anything, so it is a copy that is looked at.
fn state(dir: &Path) -> Result<String, String> {
    let look = scratch();
    copy(dir, look.path());
    let world = World::at(look, now());
    if !world.store().join("tokens.db").exists() {
        return Ok(MISSING.to_owned());
    }
    let ran = world.run(&["list", "--all", "--columns", "name,status", "--format", "tsv"]);
    want!(ran.code == 0, "list: {ran:?}");
    Ok(ran.out)
}

#[test]
fn a_move_that_is_killed_anywhere_is_done_or_not_begun() {
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
            want!(done.killed, "{place}: it was not, {:?}", done.ran);
            it.check(dir, None, "").map_err(|why| format!("{place}: {why}"))
        });
        println!("kill points of {}: {}", it.args[0], jobs.len());
        assert_none(&failed, jobs.len());
        assert!(jobs.len() >= AT_LEAST, "{} points", jobs.len());
    }
}

#[test]
fn a_move_on_a_full_or_broken_disk_is_done_or_not_begun_and_says_which() {
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
                *count.lock().expect("a count") += 1;
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

/// The lines of a recording that are about the store itself; the private copies of a move may be lost.
fn about_store(log: &str, dir: &Path) -> String {
    let store = dir.join("store");
    let hex: Vec<_> = store.to_str().expect("UTF-8").bytes().map(|b| format!("\\x{b:02x}")).collect();
    let hex = hex.concat();
    log.lines().filter(|line| line.contains(&hex)).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_move_that_loses_power_anywhere_is_done_or_not_begun() {
    if !have("strace") {
        return;
    }
    // A store that is made is put in place as `create` puts one, whose loss of power has its own test.
    for it in Move::all().into_iter().filter(|it| it.states[0] != MISSING) {
        let base = it.stage();
        fs::create_dir(base.path().join("target")).expect("a directory");
        let (verb, receiver) = (Verb::Create, Receiver::File);
        let scene = Scene { verb, receiver, remembers: false, base, old: None, bystander: String::new() };
        let dir = scene.stage();
        let (mut disk, place) = (Disk::default(), dir.path().to_owned());
        disk.load(&place.join("store"));
        let log = scratch();
        let log = log.path().join("log");
        let trace = format!("trace={CALLS}");
        let options = ["-y", "-xx", "-s", "10000000", "-o", log.to_str().expect("UTF-8"), "-e", &trace];
        let done = traced(dir.path(), &options, &filled(it.args, dir.path()));
        assert_eq!(done.ran.code, 0, "{:?}", done.ran);
        let log = fs::read_to_string(&log).expect("a log");
        let steps = steps(&about_store(&log, &place), &scene, &place);
        drop(dir);
        let lost = replay(disk, &steps, every(5));
        let failed: Vec<_> = (0..)
            .zip(&lost)
            .filter_map(|(nth, lost)| {
                let checked = it.check(lay_out(&place, &scene, lost), lost.2.then_some(0), "");
                checked.err().map(|why: String| format!("{:?} state {nth}: {why}", it.args))
            })
            .collect();
        println!("states of {} after a loss of power: {}", it.args[0], lost.len());
        assert_none(&failed, lost.len());
        assert!(lost.len() >= 20, "{} states", lost.len());
    }
}

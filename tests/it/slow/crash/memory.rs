//! Limits the memory of a delivery, in steps of one page.
//!
//! SQLite reports an allocation that fails, but an allocation that fails in Rust aborts the process, which is like a
//! kill. The limit applies to a whole process, so each attempt runs in a separate process. That process is this test
//! program, with instructions in its environment.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokenctl::context::Output;

use super::errors::{before, check_message};
use super::{Destination, Scene, Verb, assert_none, each, now, scratch};
use crate::support::{Ran, World};

const LIMIT: &str = "TOKENCTL_TEST_MEMORY_LIMIT";
const PLACE: &str = "TOKENCTL_TEST_MEMORY_PLACE";
const ARGS: &str = "TOKENCTL_TEST_MEMORY_ARGS";
/// If this is set, the limit starts only when the secret is written to stdout.
const LATE: &str = "TOKENCTL_TEST_MEMORY_LATE";
/// More memory than a delivery needs.
const MOST: usize = 4 << 20;
/// The size of a page. The heap does not grow by less.
const STEP: usize = 4 << 10;
/// The smallest number of attempts in which SQLite reports the lack of memory. If there are fewer, the limit has no
/// effect.
const AT_LEAST: usize = 20;
/// The signal that `abort` causes.
const SIGABRT: i32 = 6;

/// This is not a test, but the work of a process that the test below starts.
#[test]
#[ignore = "the test about missing memory runs it in a separate process"]
fn delivery_with_little_memory() {
    let var = |name| std::env::var(name).ok();
    let (Some(limit), Some(place), Some(args)) = (var(LIMIT), var(PLACE), var(ARGS)) else { return };
    let place = Path::new(&place);
    let limit: u64 = limit.parse().expect("it is a number");
    let mut world = World::at(scratch(), now());
    let store = place.join("store").to_str().expect("the path is UTF-8").to_owned();
    world.env.insert("TOKENCTL_STORE".to_owned(), store);
    let args: Vec<_> = args.lines().collect();
    let out = File::create(place.join("out")).expect("the file can be created");
    let (err, code) = (place.join("err"), place.join("code"));
    let late = var(LATE).is_some();
    if !late {
        grow_no_more_than(limit);
    }
    let ran = world.run_writing_to(&args, Box::new(Kept { out, limit: late.then_some(limit) }));
    // The output below must not fail for lack of memory.
    let unlimited = Rlimit { current: None, maximum: None };
    setrlimit(Resource::Data, unlimited).expect("the limit can be removed");
    fs::write(err, ran.err).expect("the file can be written");
    fs::write(code, ran.code.to_string()).expect("the file can be written");
}

/// Allows this process to allocate this many more bytes than it has now.
fn grow_no_more_than(more: u64) {
    let status = fs::read_to_string("/proc/self/status").expect("the state of this process");
    let data = status.lines().find_map(|line| line.strip_prefix("VmData:")).expect("its data");
    let has: u64 = data.trim().trim_end_matches(" kB").parse().expect("it is a number");
    drop(status);
    let maximum = getrlimit(Resource::Data).maximum;
    setrlimit(Resource::Data, Rlimit { current: Some(has * 1024 + more), maximum })
        .expect("the limit can be set");
}

/// A stdout that is a file, and from whose first byte on the memory can be limited.
struct Kept {
    out: File,
    limit: Option<u64>,
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(limit) = self.limit.take() {
            grow_no_more_than(limit);
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Output for Kept {
    fn is_nowhere(&self) -> bool {
        false
    }

    fn sync(&mut self) -> io::Result<()> {
        self.out.sync_all()
    }
}

/// The result of a command, or its output if it was aborted.
enum Attempt {
    Ended(Ran),
    Aborted(String),
}

fn attempt(scene: &Scene, place: &Path, limit: usize, late: bool) -> Result<Attempt, String> {
    let done = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "slow::crash::memory::delivery_with_little_memory", "--ignored", "--nocapture"])
        .env(LIMIT, limit.to_string())
        .env(PLACE, place)
        .env(ARGS, scene.args(place).join("\n"))
        .envs(late.then_some((LATE, "1")))
        // One heap, which grows by exactly the requested size.
        .env("MALLOC_ARENA_MAX", "1")
        .env("MALLOC_TOP_PAD_", "0")
        .stdin(Stdio::null())
        .output()
        .expect("this program starts");
    let read =
        |name: &str| fs::read_to_string(place.join(name)).map_err(|_| format!("the process died: {done:?}"));
    if done.status.signal() == Some(SIGABRT) {
        return Ok(Attempt::Aborted(read("out")?));
    }
    let code = read("code")?.parse().expect("it is a number");
    Ok(Attempt::Ended(Ran { code, out: read("out")?, err: read("err")? }))
}

#[test]
fn if_memory_runs_out_the_message_says_whether_anything_was_changed() {
    let scenes: Vec<_> = [
        (Verb::Create, Destination::Stdout),
        (Verb::Rotate, Destination::Stdout),
        (Verb::Rotate, Destination::File),
    ]
    .map(|(verb, destination)| Scene::new(verb, destination))
    .into_iter()
    .map(|scene| (before(&scene), scene))
    .collect();
    // Scenes need different amounts of memory. This finds the smallest limit with which each succeeds, so that not too
    // many larger ones are tried.
    let enough: Vec<_> = scenes
        .iter()
        .map(|(_, scene)| {
            let (mut low, mut high) = (0, MOST / STEP);
            while low < high {
                let middle = usize::midpoint(low, high);
                let dir = scene.stage();
                let ended = attempt(scene, dir.path(), middle * STEP, false);
                let worked = matches!(ended, Ok(Attempt::Ended(Ran { code: 0, .. })));
                (low, high) = if worked { (low, middle) } else { (middle + 1, high) };
            }
            high
        })
        .collect();
    let jobs: Vec<_> = scenes
        .iter()
        .zip(&enough)
        .flat_map(|(scene, enough)| (1..=enough + 8).map(move |step| (scene, step * STEP)))
        .flat_map(|(scene, limit)| [(scene, limit, false), (scene, limit, true)])
        // Only with stdout as the destination is it known when the secret is written.
        .filter(|((_, scene), _, late)| !late || scene.destination == Destination::Stdout)
        .collect();
    let exits = Mutex::new(BTreeMap::<Option<i32>, usize>::new());
    let failed = each(&jobs, |((before, scene), limit, late)| {
        let dir = scene.stage();
        let place = format!("{} with {limit} bytes, late {late}", scene.label());
        let because = |why| format!("{place}: {why}");
        let count = |exit| *exits.lock().expect("no thread panicked").entry(exit).or_default() += 1;
        match attempt(scene, dir.path(), *limit, *late).map_err(because)? {
            Attempt::Aborted(out) => {
                count(None);
                scene.check(dir, &out, None).map_err(|why| format!("{place}: {why}; aborted after {out:?}"))
            }
            Attempt::Ended(ran) => {
                count(Some(ran.code));
                let because = |why| format!("{place}: {why}; {ran:?}");
                check_message(scene, before.as_ref(), dir.path(), &ran).map_err(because)?;
                scene.check(dir, &ran.out, Some(ran.code)).map_err(because)
            }
        }
    });
    let exits = exits.into_inner().expect("no thread panicked");
    println!("memory limits: {}, exit codes {exits:?} (`None` is an abort)", jobs.len());
    assert_none(&failed, jobs.len());
    let is_short = |exit: &Option<i32>| exit.is_some_and(|code| code != 0);
    let short: usize = exits.iter().filter(|(exit, _)| is_short(exit)).map(|(_, count)| count).sum();
    assert!(short >= AT_LEAST && exits.contains_key(&Some(0)), "{exits:?}");
}

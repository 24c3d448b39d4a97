//! A command runs out of memory after every page by which its heap may still grow.
//!
//! SQLite reports what it does not get; Rust's own allocations end the process at once, as a kill does. The
//! limit is one of the whole process, so each try is a separate process, which is this test program again, with
//! instructions in its environment.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokenctl::context::Output;

use super::errors::{before, said};
use super::{Destination, Scene, Verb, assert_none, each, now, scratch};
use crate::support::{Ran, World};

const LIMIT: &str = "TOKENCTL_TEST_MEMORY_LIMIT";
const PLACE: &str = "TOKENCTL_TEST_MEMORY_PLACE";
const ARGS: &str = "TOKENCTL_TEST_MEMORY_ARGS";
/// Set: memory runs short only once the secret is on its way to stdout.
const LATE: &str = "TOKENCTL_TEST_MEMORY_LATE";
/// The limits range from nothing to more than a delivery needs.
const MOST: usize = 4 << 20;
/// The size of a page, which is the least by which the heap grows.
const STEP: usize = 4 << 10;
/// Fewer tries than this that SQLite ended for want of memory: the limit no longer bites.
const AT_LEAST: usize = 20;
/// The signal that `abort` raises.
const SIGABRT: i32 = 6;

/// This is not a test, but the work of a process that the test below starts.
#[test]
#[ignore = "run by the test of out-of-memory, in a process of its own"]
fn delivery_with_little_memory() {
    let var = |name| std::env::var(name).ok();
    let (Some(limit), Some(place), Some(args)) = (var(LIMIT), var(PLACE), var(ARGS)) else { return };
    let place = Path::new(&place);
    let limit: u64 = limit.parse().expect("a number");
    let mut world = World::at(scratch(), now());
    let store = place.join("store").to_str().expect("UTF-8").to_owned();
    world.env.insert("TOKENCTL_STORE".to_owned(), store);
    let args: Vec<_> = args.lines().collect();
    let out = File::create(place.join("out")).expect("a file");
    let (err, code) = (place.join("err"), place.join("code"));
    let late = var(LATE).is_some();
    if !late {
        grow_no_more_than(limit);
    }
    let ran = world.run_writing_to(&args, Box::new(Kept { out, limit: late.then_some(limit) }));
    // Output here must not fail for lack of memory.
    let unlimited = Rlimit { current: None, maximum: None };
    setrlimit(Resource::Data, unlimited).expect("a limit is lifted");
    fs::write(err, ran.err).expect("a file");
    fs::write(code, ran.code.to_string()).expect("a file");
}

/// Limits the memory of this process to this many bytes more than it has now.
fn grow_no_more_than(more: u64) {
    let status = fs::read_to_string("/proc/self/status").expect("the state of this process");
    let data = status.lines().find_map(|line| line.strip_prefix("VmData:")).expect("its data");
    let has: u64 = data.trim().trim_end_matches(" kB").parse().expect("a number");
    drop(status);
    let maximum = getrlimit(Resource::Data).maximum;
    setrlimit(Resource::Data, Rlimit { current: Some(has * 1024 + more), maximum }).expect("a limit");
}

/// A stdout that outlives its process, and from whose first byte on memory may run short.
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

/// The result of a command, or its output until it was aborted.
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
    let read = |name: &str| fs::read_to_string(place.join(name)).map_err(|_| format!("it died: {done:?}"));
    if done.status.signal() == Some(SIGABRT) {
        return Ok(Attempt::Aborted(read("out")?));
    }
    let code = read("code")?.parse().expect("a number");
    Ok(Attempt::Ended(Ran { code, out: read("out")?, err: read("err")? }))
}

#[test]
fn out_of_memory_leaves_the_old_state_or_the_new_one_and_says_which() {
    let scenes: Vec<_> = [
        (Verb::Create, Destination::Stdout),
        (Verb::Rotate, Destination::Stdout),
        (Verb::Rotate, Destination::File),
    ]
    .map(|(verb, destination)| Scene::new(verb, destination))
    .into_iter()
    .map(|scene| (before(&scene), scene))
    .collect();
    // How much is enough differs by the scene: from where on the last many steps succeed.
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
        // Only a delivery to stdout shows when the secret is being written.
        .filter(|((_, scene), _, late)| !late || scene.destination == Destination::Stdout)
        .collect();
    let exits = Mutex::new(BTreeMap::<Option<i32>, usize>::new());
    let failed = each(&jobs, |((before, scene), limit, late)| {
        let dir = scene.stage();
        let place = format!("{} with {limit} bytes, late {late}", scene.label());
        let because = |why| format!("{place}: {why}");
        let count = |exit| *exits.lock().expect("a count").entry(exit).or_default() += 1;
        match attempt(scene, dir.path(), *limit, *late).map_err(because)? {
            Attempt::Aborted(out) => {
                count(None);
                scene.check(dir, &out, None).map_err(|why| format!("{place}: {why}; aborted after {out:?}"))
            }
            Attempt::Ended(ran) => {
                count(Some(ran.code));
                let because = |why| format!("{place}: {why}; {ran:?}");
                said(scene, before.as_ref(), dir.path(), &ran).map_err(because)?;
                scene.check(dir, &ran.out, Some(ran.code)).map_err(because)
            }
        }
    });
    let exits = exits.into_inner().expect("a count");
    println!("limits of memory: {}, exits {exits:?} (none: aborted)", jobs.len());
    assert_none(&failed, jobs.len());
    let is_short = |exit: &Option<i32>| exit.is_some_and(|code| code != 0);
    let short: usize = exits.iter().filter(|(exit, _)| is_short(exit)).map(|(_, count)| count).sum();
    assert!(short >= AT_LEAST && exits.contains_key(&Some(0)), "{exits:?}");
}

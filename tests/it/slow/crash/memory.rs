//! Out of memory within SQLite, at every step of the memory it may have.
//!
//! The limit is one of the whole process and can only be lowered, so each try is a process of its own: this test
//! program again, told by its environment what to do.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use super::errors::{before, said};
use super::{Receiver, Scene, Verb, assert_none, each, now, scratch};
use crate::support::{Ran, World};

const LIMIT: &str = "TOKENCTL_TEST_MEMORY_LIMIT";
const PLACE: &str = "TOKENCTL_TEST_MEMORY_PLACE";
const ARGS: &str = "TOKENCTL_TEST_MEMORY_ARGS";
/// Set: memory runs short only once the secret is on its way to stdout.
const LATE: &str = "TOKENCTL_TEST_MEMORY_LATE";
/// From nothing to more than a delivery takes.
const MOST: usize = 2 << 20;
const STEP: usize = 4 << 10;
/// Fewer tries than this that failed for want of memory: the limit no longer bites.
const AT_LEAST: usize = 20;

/// Not a test: what a process of the test below does.
#[test]
#[ignore = "run by the test of out-of-memory, in a process of its own"]
fn delivery_with_little_memory() {
    let var = |name| std::env::var(name).ok();
    let (Some(limit), Some(place), Some(args)) = (var(LIMIT), var(PLACE), var(ARGS)) else { return };
    let place = Path::new(&place);
    let conn = rusqlite::Connection::open_in_memory().expect("a database");
    let lower = move || {
        // Without memory there is no answer, but it holds.
        let _ = conn.query_row(&format!("PRAGMA hard_heap_limit={limit}"), [], |_| Ok(()));
        // The connection is not closed: that is not what is tried here.
        std::mem::forget(conn);
    };
    let mut world = World::at(scratch(), now());
    let store = place.join("store").to_str().expect("UTF-8").to_owned();
    world.env.insert("TOKENCTL_STORE".to_owned(), store);
    let args: Vec<_> = args.lines().collect();
    let ran = if var(LATE).is_some() {
        world.run_while(&args, lower)
    } else {
        lower();
        world.run(&args)
    };
    fs::write(place.join("out"), ran.out).expect("a file");
    fs::write(place.join("err"), ran.err).expect("a file");
    fs::write(place.join("code"), ran.code.to_string()).expect("a file");
}

fn attempt(scene: &Scene, place: &Path, limit: usize, late: bool) -> Result<Ran, String> {
    let done = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "slow::crash::memory::delivery_with_little_memory", "--ignored", "--nocapture"])
        .env(LIMIT, limit.to_string())
        .env(PLACE, place)
        .env(ARGS, scene.args(place).join("\n"))
        .envs(late.then_some((LATE, "1")))
        .stdin(Stdio::null())
        .output()
        .expect("this program starts");
    let read = |name: &str| fs::read_to_string(place.join(name)).map_err(|_| format!("it died: {done:?}"));
    let code = read("code")?.parse().expect("a number");
    Ok(Ran { code, out: read("out")?, err: read("err")? })
}

#[test]
fn out_of_memory_leaves_the_old_state_or_the_new_one_and_says_which() {
    let scenes: Vec<_> =
        [(Verb::Create, Receiver::Stdout), (Verb::Rotate, Receiver::Stdout), (Verb::Rotate, Receiver::File)]
            .map(|(verb, receiver)| Scene::new(verb, receiver))
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
                let ended = attempt(scene, dir.path(), middle * STEP, false).is_ok_and(|ran| ran.code == 0);
                (low, high) = if ended { (low, middle) } else { (middle + 1, high) };
            }
            high
        })
        .collect();
    let jobs: Vec<_> = scenes
        .iter()
        .zip(&enough)
        .flat_map(|(scene, enough)| (1..=enough + 8).map(move |step| (scene, step * STEP)))
        .flat_map(|(scene, limit)| [(scene, limit, false), (scene, limit, true)])
        // Only stdout tells when the secret is on its way.
        .filter(|((_, scene), _, late)| !late || scene.receiver == Receiver::Stdout)
        .collect();
    let exits = Mutex::new(BTreeMap::<i32, usize>::new());
    let failed = each(&jobs, |((before, scene), limit, late)| {
        let dir = scene.stage();
        let place = format!("{} with {limit} bytes, late {late}", scene.label());
        let because = |why| format!("{place}: {why}");
        let ran = attempt(scene, dir.path(), *limit, *late).map_err(because)?;
        *exits.lock().expect("a count").entry(ran.code).or_default() += 1;
        let because = |why| format!("{place}: {why}; {ran:?}");
        said(scene, before.as_ref(), dir.path(), &ran).map_err(because)?;
        scene.check(dir, &ran.out, Some(ran.code)).map_err(because)
    });
    let exits = exits.into_inner().expect("a count");
    println!("limits of memory: {}, exits {exits:?}", jobs.len());
    assert_none(&failed, jobs.len());
    let short: usize = exits.iter().filter(|(code, _)| **code != 0).map(|(_, count)| count).sum();
    assert!(short >= AT_LEAST && exits.contains_key(&0), "{exits:?}");
}

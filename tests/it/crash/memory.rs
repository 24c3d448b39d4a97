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
/// From nothing to more than a hand-over takes.
const MOST: usize = 2 << 20;
const STEP: usize = 4 << 10;
/// Fewer tries than this that failed for want of memory: the limit no longer bites.
const AT_LEAST: usize = 20;

/// Not a test: what a process of the test below does.
#[test]
#[ignore = "run by the test of out-of-memory, in a process of its own"]
fn hand_over_with_little_memory() {
    let var = |name| std::env::var(name).ok();
    let (Some(limit), Some(place), Some(args)) = (var(LIMIT), var(PLACE), var(ARGS)) else { return };
    let place = Path::new(&place);
    let conn = rusqlite::Connection::open_in_memory().expect("a database");
    conn.query_row(&format!("PRAGMA hard_heap_limit={limit}"), [], |_| Ok(())).expect("a limit");
    let mut world = World::at(scratch(), now());
    let store = place.join("store").to_str().expect("UTF-8").to_owned();
    world.env.insert("TOKENCTL_STORE".to_owned(), store);
    let ran = world.run(&args.lines().collect::<Vec<_>>());
    fs::write(place.join("out"), ran.out).expect("a file");
    fs::write(place.join("err"), ran.err).expect("a file");
    fs::write(place.join("code"), ran.code.to_string()).expect("a file");
}

fn attempt(scene: &Scene, place: &Path, limit: usize) -> Result<Ran, String> {
    let done = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "crash::memory::hand_over_with_little_memory", "--ignored", "--nocapture"])
        .env(LIMIT, limit.to_string())
        .env(PLACE, place)
        .env(ARGS, scene.args(place).join("\n"))
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
                let ended = attempt(scene, dir.path(), middle * STEP).is_ok_and(|ran| ran.code == 0);
                (low, high) = if ended { (low, middle) } else { (middle + 1, high) };
            }
            high
        })
        .collect();
    let jobs: Vec<_> = scenes
        .iter()
        .zip(&enough)
        .flat_map(|(scene, enough)| (1..=enough + 8).map(move |step| (scene, step * STEP)))
        .collect();
    let exits = Mutex::new(BTreeMap::<i32, usize>::new());
    let failed = each(&jobs, |((before, scene), limit)| {
        let dir = scene.stage();
        let place = format!("{} with {limit} bytes", scene.label());
        let because = |why| format!("{place}: {why}");
        let ran = attempt(scene, dir.path(), *limit).map_err(because)?;
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

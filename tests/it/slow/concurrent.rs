//! Many simultaneous processes.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::support::{Ran, World, program, run};

const PROCESSES: usize = 50;
const CREATES: usize = 20;

/// The real program for this store. Unlike `World::program`, this can be used in any thread.
fn at(store: &PathBuf) -> Command {
    let mut command = program();
    command.env("TOKENCTL_STORE", store);
    command
}

#[test]
fn fifty_processes_with_twenty_creates_each_create_a_thousand_tokens_and_one_store() {
    let world = World::new();
    let store = world.store();
    let (start, made, done) = (Barrier::new(PROCESSES), AtomicUsize::new(0), AtomicBool::new(false));
    let mut results: Vec<(String, Ran)> = Vec::new();
    thread::scope(|scope| {
        let writers: Vec<_> = (0..PROCESSES)
            .map(|process| {
                let (store, start, made) = (&store, &start, &made);
                scope.spawn(move || {
                    start.wait();
                    let create = |n| {
                        let name = format!("p{process}-{n}");
                        let ran = run(at(store).args(["create", &name]), b"");
                        made.fetch_add(1, Ordering::Relaxed);
                        (name, ran)
                    };
                    (0..CREATES).map(create).collect::<Vec<_>>()
                })
            })
            .collect();
        // Once the first token exists, a reader lists and verifies until all writers are done.
        let reader = scope.spawn(|| {
            let (mut looks, mut listed) = (0, 0);
            while !done.load(Ordering::Relaxed) {
                let least = made.load(Ordering::Relaxed);
                if least == 0 {
                    thread::yield_now();
                    continue;
                }
                let list = run(at(&store).args(["list", "--format", "names"]), b"").ok();
                let count = list.out.lines().count();
                assert!(count >= least.max(listed), "{count} tokens after {least} were made");
                assert_eq!(list.err, "");
                let unknown = run(at(&store).arg("verify"), b"nobody-knows-this-secret").exit(3);
                assert_eq!((unknown.line(), unknown.err.as_str()), ("unknown", ""));
                run(at(&store).args(["audit", "verify"]), b"").ok();
                (looks, listed) = (looks + 1, count);
            }
            looks
        });
        let ended: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        results = ended.into_iter().flat_map(|ran| ran.expect("a writer")).collect();
        let failed: Vec<_> =
            results.iter().filter(|(_, ran)| ran.code != 0 || ran.err.contains("error")).collect();
        assert!(failed.is_empty(), "{} failed: {failed:?}", failed.len());
        assert!(reader.join().expect("the thread does not panic") > 0);
    });

    let makers =
        results.iter().filter(|(_, ran)| ran.err.contains("warning: created a new store at ")).count();
    assert_eq!(makers, 1);
    let secrets: HashSet<&str> = results.iter().map(|(_, ran)| ran.line()).collect();
    assert_eq!(secrets.len(), PROCESSES * CREATES);
    for (name, ran) in results.iter().step_by(37) {
        assert_eq!(world.real(&["verify"], ran.out.as_bytes()).ok().line(), format!("valid {name}"));
    }
    let list = world.real(&["list", "--format", "names"], b"").ok().out;
    let mut names: Vec<&str> = results.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(list.lines().collect::<Vec<_>>(), names);
    // The store has two events of `init`, and two of each `create`: the creation and the confirmation.
    let audit = world.real(&["audit", "verify", "--json"], b"").ok().json();
    assert_eq!(audit["events"], 2 + 2 * PROCESSES * CREATES);
    world.assert_intact();
    let mut files: Vec<_> = world.bytes().into_iter().map(|(name, _)| name).collect();
    files.sort();
    assert_eq!(files, ["tokens.db", "usage.refused", "usage.scopes", "usage.secrets"]);
}

#[test]
fn only_one_of_many_simultaneous_creates_with_the_same_name_succeeds() {
    const AT_ONCE: usize = 20;
    for if_missing in [false, true] {
        let world = World::new();
        let store = world.store();
        let start = Barrier::new(AT_ONCE);
        let create = || {
            let mut command = at(&store);
            command.args(["create", "demo", "--json"]).args(if_missing.then_some("--if-missing"));
            start.wait();
            run(&mut command, b"")
        };
        let results: Vec<Ran> = thread::scope(|scope| {
            let all: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(create)).collect();
            all.into_iter().map(|ran| ran.join().expect("the thread does not panic")).collect()
        });
        let mut secrets = Vec::new();
        for ran in &results {
            if ran.code == 0 {
                secrets.extend(ran.json()["secret"].as_str().map(str::to_owned));
                continue;
            }
            assert_eq!(ran.code, 5, "{ran:?}");
            let last = ran.err.lines().last().unwrap_or_default();
            let error: serde_json::Value = serde_json::from_str(last).expect(last);
            let code = error["error"]["code"].as_str().expect("the code is a string");
            // With `--if-missing`, all other processes wait for the delivery and then find the token.
            assert!(!if_missing && matches!(code, "under_way" | "name_taken"), "{ran:?}");
        }
        assert_eq!(secrets.len(), 1, "{results:?}");
        assert!(if_missing || results.iter().filter(|ran| ran.code == 5).count() == AT_ONCE - 1);
        assert_eq!(world.real(&["verify"], secrets[0].as_bytes()).ok().line(), "valid demo");
        assert_eq!(world.real(&["list", "--all", "--format", "names"], b"").ok().out, "demo\n");
        world.assert_intact();
    }
}

#[test]
fn simultaneous_changes_to_one_token_are_all_kept() {
    const AT_ONCE: usize = 20;
    let world = World::of_processes();
    world.mint("demo");
    let store = world.store();
    thread::scope(|scope| {
        for n in 0..AT_ONCE {
            let store = &store;
            scope.spawn(move || {
                run(at(store).args(["edit", "demo", "-l", &format!("k{n}=v{n}"), "--allow-widen"]), b"").ok();
            });
        }
    });
    assert_eq!(world.look_at("demo")["labels"].as_object().map(serde_json::Map::len), Some(AT_ONCE));
    world.assert_intact();
}

#[test]
fn a_backup_made_while_fifty_processes_write_can_be_restored() {
    let world = World::of_processes();
    let (store, start, done) = (world.store(), Barrier::new(PROCESSES + 1), AtomicUsize::new(0));
    let mut copies = Vec::new();
    thread::scope(|scope| {
        for process in 0..PROCESSES {
            let (store, start, done) = (&store, &start, &done);
            scope.spawn(move || {
                start.wait();
                for n in 0..3 {
                    run(at(store).args(["create", &format!("p{process}-{n}")]), b"").ok();
                }
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        start.wait();
        while done.load(Ordering::Relaxed) < PROCESSES && copies.len() < 6 {
            let path = world.path(&format!("copy-{}.db", copies.len()));
            let head = run(at(&store).args(["backup", &path]), b"").ok().out;
            copies.push((path, head));
        }
    });
    println!("backups while {PROCESSES} wrote: {}", copies.len());
    assert!(!copies.is_empty());
    for (nth, (path, head)) in copies.iter().enumerate() {
        let dir = PathBuf::from(world.path(&format!("restored-{nth}")));
        run(at(&dir).args(["restore", path, "--yes"]), b"").ok();
        run(at(&dir).args(["audit", "verify", "--anchor", head.trim()]), b"").ok();
        assert_eq!(run(at(&dir).arg("doctor"), b"").ok().out, "ok\n");
        // Tokens that were created after the backup are newer, but belong to the same history.
        run(at(&store).args(["restore", path, "--dry-run"]), b"").ok();
    }
}

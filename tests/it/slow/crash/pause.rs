//! Stops a delivery after every system call until its deadline has passed, while another process changes the store, and
//! then lets it continue.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::{Destination, Scene, Verb, assert_none, each, now, sampled, sound, swept, valid};
use crate::support::processes::until;
use crate::support::{MINUTE, Ran, World, have, program_path, run, tool};

/// The system calls after which the delivery is stopped. They concern files beside the database, whose pages are
/// written under a lock.
const CALLS: &str =
    "openat,write,fsync,unlink,rename,renameat,renameat2,link,linkat,fchmod,fchown,flock,close,statx";
/// The smallest number of stops during which the other process could write. If there are fewer, the test does not do
/// what it should.
const AT_LEAST: usize = 30;

#[test]
fn a_delivery_that_continues_after_its_deadline_never_leaves_an_invalid_secret_in_a_file() {
    let scenes: Vec<_> = Scene::all().into_iter().filter(|scene| scene.destination.keeps_secret()).collect();
    paused_everywhere(
        &scenes,
        |scene, dir| {
            let world = World::at(dir, now() + 11 * MINUTE);
            let ran = world.run(&["settings", "grace", "26h"]);
            let outcome = if ran.code == 0 { Ok(()) } else { Err(format!("{}: {ran:?}", scene.label())) };
            (world.dir, outcome)
        },
        |scene, dir, ran| scene.check_at(dir, &ran.out, Some(ran.code), now() + 12 * MINUTE),
    );
}

#[test]
fn a_delivery_that_continues_after_it_was_replaced_never_leaves_an_invalid_secret_in_a_file() {
    let scenes: Vec<_> = Scene::all()
        .into_iter()
        .filter(|it| it.destination.keeps_secret() && it.verb == Verb::Rotate)
        .collect();
    paused_everywhere(
        &scenes,
        |scene, dir| {
            let mut args = scene.args(dir.path());
            args.push("--replace-pending".to_owned());
            let ran = run(Scene::program(dir.path()).args(&args), b"");
            // If the delivery has not begun yet or is already confirmed, nothing is replaced.
            let outcome = if ran.code == 0 { Ok(()) } else { Err(format!("the second: {ran:?}")) };
            (dir, outcome)
        },
        |scene, dir, ran| {
            ensure!([0, 1, 5, 7].contains(&ran.code), "exit {}", ran.code);
            let Some(held) = scene.held(dir.path(), "")? else {
                return Err("no secret in the file".to_owned());
            };
            let world = World::at(dir, now());
            valid(&world, &held, "the secret in the file")?;
            world.wait(11 * MINUTE);
            let next = world.run(&["settings", "grace", "26h"]);
            ensure!(next.code == 0, "the next change: {next:?}");
            sound(&world)?;
            swept(&world)?;
            valid(&world, scene.old.as_deref().unwrap_or_default(), "the old secret")?;
            valid(&world, &scene.bystander, "another token")?;
            let role = valid(&world, &held, "the secret in the file, later")?;
            ensure!(role == "current", "the secret in the file is {role}");
            Ok(())
        },
    );
}

#[test]
fn a_secret_that_is_revoked_before_its_confirmation_is_reported_as_invalid() {
    if !have("strace") {
        return;
    }
    for destination in [Destination::File, Destination::EnvFile] {
        let scene = Scene::new(Verb::Rotate, destination);
        let dir = scene.stage();
        let stopped = Stopped::start(&scene, dir.path(), &("rename".to_owned(), 1)).expect("a stop");
        run(Scene::program(dir.path()).args(["revoke", super::NAME, "--yes"]), b"").ok();
        let ran = stopped.go_on().exit(1);
        let file = fs::canonicalize(Scene::file(dir.path())).expect("the path exists");
        let message = format!(
            "`{}` contains a secret that does not work: it was revoked or rolled back during its delivery",
            file.display()
        );
        assert!(ran.err.contains(&message) && !ran.err.contains("nothing was changed"), "{}", ran.err);
        assert!(
            ran.err.contains("run the command again once the token may have a new secret"),
            "{}",
            ran.err
        );
        let held = scene.held(dir.path(), "").expect("a file").expect("a secret");
        assert_ne!(Some(&held), scene.old.as_ref());
        let answer = run(Scene::program(dir.path()).arg("verify"), held.as_bytes()).exit(3);
        assert!(answer.line().starts_with("unknown") || answer.line().starts_with("revoked"), "{answer:?}");
    }
}

#[test]
fn a_file_that_changes_during_a_delivery_is_left_alone() {
    if !have("strace") {
        return;
    }
    for destination in [Destination::File, Destination::EnvFile] {
        let scene = Scene::new(Verb::Rotate, destination);
        // Stop once after the file was first checked, and once after it was checked again.
        let calls = scene.points("openat,fsync,rename");
        let rename = calls.iter().position(|(name, _)| name == "rename").expect("there is a rename");
        let synced =
            calls[..rename].iter().rfind(|(name, _)| name == "fsync").expect("there is a sync").clone();
        let entered = ("unlink".to_owned(), 1);
        for (at, message) in
            [(&entered, "a secret of this token"), (&synced, "somebody else changed it meanwhile")]
        {
            let dir = scene.stage();
            let stopped = Stopped::start(&scene, dir.path(), at).expect("a stop");
            let file = Scene::file(dir.path());
            // Change the file in place without changing its length, as an editor can do.
            let before = fs::read_to_string(&file).expect("the file can be read");
            let secret = scene.old.as_deref().expect("a secret");
            let theirs = before.replace(secret, &"x".repeat(secret.len()));
            fs::write(&file, &theirs).expect("the file can be written");
            let ran = stopped.go_on();
            assert!(ran.code == 5 || ran.code == 7, "{ran:?}");
            assert!(
                ran.err.contains(message) && ran.err.contains("nothing was changed"),
                "{destination:?}: {ran:?}"
            );
            assert_eq!(fs::read_to_string(&file).expect("the file can be read"), theirs);
            let left = fs::read_dir(dir.path().join("target")).expect("the directory can be read").count();
            assert_eq!(left, 1, "a temporary file was left");
            run(Scene::program(dir.path()).arg("verify"), secret.as_bytes()).ok();
        }
    }
}

/// Stops a delivery after each system call, calls `meanwhile` unless the delivery holds a lock, lets the delivery
/// continue, and calls `check`.
#[track_caller]
fn paused_everywhere(
    scenes: &[Scene],
    meanwhile: impl Fn(&Scene, tempfile::TempDir) -> (tempfile::TempDir, Result<(), String>) + Sync,
    check: impl Fn(&Scene, tempfile::TempDir, &Ran) -> Result<(), String> + Sync,
) {
    if !have("strace") {
        return;
    }
    let points = scenes.iter().flat_map(|scene| scene.points(CALLS).into_iter().map(move |it| (scene, it)));
    let jobs = sampled(points.collect(), 2);
    let counts = Mutex::new(BTreeMap::<(String, i32), usize>::new());
    let failed = each(&jobs, |(scene, point)| {
        let dir = scene.stage();
        let place = format!("{} stopped after {} {}", scene.label(), point.0, point.1);
        let Some(stopped) = Stopped::start(scene, dir.path(), point) else {
            return Err(format!("{place}: the program was not stopped"));
        };
        let free = is_free(dir.path());
        let (dir, done) = if free { meanwhile(scene, dir) } else { (dir, Ok(())) };
        let ran = stopped.go_on();
        let because = |why: String| format!("{place}: {why}; {ran:?}");
        done.map_err(because)?;
        let outcome = (if free { "written meanwhile" } else { "locked" }.to_owned(), ran.code);
        *counts.lock().expect("no thread panicked").entry(outcome).or_default() += 1;
        check(scene, dir, &ran).map_err(because)
    });
    let counts = counts.into_inner().expect("no thread panicked");
    println!("pauses: {} {counts:?}", jobs.len());
    assert_none(&failed, jobs.len());
    let written: usize =
        counts.iter().filter(|((how, _), _)| how == "written meanwhile").map(|(_, count)| count).sum();
    assert!(written >= AT_LEAST, "{counts:?}");
}

/// Whether no process holds the lock of the store or the lock of the destination's directory.
fn is_free(dir: &Path) -> bool {
    let conn = rusqlite::Connection::open(dir.join("store/tokens.db")).expect("the database can be opened");
    conn.busy_timeout(Duration::ZERO).expect("a timeout");
    let store = conn.execute_batch("BEGIN EXCLUSIVE; ROLLBACK").is_ok();
    store && fs::File::open(dir.join("target")).expect("the directory can be opened").try_lock().is_ok()
}

/// The processes that were stopped, in order.
fn stops(dir: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(dir.join("log")).unwrap_or_default();
    let lines = text.lines().filter(|line| line.contains("--- stopped by SIGSTOP ---"));
    lines.filter_map(|line| Pid::from_raw(line.split(' ').next()?.parse().ok()?)).collect()
}

/// The program under strace, stopped by SIGSTOP.
struct Stopped {
    strace: std::process::Child,
    pid: Pid,
    log: tempfile::TempDir,
}

impl Stopped {
    fn start(scene: &Scene, dir: &Path, (call, nth): &(String, usize)) -> Option<Self> {
        let log = super::scratch();
        let path = log.path().join("log");
        let mut strace = tool("strace")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TOKENCTL_STORE", dir.join("store"))
            .args(["-f", "-o", path.to_str().expect("the path is UTF-8"), "-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:signal=SIGSTOP:when={nth}")])
            .arg(program_path())
            .args(scene.args(dir))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace starts");
        let mut pid = None;
        until("the stop", || {
            pid = stops(log.path()).first().copied();
            pid.is_some() || strace.try_wait().expect("strace").is_some()
        });
        pid.map(|pid| Self { strace, pid, log })
    }

    fn go_on(mut self) -> Ran {
        kill_process(self.pid, Signal::CONT).expect("the signal can be sent");
        // A hook makes the same call, and is stopped too.
        let mut continued = 1;
        until("the end", || {
            for pid in stops(self.log.path()).split_off(continued) {
                // It can have been killed.
                let _ = kill_process(pid, Signal::CONT);
                continued += 1;
            }
            self.strace.try_wait().expect("strace").is_some()
        });
        let done = self.strace.wait_with_output().expect("strace ends");
        drop(self.log);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran { code: done.status.code().unwrap_or(-1), out: text(done.stdout), err: text(done.stderr) }
    }
}

//! Measures how htpasswd of Apache behaves under the same conditions, for comparison. This is a measurement, not a
//! test.
//!
//!     cargo test --test it measure_htpasswd -- --ignored --nocapture

use std::collections::HashMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{CHANGING, scratch};
use crate::support::have;

const PROCESSES: usize = 50;
const ADDS: usize = 20;
const USERS: usize = 100;

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

fn add(file: &Path, user: &str) -> Command {
    let mut command = Command::new("htpasswd");
    quiet(command.arg("-b").arg(file).args([user, "password"]));
    command
}

fn lines(file: &Path) -> usize {
    fs::read_to_string(file).map_or(0, |text| text.lines().filter(|line| line.contains(':')).count())
}

#[test]
#[ignore = "a measurement of another program"]
fn measure_htpasswd() {
    if !have("htpasswd") || !have("strace") {
        return;
    }
    let dir = scratch();
    let file = dir.path().join("users");
    let first = || {
        let mut command = Command::new("htpasswd");
        assert!(
            quiet(command.arg("-cb").arg(&file).args(["first", "password"]))
                .status()
                .expect("htpasswd runs")
                .success()
        );
    };

    first();
    let (start, done) = (Barrier::new(PROCESSES), AtomicUsize::new(0));
    thread::scope(|scope| {
        for process in 0..PROCESSES {
            let (file, start, done) = (&file, &start, &done);
            scope.spawn(move || {
                start.wait();
                for nth in 0..ADDS {
                    let added = add(file, &format!("u{process}-{nth}")).status().expect("htpasswd runs");
                    done.fetch_add(usize::from(added.success()), Ordering::Relaxed);
                }
            });
        }
    });
    println!(
        "htpasswd, {PROCESSES} processes adding {ADDS} users each: {} exits with code 0, {} of {} users are in the file",
        done.load(Ordering::Relaxed),
        lines(&file),
        PROCESSES * ADDS + 1
    );

    first();
    for nth in 1..USERS {
        assert!(add(&file, &format!("user{nth}")).status().expect("htpasswd runs").success());
    }
    let before = fs::read(&file).expect("the file can be read");
    let traced = |options: &[&str]| {
        fs::write(&file, &before).expect("the file can be written");
        let mut command = Command::new("strace");
        command
            .args(["-f", "-qq"])
            .args(options)
            .args(["htpasswd", "-b"])
            .arg(&file)
            .args(["new", "password"]);
        quiet(&mut command).status().expect("strace runs")
    };
    let log = dir.path().join("log");
    let trace = format!("trace={CHANGING}");
    assert!(traced(&["-o", log.to_str().expect("the path is UTF-8"), "-e", &trace]).success());
    let (mut counts, mut begun) = (HashMap::<String, usize>::new(), false);
    let (mut points, mut emptied, mut short) = (0, 0, 0);
    for line in fs::read_to_string(&log).expect("the file can be read").lines() {
        let call = line.split_once(' ').map_or("", |(_, call)| call.trim_start());
        let Some((name, rest)) = call.split_once('(') else { continue };
        let nth = counts.entry(name.to_owned()).or_default();
        *nth += 1;
        begun |= name != "execve" && rest.contains(file.to_str().expect("the path is UTF-8"));
        if !begun {
            continue;
        }
        let inject = format!("inject={name}:signal=SIGKILL:when={nth}");
        let status = traced(&["-o", "/dev/null", "-e", &format!("trace={name}"), "-e", &inject]);
        if status.signal() != Some(9) {
            continue;
        }
        points += 1;
        let left = lines(&file);
        emptied += usize::from(left == 0);
        short += usize::from(left != 0 && left < USERS);
    }
    println!(
        "htpasswd adding one user to {USERS}, killed at each of {points} calls: all users are lost {emptied} times, and some {short} times"
    );
}

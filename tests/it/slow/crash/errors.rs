//! Errors of a full or defective disk at every system call.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::Value;

use super::{CHANGING, Scene, Verb, World, assert_none, copy, each, now, sampled, scratch, shown};
use crate::support::have;

/// System calls that can need space on the disk.
const GROWING: &str =
    "openat,write,pwrite64,ftruncate,fsync,fdatasync,link,linkat,rename,renameat,renameat2,mkdir";
/// System calls that change nothing, but fail on a defective disk.
const READING: &str = "read,pread64,newfstatat,fstat,statx,lseek,getdents64,ioctl";
/// Other errors that real file systems return, by system call: NFS, CIFS, 9p, FUSE and ZFS, quotas, limits, read-only
/// mounts, a file that is a mount point, and containers with reduced permissions.
const ODD: [(&str, &[&str]); 17] = [
    ("openat", &["EACCES", "EROFS", "EDQUOT", "EMFILE", "ESTALE", "ELOOP", "EPERM"]),
    ("write", &["EDQUOT", "EFBIG", "ESTALE"]),
    ("pwrite64", &["EDQUOT", "EFBIG"]),
    ("fsync", &["EINVAL", "EBADF", "ENOSYS", "EOPNOTSUPP", "EROFS", "EDQUOT", "ESTALE"]),
    ("fdatasync", &["EINVAL", "EBADF", "ENOSYS", "EOPNOTSUPP", "EROFS", "EDQUOT", "ESTALE"]),
    ("rename", &["EBUSY", "EXDEV", "EACCES", "EPERM", "ESTALE", "EDQUOT", "EROFS"]),
    ("renameat2", &["EINVAL", "ENOSYS", "EOPNOTSUPP", "EEXIST", "EXDEV", "EACCES", "ESTALE"]),
    ("unlink", &["EACCES", "EPERM", "EBUSY", "EROFS", "ESTALE"]),
    ("fchmod", &["EPERM", "EOPNOTSUPP", "EROFS"]),
    ("fchown", &["EPERM", "EINVAL"]),
    ("flock", &["ENOLCK", "EBADF", "EOPNOTSUPP", "EINVAL"]),
    ("statx", &["EACCES", "ESTALE", "ENOSYS", "EPERM"]),
    ("llistxattr", &["EOPNOTSUPP", "EACCES", "ENOSYS"]),
    ("flistxattr", &["EOPNOTSUPP", "EACCES"]),
    ("getdents64", &["EACCES", "ESTALE", "EINVAL"]),
    ("read", &["EISDIR", "ESTALE", "EACCES"]),
    ("close", &["EDQUOT", "ESTALE"]),
];
/// The smallest number of failures for a scene. If there are fewer, the test does not inject what it should.
const AT_LEAST: [(&str, usize); 3] = [("ENOSPC", 25), ("EIO", 50), ("odd", 40)];
/// Parts of messages that report that something was or might have been changed.
const NOT_OLD: [&str; 5] = [
    "may or may not have been kept",
    "may work until",
    "in place and works",
    "delivered and valid",
    "was rotated, but",
];

#[test]
fn after_an_error_of_a_full_disk_the_message_says_whether_anything_was_changed() {
    fails_everywhere("ENOSPC", GROWING, 2);
}

#[test]
fn after_an_error_of_a_defective_disk_the_message_says_whether_anything_was_changed() {
    fails_everywhere("EIO", &format!("{CHANGING},{READING}"), 3);
}

/// Injects each of these errors at every call of a delivery to a file.
#[test]
fn after_an_unusual_file_system_error_the_message_says_whether_anything_was_changed() {
    if !have("strace") {
        return;
    }
    let scenes = prepared(|scene| scene.destination.keeps_secret());
    let calls = ODD.map(|(call, _)| call).join(",");
    let mut jobs = Vec::new();
    for (before, scene) in &scenes {
        for (call, nth) in scene.points(&calls) {
            let errors = ODD.iter().find(|odd| odd.0 == call).map_or(&[][..], |odd| odd.1);
            jobs.extend(errors.iter().map(|error| (before, scene, call.clone(), nth, *error)));
        }
    }
    fails(&sampled(jobs, 5), "odd");
}

/// The scenes that are selected, each with the token before the delivery.
fn prepared(selects: impl Fn(&Scene) -> bool) -> Vec<(Option<Value>, Scene)> {
    Scene::all().into_iter().filter(selects).map(|scene| (before(&scene), scene)).collect()
}

#[track_caller]
fn fails_everywhere(error: &str, calls: &str, nth: usize) {
    if !have("strace") {
        return;
    }
    let scenes = prepared(|_| true);
    let jobs: Vec<_> = scenes
        .iter()
        .flat_map(|(before, scene)| {
            scene.points(calls).into_iter().map(move |(call, nth)| (before, scene, call, nth, error))
        })
        // Starting a process does not depend on the disk, and strace itself needs these calls.
        .filter(|(.., call, _, _)| !["clone", "clone3", "vfork", "execve"].contains(&call.as_str()))
        .collect();
    fails(&sampled(jobs, nth), error);
}

/// A scene, the token before the delivery, the name and number of the call that fails, and its error.
type Job<'a> = (&'a Option<Value>, &'a Scene, String, usize, &'a str);

#[expect(clippy::print_stdout, reason = "the test prints how many errors it injected")]
#[track_caller]
fn fails(jobs: &[Job<'_>], kind: &str) {
    let (counts, exits) =
        (Mutex::new(BTreeMap::<String, usize>::new()), Mutex::new(BTreeMap::<i32, usize>::new()));
    let failed = each(jobs, |(before, scene, call, nth, error)| {
        let dir = scene.stage();
        let log = scratch();
        let log = log.path().join("log");
        let inject = format!("inject={call}:error={error}:when={nth}");
        let options =
            ["-o", log.to_str().expect("the path is UTF-8"), "-e", &format!("trace={call}"), "-e", &inject];
        let done = scene.traced(dir.path(), &options);
        let place = format!("{} with {error} at {call} {nth}", scene.label());
        if !std::fs::read_to_string(&log).is_ok_and(|log| log.contains("(INJECTED)")) {
            return Err(format!("{place}: the error was not injected, {:?}", done.ran));
        }
        *counts.lock().expect("no thread panicked").entry(scene.label()).or_default() += 1;
        *exits.lock().expect("no thread panicked").entry(done.ran.code).or_default() += 1;
        let because = |why: String| format!("{place}: {why}; {:?}", done.ran);
        check_message(scene, before.as_ref(), dir.path(), &done.ran).map_err(because)?;
        scene.check(dir, &done.ran.out, Some(done.ran.code)).map_err(because)
    });
    let (counts, exits) =
        (counts.into_inner().expect("no thread panicked"), exits.into_inner().expect("no thread panicked"));
    println!("{kind} points: {}, exits {exits:?}, {counts:?}", counts.values().sum::<usize>());
    assert_none(&failed, jobs.len());
    let least = AT_LEAST.iter().find(|least| least.0 == kind).expect("there is a minimum").1;
    let scenes: std::collections::BTreeSet<_> = jobs.iter().map(|job| job.1.label()).collect();
    assert!(counts.len() == scenes.len() && counts.values().all(|count| *count >= least), "{counts:?}");
}

/// The token before the delivery.
pub fn before(scene: &Scene) -> Option<Value> {
    state(&World::at(scene.stage(), now())).expect("a state")
}

/// The part of the token that a delivery can change.
fn state(world: &World) -> Result<Option<Value>, String> {
    Ok(shown(world)?.map(|mut token| {
        let object = token.as_object_mut().expect("it is an object");
        for passing in ["events", "last_used_at", "usage_since", "destination", "hook"] {
            object.remove(passing);
        }
        token
    }))
}

/// Checks that the exit code and the message fit the state of the store.
pub fn check_message(
    scene: &Scene,
    before: Option<&Value>,
    dir: &std::path::Path,
    ran: &crate::support::Ran,
) -> Result<(), String> {
    ensure!([0, 1, 6, 7].contains(&ran.code), "exit {}", ran.code);
    ensure!(!ran.err.contains("panicked"), "a panic");
    // The state is read from a copy, because reading must not repair anything.
    let look = scratch();
    copy(dir, look.path());
    let after = state(&World::at(look, now()))?;
    let is_old = after.as_ref() == before;
    if ran.code == 0 {
        return Ok(());
    }
    let unchanged = ran.err.contains("nothing was changed");
    ensure!(ran.code != 7 || unchanged || ran.err.is_empty(), "exit 7 without saying what was changed");
    ensure!(is_old || (ran.code != 7 && !unchanged), "the token was changed: {after:?}");
    let known = unchanged || NOT_OLD.iter().any(|words| ran.err.contains(words));
    ensure!(is_old || known, "the message does not say what was changed");
    ensure!(scene.verb == Verb::Rotate || is_old || after.is_some(), "no token");
    Ok(())
}

//! A full disk, or a broken one, at every call.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::Value;

use super::{CHANGING, Scene, Verb, World, assert_none, copy, each, now, sampled, scratch, shown};
use crate::support::have;

/// Calls that may need room.
const GROWING: &str =
    "openat,write,pwrite64,ftruncate,fsync,fdatasync,link,linkat,rename,renameat,renameat2,mkdir";
/// Calls that fail when a disk does, and change nothing.
const READING: &str = "read,pread64,newfstatat,fstat,statx,lseek,getdents64,ioctl";
/// What else real file systems answer, by call: NFS, CIFS, 9p, FUSE and ZFS, quotas, limits, mounts that are read-only, a
/// single file that is mounted by itself, a container without a right.
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
/// The least number of real failures for one scene. With fewer, the test no longer does what it should.
const AT_LEAST: [(&str, usize); 3] = [("ENOSPC", 25), ("EIO", 50), ("odd", 40)];
/// What the message may say of the state, where it is not the old one.
const NOT_OLD: [&str; 5] = [
    "may or may not have been kept",
    "may work until",
    "in place and works",
    "delivered and valid",
    "is rotated, but",
];

#[test]
fn a_full_disk_leaves_the_old_state_or_the_new_one_and_says_which() {
    fails_everywhere("ENOSPC", GROWING, 2);
}

#[test]
fn an_unreadable_disk_leaves_the_old_state_or_the_new_one_and_says_which() {
    fails_everywhere("EIO", &format!("{CHANGING},{READING}"), 3);
}

/// Each of these at every call of a delivery into a file.
#[test]
fn an_odd_file_system_leaves_the_old_state_or_the_new_one_and_says_which() {
    if !have("strace") {
        return;
    }
    let scenes = prepared(|scene| scene.receiver.keeps());
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

/// Scenes with their tokens before the delivery.
fn prepared(wanted: impl Fn(&Scene) -> bool) -> Vec<(Option<Value>, Scene)> {
    Scene::all().into_iter().filter(wanted).map(|scene| (before(&scene), scene)).collect()
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
        // Starting a process does not depend on disks, and strace needs these calls itself.
        .filter(|(.., call, _, _)| !["clone", "clone3", "vfork", "execve"].contains(&call.as_str()))
        .collect();
    fails(&sampled(jobs, nth), error);
}

/// A delivery, the token before it, and which call of which name fails with what.
type Job<'a> = (&'a Option<Value>, &'a Scene, String, usize, &'a str);

#[expect(clippy::print_stdout, reason = "a test says how much it tried")]
#[track_caller]
fn fails(jobs: &[Job<'_>], kind: &str) {
    let (counts, exits) =
        (Mutex::new(BTreeMap::<String, usize>::new()), Mutex::new(BTreeMap::<i32, usize>::new()));
    let failed = each(jobs, |(before, scene, call, nth, error)| {
        let dir = scene.stage();
        let log = scratch();
        let log = log.path().join("log");
        let inject = format!("inject={call}:error={error}:when={nth}");
        let options = ["-o", log.to_str().expect("UTF-8"), "-e", &format!("trace={call}"), "-e", &inject];
        let done = scene.traced(dir.path(), &options);
        let place = format!("{} with {error} at {call} {nth}", scene.label());
        if !std::fs::read_to_string(&log).is_ok_and(|log| log.contains("(INJECTED)")) {
            return Err(format!("{place}: it did not fail, {:?}", done.ran));
        }
        *counts.lock().expect("a count").entry(scene.label()).or_default() += 1;
        *exits.lock().expect("a count").entry(done.ran.code).or_default() += 1;
        let because = |why: String| format!("{place}: {why}; {:?}", done.ran);
        said(scene, before.as_ref(), dir.path(), &done.ran).map_err(because)?;
        scene.check(dir, &done.ran.out, Some(done.ran.code)).map_err(because)
    });
    let (counts, exits) = (counts.into_inner().expect("a count"), exits.into_inner().expect("a count"));
    println!("{kind} points: {}, exits {exits:?}, {counts:?}", counts.values().sum::<usize>());
    assert_none(&failed, jobs.len());
    let least = AT_LEAST.iter().find(|least| least.0 == kind).expect("a minimum").1;
    let scenes: std::collections::BTreeSet<_> = jobs.iter().map(|job| job.1.label()).collect();
    assert!(counts.len() == scenes.len() && counts.values().all(|count| *count >= least), "{counts:?}");
}

/// The token before the delivery.
pub fn before(scene: &Scene) -> Option<Value> {
    state(&World::at(scene.stage(), now())).expect("a state")
}

/// What of a token a delivery may change.
fn state(world: &World) -> Result<Option<Value>, String> {
    Ok(shown(world)?.map(|mut token| {
        let object = token.as_object_mut().expect("an object");
        for passing in ["events", "last_used_at", "usage_since", "destination", "hook"] {
            object.remove(passing);
        }
        token
    }))
}

/// Whether the exit code and the message fit what there is now.
pub fn said(
    scene: &Scene,
    before: Option<&Value>,
    dir: &std::path::Path,
    ran: &crate::support::Ran,
) -> Result<(), String> {
    want!([0, 1, 6, 7].contains(&ran.code), "exit {}", ran.code);
    want!(!ran.err.contains("panicked"), "a panic");
    // In a copy, since reading must not repair anything.
    let look = scratch();
    copy(dir, look.path());
    let after = state(&World::at(look, now()))?;
    let is_old = after.as_ref() == before;
    if ran.code == 0 {
        return Ok(());
    }
    let unchanged = ran.err.contains("nothing was changed");
    want!(ran.code != 7 || unchanged || ran.err.is_empty(), "exit 7 without saying what was changed");
    want!(is_old || (ran.code != 7 && !unchanged), "it was changed: {after:?}");
    let known = unchanged || NOT_OLD.iter().any(|words| ran.err.contains(words));
    want!(is_old || known, "the message does not say what was changed");
    want!(scene.verb == Verb::Rotate || is_old || after.is_some(), "no token");
    Ok(())
}

//! The migration from version 1 fails at every point. Afterwards the store is completely of one version or the other.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use super::power::{Disk, lay_out, replay, steps};
use super::{
    CHANGING, Destination, Scene, Verb, assert_none, each, every, killed, now, sampled, scratch, traced,
};
use crate::migration::{old, without_uses};
use crate::support::{World, have};

/// A change that only migrates.
const ARGS: [&str; 1] = ["init"];
/// This token was edited by hand before, so it is reported before and after the migration.
const EDITED: &str = "token-011";
/// Fewer faults of a kind than this: the test no longer does what it should.
const AT_LEAST: usize = 40;

/// A store of version 1, and everything that the commands show of it.
struct Old {
    scene: Scene,
    database: Vec<u8>,
    seen: Value,
}

impl Old {
    /// The first thirty tokens of the store that the last program of version 1 made. The log is cut after their
    /// events, and everything later is deleted, so each remaining event was written by that program.
    fn new() -> Self {
        let (base, large) = (scratch(), old());
        let conn = Connection::open(large.database()).expect("the database");
        conn.execute_batch(&format!(
            "CREATE TEMP TABLE kept AS SELECT row FROM token WHERE row <= 30;
             DELETE FROM delivery;
             DELETE FROM label WHERE token NOT IN kept;
             DELETE FROM granted WHERE token NOT IN kept;
             DELETE FROM secret WHERE token NOT IN kept;
             DELETE FROM audit WHERE seq > (SELECT max(seq) FROM audit JOIN token ON subject = id WHERE row <= 30);
             DELETE FROM token WHERE row NOT IN kept;
             UPDATE scope SET retired_at = NULL;
             UPDATE token SET owner = 'eve' WHERE name = '{EDITED}';
             VACUUM"
        ))
        .expect("a smaller store");
        drop(conn);
        for name in ["store", "target"] {
            fs::create_dir(base.path().join(name)).expect("a directory");
            fs::set_permissions(base.path().join(name), Permissions::from_mode(0o700)).expect("a mode");
        }
        let database = base.path().join("store/tokens.db");
        fs::copy(large.database(), &database).expect("a copy");
        let bystander = "x".repeat(super::SECRET_LEN);
        let (verb, destination) = (Verb::Create, Destination::File);
        let scene = Scene { verb, destination, remembers: false, base, old: None, bystander };
        let seen = seen(&World::at(scene.stage(), now())).expect("a store that can be read");
        assert_eq!(seen["audit"]["rows"].as_array().map(Vec::len), Some(1), "{}", seen["audit"]);
        Self { database: fs::read(database).expect("the database"), seen, scene }
    }

    /// Asks what must hold whatever happened; `done` if the command reported success. Returns the version.
    fn check(&self, dir: TempDir, done: bool) -> Result<i64, String> {
        let world = World::at(dir, now());
        let now_seen = seen(&world)?;
        want!(now_seen["list"] == self.seen["list"], "the list differs");
        let (is, was) = (&now_seen["audit"], &self.seen["audit"]);
        want!((&is["first_bad"], &is["rows"]) == (&was["first_bad"], &was["rows"]), "audit verify: {is}");
        // A change rolls back what a killed writer left.
        let conn = Connection::open(world.database()).map_err(|err| err.to_string())?;
        let version: i64 = conn
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(|err| format!("the version: {err}"))?;
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
            .map_err(|err| err.to_string())?;
        drop(conn);
        let read = |path: &Path| fs::read(path).map_err(|err| format!("{}: {err}", path.display()));
        if version == 1 {
            want!(!done, "it said that all is well, and the store is of version 1");
            want!(read(&world.database())? == self.database, "version 1, but not as it was");
        } else {
            let kept = read(&world.store().join("tokens.db.v1"))?;
            // The copy counts the copying as a change in its header.
            want!(kept[100..] == self.database[100..], "the copy is not the store as it was");
            want!(is["events"].as_i64() > was["events"].as_i64(), "no entry of the migration");
        }
        let ran = world.run(&["settings", "grace", "25h"]);
        want!(ran.code == 0, "the next change: {ran:?}");
        let ran = world.run(&["doctor", "--repair", "--yes", "--json"]);
        let left = ran.json();
        let left: Vec<_> = left["findings"].as_array().into_iter().flatten().collect();
        let is_edited = |it: &&&Value| it["code"] == "row_digest" || it["repaired"] == true;
        want!(left.iter().all(|it| is_edited(&it)), "doctor: {left:?}");
        let audit = world.run(&["audit", "verify", "--json"]).json();
        want!((&audit["first_bad"], &audit["rows"]) == (&was["first_bad"], &was["rows"]), "later: {audit}");
        Ok(version)
    }

    /// Makes each of these calls fail or kill the program.
    fn fails(
        &self,
        kind: &str,
        nth: usize,
        calls: &str,
        fault: impl Fn(&Path, &(String, usize)) -> Option<bool> + Sync,
    ) {
        let dir = self.scene.stage();
        let jobs = sampled(super::points(dir.path(), calls, &ARGS.map(str::to_owned)), nth);
        let versions = Mutex::new(BTreeMap::<i64, usize>::new());
        let failed = each(&jobs, |point| {
            let dir = self.scene.stage();
            let place = format!("{kind} at {} {}", point.0, point.1);
            let done = fault(dir.path(), point).ok_or_else(|| format!("{place}: nothing went wrong"))?;
            let version = self.check(dir, done).map_err(|why| format!("{place}: {why}"))?;
            *versions.lock().expect("a count").entry(version).or_default() += 1;
            Ok(())
        });
        println!(
            "migration, {kind}: {} points, versions {:?}",
            jobs.len(),
            versions.lock().expect("a count")
        );
        assert_none(&failed, jobs.len());
        assert!(jobs.len() >= AT_LEAST, "{}", jobs.len());
    }
}

/// Everything that the commands show of a store.
fn seen(world: &World) -> Result<Value, String> {
    let ran = world.run(&["list", "--all", "--json"]);
    want!(ran.code == 0, "list: {ran:?}");
    let audit = world.run(&["audit", "verify", "--json"]);
    want!(audit.code == 3, "audit verify: {audit:?}");
    Ok(serde_json::json!({"list": without_uses(ran.json()), "audit": audit.json()}))
}

fn injected(dir: &Path, (call, nth): &(String, usize), error: &str) -> Option<bool> {
    let log = scratch();
    let log = log.path().join("log");
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error={error}:when={nth}"));
    let options = ["-o", log.to_str().expect("UTF-8"), "-e", &trace, "-e", &inject];
    let ended = traced(dir, &options, &ARGS.map(str::to_owned));
    assert!(!ended.ran.err.contains("panicked"), "{:?}", ended.ran);
    fs::read_to_string(log).ok()?.contains("(INJECTED)").then_some(ended.ran.code == 0)
}

#[test]
fn a_migration_killed_at_any_point_leaves_one_version_or_the_other() {
    if have("strace") {
        let args = ARGS.map(str::to_owned);
        Old::new()
            .fails("killed", 2, CHANGING, |dir, point| killed(dir, point, &args).killed.then_some(false));
    }
}

#[test]
fn a_migration_on_a_full_disk_leaves_one_version_or_the_other() {
    if have("strace") {
        let calls = "openat,write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat2";
        Old::new().fails("ENOSPC", 2, calls, |dir, point| injected(dir, point, "ENOSPC"));
    }
}

#[test]
fn a_migration_on_a_broken_disk_leaves_one_version_or_the_other() {
    if have("strace") {
        let calls = "openat,read,pread64,write,pwrite64,ftruncate,fsync,fdatasync,rename,unlink,close";
        Old::new().fails("EIO", 3, calls, |dir, point| injected(dir, point, "EIO"));
    }
}

#[test]
fn a_power_failure_during_a_migration_leaves_one_version_or_the_other() {
    if !have("strace") {
        return;
    }
    let old = Old::new();
    let (dir, logs) = (old.scene.stage(), scratch());
    let (mut disk, place) = (Disk::default(), dir.path().to_owned());
    disk.load(&place.join("store"));
    let log = logs.path().join("log");
    let trace = format!("trace={}", super::power::CALLS);
    let options = ["-y", "-xx", "-s", "1000000", "-o", log.to_str().expect("UTF-8"), "-e", &trace];
    let done = traced(dir.path(), &options, &ARGS.map(str::to_owned));
    assert_eq!(done.ran.code, 0, "{:?}", done.ran);
    let steps = steps(&fs::read_to_string(&log).expect("a log"), &old.scene, &place);
    drop(dir);
    let lost = replay(disk, &steps, every(5));
    let (mut failed, mut versions) = (Vec::new(), BTreeMap::<i64, usize>::new());
    for (nth, lost) in lost.iter().enumerate() {
        match old.check(lay_out(&place, &old.scene, lost), lost.2) {
            Ok(version) => *versions.entry(version).or_default() += 1,
            Err(why) => failed.push(format!("state {nth}: {why}")),
        }
    }
    println!("migration, power lost: {} states, versions {versions:?}", lost.len());
    assert_none(&failed, lost.len());
    assert!(lost.len() >= AT_LEAST && versions.len() == 2, "{versions:?}");
}

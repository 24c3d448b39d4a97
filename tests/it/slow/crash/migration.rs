//! Lets the migration from version 1 fail at every point. The store must have one version or the other, completely.

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

/// A command that does nothing except the migration.
const ARGS: [&str; 1] = ["init"];
/// A token that was edited by hand before, so `audit verify` reports it before and after the migration.
const EDITED: &str = "token-011";
/// The smallest number of faults of a kind. If there are fewer, the test does not inject what it should.
const AT_LEAST: usize = 40;

/// A store of version 1, and what commands show of it.
struct Old {
    scene: Scene,
    database: Vec<u8>,
    seen: Value,
}

impl Old {
    /// The first thirty tokens of the store that the last program of version 1 created. Later tokens are deleted and
    /// the log is cut after these, so every event was still written by that program.
    fn new() -> Self {
        let (base, large) = (scratch(), old());
        let conn = Connection::open(large.database()).expect("the database can be opened");
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
        .expect("the SQL can be executed");
        drop(conn);
        for name in ["store", "target"] {
            fs::create_dir(base.path().join(name)).expect("the directory can be created");
            fs::set_permissions(base.path().join(name), Permissions::from_mode(0o700))
                .expect("the mode can be set");
        }
        let database = base.path().join("store/tokens.db");
        fs::copy(large.database(), &database).expect("the file can be copied");
        let bystander = "x".repeat(super::SECRET_LEN);
        let (verb, destination) = (Verb::Create, Destination::File);
        let scene = Scene { verb, destination, remembers: false, base, old: None, bystander };
        let seen = seen(&World::at(scene.stage(), now())).expect("a store that can be read");
        assert_eq!(seen["audit"]["rows"].as_array().map(Vec::len), Some(1), "{}", seen["audit"]);
        Self { database: fs::read(database).expect("the database can be read"), seen, scene }
    }

    /// Checks the conditions. `done` is true if the command reported success. Returns the version of the store.
    fn check(&self, dir: TempDir, done: bool) -> Result<i64, String> {
        let world = World::at(dir, now());
        let now_seen = seen(&world)?;
        ensure!(now_seen["list"] == self.seen["list"], "the list differs");
        let (is, was) = (&now_seen["audit"], &self.seen["audit"]);
        ensure!((&is["first_bad"], &is["rows"]) == (&was["first_bad"], &was["rows"]), "audit verify: {is}");
        // Opening the database for writing rolls back what a killed writer left.
        let conn = Connection::open(world.database()).map_err(|err| err.to_string())?;
        let version: i64 = conn
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(|err| format!("the version: {err}"))?;
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
            .map_err(|err| err.to_string())?;
        drop(conn);
        let read = |path: &Path| fs::read(path).map_err(|err| format!("{}: {err}", path.display()));
        if version == 1 {
            ensure!(!done, "the command reported success, but the store has version 1");
            ensure!(read(&world.database())? == self.database, "the store has version 1, but it was changed");
        } else {
            let kept = read(&world.store().join("tokens.db.v1"))?;
            // The headers differ, because the copy has a newer change counter.
            ensure!(
                kept[100..] == self.database[100..],
                "the copy differs from the store before the migration"
            );
            ensure!(is["events"].as_i64() > was["events"].as_i64(), "the migration recorded no event");
        }
        let ran = world.run(&["settings", "grace", "25h"]);
        ensure!(ran.code == 0, "the next change: {ran:?}");
        let ran = world.run(&["doctor", "--repair", "--yes", "--json"]);
        let left = ran.json();
        let left: Vec<_> = left["findings"].as_array().into_iter().flatten().collect();
        let is_edited = |it: &&&Value| it["code"] == "row_digest" || it["repaired"] == true;
        ensure!(left.iter().all(|it| is_edited(&it)), "doctor: {left:?}");
        let audit = world.run(&["audit", "verify", "--json"]).json();
        ensure!((&audit["first_bad"], &audit["rows"]) == (&was["first_bad"], &was["rows"]), "later: {audit}");
        Ok(version)
    }

    /// Calls `fault` for each of these system calls, and checks the conditions after it.
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
            let done = fault(dir.path(), point).ok_or_else(|| format!("{place}: no fault was injected"))?;
            let version = self.check(dir, done).map_err(|why| format!("{place}: {why}"))?;
            *versions.lock().expect("no thread panicked").entry(version).or_default() += 1;
            Ok(())
        });
        println!(
            "migration, {kind}: {} points, versions {:?}",
            jobs.len(),
            versions.lock().expect("no thread panicked")
        );
        assert_none(&failed, jobs.len());
        assert!(jobs.len() >= AT_LEAST, "{}", jobs.len());
    }
}

/// What commands show of a store.
fn seen(world: &World) -> Result<Value, String> {
    let ran = world.run(&["list", "--all", "--json"]);
    ensure!(ran.code == 0, "list: {ran:?}");
    let audit = world.run(&["audit", "verify", "--json"]);
    ensure!(audit.code == 3, "audit verify: {audit:?}");
    Ok(serde_json::json!({"list": without_uses(ran.json()), "audit": audit.json()}))
}

fn injected(dir: &Path, (call, nth): &(String, usize), error: &str) -> Option<bool> {
    let log = scratch();
    let log = log.path().join("log");
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error={error}:when={nth}"));
    let options = ["-o", log.to_str().expect("the path is UTF-8"), "-e", &trace, "-e", &inject];
    let done = traced(dir, &options, &ARGS.map(str::to_owned));
    assert!(!done.ran.err.contains("panicked"), "{:?}", done.ran);
    fs::read_to_string(log).ok()?.contains("(INJECTED)").then_some(done.ran.code == 0)
}

#[test]
fn a_migration_that_is_killed_anywhere_leaves_one_version_or_the_other() {
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
fn a_migration_on_a_defective_disk_leaves_one_version_or_the_other() {
    if have("strace") {
        let calls = "openat,read,pread64,write,pwrite64,ftruncate,fsync,fdatasync,rename,unlink,close";
        Old::new().fails("EIO", 3, calls, |dir, point| injected(dir, point, "EIO"));
    }
}

#[test]
fn a_migration_interrupted_by_a_power_loss_leaves_one_version_or_the_other() {
    if !have("strace") {
        return;
    }
    let old = Old::new();
    let (dir, logs) = (old.scene.stage(), scratch());
    let (mut disk, place) = (Disk::default(), dir.path().to_owned());
    disk.load(&place.join("store"));
    let log = logs.path().join("log");
    let trace = format!("trace={}", super::power::CALLS);
    let options =
        ["-y", "-xx", "-s", "1000000", "-o", log.to_str().expect("the path is UTF-8"), "-e", &trace];
    let done = traced(dir.path(), &options, &ARGS.map(str::to_owned));
    assert_eq!(done.ran.code, 0, "{:?}", done.ran);
    let steps = steps(&fs::read_to_string(&log).expect("the file can be read"), &old.scene, &place);
    drop(dir);
    let lost = replay(disk, &steps, every(5));
    let (mut failed, mut versions) = (Vec::new(), BTreeMap::<i64, usize>::new());
    for (nth, lost) in lost.iter().enumerate() {
        match old.check(lay_out(&place, &old.scene, lost), lost.2) {
            Ok(version) => *versions.entry(version).or_default() += 1,
            Err(why) => failed.push(format!("state {nth}: {why}")),
        }
    }
    println!("migration, states after a power loss: {}, versions {versions:?}", lost.len());
    assert_none(&failed, lost.len());
    assert!(lost.len() >= AT_LEAST && versions.len() == 2, "{versions:?}");
}

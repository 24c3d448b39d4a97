//! Maintenance of the database with SQLite's own tools, by administrators and other programs: afterwards the store
//! works, or the error says how to repair it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;

use crate::store::{ALL, ask, refused, sound};
use crate::support::processes::{assert_failure, mode};
use crate::support::{World, have, run};

/// Fails unless every command works. The failure mentions what was done `after` which it failed.
#[track_caller]
fn everything_works(world: &World, after: &str) {
    for args in ALL {
        let ran = ask(world, args);
        // Some commands repeat an earlier change, and some find their token revoked, but none fails because of the
        // store.
        let answers = if args[0] == "doctor" { &[0][..] } else { &[0, 2, 3, 4, 5] };
        assert!(answers.contains(&ran.code), "after {after}: {args:?} {ran:?}");
    }
    world.assert_intact();
}

#[test]
fn a_store_works_after_every_maintenance_statement() {
    for sql in [
        "VACUUM",
        "ANALYZE",
        "REINDEX",
        "PRAGMA optimize",
        "PRAGMA optimize = 0x10002",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA integrity_check",
        "PRAGMA foreign_key_check",
        "PRAGMA auto_vacuum = INCREMENTAL; VACUUM; PRAGMA incremental_vacuum",
        "PRAGMA auto_vacuum = FULL; VACUUM",
        "PRAGMA page_size = 8192; VACUUM",
        "PRAGMA journal_mode = TRUNCATE; VACUUM; PRAGMA journal_mode = DELETE",
        "PRAGMA journal_mode = PERSIST; VACUUM",
        "PRAGMA secure_delete = ON; VACUUM",
        "ANALYZE; VACUUM; ANALYZE tokens; REINDEX",
    ] {
        let world = sound();
        (0..5).for_each(|n| drop(world.mint(&format!("more-{n}"))));
        let secret = world.mint("kept");
        world.sql(sql);
        assert_eq!(world.real(&["verify"], secret.as_bytes()).ok().line(), "valid kept", "{sql}");
        everything_works(&world, sql);
    }
}

#[test]
fn a_copy_made_with_sqlite_can_replace_the_store() {
    let world = sound();
    let secret = world.mint("kept");
    let copy = world.dir.path().join("copy.db");
    world.sql(&format!("VACUUM INTO '{}'", copy.display()));
    fs::write(world.database(), fs::read(&copy).expect("the file can be read"))
        .expect("the database can be written");
    assert_eq!(world.real(&["verify"], secret.as_bytes()).ok().line(), "valid kept");
    everything_works(&world, "VACUUM INTO");

    if !have("sqlite3") {
        return;
    }
    let world = sound();
    let secret = world.mint("kept");
    let copy = world.dir.path().join("backup.db");
    let backup = format!(".backup '{}'", copy.display());
    run(Command::new("sqlite3").arg(world.database()).arg(backup), b"").ok();
    fs::rename(&copy, world.database()).expect("the file can be renamed");
    fs::set_permissions(world.database(), Permissions::from_mode(0o600)).expect("the mode can be set");
    assert_eq!(world.real(&["verify"], secret.as_bytes()).ok().line(), "valid kept");
    everything_works(&world, ".backup");
}

/// Leaves a store in the state in which Litestream leaves it.
fn replicated(world: &World) {
    let conn = Connection::open(world.database()).expect("the database can be opened");
    conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).expect("the query returns a mode");
    let tables = "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
         CREATE TABLE _litestream_lock (id INTEGER)";
    conn.execute_batch(tables).expect("the SQL can be executed");
    conn.close().expect("the database");
}

#[test]
fn a_store_in_wal_mode_is_reported_and_can_be_repaired() {
    let world = sound();
    replicated(&world);
    refused(&world, "store_wal", "doctor --repair");
    let failure = assert_failure(&ask(&world, &["list"]), "store_wal", 6);
    let path = world.database().canonicalize().expect("the path exists");
    let message = format!("`{}` is in WAL mode, which another program has set", path.display());
    assert_eq!(failure["message"], message);
    let found = ask(&world, &["doctor"]).exit(3).json();
    assert_eq!(
        (&found["findings"][0]["code"], &found["findings"][0]["repairable"]),
        (&"wal".into(), &true.into())
    );
    world.real(&["doctor", "--repair", "--yes"], b"").ok();
    everything_works(&world, "WAL");
}

#[test]
fn tables_of_litestream_are_also_removed_without_wal_mode() {
    let world = sound();
    replicated(&world);
    world.sql("PRAGMA journal_mode = DELETE");
    refused(&world, "store_wal", "doctor --repair");
    world.real(&["doctor", "--repair", "--yes"], b"").ok();
    everything_works(&world, "Litestream");
}

#[test]
fn a_store_in_wal_mode_is_not_repaired_while_another_program_has_it_open() {
    let world = sound();
    replicated(&world);
    let other = Connection::open(world.database()).expect("the database can be opened");
    other.query_row("SELECT count(*) FROM tokens", [], |_| Ok(())).expect("the query returns a count");
    let ran = world.real(&["doctor", "--repair", "--yes", "--json"], b"");
    assert_failure(&ran, "store_locked", 6);
    refused(&world, "store_wal", "doctor --repair");
    drop(other);
    world.real(&["doctor", "--repair", "--yes"], b"").ok();
    everything_works(&world, "another program");
}

#[test]
fn a_stray_wal_file_is_never_read() {
    let world = sound();
    fs::write(world.store().join("tokens.db-wal"), [0xa5; 4096]).expect("the file can be written");
    refused(&world, "store_wal", "doctor --repair");
    world.real(&["doctor", "--repair", "--yes"], b"").ok();
    assert!(!world.store().join("tokens.db-wal").exists());
    everything_works(&world, "a stray log");
}

#[test]
fn a_restored_database_gets_the_recorded_sharing_whatever_the_mode_of_the_directory() {
    let group = rustix::process::getgid().as_raw().to_string();
    let chmod = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("the mode can be set");
    };
    for (shared, right) in [(false, 0o600), (true, 0o640)] {
        for (directory, restored) in
            [(0o700, 0o644), (0o2750, 0o644), (0o755, 0o640), (0o2750, 0o600), (0o750, 0o4755)]
        {
            let world = sound();
            if shared {
                world.real(&["init", "--group", &group], b"").ok();
            }
            chmod(&world.store(), directory);
            chmod(&world.database(), restored);
            let code = world.real(&["doctor"], b"").code;
            assert_eq!(code, if restored == right { 0 } else { 3 }, "{shared} {directory:o} {restored:o}");
            world.real(&["doctor", "--repair", "--yes"], b"").ok();
            let found = (mode(&world.store()), mode(&world.database()));
            assert_eq!(found, (directory, right), "{shared} {directory:o} {restored:o}");
            world.real(&["doctor"], b"").ok();
        }
    }
}

#[test]
fn a_database_that_others_could_write_becomes_private_whatever_sharing_is_recorded() {
    let group = rustix::process::getgid().as_raw().to_string();
    for (directory, database) in [(0o2750, 0o666), (0o2750, 0o777), (0o777, 0o640)] {
        let world = sound();
        world.real(&["init", "--group", &group], b"").ok();
        fs::set_permissions(world.store(), Permissions::from_mode(directory)).expect("the mode can be set");
        fs::set_permissions(world.database(), Permissions::from_mode(database)).expect("the mode can be set");
        world.real(&["doctor"], b"").exit(3);
        world.real(&["doctor", "--repair", "--yes"], b"");
        assert_eq!(mode(&world.database()), 0o600, "{directory:o} {database:o}");
    }
}

/// If root restores a backup, it belongs to the group of root instead of the group of the verifiers.
#[test]
fn a_database_with_another_group_than_recorded_becomes_private_until_it_is_shared_again() {
    if rustix::process::geteuid().as_raw() != 0 {
        return;
    }
    let world = sound();
    world.real(&["init", "--group", "0"], b"").ok();
    std::os::unix::fs::chown(world.database(), None, Some(12)).expect("the group can be set");
    let found = world.real(&["doctor", "--json"], b"").exit(3).json();
    let database = world.database();
    assert_eq!(
        found["findings"][1]["message"],
        format!(
            "the store is shared with group 0, but `{}` has group 12; `tokenctl init --group 0` shares it again",
            database.display()
        )
    );
    world.real(&["doctor", "--repair", "--yes"], b"").exit(3);
    assert_eq!(mode(&database), 0o600);
    world.real(&["init", "--group", "0"], b"").ok();
    assert_eq!(mode(&database), 0o640);
    world.real(&["doctor"], b"").ok();
    // A usage file that is created again is not open to the recorded group either.
    std::os::unix::fs::chown(&database, None, Some(12)).expect("the group can be set");
    let lost = world.store().join("usage.secrets");
    std::fs::remove_file(&lost).expect("the file can be removed");
    world.real(&["settings", "grace", "25h"], b"").ok();
    assert_eq!(mode(&lost), 0o600);
}

//! A store that is missing, foreign, damaged or unsafe: the error is clear, the exit code is 6, and not a byte is
//! changed.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::processes::{assert_failure, finished, mode};
use crate::support::{Ran, World, have, run, uid};

/// A text that could be a secret, but is in no store.
const UNKNOWN: &str = "nobody-knows-this-secret-at-all";

/// Every command that needs a store.
pub const ALL: [&[&str]; 24] = [
    &["list"],
    &["show", "demo"],
    &["audit"],
    &["audit", "head"],
    &["audit", "verify"],
    &["verify"],
    &["settings"],
    &["settings", "grace"],
    &["settings", "grace", "1h"],
    &["scopes", "list"],
    &["scopes", "define", "events:read"],
    &["scopes", "add", "demo", "events:read", "--allow-widen"],
    &["rename", "demo", "other"],
    &["edit", "demo", "--owner", "ann"],
    &["disable", "demo"],
    &["enable", "demo"],
    &["revoke", "demo", "--yes"],
    &["revoke", "--owner", "ann", "--yes"],
    &["rotate", "demo"],
    &["rotate", "--due", "--exec", "true"],
    &["doctor"],
    &["create", "new"],
    &["adopt", "new"],
    &["init"],
];

/// Whether a command creates a missing store.
fn makes(args: &[&str]) -> bool {
    matches!(args[0], "create" | "adopt" | "init") || args.starts_with(&["scopes", "define"])
}

/// Runs the program with `--json` and a secret on stdin, and fails if it does not exit soon.
#[track_caller]
pub fn ask(world: &World, args: &[&str]) -> Ran {
    let mut child = world
        .program()
        .args(args)
        .arg("--json")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let _ = child.stdin.take().expect("stdin is a pipe").write_all(UNKNOWN.as_bytes());
    finished(child)
}

/// An intact store with one token, created by the real program.
pub fn sound() -> World {
    let world = World::of_processes();
    world.mint("demo");
    world
}

/// The mode and the content of everything below a directory, by path.
pub fn everything(dir: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        let mut content = Vec::new();
        if meta.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .expect("the directory can be read")
                    .map(|entry| entry.expect("the entry can be read").path()),
            );
        } else if meta.is_symlink() {
            content =
                fs::read_link(&path).expect("the link can be read").into_os_string().into_encoded_bytes();
        } else if meta.is_file() {
            content = fs::read(&path).expect("the file can be read");
        }
        all.insert(path, (meta.mode(), content));
    }
    all
}

/// Fails unless every command fails with this error code and hint and changes nothing. `doctor` can report findings
/// instead.
#[track_caller]
pub fn refused(world: &World, code: &str, hint: &str) {
    let before = everything(world.dir.path());
    for args in ALL {
        let ran = ask(world, args);
        assert!(before == everything(world.dir.path()), "{code}: {args:?} changed something: {ran:?}");
        if args[0] == "doctor" && ran.code == 3 {
            assert!(!ran.json()["ok"].as_bool().expect("a truth value"), "{code}: {ran:?}");
            continue;
        }
        assert_eq!(ran.code, 6, "{code}: {args:?} {ran:?}");
        let failure = assert_failure(&ran, code, 6);
        let found = failure["hint"].as_str().unwrap_or_default();
        assert!(found.contains(hint), "{code}: {args:?} has the hint `{found}`");
    }
}

#[test]
fn a_missing_store_is_created_only_by_the_verbs_that_create_one() {
    for args in ALL.into_iter().filter(|args| !makes(args)) {
        for parent in [true, false] {
            let world = World::new();
            if parent {
                fs::create_dir(world.store()).expect("the directory can be created");
                fs::set_permissions(world.store(), Permissions::from_mode(0o700))
                    .expect("the mode can be set");
            }
            let failure = assert_failure(&ask(&world, args), "store_missing", 6);
            assert!(
                failure["hint"].as_str().expect("the hint is a string").contains("tokenctl init"),
                "{failure}"
            );
            assert_eq!(world.store().exists(), parent, "{args:?}");
            assert_eq!(fs::read_dir(world.store()).map_or(0, |entries| entries.count()), 0, "{args:?}");
        }
    }
    for args in ALL.into_iter().filter(|args| makes(args)) {
        let world = World::new();
        ask(&world, args).ok();
        assert!(world.database().exists(), "{args:?}");
        world.assert_intact();
    }
}

#[test]
fn a_malformed_secret_is_refused_even_without_a_store() {
    let world = World::new();
    let other = sound().mint("another");
    let mut wrong = other.clone().into_bytes();
    wrong[10] = if wrong[10] == b'a' { b'b' } else { b'a' };
    for input in [&wrong[..], b"", b"short", b"with a space in it, and long"] {
        assert_eq!(world.real(&["verify"], input).exit(3).line(), "malformed");
    }
    assert_failure(&world.real(&["verify", "--json"], other.as_bytes()), "store_missing", 6);
}

#[test]
fn a_file_that_is_not_a_database_is_a_foreign_store() {
    for content in [&b""[..], b"x", b"SQLite format 3\0", &b"name = value\n".repeat(100), &[0; 8192]] {
        let world = sound();
        fs::write(world.database(), content).expect("the file can be written");
        refused(&world, "store_foreign", "--store DIR");
    }
}

#[test]
fn the_database_of_another_program_is_a_foreign_store() {
    for sql in [
        "CREATE TABLE cookie (x)",
        "PRAGMA application_id = 7; PRAGMA user_version = 1; CREATE TABLE token (x)",
    ] {
        let world = sound();
        fs::remove_file(world.database()).expect("the file can be removed");
        world.sql(sql);
        fs::set_permissions(world.database(), Permissions::from_mode(0o600)).expect("the mode can be set");
        refused(&world, "store_foreign", "--store DIR");
    }
    let world = sound();
    world.sql("PRAGMA application_id = 0");
    refused(&world, "store_foreign", "--store DIR");
}

#[test]
fn a_store_of_a_newer_version_is_refused() {
    for version in ["3", "99", "2147483647", "-1"] {
        let world = sound();
        world.sql(&format!("PRAGMA user_version = {version}"));
        refused(&world, "store_newer", "newer tokenctl");
    }
}

#[test]
fn a_truncated_store_is_damaged() {
    let whole = fs::metadata(sound().database()).expect("the file exists").len();
    for len in [100, 1000, 4096, 8192, whole / 2, whole - 4096] {
        let world = sound();
        File::options()
            .write(true)
            .open(world.database())
            .and_then(|file| file.set_len(len))
            .expect("there is a file");
        refused(&world, "store_damaged", "doctor");
    }
}

#[test]
fn a_store_with_garbage_in_its_schema_is_damaged() {
    let world = sound();
    let file = File::options().write(true).open(world.database()).expect("the file can be opened");
    file.write_all_at(&[0xa5; 4096 - 100], 100).expect("the file can be written");
    refused(&world, "store_damaged", "doctor");
}

/// A changed byte in the header has one of these results: damaged, foreign, newer, or none if the byte has no meaning.
/// There is never another error, and a reader never changes the file.
#[test]
fn a_changed_byte_in_the_header_is_reported_or_has_no_effect() {
    let world = sound();
    let good = fs::read(world.database()).expect("the file can be read");
    let mut codes = BTreeMap::<String, usize>::new();
    for at in 0..100 {
        let mut bad = good.clone();
        bad[at] ^= 0xff;
        fs::write(world.database(), &bad).expect("the file can be written");
        for args in [&["list"][..], &["create", "new"]] {
            let ran = ask(&world, args);
            let code = if ran.code == 0 {
                "none".to_owned()
            } else {
                assert_eq!(ran.code, 6, "byte {at}: {args:?} {ran:?}");
                assert!(
                    bad == fs::read(world.database()).expect("the file can be read"),
                    "byte {at}: {args:?}"
                );
                // A command that changes the store also warns that it could not look for interrupted deliveries.
                let last = ran.err.lines().last().expect("there is an error");
                let failure: serde_json::Value = serde_json::from_str(last).expect("it is JSON");
                failure["error"]["code"].as_str().expect("the code is a string").to_owned()
            };
            *codes.entry(code).or_default() += 1;
            assert!(!world.store().join("tokens.db-journal").exists(), "byte {at}: {args:?}");
        }
    }
    for code in ["store_damaged", "store_foreign", "store_newer"] {
        assert!(codes.contains_key(code), "{codes:?}");
    }
}

#[test]
fn garbage_in_any_page_is_reported_as_damage() {
    let world = sound();
    world.multiply("demo", 200);
    let good = fs::read(world.database()).expect("the file can be read");
    let mut found = 0;
    for page in 1..good.len() / 4096 {
        let mut bad = good.clone();
        for (at, byte) in bad[page * 4096..(page + 1) * 4096].iter_mut().enumerate() {
            *byte = u8::try_from(at * 31 % 251).expect("the number is in range");
        }
        fs::write(world.database(), &bad).expect("the file can be written");
        for args in
            [&["list", "--all"][..], &["show", "demo"], &["audit", "verify"], &["doctor"], &["verify"]]
        {
            let ran = ask(&world, args);
            assert!(matches!(ran.code, 0 | 3 | 4 | 6), "page {page}: {args:?} {ran:?}");
            if ran.code == 6 {
                // Pages that the commands do not read have no effect, and every other failure is reported as damage.
                assert_failure(&ran, "store_damaged", 6);
            }
            found += i32::from(args[0] == "doctor" && ran.code != 0);
            assert!(
                bad == fs::read(world.database()).expect("the file can be read"),
                "page {page}: {args:?}"
            );
        }
    }
    assert_eq!(usize::try_from(found), Ok(good.len() / 4096 - 1), "doctor overlooked a page");
}

#[test]
fn a_store_with_another_schema_is_damaged() {
    for sql in [
        "CREATE TABLE more (x)",
        "CREATE INDEX more ON tokens (owner)",
        "CREATE VIEW more AS SELECT * FROM tokens",
        "CREATE TRIGGER more AFTER INSERT ON tokens BEGIN DELETE FROM events; END",
        "CREATE TABLE more (x); DROP TABLE more; DROP INDEX event_subject",
        "ALTER TABLE tokens ADD COLUMN more TEXT",
        "DROP TABLE granted",
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'grace INTEGER', 'grace  INTEGER') WHERE name = 'tokens'",
    ] {
        let world = sound();
        world.sql(sql);
        refused(&world, "store_damaged", "doctor");
    }
}

#[test]
fn a_database_that_is_not_a_regular_file_is_not_opened() {
    let not_a_file = |hint, make: &dyn Fn(&World)| {
        let world = sound();
        fs::rename(world.database(), world.dir.path().join("aside.db")).expect("the file can be renamed");
        make(&world);
        refused(&world, "store_unsafe", hint);
    };
    let (link, other) = ("use `--store` with the directory that contains the file itself", "move it away");
    not_a_file(other, &|world| fs::create_dir(world.database()).expect("the directory can be created"));
    not_a_file(link, &|world| symlink("../aside.db", world.database()).expect("the link can be created"));
    not_a_file(link, &|world| symlink("/nowhere/at/all", world.database()).expect("the link can be created"));
    not_a_file(other, &|world| {
        drop(UnixListener::bind(world.database()).expect("the socket can be created"));
    });
    if have("mkfifo") {
        not_a_file(other, &|world| {
            run(std::process::Command::new("mkfifo").arg(world.database()), b"").ok();
        });
    }
}

#[test]
fn usage_files_that_are_not_regular_files_are_ignored() {
    if !have("mkfifo") {
        return;
    }
    let world = sound();
    let secret = world.mint("other");
    for name in ["usage.secrets", "usage.scopes", "usage.refused"] {
        fs::remove_file(world.store().join(name)).expect("the file can be removed");
        run(std::process::Command::new("mkfifo").arg(world.store().join(name)), b"").ok();
    }
    for args in [&["list"][..], &["show", "demo"], &["edit", "demo", "--owner", "ann"], &["create", "new"]] {
        ask(&world, args).ok();
    }
    ask(&world, &["doctor"]).exit(3);
    fs::write(world.dir.path().join("secret"), &secret).expect("the file can be written");
    let file = world.dir.path().join("secret");
    ask(&world, &["verify", "--secret-file", file.to_str().expect("the path is UTF-8")]).ok();
    // A command does not write through a link either.
    let aside = world.dir.path().join("aside");
    fs::write(&aside, [0; 64]).expect("the file can be written");
    for name in ["usage.secrets", "usage.scopes", "usage.refused"] {
        fs::remove_file(world.store().join(name)).expect("the file can be removed");
        symlink(&aside, world.store().join(name)).expect("the link can be created");
    }
    ask(&world, &["verify", "--secret-file", file.to_str().expect("the path is UTF-8")]).ok();
    assert_eq!(fs::read(&aside).expect("the file can be read"), [0; 64]);
}

#[test]
fn a_store_that_others_can_write_is_refused() {
    for (below, bits) in
        [("tokens.db", 0o666), ("tokens.db", 0o660), ("tokens.db", 0o602), ("", 0o777), ("", 0o770)]
    {
        let world = sound();
        let path = world.store().join(below);
        if bits & 0o002 == 0 {
            if uid() != 0 {
                eprintln!("skipped: only root can give a file to a group that it is not in");
                continue;
            }
            chown(&path, None, Some(64_010)).expect("the group can be set");
        }
        fs::set_permissions(&path, Permissions::from_mode(bits)).expect("the mode can be set");
        let hint = if bits & 0o002 == 0 { "chmod g-w " } else { "chmod go-w " };
        refused(&world, "store_unsafe", hint);
    }
    let world = sound();
    fs::set_permissions(world.dir.path(), Permissions::from_mode(0o777)).expect("the mode can be set");
    refused(&world, "store_unsafe", "chmod go-w ");
    // In a sticky directory, users cannot replace files of other users.
    fs::set_permissions(world.dir.path(), Permissions::from_mode(0o1777)).expect("the mode can be set");
    world.assert_intact();
    world.mint("sticky");
}

#[test]
fn no_store_is_created_where_others_could_replace_it() {
    let world = World::new();
    fs::set_permissions(world.dir.path(), Permissions::from_mode(0o777)).expect("the mode can be set");
    for args in [&["init"][..], &["create", "demo"], &["adopt", "demo"]] {
        assert_failure(&ask(&world, args), "store_unsafe", 6);
        assert!(!world.store().exists(), "{args:?}");
    }
}

#[test]
fn a_file_instead_of_the_directory_of_the_store_is_refused() {
    let world = World::new();
    fs::write(world.store(), "text").expect("the file can be written");
    for args in ALL {
        assert_failure(&ask(&world, args), "store_unreadable", 6);
        assert_eq!(fs::read(world.store()).expect("the file can be read"), b"text");
    }
}

#[test]
fn the_modes_of_a_store_do_not_depend_on_the_umask() {
    if !have("bash") {
        return;
    }
    for umask in ["000", "022", "077", "777"] {
        let world = World::new();
        for command in ["create demo", "create other", "edit demo --owner ann"] {
            world.shell(&format!("umask {umask}; tokenctl {command}")).ok();
        }
        assert_eq!(mode(&world.store()), 0o700, "umask {umask}");
        let mut files: Vec<_> = world.bytes().into_iter().map(|(name, _)| name).collect();
        files.sort();
        assert_eq!(files, ["tokens.db", "usage.refused", "usage.scopes", "usage.secrets"]);
        for name in files {
            assert_eq!(mode(&world.store().join(&name)), 0o600, "umask {umask}: {name:?}");
        }
    }
}

#[test]
fn reading_commands_change_no_byte_and_leave_no_file() {
    let world = sound();
    let before = everything(world.dir.path());
    for args in ALL.into_iter().filter(|args| {
        matches!(args[0], "list" | "show" | "audit" | "verify" | "doctor")
            || matches!(args, ["settings"] | ["settings", "grace"] | ["scopes", "list"])
    }) {
        assert!(matches!(world.real(args, UNKNOWN.as_bytes()).code, 0 | 3), "{args:?}");
        assert!(before == everything(world.dir.path()), "{args:?}");
    }
}

#[test]
fn a_killed_writer_does_not_stop_readers_and_the_next_write_rolls_its_change_back() {
    for commit in [1, 2] {
        let world = sound();
        let secret = world.mint("other");
        if !world.kill_at_commit("half", commit) {
            return;
        }
        fs::create_dir(world.dir.path().join("tmp")).expect("the directory can be created");
        let before = everything(&world.store());
        let read = |args: &[&str]| {
            let mut program = world.program();
            let ran = run(program.env("TMPDIR", world.dir.path().join("tmp")).args(args), secret.as_bytes());
            // A use can be recorded, but in a separate file.
            let after = everything(&world.store());
            let database = |files: &BTreeMap<PathBuf, (u32, Vec<u8>)>| {
                let mut files = files.clone();
                files.retain(|path, _| !path.to_string_lossy().contains("usage."));
                files
            };
            assert!(database(&before) == database(&after), "{args:?} changed the store");
            assert_eq!(everything(&world.dir.path().join("tmp")).len(), 1, "{args:?} left a temporary file");
            ran
        };
        // The first commit creates the token, and the second one confirms it.
        let names = if commit == 1 { "demo\nother\n" } else { "demo\nhalf\nother\n" };
        assert_eq!(read(&["list", "--format", "names"]).ok().out, names);
        assert_eq!(read(&["verify"]).ok().line(), "valid other");
        read(&["show", "demo"]).ok();
        read(&["audit", "verify"]).ok();
        let doctor = read(&["doctor", "--json"]).exit(3).json();
        assert_eq!(doctor["findings"][0]["code"], "leftover", "{doctor}");
        assert_eq!(doctor["findings"][0]["repairable"], true, "{doctor}");
        assert_eq!(doctor["findings"].as_array().map(Vec::len), Some(1), "{doctor}");

        world.mint("third");
        assert!(!world.store().join("tokens.db-journal").exists());
        let names = world.real(&["list", "--format", "names"], b"").ok().out;
        assert_eq!(names, if commit == 1 { "demo\nother\nthird\n" } else { "demo\nhalf\nother\nthird\n" });
        world.assert_intact();
    }
}

#[test]
fn an_invalid_journal_is_ignored_or_refused_but_never_applied() {
    let world = sound();
    let secret = world.mint("other");
    let journal = world.store().join("tokens.db-journal");
    fs::write(&journal, b"").expect("the file can be written");
    assert_eq!(world.real(&["verify"], secret.as_bytes()).ok().line(), "valid other");
    fs::write(&journal, vec![0xa5; 9000]).expect("the file can be written");
    let ran = world.real(&["verify"], secret.as_bytes());
    assert!(matches!(ran.code, 0 | 6), "{ran:?}");
    fs::remove_file(&journal).expect("the file can be removed");
    let aside = world.dir.path().join("aside");
    fs::write(&aside, vec![0xa5; 9000]).expect("the file can be written");
    symlink(&aside, &journal).expect("the link can be created");
    let ran = world.real(&["create", "new"], b"");
    assert!(matches!(ran.code, 0 | 6 | 7), "{ran:?}");
    assert_eq!(fs::read(&aside).expect("the file can be read"), vec![0xa5; 9000]);
}

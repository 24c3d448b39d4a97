//! Files that another user has planted in a store that root then uses, and directories in which no store is created.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

use crate::store::{ask, everything, refused, sound};
use crate::support::processes::{assert_failure, mode};
use crate::support::{World, have, program, run, uid};

/// A user and a group without names.
const OTHER: u32 = 64_001;
const GROUP: u32 = 64_010;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("the mode can be set");
}

/// Whether the tests can give files to other users.
fn is_root() -> bool {
    let root = uid() == 0;
    if !root {
        eprintln!("skipped: only root can give files to others");
    }
    root
}

#[test]
fn sharing_a_store_never_follows_a_planted_link() {
    let group = rustix::process::getgid().as_raw().to_string();
    for name in ["usage.refused", "usage.scopes", "usage.secrets"] {
        for by_symlink in [true, false] {
            let world = sound();
            let victim = world.dir.path().join("victim");
            fs::write(&victim, "private").expect("the file can be written");
            chmod(&victim, 0o600);
            let planted = world.store().join(name);
            fs::remove_file(&planted).expect("the file can be removed");
            let made = if by_symlink { symlink(&victim, planted) } else { fs::hard_link(&victim, planted) };
            made.expect("a link");
            let failure = assert_failure(&ask(&world, &["init", "--group", &group]), "store_unsafe", 6);
            assert!(
                failure["message"].as_str().expect("the message is a string").contains(name),
                "{failure}"
            );
            assert_eq!(mode(&victim), 0o600);
            assert_eq!(fs::read(&victim).expect("the file can be read"), b"private");
        }
    }
}

#[test]
fn a_planted_journal_is_never_read() {
    let planted = |plant: &dyn Fn(&Path)| {
        let world = sound();
        plant(&world.store().join("tokens.db-journal"));
        refused(&world, "store_unsafe", "SQLite did not write it for this store");
        ask(&world, &["doctor", "--repair", "--yes"]).exit(3);
    };
    planted(&|path| fs::create_dir(path).expect("the directory can be created"));
    planted(&|path| symlink("/dev/zero", path).expect("the link can be created"));
    planted(&|path| drop(UnixListener::bind(path).expect("the socket can be created")));
    if have("mkfifo") {
        planted(&|path| drop(run(Command::new("mkfifo").arg(path), b"").ok()));
    }
    if is_root() {
        planted(&|path| {
            fs::write(path, "x").expect("the file can be written");
            chown(path, Some(OTHER), None).expect("the owner can be set");
        });
    }
    let world = sound();
    let journal = File::create(world.store().join("tokens.db-journal")).expect("the file can be created");
    journal.set_len(8 << 30).expect("the length can be set");
    assert_failure(&ask(&world, &["list"]), "store_unsafe", 6);
}

#[test]
fn a_repair_stops_at_a_planted_journal() {
    let world = sound();
    fs::create_dir(world.store().join("tokens.db-journal")).expect("the directory can be created");
    chmod(&world.database(), 0o666);
    let failure = assert_failure(&ask(&world, &["doctor", "--repair", "--yes"]), "store_unsafe", 6);
    assert!(failure["message"].as_str().is_some_and(|it| it.contains("tokens.db-journal")), "{failure}");
    // Only what needs no SQLite was repaired.
    assert_eq!(mode(&world.database()), 0o644);
}

#[test]
fn a_very_large_store_with_the_journal_of_a_killed_writer_is_not_copied() {
    let world = sound();
    if !world.kill_at_commit("half", 1) {
        return;
    }
    let database = File::options().write(true).open(world.database()).expect("the database can be opened");
    database.set_len(257 << 20).expect("the length can be set");
    let failure = assert_failure(&ask(&world, &["list"]), "store_unreadable", 6);
    assert!(
        failure["message"]
            .as_str()
            .expect("the message is a string")
            .ends_with("the store is too large to copy"),
        "{failure}"
    );
}

#[test]
fn doctor_finds_and_removes_a_copy_that_a_killed_reader_left() {
    let world = sound();
    let temporary = world.dir.path().join("tmp");
    let (left, other) = (temporary.join("tokenctl-copy-x"), temporary.join("tokenctl-copy-file"));
    fs::create_dir_all(&left).expect("the directory can be created");
    fs::write(left.join("tokens.db"), "copied").expect("the file can be written");
    fs::write(&other, "not a directory").expect("the file can be written");
    let doctor = |args: &[&str]| {
        let mut program = world.program();
        run(program.env("TMPDIR", &temporary).arg("doctor").args(args), b"")
    };
    let found = doctor(&["--json"]).exit(3).json();
    assert_eq!(found["findings"][0]["code"], "leftover", "{found}");
    doctor(&["--repair", "--yes"]).ok();
    assert!(!left.exists() && other.exists());
}

#[test]
fn the_next_copy_removes_one_that_a_killed_command_left_but_not_one_in_use() {
    let world = sound();
    let temporary = world.dir.path().join("tmp");
    let copies =
        ["tokenctl-copy-left", "tokenctl-copy-used", "tokenctl-copy-begun"].map(|name| temporary.join(name));
    let [left, used, begun] = &copies;
    for copy in &copies {
        fs::create_dir_all(copy).expect("the directory can be created");
    }
    for copy in [left, used] {
        fs::write(copy.join("tokens.db"), "copied").expect("the file can be written");
    }
    let alive = File::open(used).expect("the directory can be opened");
    flock(&alive, FlockOperation::LockShared).expect("the file can be locked");
    run(world.program().env("TMPDIR", &temporary).arg("export"), b"").ok();
    assert_eq!(copies.each_ref().map(|copy| copy.exists()), [false, true, true]);
    assert_eq!(
        fs::read_dir(&temporary).expect("the directory can be read").count(),
        2,
        "the export left a new copy"
    );
    drop(alive);
    run(world.program().env("TMPDIR", &temporary).arg("export"), b"").ok();
    assert!(!used.exists() && begun.exists());
}

#[test]
fn a_store_that_its_group_can_write_is_used_only_with_trust_group() {
    if !is_root() {
        return;
    }
    let world = sound();
    for path in ["", "tokens.db", "usage.secrets", "usage.scopes"] {
        chown(world.store().join(path), None, Some(GROUP)).expect("the group can be set");
        chmod(&world.store().join(path), if path.is_empty() { 0o2770 } else { 0o660 });
    }
    let path = world.store().canonicalize().expect("the path exists");
    let failure = assert_failure(&ask(&world, &["list"]), "store_unsafe", 6);
    let hint = format!(
        "chmod g-w {}/tokens.db; or, if you trust that group, name the store with `--store` and pass `--trust-group`",
        path.display()
    );
    assert_eq!(failure["hint"], hint);
    ask(&world, &["create", "by-flag", "--trust-group"]).ok();
    let by_variable = |value| run(world.program().env("TOKENCTL_TRUST_GROUP", value).arg("list"), b"");
    by_variable("1").ok();
    by_variable("0").exit(6);
    ask(&world, &["doctor", "--trust-group"]).ok();
    assert_eq!(mode(&world.database()), 0o660);
    // Other users are not members of the group.
    chmod(&world.database(), 0o662);
    assert_failure(&ask(&world, &["list", "--trust-group"]), "store_unsafe", 6);
    let unnamed = run(program().env("HOME", world.dir.path()).args(["list", "--trust-group"]), b"");
    assert!(unnamed.exit(2).err.contains("--store DIR"));
}

#[test]
fn a_store_can_be_writable_by_a_group_whose_only_member_is_its_owner() {
    // The primary group of root has no other member.
    if !is_root() {
        return;
    }
    let world = sound();
    chmod(&world.store(), 0o770);
    chmod(&world.database(), 0o660);
    ask(&world, &["list"]).ok();
    ask(&world, &["create", "new"]).ok();
    chown(world.database(), None, Some(GROUP)).expect("the group can be set");
    assert_failure(&ask(&world, &["list"]), "store_unsafe", 6);
}

#[test]
fn a_database_with_two_hard_links_is_not_read() {
    let world = sound();
    let other = world.store().join("other");
    fs::hard_link(world.database(), &other).expect("the link can be created");
    let failure = assert_failure(&ask(&world, &["list"]), "store_unsafe", 6);
    assert!(failure["message"].to_string().contains("it has 2 hard links"), "{failure}");
    fs::remove_file(other).expect("the file can be removed");
    ask(&world, &["list"]).ok();
}

#[test]
fn no_store_is_created_in_the_home_of_another_user_or_in_a_missing_home() {
    let in_home = |home: &Path| {
        let ran = run(program().env("HOME", home).args(["create", "demo", "--json"]), b"");
        (
            ran.failure()["code"].clone(),
            ran.exit(6).failure()["hint"].as_str().expect("the hint is a string").to_owned(),
        )
    };
    let world = World::new();
    let (code, hint) = in_home(&world.dir.path().join("nowhere/at/all"));
    assert_eq!(
        (code, &*hint),
        ("store_missing".into(), "name another directory with `--store DIR` or `TOKENCTL_STORE`")
    );
    if !is_root() {
        return;
    }
    let home = world.dir.path().join("home");
    fs::create_dir(&home).expect("the directory can be created");
    chown(&home, Some(OTHER), None).expect("the owner can be set");
    let (code, hint) = in_home(&home);
    assert_eq!(code, "store_unsafe");
    assert!(hint.starts_with("if you trust that user, name the store with `--store "), "{hint}");
    assert_eq!(fs::read_dir(&home).expect("the directory can be read").count(), 0);
}

#[test]
fn new_usage_files_belong_to_the_owner_of_the_store() {
    if !is_root() {
        return;
    }
    let world = sound();
    for path in ["", "tokens.db"] {
        chown(world.store().join(path), Some(OTHER), None).expect("the owner can be set");
    }
    for name in ["usage.secrets", "usage.scopes", "usage.refused"] {
        fs::remove_file(world.store().join(name)).expect("the file can be removed");
    }
    ask(&world, &["create", "by-root"]).ok();
    for name in ["usage.secrets", "usage.scopes", "usage.refused"] {
        assert_eq!(fs::metadata(world.store().join(name)).expect("the file exists").uid(), OTHER, "{name}");
    }
}

#[test]
fn the_error_about_a_damaged_store_contains_its_path() {
    let world = sound();
    world.sql("CREATE TABLE more (x)");
    let message = format!(
        "`{}`: the store is damaged: it has objects that tokenctl does not make: `more`",
        world.store().display()
    );
    assert_eq!(assert_failure(&ask(&world, &["list"]), "store_damaged", 6)["message"], message);
}

#[test]
fn a_file_system_without_locks_is_reported_at_once() {
    if !have("strace") {
        return;
    }
    let world = sound();
    let log = world.dir.path().join("log");
    let traced = |inject: &str| {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-e", inject, "-o"]).arg(&log).arg(crate::support::program_path());
        run(strace.args(["list", "--store"]).arg(world.store()), b"")
    };
    traced("trace=fcntl").ok();
    let calls = fs::read_to_string(&log).expect("the file can be read");
    let first = calls.lines().position(|line| line.contains("F_SETLK")).expect("there is a lock") + 1;
    for error in ["ENOLCK", "EINVAL", "EBADF"] {
        let ran = traced(&format!("inject=fcntl:error={error}:when={first}+"));
        assert_ne!(ran.code, 0, "{error}: {ran:?}");
        assert!(ran.err.contains("the file system refuses to lock it"), "{error}: {ran:?}");
        // The command did not wait, because a waiting process tries again every few milliseconds.
        let refused = fs::read_to_string(&log).expect("the file can be read").matches("(INJECTED)").count();
        assert!(refused < 10, "{error}: tried {refused} times");
    }
}

#[test]
fn a_limit_on_the_size_of_files_has_a_clear_error_message() {
    if !have("bash") {
        return;
    }
    let world = sound();
    let secret = world.mint("other");
    let verified = run(world.bash("ulimit -f 0; tokenctl verify").env("LC_ALL", "C"), secret.as_bytes());
    assert_eq!(verified.ok().line(), "valid other");
    let before = everything(&world.store());
    let ran = world.shell("ulimit -f 0; tokenctl create new").exit(1);
    assert!(ran.err.contains("this process may write no file larger than 0 bytes (`ulimit -f`)"), "{ran:?}");
    assert!(before == everything(&world.store()));
}

#[test]
fn an_unknown_time_zone_causes_a_warning() {
    let world = sound();
    let args = ["create", "new", "--expires", "2999-01-01", "--quiet"];
    let ran = run(world.program().env("TZ", "Nowhere/Land").args(args), b"").ok();
    assert!(
        ran.err.contains("the time zone `Nowhere/Land` of `TZ` is not known here; dates were read in UTC"),
        "{ran:?}"
    );
    let known =
        run(world.program().env("TZ", "CET-1CEST").args(["edit", "new", "--expires", "2999-01-02"]), b"");
    assert!(!known.ok().err.contains("TZ"));
}

#[test]
fn a_program_with_the_rights_of_another_user_refuses_to_run() {
    if !is_root() || !have("setpriv") {
        return;
    }
    let world = sound();
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--ruid", "64001"]).arg(crate::support::program_path()).arg("list");
    let ran = run(setpriv.arg("--store").arg(world.store()), b"").exit(2);
    assert!(ran.err.contains("the rights of another user"), "{ran:?}");
}

#[test]
fn a_use_of_a_secret_with_a_huge_row_number_does_not_create_a_huge_file() {
    let world = sound();
    let secret = world.mint("other");
    world.sql("PRAGMA foreign_keys = OFF; UPDATE secret SET row = 1099511627776 WHERE token = 2");
    world.real(&["verify"], secret.as_bytes());
    assert!(fs::metadata(world.store().join("usage.secrets")).expect("the file exists").len() < 1 << 20);
}

#[test]
fn a_truncated_journal_that_tokenctl_wrote_is_accepted() {
    let world = sound();
    let journal = File::create(world.store().join("tokens.db-journal")).expect("the file can be created");
    journal.write_all_at(&[0; 512], 0).expect("the file can be written");
    ask(&world, &["list"]).ok();
}

/// Appends the name of a super-journal to a journal, as SQLite does for a change to several databases: the number of
/// the lock page, the name, its length, the sum of its bytes, and a magic number.
fn name_super_journal(journal: &Path, name: &Path) {
    let name = name.as_os_str().as_encoded_bytes();
    let mut end = vec![0, 0x40, 0, 1];
    end.extend_from_slice(name);
    end.extend_from_slice(&u32::try_from(name.len()).expect("the number is in range").to_be_bytes());
    let sum = name.iter().fold(0u32, |sum, byte| sum.wrapping_add_signed(i32::from(byte.cast_signed())));
    end.extend_from_slice(&sum.to_be_bytes());
    end.extend_from_slice(&[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]);
    let length = fs::metadata(journal).expect("a journal").len();
    let file = File::options().write(true).open(journal).expect("the journal can be opened");
    file.write_all_at(&end, length).expect("the file can be written");
}

#[test]
fn a_planted_super_journal_does_not_delete_a_file() {
    for content in ["precious", ""] {
        let world = sound();
        if !world.kill_at_commit("half", 1) {
            return;
        }
        let victim = world.dir.path().canonicalize().expect("the path exists").join("victim");
        fs::write(&victim, content).expect("the file can be written");
        name_super_journal(&world.store().join("tokens.db-journal"), &victim);
        for args in [&["list"][..], &["create", "next"], &["list"]] {
            world.real(args, b"");
            assert_eq!(fs::read_to_string(&victim).expect("the file still exists"), content, "{args:?}");
        }
    }
}

#[test]
fn a_copy_that_is_still_damaged_after_its_rollback_is_not_read() {
    let world = sound();
    world.multiply("demo", 300);
    if !world.kill_at_commit("half", 1) {
        return;
    }
    ask(&world, &["settings"]).ok();
    let (database, journal) = (world.database(), world.store().join("tokens.db-journal"));
    let (mut bytes, journal) = (
        fs::read(&database).expect("the database can be read"),
        fs::read(journal).expect("the file can be read"),
    );
    let has = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    // A leaf page with copied tokens that the killed writer had not changed.
    let leaf = bytes
        .chunks_mut(4096)
        .find(|page| page[0] == 13 && has(page, b"demo-00000150") && !has(&journal, &page[..64]))
        .expect("there is a leaf");
    leaf[3..8].fill(0xff);
    fs::write(&database, bytes).expect("the database can be written");
    let failure = assert_failure(&ask(&world, &["settings"]), "store_damaged", 6);
    let message = failure["message"].as_str().expect("the message is a string");
    assert!(message.contains("after its journal was rolled back: "), "{failure}");
}

//! `backup`: writes a consistent copy of the store to a file, completely or not at all.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::support::World;

#[test]
fn a_backup_is_private_and_complete_and_prints_the_head_of_the_log() {
    let world = World::with_store();
    world.create("demo", &[]);
    let path = world.path("copy.db");
    let head = world.run(&["audit", "head"]).ok().out;
    let ran = world.run(&["backup", &path]).ok();
    assert_eq!(ran.out, head);
    let meta = fs::metadata(&path).expect("the copy exists");
    assert_eq!(ran.err, format!("backed up to {path} ({} bytes)\n", meta.len()));
    assert_eq!(meta.mode() & 0o7777, 0o600);
    let other = world.directory("other");
    fs::copy(&path, format!("{other}/tokens.db")).expect("the file can be copied");
    assert_eq!(world.run(&["--store", &other, "audit", "head"]).ok().out, head);
    assert_eq!(world.run(&["--store", &other, "list", "--format", "names"]).ok().out, "demo\n");
    assert_eq!(world.run(&["--store", &other, "audit", "verify"]).ok().line(), format!("ok {}", head.trim()));
}

#[test]
fn an_existing_file_is_replaced_only_with_force() {
    let world = World::with_store();
    let path = world.write("copy.db", "mine");
    let refused = world.refuses(&["backup", &path], 5, "not_replaced");
    assert_eq!(refused["message"], format!("`{path}` exists; nothing was changed"));
    assert_eq!(fs::read_to_string(&path).expect("the file can be read"), "mine");
    let document = world.run(&["backup", &path, "--force", "--json"]).ok().json();
    assert_eq!(document["path"], path);
    assert_eq!(document["bytes"], fs::metadata(&path).expect("the copy exists").len());
    let head = world.run(&["audit", "head", "--json"]).ok().json();
    assert_eq!(document["head"], head);
    let keys: Vec<_> = document.as_object().expect("it is an object").keys().collect();
    assert_eq!(keys, ["bytes", "head", "path"]);
}

#[test]
fn a_backup_never_overwrites_the_files_of_the_store() {
    let world = World::with_store();
    let before = world.bytes();
    for name in ["tokens.db", "tokens.db-journal", "usage.secrets"] {
        let path = world.store().join(name);
        let refused =
            world.refuses(&["backup", "--force", path.to_str().expect("the path is UTF-8")], 2, "usage");
        assert_eq!(refused["hint"], "name a file outside of the store's directory");
    }
    assert_eq!(world.bytes(), before);
}

#[test]
fn a_backup_to_stdout_prints_the_head_to_stderr() {
    let world = World::of_processes();
    world.mint("demo");
    let head = world.real(&["audit", "head"], b"").ok().out;
    let copied = world.program().args(["backup", "-"]).output().expect("the command runs");
    assert!(copied.status.success());
    assert_eq!(String::from_utf8_lossy(&copied.stderr), format!("audit head {head}"));
    let path = world.path("copy.db");
    fs::write(&path, copied.stdout).expect("the file can be written");
    let restored = world.directory("restored");
    world.real(&["--store", &restored, "restore", &path, "--yes"], b"").ok();
    assert_eq!(world.real(&["--store", &restored, "audit", "head"], b"").ok().out, head);
    world.refuses(&["backup", "-", "--json"], 2, "usage");
}

#[test]
fn a_backup_that_cannot_be_written_leaves_no_file() {
    let world = World::with_store();
    let missing = world.path("missing/copy.db");
    let failed = world.refuses(&["backup", &missing], 1, "io");
    assert_eq!(
        failed["message"],
        format!("cannot write `{missing}`: No such file or directory (os error 2)")
    );
    world.refuses(&["--store", &world.path("nothing"), "backup", &world.path("x.db")], 6, "store_missing");
    assert!(fs::metadata(world.path("x.db")).is_err());
}

#[test]
fn the_next_backup_removes_the_temporary_file_of_a_killed_one() {
    let world = World::with_store();
    let dir = world.directory("backups");
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3_600);
    let left = |name: &str| {
        let path = format!("{dir}/{name}");
        let file = fs::File::create(&path).expect("the file can be created");
        file.set_modified(old).expect("the time can be set");
        (path, file)
    };
    let (killed, _) = left(".tokenctl-backup-killed");
    let (working, lock) = left(".tokenctl-backup-working");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("the file can be locked");
    let (other, _) = left("tokenctl-backup-other");
    let young = format!("{dir}/.tokenctl-backup-young");
    fs::write(&young, "").expect("the file can be written");
    std::os::unix::fs::symlink(&other, format!("{dir}/.tokenctl-backup-link"))
        .expect("the link can be created");
    world.run(&["backup", &format!("{dir}/copy.db")]).ok();
    assert!(!fs::exists(&killed).expect("the directory can be read"));
    for path in [&working, &other, &young] {
        assert!(fs::exists(path).expect("the directory can be read"), "{path}");
    }
}

#[test]
fn an_incomplete_backup_is_a_failure() {
    let world = World::with_store();
    let ran = world.run_failing(&["backup", "-"], 0, std::io::ErrorKind::BrokenPipe);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("the reader went away before the end"), "{ran:?}");
    let world = World::of_processes();
    world.mint("demo");
    for verb in ["backup -", "export", "export --toml"] {
        let ran = world.shell(&format!("tokenctl {verb} >&-"));
        assert_eq!(ran.code, 1, "{verb}: {ran:?}");
        assert!(ran.err.contains("it is closed, deleted"), "{verb}: {ran:?}");
    }
}

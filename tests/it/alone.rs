//! The program without anything around it: no C library, no devices, no user accounts.

use std::fs;
use std::process::Command;

use crate::support::{World, copy_program, have, run, uid};

#[test]
fn the_program_works_in_an_otherwise_empty_root_directory() {
    if uid() != 0 || !have("chroot") {
        eprintln!("skipped: only root can change the root directory");
        return;
    }
    let world = World::new();
    let root = world.dir.path().join("root");
    fs::create_dir(&root).expect("the directory can be created");
    copy_program(&root.join("tokenctl"));
    let at = |args: &[&str], input: &[u8]| {
        let mut chroot = Command::new("chroot");
        chroot.arg(&root).args(["/tokenctl", "--store", "/store"]).env_clear();
        run(chroot.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").args(args), input).ok().line().to_owned()
    };
    let secret = at(&["create", "demo"], b"");
    assert_eq!(at(&["verify"], secret.as_bytes()), "valid demo");
    let secret = at(&["rotate", "demo", "--yes"], secret.as_bytes());
    assert_eq!(at(&["verify"], secret.as_bytes()), "valid demo");
    let log = at(&["audit"], b"");
    assert!(log.lines().last().is_some_and(|entry| entry.contains("\tuid:0")), "{log}");
    let mut left: Vec<_> =
        fs::read_dir(&root).expect("the directory can be read").map(|it| it.expect("an entry")).collect();
    left.sort_by_key(|entry| entry.file_name());
    assert_eq!(left.iter().map(|entry| entry.file_name()).collect::<Vec<_>>(), ["store", "tokenctl"]);
}

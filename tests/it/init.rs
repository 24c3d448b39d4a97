//! Tests of `init`, which creates a store or shares it with a group.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::json;

use crate::support::{World, have, program_path, run};

/// The modes of the store's directory and files, by name.
fn modes(world: &World) -> Vec<(String, u32)> {
    let mode = |path: &Path| path.symlink_metadata().unwrap().mode() & 0o7777;
    let files = std::fs::read_dir(world.store()).unwrap().map(|entry| entry.unwrap().path());
    let mut modes: Vec<_> =
        files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), mode(&path))).collect();
    modes.push((".".to_owned(), mode(&world.store())));
    modes.sort();
    modes
}

fn expected(directory: u32, database: u32, usage: u32) -> Vec<(String, u32)> {
    let all = [
        (".", directory),
        ("tokens.db", database),
        ("usage.refused", usage),
        ("usage.scopes", usage),
        ("usage.secrets", usage),
    ];
    all.map(|(name, mode)| (name.to_owned(), mode)).to_vec()
}

#[test]
fn a_store_is_created_once() {
    let world = World::new();
    let path = world.dir.path().canonicalize().unwrap().join("store").display().to_string();
    let ran = world.run(&["init", "--reason", "new host"]).ok();
    assert_eq!((&*ran.out, ran.err), ("", format!("created a new store at {path}\n")));
    assert_eq!(modes(&world), expected(0o700, 0o600, 0o600));
    let log = world.run(&["audit", "--json"]).ok().json();
    assert_eq!(log[0]["reason"], "new host");
    let before = world.bytes();
    let again = world.run(&["init"]).ok();
    assert_eq!((&*again.out, again.err), ("", format!("there is already a store at {path}\n")));
    let document = world.run(&["init", "--json"]).ok().json();
    assert_eq!(document, json!({"path": path, "group": null, "changed": false}));
    assert!(world.bytes() == before);
    let other = World::new();
    assert_eq!(other.run(&["init", "--json"]).ok().json()["changed"], true);
}

#[test]
fn the_permissions_of_a_store_do_not_depend_on_the_umask() {
    for umask in ["000", "777", "077"] {
        let world = World::new();
        let gid = world.dir.path().metadata().unwrap().gid();
        let shell = |arguments: &str| {
            let script = format!("umask {umask}; exec {} {arguments}", program_path().display());
            run(
                std::process::Command::new("sh").args(["-c", &script]).env("TOKENCTL_STORE", world.store()),
                b"",
            )
        };
        shell("init").ok();
        assert_eq!(modes(&world), expected(0o700, 0o600, 0o600), "{umask}");
        std::fs::remove_dir_all(world.store()).unwrap();
        shell(&format!("init --group {gid}")).ok();
        assert_eq!(modes(&world), expected(0o2750, 0o640, 0o660), "{umask}");
    }
}

#[test]
fn a_group_can_read_the_store_and_record_uses() {
    let world = World::new();
    let gid = world.dir.path().metadata().unwrap().gid().to_string();
    let document = world.run(&["init", "--group", &gid, "--json"]).ok().json();
    assert_eq!((&document["group"], &document["changed"]), (&json!(gid), &json!(true)));
    assert_eq!(modes(&world), expected(0o2750, 0o640, 0o660));
    let secret = world.create("demo", &[]);
    world.verify(&secret, &[]);
    assert_eq!(modes(&world), expected(0o2750, 0o640, 0o660));
    let again = world.run(&["init", "--group", &gid, "--json"]).ok().json();
    assert_eq!(again["changed"], false);

    let private = World::with_store();
    let shared = private.run(&["init", "--group", &gid, "--json"]).ok().json();
    assert_eq!(shared["changed"], true);
    assert_eq!(modes(&private), expected(0o2750, 0o640, 0o660));
    private.run(&["init"]).ok();
    assert_eq!(modes(&private), expected(0o2750, 0o640, 0o660));
}

#[test]
fn an_existing_directory_keeps_its_mode_unless_the_store_is_shared() {
    let group = rustix::process::getgid().as_raw().to_string();
    for (args, expected) in [(&["init"][..], 0o755), (&["init", "--group", &group], 0o2750)] {
        let world = World::new();
        std::fs::create_dir(world.store()).unwrap();
        std::fs::set_permissions(world.store(), Permissions::from_mode(0o755)).unwrap();
        world.run(args).ok();
        assert_eq!(modes(&world)[0], (".".to_owned(), expected), "{args:?}");
    }
}

#[test]
fn sharing_with_a_group_is_recorded_once() {
    let world = World::with_store();
    let gid = world.dir.path().metadata().unwrap().gid();
    let before = world.actions().len();
    world.run(&["init", "--group", &gid.to_string()]).ok();
    let event = world.last_event();
    assert_eq!((&event["action"], world.actions().len()), (&json!("settings"), before + 1));
    let change = json!([{"field": "sharing", "from": "private", "to": format!("group:{gid}")}]);
    assert_eq!(event["changes"], change);
    let bytes = world.bytes();
    let again = world.run(&["init", "--group", &gid.to_string(), "--json"]).ok().json();
    assert_eq!((&again["changed"], world.bytes() == bytes), (&json!(false), true));
    // If somebody has changed the modes, they are set again, but this is not recorded.
    std::fs::set_permissions(world.database(), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(world.run(&["init", "--group", &gid.to_string(), "--json"]).ok().json()["changed"], true);
    assert_eq!((modes(&world), world.actions().len()), (expected(0o2750, 0o640, 0o660), before + 1));
}

#[test]
fn a_missing_usage_file_is_created_again_with_the_same_permissions() {
    let world = World::new();
    let gid = world.dir.path().metadata().unwrap().gid().to_string();
    world.run(&["init", "--group", &gid]).ok();
    for file in ["usage.refused", "usage.scopes", "usage.secrets"] {
        std::fs::remove_file(world.store().join(file)).unwrap();
    }
    // The mode of the directory does not show that the store is shared.
    std::fs::set_permissions(world.store(), std::fs::Permissions::from_mode(0o750)).unwrap();
    world.create("demo", &[]);
    assert_eq!(modes(&world), expected(0o750, 0o640, 0o660));
}

#[test]
fn a_directory_that_is_not_a_store_is_left_alone() {
    let world = World::new();
    world.refuses(&["init", "--group", "no-such-group"], 2, "usage");
    world.refuses(&["init", "--group", ""], 2, "usage");
    world.refuses(&["init", "--group", "a\nEVIL"], 2, "usage");
    world.refuses(&["init", "extra"], 2, "usage");
    world.refuses(&["--store", "", "init"], 2, "usage");
    assert!(!world.store().exists());
    std::fs::create_dir(world.store()).unwrap();
    for junk in [&b""[..], b"not a database, but long enough to have a header of a hundred bytes. xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"] {
        std::fs::write(world.database(), junk).unwrap();
        world.refuses(&["init"], 6, "store_foreign");
        world.refuses(&["create", "demo"], 6, "store_foreign");
    }
}

#[test]
fn other_verbs_do_not_create_a_missing_store() {
    let world = World::new();
    let verbs: [&[&str]; 11] = [
        &["list"],
        &["show", "a"],
        &["rename", "a", "b"],
        &["edit", "a", "--owner", "x"],
        &["scopes", "list"],
        &["disable", "a"],
        &["enable", "a"],
        &["revoke", "a", "-y"],
        &["audit"],
        &["settings"],
        &["settings", "grace", "1h"],
    ];
    for args in verbs {
        let failure = world.refuses(args, 6, "store_missing");
        assert_eq!(
            failure["hint"],
            "create one with `tokenctl init`, or with the first `tokenctl create` or `tokenctl scopes define`"
        );
    }
    assert!(!world.store().exists());
}

#[test]
fn no_store_is_created_below_a_directory_that_others_can_write() {
    let world = World::new();
    let open = open_directory(&world);
    let below = format!("{open}/store");
    for verb in [&["init"][..], &["create", "a"]] {
        world.refuses(&[&["--store", &below], verb].concat(), 6, "store_unsafe");
    }
    assert_eq!(std::fs::read_dir(open).unwrap().count(), 0);
}

#[test]
fn no_store_is_created_in_a_directory_that_others_can_write() {
    let world = World::new();
    let open = open_directory(&world);
    for verb in [&["init"][..], &["create", "a"]] {
        world.refuses(&[&["--store", &open], verb].concat(), 6, "store_unsafe");
        assert_eq!(std::fs::read_dir(&open).unwrap().count(), 0, "{verb:?}");
    }
}

fn open_directory(world: &World) -> String {
    let open = world.dir.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    open.display().to_string()
}

#[test]
fn a_path_that_cannot_have_a_store_has_another_error_code_than_a_full_disk() {
    if !have("strace") || !have("bash") {
        return;
    }
    let world = World::of_processes();
    world.directory("out");
    for (error, code, exit) in
        [("EROFS", "store_read_only", 6), ("EACCES", "store_missing", 6), ("ENOSPC", "io", 1)]
    {
        let ran = world.injected(&format!("mkdir:error={error}"), "init --json --store out/store");
        assert_eq!(ran.exit(exit).failure()["code"], code, "{error}");
    }
}

#[test]
fn each_store_has_another_random_id() {
    let id = || -> String {
        let conn = rusqlite::Connection::open(World::with_store().database()).unwrap();
        let sql = "SELECT value FROM setting WHERE key = 'store-id'";
        conn.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let (one, other) = (id(), id());
    assert_ne!(one, other);
    let lengths: Vec<_> = one.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12], "{one}");
}

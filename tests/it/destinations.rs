//! Files as destinations: which files are refused, which attributes a replaced file keeps, and unusual file systems.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use crate::support::{MINUTE, Ran, World, have, run};

fn chmod(path: &str, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the mode can be set");
}

fn trimmed(path: &str) -> String {
    fs::read_to_string(path).expect("the file can be read").trim_end().trim_start_matches("A=").to_owned()
}

/// Fails unless a path is refused as a destination, for a new token and for `demo`, as a file and as an env file.
/// Returns the last message.
#[track_caller]
fn assert_refused_as_destination(world: &World, target: &str) -> String {
    let mut message = String::new();
    for verb in [["create", "new"], ["rotate", "demo"]] {
        for destination in [&["--out", target][..], &["--env-file", target, "--env-name", "A"]] {
            let failure = world.refuses(&[&verb, destination].concat(), 7, "delivery_failed");
            failure["message"].as_str().expect("the message is a string").clone_into(&mut message);
            assert!(message.ends_with("nothing was changed"), "{message}");
        }
    }
    message
}

#[test]
fn a_directory_that_another_user_owns_or_could_replace_is_refused() {
    let world = World::new();
    if world.uid != 0 {
        println!("skipped: only root can give files away");
        return;
    }
    world.create("demo", &[]);
    let theirs = world.directory("theirs");
    let in_theirs = world.write("theirs/file", "");
    let below = world.directory("theirs/ours");
    let open = world.directory("open");
    let in_open = world.directory("open/ours");
    let empty = world.write("empty", "");
    for path in [&theirs, &in_theirs, &empty] {
        chown(path, Some(64_001), Some(64_001)).expect("the owner can be set");
    }
    chmod(&open, 0o777);
    for target in [&in_theirs, &format!("{theirs}/new"), &format!("{below}/new")] {
        assert!(assert_refused_as_destination(&world, target).contains("belongs to uid 64001"), "{target}");
    }
    assert!(
        assert_refused_as_destination(&world, &format!("{in_open}/new")).contains("replace what is below it")
    );
    let message = assert_refused_as_destination(&world, &empty);
    assert!(
        message.contains("belongs to uid 64001 and does not contain a secret of this token yet"),
        "{message}"
    );
    world.run(&["rotate", "demo", "--out", &empty, "--force"]).exit(7);
    for dir in [&theirs, &below, &in_open] {
        world.refuses(&["rotate", "--due", "--out-dir", dir], 7, "delivery_failed");
    }
}

#[test]
fn a_file_in_the_store_is_refused_as_a_destination() {
    let world = World::new();
    world.create("demo", &[]);
    for name in ["tokens.db-journal", "usage.scopes", "new"] {
        let path = world.store().join(name);
        let message = assert_refused_as_destination(&world, path.to_str().expect("the path is UTF-8"));
        assert!(message.contains("the store's own"), "{message}");
    }
    let dir = world.store();
    world.run(&["rotate", "--due", "--out-dir", dir.to_str().expect("the path is UTF-8")]).exit(7);
}

#[test]
fn a_dash_is_not_accepted_as_a_file_name() {
    let world = World::new();
    for destination in [&["--out", "-"][..], &["--env-file", "-", "--env-name", "A"]] {
        let failure = world.refuses(&[&["create", "demo"], destination].concat(), 2, "usage");
        assert_eq!(failure["hint"], "without a destination the secret goes to standard output");
    }
    assert!(!world.store().exists() && !std::path::Path::new("-").exists());
}

#[test]
fn an_access_control_list_and_other_attributes_are_kept() {
    if !have("setfacl") || !have("getfacl") || !have("getfattr") || !have("bash") {
        return;
    }
    let world = World::of_processes();
    let state = "getfacl -n secret; getfattr -n user.note secret";
    world.shell("mkdir -m 700 out && cd out && tokenctl create demo --out secret && tokenctl create e --env-file env --env-name A").ok();
    for (name, args) in
        [("secret", "rotate demo --out secret"), ("env", "rotate e --env-file env --env-name A")]
    {
        let state = state.replace("secret", name);
        let script = format!(
            "cd out && setfacl -m u:64001:r,g::-,g:64010:r {name} && setfattr -n user.note -v mine {name} && {state}"
        );
        let before = world.shell(&script).ok().out;
        assert!(before.contains("user:64001:r--") && before.contains("user.note=\"mine\""), "{before}");
        world.shell(&format!("cd out && tokenctl {args}")).ok();
        assert_eq!(world.shell(&format!("cd out && {state}")).ok().out, before, "{name}");
    }
    // An access control list that a new file inherits from its directory does not give anybody access.
    world
        .shell("cd out && tokenctl create plain --out plain && chmod 640 plain && setfacl -d -m u:64001:r .")
        .ok();
    let list = "cd out && getfacl -n plain new";
    world.shell("cd out && tokenctl rotate plain --out plain && tokenctl create new --out new").ok();
    let after = world.shell(list).ok().out;
    let (plain, new) = after.split_once("# file: new").expect("two files");
    assert!(!plain.contains("64001"), "{plain}");
    assert!(new.contains("mask::---"), "{new}");
    // A file that has its own access control list keeps it.
    let listed = || world.shell("cd out && getfacl -n secret").ok().out;
    let before = listed();
    world.shell("cd out && tokenctl rotate demo --out secret").ok();
    assert_eq!(listed(), before);
}

#[test]
fn a_file_that_is_a_mount_point_is_refused_with_a_hint() {
    if !have("unshare") || !have("bash") {
        return;
    }
    let world = World::of_processes();
    let mount = "touch file mounted && chmod 600 file mounted && mount --bind file mounted";
    if world.shell(&format!("unshare -m bash -c '{mount}'")).code != 0 {
        println!("skipped: mounting is not allowed here");
        return;
    }
    let script = format!("unshare -m bash -c '{mount} && tokenctl create demo --out mounted'");
    let ran = world.shell(&script).exit(7);
    assert!(ran.err.contains("it is mounted as a single file"), "{}", ran.err);
    assert!(ran.err.contains("hint: mount its directory instead"), "{}", ran.err);
    world.real(&["show", "demo"], b"").exit(4);
}

#[test]
fn an_append_only_directory_is_refused_before_anything_changes() {
    if !have("chattr") || !have("bash") {
        return;
    }
    let world = World::of_processes();
    if world.shell("mkdir -m 700 log && chattr +a log").code != 0 {
        println!("skipped: `chattr +a` does not work here");
        return;
    }
    let ran = world.shell("tokenctl create demo --out log/secret");
    let left = world.shell("ls -A log; chattr -a log").ok().out;
    assert!(ran.exit(7).err.contains("nothing can be renamed in its directory"));
    assert_eq!(left, "");
}

#[test]
fn a_rename_that_fails_with_ebusy_gets_the_hint_about_mounts() {
    if !have("strace") || !have("bash") {
        return;
    }
    let world = World::of_processes();
    world.directory("out");
    world.shell("tokenctl create demo --out out/secret").ok();
    let old = trimmed(&world.path("out/secret"));
    for (error, advice) in [("EBUSY", true), ("EIO", false)] {
        let ran = world.injected(&format!("rename:error={error}"), "rotate demo --out out/secret").exit(7);
        assert_eq!(ran.err.contains("hint: mount its directory instead"), advice, "{error}: {}", ran.err);
        assert_eq!(trimmed(&world.path("out/secret")), old);
    }
    assert_eq!(world.shell("ls -A out").ok().out, "secret\n");
}

#[test]
fn a_name_that_is_too_long_is_refused_before_anything_changes() {
    let world = World::of_processes();
    let dir = world.directory("out");
    let path = format!("{dir}/{}", "x".repeat(256));
    let before = world.actions();
    let ran = world.real(&["create", "demo", "--out", &path], b"").exit(7);
    assert!(ran.err.contains("File name too long"), "{}", ran.err);
    world.at_real_time(0);
    assert_eq!(world.actions(), before);
}

#[test]
fn a_hard_link_is_used_on_file_systems_without_renameat2() {
    if !have("strace") || !have("bash") {
        return;
    }
    for error in ["EINVAL", "ENOSYS", "EOPNOTSUPP"] {
        let world = World::of_processes();
        world.directory("out");
        world.injected(&format!("renameat2:error={error}"), "create demo --out out/secret").ok();
        let secret = trimmed(&world.path("out/secret"));
        assert_eq!(world.real(&["verify"], secret.as_bytes()).ok().line(), "valid demo");
        assert_eq!(world.shell("ls -A out").ok().out, "secret\n", "{error}");
    }
}

/// Creates a token on a file system without `renameat2`. strace injects the fault into the removal of the temporary name.
fn create_with_a_fault_after_the_link(fault: &str) -> (World, Ran) {
    let run_in = |world: &World, inject: &str| {
        world.directory("out");
        let script = format!(
            "exec strace -o log -e trace=renameat2,unlink -e inject=renameat2:error=EINVAL {inject} \
             tokenctl create demo --out out/secret"
        );
        run(&mut world.bash(&script), b"")
    };
    let first = World::of_processes();
    run_in(&first, "").ok();
    let log = fs::read_to_string(first.path("log")).expect("the file can be read");
    let mut unlinks = log.lines().filter(|line| line.starts_with("unlink("));
    let nth = 1 + unlinks.position(|line| line.contains("/.tokenctl-")).expect("there is an unlink");
    let world = World::of_processes();
    let ran = run_in(&world, &format!("-e inject=unlink:{fault}:when={nth}"));
    assert_eq!(world.shell("ls -A out | wc -l").ok().line(), "2");
    (world, ran)
}

#[test]
fn a_delivery_that_was_killed_between_link_and_unlink_is_confirmed_by_recovery() {
    if !have("strace") || !have("bash") {
        return;
    }
    let (world, ran) = create_with_a_fault_after_the_link("signal=SIGKILL");
    assert_eq!(ran.code, -1);
    let secret = trimmed(&world.path("out/secret"));
    world.at_real_time(11 * MINUTE);
    world.run(&["settings", "grace", "2h"]).ok();
    assert_eq!(world.show("demo")["status"], "active");
    world.assert_valid(&secret, "demo");
    assert_eq!(world.shell("ls -A out").ok().out, "secret\n");
}

#[test]
fn a_file_in_place_is_delivered_even_if_its_temporary_name_cannot_be_removed() {
    if !have("strace") || !have("bash") {
        return;
    }
    let (world, ran) = create_with_a_fault_after_the_link("error=EIO");
    ran.ok();
    world.at_real_time(16 * MINUTE);
    world.assert_valid(&trimmed(&world.path("out/secret")), "demo");
    // After a rotation, only the name that is left holds the old secret, and the next delivery removes it.
    world.run(&["rotate", "demo", "--now"]).ok();
    world.run(&["create", "other", "--out", &world.path("out/other")]).ok();
    assert_eq!(world.shell("ls -A out").ok().out, "other\nsecret\n");
}

#[test]
fn a_delivery_succeeds_if_the_file_system_cannot_sync_directories() {
    if !have("strace") || !have("bash") {
        return;
    }
    for error in ["EINVAL", "EBADF", "ENOSYS", "EOPNOTSUPP"] {
        let world = World::of_processes();
        world.directory("out");
        let ran = world.injected(&format!("fsync:error={error}"), "create demo --out out/secret").ok();
        assert!(!ran.err.contains("synced"), "{}", ran.err);
        assert_eq!(world.look_at("demo")["status"], "active", "{error}");
    }
}

#[test]
fn after_a_failed_sync_both_secrets_work_until_recovery_has_synced_the_directory() {
    if !have("strace") || !have("bash") {
        return;
    }
    let world = World::of_processes();
    world.directory("out");
    world.shell("tokenctl create demo --grace 3h --out out/secret").ok();
    let old = trimmed(&world.path("out/secret"));
    let ran = world.injected("fsync:error=EIO", "rotate demo --out out/secret").exit(1);
    assert!(ran.err.contains("the new secret is in place and works"), "{}", ran.err);
    let new = trimmed(&world.path("out/secret"));
    let roles = |world: &World| -> Vec<String> {
        let secrets = world.show("demo")["secrets"].as_array().expect("`secrets` is an array").clone();
        secrets.iter().map(|it| it["role"].as_str().expect("the role is a string").to_owned()).collect()
    };
    world.at_real_time(0);
    assert_eq!(roles(&world), ["current", "provisional"]);
    world.at_real_time(11 * MINUTE);
    for secret in [&old, &new] {
        assert_eq!(world.verify(secret, &[]).0, 0);
    }
    world.run(&["settings", "grace", "2h"]).ok();
    assert_eq!(roles(&world), ["previous", "current"]);
    assert_eq!(world.verify(&old, &[]), (0, "valid demo previous".to_owned()));
}

#[test]
fn stdout_is_refused_if_it_discards_the_secret_or_is_a_file_of_the_store() {
    if !have("bash") {
        return;
    }
    let world = World::of_processes();
    for place in [">/dev/zero", ">>store/tokens.db", "3>gone 1>&3; rm gone; exec tokenctl create demo"] {
        let before = world.bytes();
        let script = if place.contains("gone") {
            format!("exec {place}")
        } else {
            format!("tokenctl create demo {place}")
        };
        let ran = world.shell(&script).exit(7);
        assert!(ran.err.contains("nothing was changed"), "{place}: {}", ran.err);
        assert!(world.bytes() == before, "{place} changed the store");
    }
}

#[test]
fn an_incomplete_document_is_an_error_but_a_missing_newline_is_not() {
    if !have("strace") || !have("bash") {
        return;
    }
    let world = World::of_processes();
    let taken = fs::canonicalize(world.write("taken", "")).expect("the path exists");
    let taken = taken.display();
    for (args, code) in [("create plain", 0), ("create document --json", 1)] {
        let script = format!(
            "exec strace -f -o log -P {taken} -e trace=write -e inject=write:error=EIO:when=2+ \
             tokenctl {args} >{taken}"
        );
        let ran = run(&mut world.bash(&script), b"").exit(code);
        let cut = ran.err.contains("the secret is delivered and valid, but the output was cut");
        assert_eq!(cut, code == 1, "{}", ran.err);
    }
}

#[test]
fn a_warning_is_printed_if_everybody_can_read_the_file_with_the_secret() {
    if !have("bash") {
        return;
    }
    let world = World::of_processes();
    let open = world.shell("umask 022; tokenctl create demo --quiet >open").ok();
    assert!(
        open.err.contains("everybody can read the secret in `") && open.err.contains("chmod 600"),
        "{open:?}"
    );
    assert_eq!(world.shell("umask 077; tokenctl create other --quiet >private").ok().err, "");
}

#[test]
fn a_command_succeeds_even_if_the_parent_ignores_sigchld() {
    if !have("env") || !have("bash") {
        return;
    }
    let world = World::of_processes();
    world.shell("env --ignore-signal=CHLD tokenctl create demo --exec 'cat >got'").ok();
    assert_eq!(world.real(&["verify"], trimmed(&world.path("got")).as_bytes()).ok().line(), "valid demo");
}

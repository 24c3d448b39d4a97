//! Tests what members of a store's group can do (verify, but not change) and what all other users can do (nothing).
//!
//! The tests use user ids that have no account, so that the machine need not be changed.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::processes::{assert_failure, finished, mode, until};
use crate::support::{Ran, World, copy_program, have, uid, write_program};

const ADMIN: u32 = 64_001;
const MEMBER: u32 = 64_002;
const STRANGER: u32 = 64_003;
const GROUP: u32 = 64_010;

/// A store of `ADMIN` that is shared with `GROUP`, and a copy of the program that all users can run.
struct Shared {
    dir: TempDir,
    program: PathBuf,
}

impl Shared {
    /// Returns `None` if the tests cannot switch to another user.
    fn new() -> Option<Self> {
        if uid() != 0 {
            eprintln!("skipped: only root can switch to other users");
            return None;
        }
        if !have("setpriv") {
            return None;
        }
        let dir = World::new().dir;
        let program = dir.path().join("tokenctl");
        copy_program(&program);
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("the mode can be set");
        let home = dir.path().join("home");
        fs::create_dir(&home).expect("the directory can be created");
        fs::set_permissions(&home, Permissions::from_mode(0o755)).expect("the mode can be set");
        chown(&home, Some(ADMIN), Some(ADMIN)).expect("the owner can be set");
        Some(Self { dir, program })
    }

    /// Like [`Shared::new`], but with a token in the store. Also returns its secret.
    fn with_token() -> Option<(Self, String)> {
        let it = Self::new()?;
        it.run(ADMIN, &["init", "--group", &GROUP.to_string()], "").ok();
        let secret = it.run(ADMIN, &["create", "demo"], "").ok().line().to_owned();
        Some((it, secret))
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("home/store")
    }

    /// A command of this user. `MEMBER` is in the group, and so is `ADMIN`, because only a member can give files to the
    /// group.
    fn command(&self, uid: u32, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("TOKENCTL_STORE", self.store()).args(["--reuid", &uid.to_string()]);
        command.args(["--regid", &uid.to_string()]);
        if uid == STRANGER {
            command.arg("--clear-groups");
        } else {
            command.args(["--groups", &GROUP.to_string()]);
        }
        command.arg(program).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    #[track_caller]
    fn run(&self, uid: u32, args: &[&str], input: &str) -> Ran {
        let mut command = self.command(uid, self.program.to_str().expect("the path is UTF-8"));
        let mut child = command.args(args).spawn().expect("the program starts");
        let _ = child.stdin.take().expect("stdin is a pipe").write_all(input.as_bytes());
        finished(child)
    }

    /// The path, the mode and the content of every file in the store.
    fn bytes(&self) -> Vec<(PathBuf, u32, Vec<u8>)> {
        let mut all: Vec<_> = fs::read_dir(self.store())
            .expect("the directory can be read")
            .map(|entry| entry.expect("the entry can be read").path())
            .map(|path| (path.clone(), mode(&path), fs::read(&path).expect("the file can be read")))
            .collect();
        all.sort();
        all
    }
}

/// Commands that change the store.
const CHANGES: [&[&str]; 10] = [
    &["create", "mine"],
    &["adopt", "mine"],
    &["rename", "demo", "mine"],
    &["edit", "demo", "--owner", "mallory"],
    &["disable", "demo"],
    &["enable", "off"],
    &["revoke", "demo", "--yes"],
    &["rotate", "demo"],
    &["scopes", "define", "admin"],
    &["settings", "prefix", "evil"],
];

const ADOPTED: &str = "a-secret-of-mallory-that-is-long-enough-6iFQ2b";

#[test]
fn a_shared_store_has_group_permissions() {
    let Some((shared, _)) = Shared::with_token() else { return };
    let modes =
        |names: &[&str]| names.iter().map(|name| mode(&shared.store().join(name))).collect::<Vec<_>>();
    let files = ["", "tokens.db", "usage.secrets", "usage.scopes", "usage.refused"];
    assert_eq!(modes(&files), [0o2750, 0o640, 0o660, 0o660, 0o660]);
    for path in files {
        let meta = fs::metadata(shared.store().join(path)).expect("the file exists");
        assert_eq!(std::os::unix::fs::MetadataExt::gid(&meta), GROUP, "{path}");
    }
    // A store that is shared later has the same modes.
    let Some(later) = Shared::new() else { return };
    later.run(ADMIN, &["init"], "").ok();
    assert_eq!(mode(&later.store()), 0o700);
    later.run(MEMBER, &["list"], "").exit(6);
    later.run(ADMIN, &["init", "--group", &GROUP.to_string()], "").ok();
    assert_eq!(later.bytes().iter().map(|it| it.1).collect::<Vec<_>>(), [0o640, 0o660, 0o660, 0o660]);
    later.run(MEMBER, &["list"], "").ok();
}

#[test]
fn a_member_can_verify_and_the_use_is_recorded() {
    let Some((shared, secret)) = Shared::with_token() else { return };
    let last_use = |uid| shared.run(uid, &["show", "demo", "--json"], "").ok().json()["last_used_at"].clone();
    assert_eq!(last_use(ADMIN), Value::Null);
    assert_eq!(shared.run(MEMBER, &["list", "--format", "names"], "").ok().out, "demo\n");
    shared.run(MEMBER, &["audit", "verify"], "").ok();
    shared.run(MEMBER, &["doctor"], "").ok();
    assert_eq!(last_use(MEMBER), Value::Null);
    assert_eq!(shared.run(MEMBER, &["verify"], &secret).ok().line(), "valid demo");
    assert!(last_use(MEMBER).is_string(), "the use was not recorded");
    assert_eq!(last_use(ADMIN), last_use(MEMBER));
}

#[test]
fn a_member_cannot_change_anything() {
    let Some((shared, secret)) = Shared::with_token() else { return };
    shared.run(ADMIN, &["create", "off"], "").ok();
    shared.run(ADMIN, &["disable", "off"], "").ok();
    let before = shared.bytes();
    for args in CHANGES {
        let ran = shared.run(MEMBER, &[args, &["--json"]].concat(), ADOPTED);
        let failure = assert_failure(&ran, "store_read_only", 6);
        assert_eq!(
            failure["hint"],
            "run the command as the owner of the store: `sudo -u '#64001' tokenctl …`"
        );
        assert!(before == shared.bytes(), "{args:?}");
    }
    assert_eq!(shared.run(ADMIN, &["verify"], &secret).ok().line(), "valid demo");
    assert_eq!(shared.run(ADMIN, &["verify"], ADOPTED).exit(3).line(), "unknown");
    shared.run(ADMIN, &["doctor"], "").ok();
}

#[test]
fn other_users_have_no_access() {
    let Some((shared, secret)) = Shared::with_token() else { return };
    let before = shared.bytes();
    let reads: [&[&str]; 8] = [
        &["list"],
        &["show", "demo"],
        &["verify"],
        &["audit"],
        &["audit", "verify"],
        &["doctor"],
        &["settings"],
        &["scopes", "list"],
    ];
    for args in reads.iter().chain(&CHANGES) {
        let ran = shared.run(STRANGER, &[args, &["--json"][..]].concat(), &secret);
        assert_failure(&ran, "store_unreadable", 6);
        assert!(before == shared.bytes(), "{args:?}");
    }
}

#[test]
fn the_error_about_a_database_that_a_user_cannot_read_contains_the_reason() {
    let Some((shared, secret)) = Shared::with_token() else { return };
    fs::set_permissions(shared.store(), Permissions::from_mode(0o755)).expect("the mode can be set");
    let ran = shared.run(STRANGER, &["verify", "--json"], &secret);
    let failure = assert_failure(&ran, "store_unreadable", 6);
    assert!(failure["message"].as_str().is_some_and(|it| it.contains("Permission denied")), "{failure}");
}

#[test]
fn a_member_can_verify_even_if_the_use_cannot_be_recorded() {
    let Some((shared, secret)) = Shared::with_token() else { return };
    for name in ["usage.secrets", "usage.scopes", "usage.refused"] {
        fs::set_permissions(shared.store().join(name), Permissions::from_mode(0o640))
            .expect("the mode can be set");
    }
    let before = shared.bytes();
    let ran = shared.run(MEMBER, &["verify"], &secret).ok();
    assert_eq!((ran.line(), ran.err.as_str()), ("valid demo", ""));
    assert!(before == shared.bytes());
}

#[test]
fn the_use_of_an_old_secret_is_reported_to_the_administrator() {
    let Some((shared, old)) = Shared::with_token() else { return };
    let admin = |args: &[&str]| shared.run(ADMIN, args, "").ok().line().to_owned();
    let current = admin(&["rotate", "demo", "--grace", "0s"]);
    let revoked = admin(&["create", "gone"]);
    let expired = admin(&["create", "short", "--ttl", "1s"]);
    admin(&["revoke", "gone", "--yes"]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    let old_secrets = [(&old, "superseded demo"), (&revoked, "revoked gone"), (&expired, "expired short")];
    let present = || {
        for (secret, answer) in old_secrets {
            let ran = shared.run(MEMBER, &["verify"], secret).exit(3);
            assert_eq!((ran.line(), ran.err.as_str()), (answer, ""));
        }
    };
    let refused = |name: &str| {
        let shown = shared.run(ADMIN, &["show", name, "--json"], "").ok().json();
        shown["secrets"][0]["refused_at"].clone()
    };
    let found = || {
        let ran = shared.run(ADMIN, &["check", "--only", "refused_in_use", "--json"], "");
        let findings = ran.json()["findings"].as_array().expect("`findings` is an array").clone();
        findings
            .iter()
            .map(|it| it["message"].as_str().expect("the message is a string").to_owned())
            .collect::<Vec<_>>()
    };
    // A user without write permission for this file can still do everything else.
    let file = shared.store().join("usage.refused");
    fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("the mode can be set");
    present();
    assert_eq!(found(), Vec::<String>::new());
    assert_eq!(shared.run(MEMBER, &["verify"], &current).ok().line(), "valid demo");
    let shown = shared.run(ADMIN, &["show", "demo", "--json"], "").ok().json();
    assert!(shown["last_used_at"].is_string(), "{shown}");

    fs::set_permissions(&file, Permissions::from_mode(0o660)).expect("the mode can be set");
    present();
    for (name, why) in [("demo", "superseded"), ("gone", "revoked"), ("short", "expired")] {
        assert!(refused(name).is_string(), "{name}");
        let page = shared.run(ADMIN, &["show", name], "").ok().out;
        assert!(page.contains("refused ") && page.contains(&format!("({why})")), "{page}");
    }
    let found = found();
    assert_eq!(found.len(), 3, "{found:?}");
    for (finding, (name, why)) in
        found.iter().zip([("demo", "superseded"), ("gone", "revoked"), ("short", "expired")])
    {
        let start = format!("a client presented the {why} secret ");
        assert!(finding.starts_with(&start) && finding.contains(&format!(" of `{name}` ")), "{finding}");
    }
}

#[test]
fn a_member_can_verify_while_the_administrator_changes_the_store() {
    let Some((shared, secret)) = Shared::with_token() else { return };
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let shared = &shared;
                scope.spawn(move || {
                    for n in 0..20 {
                        shared.run(ADMIN, &["create", &format!("w{writer}-{n}")], "").ok();
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut answers = 0;
            while !done.load(Ordering::Relaxed) {
                assert_eq!(shared.run(MEMBER, &["verify"], &secret).ok().line(), "valid demo");
                answers += 1;
            }
            answers
        });
        let wrote: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().expect("the thread does not panic") > 0);
        assert!(wrote.iter().all(Result::is_ok));
    });
    shared.run(MEMBER, &["audit", "verify"], "").ok();
}

#[test]
fn a_member_can_verify_after_a_writer_was_killed() {
    let Some((shared, secret)) = Shared::with_token() else { return };
    if !have("strace") {
        return;
    }
    let killed = finished(
        shared
            .command(ADMIN, "strace")
            .args([
                "-f",
                "-o",
                "/dev/null",
                "-e",
                "trace=unlink",
                "-e",
                "inject=unlink:signal=SIGKILL:when=1",
            ])
            .arg(&shared.program)
            .args(["create", "half"])
            .spawn()
            .expect("strace starts"),
    );
    let journal = shared.store().join("tokens.db-journal");
    assert!(
        killed.code == -1 && journal.exists(),
        "the command was not killed during its commit: {killed:?}"
    );
    let before = shared.bytes();
    assert_eq!(shared.run(MEMBER, &["verify"], "nobody-knows-this-secret").exit(3).line(), "unknown");
    assert_eq!(shared.run(MEMBER, &["list", "--format", "names"], "").ok().out, "demo\n");
    shared.run(MEMBER, &["audit", "verify"], "").ok();
    assert!(before == shared.bytes(), "a reader rolled the change back");
    assert_eq!(shared.run(MEMBER, &["verify"], &secret).ok().line(), "valid demo");
    assert!(journal.exists());
    let last_use = shared.run(MEMBER, &["show", "demo", "--json"], "").ok().json()["last_used_at"].clone();
    assert!(last_use.is_string(), "the use was not recorded");
    shared.run(STRANGER, &["verify"], &secret).exit(6);

    shared.run(ADMIN, &["create", "next"], "").ok();
    assert!(!journal.exists());
    shared.run(ADMIN, &["doctor"], "").ok();
}

#[test]
fn the_store_of_another_user_is_used_only_if_it_is_given_explicitly() {
    let Some((shared, secret)) = Shared::with_token() else { return };
    let data = shared.dir.path().join("home");
    fs::create_dir(data.join("share")).expect("the directory can be created");
    fs::rename(shared.store(), data.join("share/tokenctl")).expect("the directory can be renamed");
    let ask = |named: bool| {
        let mut command = shared.command(MEMBER, shared.program.to_str().expect("the path is UTF-8"));
        command.env_remove("TOKENCTL_STORE").env("XDG_DATA_HOME", data.join("share"));
        command.args(["verify", "--json"]);
        if named {
            command.arg("--store").arg(data.join("share/tokenctl"));
        }
        let mut child = command.spawn().expect("the program starts");
        child
            .stdin
            .take()
            .expect("stdin is a pipe")
            .write_all(secret.as_bytes())
            .expect("the program reads its input");
        finished(child)
    };
    let failure = assert_failure(&ask(false), "store_unsafe", 6);
    assert!(failure["hint"].as_str().expect("the hint is a string").contains("--store"), "{failure}");
    assert_eq!(ask(true).ok().json()["valid"], true);
}

#[test]
fn a_store_is_usable_even_with_umask_777() {
    let Some(shared) = Shared::new() else { return };
    if !have("bash") {
        return;
    }
    let script = "umask 777; \"$0\" create demo && \"$0\" list --format names";
    let mut bash = shared.command(ADMIN, "bash");
    let ran =
        finished(bash.args(["--norc", "-c", script]).arg(&shared.program).spawn().expect("bash starts")).ok();
    assert_eq!(ran.out.lines().nth(1), Some("demo"), "{ran:?}");
    assert_eq!(mode(&shared.store()), 0o700);
    assert_eq!(shared.bytes().iter().map(|it| it.1).collect::<Vec<_>>(), [0o600; 4]);
}

#[test]
fn the_login_name_is_looked_up_with_getent() {
    let Some(shared) = Shared::new() else { return };
    let getent = shared.dir.path().join("getent");
    let script =
        format!("#!/bin/sh\n[ \"$*\" = 'passwd {ADMIN}' ] && echo 'ann:x:{ADMIN}:1::/home/ann:/bin/sh'\n");
    write_program(&getent, script.as_bytes());
    let mut init = shared.command(ADMIN, shared.program.to_str().expect("the path is UTF-8"));
    init.env("PATH", format!("{}:/usr/bin:/bin", shared.dir.path().display()));
    finished(init.arg("init").spawn().expect("the program starts")).ok();
    let log = shared.run(ADMIN, &["audit", "--json"], "").ok();
    assert!(log.out.contains(r#""login":"ann""#), "{}", log.out);
}

/// The owner of /proc/PID/mem. It is root if the process is protected from other users.
fn owner_of_memory(pid: u32) -> Option<u32> {
    let meta = fs::metadata(format!("/proc/{pid}/mem")).ok()?;
    Some(std::os::unix::fs::MetadataExt::uid(&meta))
}

#[test]
fn other_users_cannot_read_the_memory_of_a_process_that_delivers_a_secret() {
    let Some(shared) = Shared::new() else { return };
    shared.run(ADMIN, &["init"], "").ok();
    let owners = shared.dir.path().join("home/owners");
    let command = format!("cat >/dev/null; stat -c %u /proc/$PPID/mem /proc/$$/mem >{}", owners.display());
    shared.run(ADMIN, &["create", "demo", "--exec", &command], "").ok();
    // The first number is for tokenctl, which is protected. The second is for the shell, which is not.
    assert_eq!(fs::read_to_string(owners).expect("the file can be read"), format!("0\n{ADMIN}\n"));
}

#[test]
fn other_users_cannot_read_the_memory_of_a_process_that_reads_a_secret() {
    let Some((shared, secret)) = Shared::with_token() else { return };
    for (args, code) in
        [(&["verify"][..], 0), (&["adopt", "mine"], 5), (&["revoke", "--secret-file", "-", "-y"], 0)]
    {
        let mut command = shared.command(ADMIN, shared.program.to_str().expect("the path is UTF-8"));
        let mut child = command.args(args).spawn().expect("the program starts");
        let name = format!("/proc/{}/comm", child.id());
        let runs = || fs::read_to_string(&name).is_ok_and(|name| name == "tokenctl\n");
        until("the process protects its memory", || runs() && owner_of_memory(child.id()) == Some(0));
        child
            .stdin
            .take()
            .expect("stdin is a pipe")
            .write_all(secret.as_bytes())
            .expect("the program reads its input");
        finished(child).exit(code);
    }
}

#[test]
fn on_a_read_only_file_system_changes_fail_with_a_clear_message_and_reading_works() {
    if !have("unshare") || !have("bash") || uid() != 0 {
        return;
    }
    let world = World::of_processes();
    let secret = world.mint("demo");
    let mount = "mount --bind store store && mount -o remount,bind,ro store";
    if world.shell(&format!("unshare -m bash -c '{mount}'")).code != 0 {
        println!("skipped: mounting is not allowed here");
        return;
    }
    for args in CHANGES.iter().filter(|args| args[0] != "enable") {
        let script =
            format!("unshare -m bash -c '{mount} && echo {ADOPTED} | tokenctl {} --json'", args.join(" "));
        let failure = assert_failure(&world.shell(&script), "store_read_only", 6);
        let message = failure["message"].as_str().expect("the message is a string");
        assert!(message.ends_with("its file system is mounted read-only"), "{failure}");
        assert!(message.contains(world.store().to_str().expect("the path is UTF-8")), "{failure}");
        assert_eq!(failure["hint"], "mount it read-write; commands that only read still work");
    }
    let script = format!(
        "unshare -m bash -c '{mount} && echo {secret} | tokenctl verify && tokenctl list --format names'"
    );
    assert_eq!(world.shell(&script).ok().out, "valid demo\ndemo\n");
}

#[test]
fn the_error_about_a_read_only_database_or_directory_has_a_hint_with_chmod() {
    let Some((shared, _)) = Shared::with_token() else { return };
    for (path, closed) in [(shared.store().join("tokens.db"), 0o440), (shared.store(), 0o550)] {
        let before = mode(&path);
        fs::set_permissions(&path, Permissions::from_mode(closed)).expect("the mode can be set");
        let ran = shared.run(ADMIN, &["create", "new", "--json"], "");
        let failure = assert_failure(&ran, "store_read_only", 6);
        let real = path.canonicalize().expect("the path exists");
        assert_eq!(failure["hint"], format!("chmod u+w {}", real.display()));
        assert!(
            failure["message"]
                .as_str()
                .expect("the message is a string")
                .ends_with("its mode allows nobody to write"),
            "{failure}"
        );
        shared.run(ADMIN, &["list"], "").ok();
        fs::set_permissions(&path, Permissions::from_mode(before)).expect("the mode can be set");
    }
}

/// If another user can write to the store, root does not run or set the destinations and hooks in it.
#[test]
fn root_does_not_run_commands_from_the_store_of_another_user() {
    const ROOT: u32 = 0;
    let Some(shared) = Shared::new() else { return };
    let ran = shared.dir.path().join("home/ran");
    let (exec, after) = (format!("cat >/dev/null; id -u >>{}", ran.display()), "true");
    shared.run(ADMIN, &["create", "demo", "--exec", &exec, "--after", after], "").ok();
    let runs = || fs::read_to_string(&ran).unwrap_or_default();
    assert_eq!(runs(), format!("{ADMIN}\n"));
    let json = |args: &[&str]| shared.run(ROOT, &[args, &["--json"]].concat(), "");
    assert_failure(&json(&["rotate", "demo"]), "no_destination", 5);
    for args in [
        &["edit", "demo", "--exec", "true"][..],
        &["edit", "demo", "--after", "true"],
        &["create", "new", "--after", "true"],
        &["rotate", "demo", "--exec", "cat >/dev/null", "--remember"],
    ] {
        assert_failure(&json(args), "store_unsafe", 6);
    }
    // Root can still give a destination by flag, but it is not stored.
    let made = shared.run(ROOT, &["create", "new", "--exec", "cat >/dev/null"], "").ok();
    assert!(made.err.contains("warning: the destination is not remembered: "), "{}", made.err);
    shared.run(ROOT, &["rotate", "demo", "--stdout"], "").ok();
    assert_eq!(shared.run(ADMIN, &["show", "new", "--json"], "").ok().json()["destination"], Value::Null);
    assert_eq!(runs(), format!("{ADMIN}\n"), "root ran the command");
    shared.run(ADMIN, &["rotate", "demo"], "").ok();
    assert_eq!(runs(), format!("{ADMIN}\n{ADMIN}\n"));

    // Now root has stored the destination, but the store has since been given to another user.
    let Some(shared) = Shared::new() else { return };
    shared
        .run(
            ROOT,
            &["create", "demo", "--exec", &exec, "--ttl", "9d", "--rotate-every", "1s", "--grace", "0s"],
            "",
        )
        .ok();
    for path in ["", "tokens.db", "usage.secrets", "usage.scopes"] {
        chown(shared.store().join(path), Some(ADMIN), Some(ADMIN)).expect("the owner can be set");
    }
    let before = runs();
    std::thread::sleep(std::time::Duration::from_secs(2));
    for args in [&["rotate", "demo", "--json"][..], &["rotate", "--due", "--json"]] {
        let refused = shared.run(ROOT, args, "").exit(6);
        assert!(refused.err.contains("store_unsafe"), "{refused:?}");
    }
    assert_eq!(runs(), before);
}

#[test]
fn a_user_applies_only_files_that_belong_to_the_user_or_to_root() {
    let Some((shared, _)) = Shared::with_token() else { return };
    let file = shared.dir.path().join("tokens.toml");
    let path = file.to_str().expect("the path is UTF-8");
    fs::write(&file, "[settings]\ngrace = \"2h\"\n").expect("the file can be written");
    for (owner, applied) in [(0, true), (ADMIN, true), (MEMBER, false)] {
        chown(&file, Some(owner), None).expect("the owner can be set");
        let ran = shared.run(ADMIN, &["apply", path, "--json"], "");
        if applied {
            ran.ok();
        } else {
            let failure = assert_failure(&ran, "policy", 5);
            assert!(failure["message"].as_str().is_some_and(|it| it.contains("belongs to uid")), "{failure}");
        }
    }
}

#[test]
fn with_trust_group_stored_destinations_and_commands_are_not_used() {
    let Some(shared) = Shared::new() else { return };
    let file = shared.dir.path().join("home/secret");
    let file = file.to_str().expect("the path is UTF-8");
    shared.run(ADMIN, &["create", "demo", "--out", file], "").ok();
    for (path, mode) in [("", 0o770), ("tokens.db", 0o660)] {
        let path = shared.store().join(path);
        chown(&path, None, Some(GROUP)).expect("the group can be set");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("the mode can be set");
    }
    let failure = assert_failure(
        &shared.run(ADMIN, &["rotate", "demo", "--trust-group", "--json"], ""),
        "store_unsafe",
        6,
    );
    assert!(
        failure["message"]
            .as_str()
            .expect("the message is a string")
            .ends_with("destinations and commands stored in it are neither used nor changed")
    );
    shared.run(ADMIN, &["rotate", "demo", "--trust-group", "--out", file], "").ok();
}

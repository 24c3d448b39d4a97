//! Unusual standard outputs: a closed pipe, a full disk, or none.

use std::fs::{self, File, OpenOptions};
use std::process::Stdio;

use crate::support::processes::{assert_failure, finished, full_pipe, wait_until_stuck};
use crate::support::{Ran, World, have, program, run};

/// More tokens than fit into the buffer of a pipe.
const MANY: usize = 3_000;

#[test]
fn a_list_stops_without_an_error_if_its_output_is_closed() {
    if !have("bash") {
        return;
    }
    let world = World::of_processes();
    world.mint("demo");
    world.multiply("demo", MANY);
    for format in ["tsv", "csv", "json", "jsonl", "names", "table"] {
        let ran = world
            .shell(&format!("tokenctl list --format {format} | head -c 1 >head; echo ${{PIPESTATUS[@]}}"));
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("0 0\n", ""), "{format}");
        assert_eq!(fs::read(world.dir.path().join("head")).expect("the file can be read").len(), 1);
    }
    let ran = world.shell("tokenctl list | head -1 | cut -f2; echo ${PIPESTATUS[@]}");
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("demo\n0 0 0\n", ""));
    let ran = world.shell("tokenctl list --sort created | head -1 | wc -l; echo ${PIPESTATUS[@]}");
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("1\n0 0 0\n", ""));
}

#[test]
fn commands_that_only_show_exit_with_0_if_their_output_is_closed() {
    let world = World::of_processes();
    world.mint("demo");
    for args in [
        &["list"][..],
        &["list", "--json"],
        &["list", "--format", "table"],
        &["show", "demo"],
        &["show", "demo", "--json"],
        &["audit"],
        &["audit", "--json"],
        &["audit", "--token", "demo"],
        &["audit", "head"],
        &["settings"],
        &["--help"],
        &["create", "--help"],
        &["--version"],
    ] {
        let ran = world.unread(args, b"");
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
    }
}

#[test]
fn the_exit_code_of_an_answer_is_the_same_if_the_output_is_closed() {
    let world = World::of_processes();
    let secret = world.mint("demo");
    world.real(&["scopes", "define", "admin"], b"").ok();
    for json in [&[][..], &["--json"]] {
        let unread = |args: &[&str], input: &str| {
            let ran = world.unread(&[args, json].concat(), input.as_bytes());
            assert_eq!(ran.err, "", "{args:?}");
            ran.code
        };
        assert_eq!(unread(&["verify"], &secret), 0);
        assert_eq!(unread(&["verify", "--scope", "admin"], &secret), 3);
        assert_eq!(unread(&["verify"], "nobody-knows-this-secret"), 3);
        assert_eq!(unread(&["doctor"], ""), 0);
        assert_eq!(unread(&["audit", "verify"], ""), 0);
    }
    world.sql("UPDATE tokens SET owner = 'mallory'");
    for json in [&[][..], &["--json"]] {
        assert_eq!(world.unread(&[&["doctor"], json].concat(), b"").code, 3);
        assert_eq!(world.unread(&[&["audit", "verify"], json].concat(), b"").code, 3);
    }
}

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let world = World::of_processes();
    let secret = world.mint("demo");
    fs::write(world.dir.path().join("secret"), secret).expect("the file can be written");
    let secret = world.dir.path().join("secret");
    let secret = secret.to_str().expect("the path is UTF-8");
    let into_full = |args: &[&str]| {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        finished(world.start(args, full))
    };
    for args in [
        &["list"][..],
        &["list", "--format", "names"],
        &["show", "demo"],
        &["audit"],
        &["audit", "head"],
        &["settings"],
        &["doctor"],
        &["verify", "--secret-file", secret],
        &["--help"],
    ] {
        let ran = into_full(args);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{args:?} {ran:?}");
        assert!(ran.err.starts_with("error: cannot write the output: "), "{args:?} {ran:?}");
        if !args.contains(&"--format") {
            assert_failure(&into_full(&[args, &["--json"]].concat()), "io", 1);
        }
    }
}

#[test]
fn without_arguments_the_help_is_printed_to_stderr() {
    let ran = run(&mut program(), b"");
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("Usage: tokenctl"), "{}", ran.err);
    let json = run(program().arg("--json"), b"");
    assert_eq!(json.out, "");
    assert_failure(&json, "usage", 2);
}

/// Redirections to which a secret cannot be delivered, and whether that is noticed before the store is changed.
const NOWHERE: [(&str, bool); 3] = [(">&-", true), (">/dev/null", true), (">/dev/full", false)];

#[test]
fn nothing_is_created_if_stdout_cannot_take_the_secret() {
    if !have("bash") {
        return;
    }
    for (redirection, beforehand) in NOWHERE {
        for json in ["", "--json"] {
            let world = World::of_processes();
            world.mint("other");
            let before = world.bytes();
            let ran = world.shell(&format!("tokenctl create demo {json} {redirection}"));
            assert_eq!(world.bytes() == before, beforehand, "{redirection}");
            fails_and_changes_nothing(&world, &ran, !json.is_empty());
        }
    }
}

#[test]
fn the_old_secret_is_kept_if_stdout_cannot_take_the_new_one() {
    if !have("bash") {
        return;
    }
    for (redirection, beforehand) in NOWHERE {
        for flags in ["", "--json", "--now"] {
            let world = World::of_processes();
            let secret = world.mint("demo");
            let (before, bytes) = (world.look_at("demo"), world.bytes());
            let ran = world.shell(&format!("tokenctl rotate demo {flags} {redirection}"));
            assert_eq!((ran.code, ran.out.as_str()), (7, ""), "{ran:?}");
            if flags == "--json" {
                assert_failure(&ran, "delivery_failed", 7);
            }
            assert_eq!(world.bytes() == bytes, beforehand, "{redirection}");
            let after = world.look_at("demo");
            for key in ["secrets", "status", "expires_at", "rotated_at"] {
                assert_eq!(before[key], after[key], "{redirection}");
            }
            assert_eq!(world.real(&["verify"], secret.as_bytes()).ok().line(), "valid demo");
            world.assert_intact();
            world.real(&["rotate", "demo"], b"").ok();
        }
    }
}

#[test]
fn no_store_is_created_if_stdout_cannot_take_the_secret() {
    if !have("bash") {
        return;
    }
    for (redirection, _) in NOWHERE.into_iter().filter(|(_, beforehand)| *beforehand) {
        let world = World::new();
        let ran = world.shell(&format!("tokenctl create demo {redirection}"));
        assert_eq!(ran.code, 7, "{redirection} {ran:?}");
        assert!(!world.store().exists(), "{redirection}");
    }
}

#[test]
fn nothing_is_created_if_stdout_is_a_closed_pipe() {
    for json in [&[][..], &["--json"]] {
        let world = World::of_processes();
        let ran = world.unread(&[&["create", "demo"], json].concat(), b"");
        fails_and_changes_nothing(&world, &ran, !json.is_empty());
    }
}

#[test]
fn nothing_is_created_if_the_pipe_is_closed_during_the_write() {
    for json in [&[][..], &["--json"]] {
        let world = World::of_processes();
        let (reader, writer) = full_pipe();
        let mut child = world.start(&[&["create", "demo"], json].concat(), writer);
        wait_until_stuck(&mut child);
        assert_eq!(world.look_at("demo")["status"], "provisional");
        drop(reader);
        fails_and_changes_nothing(&world, &finished(child), !json.is_empty());
    }
}

#[test]
fn nothing_is_created_if_the_file_cannot_grow() {
    // The limit is far above the size of the database, and the file can grow by only ten bytes.
    const LIMIT: u64 = 64 << 20;
    if !have("bash") {
        return;
    }
    for json in ["", "--json"] {
        let world = World::of_processes();
        let target = world.dir.path().join("out");
        File::create(&target).and_then(|file| file.set_len(LIMIT - 10)).expect("a sparse file");
        let script = format!("trap '' XFSZ; ulimit -f {}; tokenctl create demo {json} >>out", LIMIT >> 10);
        let ran = world.shell(&script);
        fails_and_changes_nothing(&world, &ran, !json.is_empty());
        assert_eq!(fs::metadata(&target).expect("the file exists").len(), LIMIT, "the disk was not full");
    }
}

#[test]
fn nothing_is_created_if_the_disk_is_full() {
    if !have("unshare") || !have("mount") {
        return;
    }
    let world = World::of_processes();
    fs::create_dir(world.dir.path().join("disk")).expect("the directory can be created");
    // A disk that only this process sees, which is full except for ten bytes in the last page of the file.
    let script = "[ -n \"$ALONE\" ] || exec env ALONE=1 unshare --mount bash --norc -c \"$0\" \"$0\"
        mount -t tmpfs -o size=64k none disk || exit 99
        { head -c 4086 /dev/zero >disk/out; cat /dev/zero >disk/rest; } 2>/dev/null
        tokenctl create demo >>disk/out; code=$?
        wc -c <disk/out; exit $code";
    let ran = run(world.bash(script).arg(script), b"");
    if ran.code == 99 || ran.err.starts_with("unshare: ") {
        eprintln!("skipped: only root can mount a disk");
        return;
    }
    assert_eq!(ran.out, "4096\n", "the disk was not full: {}", ran.err);
    fails_and_changes_nothing(&world, &Ran { out: String::new(), ..ran }, false);
}

#[test]
fn a_secret_can_be_redirected_to_a_file() {
    let world = World::of_processes();
    let target = world.dir.path().join("out");
    let ran =
        finished(world.start(&["create", "demo"], File::create(&target).expect("the file can be created")));
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    let text = fs::read_to_string(&target).expect("the file can be read");
    assert_eq!(text.lines().count(), 1);
    assert_eq!(world.real(&["verify"], text.as_bytes()).ok().line(), "valid demo");
    // The output is the same if messages cannot be written.
    let quiet = world
        .program()
        .args(["create", "again"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(OpenOptions::new().write(true).open("/dev/full").expect("/dev/full"))
        .output()
        .expect("the program runs");
    assert_eq!((quiet.status.code(), quiet.stdout.len()), (Some(0), text.len()));
}

/// Checks the state after a failed delivery of `demo`: exit code 7, no secret anywhere, no token, the name can be used,
/// and the log is intact.
#[track_caller]
fn fails_and_changes_nothing(world: &World, ran: &Ran, json: bool) {
    assert_eq!((ran.code, ran.out.as_str()), (7, ""), "{ran:?}");
    assert!(!ran.err.contains("tkn_") && ran.err.contains("nothing was changed"), "{}", ran.err);
    if json {
        assert_failure(ran, "delivery_failed", 7);
    } else {
        assert!(ran.err.starts_with("error: ") && ran.err.contains("\nhint: "), "{}", ran.err);
    }
    let list = world.real(&["list", "--all", "--format", "names"], b"").ok();
    assert!(!list.out.contains("demo"), "{}", list.out);
    assert_eq!(world.real(&["show", "demo"], b"").code, 4);
    world.assert_intact();
    world.mint("demo");
}

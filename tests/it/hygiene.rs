//! Where secrets are written, and that they are written nowhere else.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::processes::{full_pipe, wait_until_stuck};
use crate::support::{Ran, World, have, run};

/// Tests search for pieces of a secret that are this long, in order to find parts of it too. The hint is shorter.
const PIECE: usize = 8;

/// The lines that contain a piece of the random part of the secret.
fn lines_with<'a>(text: &'a str, secret: &str) -> Vec<&'a str> {
    let body = secret.split_once('_').map_or(secret, |(_, body)| body);
    let pieces: Vec<&str> = (0..=body.len() - PIECE).map(|at| &body[at..at + PIECE]).collect();
    text.lines().filter(|line| pieces.iter().any(|piece| line.contains(piece))).collect()
}

/// A world with a directory for temporary files.
fn world() -> World {
    let world = World::of_processes();
    fs::create_dir(temporary(&world)).expect("the directory can be created");
    world
}

fn temporary(world: &World) -> PathBuf {
    world.dir.path().join("tmp")
}

/// Runs a script. A command after `$TRACE` runs under strace, which logs every system call with its complete arguments.
/// Returns the result and the log.
fn traced(world: &World, script: &str, input: &str) -> (Ran, String) {
    let log = world.dir.path().join("trace");
    let mut bash = world.bash(script);
    bash.env("TMPDIR", temporary(world))
        .env("TRACE", format!("strace -f -y -v -s 1000000 -o {}", log.display()));
    let ran = run(&mut bash, input.as_bytes());
    let trace = fs::read(&log).expect("the file can be read");
    (ran, String::from_utf8_lossy(&trace).into_owned())
}

/// Fails if a file below this directory contains a piece of the secret.
#[track_caller]
fn nowhere_below(dir: &Path, secret: &str) {
    for entry in fs::read_dir(dir).expect("the directory can be read") {
        let path = entry.expect("the entry can be read").path();
        let bytes = fs::read(&path).expect("the file can be read");
        let body = &secret.as_bytes()[secret.len() - 38..];
        for piece in body.windows(PIECE) {
            assert!(!bytes.windows(PIECE).any(|bytes| bytes == piece), "{}", path.display());
        }
    }
}

/// The name of a traced system call and its file descriptor, such as `write(4</tmp/out>` in `12 write(4</tmp/out>, …`.
fn call(line: &str) -> &str {
    let line = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
    line.split(',').next().unwrap_or_default()
}

#[test]
fn a_created_secret_is_written_once_to_stdout_and_nowhere_else() {
    if !have("strace") || !have("bash") {
        return;
    }
    for json in ["", " --json"] {
        let world = world();
        let (ran, trace) = traced(&world, &format!("$TRACE tokenctl create demo{json} >out"), "");
        ran.ok();
        let out = world.dir.path().join("out");
        let text = fs::read_to_string(&out).expect("the file can be read");
        let secret = &text[text.find("tkn_").expect("there is a secret")..];
        // In JSON, the hint comes before the secret.
        let secret =
            if json.is_empty() { secret } else { text.rsplit("tkn_").next().expect("there is a secret") };
        let secret = format!("tkn_{}", &secret.trim_start_matches("tkn_")[..38]);
        assert_eq!(world.real(&["verify"], secret.as_bytes()).ok().line(), "valid demo");

        assert!(trace.contains("getrandom(") && trace.contains("execve("), "nothing was traced");
        let seen = lines_with(&trace, &secret);
        assert_eq!(seen.len(), 1, "{seen:#?}");
        let (name, file) = call(seen[0]).split_once('<').expect("there is a descriptor");
        assert!(name.starts_with("write("), "{}", seen[0]);
        assert_eq!(
            file.trim_end_matches('>'),
            out.canonicalize().expect("the path exists").to_str().expect("the path is UTF-8")
        );

        nowhere_below(&world.store(), &secret);
        nowhere_below(&temporary(&world), &secret);
    }
}

#[test]
fn a_secret_for_a_file_or_a_command_is_written_nowhere_else() {
    if !have("strace") || !have("bash") {
        return;
    }
    let base = "$TRACE tokenctl create demo";
    for (script, target) in [
        (format!("{base} --out secret"), "/."),
        (format!("umask 077; echo OTHER=1 >secret; {base} --env-file secret --env-name TOKEN"), "/."),
        (format!("{base} --exec 'cat >secret'"), "pipe:["),
    ] {
        let world = world();
        let (ran, trace) = traced(&world, &script, "");
        let ran = ran.ok();
        assert_eq!(ran.out, "");
        let text = fs::read_to_string(world.dir.path().join("secret")).expect("the file can be read");
        let secret = &text[text.find("tkn_").expect("there is a secret")..].trim_end();
        assert_eq!(world.real(&["verify"], secret.as_bytes()).ok().line(), "valid demo");
        assert!(lines_with(&ran.err, secret).is_empty());
        let seen = lines_with(&trace, secret);
        let writes: Vec<&str> =
            seen.iter().map(|line| call(line)).filter(|it| it.starts_with("write(")).collect();
        // With `--exec`, the command itself also reads and writes the secret, which is allowed.
        assert!(!writes.is_empty() && writes[0].contains(target), "{script}: {seen:#?}");
        let ours = if target == "pipe:[" { 2 } else { 1 };
        assert_eq!(writes.len(), ours, "{script}: {seen:#?}");
        assert!(seen.iter().all(|line| !line.contains("execve(")), "{script}: {seen:#?}");
        nowhere_below(&world.store(), secret);
        nowhere_below(&temporary(&world), secret);
        let left: Vec<_> = fs::read_dir(world.dir.path())
            .expect("the directory can be read")
            .map(|entry| entry.expect("the entry can be read").file_name())
            .filter(|name| {
                !["secret", "store", "tmp", "trace"].contains(&name.to_str().expect("the path is UTF-8"))
            })
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_secret_on_stdin_or_in_a_file_is_read_and_never_written() {
    if !have("strace") || !have("bash") {
        return;
    }
    let world = world();
    let secret = world.mint("demo");
    let adopted = "Zq8Rk2Vb7Nw4Xc1Ty6Ju3Mp9Lh5Gd0Sf8Ae2Qo7";
    for (script, input, code) in [
        ("$TRACE tokenctl verify", secret.as_str(), 0),
        ("$TRACE tokenctl verify --json --scope admin", &secret, 3),
        ("cat >secret; $TRACE tokenctl verify --secret-file secret", &secret, 0),
        ("$TRACE tokenctl adopt other", adopted, 0),
        ("$TRACE tokenctl verify", adopted, 0),
        ("$TRACE tokenctl adopt third", adopted, 5),
        ("cat >secret; $TRACE tokenctl revoke --secret-file secret --yes", &secret, 0),
    ] {
        let (ran, trace) = traced(&world, script, input);
        let ran = ran.exit(code);
        assert!(lines_with(&format!("{}{}", ran.out, ran.err), input).is_empty(), "{script}: {ran:?}");
        let seen = lines_with(&trace, input);
        assert_eq!(seen.len(), 1, "{script}: {seen:#?}");
        assert!(call(seen[0]).starts_with("read("), "{script}: {seen:#?}");
        nowhere_below(&world.store(), input);
        nowhere_below(&temporary(&world), input);
    }
}

#[test]
fn a_temporary_copy_of_the_store_is_private_and_contains_no_secret() {
    if !have("bash") {
        return;
    }
    let world = world();
    let secret = world.mint("demo");
    if !world.kill_at_commit("half", 1) {
        return;
    }
    let (ran, trace) = traced(&world, "umask 000; $TRACE tokenctl verify", &secret);
    assert_eq!(ran.ok().line(), "valid demo");
    let made = trace.lines().filter(|line| line.contains("mkdir(") && line.contains("/tmp/tokenctl-"));
    assert_eq!(made.filter(|line| line.contains(", 0700) = 0")).count(), 1, "no private copy was made");
    assert_eq!(lines_with(&trace, &secret).len(), 1);
    assert_eq!(fs::read_dir(temporary(&world)).expect("the directory can be read").count(), 0);
}

#[test]
fn a_secret_in_an_argument_is_not_printed() {
    let world = world();
    let secret = world.mint("demo");
    let before = world.bytes();
    for args in [
        &["verify", &secret][..],
        &["list", "--search", &secret],
        &["create", "new", "-d", &format!("the key is {secret}")],
        &["create", "new", &format!("--description=x{secret}x")],
        &["--store", &secret, "list"],
        &[&secret],
        &["show", "--", &secret],
    ] {
        let ran = world.real(args, b"").exit(2);
        assert!(lines_with(&format!("{}{}", ran.out, ran.err), &secret).is_empty(), "{args:?} {ran:?}");
        assert!(ran.err.contains("exposed"), "{ran:?}");
        let json = world.real(&[args, &["--json"]].concat(), b"").exit(2);
        assert!(lines_with(&json.err, &secret).is_empty(), "{json:?}");
    }
    assert!(before == world.bytes());
}

#[test]
fn a_process_with_a_secret_cannot_dump_core() {
    if !have("bash") {
        return;
    }
    let world = world();
    if !world.shell("ulimit -c unlimited; [ $(ulimit -c) = unlimited ]").err.is_empty() {
        eprintln!("skipped: core dumps are off here");
        return;
    }
    let (_reader, writer) = full_pipe();
    let mut child = world
        .bash("ulimit -c unlimited; exec tokenctl create demo")
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(File::create(world.dir.path().join("talk")).expect("the file can be created"))
        .spawn()
        .expect("bash starts");
    wait_until_stuck(&mut child);
    let name = fs::read_to_string(format!("/proc/{}/comm", child.id())).expect("the file can be read");
    let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).expect("the file can be read");
    child.kill().expect("the process can be killed");
    child.wait().expect("the process can be waited for");
    assert_eq!(name, "tokenctl\n");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("there is a limit");
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
}

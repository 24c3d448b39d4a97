//! Runs real processes in unusual situations: in a shell, with a pipe that nobody reads, or killed halfway.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Ran, World, have, run, search_path, tool};

/// Longer than any command takes on a busy machine, but shorter than a writer waits for a lock.
pub const PROMPT: Duration = Duration::from_secs(10);

/// Longer than anything takes, even while many tests run.
const PATIENCE: Duration = Duration::from_secs(60);

impl World {
    /// A world with a store that the real program created, using the real clock.
    pub fn of_processes() -> Self {
        let world = Self::new();
        world.real(&["init"], b"").ok();
        world
    }

    /// Creates a token with the real program. Returns its secret.
    #[track_caller]
    pub fn mint(&self, name: &str) -> String {
        self.real(&["create", name], b"").ok().line().to_owned()
    }

    /// `show --json` by the real program.
    #[track_caller]
    pub fn look_at(&self, name: &str) -> Value {
        self.real(&["show", name, "--json"], b"").ok().json()
    }

    /// A command in bash, with the real program as `tokenctl` and the store in its environment.
    pub fn bash(&self, script: &str) -> Command {
        let mut command = tool("bash");
        command
            .env_clear()
            .env("PATH", search_path())
            .env("TOKENCTL_STORE", self.named())
            .current_dir(self.dir.path())
            .args(["--norc", "-c", script]);
        command
    }

    /// Runs a script in bash, with nothing on stdin.
    #[track_caller]
    pub fn shell(&self, script: &str) -> Ran {
        run(&mut self.bash(script), b"")
    }

    /// Starts the program with this as its stdout.
    #[track_caller]
    pub fn start(&self, args: &[&str], stdout: impl Into<Stdio>) -> Child {
        self.program()
            .args(args)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts")
    }

    /// Runs the program with a stdout whose reader has gone away.
    #[track_caller]
    pub fn unread(&self, args: &[&str], input: &[u8]) -> Ran {
        let (reader, writer) = io::pipe().expect("a pipe can be created");
        drop(reader);
        let mut child = self
            .program()
            .args(args)
            .stdin(Stdio::piped())
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let _ = child.stdin.take().expect("stdin is a pipe").write_all(input);
        finished(child)
    }

    /// Fails unless the log is intact and matches every object.
    #[track_caller]
    pub fn assert_intact(&self) {
        self.real(&["audit", "verify"], b"").ok();
        self.real(&["doctor"], b"").ok();
    }

    /// Adds `count` copies of a token with SQL. They have no events, so only commands such as `list` can handle them.
    pub fn multiply(&self, name: &str, count: usize) {
        self.sql(&format!(
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {count})
             INSERT INTO tokens (id, name, description, owner, icon, ttl, until, not_before, rotate_every, grace,
               created_at, created_by, disabled_at, revoked_at)
             SELECT printf('copy%08d', i), name || printf('-%08d', i), description, owner, icon, ttl, until,
               not_before, rotate_every, grace, created_at, created_by, disabled_at, revoked_at
             FROM n, tokens WHERE name = '{name}';
             INSERT INTO secret (token, hash, hint, created_at, expires_at, delivered_at)
             SELECT copy.row, randomblob(32), hint, secret.created_at, secret.expires_at, delivered_at
             FROM tokens AS copy, tokens AS original JOIN secret ON secret.token = original.row
             WHERE copy.id LIKE 'copy%' AND original.name = '{name}';"
        ));
    }

    /// Runs `create` and kills it when its commit number `commit` is about to remove the journal. Returns false if
    /// strace is missing.
    #[track_caller]
    pub fn kill_at_commit(&self, name: &str, commit: usize) -> bool {
        if !have("strace") {
            return false;
        }
        let script = format!(
            "exec strace -f -o /dev/null -e trace=unlink -e inject=unlink:signal=SIGKILL:when={commit} tokenctl create {name}"
        );
        let ran = run(&mut self.bash(&script), b"");
        assert_eq!(ran.code, -1, "not killed: {ran:?}");
        assert!(self.store().join("tokens.db-journal").exists(), "no journal was left");
        true
    }

    /// Runs the real program, which delivers a secret to a command that kills the program. Returns the secret.
    #[track_caller]
    pub fn kill_by_command(&self, args: &[&str]) -> String {
        let got = self.path("got");
        let command = format!("cat >{got}; kill -KILL $PPID");
        let ran = self.real(&[args, &["--exec", &command]].concat(), b"");
        assert_eq!(ran.code, -1, "not killed: {ran:?}");
        fs::read_to_string(got).expect("the file can be read")
    }

    /// Kills the real program while it writes a secret to a file in the directory `out`. Returns false if a tool is
    /// missing.
    #[track_caller]
    pub fn kill_at(&self, at: At, args: &str) -> bool {
        if !have("strace") || !have("bash") {
            return false;
        }
        let calls = match at {
            At::BeforeRename => "rename,renameat,renameat2",
            At::AfterRename => "fsync",
        };
        let dir = fs::canonicalize(self.dir.path()).expect("the path exists").join("out");
        let only = if at == At::AfterRename { format!("-P {}", dir.display()) } else { String::new() };
        let script = format!(
            "exec strace -f -o /dev/null {only} -e trace={calls} -e inject={calls}:signal=SIGKILL tokenctl {args}"
        );
        let ran = run(&mut self.bash(&script), b"");
        assert_eq!(ran.code, -1, "not killed: {ran:?}");
        true
    }

    /// Runs `tokenctl` under strace, which injects this fault into system calls (for `fsync`, only if it is called for
    /// the directory `out`).
    #[track_caller]
    pub fn injected(&self, inject: &str, args: &str) -> Ran {
        let calls = inject.split(':').next().expect("there is a call");
        let dir = fs::canonicalize(self.dir.path()).expect("the path exists").join("out");
        let only = if calls == "fsync" { format!("-P {}", dir.display()) } else { String::new() };
        let script = format!(
            "exec strace -f -o log {only} -e trace={calls} -e inject={inject} tokenctl {args} && cat log"
        );
        let ran = run(&mut self.bash(&script), b"");
        let log = fs::read_to_string(self.path("log")).expect("the file can be read");
        assert!(log.contains("(INJECTED)") || log.contains("SIGKILL"), "{inject}: {log}");
        ran
    }

    /// A world with a store that takes a while to check.
    pub fn large() -> Self {
        let world = Self::of_processes();
        world.mint("demo");
        world.multiply("demo", 10_000);
        world
    }

    /// Starts `doctor` with this terminal as its stderr. More than a second has passed on its clock when this returns.
    pub fn doctor_on(&self, screen: OwnedFd) -> Child {
        let mut child = self
            .program()
            .arg("doctor")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(screen)
            .spawn()
            .expect("the program starts");
        let files = format!("/proc/{}/fd", child.id());
        let is_at_work = || {
            let open = fs::read_dir(&files).into_iter().flatten().flatten();
            open.filter_map(|file| file.path().read_link().ok()).any(|path| path == self.database())
        };
        while !is_at_work() {
            assert!(
                child.try_wait().expect("the process can be waited for").is_none(),
                "`doctor` exited too soon"
            );
        }
        // The clock continues while the process is stopped.
        kill_process(Pid::from_child(&child), Signal::STOP).expect("the signal can be sent");
        let still = Instant::now();
        while still.elapsed() < Duration::from_millis(1_100) {
            thread::sleep(Duration::from_millis(50));
        }
        kill_process(Pid::from_child(&child), Signal::CONT).expect("the signal can be sent");
        child
    }
}

/// The point at which a delivery is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    /// The temporary file is written, but not renamed.
    BeforeRename,
    /// The file is in place, but not confirmed.
    AfterRename,
}

/// A full pipe: its read end and its write end.
pub fn full_pipe() -> (io::PipeReader, io::PipeWriter) {
    let (reader, writer) = io::pipe().expect("a pipe can be created");
    let mut filler = writer.try_clone().expect("the descriptor can be duplicated");
    // Single bytes are written, so that a write fails only if not even one byte fits.
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).expect("the flag can be set");
    while filler.write(b"x").is_ok() {}
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::empty()).expect("the flag can be set");
    (reader, writer)
}

/// Waits until `look` succeeds. If it never does, fails with its last error.
#[track_caller]
pub fn eventually<T>(mut look: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(instead) => assert!(start.elapsed() < PATIENCE, "{instead}"),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a condition is true.
#[track_caller]
pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    eventually(|| is().then_some(()).ok_or_else(|| format!("never: {what}")));
}

/// Waits until a process has been asleep for a while, which only happens in a blocked write.
#[track_caller]
pub fn wait_until_stuck(child: &mut Child) {
    let start = Instant::now();
    let path = format!("/proc/{}/stat", child.id());
    let (mut same, mut last) = (0, String::new());
    while same < 10 {
        assert!(
            child.try_wait().expect("the process can be waited for").is_none(),
            "the process exited instead of waiting"
        );
        assert!(start.elapsed() < Duration::from_secs(60), "the process never waited");
        let text = fs::read_to_string(&path).unwrap_or_default();
        // The state and the used CPU time: fields 3, 14 and 15 of proc(5).
        let fields: Vec<&str> =
            text.rsplit(')').next().unwrap_or_default().split_whitespace().take(13).collect();
        let now = fields.join(" ");
        same = if now == last && now.starts_with('S') { same + 1 } else { 0 };
        last = now;
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits for a process to exit. If it does not exit soon, it is killed and the test fails.
#[track_caller]
pub fn soon(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    while start.elapsed() < PROMPT {
        if let Some(status) = child.try_wait().expect("the process can be waited for") {
            return status;
        }
        thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    panic!("the process does not exit");
}

/// Waits for a process whose output goes to pipes. Returns its result.
#[track_caller]
pub fn finished(mut child: Child) -> Ran {
    fn text(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stream) = stream {
                stream.read_to_end(&mut bytes).expect("it can be read");
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    }
    let (out, err) = (text(child.stdout.take()), text(child.stderr.take()));
    let status = soon(&mut child);
    let joined = |text: thread::JoinHandle<String>| text.join().expect("the thread does not panic");
    Ran { code: status.code().unwrap_or(-1), out: joined(out), err: joined(err) }
}

/// Fails the test unless a command failed with this error code and exit code, in JSON. Returns the `error` object.
#[track_caller]
pub fn assert_failure(ran: &Ran, code: &str, exit: i32) -> Value {
    assert_eq!(ran.code, exit, "{ran:?}");
    let failure = ran.failure();
    assert_eq!((failure["code"].as_str(), failure["exit"].as_i64()), (Some(code), Some(i64::from(exit))));
    failure
}

/// The mode bits of a file. Symbolic links are not followed.
pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::symlink_metadata(path).expect("the file exists").mode() & 0o7777
}

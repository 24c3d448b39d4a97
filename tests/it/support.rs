//! The language of the tests: an isolated store, and commands that run on it, either in this process with a simulated
//! clock and random generator, or as the real program.

mod files;
mod machine;
pub mod pages;
pub mod processes;
#[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "only tests with this feature use it"))]
pub mod server;
pub mod systemd;
mod times;
mod world;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

pub use machine::{Answer, Clipboards};
pub use times::{DAY, HOUR, MINUTE, START, real_time, time};
pub use world::{Meanwhile, World};

/// The keys of a token in every document.
const TOKEN_KEYS: &str = "id name description owner icon labels scopes status created_at created_by expires_at \
    not_before ttl until rotate_every grace rotated_at due_at destination hook allow_from \
    last_used_at usage_since secrets";

/// Fails unless an object has exactly the keys of a token and these.
#[track_caller]
pub fn assert_token_keys(document: &Value, more: &[&str]) {
    let mut expected: Vec<&str> = TOKEN_KEYS.split(' ').chain(more.iter().copied()).collect();
    expected.sort_unstable();
    assert_eq!(document.as_object().expect("it is an object").keys().collect::<Vec<_>>(), expected);
}

/// Texts that would start a new line, move the cursor, change the writing direction or hide characters if a terminal
/// showed them.
pub const HOSTILE: [&str; 6] =
    ["a\nEVIL", "a\rEVIL", "\x1b[2JEVIL", "a\u{202e}EVIL", "EV\u{200b}IL", "a\u{85}EVIL"];

/// Fails if a text could control the terminal that shows it, or if it starts a line with a hostile text.
#[track_caller]
pub fn assert_harmless(text: &str) {
    let moves = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{200b}' | '\u{202e}'));
    assert!(!text.contains(moves) && !text.contains("\nEVIL"), "{text:?}");
}

/// The result of a command.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Fails the test unless the command exited with this code. Returns the result.
    #[track_caller]
    pub fn exit(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\nstdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        self.exit(0)
    }

    /// The JSON document on stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|err| panic!("{err}: {:?} (stderr {})", self.out, self.err))
    }

    /// The `error` object of the JSON line on stderr.
    #[track_caller]
    pub fn failure(&self) -> Value {
        assert_eq!(self.err.lines().count(), 1, "one line: {}", self.err);
        let document: Value = serde_json::from_str(&self.err).expect(&self.err);
        document["error"].clone()
    }

    /// Standard output without its newline.
    pub fn line(&self) -> &str {
        self.out.trim_end_matches('\n')
    }
}

/// Runs the real program in an empty environment.
pub fn program() -> Command {
    let mut command = Command::new(program_path());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

pub fn program_path() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_tokenctl"))
}

/// A `PATH` in which a shell finds the real program as `tokenctl`.
pub fn search_path() -> String {
    let programs = program_path().parent().expect("the path has a parent");
    format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default())
}

/// Runs a command with this input and waits for it to exit.
#[track_caller]
pub fn run(command: &mut Command, input: &[u8]) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program can close its stdin before it has read everything.
    let _ = child.stdin.take().expect("stdin is a pipe").write_all(input);
    let done = child.wait_with_output().expect("the program ends");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: done.status.code().unwrap_or(-1), out: text(done.stdout), err: text(done.stderr) }
}

/// Writes an executable file that can be run at once. A separate process writes it, because Linux refuses to run a file
/// that is open for writing, and a process started by another test could have inherited the open file from this
/// process.
pub fn write_program(path: &Path, content: &[u8]) {
    run(Command::new("sh").args(["-c", r#"cat >"$0" && chmod 755 "$0""#]).arg(path), content).ok();
}

/// Copies the real program to a path where a test can run it.
#[track_caller]
pub fn copy_program(to: &Path) {
    write_program(to, &std::fs::read(program_path()).expect("the program can be read"));
}

/// Whether a Debian tool is installed. If it is missing, prints that the test is skipped or, in CI, fails the test.
pub fn have(tool: &str) -> bool {
    let found = find(tool).is_some();
    if !found {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{tool} is missing in CI");
        eprintln!("skipped: {tool} is not installed");
    }
    found
}

/// The path of an installed program.
fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(tool)).find(|path| path.is_file())
}

/// A command of an installed program, by its path. For a name, and an environment with another `PATH`, the standard library
/// would fork, and a fork of the process that runs the tests takes milliseconds.
pub fn tool(name: &str) -> Command {
    Command::new(find(name).unwrap_or_else(|| name.into()))
}

/// The id of the user who runs the tests.
pub fn uid() -> u32 {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").expect("procfs"))
}

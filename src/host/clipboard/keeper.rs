//! The process that holds a clipboard, as seen by the process that started it.
//!
//! The child prints a line when it is ready, when it has read the secret from its standard input, and when
//! its standard input is closed. Each line is empty or an error. An empty line on its standard input takes
//! the secret back. If the parent is killed, that input is just closed, so a secret that might have been
//! confirmed stays.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::hold::MARK;
use crate::context::Clipboard;
use crate::host::process::kill;

/// How long to wait for each answer, and for the exit after the secret is taken back.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct Keeper {
    /// `None` once the child runs independently.
    child: Option<Child>,
    /// The standard input of the child.
    input: Option<ChildStdin>,
    /// The standard output of the child.
    output: ChildStdout,
}

impl Keeper {
    pub fn start(
        role: &str,
        stay: Duration,
        name: &str,
        env: Vec<(&'static str, OsString)>,
    ) -> io::Result<Self> {
        // The child must not inherit other files that the caller left open, such as a lock or the pipe of a
        // test runner.
        close_fds::set_fds_cloexec_threadsafe(3, &[]);
        let mut child = Command::new(std::env::current_exe()?)
            .arg0("tokenctl")
            .args([MARK, role, &stay.as_secs().to_string(), name])
            .env_clear()
            .envs(env)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let mut keeper = Self { child: Some(child), input: Some(input), output };
        keeper.read_answer()?;
        Ok(keeper)
    }

    fn send(&mut self, line: &[u8]) -> io::Result<()> {
        self.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write_all(line)
    }

    /// Reads an answer of the child, which is empty or an error.
    fn read_answer(&mut self) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        let mut line = Vec::new();
        loop {
            let left = Timespec::try_from(end.saturating_duration_since(Instant::now()));
            let mut waited = [PollFd::new(&self.output, PollFlags::IN)];
            if poll(&mut waited, left.ok().as_ref())? == 0 {
                let why = format!("no answer within {} s", PATIENCE.as_secs());
                self.child.as_mut().map(kill);
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            let mut byte = [0];
            match (self.output.read(&mut byte)?, byte) {
                (0, _) => return Err(io::Error::other("the process that holds it exited")),
                (_, [b'\n']) if line.is_empty() => return Ok(()),
                (_, [b'\n']) => return Err(io::Error::other(String::from_utf8_lossy(&line).into_owned())),
                (_, [byte]) => line.push(byte),
            }
        }
    }
}

impl Clipboard for Keeper {
    fn put(&mut self, text: &[u8]) -> io::Result<()> {
        self.send(text)?;
        self.send(b"\n")?;
        self.read_answer()
    }

    fn stay(&mut self) -> io::Result<()> {
        self.input = None;
        self.read_answer()?;
        self.child = None;
        Ok(())
    }
}

impl Drop for Keeper {
    /// Takes the secret back, and returns when the process has exited.
    fn drop(&mut self) {
        // Before the secret is sent, an empty line does no harm, because it is not a secret.
        let _ = self.send(b"\n");
        let Some(child) = &mut self.child else { return };
        self.input = None;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        kill(child);
    }
}

//! The process that holds a clipboard, as who started it sees it: a line comes out when it is ready, when it has the
//! secret, which goes in as a line, and when its stdin is closed; each is empty or says what is wrong. An empty line
//! instead takes the secret back, so that one which may have been confirmed outlives us however we die.

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

/// For each answer, and for the end when the secret is taken back.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct Keeper {
    /// None once it lives on without us.
    child: Option<Child>,
    to: Option<ChildStdin>,
    from: ChildStdout,
}

impl Keeper {
    pub fn start(
        role: &str,
        stay: Duration,
        name: &str,
        env: Vec<(&'static str, OsString)>,
    ) -> io::Result<Self> {
        // What the caller left open beyond the three streams: a lock, the pipe of a test runner.
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
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let mut it = Self { child: Some(child), to: Some(to), from };
        it.hear()?;
        Ok(it)
    }

    fn say(&mut self, line: &[u8]) -> io::Result<()> {
        self.to.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write_all(line)
    }

    /// Its answer: nothing, or what is wrong.
    fn hear(&mut self) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        let mut line = Vec::new();
        loop {
            let left = Timespec::try_from(end.saturating_duration_since(Instant::now()));
            let mut waited = [PollFd::new(&self.from, PollFlags::IN)];
            if poll(&mut waited, left.ok().as_ref())? == 0 {
                let why = format!("no answer within {} s", PATIENCE.as_secs());
                self.child.as_mut().map(kill);
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            let mut byte = [0];
            match (self.from.read(&mut byte)?, byte) {
                (0, _) => return Err(io::Error::other("the process that holds it ended")),
                (_, [b'\n']) if line.is_empty() => return Ok(()),
                (_, [b'\n']) => return Err(io::Error::other(String::from_utf8_lossy(&line).into_owned())),
                (_, [byte]) => line.push(byte),
            }
        }
    }
}

impl Clipboard for Keeper {
    fn put(&mut self, text: &[u8]) -> io::Result<()> {
        self.say(text)?;
        self.say(b"\n")?;
        self.hear()
    }

    fn stay(&mut self) -> io::Result<()> {
        self.to = None;
        self.hear()?;
        self.child = None;
        Ok(())
    }
}

impl Drop for Keeper {
    /// Nothing is held any more when this is done.
    fn drop(&mut self) {
        // Before there is a secret this is no secret.
        let _ = self.say(b"\n");
        let Some(child) = &mut self.child else { return };
        self.to = None;
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

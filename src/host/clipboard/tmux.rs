//! A buffer of the tmux session in which this program runs. `load-buffer -w` (tmux 3.2) also sends the text
//! to the terminal, if the terminal supports that.

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

use super::hold::Hold;

/// How often deletion of the buffer is tried, and the pause between two attempts.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

pub struct Tmux {
    buffer: String,
    held: Zeroizing<Vec<u8>>,
}

impl Tmux {
    pub fn open(buffer: &str) -> io::Result<Self> {
        tmux(&["list-buffers"], b"")?;
        Ok(Self { buffer: buffer.to_owned(), held: Zeroizing::default() })
    }

    /// Whether the buffer still contains the text that was put there.
    fn is_ours(&self) -> io::Result<bool> {
        Ok(tmux(&["show-buffer", "-b", &self.buffer], b"")? == self.held)
    }
}

impl Hold for Tmux {
    fn put(&mut self, text: &[u8]) -> io::Result<()> {
        self.held = Zeroizing::new(text.to_vec());
        tmux(&["load-buffer", "-w", "-b", &self.buffer, "-"], text)?;
        if self.is_ours()? { Ok(()) } else { Err(io::Error::other("the buffer holds something else")) }
    }

    fn leave(&mut self) {
        // tmux might fail to start on a busy machine, but the secret must not stay.
        for _ in 0..TRIES {
            match self.is_ours() {
                Ok(false) => return,
                Ok(true) if tmux(&["delete-buffer", "-b", &self.buffer], b"").is_ok() => return,
                Ok(true) | Err(_) => thread::sleep(PAUSE),
            }
        }
    }
}

/// Runs tmux with this text on stdin. Returns its output.
fn tmux(args: &[&str], input: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut child = Command::new("tmux")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|err| io::Error::new(err.kind(), format!("tmux cannot be run: {err}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input)?;
    }
    let done = child.wait_with_output()?;
    if done.status.success() {
        return Ok(Zeroizing::new(done.stdout));
    }
    Err(io::Error::other(String::from_utf8_lossy(&done.stderr).trim().to_owned()))
}

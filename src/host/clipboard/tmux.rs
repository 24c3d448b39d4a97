//! A buffer of the tmux that we run in. `load-buffer -w` (tmux 3.2) also has it send the text on to the terminal, where
//! that can take it.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use super::holder::Hold;

pub struct Tmux {
    buffer: String,
    held: Zeroizing<Vec<u8>>,
}

impl Tmux {
    pub fn open(buffer: &str) -> io::Result<Self> {
        tmux(&["list-buffers"], b"")?;
        Ok(Self { buffer: buffer.to_owned(), held: Zeroizing::default() })
    }

    /// Whether the buffer holds what we put there.
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
        if let Ok(true) = self.is_ours() {
            let _ = tmux(&["delete-buffer", "-b", &self.buffer], b"");
        }
    }
}

/// Runs tmux with this on stdin. Returns what it prints.
fn tmux(args: &[&str], input: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut child = Command::new("tmux")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|err| io::Error::new(err.kind(), format!("tmux cannot be run: {err}")))?;
    if let Some(mut to) = child.stdin.take() {
        to.write_all(input)?;
    }
    let done = child.wait_with_output()?;
    if done.status.success() {
        return Ok(Zeroizing::new(done.stdout));
    }
    Err(io::Error::other(String::from_utf8_lossy(&done.stderr).trim().to_owned()))
}

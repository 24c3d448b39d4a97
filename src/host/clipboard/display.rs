//! The clipboard of a Wayland or X11 display, which is what the process gives out that owns the selection.

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use arboard::{Clipboard, SetExtLinux};
use zeroize::Zeroizing;

use super::hold::{Event, Hold, MARK};

/// The role of a process that reads the clipboard back.
pub const PROOF: &str = "proof";

/// Less than who started us waits.
const PATIENCE: Duration = Duration::from_secs(4);

pub struct Display {
    /// Until it holds something.
    clipboard: Option<Clipboard>,
    events: Option<Sender<Event>>,
}

impl Display {
    pub fn open(events: Sender<Event>) -> io::Result<Self> {
        let clipboard = connect()?;
        Ok(Self { clipboard: Some(clipboard), events: Some(events) })
    }
}

impl Hold for Display {
    fn put(&mut self, text: &[u8]) -> io::Result<()> {
        let (Some(mut clipboard), Some(events)) = (self.clipboard.take(), self.events.take()) else {
            return Err(io::ErrorKind::AlreadyExists.into());
        };
        let owned = String::from_utf8_lossy(text).into_owned();
        // Waits until somebody else copies. It ends with this process, never by dropping the clipboard while it is
        // ours, which would offer the text to a manager.
        thread::spawn(move || {
            let _ = clipboard.set().wait().exclude_from_history().text(owned);
            let _ = events.send(Event::Leave);
        });
        // A process of its own has a connection of its own.
        let mut proof = Command::new(std::env::current_exe()?)
            .args([MARK, PROOF, "0", ""])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        if let Some(mut to) = proof.stdin.take() {
            to.write_all(text)?;
            to.write_all(b"\n")?;
        }
        if proof.wait()?.success() {
            return Ok(());
        }
        Err(io::Error::other("what it gives back is something else"))
    }
}

/// Reads the clipboard until it gives back this text.
pub fn prove(text: &[u8]) -> io::Result<()> {
    let mut clipboard = connect()?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(2));
        let is = clipboard.get().text().map(|text| Zeroizing::new(text.into_bytes()));
        if is.is_ok_and(|is| *is == text) {
            return Ok(());
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn connect() -> io::Result<Clipboard> {
    // What it says of X11 is wrong for Wayland, and the other way round.
    Clipboard::new().map_err(|_| io::Error::other("it does not answer, or lets only windows copy"))
}

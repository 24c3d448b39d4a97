//! The clipboard of a Wayland or X11 display. The process that owns the selection provides its content.

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use arboard::{Clipboard, SetExtLinux};
use zeroize::Zeroizing;

use super::hold::{Event, Hold, MARK};

/// The role of the process that reads the clipboard back.
pub const PROOF: &str = "proof";

/// How long to wait for the text. This is shorter than the wait of the process that started this one.
const PATIENCE: Duration = Duration::from_secs(4);

pub struct Display {
    /// `None` once a text was put there.
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
        // Waits until another program copies something. The clipboard must not be dropped before, because
        // that would offer the text to a clipboard manager.
        thread::spawn(move || {
            let _ = clipboard.set().wait().exclude_from_history().text(owned);
            let _ = events.send(Event::Leave);
        });
        // A separate process has a separate connection, so it reads what any other program would read.
        let mut proof = Command::new(std::env::current_exe()?)
            .args([MARK, PROOF, "0", ""])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        if let Some(mut stdin) = proof.stdin.take() {
            stdin.write_all(text)?;
            stdin.write_all(b"\n")?;
        }
        if proof.wait()?.success() {
            return Ok(());
        }
        Err(io::Error::other("it contains something else"))
    }
}

/// Reads the clipboard until it contains this text.
pub fn prove(text: &[u8]) -> io::Result<()> {
    let mut clipboard = connect()?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(2));
        let content = clipboard.get().text().map(|text| Zeroizing::new(text.into_bytes()));
        if content.is_ok_and(|content| *content == text) {
            return Ok(());
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn connect() -> io::Result<Clipboard> {
    // The library's message about X11 would be wrong for Wayland, and the other way round.
    Clipboard::new().map_err(|_| io::Error::other("it does not answer, or lets only windows copy"))
}

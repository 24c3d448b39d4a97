//! Reads keys as a terminal sends them. A single wait covers keys and requests to exit, so that neither is
//! missed.

use std::io;
use std::time::Duration;

use dialoguer::console::Key;
use rustix::event::{PollFd, PollFlags, Timespec};

use super::cancelled;
use crate::host::interrupts::Stop;

/// Characters that follow Escape within this time belong to the same sequence, because no person types as
/// fast.
const SEQUENCE: Duration = Duration::from_millis(50);
/// More characters than any sequence has.
const MAX_LENGTH: usize = 32;

/// The keyboard while a question is open.
pub struct Keys<'a> {
    pub stop: &'a Stop,
}

impl Keys<'_> {
    /// Waits for input. Fails after a request to exit, and returns false after a timeout.
    pub fn wait(&self, patience: Option<Duration>) -> io::Result<bool> {
        let patience = patience.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        let stdin = io::stdin();
        loop {
            let stop = self.stop.readable()?;
            let mut both =
                [PollFd::new(&stdin, PollFlags::IN), PollFd::from_borrowed_fd(stop, PollFlags::IN)];
            let ready = rustix::event::poll(&mut both, patience.as_ref());
            if self.stop.requested() {
                return Err(cancelled());
            }
            match ready {
                Err(rustix::io::Errno::INTR) => {}
                ready => return Ok(ready? > 0),
            }
        }
    }

    /// Reads the next key. Ctrl-C is an error.
    pub fn next(&self) -> io::Result<Key> {
        Ok(match self.byte()? {
            0x03 => return Err(cancelled()),
            0x1b => self.escape()?,
            b'\n' | b'\r' => Key::Enter,
            0x7f | 0x08 => Key::Backspace,
            b'\t' => Key::Tab,
            // Ctrl-A and Ctrl-E.
            0x01 => Key::Home,
            0x05 => Key::End,
            first => self.character(first)?,
        })
    }

    fn byte(&self) -> io::Result<u8> {
        self.wait(None)?;
        let mut byte = [0];
        match rustix::io::read(io::stdin(), &mut byte)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(byte[0]),
        }
    }

    /// Reads the rest of a UTF-8 character.
    fn character(&self, first: u8) -> io::Result<Key> {
        let mut bytes = [first, 0, 0, 0];
        let length = match first {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            _ => 1,
        };
        for byte in &mut bytes[1..length] {
            *byte = self.byte()?;
        }
        let text = std::str::from_utf8(&bytes[..length]).ok();
        Ok(text.and_then(|text| text.chars().next()).map_or(Key::Unknown, Key::Char))
    }

    /// Reads the rest of a sequence after Escape: nothing, or a whole control sequence (ECMA-48, 5.4).
    fn escape(&self) -> io::Result<Key> {
        let mut sequence = String::new();
        while sequence.len() < MAX_LENGTH && self.wait(Some(SEQUENCE))? {
            let byte = self.byte()?;
            sequence.push(char::from(byte));
            let is_first = sequence.len() == 1;
            let goes_on =
                if is_first { b"[O".contains(&byte) } else { byte == b'[' || !(b'@'..=b'~').contains(&byte) };
            if !goes_on {
                break;
            }
        }
        Ok(key(&sequence))
    }
}

fn key(sequence: &str) -> Key {
    match sequence {
        "" => Key::Escape,
        "[A" | "OA" => Key::ArrowUp,
        "[B" | "OB" => Key::ArrowDown,
        "[C" | "OC" => Key::ArrowRight,
        "[D" | "OD" => Key::ArrowLeft,
        "[H" | "OH" | "[1~" | "[7~" => Key::Home,
        "[F" | "OF" | "[4~" | "[8~" => Key::End,
        "[3~" => Key::Del,
        "[5~" => Key::PageUp,
        "[6~" => Key::PageDown,
        "[Z" => Key::BackTab,
        _ => Key::Unknown,
    }
}

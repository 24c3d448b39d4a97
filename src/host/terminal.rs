//! Questions on the terminal. Ctrl-C at a question restores the cursor and counts as an answer. At other
//! times it kills the process.

mod keys;
mod line;
mod list;
mod plain;

use std::io::{self, IsTerminal};

use dialoguer::console::Term;
use rustix::termios::{InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use zeroize::Zeroizing;

use self::keys::Keys;
use super::interrupts::{interrupted, with_interrupts};
use crate::context::{Choice, Question, Terminal};
use crate::ui::{Style, fit};

pub fn look() -> Terminal {
    // A stream that is not a terminal has no size.
    let size = Term::stdout().size_checked().or_else(|| Term::stderr().size_checked());
    Terminal {
        stdin: io::stdin().is_terminal(),
        stdout: io::stdout().is_terminal(),
        stderr: io::stderr().is_terminal(),
        width: size.map(|(_, columns)| columns),
        height: size.map(|(rows, _)| rows),
    }
}

/// The terminal of a person.
pub struct Person {
    /// Whether the terminal is dumb, so that questions are plain lines.
    pub dumb: bool,
}

impl Person {
    pub fn confirm(&self, question: &str) -> io::Result<bool> {
        if self.dumb {
            return asking(Mode::Lines, |term, keys| plain::confirm(term, keys, question));
        }
        asking(Mode::Keys, |term, keys| line::confirm(term, keys, question))
    }

    pub fn ask(&self, question: &Question<'_>, initial: &str) -> io::Result<Zeroizing<String>> {
        if self.dumb {
            return asking(Mode::Lines, |term, keys| plain::ask(term, keys, question, initial));
        }
        asking(Mode::Keys, |term, keys| line::ask(term, keys, question, initial))
    }

    pub fn ask_hidden(&self, question: &str) -> io::Result<Zeroizing<String>> {
        if self.dumb {
            return asking(Mode::HiddenLines, |term, keys| plain::ask_hidden(term, keys, question));
        }
        asking(Mode::Keys, |term, keys| line::ask_hidden(term, keys, question))
    }

    pub fn select(&self, question: &Question<'_>, choices: &[Choice]) -> io::Result<usize> {
        if self.dumb {
            return asking(Mode::Lines, |term, keys| plain::select(term, keys, question, choices));
        }
        asking(Mode::Keys, |term, keys| list::select(term, keys, question, choices))
    }

    pub fn choose(&self, question: &Question<'_>, choices: &[Choice]) -> io::Result<Vec<usize>> {
        if self.dumb {
            return asking(Mode::Lines, |term, keys| plain::choose(term, keys, question, choices));
        }
        asking(Mode::Keys, |term, keys| list::choose(term, keys, question, choices))
    }
}

/// How input is read while a question is open.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Key by key, without echo.
    Keys,
    /// Line by line, with echo.
    Lines,
    /// Line by line, without echo.
    HiddenLines,
}

/// Runs a question for which Ctrl-C is one of the answers, and restores the terminal.
fn asking<T>(mode: Mode, question: impl FnOnce(&Term, &Keys<'_>) -> io::Result<T>) -> io::Result<T> {
    let term = Term::stderr();
    let answer = with_interrupts(|stop| {
        let _modes = Modes::set(mode)?;
        let answer = question(&term, &Keys { stop });
        if mode == Mode::Keys {
            let _ = term.show_cursor();
        }
        answer
    });
    // This is checked only after signals kill the process again, so that none is lost in between.
    if interrupted() { Err(cancelled()) } else { answer }
}

/// The modes of the terminal before a question. They are restored when this is dropped.
struct Modes(Option<Termios>);

impl Modes {
    fn set(mode: Mode) -> io::Result<Self> {
        let off = match mode {
            Mode::Lines => return Ok(Self(None)),
            Mode::Keys => LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN,
            Mode::HiddenLines => LocalModes::ECHO,
        };
        let before = rustix::termios::tcgetattr(io::stdin())?;
        let mut during = before.clone();
        during.local_modes.remove(off);
        if mode == Mode::Keys {
            during.input_modes.remove(InputModes::IXON);
            during.special_codes[SpecialCodeIndex::VMIN] = 1;
            during.special_codes[SpecialCodeIndex::VTIME] = 0;
        }
        rustix::termios::tcsetattr(io::stdin(), OptionalActions::Drain, &during)?;
        Ok(Self(Some(before)))
    }
}

impl Drop for Modes {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = rustix::termios::tcsetattr(io::stdin(), OptionalActions::Drain, before);
        }
    }
}

/// The error for Ctrl-C, Ctrl-D, Escape, or another request to exit.
fn cancelled() -> io::Error {
    io::ErrorKind::Interrupted.into()
}

/// Cuts text to this many columns.
fn cut(text: &str, columns: usize) -> String {
    fit::cut(text, columns, "…")
}

fn dim(text: &str, color: bool) -> String {
    if text.is_empty() { String::new() } else { Style { color }.dim(text) }
}

/// The number of columns of the terminal on stderr. `None` while this process runs in the background, because
/// another job uses the terminal.
pub fn columns() -> Option<u16> {
    let stderr = io::stderr();
    // A terminal that is not the controlling terminal has no foreground.
    if rustix::termios::tcgetpgrp(&stderr).is_ok_and(|group| group != rustix::process::getpgrp()) {
        return None;
    }
    let known =
        rustix::termios::tcgetwinsize(&stderr).ok().map(|size| size.ws_col).filter(|columns| *columns > 0);
    Some(known.unwrap_or(80))
}

//! Questions on the terminal. Ctrl-C at a question restores the cursor and is an answer; elsewhere it kills the
//! process.

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
    /// Whether it is dumb, so that questions are plain lines.
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

/// The input mode while a question is open.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Key by key, not echoed by the terminal.
    Keys,
    /// As finished lines, echoed by the terminal.
    Lines,
    HiddenLines,
}

/// Runs a question with Ctrl-C as one of its answers, and restores the terminal.
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
    // Checked only after signals kill the process again, so that none is lost in between.
    if interrupted() { Err(given_up()) } else { answer }
}

/// The terminal's modes before a question, which are restored when this is dropped.
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

/// Ctrl-C, Ctrl-D, Escape, or another request to exit.
fn given_up() -> io::Error {
    io::ErrorKind::Interrupted.into()
}

/// Text cut to this many columns.
fn cut(text: &str, columns: usize) -> String {
    fit::cut(text, columns, "…")
}

fn dim(text: &str, color: bool) -> String {
    if text.is_empty() { String::new() } else { Style { color }.dim(text) }
}

/// Columns of the terminal on stderr. `None` while we run in the background, when another job uses the terminal.
pub fn columns() -> Option<u16> {
    let stderr = io::stderr();
    // A terminal that is not our controlling terminal has no foreground.
    if rustix::termios::tcgetpgrp(&stderr).is_ok_and(|group| group != rustix::process::getpgrp()) {
        return None;
    }
    let known =
        rustix::termios::tcgetwinsize(&stderr).ok().map(|size| size.ws_col).filter(|columns| *columns > 0);
    Some(known.unwrap_or(80))
}

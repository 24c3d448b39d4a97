//! The look of output: messages on stderr, and the formats of data on stdout.

pub mod column;
pub mod escape;
pub mod findings;
pub mod fit;
pub mod json;
pub mod leaks;
pub mod list;
pub mod log;
pub mod page;
pub mod plan;
pub mod progress;
mod prometheus;
mod screen;
pub mod table;
pub mod toml;

use std::io::Write;

use crate::domain::code::Code;
use crate::domain::text::shown;
use crate::domain::token::Status;
pub use screen::Screen;

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// The emphasis of a text. The colours are readable on light and dark backgrounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
}

/// Whether to write escape sequences.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    pub color: bool,
}

impl Style {
    fn wrap(self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub fn red(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    pub fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }
}

/// The colour of a status.
fn tint(status: Status) -> Ink {
    match status {
        Status::Active => Ink::Green,
        Status::Revoked | Status::Expired => Ink::Red,
        Status::Disabled | Status::Pending | Status::Provisional => Ink::Yellow,
    }
}

/// Messages on stderr. If stderr cannot be written, they are lost; they never make a command fail.
pub struct Talk<'a> {
    pub err: &'a mut dyn Write,
    pub style: Style,
    pub quiet: bool,
    pub json: bool,
}

impl Talk<'_> {
    fn line(&mut self, text: &str) {
        let _ = self.err.write_all(format!("{text}\n").as_bytes());
    }

    /// Information for a person, which `--quiet` suppresses.
    pub fn note(&mut self, text: &str) {
        if !self.quiet && !self.json {
            self.line(&shown(text).to_string());
        }
    }

    /// A warning, which is shown even with `--quiet`.
    pub fn warn(&mut self, text: &str) {
        if self.json {
            let document = serde_json::json!({ "warning": { "message": shown(text).to_string() } });
            self.line(&json::text(&document));
        } else {
            let head = self.style.yellow("warning:");
            self.line(&format!("{head} {}", shown(text)));
        }
    }

    /// Why the command failed, and what to do, as text or as one line of JSON. The hint is shown even with
    /// `--quiet`, since the mail of a cron job needs it most.
    pub fn error(&mut self, code: Code, message: &str, hint: Option<&str>) {
        if self.json {
            let (message, hint) = (shown(message).to_string(), hint.map(|hint| shown(hint).to_string()));
            let document = json::Failure::new(code, &message, hint.as_deref());
            self.line(&json::text(&document));
            return;
        }
        let head = self.style.red("error:");
        self.line(&format!("{head} {}", shown(message)));
        if let Some(hint) = hint {
            let head = self.style.green("hint:");
            self.line(&format!("{head} {}", shown(hint)));
        }
    }
}

//! The findings of `scan`, written as they are found, in one of its formats.

use std::io::{self, Write};

use super::json::{self, Leak, LeakDoc, UNKNOWN};
use super::{Ink, Style, tint};
use crate::domain::text::shown;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Text,
    Json,
    Jsonl,
}

/// A list of leaks that is being written.
pub struct Leaks {
    format: Format,
    style: Style,
    count: usize,
}

impl Leaks {
    pub fn new(format: Format, style: Style) -> Self {
        Self { format, style, count: 0 }
    }

    pub fn write(&mut self, leak: &Leak<'_>, out: &mut dyn Write) -> io::Result<()> {
        let mut text = match self.format {
            Format::Text => line(leak, self.style).into_bytes(),
            Format::Json | Format::Jsonl => json::text(&LeakDoc::new(leak)).into_bytes(),
        };
        if self.format == Format::Json {
            text.insert(0, if self.count == 0 { b'[' } else { b',' });
        } else {
            text.push(b'\n');
        }
        self.count += 1;
        out.write_all(&text)
    }

    /// Ends the document.
    pub fn finish(&self, out: &mut dyn Write) -> io::Result<()> {
        match (self.format, self.count) {
            (Format::Json, 0) => out.write_all(b"[]\n")?,
            (Format::Json, _) => out.write_all(b"]\n")?,
            (Format::Text | Format::Jsonl, _) => {}
        }
        out.flush()
    }
}

/// `path:line:column: name status (owner)`. A secret that is not in the store is shown by its hint.
fn line(leak: &Leak<'_>, style: Style) -> String {
    let Leak { path, line, column, .. } = leak;
    let mut text = format!("{}: ", style.bold(&format!("{path}:{line}:{column}")));
    match leak.known {
        None => text.push_str(&format!("{} {UNKNOWN}", shown(leak.hint))),
        Some((token, status)) => {
            // Here a working secret is the important one, so its colour differs from that of a list.
            let word = match tint(status) {
                Ink::Green | Ink::Yellow => style.red(status.word()),
                Ink::Bold | Ink::Dim | Ink::Red => style.dim(status.word()),
            };
            text.push_str(&format!("{} {word}", shown(&token.name)));
            if let Some(owner) = &token.owner {
                text.push_str(&format!(" ({})", shown(owner)));
            }
        }
    }
    if let Some(commit) = leak.commit {
        text.push_str(&format!(" in commit {commit}"));
    }
    text
}

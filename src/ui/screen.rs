//! What a person reads from: how wide it is, and what it can show.

use unicode_width::UnicodeWidthStr;

use super::{Style, fit};
use crate::domain::text::plain_emoji;

/// The terminal that a person reads from, if it is one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Screen {
    /// Its columns; none where the output is no terminal, and so neither cut nor wrapped.
    pub width: Option<usize>,
    /// Whether it can show no more than ASCII for sure.
    pub ascii: bool,
    pub style: Style,
}

impl Screen {
    /// Stands where something was cut off.
    pub fn mark(self) -> &'static str {
        if self.ascii { "..." } else { "…" }
    }

    /// Spells a text as it can show it: our own marks in ASCII, and emoji without skin tones, style and joiners, whose
    /// width terminals do not agree on. Else what people typed stays as it is.
    pub fn spell(self, text: &mut String) {
        if self.ascii && text.contains('…') {
            *text = text.replace('…', "...");
        }
        if self.width.is_some() {
            plain_emoji(text);
        }
    }

    /// A text in lines that it holds, all but the first indented.
    pub fn hang(self, text: &str) -> String {
        match self.width {
            Some(width) if text.width() > width => fit::wrap(text, width.saturating_sub(2)).join("\n  "),
            _ => text.to_owned(),
        }
    }
}

//! The screen of a person: its width, and the characters that it can show.

use unicode_width::UnicodeWidthStr;

use super::{Style, fit};
use crate::domain::text::plain_emoji;

/// The screen on which a person reads output.
#[derive(Debug, Clone, Copy, Default)]
pub struct Screen {
    /// Its columns. `None` if the output is not a terminal and so is neither cut nor wrapped.
    pub width: Option<usize>,
    /// Whether only ASCII is safe to show.
    pub ascii: bool,
    pub style: Style,
}

impl Screen {
    /// Marks a place where text was cut.
    pub fn mark(self) -> &'static str {
        if self.ascii { "..." } else { "…" }
    }

    /// Adapts a text to it: our own marks become ASCII if necessary, and emoji lose skin tones, styles and joiners,
    /// on whose width terminals do not agree. Other typed text is not changed.
    pub fn spell(self, text: &mut String) {
        if self.ascii && text.contains('…') {
            *text = text.replace('…', "...");
        }
        if self.width.is_some() {
            plain_emoji(text);
        }
    }

    /// A text wrapped to its width, with all lines but the first indented.
    pub fn hang(self, text: &str) -> String {
        match self.width {
            Some(width) if text.width() > width => fit::wrap(text, width.saturating_sub(2)).join("\n  "),
            _ => text.to_owned(),
        }
    }
}

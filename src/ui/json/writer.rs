//! The only writer of JSON. Hidden characters are written as `\u` escapes, which JSON readers turn back into the
//! character. So a document that is shown on a terminal can neither move the cursor nor change the direction of
//! a line.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use crate::domain::text::{chars_with_hidden, is_hidden};

/// Appends a document, without a newline.
pub fn append(text: &mut Vec<u8>, document: &impl Serialize) {
    // This cannot fail: a vector accepts every byte, and the keys of our documents are words.
    let _ = document.serialize(&mut Serializer::with_formatter(text, Harmless));
}

/// A document, without a newline.
pub fn text(document: &impl Serialize) -> String {
    let mut text = Vec::new();
    append(&mut text, document);
    String::from_utf8(text).unwrap_or_default()
}

struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        // JSON itself escapes all ASCII control characters but the last.
        if fragment.bytes().all(|byte| byte.is_ascii() && byte != 0x7f) || !fragment.contains(is_hidden) {
            return out.write_all(fragment.as_bytes());
        }
        for (c, hidden) in chars_with_hidden(fragment) {
            if hidden && !c.is_ascii_whitespace() {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            } else {
                write!(out, "{c}")?;
            }
        }
        Ok(())
    }

    /// In raw JSON, hidden characters are either inside texts or white space between the parts.
    fn write_raw_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        self.write_string_fragment(out, fragment)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn hidden_characters_are_escaped_and_read_back_the_same() {
        let text = "a\u{9b}2J\u{202e}b\u{7f}\u{e0001} \u{1b} plain ⚠\u{fe0f} é \"quoted\"";
        let json = super::text(&text);
        let escaped = "\"a\\u009b2J\\u202eb\\u007f\\udb40\\udc01 \\u001b plain ⚠\u{fe0f} é \\\"quoted\\\"\"";
        assert_eq!(json, escaped);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}

//! Text that others typed, made harmless for the format it stands in.

use crate::domain::text::{is_hidden, shown};

/// A path for people and documents: what is not UTF-8 as `\xFF`, and hidden characters escaped.
pub fn path(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        out.push_str(&shown(chunk.valid()).to_string());
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02X}"));
        }
    }
    out
}

/// For tab-separated values: hidden characters and backslashes escaped, so that a line is a record.
pub fn tsv(text: &str, out: &mut Vec<u8>) {
    if !text.contains(|c: char| c == '\\' || is_hidden(c)) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for c in text.chars() {
        match c {
            '\t' => out.extend_from_slice(b"\\t"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\\' => out.extend_from_slice(b"\\\\"),
            c if is_hidden(c) => out.extend_from_slice(c.escape_unicode().to_string().as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// A record of tab-separated values.
pub fn tsv_line(fields: &[&str], out: &mut Vec<u8>) {
    for (at, field) in fields.iter().enumerate() {
        if at > 0 {
            out.push(b'\t');
        }
        tsv(field, out);
    }
    out.push(b'\n');
}

/// For comma-separated values (RFC 4180): quoted where needed, and kept from being read as a formula.
pub fn csv(text: &str, out: &mut Vec<u8>) {
    let mut clean = Vec::with_capacity(text.len());
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        clean.push(b'\'');
    }
    for c in text.chars() {
        if is_hidden(c) {
            clean.extend_from_slice(c.escape_unicode().to_string().as_bytes());
        } else {
            clean.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    if !clean.iter().any(|b| matches!(b, b',' | b'"' | b'\'' | b' ')) {
        out.extend_from_slice(&clean);
        return;
    }
    out.push(b'"');
    for byte in clean {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    fn with(escape: fn(&str, &mut Vec<u8>), text: &str) -> String {
        let mut out = Vec::new();
        escape(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn no_field_breaks_a_record() {
        assert_eq!(with(super::tsv, "a\tb\nc\\d\x1b"), "a\\tb\\nc\\\\d\\u{1b}");
        assert_eq!(with(super::tsv, "plain, \"text\""), "plain, \"text\"");
        assert_eq!(with(super::csv, "a,b \"c\""), "\"a,b \"\"c\"\"\"");
        assert_eq!(with(super::csv, "a\nb"), "a\\u{a}b");
    }

    #[test]
    fn no_field_is_a_formula() {
        for text in ["=1+1", "+1", "-1", "@x"] {
            assert_eq!(with(super::csv, text), format!("\"'{text}\""));
        }
        assert_eq!(with(super::csv, "a=1"), "a=1");
    }
}

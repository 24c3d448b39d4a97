//! Escapes untrusted text for each output format.

use crate::domain::text::{hidden_in, shown};

/// A path for people and documents. Bytes that are not UTF-8 are shown as `\xFF`, and hidden characters are
/// escaped.
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

/// Escapes hidden characters and backslashes for tab-separated values, so that each line is a record.
pub fn tsv(text: &str, out: &mut Vec<u8>) {
    if !text.contains('\\') && hidden_in(text).is_none() {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.find(['\t', '\n', '\r', '\\']) {
        out.extend_from_slice(shown(&rest[..at]).to_string().as_bytes());
        out.extend_from_slice(match rest.as_bytes()[at] {
            b'\t' => b"\\t",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(shown(rest).to_string().as_bytes());
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

/// Quotes a field for comma-separated values (RFC 4180), and keeps spreadsheets from reading it as a formula.
pub fn csv(text: &str, out: &mut Vec<u8>) {
    let mut clean = Vec::with_capacity(text.len());
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        clean.push(b'\'');
    }
    clean.extend_from_slice(shown(text).to_string().as_bytes());
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

//! OSC 52 is a control sequence that asks the terminal to copy text to its clipboard. Terminals do not report
//! whether they did.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use zeroize::Zeroizing;

use crate::context::Clipboard;

pub struct Osc52(File);

impl Osc52 {
    pub fn open(term: Option<&OsStr>) -> io::Result<Self> {
        // These terminals would show the sequence, and thus the secret, instead of ignoring it.
        if let None | Some("dumb" | "linux") = term.map(|term| term.to_str().unwrap_or_default()) {
            return Err(io::Error::other("the terminal does not support OSC 52"));
        }
        let terminal = OpenOptions::new().write(true).open("/dev/tty");
        terminal.map(Self).map_err(|_| io::Error::other("there is no terminal"))
    }
}

impl Clipboard for Osc52 {
    fn put(&mut self, text: &[u8]) -> io::Result<()> {
        self.0.write_all(&sequence(text))
    }

    fn stay(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn sequence(text: &[u8]) -> Zeroizing<Vec<u8>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const START: &[u8] = b"\x1b]52;c;";
    let mut out = Zeroizing::new(Vec::with_capacity(START.len() + text.len().div_ceil(3) * 4 + 1));
    out.extend_from_slice(START);
    for group in text.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if at > group.len() { b'=' } else { digit });
        }
    }
    out.push(b'\x07');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_base64_within_the_sequence() {
        // The test vectors of RFC 4648.
        for (text, base64) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(*sequence(text.as_bytes()), format!("\x1b]52;c;{base64}\x07").into_bytes());
        }
        assert!(sequence(b"\xfb\xff\xbf").ends_with(b";+/+/\x07"));
    }
}

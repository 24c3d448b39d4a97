//! Reads UTF-16 with a byte order mark as UTF-8.

use std::io::{self, Read};

/// Converts UTF-16 to text with the lines and columns of the same text in UTF-8. Characters beyond ASCII become
/// the same number of placeholder bytes, which no secret contains, since a search does not need them.
pub struct Utf16<R> {
    inner: R,
    big_endian: bool,
    /// The first byte of a unit whose second byte has not been read.
    half: Option<u8>,
    out: Vec<u8>,
    given: usize,
}

/// Whether a text begins with a byte order mark of UTF-16, and whether that is big-endian.
pub fn byte_order(head: &[u8]) -> Option<bool> {
    match head {
        [0xff, 0xfe, ..] => Some(false),
        [0xfe, 0xff, ..] => Some(true),
        _ => None,
    }
}

impl<R: Read> Utf16<R> {
    pub fn new(inner: R, big_endian: bool) -> Self {
        Self { inner, big_endian, half: None, out: Vec::new(), given: 0 }
    }

    fn decode(&mut self, raw: &[u8]) {
        const BEYOND: [u8; 3] = [0x80; 3];
        self.out.clear();
        self.given = 0;
        for byte in raw {
            let Some(first) = self.half.take() else {
                self.half = Some(*byte);
                continue;
            };
            let pair = [first, *byte];
            let unit = if self.big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
            match unit {
                0..0x80 => self.out.push(unit.to_be_bytes()[1]),
                // Each half of a surrogate pair becomes two bytes, four together.
                0x80..0x800 | 0xd800..0xe000 => self.out.extend_from_slice(&BEYOND[..2]),
                _ => self.out.extend_from_slice(&BEYOND),
            }
        }
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.out.len() {
            let mut raw = zeroize::Zeroizing::new([0; 8192]);
            let len = self.inner.read(&mut raw[..])?;
            if len == 0 {
                return Ok(0);
            }
            self.decode(&raw[..len]);
        }
        let len = buffer.len().min(self.out.len() - self.given);
        buffer[..len].copy_from_slice(&self.out[self.given..self.given + len]);
        self.given += len;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf16_is_as_long_as_in_utf8_and_ascii_stays() {
        let text = "a=é\u{20ac}\u{1f511}\nkey";
        for big_endian in [false, true] {
            let bytes: Vec<u8> = text
                .encode_utf16()
                .flat_map(|unit| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() })
                .collect();
            let mut out = Vec::new();
            Utf16::new(&bytes[..], big_endian).read_to_end(&mut out).unwrap();
            assert_eq!(out.len(), text.len());
            assert!(out.starts_with(b"a=\x80") && out.ends_with(b"\nkey"), "{out:?}");
        }
    }
}

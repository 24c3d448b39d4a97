//! Splits a stream into lines, in one buffer of fixed size.

use std::io::{ErrorKind, Read};

use memchr::memchr;
use zeroize::Zeroizing;

/// The longest request, in bytes without its newline.
pub const LINE_MAX: usize = 64 * 1024;
/// The greatest number of requests that are answered together.
const BATCH: usize = 500;

pub struct Lines<'a> {
    source: &'a mut dyn Read,
    buffer: Zeroizing<Vec<u8>>,
    len: usize,
    /// The first line is too long, and only its first byte was kept.
    is_cut: bool,
}

/// A line with its newline, or the first byte of one that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    Whole(&'a [u8]),
    TooLong(u8),
}

impl<'a> Lines<'a> {
    pub fn new(source: &'a mut dyn Read) -> Self {
        // A full buffer without a newline holds a line that is too long.
        Self { source, buffer: Zeroizing::new(vec![0; LINE_MAX + 1]), len: 0, is_cut: false }
    }

    /// Waits for input, after all complete lines are taken. Returns whether more may follow.
    pub fn wait(&mut self) -> std::io::Result<bool> {
        loop {
            if self.len == self.buffer.len() {
                (self.is_cut, self.len) = (true, 1);
            }
            let from = self.len;
            let more = match self.source.read(&mut self.buffer[from..]) {
                Err(err) if err.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            self.len += more;
            if more == 0 || !self.is_cut {
                return Ok(more > 0);
            }
            let end = memchr(b'\n', &self.buffer[from..self.len]).map(|at| from + at);
            let rest = end.unwrap_or(self.len)..self.len;
            self.len = 1 + rest.len();
            self.buffer.copy_within(rest, 1);
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    /// The complete lines, at most [`BATCH`], and their length in bytes. At the end of input, a line needs no
    /// newline.
    pub fn batch(&self, goes_on: bool) -> (Vec<Line<'_>>, usize) {
        let (mut lines, mut used) = (Vec::new(), 0);
        while lines.len() < BATCH && used < self.len {
            let rest = &self.buffer[used..self.len];
            let line = match memchr(b'\n', rest) {
                Some(end) => &rest[..=end],
                None if goes_on => break,
                None => rest,
            };
            let is_cut = self.is_cut && used == 0;
            lines.push(if is_cut { Line::TooLong(line[0]) } else { Line::Whole(line) });
            used += line.len();
        }
        (lines, used)
    }

    /// Removes this many bytes of lines, at least one line.
    pub fn take(&mut self, used: usize) {
        self.buffer.copy_within(used..self.len, 0);
        self.len -= used;
        self.is_cut = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let (now, later) = self.0.split_at(self.1.min(self.0.len()).min(buffer.len()));
            buffer[..now.len()].copy_from_slice(now);
            self.0 = later;
            Ok(now.len())
        }
    }

    /// The length of each line, or the first byte of one that is too long.
    fn lines(input: &[u8], step: usize) -> Vec<Result<usize, u8>> {
        let mut source = Slow(input, step);
        let mut lines = Lines::new(&mut source);
        let mut all = Vec::new();
        loop {
            let goes_on = lines.wait().unwrap();
            loop {
                let (batch, used) = lines.batch(goes_on);
                if batch.is_empty() {
                    break;
                }
                all.extend(batch.iter().map(|line| match line {
                    Line::Whole(text) => Ok(text.len()),
                    Line::TooLong(first) => Err(*first),
                }));
                lines.take(used);
            }
            if !goes_on {
                return all;
            }
        }
    }

    #[test]
    fn lines_are_the_same_however_the_input_arrives() {
        let long = |byte: u8, len: usize| [vec![byte; len], b"\n".to_vec()].concat();
        let input = [
            b"one\n\r\n\n".to_vec(),
            long(b'a', LINE_MAX),
            long(b'b', LINE_MAX + 1),
            long(b'{', 5 * LINE_MAX),
            b"two\n".repeat(3 * BATCH),
            vec![b'c'; 2 * LINE_MAX],
        ]
        .concat();
        let mut expected = vec![Ok(4), Ok(2), Ok(1), Ok(LINE_MAX + 1), Err(b'b'), Err(b'{')];
        expected.extend([Ok(4)].repeat(3 * BATCH));
        expected.push(Err(b'c'));
        for step in [1_000, LINE_MAX, LINE_MAX + 1, usize::MAX] {
            assert_eq!(lines(&input, step), expected, "{step}");
        }
        assert_eq!(lines(b"a\nlast", 1), [Ok(2), Ok(4)]);
        assert_eq!(lines(b"", 1), []);
    }
}

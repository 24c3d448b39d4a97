//! Line and column of a position in a stream that is read piece by piece.

/// Counts lines up to a position. Lines and columns begin at 1, and columns count bytes.
#[derive(Debug, Default)]
pub struct Position {
    lines: u64,
    /// The position at which the line begins, and the one up to which lines were counted.
    line_start: u64,
    counted: u64,
}

impl Position {
    /// Advances to `to`, in a piece that begins at `base` of the stream.
    pub fn advance(&mut self, piece: &[u8], base: u64, to: usize) {
        let passed = &piece[self.passed(base).min(to)..to];
        if let Some(last) = memchr::memrchr(b'\n', passed) {
            self.lines += memchr::memchr_iter(b'\n', passed).count() as u64;
            self.line_start = self.counted + last as u64 + 1;
        }
        self.counted = self.counted.max(base + to as u64);
    }

    /// The position up to which lines were counted, in a piece that begins at `base`.
    pub fn passed(&self, base: u64) -> usize {
        usize::try_from(self.counted.saturating_sub(base)).unwrap_or(usize::MAX)
    }

    /// Line and column of `at`, up to which lines were counted.
    pub fn of(&self, at: u64) -> (u64, u64) {
        (self.lines + 1, (at + 1).saturating_sub(self.line_start))
    }
}

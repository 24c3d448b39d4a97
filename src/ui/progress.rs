//! The progress of a long command: one line on a terminal, which appears after a second, is rewritten in place,
//! and is removed at the end.

use std::io::Write;
use std::time::Duration;

/// A command that takes less time shows no progress.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a line is shown before it is rewritten.
const PAUSE: Duration = Duration::from_millis(100);
/// Returns to the first column and clears the line.
const ERASE: &[u8] = b"\r\x1b[K";

/// When the line was written, by a monotonic clock.
#[derive(Debug)]
pub struct Progress {
    began: Duration,
    last: Option<Duration>,
    shown: bool,
}

impl Progress {
    pub fn since(began: Duration) -> Self {
        Self { began, last: None, shown: false }
    }

    pub fn is_shown(&self) -> bool {
        self.shown
    }

    /// Whether to write the line now: not at first, not too often, but at once if other output has replaced it.
    pub fn is_due(&self, now: Duration) -> bool {
        match self.last {
            None => now.saturating_sub(self.began) >= PATIENCE,
            Some(last) => !self.shown || now.saturating_sub(last) >= PAUSE,
        }
    }

    /// Writes the line at once. Errors are ignored, since it is only information.
    pub fn show(&mut self, now: Duration, line: &str, err: &mut dyn Write) {
        let _ = err.write_all(&[b"\r", line.as_bytes(), b"\x1b[K"].concat());
        (self.last, self.shown) = (Some(now), true);
    }

    pub fn erase(&mut self, err: &mut dyn Write) {
        if self.shown {
            let _ = err.write_all(ERASE);
            self.shown = false;
        }
    }
}

/// The description and the count of the progress, cut to fit beside the cursor. `of` is 0 if the total is unknown.
pub fn line(what: &str, done: u64, of: u64, columns: u16) -> String {
    let fits = |line: &String| line.len() < usize::from(columns);
    let full = match of {
        0 => what.to_owned(),
        of => format!("{what} {} of {}", grouped(done.min(of)), grouped(of)),
    };
    let share = || format!("{}%", u128::from(done.min(of)) * 100 / u128::from(of.max(1)));
    Some(full).filter(fits).or_else(|| Some(share()).filter(|line| of > 0 && fits(line))).unwrap_or_default()
}

/// Formats a number like `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Progress, line};
    use std::time::Duration;

    #[test]
    fn a_line_never_fills_its_row() {
        assert_eq!(line("checking tokens", 120_000, 1_000_000, 80), "checking tokens 120,000 of 1,000,000");
        for (columns, expected) in
            [(37, "checking tokens 120,000 of 1,000,000"), (36, "12%"), (4, "12%"), (3, ""), (0, "")]
        {
            assert_eq!(line("checking tokens", 120_000, 1_000_000, columns), expected);
        }
        assert_eq!(line("checking the database", 0, 0, 80), "checking the database");
        assert_eq!(line("checking the database", 0, 0, 21), "");
        assert_eq!(line("x", 2, 1, 80), "x 1 of 1");
        assert_eq!(line("x", 999, 1_000, 80), "x 999 of 1,000");
    }

    #[test]
    fn a_line_comes_after_a_second_and_stays_for_a_while() {
        let at = Duration::from_millis;
        let (mut progress, mut err) = (Progress::since(at(5_000)), Vec::new());
        assert_eq!([5_000, 5_999, 6_000].map(|now| progress.is_due(at(now))), [false, false, true]);
        progress.show(at(6_000), "a", &mut err);
        assert_eq!([6_000, 6_099, 6_100].map(|now| progress.is_due(at(now))), [false, false, true]);
        progress.erase(&mut err);
        assert!(progress.is_due(at(6_001)));
        progress.erase(&mut err);
        assert_eq!(err, b"\ra\x1b[K\r\x1b[K");
    }
}

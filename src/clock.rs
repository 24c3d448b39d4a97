//! The clock of this machine, which only this module reads.

use crate::domain::when::Clock;

/// The time of day of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one reading of the clock")]
    fn unix(&self) -> i64 {
        chrono::Utc::now().timestamp()
    }

    #[expect(clippy::disallowed_methods, reason = "the one reading of the clock")]
    fn micros(&self) -> i64 {
        chrono::Utc::now().timestamp_micros()
    }
}

//! Time in whole UTC seconds, with checked arithmetic.

mod past;
mod typed;

use std::fmt;
use std::str::FromStr;

use super::Invalid;
pub use past::Past;
pub use typed::{Edge, Expiry, When, Zone, is_never, is_none, ttl};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const UNITS: [(&str, i64); 7] =
    [("s", 1), ("m", MINUTE), ("h", HOUR), ("d", DAY), ("w", 7 * DAY), ("mo", 30 * DAY), ("y", 365 * DAY)];

/// A duration in whole seconds, from 0 to 100 years of 365 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(i64);

impl Span {
    pub const MAX: Span = Span(100 * 365 * DAY);

    /// Returns `None` outside of 0 to [`Span::MAX`].
    pub fn from_secs(secs: i64) -> Option<Self> {
        (0..=Self::MAX.0).contains(&secs).then_some(Self(secs))
    }

    pub const fn days(days: u16) -> Self {
        Self(days as i64 * DAY)
    }

    pub const fn hours(hours: u16) -> Self {
        Self(hours as i64 * HOUR)
    }

    pub const fn minutes(minutes: u16) -> Self {
        Self(minutes as i64 * MINUTE)
    }

    pub const fn secs(self) -> i64 {
        self.0
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl FromStr for Span {
    type Err = Invalid;

    /// Parses one number and one unit: `90d`, `24h`, `6mo`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = |why: &str| {
            Invalid::new(format!("`{}` is not a duration: {why}", text.escape_debug()))
                .hint("use one number and one unit of s m h d w mo (30 d) y (365 d), like `90d`")
        };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(invalid("it does not start with a number"));
        }
        let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(invalid(if unit.is_empty() { "the unit is missing" } else { "no such unit" }));
        };
        number
            .parse::<i64>()
            .ok()
            .and_then(|n| n.checked_mul(*factor))
            .and_then(Self::from_secs)
            .ok_or_else(|| invalid("longer than 100 years"))
    }
}

impl fmt::Display for Span {
    /// Uses the largest unit that divides the duration, as in `90d`, `36h` and `0s`. The result can be
    /// parsed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = [("d", DAY), ("h", HOUR), ("m", MINUTE)]
            .into_iter()
            .find(|(_, factor)| self.0 > 0 && self.0 % factor == 0)
            .unwrap_or(("s", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

/// An instant in whole UTC seconds, from 2020-01-01 to 9999-12-31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 2020-01-01T00:00:00Z. An earlier clock is wrong.
    pub const MIN: Timestamp = Timestamp(1_577_836_800);
    /// 9999-12-31T23:59:59Z. Later years could not be parsed.
    pub const MAX: Timestamp = Timestamp(253_402_300_799);

    /// Returns `None` outside of 2020 to 9999.
    pub fn from_unix(secs: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&secs).then_some(Self(secs))
    }

    pub const fn unix(self) -> i64 {
        self.0
    }

    /// Returns `None` if the sum is outside of 2020 to 9999.
    pub fn plus(self, span: Span) -> Option<Self> {
        self.0.checked_add(span.0).and_then(Self::from_unix)
    }

    /// The instant `span` before this one, but not before 2020.
    #[must_use]
    pub fn minus(self, span: Span) -> Self {
        Self((self.0 - span.0).max(Self::MIN.0))
    }

    /// Seconds from `earlier` to `self`. Negative if `earlier` is later.
    pub const fn since(self, earlier: Timestamp) -> i64 {
        self.0 - earlier.0
    }

    /// Parses the form that [`Timestamp::rfc3339`] writes.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let digits: &[u8; 20] = text.as_bytes().try_into().ok()?;
        let number = |from: usize, to: usize| {
            digits[from..to].iter().fold(0, |number, digit| number * 10 + i64::from(digit.wrapping_sub(b'0')))
        };
        // Converts a civil date to days since 1970, as the inverse of `rfc3339`. The comparison below refuses
        // an invalid date, because `rfc3339` never prints one.
        let (year, month) = (number(0, 4) - i64::from(number(5, 7) < 3), (number(5, 7) + 9) % 12);
        let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + number(8, 10);
        let time = number(11, 13) * HOUR + number(14, 16) * MINUTE + number(17, 19);
        let time = Self::from_unix((days - 719_469) * DAY + time)?;
        (time.rfc3339() == *digits).then_some(time)
    }

    /// Formats `2027-01-31T00:00:00Z` without chrono, because a list of a million tokens formats millions of
    /// these.
    pub fn rfc3339(self) -> [u8; 20] {
        // All numbers are positive and small, and 32-bit division is faster than 64-bit division.
        let [days, rest] = [self.0 / DAY, self.0 % DAY].map(|number| u32::try_from(number).unwrap_or(0));
        // Civil date from days since 1970 (Howard Hinnant, chrono-Compatible Low-Level Date Algorithms).
        let z = days + 719_468;
        let (era, doe) = (z / 146_097, z % 146_097);
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
        let year = yoe + era * 400 + u32::from(month <= 2);
        let mut text = *b"0000-00-00T00:00:00Z";
        let mut put = |at: usize, width: usize, mut value: u32| {
            for slot in text[at..at + width].iter_mut().rev() {
                *slot = b'0' + u8::try_from(value % 10).unwrap_or(0);
                value /= 10;
            }
        };
        put(0, 4, year);
        put(5, 2, month);
        put(8, 2, day);
        put(11, 2, rest / 3_600);
        put(14, 2, rest / 60 % 60);
        put(17, 2, rest % 60);
        text
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.rfc3339();
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// The error for a wrong clock: outside of 2020 to 9999, or too far behind the last change of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockWrong(pub String);

impl ClockWrong {
    /// How far the clock can be behind the last change before it counts as wrong: five minutes, in seconds.
    pub const TOLERANCE: i64 = 5 * 60;

    /// Fails if `now` is further behind the last change of the store than [`Self::TOLERANCE`].
    pub fn check(now: Timestamp, last_change: Option<Timestamp>) -> Result<(), Self> {
        match last_change.filter(|last| last.since(now) > Self::TOLERANCE) {
            Some(last) => Err(Self(format!("the clock says {now}, but the last change was made at {last}"))),
            None => Ok(()),
        }
    }
}

/// A clock. Each decision reads it only once.
pub trait Clock {
    /// Unix seconds.
    fn unix(&self) -> i64;

    /// Unix microseconds.
    fn micros(&self) -> i64 {
        self.unix().saturating_mul(1_000_000)
    }

    fn now(&self) -> Result<Timestamp, ClockWrong> {
        Timestamp::from_unix(self.unix())
            .ok_or_else(|| ClockWrong("the clock is outside of the years 2020 to 9999".to_owned()))
    }
}

/// A stopped clock, for work that must use the same time however long it takes.
impl Clock for Timestamp {
    fn unix(&self) -> i64 {
        self.0
    }
}

/// The rounded time until or since an instant, for people: `in 3 months`, `3 hours ago`, `just now`.
pub fn relative(instant: Timestamp, now: Timestamp) -> String {
    let secs = instant.since(now);
    let size = secs.unsigned_abs();
    let unit = [("year", 365 * DAY), ("month", 30 * DAY), ("day", DAY), ("hour", HOUR), ("minute", MINUTE)]
        .into_iter()
        .find(|(_, len)| size >= 2 * len.unsigned_abs())
        .unwrap_or(("second", 1));
    let len = unit.1.unsigned_abs();
    match (size + len / 2) / len {
        0 => "just now".to_owned(),
        n => {
            let plural = if n == 1 { "" } else { "s" };
            if secs > 0 {
                format!("in {n} {}{plural}", unit.0)
            } else {
                format!("{n} {}{plural} ago", unit.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn a_clock_may_be_five_minutes_behind_the_last_change() {
        let at = |secs| Timestamp::from_unix(Timestamp::MIN.unix() + secs).unwrap();
        assert!(ClockWrong::check(at(0), Some(at(300))).is_ok());
        assert!(ClockWrong::check(at(0), Some(at(301))).is_err());
    }

    #[test]
    fn the_days_around_a_leap_day_are_printed_as_they_were_read() {
        for text in [
            "2024-02-29T00:00:00Z",
            "2100-02-28T23:59:59Z",
            "2100-03-01T00:00:00Z",
            "2400-02-29T23:59:59Z",
            "2400-03-01T00:00:00Z",
        ] {
            assert_eq!(Timestamp::from_rfc3339(text).map(|time| time.to_string()).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_duration_is_one_number_and_one_unit() {
        for (text, secs) in [("0s", 0), ("1m", 60), ("2h", 7200), ("1d", 86400), ("2w", 1_209_600)] {
            assert_eq!(text.parse::<Span>().map(Span::secs), Ok(secs), "{text}");
        }
        assert_eq!("1mo".parse(), "30d".parse::<Span>());
        assert_eq!("1y".parse(), "365d".parse::<Span>());
        assert_eq!("100y".parse::<Span>().map(Span::secs), Ok(3_153_600_000));
        for text in [
            "",
            "d",
            "90",
            "1.5d",
            "-1d",
            "+1d",
            "1 d",
            "1D",
            "1M",
            "1d12h",
            "1µs",
            "101y",
            "99999999999999999999s",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        assert_eq!(Span::hours(0).to_string(), "0s");
    }

    proptest::proptest! {
        #[test]
        fn a_printed_duration_can_be_parsed(secs in 0..=Span::MAX.0) {
            let span = Span::from_secs(secs).unwrap();
            proptest::prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn a_printed_instant_is_what_chrono_prints(secs in Timestamp::MIN.0..=Timestamp::MAX.0) {
            let expected = DateTime::from_timestamp(secs, 0).unwrap().format("%Y-%m-%dT%H:%M:%SZ").to_string();
            proptest::prop_assert_eq!(Timestamp(secs).to_string(), expected.clone());
            proptest::prop_assert_eq!(Timestamp::from_rfc3339(&expected), Some(Timestamp(secs)));
        }

        #[test]
        fn a_parsed_instant_is_printed_as_it_was_written(text in "[0-9]{3}[0-9a-z]-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9:]{2}:[0-9]{2}Z|.{18,22}") {
            let read = Timestamp::from_rfc3339(&text).map(|time| time.to_string());
            let expected = DateTime::parse_from_rfc3339(&text).ok().and_then(|time| Timestamp::from_unix(time.timestamp()));
            let expected = expected.filter(|time| time.to_string() == text);
            proptest::prop_assert_eq!(read, expected.map(|time| time.to_string()));
        }

        #[test]
        fn no_text_makes_the_duration_parser_panic(text in ".{0,40}") {
            let _ = text.parse::<Span>().is_ok();
        }
    }
}

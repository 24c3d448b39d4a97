//! Times as people type them: dates, RFC 3339 times and durations from now.

use std::str::FromStr;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, Timelike};

use super::{Span, Timestamp};
use crate::domain::Invalid;

/// The time zone of local dates.
pub trait Zone {
    /// The first instant at or after a local wall-clock time, in Unix seconds.
    fn unix(&self, day: NaiveDate, time: NaiveTime) -> Option<i64>;
}

/// Whether a date without a time means its first or its last second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    Start,
    End,
}

/// A typed instant: a date, an RFC 3339 time, or a duration from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    In(Span),
    At(Timestamp),
    On(NaiveDate),
}

impl When {
    pub fn resolve(self, now: Timestamp, zone: &dyn Zone, edge: Edge) -> Result<Timestamp, Invalid> {
        let out_of_range = || Invalid::new("the time is outside of the years 2020 to 9999");
        match self {
            When::In(span) => now.plus(span).ok_or_else(out_of_range),
            When::At(instant) => Ok(instant),
            When::On(day) => {
                let unix = match edge {
                    Edge::Start => zone.unix(day, NaiveTime::MIN),
                    Edge::End => day
                        .checked_add_days(Days::new(1))
                        .and_then(|next| zone.unix(next, NaiveTime::MIN))
                        .map(|midnight| midnight - 1),
                };
                unix.and_then(Timestamp::from_unix).ok_or_else(out_of_range)
            }
        }
    }
}

impl FromStr for When {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = |why: &str| {
            Invalid::new(format!("`{}` is not a time: {why}", text.escape_debug()))
                .hint("use a date `2027-01-31`, a time `2027-01-31T12:00:00Z`, or a duration `30d`")
        };
        if let Some(day) = date_in_other_format(text) {
            return Err(Invalid::new(format!(
                "`{}` is not a date in the form YYYY-MM-DD",
                text.escape_debug()
            ))
            .hint(format!("`{day}`")));
        }
        let dashed = text.as_bytes().get(4) == Some(&b'-');
        if !dashed {
            return text.parse().map(When::In).map_err(|err: Invalid| {
                if text.starts_with(|c: char| c.is_ascii_digit()) { err } else { invalid("not understood") }
            });
        }
        if text.len() == 10 {
            let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| invalid("no such day"))?;
            if !(2020..=9999).contains(&day.year()) {
                return Err(invalid("outside of the years 2020 to 9999"));
            }
            return Ok(When::On(day));
        }
        let time = DateTime::parse_from_rfc3339(text).map_err(|_| invalid("not a date and not RFC 3339"))?;
        if time.nanosecond() >= 1_000_000_000 {
            return Err(invalid("leap seconds are not kept"));
        }
        Timestamp::from_unix(time.timestamp())
            .map(When::At)
            .ok_or_else(|| invalid("outside of the years 2020 to 9999"))
    }
}

/// The day that is meant by a date in another format, such as `2027/06/30`, `20270630` or `30.6.2027`. `None`
/// if day and month could be confused.
fn date_in_other_format(text: &str) -> Option<NaiveDate> {
    let parts: Vec<&str> = match text.len() {
        8 if text.bytes().all(|b| b.is_ascii_digit()) => vec![&text[..4], &text[4..6], &text[6..]],
        ..=10 => text.split(['/', '.', '-']).collect(),
        _ => return None,
    };
    let [first, month, last] = parts[..] else { return None };
    let (year, day) = match (first.len(), last.len()) {
        (4, _) => (first, last),
        (_, 4) if text.contains('.') => (last, first),
        _ => return None,
    };
    let day = NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)?;
    (day.to_string() != text).then_some(day)
}

/// Whether the text means that there is no value: `none`, or an empty text.
pub fn is_none(text: &str) -> bool {
    matches!(text, "none" | "")
}

/// Whether the text means that there is no duration or expiry: `none`, `never`, or an empty text.
pub fn is_never(text: &str) -> bool {
    is_none(text) || text == "never"
}

/// Parses a lifetime for `--ttl`. The error for `never` names the flag to use instead.
pub fn ttl(text: &str) -> Result<Span, Invalid> {
    if is_never(text) { Err(endless(text, "a duration")) } else { text.parse() }
}

fn endless(text: &str, kind: &str) -> Invalid {
    Invalid::new(format!("`{text}` is not {kind}")).hint("use `--no-expiry` for a token that never expires")
}

/// An expiry for `--expires`: a date or an RFC 3339 time, never a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry(pub When);

impl FromStr for Expiry {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if is_never(text) {
            return Err(endless(text, "a date"));
        }
        // Text that starts with a digit is parsed as a duration, and the error of that parser would be
        // misleading here.
        let is_date = text.contains('-') || date_in_other_format(text).is_some();
        let not_a_date = || {
            Invalid::new(format!("`{}` is not a date", text.escape_debug()))
                .hint("use a date `2027-01-31`, or a time `2027-01-31T12:00:00Z`")
        };
        match text.parse().map_err(|err| if is_date { err } else { not_a_date() })? {
            When::In(_) => Err(Invalid::new(format!("`{text}` is a duration, not a date"))
                .hint(format!("use `--ttl {text}` for a lifetime from now"))),
            when => Ok(Expiry(when)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Utc;
    impl Zone for Utc {
        fn unix(&self, day: NaiveDate, time: NaiveTime) -> Option<i64> {
            Some(day.and_time(time).and_utc().timestamp())
        }
    }

    fn resolve(text: &str, edge: Edge) -> String {
        let when: When = text.parse().expect(text);
        when.resolve(Timestamp::MIN, &Utc, edge).expect(text).to_string()
    }

    #[test]
    fn a_bare_date_is_the_end_or_the_start_of_its_day() {
        assert_eq!(resolve("2027-01-31", Edge::End), "2027-01-31T23:59:59Z");
        assert_eq!(resolve("2027-01-31", Edge::Start), "2027-01-31T00:00:00Z");
        assert_eq!(resolve("2027-01-31T12:00:00+02:00", Edge::End), "2027-01-31T10:00:00Z");
        assert_eq!(resolve("90d", Edge::Start), "2020-03-31T00:00:00Z");
    }

    #[test]
    fn invalid_times_and_unsupported_years_are_refused() {
        for text in [
            "2019-12-31",
            "2027-02-30",
            "2027-1-1",
            "10000-01-01",
            "2027-01-31T25:00:00Z",
            "2026-06-30T23:59:60Z",
            "tomorrow",
        ] {
            assert!(text.parse::<When>().is_err(), "{text}");
        }
        assert_eq!(resolve("9999-12-31", Edge::End), Timestamp::MAX.to_string());
        assert!(Timestamp::MAX.plus("1s".parse().unwrap()).is_none());
    }

    #[test]
    fn an_expiry_is_never_a_duration() {
        let refused = "90d".parse::<Expiry>().unwrap_err();
        assert_eq!(refused.hint.as_deref(), Some("use `--ttl 90d` for a lifetime from now"));
        assert!("2027-01-31".parse::<Expiry>().is_ok());
    }

    #[test]
    fn a_date_in_another_format_gets_a_hint_with_the_right_one() {
        for (text, hint) in [
            ("2027/06/30", "`2027-06-30`"),
            ("20270630", "`2027-06-30`"),
            ("24.12.2026", "`2026-12-24`"),
            ("2027-6-30", "`2027-06-30`"),
            ("never", "use `--no-expiry` for a token that never expires"),
            ("none", "use `--no-expiry` for a token that never expires"),
            ("06/07/2027", "use a date `2027-01-31`, or a time `2027-01-31T12:00:00Z`"),
            ("90x", "use a date `2027-01-31`, or a time `2027-01-31T12:00:00Z`"),
        ] {
            let refused = text.parse::<Expiry>().unwrap_err();
            assert_eq!(refused.hint.as_deref(), Some(hint), "{text}");
            assert!(!refused.message.contains("duration"), "{}", refused.message);
        }
        assert_eq!(ttl("never").unwrap_err().hint, "never".parse::<Expiry>().unwrap_err().hint);
        assert_eq!(ttl("90d"), "90d".parse());
        // Eight digits that are not a day, or text that is not a date at all.
        assert!(date_in_other_format("20271301").is_none() && date_in_other_format("1.2.3").is_none());
        assert!(date_in_other_format("ééé").is_none() && date_in_other_format("2027-06-30").is_none());
    }

    proptest::proptest! {
        #[test]
        fn a_printed_instant_can_be_typed(secs in Timestamp::MIN.unix()..=Timestamp::MAX.unix()) {
            let instant = Timestamp::from_unix(secs).unwrap();
            proptest::prop_assert_eq!(instant.to_string().parse(), Ok(When::At(instant)));
        }

        #[test]
        fn no_text_makes_a_typed_time_panic(text in ".{0,40}") {
            let _ = text.parse::<Expiry>().is_ok();
        }
    }
}

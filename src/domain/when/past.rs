//! An instant in the past, as people type it.

use std::str::FromStr;

use chrono::{DateTime, Days, NaiveDate, NaiveTime};

use super::{Edge, Timestamp, When, Zone};
use crate::domain::Invalid;

/// A date, an RFC 3339 time, a duration before now, `today` or `yesterday`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    Today,
    Yesterday,
    At(When),
}

impl Past {
    /// Returns the instant. A day means its first or last second, as `edge` says.
    pub fn resolve(self, now: Timestamp, zone: &dyn Zone, edge: Edge) -> Result<Timestamp, Invalid> {
        let back = match self {
            Self::At(When::In(span)) => return Ok(now.minus(span)),
            Self::At(when) => return when.resolve(now, zone, edge),
            Self::Today => 0,
            Self::Yesterday => 1,
        };
        let today = today(now, zone);
        let day = today.checked_sub_days(Days::new(back)).unwrap_or(today);
        When::On(day).resolve(now, zone, edge)
    }
}

/// The local date: the latest of the days around the UTC date that has begun.
fn today(now: Timestamp, zone: &dyn Zone) -> NaiveDate {
    let utc = DateTime::from_timestamp(now.unix(), 0).unwrap_or_default().date_naive();
    let has_begun =
        |day: &NaiveDate| zone.unix(*day, NaiveTime::MIN).is_some_and(|start| start <= now.unix());
    let days = [utc.succ_opt(), Some(utc), utc.pred_opt()];
    days.into_iter().flatten().find(has_begun).unwrap_or(utc)
}

impl FromStr for Past {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "today" => Ok(Self::Today),
            "yesterday" => Ok(Self::Yesterday),
            _ => text.parse().map(Self::At),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A zone this many hours east of Greenwich.
    struct East(i64);

    impl Zone for East {
        fn unix(&self, day: NaiveDate, time: NaiveTime) -> Option<i64> {
            Some(day.and_time(time).and_utc().timestamp() - self.0 * 3600)
        }
    }

    #[track_caller]
    fn assert_resolves(text: &str, now: &str, east: i64, edge: Edge, expected: &str) {
        let When::At(now) = now.parse().unwrap() else { panic!("{now}") };
        let past: Past = text.parse().unwrap();
        assert_eq!(past.resolve(now, &East(east), edge).unwrap().to_string(), expected, "{text} at {now}");
    }

    #[test]
    fn days_follow_the_time_zone() {
        let noon = "2027-03-05T12:00:00Z";
        assert_resolves("today", noon, 0, Edge::Start, "2027-03-05T00:00:00Z");
        assert_resolves("today", noon, 13, Edge::Start, "2027-03-05T11:00:00Z");
        assert_resolves("today", "2027-03-05T01:00:00Z", -5, Edge::Start, "2027-03-04T05:00:00Z");
        assert_resolves("yesterday", noon, 0, Edge::Start, "2027-03-04T00:00:00Z");
        assert_resolves("yesterday", noon, 0, Edge::End, "2027-03-04T23:59:59Z");
    }

    #[test]
    fn a_duration_counts_back_from_now() {
        let noon = "2027-03-05T12:00:00Z";
        assert_resolves("2h", noon, 0, Edge::Start, "2027-03-05T10:00:00Z");
        assert_resolves("7d", noon, 0, Edge::End, "2027-02-26T12:00:00Z");
        assert_resolves("2027-01-31", noon, 0, Edge::End, "2027-01-31T23:59:59Z");
        assert!("tomorrow".parse::<Past>().is_err());
    }
}

//! How long secrets live, and the order that the lengths of a token must keep.

use super::Invalid;
use super::when::{Span, Timestamp};

/// What ends the secrets of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Every new secret gets it afresh.
    Ttl(Span),
    /// No secret outlives it.
    Until(Timestamp),
    Endless,
}

impl Lifetime {
    /// The end of a secret made now.
    pub fn end(self, now: Timestamp) -> Result<Option<Timestamp>, Invalid> {
        match self {
            Self::Ttl(span) if span.is_zero() => {
                Err(Invalid::new("a lifetime of nothing").hint("`--ttl 90d`"))
            }
            Self::Ttl(span) => {
                now.plus(span).map(Some).ok_or_else(|| Invalid::new("the lifetime ends after the year 9999"))
            }
            Self::Until(end) if end <= now => {
                Err(Invalid::new(format!("the end {end} is in the past")).hint("a date to come"))
            }
            Self::Until(end) => Ok(Some(end)),
            Self::Endless => Ok(None),
        }
    }

    pub fn ttl(self) -> Option<Span> {
        if let Self::Ttl(span) = self { Some(span) } else { None }
    }

    pub fn until(self) -> Option<Timestamp> {
        if let Self::Until(end) = self { Some(end) } else { None }
    }

    /// Whether a secret made now would live longer than the store admits.
    pub fn exceeds(self, max: Span, now: Timestamp) -> bool {
        match self {
            Self::Ttl(span) => span > max,
            Self::Until(end) => end.since(now) > max.secs(),
            Self::Endless => true,
        }
    }
}

/// The times that are given of a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// None: the store's default.
    pub lifetime: Option<Lifetime>,
    pub not_before: Option<Timestamp>,
    pub rotate_every: Option<Span>,
    /// None: as the store says.
    pub grace: Option<Span>,
}

/// Fails if it would start to work only after it has expired.
pub fn starts_before(start: Option<Timestamp>, expiry: Option<Timestamp>) -> Result<(), Invalid> {
    match (start, expiry) {
        (Some(start), Some(expiry)) if expiry <= start => {
            Err(Invalid::new(format!("it would start at {start}, not before its end at {expiry}"))
                .hint("an earlier `--not-before` or a later end"))
        }
        _ => Ok(()),
    }
}

/// `grace` < `rotate-every` < `ttl`: a secret must be replaced before it ends, and its predecessor be gone by the
/// next turn. The grace in force is the token's own or the store's; without a rotation only its own is held to that.
pub fn in_order(
    lifetime: Lifetime,
    rotate_every: Option<Span>,
    own_grace: Option<Span>,
    default_grace: Span,
) -> Result<(), Invalid> {
    let Some(every) = rotate_every else {
        return match (own_grace, lifetime) {
            (Some(grace), Lifetime::Ttl(ttl)) if grace >= ttl => {
                Err(Invalid::new(format!("the grace ({grace}) is not shorter than the lifetime ({ttl})"))
                    .hint("a shorter `--grace` or a longer `--ttl`"))
            }
            _ => Ok(()),
        };
    };
    let grace = own_grace.unwrap_or(default_grace);
    if every.is_zero() {
        return Err(Invalid::new("a rotation every 0 seconds").hint("`--rotate-every 30d`"));
    }
    if grace >= every {
        return Err(Invalid::new(format!("the grace ({grace}) is not shorter than the rotation ({every})"))
            .hint("a shorter `--grace` or a longer `--rotate-every`"));
    }
    match lifetime {
        Lifetime::Ttl(ttl) if every >= ttl => {
            Err(Invalid::new(format!("the rotation ({every}) is not shorter than the lifetime ({ttl})"))
                .hint("a shorter `--rotate-every` or a longer `--ttl`"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::tests::at;

    #[test]
    fn an_end_is_in_the_future_or_none() {
        let day = Span::days(1);
        assert_eq!(Lifetime::Ttl(day).end(at(5)), Ok(Some(at(86_405))));
        assert_eq!(Lifetime::Until(at(9)).end(at(5)), Ok(Some(at(9))));
        assert!(Lifetime::Until(at(5)).end(at(5)).is_err());
        assert!(Lifetime::Ttl(Span::hours(0)).end(at(5)).is_err());
        assert!(Lifetime::Ttl(day).end(Timestamp::MAX).is_err());
        assert_eq!(Lifetime::Endless.end(at(5)), Ok(None));
    }

    #[test]
    fn no_lifetime_may_exceed_the_longest() {
        let max = Span::days(30);
        assert!(!Lifetime::Ttl(max).exceeds(max, at(0)));
        assert!(Lifetime::Ttl(Span::days(31)).exceeds(max, at(0)));
        assert!(Lifetime::Until(at(30 * 86_400 + 1)).exceeds(max, at(0)));
        assert!(!Lifetime::Until(at(30 * 86_400)).exceeds(max, at(0)));
        assert!(Lifetime::Endless.exceeds(max, at(0)));
    }

    #[test]
    fn grace_rotation_and_lifetime_keep_their_order() {
        let ok = |ttl, every: u16, grace| {
            in_order(Lifetime::Ttl(Span::days(ttl)), Some(Span::days(every)), None, Span::days(grace))
        };
        assert!(ok(90, 30, 1).is_ok());
        assert!(ok(90, 30, 30).is_err());
        assert!(ok(30, 30, 1).is_err());
        assert!(ok(30, 0, 0).is_err());
        assert!(in_order(Lifetime::Endless, Some(Span::days(30)), None, Span::days(1)).is_ok());
        assert!(in_order(Lifetime::Ttl(Span::hours(1)), None, None, Span::days(1)).is_ok());
        assert!(in_order(Lifetime::Ttl(Span::hours(1)), None, Some(Span::hours(1)), Span::days(1)).is_err());
    }
}

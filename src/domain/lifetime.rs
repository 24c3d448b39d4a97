//! Lifetimes of secrets, and the required order of grace period, rotation interval and lifetime.

use super::Invalid;
use super::when::{Span, Timestamp};

/// How the secrets of a token expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Each new secret is valid for this long.
    Ttl(Span),
    /// No secret is valid after this instant.
    Until(Timestamp),
    Endless,
}

impl Lifetime {
    /// The expiry of a secret that is created now. `None` means that it never expires.
    pub fn expiry(self, now: Timestamp) -> Result<Option<Timestamp>, Invalid> {
        match self {
            Self::Ttl(span) if span.is_zero() => {
                Err(Invalid::new("the lifetime is zero").hint("`--ttl 90d`"))
            }
            Self::Ttl(span) => {
                now.plus(span).map(Some).ok_or_else(|| Invalid::new("the expiry is after the year 9999"))
            }
            Self::Until(end) if end <= now => {
                Err(Invalid::new(format!("the expiry {end} is in the past")).hint("use a date in the future"))
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

    /// Whether a secret that is created now would be valid for longer than `max`.
    pub fn exceeds(self, max: Span, now: Timestamp) -> bool {
        match self {
            Self::Ttl(span) => span > max,
            Self::Until(end) => end.since(now) > max.secs(),
            Self::Endless => true,
        }
    }
}

/// The durations and instants that a user specifies for a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// `None` means the store's default.
    pub lifetime: Option<Lifetime>,
    pub not_before: Option<Timestamp>,
    pub rotate_every: Option<Span>,
    /// `None` means the store's setting.
    pub grace: Option<Span>,
}

/// Fails if the token would become valid only after it has expired.
pub fn starts_before(start: Option<Timestamp>, expiry: Option<Timestamp>) -> Result<(), Invalid> {
    match (start, expiry) {
        (Some(start), Some(expiry)) if expiry <= start => {
            Err(Invalid::new(format!("it would become valid at {start}, but expire at {expiry}"))
                .hint("use an earlier start or a later expiry"))
        }
        _ => Ok(()),
    }
}

/// Checks that `grace` < `rotate-every` < `ttl`: a secret must be replaced before it expires, and the
/// previous secret must have expired before the next rotation. Uses the grace period of the token, or else
/// that of the store. Without rotation, only the token's own grace period is checked.
pub fn in_order(
    lifetime: Lifetime,
    rotate_every: Option<Span>,
    own_grace: Option<Span>,
    default_grace: Span,
) -> Result<(), Invalid> {
    let Some(every) = rotate_every else {
        return match (own_grace, lifetime) {
            (Some(grace), Lifetime::Ttl(ttl)) if grace >= ttl => Err(Invalid::new(format!(
                "the grace period ({grace}) must be shorter than the lifetime ({ttl})"
            ))
            .hint("use a shorter grace period or a longer lifetime")),
            _ => Ok(()),
        };
    };
    let grace = own_grace.unwrap_or(default_grace);
    if every.is_zero() {
        return Err(Invalid::new("the rotation interval is zero").hint("`--rotate-every 30d`"));
    }
    if grace >= every {
        return Err(Invalid::new(format!(
            "the grace period ({grace}) must be shorter than the rotation interval \
                                         ({every})"
        ))
        .hint("use a shorter grace period or a longer rotation interval"));
    }
    match lifetime {
        Lifetime::Ttl(ttl) if every >= ttl => Err(Invalid::new(format!(
            "the rotation interval ({every}) must be shorter than the lifetime ({ttl})"
        ))
        .hint("use a shorter rotation interval or a longer lifetime")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::tests::at;

    #[test]
    fn an_expiry_is_in_the_future_or_absent() {
        let day = Span::days(1);
        assert_eq!(Lifetime::Ttl(day).expiry(at(5)), Ok(Some(at(86_405))));
        assert_eq!(Lifetime::Until(at(9)).expiry(at(5)), Ok(Some(at(9))));
        assert!(Lifetime::Until(at(5)).expiry(at(5)).is_err());
        assert!(Lifetime::Ttl(Span::hours(0)).expiry(at(5)).is_err());
        assert!(Lifetime::Ttl(day).expiry(Timestamp::MAX).is_err());
        assert_eq!(Lifetime::Endless.expiry(at(5)), Ok(None));
    }

    #[test]
    fn a_lifetime_is_compared_with_the_maximum() {
        let max = Span::days(30);
        assert!(!Lifetime::Ttl(max).exceeds(max, at(0)));
        assert!(Lifetime::Ttl(Span::days(31)).exceeds(max, at(0)));
        assert!(Lifetime::Until(at(30 * 86_400 + 1)).exceeds(max, at(0)));
        assert!(!Lifetime::Until(at(30 * 86_400)).exceeds(max, at(0)));
        assert!(Lifetime::Endless.exceeds(max, at(0)));
    }

    #[test]
    fn grace_period_rotation_interval_and_lifetime_must_be_in_order() {
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

    #[test]
    fn a_token_must_become_valid_before_it_expires() {
        assert!(starts_before(Some(at(4)), Some(at(5))).is_ok());
        assert!(starts_before(Some(at(5)), Some(at(5))).is_err());
        assert!(starts_before(Some(at(5)), None).is_ok());
    }
}

//! The flags of a lifetime and of a rotation policy, and their conversion.

pub mod ask;

use clap::Args;

use crate::domain::Invalid;
use crate::domain::lifetime::Lifetime;
use crate::domain::when::{Edge, Expiry, Span, Timestamp, When, Zone, is_never, is_none, ttl};

/// The heading of these flags and of those of a policy.
pub const HEADING: &str = "Lifetime and rotation";

#[derive(Args, Clone, Default)]
#[group(multiple = false)]
pub struct LifetimeArgs {
    /// Make every secret expire after this time, like `90d`
    #[arg(long, value_name = "DURATION", help_heading = HEADING, value_parser = ttl)]
    pub ttl: Option<Span>,
    /// Make every secret expire at this date or RFC 3339 time
    #[arg(long, value_name = "DATE", help_heading = HEADING)]
    pub expires: Option<Expiry>,
    /// The token never expires
    #[arg(long, help_heading = HEADING)]
    pub no_expiry: bool,
}

impl LifetimeArgs {
    /// The lifetime of the flags; `None` without a flag.
    pub fn resolve(&self, now: Timestamp, zone: &dyn Zone) -> Result<Option<Lifetime>, Invalid> {
        if let Some(ttl) = self.ttl {
            return Ok(Some(Lifetime::Ttl(ttl)));
        }
        if let Some(Expiry(when)) = self.expires {
            return when.resolve(now, zone, Edge::End).map(|end| Some(Lifetime::Until(end)));
        }
        Ok(self.no_expiry.then_some(Lifetime::Endless))
    }

    /// The flags for this lifetime.
    pub fn of(lifetime: Lifetime) -> Self {
        Self {
            ttl: lifetime.ttl(),
            expires: lifetime.until().map(|until| Expiry(When::At(until))),
            no_expiry: lifetime == Lifetime::Endless,
        }
    }

    pub fn is_given(&self) -> bool {
        self.ttl.is_some() || self.expires.is_some() || self.no_expiry
    }
}

/// `--not-before`: an instant, or none.
#[derive(Debug, Clone, Copy)]
pub struct NotBefore(Option<When>);

impl std::str::FromStr for NotBefore {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if is_none(text) { Ok(Self(None)) } else { text.parse().map(|when| Self(Some(when))) }
    }
}

impl NotBefore {
    pub fn at(instant: Timestamp) -> Self {
        Self(Some(When::At(instant)))
    }

    pub fn resolve(self, now: Timestamp, zone: &dyn Zone) -> Result<Option<Timestamp>, Invalid> {
        self.0.map(|when| when.resolve(now, zone, Edge::Start)).transpose()
    }
}

/// A duration, or none.
#[derive(Debug, Clone, Copy)]
pub struct Clearable(pub Option<Span>);

impl std::str::FromStr for Clearable {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if is_never(text) { Ok(Self(None)) } else { text.parse().map(|span| Self(Some(span))) }
    }
}

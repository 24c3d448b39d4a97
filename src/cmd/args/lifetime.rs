//! The flags of a lifetime and of a rotation policy, and how they become the token's.

pub mod ask;

use clap::Args;

use crate::domain::Invalid;
use crate::domain::lifetime::Lifetime;
use crate::domain::settings::Settings;
use crate::domain::token::Token;
use crate::domain::when::{Edge, End, Span, Timestamp, When, Zone, is_never, is_none, ttl};
use crate::error::Error;

/// The heading of these flags and of those of a policy.
pub const HEADING: &str = "Lifetime and rotation";

#[derive(Args, Clone, Default)]
#[group(multiple = false)]
pub struct LifetimeArgs {
    /// Let every secret live this long, like `90d`
    #[arg(long, value_name = "DURATION", help_heading = HEADING, value_parser = ttl)]
    pub ttl: Option<Span>,
    /// Let no secret outlive this date or RFC 3339 time
    #[arg(long, value_name = "DATE", help_heading = HEADING)]
    pub expires: Option<End>,
    /// Let it live until it is revoked
    #[arg(long, help_heading = HEADING)]
    pub no_expiry: bool,
}

impl LifetimeArgs {
    /// What the flags say; `None` when there are none.
    pub fn resolve(&self, now: Timestamp, zone: &dyn Zone) -> Result<Option<Lifetime>, Invalid> {
        if let Some(ttl) = self.ttl {
            return Ok(Some(Lifetime::Ttl(ttl)));
        }
        if let Some(End(when)) = self.expires {
            return when.resolve(now, zone, Edge::End).map(|end| Some(Lifetime::Until(end)));
        }
        Ok(self.no_expiry.then_some(Lifetime::Endless))
    }

    /// The flags that say this.
    pub fn of(lifetime: Lifetime) -> Self {
        Self {
            ttl: lifetime.ttl(),
            expires: lifetime.until().map(|until| End(When::At(until))),
            no_expiry: lifetime == Lifetime::Endless,
        }
    }

    pub fn is_given(&self) -> bool {
        self.ttl.is_some() || self.expires.is_some() || self.no_expiry
    }
}

/// The end of a secret made now, if the store admits such a lifetime.
pub fn admitted_end(
    lifetime: Lifetime,
    settings: &Settings,
    now: Timestamp,
) -> Result<Option<Timestamp>, Error> {
    let end = lifetime.end(now)?;
    match settings.max_ttl {
        Some(max) if lifetime.exceeds(max, now) => Err(Error::Policy(
            Invalid::new(format!("the lifetime is longer than this store admits ({max})"))
                .hint(format!("`--ttl {max}` or shorter; `tokenctl settings max-ttl` is the limit")),
        )),
        _ => Ok(end),
    }
}

/// That a change would let an expired token work again, which must be asked for.
pub fn revives(token: &Token) -> Error {
    let end = token.expires_at().map(|end| format!(" at {end}")).unwrap_or_default();
    let expired = Invalid::new(format!("`{}` expired{end}; this would bring it back to life", token.name));
    Error::Policy(expired.hint("pass `--revive` if it should work again, or revoke it"))
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

    /// The instant, which must come before the end.
    pub fn resolve(
        self,
        now: Timestamp,
        end: Option<Timestamp>,
        zone: &dyn Zone,
    ) -> Result<Option<Timestamp>, Invalid> {
        let Some(when) = self.0 else { return Ok(None) };
        let start = when.resolve(now, zone, Edge::Start)?;
        match end {
            Some(end) if end <= start => {
                Err(Invalid::new(format!("it would start at {start}, not before its end at {end}"))
                    .hint("an earlier `--not-before` or a later end"))
            }
            _ => Ok(Some(start)),
        }
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

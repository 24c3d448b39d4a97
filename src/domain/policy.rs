//! The rules for changes that follow from the settings of a store and the state of a token.

use super::Invalid;
use super::lifetime::{Lifetime, Terms, in_order};
use super::settings::Settings;
use super::token::{Revival, Token};
use super::when::{Span, Timestamp};

/// Why a change to a token is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The values are invalid, or contradict each other.
    Invalid(Invalid),
    /// A setting of the store or the state of the token forbids it.
    Forbidden(Invalid),
    /// The token with this name is revoked, which is final.
    Revoked(String),
}

impl From<Invalid> for Refused {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

/// The expiry of a secret that is created now, if the store allows this lifetime.
pub fn allowed_expiry(
    lifetime: Lifetime,
    settings: &Settings,
    now: Timestamp,
) -> Result<Option<Timestamp>, Refused> {
    let expiry = lifetime.expiry(now)?;
    match settings.max_ttl {
        Some(max) if lifetime.exceeds(max, now) => Err(Refused::Forbidden(
            Invalid::new(format!("the lifetime is longer than this store allows ({max})")).hint(format!(
                "use a lifetime of {max} or less; `tokenctl settings max-ttl` shows the limit"
            )),
        )),
        _ => Ok(expiry),
    }
}

/// Fails if an owner or a description is missing that the store requires.
pub fn check_required(
    owner: Option<&String>,
    description: Option<&String>,
    settings: &Settings,
) -> Result<(), Refused> {
    for (required, value, what, flag) in [
        (settings.require_owner, owner, "an owner", "--owner"),
        (settings.require_description, description, "a description", "--description"),
    ] {
        if required && value.is_none() {
            return Err(Refused::Forbidden(super::settings::demand(what).hint(format!("`{flag}`"))));
        }
    }
    Ok(())
}

impl Terms {
    /// Returns the lifetime, which defaults to that of the store, and the expiry of a first secret that is
    /// created now. Fails if these terms contradict each other, or if the store does not allow them.
    pub fn check(
        &self,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<(Lifetime, Option<Timestamp>), Refused> {
        let by_default = || settings.default_ttl.map_or(Lifetime::Endless, Lifetime::Ttl);
        let lifetime = self.lifetime.unwrap_or_else(by_default);
        let expiry = allowed_expiry(lifetime, settings, now)?;
        in_order(lifetime, self.rotate_every, self.grace, settings.grace)?;
        super::lifetime::starts_before(self.not_before, expiry)?;
        Ok((lifetime, expiry))
    }
}

/// Fails if a rotation could not give the token a working secret.
pub fn check_can_rotate(token: &Token) -> Result<(), Refused> {
    if token.revoked_at.is_some() {
        return Err(Refused::Revoked(token.name.to_string()));
    }
    if token.disabled_at.is_some() {
        let disabled = Invalid::new(format!("`{}` is disabled: a new secret would not work", token.name));
        return Err(Refused::Forbidden(disabled.hint("run `tokenctl enable` first")));
    }
    Ok(())
}

/// The error for a change that would revive an expired token, which requires `--revive`.
pub fn expired(token: &Token) -> Refused {
    let end = token.expires_at().map(|end| format!(" at {end}")).unwrap_or_default();
    let expired = Invalid::new(format!("`{}` expired{end}; this would revive it", token.name));
    Refused::Forbidden(
        expired.hint("revive it with `--revive` of `tokenctl rotate` or `tokenctl edit`, or revoke it"),
    )
}

/// The options of a rotation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rotation {
    /// The lifetime of the new secret only. `None` means the lifetime of the token.
    pub lifetime: Option<Lifetime>,
    /// How long the previous secret keeps working. `None` means the grace period of the token, or else of the
    /// store.
    pub grace: Option<Span>,
    /// Whether every other secret expires at once.
    pub at_once: bool,
    /// Whether the rotation policy of the token caused the rotation.
    pub by_policy: bool,
    /// Whether the rotation is allowed to revive an expired token.
    pub revives: bool,
}

/// The effect of a rotation on the secrets of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replacement {
    /// The expiry of the new secret.
    pub expires_at: Option<Timestamp>,
    /// How long the previous secret keeps working. `None` means that all other secrets expire at once.
    pub grace: Option<Span>,
}

impl Rotation {
    /// Returns the expiries that a rotation would set now, if it is allowed.
    pub fn check(&self, token: &Token, settings: &Settings, now: Timestamp) -> Result<Replacement, Refused> {
        check_can_rotate(token)?;
        let expires_at = self.expiry(token, settings, now)?;
        if token.revival(now, self.by_policy) == Revival::Deliberate && !self.revives {
            return Err(expired(token));
        }
        let grace = self.grace.or(token.grace).unwrap_or(settings.grace);
        if self.grace.is_some() {
            in_order(token.lifetime, token.rotate_every, None, grace)?;
        }
        Ok(Replacement { expires_at, grace: (!self.at_once).then_some(grace) })
    }

    fn expiry(
        &self,
        token: &Token,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Refused> {
        let until = token.lifetime.until();
        let forbidden = |why: String| {
            Refused::Forbidden(Invalid::new(why).hint("give it another lifetime with `tokenctl edit`"))
        };
        if let Some(until) = until.filter(|until| *until <= now) {
            return Err(forbidden(format!("`{}` expired at {until}", token.name)));
        }
        let expiry = allowed_expiry(self.lifetime.unwrap_or(token.lifetime), settings, now)?;
        match until {
            Some(until) if expiry.is_none_or(|expiry| expiry > until) => {
                Err(forbidden(format!("no secret of `{}` can be valid after {until}", token.name)))
            }
            _ => Ok(expiry),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::tests::{at, secret, token};

    fn settings(max_days: u16) -> Settings {
        Settings { max_ttl: Some(Span::days(max_days)), ..Settings::default() }
    }

    #[test]
    fn a_rotated_secret_is_valid_no_longer_than_the_store_and_the_token_allow() {
        let mut it = token(vec![secret(1, 0)]);
        it.lifetime = Lifetime::Until(at(10 * 86_400));
        let ttl = |days| Rotation { lifetime: Some(Lifetime::Ttl(Span::days(days))), ..Rotation::default() };
        let expiry = |rotation: Rotation| {
            rotation.check(&it, &settings(20), at(0)).map(|replacement| replacement.expires_at)
        };
        assert_eq!(expiry(Rotation::default()), Ok(Some(at(10 * 86_400))));
        assert_eq!(expiry(ttl(5)), Ok(Some(at(5 * 86_400))));
        assert!(matches!(expiry(ttl(15)), Err(Refused::Forbidden(_))), "longer than the token lives");
        assert!(matches!(expiry(ttl(25)), Err(Refused::Forbidden(_))), "longer than the store allows");
    }

    #[test]
    fn a_grace_period_comes_from_the_rotation_the_token_or_the_store_in_this_order() {
        let mut it = token(vec![secret(1, 0)]);
        let grace = |it: &Token, rotation: Rotation| {
            rotation.check(it, &Settings::default(), at(0)).map(|replacement| replacement.grace)
        };
        assert_eq!(grace(&it, Rotation::default()), Ok(Some(Settings::default().grace)));
        it.grace = Some(Span::hours(2));
        assert_eq!(grace(&it, Rotation::default()), Ok(Some(Span::hours(2))));
        let own = Rotation { grace: Some(Span::hours(1)), ..Rotation::default() };
        assert_eq!(grace(&it, own), Ok(Some(Span::hours(1))));
        assert_eq!(grace(&it, Rotation { at_once: true, ..own }), Ok(None));
    }

    #[test]
    fn a_revoked_or_disabled_token_cannot_be_rotated() {
        let mut it = token(vec![secret(1, 0)]);
        it.disabled_at = Some(at(1));
        assert!(matches!(check_can_rotate(&it), Err(Refused::Forbidden(_))));
        it.revoked_at = Some(at(1));
        assert_eq!(check_can_rotate(&it), Err(Refused::Revoked("demo".to_owned())));
    }
}

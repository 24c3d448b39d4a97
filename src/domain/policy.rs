//! The rules that the settings of a store and the state of a token impose on changes.

use super::Invalid;
use super::lifetime::{Lifetime, Terms, in_order};
use super::settings::Settings;
use super::token::{Revival, Token};
use super::when::{Span, Timestamp};

/// Why a change of a token is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The values are invalid, or do not fit together.
    Invalid(Invalid),
    /// A setting of the store or the state of the token forbids it.
    Forbidden(Invalid),
    /// The token of this name is revoked, which is final.
    Revoked(String),
}

impl From<Invalid> for Refused {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

/// The expiry of a secret made now, if the store allows such a lifetime.
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

/// Fails if this token lacks something that the store requires.
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
    /// The lifetime, which defaults to that of the store, and the expiry of a first secret made now. Fails if these
    /// terms do not fit together or the store does not allow them.
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

/// Fails if no rotation could give the token a working secret.
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

/// The error that a change would revive an expired token, which requires a flag.
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
    /// The lifetime of the new secret alone. `None` means the token's.
    pub lifetime: Option<Lifetime>,
    /// How long the previous secret keeps working. `None` means the token's or the store's grace period.
    pub grace: Option<Span>,
    /// Every other secret expires at once.
    pub at_once: bool,
    /// Whether the token's policy caused it.
    pub by_policy: bool,
    /// Whether an expired token may be revived.
    pub revives: bool,
}

/// The effect of a rotation on the secrets of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replacement {
    /// The expiry of the new secret.
    pub expires_at: Option<Timestamp>,
    /// How long the previous secret keeps working. `None` means that all others expire at once.
    pub grace: Option<Span>,
}

impl Rotation {
    /// The expiries after a rotation of the token now, if it is allowed.
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
    fn a_rotation_gives_no_secret_more_than_the_store_and_the_token_allow() {
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
    fn a_revoked_or_disabled_token_gets_no_secret() {
        let mut it = token(vec![secret(1, 0)]);
        it.disabled_at = Some(at(1));
        assert!(matches!(check_can_rotate(&it), Err(Refused::Forbidden(_))));
        it.revoked_at = Some(at(1));
        assert_eq!(check_can_rotate(&it), Err(Refused::Revoked("demo".to_owned())));
    }
}

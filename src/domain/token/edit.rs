//! The changes that an edit makes to the fields of a token.

use super::Token;
use crate::domain::Invalid;
use crate::domain::address::AllowFrom;
use crate::domain::destination::RememberedDestination;
use crate::domain::lifetime::{Lifetime, in_order, starts_before};
use crate::domain::policy::{Refused, allowed_expiry, check_required, expired};
use crate::domain::settings::Settings;
use crate::domain::text::Label;
use crate::domain::when::{Span, Timestamp};

/// The change of an optional value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Field<T> {
    #[default]
    Keep,
    /// `None` clears the value.
    Set(Option<T>),
}

impl<T: Clone> Field<T> {
    /// The new value of a field that has no value yet.
    pub fn value(&self) -> Option<T> {
        if let Self::Set(value) = self { value.clone() } else { None }
    }

    pub fn apply(&self, value: &mut Option<T>) {
        if let Self::Set(new) = self {
            value.clone_from(new);
        }
    }
}

/// A change of a token; the default changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenChange {
    pub description: Field<String>,
    pub owner: Field<String>,
    pub icon: Field<String>,
    /// A label with an empty value is removed.
    pub labels: Vec<Label>,
    pub lifetime: Option<Lifetime>,
    /// Whether the change is allowed to revive an expired token.
    pub revives: bool,
    pub not_before: Field<Timestamp>,
    pub rotate_every: Field<Span>,
    pub grace: Field<Span>,
    pub destination: Field<RememberedDestination>,
    pub hook: Field<String>,
    pub allow_from: Field<AllowFrom>,
}

impl TokenChange {
    /// Returns the token after this change, if it is allowed now.
    pub fn apply(&self, before: &Token, settings: &Settings, now: Timestamp) -> Result<Token, Refused> {
        if before.revoked_at.is_some() {
            return Err(Refused::Revoked(before.name.to_string()));
        }
        let mut token = before.clone();
        self.description.apply(&mut token.description);
        self.owner.apply(&mut token.owner);
        self.icon.apply(&mut token.icon);
        for label in &self.labels {
            if label.value.is_empty() {
                token.labels.remove(&label.key);
            } else {
                token.labels.insert(label.key.clone(), label.value.clone());
            }
        }
        self.rotate_every.apply(&mut token.rotate_every);
        self.grace.apply(&mut token.grace);
        self.destination.apply(&mut token.destination);
        self.hook.apply(&mut token.hook);
        // The hook of the last rotation might still be pending. If this edit replaces its command, the
        // pending hook gets the new command. A command that was given for that rotation only is kept.
        if token.hook != before.hook
            && let Some(mut pending) =
                token.pending_hook.take_if(|it| Some(&it.command) == before.hook.as_ref())
        {
            token.pending_hook = token.hook.clone().map(|command| {
                pending.command = command;
                pending
            });
        }
        self.allow_from.apply(&mut token.allow_from);
        if let Some(lifetime) = self.lifetime {
            if before.has_expired(now) && !self.revives {
                return Err(expired(before));
            }
            token.set_lifetime(lifetime, allowed_expiry(lifetime, settings, now)?);
        }
        if let Field::Set(start) = self.not_before {
            starts_before(start, token.expires_at())?;
            token.not_before = start;
        }
        if let (Some(start), Some(end)) = (token.not_before, token.expires_at())
            && end <= start
            && token != *before
        {
            let never = format!("`{}` would expire at {end}, before it becomes valid at {start}", token.name);
            return Err(Invalid::new(never).hint("use a later expiry or an earlier start").into());
        }
        in_order(token.lifetime, token.rotate_every, token.grace, settings.grace)?;
        // A requirement that was set later does not apply to a token that is not changed.
        if token != *before {
            check_required(token.owner.as_ref(), token.description.as_ref(), settings)?;
        }
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::tests::{at, secret, token};

    #[test]
    fn fields_that_are_not_set_are_unchanged_and_none_clears_a_field() {
        let mut it = token(vec![secret(1, 0)]);
        (it.owner, it.icon) = (Some("alice".to_owned()), Some("*".to_owned()));
        let change = TokenChange { icon: Field::Set(None), ..TokenChange::default() };
        let after = change.apply(&it, &Settings::default(), at(1)).expect("the change is allowed");
        assert_eq!((after.owner.as_deref(), after.icon), (Some("alice"), None));
        let nothing = TokenChange::default().apply(&it, &Settings::default(), at(1));
        assert_eq!(nothing, Ok(it));
    }

    #[test]
    fn an_edit_cannot_clear_a_field_that_the_store_requires() {
        let mut it = token(vec![secret(1, 0)]);
        it.owner = Some("alice".to_owned());
        let settings = Settings { require_owner: true, ..Settings::default() };
        let change = TokenChange { owner: Field::Set(None), ..TokenChange::default() };
        assert!(matches!(change.apply(&it, &settings, at(1)), Err(Refused::Forbidden(_))));
    }

    #[test]
    fn a_new_lifetime_that_ends_before_the_start_is_refused_and_an_old_one_is_left_alone() {
        let mut it = token(vec![secret(1, 0)]);
        it.not_before = Some(at(90_000));
        let change = TokenChange { lifetime: Some(Lifetime::Ttl(Span::hours(1))), ..TokenChange::default() };
        let Err(Refused::Invalid(why)) = change.apply(&it, &Settings::default(), at(1)) else { panic!() };
        assert!(why.message.contains("before it becomes valid"), "{}", why.message);
        it.secrets[0].expires_at = Some(at(90_000));
        let nothing = TokenChange::default().apply(&it, &Settings::default(), at(1));
        assert_eq!(nothing, Ok(it));
    }
}

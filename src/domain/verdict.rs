//! Decides whether a presented secret is valid, and if not, gives the first reason that applies.

use std::net::IpAddr;

use super::address::AllowFrom;
use super::scope::{Catalogue, Scope};
use super::text::Label;
use super::token::{Role, Status, StoredSecret, Token};
use super::when::Timestamp;

/// The reason why a secret is refused, or `Valid`. If several reasons apply, it is the first in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Malformed,
    Unknown,
    Revoked,
    Disabled,
    /// A rotation replaced the secret, and its grace period is over.
    Superseded,
    Expired,
    NotYetValid,
    /// The secret was presented from an address that the token does not allow, or from an unknown address.
    SourceNotAllowed,
    ScopeMissing,
    LabelMismatch,
    Valid,
}

impl Reason {
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
            Self::Disabled => "disabled",
            Self::Superseded => "superseded",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::SourceNotAllowed => "source_not_allowed",
            Self::ScopeMissing => "scope_missing",
            Self::LabelMismatch => "label_mismatch",
            Self::Valid => "valid",
        }
    }
}

/// What a verifier requires.
#[derive(Debug, Clone, Default)]
pub struct Requirements {
    /// The token must hold all of these scopes.
    pub scopes: Vec<Scope>,
    /// The token must have all of these labels.
    pub labels: Vec<Label>,
    /// The address from which the secret was presented, if known.
    pub address: Option<IpAddr>,
}

/// Returns why a stored secret is refused now, or `None` if it is not refused.
pub fn refusal(token: &Token, secret: &StoredSecret, now: Timestamp) -> Option<Reason> {
    match token.secret_status(secret, now) {
        Status::Revoked => Some(Reason::Revoked),
        Status::Disabled => Some(Reason::Disabled),
        Status::Expired if secret.role() == Role::Previous => Some(Reason::Superseded),
        Status::Expired => Some(Reason::Expired),
        Status::Pending | Status::Provisional | Status::Active => None,
    }
}

/// Checks a secret of a token against the requirements. Missing scopes are returned only with
/// [`Reason::ScopeMissing`].
pub fn judge<'a>(
    token: &Token,
    secret: &StoredSecret,
    requirements: &'a Requirements,
    address: Option<IpAddr>,
    catalogue: &Catalogue,
    now: Timestamp,
) -> (Reason, Vec<&'a Scope>) {
    if !token.is_visible(now) {
        return (Reason::Unknown, Vec::new());
    }
    if let Some(reason) = refusal(token, secret, now) {
        return (reason, Vec::new());
    }
    if token.secret_status(secret, now) == Status::Pending {
        return (Reason::NotYetValid, Vec::new());
    }
    let allows = |rule: &AllowFrom| address.is_some_and(|address| rule.allows(address));
    if !token.allow_from.as_ref().is_none_or(allows) {
        return (Reason::SourceNotAllowed, Vec::new());
    }
    if !requirements.scopes.is_empty() {
        let held = token.held_scopes(catalogue);
        let lacks = |scope: &&Scope| catalogue.get(scope).is_none() || !held.contains(scope);
        let missing: Vec<&Scope> = requirements.scopes.iter().filter(lacks).collect();
        if !missing.is_empty() {
            return (Reason::ScopeMissing, missing);
        }
    }
    let carried = |label: &Label| token.labels.get(&label.key) == Some(&label.value);
    if !requirements.labels.iter().all(carried) {
        return (Reason::LabelMismatch, Vec::new());
    }
    (Reason::Valid, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::Grant;
    use crate::domain::token::tests::{at, secret, token};

    #[test]
    fn a_scope_that_is_held_but_not_in_the_catalogue_is_missing() {
        let gone: Scope = "gone".parse().expect("the scope is valid");
        let mut it = token(vec![secret(1, 0)]);
        it.grants.insert(
            1,
            Grant { row: 1, scope_id: String::new(), scope: gone.clone(), last_required_at: None },
        );
        let requirements = Requirements { scopes: vec![gone.clone()], ..Requirements::default() };
        let verdict = judge(&it, &it.secrets[0], &requirements, None, &Catalogue::default(), at(1));
        assert_eq!(verdict, (Reason::ScopeMissing, vec![&gone]));
    }
}

//! The description of a token that does not exist yet.

use std::collections::BTreeMap;

use super::{Grant, StoredSecret, Token};
use crate::domain::address::AllowFrom;
use crate::domain::lifetime::Terms;
use crate::domain::name::{Name, TokenId};
use crate::domain::policy::{Refused, check_required};
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::settings::Settings;
use crate::domain::when::Timestamp;

/// A token to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    pub name: Name,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub icon: Option<String>,
    pub labels: BTreeMap<String, String>,
    /// The granted scopes, by their rows, as in [`Token`].
    pub grants: BTreeMap<i64, Grant>,
    pub terms: Terms,
    pub allow_from: Option<AllowFrom>,
}

impl NewToken {
    /// Returns the token as this actor would create it now, and the expiry of its first secret, if the store
    /// allows both. The store adds the row and the first secret.
    pub fn plan(
        self,
        id: TokenId,
        settings: &Settings,
        created_by: &str,
        now: Timestamp,
    ) -> Result<(Token, Option<Timestamp>), Refused> {
        let (lifetime, expiry) = self.terms.check(settings, now)?;
        check_required(self.owner.as_ref(), self.description.as_ref(), settings)?;
        let token = Token {
            row: UNSTORED,
            id,
            name: self.name,
            description: self.description,
            owner: self.owner,
            icon: self.icon,
            labels: self.labels,
            grants: self.grants,
            lifetime,
            not_before: self.terms.not_before,
            rotate_every: self.terms.rotate_every,
            grace: self.terms.grace,
            created_at: now,
            created_by: created_by.to_owned(),
            disabled_at: None,
            revoked_at: None,
            destination: None,
            hook: None,
            allow_from: self.allow_from,
            secrets: Vec::new(),
            delivery: None,
            pending_hook: None,
        };
        Ok((token, expiry))
    }
}

/// The row of an object that is not in the store yet.
const UNSTORED: i64 = 0;

impl StoredSecret {
    /// A secret that is created now and whose delivery is not confirmed.
    pub fn new(secret: &Secret, now: Timestamp, expires_at: Option<Timestamp>) -> Self {
        Self::of(secret.hash(), secret.hint(), now, expires_at)
    }

    /// Like [`Self::new`], for a secret of which only the hash and the hint are known.
    pub fn of(hash: SecretHash, hint: String, now: Timestamp, expires_at: Option<Timestamp>) -> Self {
        Self {
            row: UNSTORED,
            hash,
            hint,
            created_at: now,
            expires_at,
            delivered_at: None,
            superseded_at: None,
            revoked_at: None,
            last_used_at: None,
            refused_at: None,
        }
    }
}

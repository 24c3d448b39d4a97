//! A token, its secrets, and their status at an instant. Status and role are derived, never stored.

mod change;
mod delivery;
mod due;
mod edit;
mod memory;
mod new;
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use super::Invalid;
use super::address::{AllowFrom, Network};
use super::destination::RememberedDestination;
use super::hook::PendingHook;
use super::lifetime::Lifetime;
use super::name::{Name, TokenId};
use super::scope::{Catalogue, Scope};
use super::secret::SecretHash;
use super::when::{Span, Timestamp};
pub use delivery::{Delivery, DestinationKind};
pub use due::Revival;
pub use edit::{Field, TokenChange};
pub use memory::{Memory, Remember};
pub use new::NewToken;
pub use stored::{Role, StoredSecret};

/// A token that expires within this time is shown as expiring, once half of its lifetime is over.
const SOON: Span = Span::days(14);

/// The status of a token or secret at an instant. If several apply, it is the first in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Revoked,
    Disabled,
    Expired,
    Pending,
    Provisional,
    Active,
}

impl Status {
    pub const ALL: [Status; 6] =
        [Self::Active, Self::Provisional, Self::Pending, Self::Disabled, Self::Expired, Self::Revoked];

    pub fn word(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::Pending => "pending",
            Self::Provisional => "provisional",
            Self::Active => "active",
        }
    }

    /// Whether `list` hides such tokens by default.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Revoked | Self::Expired)
    }
}

impl FromStr for Status {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let found = Self::ALL.into_iter().find(|status| status.word() == text);
        found.ok_or_else(|| Invalid::no_such("status", text, &Self::ALL.map(Self::word)))
    }
}

/// A token and everything that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub row: i64,
    pub id: TokenId,
    pub name: Name,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub icon: Option<String>,
    pub labels: BTreeMap<String, String>,
    /// The scopes that are granted directly, by the row of the scope. The catalogue contains what they
    /// include.
    pub grants: BTreeMap<i64, Grant>,
    pub lifetime: Lifetime,
    pub not_before: Option<Timestamp>,
    pub rotate_every: Option<Span>,
    pub grace: Option<Span>,
    pub created_at: Timestamp,
    pub created_by: String,
    pub disabled_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    /// Where rotations deliver new secrets by default.
    pub destination: Option<RememberedDestination>,
    /// The command that runs after each rotation with this destination.
    pub hook: Option<String>,
    /// The networks from which clients are allowed to use the token. `None` allows all.
    pub allow_from: Option<AllowFrom>,
    /// In order of creation.
    pub secrets: Vec<StoredSecret>,
    pub delivery: Option<Delivery>,
    /// The pending hook of the last rotation. It is not part of the digest.
    pub pending_hook: Option<PendingHook>,
}

/// A scope that a token holds directly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub row: i64,
    /// The id of the scope.
    pub scope_id: String,
    pub scope: Scope,
    /// From the usage file. `None` if no use is recorded.
    pub last_required_at: Option<Timestamp>,
}

impl Token {
    pub fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.grants.values().map(|grant| &grant.scope).collect::<BTreeSet<_>>().into_iter()
    }

    /// All scopes of the token: those that it holds directly, and everything that they include.
    pub fn held_scopes<'a>(&'a self, catalogue: &'a Catalogue) -> BTreeSet<&'a Scope> {
        catalogue.closure(self.grants.values().map(|grant| &grant.scope))
    }

    /// Returns the token with the scopes of its grants named as in this catalogue.
    #[must_use]
    pub fn regranted(&self, catalogue: &Catalogue) -> Self {
        let mut token = self.clone();
        for (row, grant) in &mut token.grants {
            if let Some(entry) = catalogue.iter().find(|entry| entry.row == *row) {
                grant.scope = entry.name.clone();
            }
        }
        token
    }

    pub fn secret_hashes(&self) -> Vec<SecretHash> {
        self.secrets.iter().map(|secret| secret.hash).collect()
    }

    /// The labels in the form `KEY=VALUE`, which flags accept.
    pub fn label_words(&self) -> Vec<String> {
        self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect()
    }

    /// The networks from which clients are allowed to use the token. Empty if all are allowed.
    pub fn networks(&self) -> &[Network] {
        self.allow_from.as_ref().map_or(&[], AllowFrom::networks)
    }

    pub fn provisional(&self) -> Option<&StoredSecret> {
        self.secrets.iter().find(|secret| secret.role() == Role::Provisional)
    }

    pub fn current(&self) -> Option<&StoredSecret> {
        self.secrets.iter().find(|secret| secret.role() == Role::Current)
    }

    /// When the secret that was superseded last stops working. `None` if it never expires or was revoked.
    pub fn previous_expiry(&self) -> Option<Timestamp> {
        let previous = self.secrets.iter().rev().find(|secret| secret.role() == Role::Previous)?;
        previous.expires_at.filter(|_| previous.revoked_at.is_none())
    }

    /// Whether this is the hash of a superseded secret.
    pub fn is_previous(&self, hash: &SecretHash) -> bool {
        self.secrets.iter().any(|secret| secret.hash == *hash && secret.role() == Role::Previous)
    }

    /// The secret that determines the status of the token: the current one, or else the provisional one.
    pub fn face(&self) -> Option<&StoredSecret> {
        self.current().or_else(|| self.provisional())
    }

    pub fn expires_at(&self) -> Option<Timestamp> {
        self.face().and_then(|secret| secret.expires_at)
    }

    /// Whether the token is active, expires within 14 days, and is in the second half of its lifetime. The
    /// last condition ensures that a token that is valid for only a week is not reported all the time.
    pub fn expires_soon(&self, now: Timestamp) -> bool {
        self.expires_within(SOON, now)
    }

    /// Like [`Self::expires_soon`], but for any time span.
    pub fn expires_within(&self, span: Span, now: Timestamp) -> bool {
        let Some((secret, end)) = self.face().and_then(|secret| Some((secret, secret.expires_at?))) else {
            return false;
        };
        let left = end.since(now);
        self.status(now) == Status::Active && left <= span.secs() && left <= now.since(secret.created_at)
    }

    pub fn status(&self, now: Timestamp) -> Status {
        self.face().map_or(Status::Revoked, |secret| self.secret_status(secret, now))
    }

    pub fn secret_status(&self, secret: &StoredSecret, now: Timestamp) -> Status {
        if self.revoked_at.is_some() || secret.revoked_at.is_some() {
            Status::Revoked
        } else if self.disabled_at.is_some() {
            Status::Disabled
        } else if secret.has_expired(now) {
            Status::Expired
        } else if self.not_before.is_some_and(|start| now < start) {
            Status::Pending
        } else if secret.role() == Role::Provisional {
            Status::Provisional
        } else {
            Status::Active
        }
    }

    /// Whether commands show the token. A creation that was not confirmed disappears after its deadline.
    pub fn is_visible(&self, now: Timestamp) -> bool {
        let confirmed = self.secrets.iter().any(|secret| secret.delivered_at.is_some());
        let kept = self.delivery.as_ref().is_some_and(|delivery| delivery.destination.keeps());
        let alive = self.provisional().is_some_and(|provisional| kept || !provisional.has_expired(now));
        confirmed || alive || self.revoked_at.is_some()
    }

    /// When the current secret replaced another one. `None` for a first secret.
    pub fn rotated_at(&self) -> Option<Timestamp> {
        let current = self.current()?;
        let first = self.secrets.first().is_some_and(|first| first.row == current.row);
        (!first || current.created_at > self.created_at).then_some(current.created_at)
    }

    pub fn last_used_at(&self) -> Option<Timestamp> {
        self.secrets.iter().filter_map(|secret| secret.last_used_at).max()
    }

    /// When the token was last used, as far as this is known. `usage_since` is the time since which uses have
    /// been recorded.
    pub fn last_use(&self, usage_since: Option<Timestamp>) -> LastUse {
        match (self.last_used_at(), usage_since) {
            (Some(time), _) => LastUse::At(time),
            (None, Some(since)) if since <= self.created_at => LastUse::Never,
            (None, _) => LastUse::NotRecorded,
        }
    }
}

/// When a token was last used. The lack of a record does not always mean that it was never used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastUse {
    At(Timestamp),
    Never,
    NotRecorded,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub fn at(secs: i64) -> Timestamp {
        Timestamp::from_unix(Timestamp::MIN.unix() + secs).expect("the time is in range")
    }

    /// A delivered secret without an expiry, created at `created`.
    pub fn secret(row: i64, created: i64) -> StoredSecret {
        StoredSecret {
            row,
            hash: SecretHash::from_bytes([u8::try_from(row).unwrap_or(0); 32]),
            hint: "tkn_AbCd…".to_owned(),
            created_at: at(created),
            expires_at: None,
            delivered_at: Some(at(created)),
            superseded_at: None,
            revoked_at: None,
            last_used_at: None,
            refused_at: None,
        }
    }

    pub fn token(secrets: Vec<StoredSecret>) -> Token {
        Token {
            row: 1,
            id: "abcdef123456".parse().unwrap(),
            name: "demo".parse().unwrap(),
            description: None,
            owner: None,
            icon: None,
            labels: BTreeMap::new(),
            grants: BTreeMap::new(),
            lifetime: Lifetime::Endless,
            not_before: None,
            rotate_every: None,
            grace: None,
            created_at: at(0),
            created_by: "root".to_owned(),
            disabled_at: None,
            revoked_at: None,
            destination: None,
            hook: None,
            allow_from: None,
            secrets,
            delivery: None,
            pending_hook: None,
        }
    }

    /// An unfinished delivery of the secret in this row.
    pub fn delivery(secret: i64) -> Delivery {
        Delivery {
            secret,
            destination: DestinationKind::Stdout,
            target: None,
            variable: None,
            command: None,
            hook: None,
            remember: false,
            host: None,
            uid: 0,
            pid: 0,
            started_at: at(1),
            deadline: at(600),
            expires_at: None,
            grace: None,
        }
    }

    #[test]
    fn the_first_status_that_applies_is_reported() {
        let provisional = StoredSecret { delivered_at: None, expires_at: Some(at(600)), ..secret(1, 0) };
        let mut it = token(vec![provisional]);
        assert_eq!(it.status(at(10)), Status::Provisional);
        it.not_before = Some(at(100));
        assert_eq!(it.status(at(10)), Status::Pending);
        assert_eq!(it.status(at(100)), Status::Provisional);
        assert_eq!(it.status(at(600)), Status::Expired);
        it.disabled_at = Some(at(1));
        assert_eq!(it.status(at(600)), Status::Disabled);
        it.revoked_at = Some(at(2));
        assert_eq!(it.status(at(600)), Status::Revoked);
        assert_eq!(token(vec![secret(1, 0)]).status(at(10)), Status::Active);
    }

    #[test]
    fn the_current_secret_determines_the_status_of_a_token() {
        let previous = StoredSecret { superseded_at: Some(at(5)), expires_at: Some(at(50)), ..secret(1, 0) };
        let current = StoredSecret { expires_at: Some(at(100)), ..secret(2, 4) };
        let provisional = StoredSecret { delivered_at: None, expires_at: Some(at(9)), ..secret(3, 6) };
        let it = token(vec![previous, current, provisional]);
        assert_eq!(it.expires_at(), Some(at(100)));
        assert_eq!(it.status(at(60)), Status::Active);
        assert_eq!(it.secret_status(&it.secrets[0], at(60)), Status::Expired);
        assert_eq!(it.rotated_at(), Some(at(4)));
        assert!(it.is_visible(at(1_000)));
        // The rotation was in the same second as the creation, and the previous secret was pruned.
        let mut at_once = token(vec![secret(1, 0), secret(2, 0)]);
        at_once.secrets[0].superseded_at = Some(at(0));
        assert_eq!(at_once.rotated_at(), Some(at(0)));
        assert_eq!(token(vec![secret(2, 4)]).rotated_at(), Some(at(4)));
        assert_eq!(token(vec![secret(1, 0)]).rotated_at(), None);
    }

    #[test]
    fn an_unconfirmed_creation_is_gone_after_its_deadline() {
        let provisional = StoredSecret { delivered_at: None, expires_at: Some(at(600)), ..secret(1, 0) };
        let it = token(vec![provisional]);
        assert!(it.is_visible(at(599)));
        assert!(!it.is_visible(at(600)));
        assert_eq!(it.rotated_at(), None);
    }
}

//! A secret as it is stored, and its role among the secrets of its token.

use crate::domain::secret::SecretHash;
use crate::domain::when::Timestamp;

/// The role of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Its delivery is not confirmed.
    Provisional,
    Current,
    /// Superseded by a rotation.
    Previous,
}

impl Role {
    pub fn word(self) -> &'static str {
        match self {
            Self::Provisional => "provisional",
            Self::Current => "current",
            Self::Previous => "previous",
        }
    }
}

/// A secret as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSecret {
    pub row: i64,
    pub hash: SecretHash,
    pub hint: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub delivered_at: Option<Timestamp>,
    pub superseded_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    /// From the usage file, not the database. `None` if no use is recorded.
    pub last_used_at: Option<Timestamp>,
    /// When the secret was last presented after it was revoked or had expired. From the usage file.
    pub refused_at: Option<Timestamp>,
}

impl StoredSecret {
    pub fn role(&self) -> Role {
        match (self.delivered_at, self.superseded_at) {
            (None, _) => Role::Provisional,
            (Some(_), None) => Role::Current,
            (Some(_), Some(_)) => Role::Previous,
        }
    }

    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether it is revoked or has expired.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.revoked_at.is_some() || self.has_expired(now)
    }
}

//! Removes tokens and secrets. The hashes of the secrets are kept, so that none of them can be used again.

use std::collections::BTreeSet;

use rusqlite::params;

use super::engine::Engine;
use super::{Store, StoreError, View, Write};
use crate::domain::changes;
use crate::domain::digest::{Digest, Form};
use crate::domain::event::{Action, Subject};
use crate::domain::prune::Pruned;
use crate::domain::secret::SecretHash;
use crate::domain::token::{StoredSecret, Token};
use crate::domain::when::Timestamp;

impl Store {
    /// The size of the database in bytes. 0 for a server.
    pub fn bytes(&self) -> u64 {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.bytes(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => 0,
        }
    }

    /// Returns the space of removed rows to the file system. This is atomic, and temporarily needs space for
    /// a copy.
    pub fn shrink(&self) -> Result<(), StoreError> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.shrink(self.patience.get()).map_err(|err| sqlite.failed(&err)),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => Ok(()),
        }
    }
}

impl View<'_> {
    /// Whether a secret with this hash was pruned.
    pub fn is_pruned(&self, hash: &SecretHash) -> Result<bool, StoreError> {
        Ok(!self.column::<i64>("SELECT 1 FROM pruned WHERE hash = ?1", params![hash])?.is_empty())
    }

    /// The rows of tokens with a pending hook.
    pub fn tokens_with_hooks(&self) -> Result<BTreeSet<i64>, StoreError> {
        let sql = "SELECT DISTINCT s.token FROM hook h JOIN secret s ON s.row = h.secret";
        Ok(self.column(sql, &[])?.into_iter().collect())
    }
}

impl Write<'_> {
    /// Removes what [`Token::pruned`] removes from the token in this row, and records the event. Fails if the
    /// token has changed since it was examined.
    pub fn prune(
        &self,
        row: i64,
        examined: &Digest,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let token = self.tokens(&[row], self.now)?.pop();
        let token = token.filter(|token| Form::Two.token(token) == *examined).ok_or(StoreError::Changed)?;
        match token.pruned(until, now) {
            Pruned::Nothing => Err(StoreError::Changed),
            Pruned::Secrets(left) => self.replace(Action::Prune, &token, Some(&left)),
            Pruned::Whole => self.replace(Action::Prune, &token, None),
        }
    }

    /// Replaces a token with its new state, or removes it if there is none, and records the event.
    pub(super) fn replace(
        &self,
        action: Action,
        before: &Token,
        after: Option<&Token>,
    ) -> Result<(), StoreError> {
        let subject = Subject::of(before);
        let matched = self.compare(action, &subject, |form| form.token(before))?;
        let kept = |hash| after.is_some_and(|after| after.secrets.iter().any(|secret| secret.hash == hash));
        for secret in before.secrets.iter().filter(|secret| !kept(secret.hash)) {
            self.bury(secret)?;
        }
        let Some(after) = after else {
            self.remove_token(before.row)?;
            let changes = changes::of_token(Some(before), None);
            return self.record(action, subject, None, changes, matched);
        };
        if let Some(delivery) = &before.delivery {
            self.run("DELETE FROM delivery WHERE secret = ?1", params![delivery.secret])?;
        }
        self.save_token(after)?;
        self.run("DELETE FROM granted WHERE token = ?1", params![after.row])?;
        for scope in after.grants.keys() {
            self.run("INSERT INTO granted (token, scope) VALUES (?1, ?2)", params![after.row, scope])?;
        }
        // Superseded secrets are saved first. Otherwise two secrets would be current for a moment.
        let mut secrets: Vec<_> = after.secrets.iter().collect();
        secrets.sort_by_key(|secret| secret.superseded_at.is_none());
        secrets.into_iter().try_for_each(|secret| self.save_secret(secret).map(drop))?;
        self.record_token(action, Some(before), after.row, matched).map(drop)
    }

    /// Removes a secret with its delivery and hook, and keeps its hash.
    pub(super) fn bury(&self, secret: &StoredSecret) -> Result<(), StoreError> {
        for sql in [
            "DELETE FROM delivery WHERE secret = ?1",
            "DELETE FROM hook WHERE secret = ?1",
            "DELETE FROM secret WHERE row = ?1",
        ] {
            self.run(sql, params![secret.row])?;
        }
        let sql = "INSERT INTO pruned (hash, at) VALUES (?1, ?2) ON CONFLICT (hash) DO NOTHING";
        self.run(sql, params![secret.hash, self.now]).map(drop)
    }

    /// Removes a token whose secrets have been removed.
    pub(super) fn remove_token(&self, row: i64) -> Result<(), StoreError> {
        for sql in [
            "DELETE FROM label WHERE token = ?1",
            "DELETE FROM granted WHERE token = ?1",
            "DELETE FROM tokens WHERE row = ?1",
        ] {
            self.run(sql, params![row])?;
        }
        Ok(())
    }
}

//! Removing tokens and secrets for good. Their hashes stay, so that nobody can bring one of these secrets back.

use rusqlite::params;

use super::{StoreError, Write};
use crate::domain::token::StoredSecret;

impl Write<'_> {
    /// Removes a secret with what belongs to it, and keeps its hash.
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

    /// Removes a token whose secrets are gone.
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

//! Reads the secrets of a batch from a server in one query instead of one query each, because the round trip
//! costs more than the look-up.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::params;

use super::known::Known;
use super::token_rows::Counts;
use super::tokens::{TokensByRow, is_current};
use super::{Parts, Presented, StoreError, View};
use crate::domain::secret::SecretHash;
use crate::domain::token::{Role, Token};
use crate::domain::when::Timestamp;

/// The result for each secret that was looked up.
pub type Expected = HashMap<[u8; 32], Option<Arc<Presented>>>;

impl View<'_> {
    /// Reads the secrets that are about to be looked up. If this fails, they are read one by one, and the
    /// error is reported then.
    pub fn expect(&self, hashes: impl Iterator<Item = SecretHash>, now: Timestamp) {
        if !self.spans_hosts() {
            return;
        }
        let known = self.store.known.borrow();
        let is_new = |hash: &SecretHash| known.as_ref().is_none_or(|known: &Known| known.get(hash).is_none());
        let mut wanted: Vec<SecretHash> = hashes.filter(is_new).collect();
        drop(known);
        wanted.sort_unstable_by_key(|hash| *hash.as_bytes());
        wanted.dedup();
        if wanted.len() > 1
            && let Ok(found) = self.all_of(&wanted, now)
        {
            if let Some(known) = &mut *self.store.known.borrow_mut() {
                found.values().flatten().for_each(|found| known.keep(found));
            }
            self.expected.replace(found);
        }
    }

    fn all_of(&self, wanted: &[SecretHash], now: Timestamp) -> Result<Expected, StoreError> {
        let hex =
            |hash: &SecretHash| format!("\"\\\\x{}\"", blake3::Hash::from_bytes(*hash.as_bytes()).to_hex());
        let list: Vec<String> = wanted.iter().map(hex).collect();
        let list = format!("{{{}}}", list.join(","));
        let sql = "SELECT t.*, s.*, (SELECT time FROM events ORDER BY seq DESC LIMIT 1)
             FROM secret s JOIN tokens t ON t.row = s.token WHERE s.hash = ANY (CAST(CAST(?1 AS text) AS bytea[]))";
        let read = self.prepare(sql).and_then(|mut it| it.all(params![list], |row| self.read_presented(row)));
        let found: Vec<(Presented, Counts)> = self.ok(read)?;
        let last_change = found.first().and_then(|(it, _)| it.last_change);
        let (current, others): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|(it, _)| is_current(it.secret()));
        // If the presented secret of a token is not its current one, all of its secrets are read.
        let mut others: Vec<i64> = others.iter().map(|(it, _)| it.token.row).collect();
        others.sort_unstable();
        others.dedup();
        let parts = Parts { rest: false, ..Parts::ALL };
        let mut tokens: TokensByRow =
            current.into_iter().map(|(it, counts)| (it.token.row, (it.token, counts))).collect();
        let rows: Vec<i64> = tokens.keys().copied().collect();
        self.add_parts(&rows, &mut tokens, parts, now)?;
        let tokens = tokens.into_values().map(|(token, _)| token);
        let mut found: Expected = wanted.iter().map(|hash| (*hash.as_bytes(), None)).collect();
        for token in tokens.chain(self.load(&others, now, parts)?) {
            for (index, secret) in token.secrets.iter().enumerate() {
                if let Some(slot) = found.get_mut(secret.hash.as_bytes()) {
                    *slot = Some(Arc::new(presented(&token, index, last_change)));
                }
            }
        }
        Ok(found)
    }
}

/// The result that a single look-up gives, which contains only the current secret if that is the presented
/// one.
fn presented(token: &Token, index: usize, last_change: Option<Timestamp>) -> Presented {
    let secret = &token.secrets[index];
    if secret.delivered_at.is_none() || secret.role() != Role::Current {
        return Presented { token: token.clone(), index, last_change };
    }
    let secrets = vec![secret.clone()];
    Presented { token: Token { secrets, ..token.clone() }, index: 0, last_change }
}

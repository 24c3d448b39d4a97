//! Reads tokens with their labels, grants, secrets and unfinished deliveries.

use std::collections::HashMap;

use rusqlite::params;
use rusqlite::types::ToSql;

use super::cells::{self, Cells};
use super::engine::Row;
use super::known::{Doubt, Known};
use super::sql::damage;
use super::token_rows::{
    Counts, DELIVERY, GRANTS, HOOK, LABELS, OF_BOTH, OF_GRANT, OF_GRANT_ROW, OF_LABEL, OF_SECRET, OF_TOKEN,
    add_secret, read_counts, read_grant, read_secret, read_token,
};
use super::{StoreError, View};
use crate::domain::filter::Times;
use crate::domain::secret::SecretHash;
use crate::domain::token::{StoredSecret, Token};
use crate::domain::verdict::refusal;
use crate::domain::when::Timestamp;
use crate::store::usage::Kind;

/// A presented secret that is in the store.
#[derive(Debug)]
pub struct Presented {
    pub token: Token,
    /// Its index in `token.secrets`.
    pub index: usize,
    /// When the store was last changed. The times of events ascend, unless a wrong clock was accepted.
    pub last_change: Option<Timestamp>,
}

impl Presented {
    pub fn secret(&self) -> &StoredSecret {
        &self.token.secrets[self.index]
    }
}

/// The parts of a token that a fast look-up needs. Other parts stay empty.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    pub labels: bool,
    pub grants: bool,
    /// All secrets, and the times of use. Without this, a token that is found by its current secret has only
    /// that one, because the verdict does not depend on others.
    pub rest: bool,
}

/// Tokens by their rows, and how many rows each should have.
pub(super) type TokensByRow = HashMap<i64, (Token, Counts)>;

/// The condition that a secret has this hash.
const SECRET: &str = "t.hash = ?2";
/// The condition that no index leads to a secret.
const HIDDEN: &str = "NOT EXISTS (SELECT 1 FROM secret s INDEXED BY sqlite_autoindex_secret_1
     WHERE s.hash = t.hash AND s.row = t.row) LIMIT 1";

/// How many secrets of the table are searched for one that the index does not find.
const MAX_SEARCHED: i64 = 10_000;

impl Parts {
    pub const ALL: Parts = Parts { labels: true, grants: true, rest: true };
}

impl View<'_> {
    /// One token by its row.
    pub fn token(&self, row: i64, now: Timestamp) -> Result<Token, StoreError> {
        self.tokens(&[row], now)?.pop().ok_or_else(|| missing(row))
    }

    /// The tokens in these rows, in this order. Missing rows are left out. Times of use after `now` are
    /// ignored.
    pub fn tokens(&self, rows: &[i64], now: Timestamp) -> Result<Vec<Token>, StoreError> {
        self.load(rows, now, Parts::ALL)
    }

    pub(super) fn load(&self, rows: &[i64], now: Timestamp, parts: Parts) -> Result<Vec<Token>, StoreError> {
        let mut found: TokensByRow = HashMap::with_capacity(rows.len());
        self.each("tokens", "SELECT * FROM tokens", "row", "row", rows, |row| {
            let values = cells::values::<OF_TOKEN>(row)?;
            let it = self.whole_token(&Cells::new(row, 0, &values))?;
            found.insert(it.0.row, it);
            Ok(())
        })?;
        let secrets = format!(
            "SELECT s.*, {DELIVERY}, {HOOK} FROM secret s LEFT JOIN delivery d ON d.secret = s.row
             LEFT JOIN hook h ON h.secret = s.row"
        );
        self.each("secret", &secrets, "s.token", "s.row", rows, |row| {
            let values = cells::values::<{ OF_SECRET + OF_BOTH }>(row)?;
            let (of_secret, of_both) = values.split_at(OF_SECRET);
            let mut secret = self.whole_secret(&Cells::new(row, 0, of_secret))?;
            if let Some((token, _)) = found.get_mut(&row.get(1)?) {
                if parts.rest {
                    secret.last_used_at = self.store.last(Kind::Uses, &secret, now);
                    secret.refused_at = self.refused_at(token, &secret, now);
                }
                add_secret(token, secret, &Cells::new(row, OF_SECRET, of_both))?;
            }
            Ok(())
        })?;
        self.add_parts(rows, &mut found, parts, now)?;
        Ok(rows.iter().filter_map(|row| found.remove(row)).map(|(token, _)| token).collect())
    }

    /// Adds the labels and grants of tokens. Like `with_labels_and_grants`, it does not search for those that
    /// a verdict does not expect.
    pub(super) fn add_parts(
        &self,
        rows: &[i64],
        found: &mut TokensByRow,
        parts: Parts,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let has = |count: usize| parts.rest || found.values().any(|(_, counts)| counts[count] > 0);
        let (labels, grants) = (parts.labels && has(0), parts.grants && has(1));
        if labels {
            self.add_labels(rows, found)?;
        }
        if grants {
            self.add_grants(rows, found, parts.rest.then_some(now))?;
        }
        self.are_whole(found.values(), parts)
    }

    /// When a revoked or expired secret was last presented. `None` for other secrets.
    pub(super) fn refused_at(
        &self,
        token: &Token,
        secret: &StoredSecret,
        now: Timestamp,
    ) -> Option<Timestamp> {
        refusal(token, secret, now)?;
        self.store.last(Kind::Refusals, secret, now)
    }

    /// Reads a token from all columns of its row, and how many rows should belong to it.
    pub(super) fn whole_token(&self, cells: &Cells<'_>) -> rusqlite::Result<(Token, Counts)> {
        self.unbroken("tokens", cells)?;
        Ok((read_token(cells)?, read_counts(cells)))
    }

    /// Reads a secret from all columns of its row.
    pub(super) fn whole_secret(&self, cells: &Cells<'_>) -> rusqlite::Result<StoredSecret> {
        self.unbroken("secret", cells)?;
        read_secret(cells)
    }

    fn add_labels(&self, rows: &[i64], found: &mut TokensByRow) -> Result<(), StoreError> {
        self.each("label", LABELS, "token", "token, key", rows, |row| {
            self.begins_unbroken::<OF_LABEL>("label", row)?;
            if let Some((token, _)) = found.get_mut(&row.get(0)?) {
                token.labels.insert(row.get(1)?, row.get(2)?);
            }
            Ok(())
        })
    }

    /// Adds the grants, with their times of use up to `now`, if that is given.
    fn add_grants(
        &self,
        rows: &[i64],
        found: &mut TokensByRow,
        now: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.each("granted", GRANTS, "g.token", "g.token", rows, |row| {
            if let Some((token, _)) = found.get_mut(&row.get(6)?) {
                let values = cells::values::<OF_GRANT>(row)?;
                let (scope, mut grant) = read_grant(&Cells::new(row, 0, &values))?;
                self.unbroken("granted", &Cells::new(row, 0, &values[..OF_GRANT_ROW]))?;
                if let Some(now) = now {
                    grant.last_required_at = self.store.last_required(token, &grant, now);
                }
                token.grants.insert(scope, grant);
            }
            Ok(())
        })
    }

    /// Fails if rows that belong to a token are missing.
    fn are_whole<'t>(
        &self,
        found: impl IntoIterator<Item = &'t (Token, Counts)>,
        parts: Parts,
    ) -> Result<(), StoreError> {
        for (token, [labels, grants, secrets]) in found.into_iter().filter(|_| self.checks_seals()) {
            let whole = (!parts.rest || token.secrets.len() == *secrets)
                && (!parts.labels || token.labels.len() == *labels)
                && (!parts.grants || token.grants.len() == *grants);
            if !whole {
                return Err(StoreError::Damaged(format!("rows of token row {} are missing", token.row)));
            }
        }
        Ok(())
    }

    /// Runs `columns … WHERE column IN rows` for one row or a page of rows.
    pub(super) fn each(
        &self,
        table: &str,
        columns: &str,
        column: &str,
        order: &str,
        rows: &[i64],
        mut take: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let (test, keys): (_, Box<dyn ToSql>) = match rows {
            [] => return Ok(()),
            [row] => ("= ?1", Box::new(*row)),
            rows => {
                let (test, list) = self.store.engine.among(rows);
                (test, Box::new(list))
            }
        };
        let sql = format!("{columns} WHERE {column} {test} ORDER BY {order}");
        let mut statement = self.ok(self.prepare(&sql))?;
        let mut found = self.ok(statement.query(params![keys]))?;
        while let Some(row) = self.ok(found.next())? {
            take(&row).map_err(|err| damage(table, &row, &err))?;
        }
        Ok(())
    }

    /// The secret with this hash, which is compared again in constant time.
    pub fn presented(
        &self,
        hash: &SecretHash,
        now: Timestamp,
        parts: Parts,
    ) -> Result<Option<Presented>, StoreError> {
        if !parts.rest
            && let Some(found) = self.current(hash, parts)?
        {
            return Ok(Some(found));
        }
        let sql = "SELECT token FROM secret WHERE hash = ?1";
        let run = || self.prepare(sql)?.one(&[hash], |row| row.get(0));
        let Some(row) = self.ok(run())? else {
            return self.check_absent(hash).map(|()| None);
        };
        // If the index of hashes leads to a missing row, the index is damaged, and the secret must not be
        // called unknown.
        let token = self.load(&[row], now, parts)?.pop().ok_or_else(|| missing(row))?;
        let index = token.secrets.iter().position(|secret| secret.hash == *hash);
        let index = index.ok_or_else(|| {
            StoreError::Damaged(format!("token row {row} lacks a secret that an index finds there"))
        })?;
        Ok(Some(Presented { token, index, last_change: self.head()?.time }))
    }

    /// Fails if the table has a hash that its index lacks. In that case the index is damaged, and the secret
    /// is not unknown. Only the first rows are searched, so that guesses against a large store stay cheap.
    fn check_absent(&self, hash: &SecretHash) -> Result<(), StoreError> {
        // PostgreSQL checks its indexes and pages itself.
        if !self.checks_seals() || self.spans_hosts() {
            return Ok(());
        }
        let doubt = self.store.known.borrow_mut().as_mut().map_or(Doubt::OfSecret, Known::doubt);
        match doubt {
            Doubt::None => return Ok(()),
            Doubt::OfIndex if self.search_table(HIDDEN, params![MAX_SEARCHED])?.is_none() => {
                if let Some(known) = &mut *self.store.known.borrow_mut() {
                    known.index_is_whole();
                }
                return Ok(());
            }
            Doubt::OfIndex | Doubt::OfSecret => {}
        }
        match self.search_table(SECRET, params![MAX_SEARCHED, hash])? {
            None => Ok(()),
            Some(row) => Err(StoreError::Damaged(format!("an index does not lead to secret row {row}"))),
        }
    }

    /// The row of a secret that meets a condition, among the first rows of the table.
    fn search_table(&self, test: &str, args: &[&dyn ToSql]) -> Result<Option<i64>, StoreError> {
        let first = "SELECT row, hash FROM secret NOT INDEXED ORDER BY row LIMIT ?1";
        Ok(self.column::<i64>(&format!("SELECT t.row FROM ({first}) t WHERE {test}"), args)?.pop())
    }

    /// The token with this current secret, read by one statement. Its hash must be read from the row, because
    /// the index might lead to the wrong row.
    fn current(&self, hash: &SecretHash, parts: Parts) -> Result<Option<Presented>, StoreError> {
        let sql = "SELECT t.*, s.*, (SELECT time FROM events ORDER BY seq DESC LIMIT 1)
             FROM secret s NOT INDEXED JOIN tokens t NOT INDEXED ON t.row = s.token
             WHERE s.row = (SELECT row FROM secret WHERE hash = ?1)";
        let mut slot = self.look_up.borrow_mut();
        let statement = match &mut *slot {
            Some(statement) => statement,
            empty => empty.insert(self.ok(self.prepare(sql))?),
        };
        let found = self.ok(statement.one(&[hash], |row| self.read_presented(row)))?;
        // In the statement, these tests would cost more, because the planner considers each index for each of
        // them.
        let found = found.filter(|(it, _)| it.secret().hash == *hash && is_current(it.secret()));
        let Some((it, counts)) = found else { return Ok(None) };
        self.with_labels_and_grants(it, counts, parts).map(Some)
    }

    /// A token with one of its secrets, and the time of the last change.
    pub(super) fn read_presented(&self, row: &Row<'_>) -> rusqlite::Result<(Presented, Counts)> {
        let values = cells::values::<{ OF_TOKEN + OF_SECRET }>(row)?;
        let (of_token, of_secret) = values.split_at(OF_TOKEN);
        let (mut token, counts) = self.whole_token(&Cells::new(row, 0, of_token))?;
        token.secrets.push(self.whole_secret(&Cells::new(row, OF_TOKEN, of_secret))?);
        Ok((Presented { token, index: 0, last_change: row.get(OF_TOKEN + OF_SECRET)? }, counts))
    }

    /// Adds the labels and grants of a token that should have some.
    fn with_labels_and_grants(
        &self,
        presented: Presented,
        counts: Counts,
        parts: Parts,
    ) -> Result<Presented, StoreError> {
        let [labels, grants, _] = counts;
        let parts = Parts { labels: parts.labels && labels > 0, grants: parts.grants && grants > 0, ..parts };
        if !(parts.labels || parts.grants) {
            return Ok(presented);
        }
        let (row, rest) = (presented.token.row, (presented.index, presented.last_change));
        let mut found = TokensByRow::from([(row, (presented.token, counts))]);
        if parts.labels {
            self.add_labels(&[row], &mut found)?;
        }
        if parts.grants {
            self.add_grants(&[row], &mut found, None)?;
        }
        self.are_whole(found.values(), parts)?;
        let (token, _) = found.remove(&row).ok_or_else(|| missing(row))?;
        Ok(Presented { token, index: rest.0, last_change: rest.1 })
    }

    /// The times for showing tokens now.
    pub fn times(&self, now: Timestamp) -> Times {
        self.store.times(now)
    }
}

pub(super) fn is_current(it: &StoredSecret) -> bool {
    it.delivered_at.is_some() && it.superseded_at.is_none()
}

fn missing(row: i64) -> StoreError {
    StoreError::Damaged(format!("token row {row} is missing"))
}

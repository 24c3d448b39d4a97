//! Finds tokens by name, by a typed reference, and page by page.

use rusqlite::params;
use rusqlite::types::{FromSql, ToSql};

use super::words::MOST;
use super::{PAGE, StoreError, View, ascending};
use crate::domain::name::{Name, cut_ends, is_id_prefix};
use crate::domain::secret::SecretHash;
use crate::domain::token::Token;
use crate::domain::when::Timestamp;

/// Starts from the few deliveries and goes to their secrets. SQLite would choose the other direction, so that
/// every change would read all secrets of the store.
const OVERDUE: &str = "SELECT s.token FROM delivery d CROSS JOIN secret s ON s.row = d.secret
     WHERE (CAST(?1 AS bigint) IS NULL OR d.uid = ?1) AND d.deadline <= ?2
     AND (CAST(?3 AS text) IS NULL OR d.host = ?3) ORDER BY d.secret";

impl View<'_> {
    /// A page of rows in ascending order, from `from` on.
    pub fn rows_from(&self, from: i64) -> Result<Vec<i64>, StoreError> {
        let sql = "SELECT row FROM tokens WHERE row >= ?1 ORDER BY row LIMIT ?2";
        let rows: Vec<i64> = self.column(sql, params![from, page()])?;
        ascending(rows.iter().copied(), from).map(|()| rows)
    }

    /// A page of tokens in the order of their rows, from `from` on: row, id and name.
    pub fn names_from(&self, from: i64) -> Result<Vec<(i64, String, String)>, StoreError> {
        let sql = "SELECT row, id, name FROM tokens WHERE row >= ?1 ORDER BY row LIMIT ?2";
        let run = || {
            self.prepare(sql)?.all(params![from, page()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        };
        let found: Vec<(i64, String, String)> = self.ok(run())?;
        ascending(found.iter().map(|(row, ..)| *row), from).map(|()| found)
    }

    /// The row of the token with exactly this id.
    pub(super) fn row_of_id(&self, id: &str) -> Result<Option<i64>, StoreError> {
        Ok(self.column("SELECT row FROM tokens WHERE id = ?1", params![id])?.pop())
    }

    /// A page of the rows of unrevoked tokens in the order of their names, after `after`. In reverse order,
    /// the page contains the names before `after`.
    #[cfg(feature = "cli")]
    pub(super) fn rows_by_name(&self, after: Option<&str>, reverse: bool) -> Result<Vec<i64>, StoreError> {
        let order = if reverse { "DESC" } else { "ASC" };
        // The first page has no bound, so that it also contains an invalid name that sorts before all valid
        // ones.
        let Some(after) = after else {
            let sql =
                format!("SELECT row FROM tokens WHERE revoked_at IS NULL ORDER BY name {order} LIMIT ?1");
            return self.column(&sql, params![page()]);
        };
        let beyond = if reverse { "<" } else { ">" };
        let sql = format!(
            "SELECT row FROM tokens WHERE revoked_at IS NULL AND name {beyond} ?1 ORDER BY name {order} LIMIT ?2"
        );
        self.column(&sql, params![after, page()])
    }

    /// The rows of the first unrevoked tokens whose names begin with `start`, in the order of their names.
    /// `disabled` selects only the disabled or only the enabled ones.
    pub fn rows_by_start(&self, start: &str, disabled: Option<bool>) -> Result<Vec<i64>, StoreError> {
        let sql = "SELECT row FROM tokens WHERE revoked_at IS NULL AND name >= ?1 AND name < ?1 || '~'
             AND (CAST(?2 AS bigint) IS NULL OR CAST(disabled_at IS NOT NULL AS int) = ?2) ORDER BY name LIMIT ?3";
        self.column(sql, params![start, disabled, MOST])
    }

    /// A page of the names of unrevoked tokens before a word, and a page of those after it.
    pub fn names_beside(&self, word: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT * FROM (SELECT name FROM tokens WHERE revoked_at IS NULL AND name < ?1 ORDER BY name DESC LIMIT ?2) a
             UNION ALL
             SELECT * FROM (SELECT name FROM tokens WHERE revoked_at IS NULL AND name > ?1 ORDER BY name LIMIT ?2) b";
        self.column(sql, params![word, page()])
    }

    /// How many tokens a list hides because they are revoked or expired.
    pub fn count_over(&self, now: Timestamp) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) FROM tokens t WHERE t.revoked_at IS NOT NULL
             OR t.disabled_at IS NULL AND EXISTS (SELECT 1 FROM secret s WHERE s.token = t.row
             AND s.delivered_at IS NOT NULL AND s.superseded_at IS NULL AND s.expires_at <= ?1)";
        Ok(self.column(sql, &[&now])?.pop().unwrap_or(0))
    }

    /// The row of the unrevoked token with this name, visible or not.
    pub fn named(&self, name: &Name) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT row FROM tokens WHERE name = ?1 AND revoked_at IS NULL";
        Ok(self.column(sql, &[name])?.pop())
    }

    /// The visible tokens that a reference can mean: by name or id, else by an id prefix, else by a hint,
    /// else by a name that a narrow list has shortened. Among tokens of the same name, an unrevoked one wins.
    /// If a name is also the id of another token, both are returned.
    pub fn candidates(&self, reference: &str, now: Timestamp) -> Result<Vec<Token>, StoreError> {
        let hint = reference.strip_suffix("...").or_else(|| reference.strip_suffix('…'));
        let hint = hint.map(|start| format!("{start}…"));
        let by_prefix = is_id_prefix(reference).then_some(reference);
        let rules = [
            (
                "SELECT row FROM tokens WHERE name = ?1 AND revoked_at IS NULL UNION SELECT row FROM tokens WHERE id = ?1",
                Some(reference),
            ),
            ("SELECT row FROM tokens WHERE name = ?1", Some(reference)),
            ("SELECT row FROM tokens WHERE id >= ?1 AND id < ?1 || '~' ORDER BY id LIMIT 50", by_prefix),
            ("SELECT DISTINCT token FROM secret WHERE hint = ?1 LIMIT 50", hint.as_deref()),
        ];
        for (sql, key) in rules {
            let Some(key) = key else { continue };
            let found = self.visible(sql, params![key], now)?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let Some((head, tail)) = cut_ends(reference) else { return Ok(Vec::new()) };
        let cut = "substr(name, 1, length(?1)) = ?1 AND substr(name, length(name) - length(?2) + 1) = ?2
             AND length(name) > length(?1) + length(?2)";
        let found = self.visible(
            &format!("SELECT row FROM tokens WHERE {cut} AND revoked_at IS NULL LIMIT 50"),
            params![head, tail],
            now,
        )?;
        if !found.is_empty() {
            return Ok(found);
        }
        self.visible(&format!("SELECT row FROM tokens WHERE {cut} LIMIT 50"), params![head, tail], now)
    }

    /// The visible tokens among those whose rows a statement finds.
    fn visible(&self, sql: &str, args: &[&dyn ToSql], now: Timestamp) -> Result<Vec<Token>, StoreError> {
        let mut found = self.tokens(&self.column(sql, args)?, now)?;
        found.retain(|token| token.is_visible(now));
        Ok(found)
    }

    /// A page of the adopted secrets in the order of their rows, after `after`: row, hash and hint. Their
    /// hints have four characters, while the hints of generated secrets also have a prefix.
    pub fn adopted_after(&self, after: i64) -> Result<Vec<(i64, SecretHash, String)>, StoreError> {
        let sql =
            "SELECT row, hash, hint FROM secret WHERE row > ?1 AND length(hint) = 5 ORDER BY row LIMIT ?2";
        let run = || {
            self.prepare(sql)?.all(params![after, page()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        };
        let found: Vec<(i64, SecretHash, String)> = self.ok(run())?;
        ascending(found.iter().map(|(row, ..)| *row), after).map(|()| found)
    }

    /// The rows of the tokens whose delivery is past its deadline: those of one user or of all users, on one
    /// host or on all hosts.
    pub fn overdue(
        &self,
        uid: Option<u32>,
        host: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<i64>, StoreError> {
        self.column(OVERDUE, params![uid, now, host])
    }

    /// The first column of the rows that a statement finds.
    pub(super) fn column<T: FromSql>(&self, sql: &str, args: &[&dyn ToSql]) -> Result<Vec<T>, StoreError> {
        let run = || self.prepare(sql)?.all(args, |row| row.get(0));
        self.ok(run())
    }
}

fn page() -> i64 {
    i64::try_from(PAGE).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::schema;

    #[test]
    fn overdue_deliveries_are_found_without_reading_all_secrets() {
        let steps = schema::plan(OVERDUE, params![None::<u32>, 0, None::<&str>]);
        assert_eq!(steps, ["SCAN d", "SEARCH s USING INTEGER PRIMARY KEY (rowid=?)"]);
    }
}

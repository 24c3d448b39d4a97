//! The words of the store that begin with what somebody has typed so far: no more of them than can be offered.

use rusqlite::ToSql;
use rusqlite::params;

use super::{StoreError, View};

impl View<'_> {
    /// Owners, in order.
    pub fn owners(&self, start: &str, most: usize) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT DISTINCT owner FROM token WHERE substr(owner, 1, length(?1)) = ?1 ORDER BY owner LIMIT ?2";
        self.words(sql, params![start, limit(most)])
    }

    /// Keys of labels, in order.
    pub fn label_keys(&self, start: &str, most: usize) -> Result<Vec<String>, StoreError> {
        let sql =
            "SELECT DISTINCT key FROM label WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key LIMIT ?2";
        self.words(sql, params![start, limit(most)])
    }

    /// Values of the label of a key, in order.
    pub fn label_values(&self, key: &str, start: &str, most: usize) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT DISTINCT value FROM label WHERE key = ?1 AND substr(value, 1, length(?2)) = ?2
             ORDER BY value LIMIT ?3";
        self.words(sql, params![key, start, limit(most)])
    }

    fn words(&self, sql: &str, args: &[&dyn ToSql]) -> Result<Vec<String>, StoreError> {
        let run = || self.conn().prepare_cached(sql)?.query_map(args, |row| row.get(0))?.collect();
        self.ok(run())
    }
}

pub fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

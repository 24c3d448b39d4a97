//! Finds owners and labels by a typed prefix, for completion.

use rusqlite::params;

use super::{StoreError, View};

/// How many words are offered, because a person has to read them.
pub const MOST: u16 = 200;

impl View<'_> {
    /// The owners that begin with `start`, in order.
    pub fn owners(&self, start: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT DISTINCT owner FROM tokens WHERE substr(owner, 1, length(?1)) = ?1 ORDER BY owner LIMIT ?2";
        self.column(sql, params![start, MOST])
    }

    /// The keys of labels that begin with `start`, in order.
    pub fn label_keys(&self, start: &str) -> Result<Vec<String>, StoreError> {
        let sql =
            "SELECT DISTINCT key FROM label WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key LIMIT ?2";
        self.column(sql, params![start, MOST])
    }

    /// The values of the label `key` that begin with `start`, in order.
    pub fn label_values(&self, key: &str, start: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT DISTINCT value FROM label WHERE key = ?1 AND substr(value, 1, length(?2)) = ?2
             ORDER BY value LIMIT ?3";
        self.column(sql, params![key, start, MOST])
    }
}

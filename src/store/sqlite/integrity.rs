//! Lets SQLite check that tables, indexes and constraints agree.
//!
//! `integrity_check` compares every index with its table. `quick_check` does not, so it would not find a row that is
//! missing from an index, and that queries therefore miss.

use super::{Sqlite, StoreError};

impl Sqlite {
    /// Returns at most 20 problems that SQLite finds, one line each.
    pub fn check_integrity(&self) -> Result<Vec<String>, StoreError> {
        let run = || {
            let mut all = Vec::new();
            let mut statement = self.conn.prepare("PRAGMA integrity_check(20)")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let line: String = row.get(0)?;
                if line != "ok" {
                    all.push(line);
                }
            }
            let mut statement = self.conn.prepare("PRAGMA foreign_key_check")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()?.filter(|_| all.len() < 20) {
                let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
                all.push(format!("a row of `{table}` refers to a row of `{parent}` that does not exist"));
            }
            Ok(all)
        };
        match run().map_err(|err| self.failed(&err)) {
            Err(StoreError::Damaged(why)) => Ok(vec![why]),
            all => all,
        }
    }
}

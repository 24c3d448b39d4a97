//! A transaction that runs queries. The queries are in the files of their tables.

use std::cell::RefCell;

use rusqlite::types::ToSql;

use super::cells::{self, Cells};
use super::engine::{Fault, Prepared, Row};
use super::{Store, StoreError, seal};

/// A transaction that runs queries.
pub struct View<'a> {
    pub(super) store: &'a Store,
    /// The statement that looks up a current secret, which is used many times.
    pub(super) look_up: RefCell<Option<Prepared<'a>>>,
    /// The secrets that the requests of a batch present, read in one query.
    #[cfg(feature = "postgres")]
    pub(super) expected: RefCell<super::expected::Expected>,
}

/// Fails unless the rows of a page ascend from `from`. A damaged tree might have a cycle, in which a walk
/// would never end.
pub fn ascending(rows: impl IntoIterator<Item = i64>, from: i64) -> Result<(), StoreError> {
    let mut next = Some(from);
    for row in rows {
        if next.is_none_or(|next| row < next) {
            return Err(StoreError::Damaged("its rows are out of order".to_owned()));
        }
        next = row.checked_add(1);
    }
    Ok(())
}

impl<'a> View<'a> {
    pub(super) fn of(store: &'a Store) -> Self {
        Self {
            store,
            look_up: RefCell::new(None),
            #[cfg(feature = "postgres")]
            expected: RefCell::default(),
        }
    }

    pub(super) fn prepare(&self, sql: &str) -> Result<Prepared<'a>, Fault> {
        self.store.engine.prepare(sql)
    }
}

impl View<'_> {
    /// Whether the store can be used from several hosts.
    pub fn spans_hosts(&self) -> bool {
        self.store.engine.spans_hosts()
    }

    /// Runs a statement that returns no rows. Returns how many rows it changed.
    pub(super) fn run(&self, sql: &str, args: &[&dyn ToSql]) -> Result<usize, StoreError> {
        self.ok(self.store.engine.run(sql, args))
    }

    pub(super) fn checks_seals(&self) -> bool {
        self.store.checks_seals()
    }

    /// Fails unless the seal matches these cells, which are a whole row.
    pub(super) fn unbroken(&self, table: &str, cells: &Cells<'_>) -> rusqlite::Result<()> {
        let is_partial = table == "tokens" && self.store.engine.is_narrow();
        if !is_partial && self.checks_seals() { seal::check(table, cells) } else { Ok(()) }
    }

    /// Like [`Self::unbroken`], for the first `N` columns of a row.
    pub(super) fn begins_unbroken<const N: usize>(&self, table: &str, row: &Row<'_>) -> rusqlite::Result<()> {
        self.unbroken(table, &Cells::new(row, 0, &cells::values::<N>(row)?))
    }

    /// Converts an error of a statement to one of the store.
    pub(super) fn ok<T>(&self, result: Result<T, Fault>) -> Result<T, StoreError> {
        result.map_err(|err| self.store.failed(&err))
    }
}

//! Statements, which are kept for the next time, unless there is none.

use std::ops::{Deref, DerefMut};

use rusqlite::{CachedStatement, Statement};

use super::{Store, View};

/// A statement ready to run.
pub enum Prepared<'a> {
    Kept(CachedStatement<'a>),
    /// SQLite takes its parts from memory that the connection has at hand, and not one by one from the C library: a
    /// third less work.
    Once(Statement<'a>),
}

impl<'a> Deref for Prepared<'a> {
    type Target = Statement<'a>;

    fn deref(&self) -> &Statement<'a> {
        match self {
            Self::Kept(statement) => statement,
            Self::Once(statement) => statement,
        }
    }
}

impl<'a> DerefMut for Prepared<'a> {
    fn deref_mut(&mut self) -> &mut Statement<'a> {
        match self {
            Self::Kept(statement) => statement,
            Self::Once(statement) => statement,
        }
    }
}

impl Store {
    pub(super) fn prepare(&self, sql: &str) -> rusqlite::Result<Prepared<'_>> {
        if self.once {
            return self.conn.prepare(sql).map(Prepared::Once);
        }
        self.conn.prepare_cached(sql).map(Prepared::Kept)
    }
}

impl<'a> View<'a> {
    pub(super) fn prepare(&self, sql: &str) -> rusqlite::Result<Prepared<'a>> {
        self.store.prepare(sql)
    }
}

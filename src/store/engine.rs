//! What stands below the queries: the engine that holds a store. Above it each query is one text, and a value is what
//! SQLite calls one.

use std::fmt;

use rusqlite::types::{FromSql, ToSql, ValueRef};
use rusqlite::{CachedStatement, Statement};

use super::StoreError;
use super::sqlite::Sqlite;

/// Where the rows of a store are.
pub enum Engine {
    Sqlite(Sqlite),
}

/// Why a statement failed.
#[derive(Debug)]
pub enum Fault {
    /// SQLite failed, or a value of a row does not convert.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(err: rusqlite::Error) -> Self {
        Self::Sqlite(err)
    }
}

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Look,
    Change,
}

/// A transaction, which is rolled back where it is not committed.
pub enum Transaction<'a> {
    Sqlite(rusqlite::Transaction<'a>),
    /// One that was open before, and whose end is as good as its commit.
    Began(&'a rusqlite::Connection),
}

impl Transaction<'_> {
    pub fn commit(self) -> Result<(), Fault> {
        match self {
            Self::Sqlite(tx) => Ok(tx.commit()?),
            Self::Began(conn) => Ok(conn.execute_batch("COMMIT")?),
        }
    }
}

/// A statement ready to run.
pub enum Prepared<'a> {
    Kept(CachedStatement<'a>),
    /// SQLite takes its parts from memory that the connection has at hand, and not one by one from the C library: a
    /// third less work.
    Once(Statement<'a>),
}

/// The rows that a statement has found.
pub enum Rows<'a> {
    Sqlite(rusqlite::Rows<'a>),
}

/// One of them.
pub enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
}

impl Engine {
    /// How many rows were changed through it so far.
    pub fn changes(&self) -> u64 {
        match self {
            Self::Sqlite(it) => it.conn.total_changes(),
        }
    }

    pub fn prepare(&self, sql: &str) -> Result<Prepared<'_>, Fault> {
        match self {
            Self::Sqlite(it) => Ok(it.prepare(sql)?),
        }
    }

    /// What an error of it says of the store.
    pub fn failed(&self, err: &Fault) -> StoreError {
        match (self, err) {
            (Self::Sqlite(it), Fault::Sqlite(err)) => it.failed(err),
        }
    }

    /// Runs a statement that finds nothing. Returns how many rows it changed.
    pub fn run(&self, sql: &str, args: &[&dyn ToSql]) -> Result<usize, Fault> {
        self.prepare(sql)?.execute(args)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(err) => err.fmt(f),
        }
    }
}

impl Fault {
    /// Whether a value breaks a rule of its table.
    #[cfg(feature = "cli")]
    pub fn breaks_rule(&self) -> bool {
        use rusqlite::ErrorCode::{ConstraintViolation, TypeMismatch};
        match self {
            Self::Sqlite(err) => {
                matches!(err.sqlite_error_code(), Some(ConstraintViolation | TypeMismatch))
            }
        }
    }
}

impl Prepared<'_> {
    pub fn column_count(&self) -> usize {
        match self {
            Self::Kept(statement) => statement.column_count(),
            Self::Once(statement) => statement.column_count(),
        }
    }

    pub fn query(&mut self, args: &[&dyn ToSql]) -> Result<Rows<'_>, Fault> {
        Ok(Rows::Sqlite(match self {
            Self::Kept(statement) => statement.query(args)?,
            Self::Once(statement) => statement.query(args)?,
        }))
    }

    pub fn execute(&mut self, args: &[&dyn ToSql]) -> Result<usize, Fault> {
        Ok(match self {
            Self::Kept(statement) => statement.execute(args)?,
            Self::Once(statement) => statement.execute(args)?,
        })
    }

    /// What `read` makes of each row.
    pub fn all<T, C: FromIterator<T>>(
        &mut self,
        args: &[&dyn ToSql],
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<C, Fault> {
        let mut rows = self.query(args)?;
        let mut next = || Ok(rows.next()?.map(|row| read(&row)).transpose()?);
        std::iter::from_fn(|| next().transpose()).collect()
    }

    /// What `read` makes of the first row, if there is one.
    pub fn one<T>(
        &mut self,
        args: &[&dyn ToSql],
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Fault> {
        Ok(self.query(args)?.next()?.map(|row| read(&row)).transpose()?)
    }
}

impl Rows<'_> {
    pub fn next(&mut self) -> Result<Option<Row<'_>>, Fault> {
        match self {
            Self::Sqlite(rows) => Ok(rows.next()?.map(Row::Sqlite)),
        }
    }
}

impl<'a> Row<'a> {
    /// The value of a column.
    pub fn get_ref(&self, at: usize) -> rusqlite::Result<ValueRef<'a>> {
        match self {
            Self::Sqlite(row) => row.get_ref(at),
        }
    }

    pub fn get<T: FromSql>(&self, at: usize) -> rusqlite::Result<T> {
        match self {
            Self::Sqlite(row) => row.get(at),
        }
    }

    pub fn column_name(&self, at: usize) -> Option<&str> {
        match self {
            Self::Sqlite(row) => row.as_ref().column_name(at).ok(),
        }
    }
}

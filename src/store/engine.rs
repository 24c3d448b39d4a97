//! The engine of a store, below the queries. Above it, each query has the same text for every engine, and
//! values are those of SQLite.

use std::fmt;
#[cfg(feature = "cli")]
use std::ops::Range;

#[cfg(feature = "cli")]
use rusqlite::types::ToSqlOutput;
use rusqlite::types::{FromSql, ToSql, ValueRef};
use rusqlite::{CachedStatement, Statement};

#[cfg(feature = "postgres")]
use super::{FoundRows, Open, Postgres, ServerFailure, server_statement, server_value};
use super::{Look, Sqlite, StoreError};
use crate::domain::when::{ClockWrong, Timestamp};

/// The engine that stores the rows.
pub enum Engine {
    Sqlite(Sqlite),
    #[cfg(feature = "postgres")]
    Postgres(Postgres),
}

/// Why a statement failed.
#[derive(Debug)]
pub enum Fault {
    /// SQLite failed, or a value of a row cannot be converted.
    Sqlite(rusqlite::Error),
    #[cfg(feature = "postgres")]
    Postgres(ServerFailure),
    /// The change is stored, but no standby has confirmed it in time.
    #[cfg(feature = "postgres")]
    Unconfirmed,
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

/// A transaction, which is rolled back unless it is committed.
pub enum Transaction<'a> {
    Sqlite(rusqlite::Transaction<'a>),
    Look(Look<'a>),
    #[cfg(feature = "postgres")]
    Postgres(Open<'a>),
}

impl Transaction<'_> {
    /// The time of a change, and why the clock of this host is not trusted, if it is not.
    pub fn time(&self, host: Timestamp) -> (Timestamp, Option<ClockWrong>) {
        match self {
            Self::Sqlite(_) | Self::Look(_) => (host, None),
            #[cfg(feature = "postgres")]
            Self::Postgres(open) => open.time(host),
        }
    }

    pub fn commit(self) -> Result<(), Fault> {
        match self {
            Self::Sqlite(tx) => Ok(tx.commit()?),
            Self::Look(look) => Ok(look.commit()?),
            #[cfg(feature = "postgres")]
            Self::Postgres(open) => open.commit(),
        }
    }
}

/// A statement that is ready to run.
pub enum Prepared<'a> {
    Kept(CachedStatement<'a>),
    /// A statement that is used only once. SQLite takes its memory from a pool of the connection instead of
    /// piece by piece from the C library, which saves a third of the work.
    Once(Statement<'a>),
    #[cfg(feature = "postgres")]
    Postgres(server_statement::Statement<'a>),
}

/// The rows of a statement.
pub enum Rows<'a> {
    Sqlite(rusqlite::Rows<'a>),
    #[cfg(feature = "postgres")]
    Postgres(FoundRows),
}

/// One row.
pub enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    #[cfg(feature = "postgres")]
    Postgres(&'a ::tokio_postgres::Row),
}

impl Engine {
    /// Whether it shows only those columns of tokens that verdicts need.
    pub fn is_narrow(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.is_narrow(),
        }
    }

    /// Whether it can be used from several hosts.
    pub fn spans_hosts(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => true,
        }
    }

    /// The condition that a column is one of these rows, and the argument of the condition.
    pub fn among(&self, rows: &[i64]) -> (&'static str, String) {
        let list: Vec<String> = rows.iter().map(i64::to_string).collect();
        let list = list.join(",");
        match self {
            Self::Sqlite(_) => ("IN (SELECT value FROM json_each(?1))", format!("[{list}]")),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => ("= ANY (CAST(CAST(?1 AS text) AS bigint[]))", format!("{{{list}}}")),
        }
    }

    /// A query for a random UUID, which nobody can guess.
    pub fn uuid(&self) -> &'static str {
        match self {
            // Version 4, variant 1, and 122 random bits.
            Self::Sqlite(_) => {
                "WITH r(x) AS (SELECT lower(hex(randomblob(16)))) SELECT substr(x, 1, 8) || '-' || substr(x, 9, 4)
                 || '-4' || substr(x, 14, 3) || '-' || substr('89ab', 1 + abs(random() % 4), 1) || substr(x, 18, 3)
                 || '-' || substr(x, 21) FROM r"
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "SELECT CAST(gen_random_uuid() AS text)",
        }
    }

    /// Ensures that new rows get higher numbers than the rows that were inserted with explicit numbers.
    #[cfg(feature = "cli")]
    #[cfg_attr(
        not(feature = "postgres"),
        expect(clippy::unnecessary_wraps, reason = "another engine can fail")
    )]
    pub fn number_from_here(&self) -> Result<(), Fault> {
        match self {
            Self::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.number_from_here(),
        }
    }

    /// Whether a transaction can continue after a rule of a table has refused a statement.
    #[cfg(feature = "cli")]
    pub fn goes_on(&self) -> bool {
        match self {
            Self::Sqlite(_) => true,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => false,
        }
    }

    /// How many rows have been changed through it so far.
    pub fn changes(&self) -> u64 {
        match self {
            Self::Sqlite(sqlite) => sqlite.conn.total_changes(),
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.changes(),
        }
    }

    pub fn prepare(&self, sql: &str) -> Result<Prepared<'_>, Fault> {
        match self {
            Self::Sqlite(sqlite) => Ok(sqlite.prepare(sql)?),
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => Ok(Prepared::Postgres(postgres.prepare(sql))),
        }
    }

    /// Converts an error of the engine to an error of the store.
    pub fn failed(&self, err: &Fault) -> StoreError {
        match (self, err) {
            (Self::Sqlite(sqlite), Fault::Sqlite(err)) => sqlite.failed(err),
            #[cfg(feature = "postgres")]
            (Self::Postgres(postgres), err) => postgres.failed(err),
            #[cfg(feature = "postgres")]
            (Self::Sqlite(_), err) => StoreError::Damaged(err.to_string()),
        }
    }

    /// Runs a statement that returns no rows. Returns how many rows it changed.
    pub fn run(&self, sql: &str, args: &[&dyn ToSql]) -> Result<usize, Fault> {
        self.prepare(sql)?.execute(args)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(err) => err.fmt(f),
            #[cfg(feature = "postgres")]
            Self::Postgres(err) => f.write_str(&err.words()),
            #[cfg(feature = "postgres")]
            Self::Unconfirmed => f.write_str("no standby has confirmed the change in time"),
        }
    }
}

impl Fault {
    /// Whether the cause is a value that breaks a rule of its table.
    #[cfg(feature = "cli")]
    pub fn breaks_rule(&self) -> bool {
        use rusqlite::ErrorCode::{ConstraintViolation, TypeMismatch};
        match self {
            Self::Sqlite(err) => {
                matches!(err.sqlite_error_code(), Some(ConstraintViolation | TypeMismatch))
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(err) => err.code().is_some_and(|code| code.code().starts_with("23")),
            #[cfg(feature = "postgres")]
            Self::Unconfirmed => false,
        }
    }
}

impl Prepared<'_> {
    pub fn query(&mut self, args: &[&dyn ToSql]) -> Result<Rows<'_>, Fault> {
        Ok(match self {
            Self::Kept(statement) => Rows::Sqlite(statement.query(args)?),
            Self::Once(statement) => Rows::Sqlite(statement.query(args)?),
            #[cfg(feature = "postgres")]
            Self::Postgres(statement) => Rows::Postgres(statement.query(args)?),
        })
    }

    pub fn execute(&mut self, args: &[&dyn ToSql]) -> Result<usize, Fault> {
        Ok(match self {
            Self::Kept(statement) => statement.execute(args)?,
            Self::Once(statement) => statement.execute(args)?,
            #[cfg(feature = "postgres")]
            Self::Postgres(statement) => statement.execute(args)?,
        })
    }

    /// Runs the statement with these values, which are bound directly.
    #[cfg(feature = "cli")]
    pub fn enter<'v>(&mut self, values: impl Iterator<Item = ValueRef<'v>>) -> Result<(), Fault> {
        let statement = match self {
            Self::Kept(statement) => &mut **statement,
            Self::Once(statement) => statement,
            #[cfg(feature = "postgres")]
            Self::Postgres(statement) => {
                let values: Vec<_> = values.map(ToSqlOutput::Borrowed).collect();
                let values: Vec<&dyn ToSql> = values.iter().map(|it| it as &dyn ToSql).collect();
                return statement.execute(&values).map(drop);
            }
        };
        // Most values are null, and a parameter that is not bound is null too.
        statement.clear_bindings();
        for (at, value) in (1..).zip(values).filter(|(_, value)| *value != ValueRef::Null) {
            statement.raw_bind_parameter(at, ToSqlOutput::Borrowed(value))?;
        }
        Ok(statement.raw_execute().map(drop)?)
    }

    /// Returns the result of `read` for each row.
    pub fn all<T, C: FromIterator<T>>(
        &mut self,
        args: &[&dyn ToSql],
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<C, Fault> {
        let mut rows = self.query(args)?;
        let mut next = || Ok(rows.next()?.map(|row| read(&row)).transpose()?);
        std::iter::from_fn(|| next().transpose()).collect()
    }

    /// Returns the result of `read` for the first row, if there is one.
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
            #[cfg(feature = "postgres")]
            Self::Postgres(rows) => Ok(rows.next().map(Row::Postgres)),
        }
    }
}

impl<'a> Row<'a> {
    /// Passes the values of some columns to a function, without selecting the engine for each of them.
    #[cfg(feature = "cli")]
    pub fn each(
        &self,
        mut columns: Range<usize>,
        mut take: impl FnMut(usize, &ValueRef<'a>),
    ) -> rusqlite::Result<()> {
        match self {
            Self::Sqlite(row) => columns.try_for_each(|at| row.get_ref(at).map(|value| take(at, &value))),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => columns.try_for_each(|at| self.get_ref(at).map(|value| take(at, &value))),
        }
    }

    /// The value of a column.
    pub fn get_ref(&self, at: usize) -> rusqlite::Result<ValueRef<'a>> {
        match self {
            Self::Sqlite(row) => row.get_ref(at),
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => server_value::get_ref(row, at),
        }
    }

    pub fn get<T: FromSql>(&self, at: usize) -> rusqlite::Result<T> {
        match self {
            Self::Sqlite(row) => row.get(at),
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => server_value::get(row, at),
        }
    }

    pub fn columns(&self) -> usize {
        match self {
            Self::Sqlite(row) => row.as_ref().column_count(),
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => row.len(),
        }
    }

    pub fn column_name(&self, at: usize) -> Option<&str> {
        match self {
            Self::Sqlite(row) => row.as_ref().column_name(at).ok(),
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => row.columns().get(at).map(|column| column.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn only_a_value_that_a_table_refuses_breaks_a_rule() {
        let fault = |code| Fault::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        for code in [ffi::SQLITE_CONSTRAINT, ffi::SQLITE_MISMATCH] {
            assert!(fault(code).breaks_rule(), "{code}");
        }
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR, ffi::SQLITE_BUSY, ffi::SQLITE_CORRUPT] {
            assert!(!fault(code).breaks_rule(), "{code}");
        }
        assert!(fault(ffi::SQLITE_FULL).to_string().ends_with("database or disk is full"));
    }
}

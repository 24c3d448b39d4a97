//! Entering the rows of a batch.

use rusqlite::types::ToSqlOutput;
use rusqlite::{CachedStatement, Connection};

use super::StoreError;
use super::batch::{Batch, Row, Table};
use super::columns::{self, Column};
use super::parts::BadLine;

/// How many tables there are.
const TABLES: usize = Table::Events as usize + 1;

fn insert(table: Table) -> String {
    // The columns before those that an export shows, those, and the ones after them.
    let (before, shown, after): (&[&str], &[Column], &[&str]) = match table {
        Table::Setting => (&[], columns::SETTING, &[]),
        Table::Scope => (&["row"], columns::SCOPE, &["include_count", "seal"]),
        Table::Includes => (&["scope", "included"], &[], &["seal"]),
        Table::Tokens => (&["row"], columns::TOKEN, &["counts", "seal"]),
        Table::Label => (&["token", "key", "value"], &[], &["seal"]),
        Table::Granted => (&["row", "token", "scope"], &[], &["seal"]),
        Table::Secret => (&["row", "token"], columns::SECRET, &["seal"]),
        Table::Delivery => (&["secret"], columns::DELIVERY, &[]),
        Table::Hook => (&["secret"], columns::HOOK, &[]),
        Table::Pruned => (&[], columns::PRUNED, &[]),
        Table::Events => (&[], columns::EVENT, &[]),
    };
    let names: Vec<&str> = before
        .iter()
        .copied()
        .chain(shown.iter().map(|column| column.0))
        .chain(after.iter().copied())
        .collect();
    let marks = vec!["?"; names.len()].join(", ");
    format!("INSERT INTO {} ({}) VALUES ({marks})", table.name(), names.join(", "))
}

/// The statements that enter rows, each from its first row on.
#[derive(Default)]
pub struct Entry<'a>([Option<CachedStatement<'a>>; TABLES]);

impl<'a> Entry<'a> {
    pub fn row(&mut self, conn: &'a Connection, batch: &Batch, row: &Row) -> rusqlite::Result<()> {
        let slot = &mut self.0[row.table as usize];
        let statement = match slot {
            Some(statement) => statement,
            empty => empty.insert(conn.prepare_cached(&insert(row.table))?),
        };
        for (at, value) in (1..).zip(batch.all(row)) {
            statement.raw_bind_parameter(at, ToSqlOutput::Borrowed(value))?;
        }
        statement.raw_execute().map(drop)
    }

    /// Enters all rows. An error has the number of its line.
    pub fn all(&mut self, conn: &'a Connection, batch: &Batch) -> Result<(), (usize, BadLine)> {
        let enter = |row: &Row| self.row(conn, batch, row).map_err(|err| (row.line, failed(conn, &err)));
        batch.rows().iter().try_for_each(enter)
    }
}

/// Whether a row could not be entered because of what it holds.
pub fn is_refused(err: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{ConstraintViolation, TypeMismatch};
    matches!(err.sqlite_error_code(), Some(ConstraintViolation | TypeMismatch))
}

pub fn failed(conn: &Connection, err: &rusqlite::Error) -> BadLine {
    if is_refused(err) {
        return BadLine::Content(format!("it breaks a rule, or repeats what must be unique ({err})"));
    }
    BadLine::Store(StoreError::sqlite(std::path::Path::new(conn.path().unwrap_or_default()), err))
}

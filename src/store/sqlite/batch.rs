//! Rows of several tables on their way into a database, side by side in a few pieces of memory: one thread makes them,
//! another one enters them.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection};

use super::columns::{self, Column};
use super::parts::BadLine;
use super::{StoreError, seal};

/// What an import fills of a table.
struct Shape {
    name: &'static str,
    /// The columns before those that an export shows, and after them.
    before: &'static [&'static str],
    shown: &'static [Column],
    after: &'static [&'static str],
}

/// The tables, by which a row says where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Setting,
    Scope,
    Includes,
    Tokens,
    Label,
    Granted,
    Secret,
    Delivery,
    Hook,
    Pruned,
    Events,
}

const SHAPES: [Shape; 11] = [
    Shape { name: "setting", before: &[], shown: columns::SETTING, after: &[] },
    Shape { name: "scope", before: &["row"], shown: columns::SCOPE, after: &["include_count", "seal"] },
    Shape { name: "scope_include", before: &["scope", "included"], shown: &[], after: &["seal"] },
    Shape { name: "tokens", before: &["row"], shown: columns::TOKEN, after: &["counts", "seal"] },
    Shape { name: "label", before: &["token", "key", "value"], shown: &[], after: &["seal"] },
    Shape { name: "granted", before: &["row", "token", "scope"], shown: &[], after: &["seal"] },
    Shape { name: "secret", before: &["row", "token"], shown: columns::SECRET, after: &["seal"] },
    Shape { name: "delivery", before: &["secret"], shown: columns::DELIVERY, after: &[] },
    Shape { name: "hook", before: &["secret"], shown: columns::HOOK, after: &[] },
    Shape { name: "pruned", before: &[], shown: columns::PRUNED, after: &[] },
    Shape { name: "events", before: &[], shown: columns::EVENT, after: &[] },
];

impl Shape {
    fn insert(&self) -> String {
        let shown = self.shown.iter().map(|column| &column.0);
        let names: Vec<&str> = self.before.iter().chain(shown).chain(self.after).copied().collect();
        let marks = vec!["?"; names.len()].join(", ");
        format!("INSERT INTO {} ({}) VALUES ({marks})", self.name, names.join(", "))
    }
}

/// A value; of a text or a blob where it stands.
#[derive(Clone, Copy)]
enum Cell {
    Null,
    Integer(i64),
    Text(usize, usize),
    Blob(usize, usize),
}

/// A row that is whole.
#[derive(Clone, Copy)]
pub struct Row {
    pub table: Table,
    /// The number of its line.
    line: usize,
    from: usize,
    to: usize,
}

#[derive(Default)]
pub struct Batch {
    bytes: Vec<u8>,
    cells: Vec<Cell>,
    rows: Vec<Row>,
}

impl Batch {
    pub fn null(&mut self) {
        self.cells.push(Cell::Null);
    }

    pub fn integer(&mut self, value: i64) {
        self.cells.push(Cell::Integer(value));
    }

    pub fn text(&mut self, value: &str) {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(value.as_bytes());
        self.cells.push(Cell::Text(from, self.bytes.len()));
    }

    pub fn blob(&mut self, value: &[u8]) {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.cells.push(Cell::Blob(from, self.bytes.len()));
    }

    /// Where the next value goes.
    pub fn place(&self) -> usize {
        self.cells.len()
    }

    /// Makes a row of the values from a place on.
    pub fn end(&mut self, table: Table, line: usize, from: usize) {
        self.rows.push(Row { table, line, from, to: self.cells.len() });
    }

    /// The same with their seal.
    pub fn seal(&mut self, table: Table, line: usize, from: usize) {
        let seal = seal::seal(SHAPES[table as usize].name, (from..self.cells.len()).map(|at| self.at(at)));
        self.integer(seal);
        self.end(table, line, from);
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub fn at(&self, place: usize) -> ValueRef<'_> {
        match self.cells[place] {
            Cell::Null => ValueRef::Null,
            Cell::Integer(value) => ValueRef::Integer(value),
            Cell::Text(from, to) => ValueRef::Text(&self.bytes[from..to]),
            Cell::Blob(from, to) => ValueRef::Blob(&self.bytes[from..to]),
        }
    }

    pub fn value(&self, row: &Row, at: usize) -> ValueRef<'_> {
        self.at(row.from + at)
    }

    /// The first values of a row.
    pub fn values<const N: usize>(&self, row: &Row) -> [ValueRef<'_>; N] {
        std::array::from_fn(|at| self.value(row, at))
    }

    /// The text of a value; empty where it is none.
    pub fn str_at(&self, place: usize) -> &str {
        self.at(place).as_str().unwrap_or_default()
    }
}

/// The statements that enter rows, each from its first row on.
#[derive(Default)]
pub struct Entry<'a>([Option<CachedStatement<'a>>; SHAPES.len()]);

impl<'a> Entry<'a> {
    pub fn row(&mut self, conn: &'a Connection, batch: &Batch, row: &Row) -> rusqlite::Result<()> {
        let slot = &mut self.0[row.table as usize];
        let statement = match slot {
            Some(statement) => statement,
            empty => empty.insert(conn.prepare_cached(&SHAPES[row.table as usize].insert())?),
        };
        for (at, place) in (1..).zip(row.from..row.to) {
            statement.raw_bind_parameter(at, ToSqlOutput::Borrowed(batch.at(place)))?;
        }
        statement.raw_execute().map(drop)
    }

    /// Enters all rows. An error has the number of its line.
    pub fn all(&mut self, conn: &'a Connection, batch: &Batch) -> Result<(), (usize, BadLine)> {
        let enter = |row: &Row| self.row(conn, batch, row).map_err(|err| (row.line, failed(conn, &err)));
        batch.rows.iter().try_for_each(enter)
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

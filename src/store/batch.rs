//! Rows of several tables on their way into a database. They share a few pieces of memory, because one thread
//! makes them and another one inserts them.

use rusqlite::types::ValueRef;

use super::seal;

/// The table that a row belongs to.
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

impl Table {
    pub fn name(self) -> &'static str {
        match self {
            Self::Setting => "setting",
            Self::Scope => "scope",
            Self::Includes => "scope_include",
            Self::Tokens => "tokens",
            Self::Label => "label",
            Self::Granted => "granted",
            Self::Secret => "secret",
            Self::Delivery => "delivery",
            Self::Hook => "hook",
            Self::Pruned => "pruned",
            Self::Events => "events",
        }
    }
}

/// A value. Texts and blobs are given by their position in the bytes of the batch.
#[derive(Clone, Copy)]
enum Cell {
    Null,
    Integer(i64),
    Text(usize, usize),
    Blob(usize, usize),
}

/// A complete row.
#[derive(Clone, Copy)]
pub struct Row {
    pub table: Table,
    /// The number of the line from which it was made.
    pub line: usize,
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

    /// The index of the next value.
    pub fn next_cell(&self) -> usize {
        self.cells.len()
    }

    /// Makes a row of the values from index `from` on.
    pub fn add_row(&mut self, table: Table, line: usize, from: usize) {
        self.rows.push(Row { table, line, from, to: self.cells.len() });
    }

    /// Like [`Self::add_row`], but adds the seal of the row.
    pub fn add_sealed_row(&mut self, table: Table, line: usize, from: usize) {
        let seal = seal::seal(table.name(), (from..self.cells.len()).map(|at| self.at(at)));
        self.integer(seal);
        self.add_row(table, line, from);
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub fn at(&self, index: usize) -> ValueRef<'_> {
        match self.cells[index] {
            Cell::Null => ValueRef::Null,
            Cell::Integer(value) => ValueRef::Integer(value),
            Cell::Text(from, to) => ValueRef::Text(&self.bytes[from..to]),
            Cell::Blob(from, to) => ValueRef::Blob(&self.bytes[from..to]),
        }
    }

    /// All values of a row.
    pub fn all(&self, row: &Row) -> impl Iterator<Item = ValueRef<'_>> {
        (row.from..row.to).map(|index| self.at(index))
    }

    pub fn value(&self, row: &Row, at: usize) -> ValueRef<'_> {
        self.at(row.from + at)
    }

    /// The first `N` values of a row.
    pub fn values<const N: usize>(&self, row: &Row) -> [ValueRef<'_>; N] {
        std::array::from_fn(|at| self.value(row, at))
    }

    /// The text of a value. Empty if the value is not a text.
    pub fn str_at(&self, index: usize) -> &str {
        self.at(index).as_str().unwrap_or_default()
    }
}

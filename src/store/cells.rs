//! The cells of a row, each read from the engine once, although both its seal and its content are needed.

use rusqlite::types::{FromSql, ValueRef};

use super::engine::Row;

/// Some adjacent columns of a row.
pub struct Cells<'a> {
    row: &'a Row<'a>,
    first: usize,
    values: &'a [ValueRef<'a>],
}

/// The first columns of a row.
pub fn values<'a, const N: usize>(row: &Row<'a>) -> rusqlite::Result<[ValueRef<'a>; N]> {
    let mut values = [ValueRef::Null; N];
    for (at, value) in values.iter_mut().enumerate() {
        *value = row.get_ref(at)?;
    }
    Ok(values)
}

impl<'a> Cells<'a> {
    /// The cells of the columns from `first` on. `values` are those of the whole row.
    pub fn new(row: &'a Row<'a>, first: usize, values: &'a [ValueRef<'a>]) -> Self {
        Self { row, first, values }
    }

    /// The value of a column, counted from the first of these.
    pub fn get<T: FromSql>(&self, at: usize) -> rusqlite::Result<T> {
        // A value that does not convert is converted again, for an error that names the row.
        T::column_result(self.values[at]).or_else(|_| self.row.get(self.column(at)))
    }

    /// The column of the row at this position.
    pub fn column(&self, at: usize) -> usize {
        self.first + at
    }

    pub fn values(&self) -> &[ValueRef<'a>] {
        self.values
    }
}

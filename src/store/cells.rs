//! The cells of a row, each taken from SQLite once: a seal is over all of them, and then the row is read.

use rusqlite::types::{FromSql, Type, ValueRef};

use super::engine::Row;

/// Some columns of a row that stand side by side.
pub struct Cells<'a> {
    /// None of a row that is not in the database yet.
    row: Option<&'a Row<'a>>,
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
    /// Those of the columns from `first` on; `values` are of the row.
    pub fn new(row: &'a Row<'a>, first: usize, values: &'a [ValueRef<'a>]) -> Self {
        Self { row: Some(row), first, values }
    }

    /// Those of a row that is on its way into the database.
    #[cfg(feature = "cli")]
    pub fn of_values(values: &'a [ValueRef<'a>]) -> Self {
        Self { row: None, first: 0, values }
    }

    /// The value of a column, counted from the first one of these.
    pub fn get<T: FromSql>(&self, at: usize) -> rusqlite::Result<T> {
        T::column_result(self.values[at]).or_else(|err| match self.row {
            // What does not convert fails once more, with the words of the row.
            Some(row) => row.get(self.column(at)),
            None => Err(rusqlite::Error::FromSqlConversionFailure(at, Type::Null, err.into())),
        })
    }

    /// The column of the row that is at this place.
    pub fn column(&self, at: usize) -> usize {
        self.first + at
    }

    pub fn values(&self) -> &[ValueRef<'a>] {
        self.values
    }
}

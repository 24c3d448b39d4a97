//! The cells of a row. Each is read from the engine only once, although both the seal and the content need
//! it.

use rusqlite::types::{FromSql, Type, ValueRef};

use super::engine::Row;

/// Adjacent columns of a row.
pub struct Cells<'a> {
    /// `None` for a row that is not in the database yet.
    row: Option<&'a Row<'a>>,
    first: usize,
    values: &'a [ValueRef<'a>],
}

/// The first `N` columns of a row.
pub fn values<'a, const N: usize>(row: &Row<'a>) -> rusqlite::Result<[ValueRef<'a>; N]> {
    let mut values = [ValueRef::Null; N];
    for (at, value) in values.iter_mut().enumerate() {
        *value = row.get_ref(at)?;
    }
    Ok(values)
}

impl<'a> Cells<'a> {
    /// The cells of the columns from `first` on, which have these values.
    pub fn new(row: &'a Row<'a>, first: usize, values: &'a [ValueRef<'a>]) -> Self {
        Self { row: Some(row), first, values }
    }

    /// The cells of a row that is not in the database yet.
    #[cfg(feature = "cli")]
    pub fn of_values(values: &'a [ValueRef<'a>]) -> Self {
        Self { row: None, first: 0, values }
    }

    /// The value of a column, counted from the first of these cells.
    pub fn get<T: FromSql>(&self, at: usize) -> rusqlite::Result<T> {
        T::column_result(self.values[at]).or_else(|err| match self.row {
            // A value that does not convert is converted again, for an error that names its column.
            Some(row) => row.get(self.column(at)),
            None => Err(rusqlite::Error::FromSqlConversionFailure(at, Type::Null, err.into())),
        })
    }

    /// The number of this column in the whole row.
    pub fn column(&self, at: usize) -> usize {
        self.first + at
    }

    pub fn values(&self) -> &[ValueRef<'a>] {
        self.values
    }
}

//! Converts values between PostgreSQL and the queries, which use those of SQLite.

use std::error::Error;

use bytes::BytesMut;
use rusqlite::types::{FromSqlError, ToSqlOutput, ValueRef};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

type Wrong = Box<dyn Error + Sync + Send>;

/// A value of a row.
pub struct Cell<'a>(pub ValueRef<'a>);

impl<'a> FromSql<'a> for Cell<'a> {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Wrong> {
        Ok(Self(match *kind {
            Type::INT8 => ValueRef::Integer(i64::from_sql(kind, raw)?),
            Type::INT4 => ValueRef::Integer(i32::from_sql(kind, raw)?.into()),
            Type::INT2 => ValueRef::Integer(i16::from_sql(kind, raw)?.into()),
            Type::BOOL => ValueRef::Integer(bool::from_sql(kind, raw)?.into()),
            Type::BYTEA => ValueRef::Blob(raw),
            Type::TEXT | Type::VARCHAR | Type::NAME | Type::BPCHAR | Type::UNKNOWN => ValueRef::Text(raw),
            _ => return Err(format!("a column of type {kind}, which no table of ours has").into()),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Wrong> {
        Ok(Self(ValueRef::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A value of a parameter, which is converted to the type that the statement takes.
#[derive(Debug)]
pub struct Param<'a>(ValueRef<'a>);

impl<'a> Param<'a> {
    /// Fails for a value that no query of ours has.
    pub fn of(value: &'a ToSqlOutput<'a>) -> Option<Self> {
        match value {
            ToSqlOutput::Borrowed(value) => Some(Self(*value)),
            ToSqlOutput::Owned(value) => Some(Self(ValueRef::from(value))),
            _ => None,
        }
    }

    /// The type that it is sent as. That of null follows from its place.
    pub fn kind(&self) -> Type {
        match self.0 {
            ValueRef::Null => Type::UNKNOWN,
            ValueRef::Integer(_) => Type::INT8,
            ValueRef::Real(_) => Type::FLOAT8,
            ValueRef::Text(_) => Type::TEXT,
            ValueRef::Blob(_) => Type::BYTEA,
        }
    }
}

impl ToSql for Param<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Wrong> {
        match (self.0, kind) {
            (ValueRef::Null, _) => Ok(IsNull::Yes),
            (ValueRef::Integer(it), &Type::INT8) => it.to_sql(kind, out),
            (ValueRef::Integer(it), &Type::INT4) => i32::try_from(it)?.to_sql(kind, out),
            (ValueRef::Integer(it), &Type::BOOL) => (it != 0).to_sql(kind, out),
            (ValueRef::Text(it), &(Type::TEXT | Type::VARCHAR | Type::UNKNOWN)) => {
                std::str::from_utf8(it)?.to_sql(&Type::TEXT, out)
            }
            (ValueRef::Blob(it), &Type::BYTEA) => it.to_sql(kind, out),
            (value, kind) => {
                Err(format!("a parameter of type {kind} cannot be {}", value.data_type()).into())
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// The column of a row.
pub fn get_ref(row: &Row, at: usize) -> rusqlite::Result<ValueRef<'_>> {
    let cell: Result<Cell<'_>, _> = row.try_get(at);
    cell.map(|cell| cell.0).map_err(|err| rusqlite::Error::ToSqlConversionFailure(err.into()))
}

/// The same as a type of the domain. A failed conversion gives the same error as with SQLite.
pub fn get<T: rusqlite::types::FromSql>(row: &Row, at: usize) -> rusqlite::Result<T> {
    let value = get_ref(row, at)?;
    T::column_result(value).map_err(|err| match err {
        FromSqlError::OutOfRange(number) => rusqlite::Error::IntegralValueOutOfRange(at, number),
        FromSqlError::Other(err) => rusqlite::Error::FromSqlConversionFailure(at, value.data_type(), err),
        err => rusqlite::Error::FromSqlConversionFailure(at, value.data_type(), Box::new(err)),
    })
}

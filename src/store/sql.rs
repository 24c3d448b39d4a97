//! Converts values of the domain to columns and back. A value that no version of tokenctl wrote cannot be
//! converted, so it is reported as damage.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Type, ValueRef};

use super::StoreError;
use super::engine::Row;
use crate::domain::address::AllowFrom;
use crate::domain::changes::Change;
use crate::domain::digest::Form;
use crate::domain::name::{Name, TokenId};
use crate::domain::scope::Scope;
use crate::domain::secret::SecretHash;
use crate::domain::text::shown;
use crate::domain::token::DestinationKind;
use crate::domain::when::{Span, Timestamp};

/// The number of a row. No version of tokenctl wrote a number below 1, which a walk through the rows might
/// miss.
pub struct RowNumber(pub i64);

impl FromSql for RowNumber {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let row = value.as_i64()?;
        if row < 1 { Err(FromSqlError::OutOfRange(row)) } else { Ok(Self(row)) }
    }
}

/// A count of rows.
pub struct Count(pub usize);

impl FromSql for Count {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let count = value.as_i64()?;
        usize::try_from(count).map(Self).map_err(|_| FromSqlError::OutOfRange(count))
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let secs = value.as_i64()?;
        Timestamp::from_unix(secs).ok_or(FromSqlError::OutOfRange(secs))
    }
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.unix().into())
    }
}

impl FromSql for Span {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let secs = value.as_i64()?;
        Span::from_secs(secs).ok_or(FromSqlError::OutOfRange(secs))
    }
}

impl ToSql for Span {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.secs().into())
    }
}

impl FromSql for SecretHash {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 32]>::column_result(value).map(SecretHash::from_bytes)
    }
}

impl ToSql for SecretHash {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_bytes().as_slice().into())
    }
}

impl FromSql for Scope {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(FromSqlError::other)
    }
}

impl ToSql for Scope {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for AllowFrom {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        let rule: Self = text.parse().map_err(FromSqlError::other)?;
        // Another spelling is refused, because the digest would not cover it.
        if rule.to_string() == text { Ok(rule) } else { Err(FromSqlError::InvalidType) }
    }
}

impl FromSql for Name {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(FromSqlError::other)
    }
}

impl ToSql for Name {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok((**self).into())
    }
}

impl FromSql for TokenId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(FromSqlError::other)
    }
}

impl ToSql for TokenId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok((**self).into())
    }
}

/// The error for a column whose value contradicts other columns.
pub fn wrong(column: usize, why: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Null, why.into())
}

/// The error for a value that cannot be converted. It names the table, the row by its first column, and the
/// column.
pub fn damage(table: &str, row: &Row<'_>, err: &rusqlite::Error) -> StoreError {
    let (column, why) = match err {
        rusqlite::Error::FromSqlConversionFailure(column, _, why) => (*column, why.to_string()),
        rusqlite::Error::InvalidColumnType(column, _, found) => (*column, format!("it is of type {found}")),
        rusqlite::Error::IntegralValueOutOfRange(column, value) => {
            (*column, format!("{value} is out of range"))
        }
        rusqlite::Error::Utf8Error(column, why) => (*column, why.to_string()),
        err => return StoreError::Damaged(format!("a row of `{table}` cannot be read: {err}")),
    };
    let name = |column| row.column_name(column).unwrap_or("?").to_owned();
    let key = match row.get_ref(0) {
        Ok(ValueRef::Integer(key)) => key.to_string(),
        Ok(ValueRef::Text(key)) => shown(&String::from_utf8_lossy(key)).to_string(),
        _ => "?".to_owned(),
    };
    StoreError::Damaged(format!("`{}` in `{table}` where `{}` is {key}: {why}", name(column), name(0)))
}

impl FromSql for Form {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = value.as_i64()?;
        let found = [Form::One, Form::Two].into_iter().find(|form| form.number() == number);
        found.ok_or(FromSqlError::OutOfRange(number))
    }
}

/// The changes of an entry, as JSON.
#[derive(Default)]
pub struct Changes(pub Vec<Change>);

impl FromSql for Changes {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Self).map_err(FromSqlError::other)
    }
}

impl FromSql for DestinationKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let word = value.as_str()?;
        DestinationKind::ALL.into_iter().find(|kind| kind.word() == word).ok_or(FromSqlError::InvalidType)
    }
}

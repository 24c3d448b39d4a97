//! How values of the domain stand in columns. What no version of ours wrote does not convert, and so is damage.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::domain::scope::Scope;
use crate::domain::secret::SecretHash;
use crate::domain::token::SinkKind;
use crate::domain::when::{Span, Timestamp};

/// The number of a row: no version of ours wrote one below 1, where a walk through rows might not look.
pub struct RowNumber(pub i64);

impl FromSql for RowNumber {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let row = value.as_i64()?;
        if row < 1 { Err(FromSqlError::OutOfRange(row)) } else { Ok(Self(row)) }
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

impl FromSql for SinkKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let word = value.as_str()?;
        SinkKind::ALL.into_iter().find(|kind| kind.word() == word).ok_or(FromSqlError::InvalidType)
    }
}

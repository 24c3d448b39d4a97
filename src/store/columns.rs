//! Converts the columns of each table to the form of an export, and back.

use rusqlite::types::{Value as Sql, ValueRef};
use serde_json::{Map, Value};

use super::engine::Row;
use crate::domain::when::Timestamp;

pub type Fields = Map<String, Value>;

/// The form of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    /// A time in RFC 3339, which is seconds in the table.
    Time,
    /// Hexadecimal digits, which are bytes in the table.
    Hash,
    /// JSON, which is text in the table.
    Json,
}

pub struct Column(pub &'static str, Kind, Null);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Null {
    Never,
    Perhaps,
}

use Kind::{Hash, Json, Number, Text, Time};
use Null::{Never, Perhaps};

pub const SETTING: &[Column] = &[Column("key", Text, Never), Column("value", Text, Never)];
pub const PRUNED: &[Column] = &[Column("hash", Hash, Never), Column("at", Time, Never)];
pub const SCOPE: &[Column] = &[
    Column("id", Text, Never),
    Column("name", Text, Never),
    Column("description", Text, Perhaps),
    Column("created_at", Time, Never),
    Column("retired_at", Time, Perhaps),
];
pub const TOKEN: &[Column] = &[
    Column("id", Text, Never),
    Column("name", Text, Never),
    Column("description", Text, Perhaps),
    Column("owner", Text, Perhaps),
    Column("icon", Text, Perhaps),
    Column("ttl", Number, Perhaps),
    Column("until", Time, Perhaps),
    Column("not_before", Time, Perhaps),
    Column("rotate_every", Number, Perhaps),
    Column("grace", Number, Perhaps),
    Column("created_at", Time, Never),
    Column("created_by", Text, Never),
    Column("disabled_at", Time, Perhaps),
    Column("revoked_at", Time, Perhaps),
    Column("destination_kind", Text, Perhaps),
    Column("destination_path", Text, Perhaps),
    Column("destination_variable", Text, Perhaps),
    Column("destination_command", Text, Perhaps),
    Column("destination_host", Text, Perhaps),
    Column("destination_uid", Number, Perhaps),
    Column("hook", Text, Perhaps),
    Column("allow_from", Text, Perhaps),
];
pub const SECRET: &[Column] = &[
    Column("hash", Hash, Never),
    Column("hint", Text, Never),
    Column("created_at", Time, Never),
    Column("expires_at", Time, Perhaps),
    Column("delivered_at", Time, Perhaps),
    Column("superseded_at", Time, Perhaps),
    Column("revoked_at", Time, Perhaps),
];
pub const DELIVERY: &[Column] = &[
    Column("kind", Text, Never),
    Column("target", Text, Perhaps),
    Column("variable", Text, Perhaps),
    Column("command", Text, Perhaps),
    Column("hook", Text, Perhaps),
    Column("remember", Number, Never),
    Column("host", Text, Perhaps),
    Column("uid", Number, Never),
    Column("pid", Number, Never),
    Column("started_at", Time, Never),
    Column("deadline", Time, Never),
    Column("expires_at", Time, Perhaps),
    Column("grace", Number, Perhaps),
];
pub const HOOK: &[Column] = &[
    Column("command", Text, Never),
    Column("destination", Text, Perhaps),
    Column("previous_expires_at", Time, Perhaps),
    Column("host", Text, Perhaps),
    Column("uid", Number, Never),
    Column("claimed_at", Time, Perhaps),
    Column("claimed_pid", Number, Perhaps),
    Column("failed_at", Time, Perhaps),
    Column("created_at", Time, Never),
];
pub const EVENT: &[Column] = &[
    Column("seq", Number, Never),
    Column("time", Time, Never),
    Column("action", Text, Never),
    Column("subject", Text, Never),
    Column("name", Text, Perhaps),
    Column("uid", Number, Never),
    Column("login", Text, Perhaps),
    Column("sudo_user", Text, Perhaps),
    Column("host", Text, Perhaps),
    Column("reason", Text, Perhaps),
    Column("digest", Hash, Perhaps),
    Column("hash", Hash, Never),
    Column("format", Number, Never),
    Column("changes", Json, Perhaps),
];

/// The names of columns for a statement, with this alias of their table.
pub fn names(columns: &[Column], table: &str) -> String {
    let all: Vec<String> = columns.iter().map(|column| format!("{table}{}", column.0)).collect();
    all.join(", ")
}

/// The columns of a row from `first` on, in the form of an export.
pub fn show(columns: &[Column], row: &Row<'_>, first: usize) -> rusqlite::Result<Fields> {
    let mut fields = Fields::new();
    for (at, Column(name, kind, _)) in (first..).zip(columns) {
        let value = match (row.get_ref(at)?, kind) {
            (ValueRef::Null, _) => Value::Null,
            (_, Time) => {
                let time: Timestamp = row.get(at)?;
                String::from_utf8_lossy(&time.rfc3339()).into()
            }
            (ValueRef::Integer(number), _) => number.into(),
            (ValueRef::Blob(bytes), _) => hex(bytes).into(),
            (_, Json) => serde_json::from_str(&row.get::<String>(at)?)
                .map_err(|err| rusqlite::Error::ToSqlConversionFailure(err.into()))?,
            _ => row.get::<String>(at)?.into(),
        };
        fields.insert((*name).to_owned(), value);
    }
    Ok(fields)
}

/// Reads the columns from an object of an export. The error is a text.
pub fn take(columns: &[Column], fields: &mut Fields) -> Result<Vec<Sql>, String> {
    columns.iter().map(|column| take_one(column, fields)).collect()
}

fn take_one(Column(name, kind, null): &Column, fields: &mut Fields) -> Result<Sql, String> {
    let value = fields.remove(*name).ok_or_else(|| format!("`{name}` is missing"))?;
    let wrong = |what: &str| Err(format!("`{name}` is not {what}"));
    match (kind, value) {
        (_, Value::Null) if *null == Perhaps => Ok(Sql::Null),
        (Text, Value::String(text)) => Ok(text.into()),
        (Number, Value::Number(number)) => {
            number.as_i64().map_or_else(|| wrong("a whole number"), |it| Ok(it.into()))
        }
        (Time, Value::String(text)) => {
            let time = Timestamp::from_rfc3339(&text);
            time.map_or_else(|| wrong("a time like `2026-01-31T12:00:00Z`"), |time| Ok(time.unix().into()))
        }
        (Hash, Value::String(text)) => match bytes(&text) {
            Some(bytes) if bytes.len() == 32 => Ok(bytes.into()),
            _ => wrong("a hash of 64 hexadecimal digits"),
        },
        (Json, value @ Value::Array(_)) => Ok(value.to_string().into()),
        (Text, _) => wrong("a text"),
        (Number, _) => wrong("a number"),
        (Time, _) => wrong("a time"),
        (Hash, _) => wrong("a hash"),
        (Json, _) => wrong("a list"),
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        hex.chars().map(|c| c.to_digit(16).and_then(|it| u8::try_from(it).ok())).collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Fails if there is a field that belongs to no column.
pub fn end(fields: &Fields) -> Result<(), String> {
    fields.keys().next().map_or(Ok(()), |key| Err(format!("it has an unknown key `{key}`")))
}

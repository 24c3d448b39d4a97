//! Converts the columns of each table to the form of an export, and back.

use std::sync::LazyLock;

use rusqlite::types::ValueRef;
use serde_json::{Map, Value};

use super::batch::Batch;
use super::engine::Row;
use super::item::{self, Item};
use crate::domain::when::Timestamp;

pub type Fields = Map<String, Value>;

/// The form of a value in an export.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    /// A time in RFC 3339. The table contains seconds.
    Time,
    /// Hexadecimal digits. The table contains bytes.
    Hash,
    /// JSON. The table contains text.
    Json,
}

/// The name of a column, the form of its values, and whether they can be null.
pub struct Column(pub &'static str, Kind, Null);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Null {
    Never,
    Perhaps,
}

use Kind::{Hash, Json, Number, Text, Time};
use Null::{Never, Perhaps};

pub static SETTING: &[Column] = &[Column("key", Text, Never), Column("value", Text, Never)];
pub static PRUNED: &[Column] = &[Column("hash", Hash, Never), Column("at", Time, Never)];
pub static SCOPE: &[Column] = &[
    Column("id", Text, Never),
    Column("name", Text, Never),
    Column("description", Text, Perhaps),
    Column("created_at", Time, Never),
    Column("retired_at", Time, Perhaps),
];
pub static TOKEN: &[Column] = &[
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
pub static SECRET: &[Column] = &[
    Column("hash", Hash, Never),
    Column("hint", Text, Never),
    Column("created_at", Time, Never),
    Column("expires_at", Time, Perhaps),
    Column("delivered_at", Time, Perhaps),
    Column("superseded_at", Time, Perhaps),
    Column("revoked_at", Time, Perhaps),
];
pub static DELIVERY: &[Column] = &[
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
pub static HOOK: &[Column] = &[
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
pub static EVENT: &[Column] = &[
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

/// The names of columns for a statement, each after `table`, which is an alias or empty.
pub fn names(columns: &[Column], table: &str) -> String {
    let all: Vec<String> = columns.iter().map(|column| format!("{table}{}", column.0)).collect();
    all.join(", ")
}

/// Converts the columns of a row from `first` on to the form of an export.
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

/// More columns than any table has.
const MOST: usize = 32;

/// Moves the columns from a line of an export into a batch. An error describes what is wrong.
pub fn take(columns: &[Column], fields: &mut item::Fields<'_>, into: &mut Batch) -> Result<(), String> {
    let mut items = [const { None }; MOST];
    let mut fields = fields.remaining().peekable();
    // Both are in the order of their names, so one pass is enough.
    for at in in_order(columns) {
        let name = columns[*at].0;
        while fields.next_if(|(key, _)| **key < *name).is_some() {}
        items[*at] = fields.next_if(|(key, _)| **key == *name).and_then(|(_, item)| item.take());
    }
    columns.iter().zip(items).try_for_each(|(column, item)| take_one(column, item, into))
}

/// The indices of columns in the order of their names.
fn in_order(columns: &[Column]) -> &'static [usize] {
    static ALL: LazyLock<Vec<(&[Column], Vec<usize>)>> = LazyLock::new(|| {
        let all = [SETTING, PRUNED, SCOPE, TOKEN, SECRET, DELIVERY, HOOK, EVENT];
        let sorted = |columns: &[Column]| {
            let mut indices: Vec<usize> = (0..columns.len()).collect();
            indices.sort_unstable_by_key(|at| columns[*at].0);
            indices
        };
        all.map(|columns| (columns, sorted(columns))).into()
    });
    ALL.iter().find(|(of, _)| std::ptr::eq(*of, columns)).map_or(&[], |(_, indices)| indices)
}

fn take_one(
    Column(name, kind, null): &Column,
    item: Option<Item<'_>>,
    into: &mut Batch,
) -> Result<(), String> {
    let item = item.ok_or_else(|| format!("`{name}` is missing"))?;
    let wrong = |what: &str| Err(format!("`{name}` is not {what}"));
    match (kind, item) {
        (_, Item::Null) if *null == Perhaps => into.null(),
        (Text, Item::Text(text)) => into.text(&text),
        (Number, Item::Number(number)) => into.integer(number),
        (Number, Item::Other(_)) => return wrong("a whole number"),
        (Time, Item::Text(text)) => match Timestamp::from_rfc3339(&text) {
            Some(time) => into.integer(time.unix()),
            None => return wrong("a time like `2026-01-31T12:00:00Z`"),
        },
        (Hash, Item::Text(text)) => match bytes(&text) {
            Some(bytes) => into.blob(&bytes),
            None => return wrong("a hash of 64 hexadecimal digits"),
        },
        (Json, item @ Item::List(_)) => into.text(&item.to_string()),
        (Text, _) => return wrong("a text"),
        (Number, _) => return wrong("a number"),
        (Time, _) => return wrong("a time"),
        (Hash, _) => return wrong("a hash"),
        (Json, _) => return wrong("a list"),
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn bytes(hex: &str) -> Option<[u8; 32]> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|it| u8::try_from(it).ok());
    let digits: &[u8; 64] = hex.as_bytes().try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Fails if a field is left that belongs to no column.
pub fn check_all_taken(fields: &item::Fields<'_>) -> Result<(), String> {
    fields.iter().next().map_or(Ok(()), |(key, _)| Err(format!("it has an unknown key `{key}`")))
}

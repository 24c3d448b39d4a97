//! The tables, as append-only migrations: a fresh store runs them all, so a version has one schema text.
//!
//! Every object costs about 20,000 instructions at each open, so there are few of them.

use rusqlite::Connection;

use super::error::StoreError;

/// `tknc`, in the header of the database file.
pub const APPLICATION_ID: i64 = 0x746b_6e63;

/// One list of statements a version, in the exact form that SQLite keeps (`CREATE TABLE name`, one space).
const MIGRATIONS: &[&[&str]] = &[&[
    "CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE token (
  row INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE CHECK (length(id) = 12),
  name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
  description TEXT,
  owner TEXT,
  icon TEXT,
  ttl INTEGER CHECK (ttl > 0),
  until INTEGER,
  not_before INTEGER,
  rotate_every INTEGER CHECK (rotate_every > 0),
  grace INTEGER CHECK (grace >= 0),
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  disabled_at INTEGER,
  revoked_at INTEGER,
  CHECK (ttl IS NULL OR until IS NULL)
) STRICT",
    "CREATE UNIQUE INDEX token_name ON token (name) WHERE revoked_at IS NULL",
    "CREATE TABLE secret (
  row INTEGER PRIMARY KEY,
  token INTEGER NOT NULL REFERENCES token (row),
  hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
  hint TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  delivered_at INTEGER,
  superseded_at INTEGER CHECK (superseded_at IS NULL OR delivered_at IS NOT NULL),
  revoked_at INTEGER CHECK (revoked_at IS NULL OR delivered_at IS NOT NULL)
) STRICT",
    "CREATE INDEX secret_token ON secret (token)",
    "CREATE UNIQUE INDEX secret_heir ON secret (token) WHERE delivered_at IS NULL",
    "CREATE UNIQUE INDEX secret_current ON secret (token) WHERE delivered_at IS NOT NULL AND superseded_at IS NULL",
    "CREATE TABLE delivery (
  secret INTEGER PRIMARY KEY REFERENCES secret (row),
  sink TEXT NOT NULL,
  target TEXT,
  uid INTEGER NOT NULL,
  pid INTEGER NOT NULL,
  started_at INTEGER NOT NULL,
  deadline INTEGER NOT NULL,
  expires_at INTEGER,
  grace INTEGER CHECK (grace >= 0)
) STRICT",
    "CREATE TABLE label (
  token INTEGER NOT NULL REFERENCES token (row),
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (token, key)
) STRICT, WITHOUT ROWID",
    "CREATE TABLE scope (
  row INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64),
  description TEXT,
  created_at INTEGER NOT NULL,
  retired_at INTEGER
) STRICT",
    "CREATE TABLE scope_include (
  scope INTEGER NOT NULL REFERENCES scope (row),
  included INTEGER NOT NULL REFERENCES scope (row) CHECK (included <> scope),
  PRIMARY KEY (scope, included)
) STRICT, WITHOUT ROWID",
    "CREATE TABLE granted (
  row INTEGER PRIMARY KEY,
  token INTEGER NOT NULL REFERENCES token (row),
  scope INTEGER NOT NULL REFERENCES scope (row),
  UNIQUE (token, scope)
) STRICT",
    "CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  name TEXT,
  uid INTEGER NOT NULL,
  login TEXT,
  sudo_user TEXT,
  host TEXT,
  reason TEXT,
  digest BLOB CHECK (length(digest) = 32),
  hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT",
    "CREATE INDEX audit_subject ON audit (subject)",
]];

/// The version that this program writes.
pub fn version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Brings an open transaction from version `from` to ours.
pub fn migrate(conn: &Connection, from: i64) -> rusqlite::Result<()> {
    for statement in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or(usize::MAX)).copied().flatten() {
        conn.execute_batch(statement)?;
    }
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.pragma_update(None, "user_version", version())
}

/// Compares the text of every object with the expected one: a hostile store can hold nothing that runs.
pub fn check(conn: &Connection) -> Result<(), SchemaError> {
    let mut expected = MIGRATIONS.iter().copied().flatten();
    let mut stored = conn
        .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")
        .map_err(SchemaError::Sqlite)?;
    let mut rows = stored.query([]).map_err(SchemaError::Sqlite)?;
    while let Some(row) = rows.next().map_err(SchemaError::Sqlite)? {
        let found = row.get_ref(0).ok().and_then(|value| value.as_str().ok().map(str::to_owned));
        if found.as_deref() != expected.next().copied() {
            return Err(SchemaError::Differs);
        }
    }
    if expected.next().is_some() { Err(SchemaError::Differs) } else { Ok(()) }
}

pub enum SchemaError {
    Sqlite(rusqlite::Error),
    Differs,
}

impl SchemaError {
    pub fn into_store_error(self, path: &std::path::Path) -> StoreError {
        match self {
            Self::Sqlite(err) => StoreError::sqlite(path, &err),
            Self::Differs => StoreError::Damaged("its tables are not those that tokenctl makes".to_owned()),
        }
    }
}

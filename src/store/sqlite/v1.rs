//! Stores of version 1: how they are read, and how their rows are migrated.
//!
//! For reading, temporary views with the names of the current tables hide the old tables, so that queries
//! need not know two versions. Columns that version 1 did not have are empty, and its rows have no seals.

use rusqlite::Connection;

/// The tables and indexes of version 1.
pub const OBJECTS: &[&str] = &[
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
];

const VIEWS: &[(&str, &str)] = &[
    (
        "tokens",
        "SELECT row, id, name, description, owner, icon, ttl, until, not_before, rotate_every, grace, created_at,
         created_by, disabled_at, revoked_at, NULL AS destination_kind, NULL AS destination_path,
         NULL AS destination_variable, NULL AS destination_command, NULL AS destination_host,
         NULL AS destination_uid, NULL AS hook, NULL AS allow_from, NULL AS counts, NULL AS seal FROM main.token",
    ),
    (
        "secret",
        "SELECT row, token, hash, hint, created_at, expires_at, delivered_at, superseded_at, revoked_at,
         NULL AS seal FROM main.secret",
    ),
    (
        "delivery",
        "SELECT secret, sink AS kind, target, NULL AS variable, NULL AS command, NULL AS hook, 0 AS remember,
         NULL AS host, uid, pid, started_at, deadline, expires_at, grace FROM main.delivery",
    ),
    (
        "hook",
        "SELECT NULL AS secret, NULL AS command, NULL AS destination, NULL AS previous_expires_at, NULL AS host,
         NULL AS uid, NULL AS claimed_at, NULL AS claimed_pid, NULL AS failed_at, NULL AS created_at WHERE 0",
    ),
    ("label", "SELECT token, key, value, NULL AS seal FROM main.label"),
    (
        "scope",
        "SELECT row, '' AS id, name, description, created_at, retired_at, 0 AS include_count, NULL AS seal
         FROM main.scope",
    ),
    ("scope_include", "SELECT scope, included, NULL AS seal FROM main.scope_include"),
    ("granted", "SELECT row, token, scope, NULL AS seal FROM main.granted"),
    (
        "events",
        "SELECT seq, time, action, subject, name, uid, login, sudo_user, host, reason, digest, hash, 1 AS format,
         NULL AS changes FROM main.audit",
    ),
];

/// Creates views through which the current queries can read a database of version 1.
pub fn view(conn: &Connection) -> rusqlite::Result<()> {
    VIEWS.iter().try_for_each(|(name, sql)| conn.execute_batch(&format!("CREATE TEMP VIEW {name} AS {sql}")))
}

/// Drops these views, once the tables are those of the current version.
pub fn unview(conn: &Connection) -> rusqlite::Result<()> {
    VIEWS.iter().try_for_each(|(name, _)| conn.execute_batch(&format!("DROP VIEW IF EXISTS temp.{name}")))
}

/// For each table, its new name, its old name, the columns that both versions have, and `columns = values`
/// for the new columns.
const KEPT: &[(&str, &str, &str, &str)] = &[
    (
        "tokens",
        "token",
        "row, id, name, description, owner, icon, ttl, until, not_before, rotate_every, grace, created_at, created_by,
         disabled_at, revoked_at",
        "",
    ),
    (
        "secret",
        "secret_v1",
        "row, token, hash, hint, created_at, expires_at, delivered_at, superseded_at, revoked_at",
        "",
    ),
    ("delivery", "delivery_v1", "secret, target, uid, pid, started_at, deadline, expires_at, grace", "kind, remember = sink, 0"),
    ("label", "label_v1", "token, key, value", ""),
    ("scope", "scope_v1", "row, name, description, created_at, retired_at", "id = lower(hex(randomblob(6)))"),
    ("scope_include", "scope_include_v1", "scope, included", ""),
    ("granted", "granted_v1", "row, token, scope", ""),
    (
        "events",
        "audit",
        "seq, time, action, subject, name, uid, login, sudo_user, host, reason, digest, hash",
        "format = 1",
    ),
];

/// Moves every row into the current tables, without seals, within an open transaction. Foreign keys must be
/// off, so that rows that were inserted by hand are kept, and the log reports them.
pub fn convert(
    conn: &Connection,
    create: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    for (_, old, ..) in KEPT {
        if let Some(name) = old.strip_suffix("_v1") {
            conn.execute_batch(&format!("ALTER TABLE main.{name} RENAME TO {old}"))?;
        }
    }
    for sql in OBJECTS.iter().filter_map(|sql| sql.split_once(" INDEX ")) {
        let name = sql.1.split(' ').next().unwrap_or_default();
        conn.execute_batch(&format!("DROP INDEX main.{name}"))?;
    }
    conn.execute_batch("ALTER TABLE main.setting RENAME TO setting_v1")?;
    create(conn)?;
    conn.execute_batch("INSERT INTO setting SELECT key, value FROM setting_v1; DROP TABLE setting_v1")?;
    for (new, old, columns, more) in KEPT {
        let (names, values) = match more.split_once(" = ") {
            Some((name, value)) => (format!("{columns}, {name}"), format!("{columns}, {value}")),
            None => ((*columns).to_owned(), (*columns).to_owned()),
        };
        conn.execute_batch(&format!("INSERT INTO {new} ({names}) SELECT {values} FROM {old} ORDER BY 1"))?;
    }
    KEPT.iter().rev().try_for_each(|(_, old, ..)| conn.execute_batch(&format!("DROP TABLE {old}")))
}

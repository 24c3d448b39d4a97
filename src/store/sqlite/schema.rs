//! The tables of the current version. `v1` contains those of the previous one, and the migration.
//!
//! SQLite parses the tables whenever a store is opened, at about 15,000 instructions per object, 4,000 per
//! check and 500 per `NOT NULL`. So there are few objects, and no constraints that reading would repeat. Each
//! value is read as a type of the domain, which refuses what a constraint would refuse, and rows on which a
//! verdict depends are sealed.

use rusqlite::Connection;

use super::v1;
use crate::store::error::StoreError;

/// `tknc`, in the header of the database file.
pub const APPLICATION_ID: i64 = 0x746b_6e63;

/// The version that this program writes.
pub const VERSION: i64 = 2;

/// The rule that two unrevoked tokens cannot have the same name.
pub const TOKEN_NAME: &str = "CREATE UNIQUE INDEX token_name ON tokens (name) WHERE revoked_at IS NULL";

/// Finds the tokens whose secrets go to a file. Stores that were made before this index existed do not have it.
const TOKEN_DESTINATION: &str = "CREATE INDEX token_destination ON tokens (destination_path) WHERE destination_path IS NOT NULL AND revoked_at IS NULL";

/// The statements, in the exact form that SQLite keeps (`CREATE TABLE name`, one space). Each row on which a
/// verdict depends ends with its seal. `counts` contains how many labels, grants and secrets a token has, and
/// `include_count` how many scopes a scope includes, so that a missing row is noticed. Both are written last.
const OBJECTS: &[&str] = &[
    "CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT) STRICT, WITHOUT ROWID",
    "CREATE TABLE tokens (
  row INTEGER PRIMARY KEY,
  id TEXT UNIQUE,
  name TEXT,
  description TEXT,
  owner TEXT,
  icon TEXT,
  ttl INTEGER,
  until INTEGER,
  not_before INTEGER,
  rotate_every INTEGER,
  grace INTEGER,
  created_at INTEGER,
  created_by TEXT,
  disabled_at INTEGER,
  revoked_at INTEGER,
  destination_kind TEXT,
  destination_path TEXT,
  destination_variable TEXT,
  destination_command TEXT,
  destination_host TEXT,
  destination_uid INTEGER,
  hook TEXT,
  allow_from TEXT,
  counts TEXT,
  seal INTEGER
) STRICT",
    TOKEN_NAME,
    TOKEN_DESTINATION,
    "CREATE TABLE secret (
  row INTEGER PRIMARY KEY,
  token INTEGER REFERENCES tokens,
  hash BLOB UNIQUE,
  hint TEXT,
  created_at INTEGER,
  expires_at INTEGER,
  delivered_at INTEGER,
  superseded_at INTEGER,
  revoked_at INTEGER,
  seal INTEGER
) STRICT",
    "CREATE INDEX secret_token ON secret (token)",
    // A token has at most one provisional and one current secret.
    "CREATE UNIQUE INDEX secret_role ON secret (token, delivered_at IS NULL) WHERE superseded_at IS NULL",
    "CREATE TABLE delivery (
  secret INTEGER PRIMARY KEY REFERENCES secret,
  kind TEXT NOT NULL,
  target TEXT,
  variable TEXT,
  command TEXT,
  hook TEXT,
  remember INTEGER,
  host TEXT,
  uid INTEGER,
  pid INTEGER,
  started_at INTEGER,
  deadline INTEGER,
  expires_at INTEGER,
  grace INTEGER
) STRICT",
    "CREATE TABLE hook (
  secret INTEGER PRIMARY KEY REFERENCES secret,
  command TEXT NOT NULL,
  destination TEXT,
  previous_expires_at INTEGER,
  host TEXT,
  uid INTEGER,
  claimed_at INTEGER,
  claimed_pid INTEGER,
  failed_at INTEGER,
  created_at INTEGER
) STRICT",
    "CREATE TABLE label (
  token INTEGER REFERENCES tokens,
  key TEXT,
  value TEXT,
  seal INTEGER,
  PRIMARY KEY (token, key)
) STRICT, WITHOUT ROWID",
    "CREATE TABLE scope (
  row INTEGER PRIMARY KEY,
  id TEXT,
  name TEXT UNIQUE,
  description TEXT,
  created_at INTEGER,
  retired_at INTEGER,
  include_count INTEGER,
  seal INTEGER
) STRICT",
    "CREATE TABLE scope_include (
  scope INTEGER REFERENCES scope,
  included INTEGER REFERENCES scope,
  seal INTEGER,
  PRIMARY KEY (scope, included)
) STRICT, WITHOUT ROWID",
    "CREATE TABLE granted (
  row INTEGER PRIMARY KEY,
  token INTEGER REFERENCES tokens,
  scope INTEGER REFERENCES scope,
  seal INTEGER,
  UNIQUE (token, scope)
) STRICT",
    "CREATE TABLE pruned (hash BLOB PRIMARY KEY, at INTEGER) STRICT, WITHOUT ROWID",
    "CREATE TABLE events (
  seq INTEGER PRIMARY KEY,
  time INTEGER,
  action TEXT,
  subject TEXT,
  name TEXT,
  uid INTEGER,
  login TEXT,
  sudo_user TEXT,
  host TEXT,
  reason TEXT,
  digest BLOB,
  hash BLOB,
  format INTEGER,
  changes TEXT
) STRICT",
    "CREATE INDEX event_subject ON events (subject)",
];

/// Creates every table and index of this version.
pub fn create(conn: &Connection) -> rusqlite::Result<()> {
    OBJECTS.iter().try_for_each(|sql| conn.execute_batch(sql))
}

/// Writes the application id and the version into the header of the file.
pub fn stamp(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.pragma_update(None, "user_version", VERSION)
}

/// The current version in the header.
pub fn version_of(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// The steps by which SQLite runs a query on these tables.
#[cfg(test)]
pub fn plan(query: &str, args: impl rusqlite::Params) -> Vec<String> {
    let conn = Connection::open_in_memory().expect("a database in memory can be opened");
    create(&conn).expect("the tables can be created");
    let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {query}")).expect("the query can be prepared");
    let steps = plan.query_map(args, |row| row.get("detail")).expect("the plan can be read");
    steps.collect::<Result<_, _>>().expect("each step is text")
}

/// The tables that `ANALYZE` creates. They do not change any result.
const STATISTICS: [&str; 2] =
    ["CREATE TABLE sqlite_stat1(tbl,idx,stat)", "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)"];
/// The names of the tables that Litestream keeps in a database.
const LITESTREAM: &str = "_litestream_";

/// Compares every object with the expected ones, so that a hostile store cannot contain anything that runs.
/// The order can differ, because `VACUUM` changes it, and `ANALYZE` adds tables.
pub fn check(conn: &Connection, version: i64) -> Result<(), SchemaError> {
    let expected = if version == VERSION { OBJECTS } else { v1::OBJECTS };
    let mut matched = vec![false; expected.len()];
    let mut foreign = Vec::new();
    let mut statement = conn.prepare("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL")?;
    let mut rows = statement.query([])?;
    let mut next = 0;
    while let Some(row) = rows.next()? {
        let text = |at| row.get_ref(at).ok().and_then(|value| value.as_str().ok()).unwrap_or_default();
        let (kind, name, sql) = (text(0), text(1), text(2));
        // Usually the objects are in the order in which they were created.
        let from_next = (next..expected.len()).chain(0..next);
        let found = from_next.into_iter().find(|at| expected[*at] == sql && declares(sql, kind, name));
        match found {
            Some(at) if !matched[at] => {
                matched[at] = true;
                next = at + 1;
            }
            None if STATISTICS.contains(&sql) => {}
            _ => foreign.push(name.to_owned()),
        }
    }
    let missing = expected
        .iter()
        .zip(matched)
        .find(|(sql, matched)| !matched && **sql != TOKEN_DESTINATION)
        .map(|(sql, _)| declared(sql).1.to_owned());
    if missing.is_none() && foreign.is_empty() {
        Ok(())
    } else {
        Err(SchemaError::Differs { missing, foreign })
    }
}

/// The kind and the name in the text of an object.
fn declared(sql: &str) -> (&'static str, &str) {
    let (kind, rest) = match sql.strip_prefix("CREATE TABLE ") {
        Some(rest) => ("table", rest),
        None => ("index", sql.split_once(" INDEX ").map_or("", |(_, rest)| rest)),
    };
    (kind, rest.split(' ').next().unwrap_or_default())
}

fn declares(sql: &str, kind: &str, name: &str) -> bool {
    declared(sql) == (kind, name)
}

/// Drops the tables of Litestream.
pub fn drop_litestream(conn: &Connection) -> rusqlite::Result<()> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB ?1";
    let names: Vec<String> = conn
        .prepare(sql)?
        .query_map([format!("{LITESTREAM}*")], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    names
        .iter()
        .try_for_each(|name| conn.execute_batch(&format!("DROP TABLE \"{}\"", name.replace('"', "\"\""))))
}

pub enum SchemaError {
    Sqlite(rusqlite::Error),
    /// An object is missing or differs, or there are additional objects.
    Differs {
        missing: Option<String>,
        foreign: Vec<String>,
    },
}

impl From<rusqlite::Error> for SchemaError {
    fn from(err: rusqlite::Error) -> Self {
        Self::Sqlite(err)
    }
}

impl SchemaError {
    pub fn into_store_error(self, path: &std::path::Path) -> StoreError {
        match self {
            Self::Sqlite(err) => StoreError::sqlite(path, &err),
            Self::Differs { missing: None, foreign }
                if foreign.iter().all(|name| name.starts_with(LITESTREAM)) =>
            {
                StoreError::Wal { path: path.to_owned() }
            }
            Self::Differs { missing: Some(name), .. } => {
                StoreError::Damaged(format!("its table or index `{name}` is not the one that tokenctl makes"))
            }
            Self::Differs { foreign, .. } => StoreError::Damaged(format!(
                "it has objects that tokenctl does not make: `{}`",
                foreign.join("`, `")
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_index_of_destinations_may_be_missing() {
        let conn = Connection::open_in_memory().expect("a database in memory can be opened");
        create(&conn).expect("the tables can be created");
        conn.execute_batch("DROP INDEX token_destination").expect("the index can be dropped");
        assert!(check(&conn, VERSION).is_ok());
        conn.execute_batch("DROP INDEX token_name").expect("the index can be dropped");
        let missing = check(&conn, VERSION).err().and_then(|err| match err {
            SchemaError::Differs { missing, foreign } if foreign.is_empty() => missing,
            _ => None,
        });
        assert_eq!(missing.as_deref(), Some("token_name"));
    }
}

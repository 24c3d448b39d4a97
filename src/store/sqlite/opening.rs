//! Opens a store in a file for reading, for a single verification, or for a change.

use std::cell::Cell;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use rusqlite::Connection;

use super::checked::{self, Checked};
use super::found::Found;
use super::location::Directory;
use super::open::{self, Access};
use super::{Sqlite, Store, StoreError, hot, lock, migrate, schema, v1};
use crate::domain::event::Author;
use crate::domain::when::Clock;
use crate::store::usage;

/// Begins a transaction and takes its lock, which `BEGIN` alone does not.
const BEGIN_TO_READ: &str = "BEGIN; PRAGMA user_version";

impl Store {
    /// Opens the store for reading, without changing a byte.
    pub(in crate::store) fn file_to_read(location: &Directory) -> Result<Self, StoreError> {
        Sqlite::open_reader(location, Access::Read).map(Self::from)
    }

    /// Opens the store for a single verification. The read transaction that checks the store also does the
    /// verification, and no statement is cached.
    pub(in crate::store) fn file_to_verify_once(location: &Directory) -> Result<Self, StoreError> {
        Sqlite::open_reader(location, Access::Once).map(Self::from)
    }

    /// Opens the store for completion while somebody types. A store that is not ready at once is an error.
    pub(in crate::store) fn file_to_glance(location: &Directory) -> Result<Self, StoreError> {
        let (found, checked) = safe(location)?;
        let engine = Sqlite::connect(&found, Access::Glance).map_err(|err| err.at_once(&found))?;
        let store = Self::from(Sqlite { checked: Some(checked), ..engine });
        store.set_patience(Access::Glance.patience());
        Ok(store)
    }

    /// Opens the store for reading, while this process has other connections to the same file.
    pub(in crate::store) fn file_beside(location: &Directory) -> Result<Self, Opening> {
        let (found, checked) = safe(location).map_err(Opening::Failed)?;
        Ok(Self::from(Sqlite { checked: Some(checked), ..Sqlite::connect(&found, Access::Read)? }))
    }

    /// Opens the store for a change. A store of the previous version is migrated. Dropping the store deletes
    /// `copy`.
    pub(in crate::store) fn file_to_write(
        location: &Directory,
        clock: &dyn Clock,
        author: &Author,
        copy: Option<hot::Copy>,
    ) -> Result<Self, StoreError> {
        let (found, checked) = safe(location)?;
        found.check_writable()?;
        let engine = Sqlite::connect(&found, Access::Write).map_err(|err| err.at_once(&found))?;
        let store = Self::from(Sqlite { checked: Some(checked), copy, ..engine });
        if store.version() != schema::VERSION {
            migrate::migrate(&store, clock, author)?;
        }
        // Usage files can be lost. The next write creates the missing ones, if it can.
        if usage::is_missing(&found.dir)
            && let Ok(now) = clock.now()
        {
            let _ = usage::make(&found.dir, found.meta.uid(), store.sharing_of_new_files(), now);
        }
        Ok(store)
    }
}

impl Sqlite {
    fn open_reader(location: &Directory, access: Access) -> Result<Self, StoreError> {
        let (found, checked) = safe(location)?;
        // A writer might roll the journal back between the check and the copy. In that case the next round
        // reads the original.
        for _ in 0..10 {
            match Self::connect(&found, access) {
                // A copy can be made only while this process has no connection to the original.
                Err(Opening::HotJournal) if checked::is_shared(&checked) => break,
                Err(Opening::HotJournal) => {}
                Err(Opening::Failed(err)) => return Err(err),
                Ok(engine) => return Ok(Self { checked: Some(checked), ..engine }),
            }
            if let Some((conn, copy)) = hot::copy(&found)? {
                let version = prepare(&conn, &found).map_err(|err| err.into_store_error(&found.database))?;
                return Ok(Self { copy: Some(copy), ..Self::new(conn, found, version) });
            }
        }
        Err(StoreError::Locked(lock::pids(&found.database)))
    }

    pub(super) fn connect(found: &Found, access: Access) -> Result<Self, Opening> {
        let classify = |err: rusqlite::Error| match err.sqlite_error().map(|err| err.extended_code) {
            Some(rusqlite::ffi::SQLITE_READONLY_ROLLBACK) => Opening::HotJournal,
            _ => Opening::Failed(StoreError::sqlite(&found.database, &err)),
        };
        let conn = open::connect(&found.database, access).map_err(classify)?;
        let once = access == Access::Once;
        if once {
            conn.execute_batch(BEGIN_TO_READ).map_err(classify)?;
        }
        let version = prepare(&conn, found).map_err(|err| match err {
            schema::SchemaError::Sqlite(err) => classify(err),
            differs @ schema::SchemaError::Differs { .. } => {
                Opening::Failed(differs.into_store_error(&found.database))
            }
        })?;
        Ok(Self { once, began: Cell::new(once), ..Self::new(conn, found.clone(), version) })
    }
}

/// Why a store was not opened.
pub enum Opening {
    /// A killed writer left its journal.
    HotJournal,
    Failed(StoreError),
}

impl Opening {
    /// The error if there is no further attempt.
    pub fn at_once(self, found: &Found) -> StoreError {
        match self {
            Self::HotJournal => StoreError::Locked(lock::pids(&found.database)),
            Self::Failed(err) => err,
        }
    }
}

/// Checks the tables, and makes those of version 1 readable. Returns their version.
fn prepare(conn: &Connection, found: &Found) -> Result<i64, schema::SchemaError> {
    let mut version = found.stamp();
    let mut checked = schema::check(conn, version);
    if checked.is_err() {
        // The store might have been migrated since its header was read, or its journal might not have been
        // rolled back.
        version = schema::version_of(conn)?;
        checked = schema::check(conn, version);
    }
    checked?;
    if version != schema::VERSION {
        v1::view(conn)?;
    }
    Ok(version)
}

/// Returns the files, if they are a store and nobody else could have written them.
fn safe(location: &Directory) -> Result<(Found, Arc<Checked>), StoreError> {
    let (found, checked) = checked::find(location)?;
    if let Some(problem) = location.unsafe_files(&found)?.into_iter().next() {
        return Err(problem.into());
    }
    found.version().map(|_| (found, checked))
}

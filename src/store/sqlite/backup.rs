//! Copies a whole database through SQLite, consistently even while others write.
//!
//! A copy is made in one step, during which writers wait. With several steps, each write would start it
//! again, and the copy of a busy store would never finish.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::location::Directory;
use super::open::{self, Access};
#[cfg(feature = "cli")]
use super::schema;
use super::{Store, build, hot};
use crate::domain::event::{Anchor, Author};
use crate::domain::when::Clock;
use crate::store::Location;
use crate::store::error::StoreError;
use crate::store::sharing::Sharing;

/// Copies a database over another one, in one transaction of the other one.
pub(super) fn copy(from: &Connection, to: &mut Connection) -> rusqlite::Result<()> {
    let step = Backup::new(from, to)?.step(-1)?;
    if step == StepResult::Done {
        return Ok(());
    }
    let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    Err(rusqlite::Error::SqliteFailure(busy, None))
}

/// Copies a database into an empty private file. The caller syncs the file if it must be durable.
pub(super) fn copy_to_new(from: &Connection, file: &Path) -> rusqlite::Result<()> {
    let mut to = open::connect(file, Access::Write)?;
    to.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF")?;
    copy(from, &mut to)
}

impl Store {
    /// Copies the database into an empty private file. Returns the head of the log in the copy.
    pub fn back_up(&self, file: &Path) -> Result<Anchor, StoreError> {
        self.read(|view| {
            let head = view.anchor()?;
            copy_to_new(&self.files()?.conn, file).map_err(|err| StoreError::sqlite(file, &err))?;
            Ok(head)
        })
    }

    /// Creates a store in a private directory. `fill` writes its database. Dropping the store deletes the
    /// directory.
    pub(super) fn private(
        clock: &dyn Clock,
        author: &Author,
        fill: impl FnOnce(&Path, File) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        hot::sweep();
        let failed = |err: &std::io::Error| StoreError::io("make a copy in", &std::env::temp_dir(), err);
        let copy = hot::Copy::new().map_err(|err| failed(&err))?;
        let dir = copy.path().canonicalize().map_err(|err| failed(&err))?;
        let location = Directory { dir, named: true, trusts_group: false };
        let database = location.database();
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&database);
        fill(&database, opened.map_err(|err| failed(&err))?)?;
        Self::file_to_write(&location, clock, author, Some(copy))
    }

    /// Creates a new private store. It becomes durable only when it is put in place.
    #[cfg(feature = "cli")]
    pub fn new_private(clock: &dyn Clock, author: &Author) -> Result<Self, StoreError> {
        let store =
            Self::private(clock, author, |path, _| build::fill(path, Sharing::Private, clock, author))?;
        let files = store.files()?;
        files.conn.execute_batch("PRAGMA synchronous = OFF").map_err(|err| files.failed(&err))?;
        Ok(store)
    }

    /// Creates the store at a location from this private one. Fails if there already is a store.
    pub fn put_in_place(&self, location: &Location, clock: &dyn Clock) -> Result<(), StoreError> {
        match location {
            Location::Directory(directory) => self.put_file_in_place(directory, clock),
            #[cfg(feature = "postgres")]
            Location::Server(server) => self.put_on_server(server),
        }
    }

    pub(super) fn put_file_in_place(
        &self,
        location: &Directory,
        clock: &dyn Clock,
    ) -> Result<(), StoreError> {
        let sharing = self.sharing().unwrap_or(Sharing::Private);
        let made = build::put(location, sharing, clock, |file| self.back_up(file).map(drop))?;
        if made { Ok(()) } else { Err(StoreError::Changed) }
    }

    /// Copies this store to a private one, in the current version.
    pub fn private_copy(&self, clock: &dyn Clock, author: &Author) -> Result<Self, StoreError> {
        #[cfg(feature = "postgres")]
        if let crate::store::engine::Engine::Postgres(_) = &self.engine {
            return self.file_of_server(clock, author);
        }
        Self::private(clock, author, |database, _| self.back_up(database).map(drop))
    }

    /// Creates a private store without any rows, not even the first entry of a log. Rows are inserted in the
    /// open transaction.
    #[cfg(feature = "cli")]
    pub(in crate::store) fn private_to_fill(clock: &dyn Clock, author: &Author) -> Result<Self, StoreError> {
        let store = Self::private(clock, author, |path, _| {
            let make = || {
                let conn = open::connect(path, Access::Write)?;
                // If the process or the machine stops, this file never becomes a store.
                conn.execute_batch("PRAGMA synchronous = OFF; BEGIN")?;
                schema::create(&conn)?;
                schema::stamp(&conn)?;
                conn.execute_batch("COMMIT")
            };
            make().map_err(|err| StoreError::sqlite(path, &err))
        })?;
        let files = store.files()?;
        let begin = files.conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; BEGIN");
        begin.map_err(|err| files.failed(&err))?;
        store.keep_pages()?;
        Ok(store)
    }

    /// Commits the rows that were inserted.
    #[cfg(feature = "cli")]
    pub(in crate::store) fn commit_filled(&self) -> Result<(), StoreError> {
        let files = self.files()?;
        let end = files.conn.execute_batch("COMMIT; PRAGMA foreign_keys = ON");
        end.map_err(|err| files.failed(&err))
    }
}

//! Copies of a whole database, made by SQLite: consistent while others write.
//!
//! A copy is made in one step, during which writers wait. In several steps each write would start it anew, and a busy
//! store would never be copied.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::error::StoreError;
use super::location::Location;
use super::open::{self, Access};
use super::{Store, build, hot};
use crate::domain::event::{Anchor, Author};
use crate::domain::when::Clock;
use crate::store::sharing::Sharing;

/// Copies a database over another one, in one transaction of that.
pub(super) fn copy(from: &Connection, to: &mut Connection) -> rusqlite::Result<()> {
    let step = Backup::new(from, to)?.step(-1)?;
    if step == StepResult::Done {
        return Ok(());
    }
    let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    Err(rusqlite::Error::SqliteFailure(busy, None))
}

/// Copies a database into an empty file that nobody else knows of. Whoever needs it to last syncs it.
pub(super) fn copy_to_new(from: &Connection, file: &Path) -> rusqlite::Result<()> {
    let mut to = open::connect(file, Access::Write)?;
    to.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF")?;
    copy(from, &mut to)
}

impl Store {
    /// Copies the database into an empty file that nobody else knows of. Returns the head of the log in the copy.
    pub fn back_up(&self, file: &Path) -> Result<Anchor, StoreError> {
        self.read(|view| {
            let head = view.anchor()?;
            copy_to_new(view.conn(), file).map_err(|err| StoreError::sqlite(file, &err))?;
            Ok(head)
        })
    }

    /// A store in a private directory, which goes when it is dropped, in a file that `fill` writes.
    pub(super) fn private(
        clock: &dyn Clock,
        author: &Author,
        fill: impl FnOnce(&Path, File) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        hot::sweep();
        let failed = |err: &std::io::Error| StoreError::io("make a copy in", &std::env::temp_dir(), err);
        let copy = hot::Copy::new().map_err(|err| failed(&err))?;
        let dir = copy.path().canonicalize().map_err(|err| failed(&err))?;
        let location = Location { dir, named: true, trusts_group: false };
        let database = location.database();
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&database);
        fill(&database, opened.map_err(|err| failed(&err))?)?;
        let store = Self::open_to_write(&location, clock, author)?;
        Ok(Self { copy: Some(copy), ..store })
    }

    /// A new store, which may be lost until it is put in place.
    #[cfg(feature = "cli")]
    pub fn new_private(clock: &dyn Clock, author: &Author) -> Result<Self, StoreError> {
        let store =
            Self::private(clock, author, |path, _| build::fill(path, Sharing::Private, clock, author))?;
        store.conn.execute_batch("PRAGMA synchronous = OFF").map_err(|err| store.failed(&err))?;
        Ok(store)
    }

    /// Makes the store at a location from this private one. Fails if there is one by now.
    pub fn put_in_place(&self, location: &Location, clock: &dyn Clock) -> Result<(), StoreError> {
        let sharing = self.sharing().unwrap_or(Sharing::Private);
        let made = build::put(location, sharing, clock, |file| self.back_up(file).map(drop))?;
        if made { Ok(()) } else { Err(StoreError::Changed) }
    }

    /// A private copy of this store, of the version of today.
    pub fn private_copy(&self, clock: &dyn Clock, author: &Author) -> Result<Self, StoreError> {
        Self::private(clock, author, |database, _| self.back_up(database).map(drop))
    }
}

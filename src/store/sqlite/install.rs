//! Puts a restored store in place: over the existing database in one transaction, or as a new one.
//!
//! The lock is held from the last check of the existing log until the end of that transaction, so that no
//! change in between can be lost.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::Path;

use super::build::{TEMPORARY, sync_directory, unsettled};
use super::found::Found;
use super::location::Directory;
use super::open::{self, Access};
use super::restore::{Live, Restoration};
use super::{Sqlite, StoreError, backup, lock};
use crate::domain::event::Anchor;
use crate::domain::when::Clock;
use crate::store::UNSETTLED;

/// The name of the old database, which is kept if its log is not part of the new one.
pub const BEFORE: &str = "tokens.db.before-restore";

impl Restoration {
    /// Puts the result in place, unless the store has changed since it was examined.
    pub(in crate::store) fn install_in(
        &self,
        location: &Directory,
        clock: &dyn Clock,
    ) -> Result<(), StoreError> {
        match &self.live {
            Live::Missing => self.result.put_file_in_place(location, clock),
            Live::SameHistory(head) => self.write_over(&location.find()?, Some(head), false),
            Live::OtherHistory(head) => self.write_over(&location.find()?, Some(head), true),
            Live::Unusable(_, head) => {
                let found = location.find()?;
                match self.write_over(&found, head.as_ref(), true) {
                    // SQLite cannot write into a file that it does not recognize as a database.
                    Err(StoreError::Damaged(_) | StoreError::Foreign { .. }) => self.replace(&found),
                    done => done,
                }
            }
        }
    }

    fn write_over(&self, found: &Found, expected: Option<&Anchor>, keep: bool) -> Result<(), StoreError> {
        found.check_writable()?;
        let failed = |err: rusqlite::Error| StoreError::sqlite(&found.database, &err);
        let mut conn = open::connect(&found.database, Access::Write).map_err(failed)?;
        lock::be_patient(lock::PATIENCE);
        // In this mode, the lock is kept when the transaction ends.
        conn.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").map_err(failed)?;
        if let Some(expected) = expected {
            let store = Sqlite::new(conn, found.clone(), super::VERSION);
            let head = store.newest().map_err(failed)?;
            if head.as_ref() != Some(expected) {
                return Err(StoreError::Changed);
            }
            conn = store.conn;
        }
        conn.execute_batch("COMMIT").map_err(failed)?;
        if keep {
            keep_old(found, |file| {
                backup::copy_to_new(&conn, file).map_err(|err| StoreError::sqlite(file, &err))
            })?;
        }
        let copied = backup::copy(&self.result.files()?.conn, &mut conn);
        // Under an exclusive lock, SQLite only clears the header of the journal. The read that ends the lock also
        // removes the file.
        let released = conn.execute_batch("PRAGMA locking_mode = NORMAL; PRAGMA user_version");
        drop(conn);
        copied.and(released).or_else(|err| self.settle(found, &err))
    }

    /// After a failed COMMIT, only the content of the database tells whether the change was kept.
    fn settle(&self, found: &Found, err: &rusqlite::Error) -> Result<(), StoreError> {
        let head = open::connect(&found.database, Access::Write)
            .and_then(|conn| Sqlite::new(conn, found.clone(), super::VERSION).newest());
        match head {
            Ok(head) if head.as_ref() == Some(&self.head) => Ok(()),
            Ok(_) => Err(StoreError::sqlite(&found.database, err)),
            Err(_) if !self.live.is_readable() => Err(StoreError::sqlite(&found.database, err)),
            Err(_) => Err(StoreError::Io { what: format!("the store failed: {err}"), settled: UNSETTLED }),
        }
    }

    /// Renames the result over a file that is not a database.
    fn replace(&self, found: &Found) -> Result<(), StoreError> {
        let failed = |err: &io::Error| StoreError::io("restore", &found.database, err);
        keep_old(found, |file| {
            fs::copy(&found.database, file).map(drop).map_err(|err| StoreError::io("keep", file, &err))
        })?;
        let new = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&found.dir);
        let new = new.map_err(|err| failed(&err))?;
        self.result.back_up(new.path())?;
        copy_metadata(&new, found).and_then(|()| new.as_file().sync_all()).map_err(|err| failed(&err))?;
        new.persist(&found.database).map_err(|err| failed(&err.error))?;
        sync_directory(&found.dir).map_err(|err| unsettled(&found.dir, &err))
    }
}

impl Live {
    fn is_readable(&self) -> bool {
        matches!(self, Self::SameHistory(_) | Self::OtherHistory(_))
    }
}

/// Copies the owner, group and mode of the old file.
fn copy_metadata(new: &tempfile::NamedTempFile, found: &Found) -> io::Result<()> {
    let file = new.as_file();
    if file.metadata()?.uid() != found.meta.uid() || file.metadata()?.gid() != found.meta.gid() {
        fchown(file, Some(found.meta.uid()), Some(found.meta.gid()))?;
    }
    file.set_permissions(found.meta.permissions())
}

/// Keeps the old database beside the new one, readable only by its owner.
fn keep_old(found: &Found, fill: impl FnOnce(&Path) -> Result<(), StoreError>) -> Result<(), StoreError> {
    let path = found.dir.join(BEFORE);
    let failed = |err: &io::Error| StoreError::io("keep the old store in", &path, err);
    let new = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&found.dir);
    let new = new.map_err(|err| failed(&err))?;
    fill(new.path())?;
    let sync = || {
        if new.as_file().metadata()?.uid() != found.meta.uid() {
            fchown(new.as_file(), Some(found.meta.uid()), None)?;
        }
        new.as_file().sync_all()
    };
    sync().map_err(|err| failed(&err))?;
    new.persist(&path).map_err(|err| failed(&err.error))?;
    sync_directory(&found.dir).map_err(|err| failed(&err))
}

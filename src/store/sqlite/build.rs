//! Makes a store: complete and synced under a temporary name, then renamed without replacing. If two processes
//! race, the loser uses the winner's store.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use rustix::io::Errno;

use super::found::{self, Found};
use super::location::Directory;
use super::open::{self, Access};
use super::schema;
use super::{Sqlite, Store};
use crate::domain::event::Author;
use crate::domain::when::Clock;
use crate::store::error::{StoreError, UNSETTLED, read_only};
use crate::store::sharing::Sharing;
use crate::store::{files, usage};

/// The name of a database under construction. A leftover was never a store.
pub const TEMPORARY: &str = "tokens.db.new-";
/// How many directories are made for the default store: `.local/share/tokenctl` below the home directory. A
/// missing home is not made.
const DEFAULT_DEPTH: usize = 3;

/// Makes the store unless there is one. Returns whether this call made it.
pub fn make(
    location: &Directory,
    sharing: Sharing,
    clock: &dyn Clock,
    author: &Author,
) -> Result<bool, StoreError> {
    if location.exists() {
        return Ok(false);
    }
    put(location, sharing, clock, |path| fill(path, sharing, clock, author))
}

/// Puts a database, which `fill` writes into an empty file, in place unless there is one. Returns whether this
/// call did.
pub fn put(
    location: &Directory,
    sharing: Sharing,
    clock: &dyn Clock,
    fill: impl FnOnce(&Path) -> Result<(), StoreError>,
) -> Result<bool, StoreError> {
    clock.now()?;
    directory(location, sharing)?;
    let failed = |err: &io::Error| cannot_make(location, err);
    let dir = fs::canonicalize(&location.dir).map_err(|err| failed(&err))?;
    let new = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&dir).map_err(|err| failed(&err))?;
    fill(new.path())?;
    sharing.apply(new.as_file(), sharing.database_mode()).map_err(|err| failed(&err))?;
    new.as_file().sync_all().map_err(|err| failed(&err))?;
    let owner = new.as_file().metadata().map_err(|err| failed(&err))?.uid();
    usage::make(&dir, owner, sharing, clock.now()?).map_err(|err| failed(&err))?;
    let made = match new.persist_noclobber(dir.join(found::DATABASE)) {
        Ok(_) => true,
        Err(err) if err.error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(err) => return Err(failed(&err.error)),
    };
    sync_directory(&dir).map_err(|err| unsettled(&location.dir, &err))?;
    Ok(made)
}

/// The error that a store is in place, but may be gone after a loss of power.
pub fn unsettled(dir: &Path, err: &io::Error) -> StoreError {
    StoreError::Io { what: format!("cannot sync `{}`: {err}", dir.display()), settled: UNSETTLED }
}

/// The error if a store cannot be made: the location is impossible, or a failure may be temporary.
fn cannot_make(location: &Directory, err: &io::Error) -> StoreError {
    let path = location.dir.clone();
    match err.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory => {
            StoreError::NoPlace { path, why: err.to_string() }
        }
        io::ErrorKind::ReadOnlyFilesystem => read_only(&path, Errno::ROFS),
        _ => StoreError::io("make a store in", &path, err),
    }
}

/// Makes the store's directory if it is missing, but not if it could not be opened afterwards.
fn directory(location: &Directory, sharing: Sharing) -> Result<(), StoreError> {
    let failed = |err: &io::Error| cannot_make(location, err);
    let missing: Vec<&Path> = location.dir.ancestors().take_while(|path| !path.exists()).collect();
    let there = location.dir.ancestors().nth(missing.len()).unwrap_or(Path::new("/"));
    let there = fs::canonicalize(there).map_err(|err| failed(&err))?;
    if !location.named && missing.len() > DEFAULT_DEPTH {
        let why = format!("there is nothing below `{}`", there.display());
        return Err(StoreError::NoPlace { path: location.dir.clone(), why });
    }
    let wrong = if missing.is_empty() {
        location.unsafe_directory(&there)?
    } else {
        location.unsafe_parents(&there)?
    };
    if let Some(wrong) = wrong.into_iter().next() {
        return Err(wrong.into());
    }
    for path in missing.iter().rev() {
        // Another command may be making the same directories.
        match DirBuilder::new().mode(0o700).create(path) {
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(|err| failed(&err))?,
        }
    }
    if !missing.is_empty() || sharing != Sharing::Private {
        let dir = fs::canonicalize(&location.dir)
            .and_then(|dir| files::open(&dir, false))
            .map_err(|err| failed(&err))?;
        sharing.apply(&dir.file, sharing.directory_mode()).map_err(|err| failed(&err))?;
        sync_directory(&there).map_err(|err| failed(&err))?;
    }
    Ok(())
}

/// Turns the empty file into a database with our tables and the first entry of the audit chain.
pub(super) fn fill(
    path: &Path,
    sharing: Sharing,
    clock: &dyn Clock,
    author: &Author,
) -> Result<(), StoreError> {
    let conn = open::connect(path, Access::Write).map_err(|err| StoreError::sqlite(path, &err))?;
    let found = Found::unread(path).map_err(|err| StoreError::io("make a store in", path, &err))?;
    let store = Store::from(Sqlite::new(conn, found, schema::VERSION));
    store.transact(clock, author, |tx| {
        let conn = &store.files()?.conn;
        let made = schema::create(conn).and_then(|()| schema::stamp(conn));
        made.map_err(|err| StoreError::sqlite(path, &err))?;
        tx.record_init(sharing)
    })
}

/// The error for a file of the store whose mode or group must not be changed.
pub fn unsafe_to_change(path: &Path, err: &io::Error) -> StoreError {
    StoreError::Unsafe {
        path: path.to_owned(),
        why: err.to_string(),
        fix: "find out what it is and who made it, then move it away".to_owned(),
    }
}

pub fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

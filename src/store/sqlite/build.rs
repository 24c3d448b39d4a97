//! Creates a store. It is complete and synced under a temporary name before it is renamed without replacing
//! anything. If two processes race, the loser uses the winner's store.

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

/// The name of a database under construction. A leftover with this name was never a store.
pub const TEMPORARY: &str = "tokens.db.new-";
/// How many directories are created for the default store: `.local/share/tokenctl` below the home directory.
/// A missing home directory is not created.
const DEFAULT_DEPTH: usize = 3;

/// Creates the store unless it exists. Returns whether this call created it.
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

/// Puts a database in place unless there is one. `fill` writes it into an empty file. Returns whether this
/// call put it in place.
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

/// The error for a store that is in place, but might be lost in a power cut.
pub fn unsettled(dir: &Path, err: &io::Error) -> StoreError {
    StoreError::Io { what: format!("cannot sync `{}`: {err}", dir.display()), settled: UNSETTLED }
}

/// The error for a store that cannot be created: its location is impossible, or the failure might be
/// temporary.
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

/// Creates the directory of the store if it is missing, unless the store could not be opened afterwards.
fn directory(location: &Directory, sharing: Sharing) -> Result<(), StoreError> {
    let failed = |err: &io::Error| cannot_make(location, err);
    let missing: Vec<&Path> = location.dir.ancestors().take_while(|path| !path.exists()).collect();
    let existing = location.dir.ancestors().nth(missing.len()).unwrap_or(Path::new("/"));
    let existing = fs::canonicalize(existing).map_err(|err| failed(&err))?;
    if !location.named && missing.len() > DEFAULT_DEPTH {
        let why = format!("there is nothing below `{}`", existing.display());
        return Err(StoreError::NoPlace { path: location.dir.clone(), why });
    }
    let problems = if missing.is_empty() {
        location.unsafe_directory(&existing)?
    } else {
        location.unsafe_parents(&existing)?
    };
    if let Some(problem) = problems.into_iter().next() {
        return Err(problem.into());
    }
    for path in missing.iter().rev() {
        // Another command might be creating the same directories.
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
        sync_directory(&existing).map_err(|err| failed(&err))?;
    }
    Ok(())
}

/// Turns the empty file into a database with the tables of a store and the first entries of its log.
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
        fix: "find out what it is and who created it, then move it away".to_owned(),
    }
}

pub fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

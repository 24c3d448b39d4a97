//! A store whose writer was killed: a reader may not roll its journal back, so it rolls back a private copy.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;

use super::error::StoreError;
use super::open::{self, Access};

/// A larger database is not copied.
const MAX_COPY: u64 = 256 << 20;

pub fn journal(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-journal");
    PathBuf::from(name)
}

/// A consistent copy of a database with a hot journal, in a directory that goes when it is dropped. `None` when a
/// writer was faster: then the original can be read again.
///
/// No connection to the original may be open: reading it drops this process's locks on it.
pub fn copy(database: &Path) -> Result<Option<(Connection, TempDir)>, StoreError> {
    let failed = |err: &std::io::Error| StoreError::io("copy", database, err);
    let size = fs::symlink_metadata(database).map_err(|err| failed(&err))?.len();
    if size > MAX_COPY {
        return Err(StoreError::Unreadable {
            path: database.to_owned(),
            why: "a killed writer left its journal, and the store is too large to copy".to_owned(),
        });
    }
    let private = Permissions::from_mode(0o700);
    let dir = tempfile::Builder::new()
        .prefix("tokenctl-")
        .permissions(private)
        .tempdir()
        .map_err(|err| failed(&err))?;
    let copied = dir.path().canonicalize().map_err(|err| failed(&err))?.join(open::DATABASE);
    let Ok(before) = fs::read(journal(database)) else { return Ok(None) };
    fs::copy(database, &copied).map_err(|err| failed(&err))?;
    fs::write(journal(&copied), &before).map_err(|err| failed(&err))?;
    if fs::read(journal(database)).ok().as_ref() != Some(&before) {
        return Ok(None);
    }
    let sqlite = |err: rusqlite::Error| StoreError::sqlite(&copied, &err);
    let conn = open::connect(&copied, Access::Write).map_err(sqlite)?;
    let answer: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(sqlite)?;
    if answer != "ok" {
        return Err(StoreError::Damaged(format!("after its journal was rolled back: {answer}")));
    }
    Ok(Some((conn, dir)))
}

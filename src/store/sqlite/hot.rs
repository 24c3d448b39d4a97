//! A store whose writer was killed. A reader must not roll the journal back, so it rolls back a private copy.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rustix::fs::FlockOperation;
use tempfile::TempDir;

use super::found::{DATABASE, Found, journal};
use super::location::MAX_BYTES;
use super::open::{self, Access};
use crate::store::error::StoreError;
use crate::store::files::{self, Opened};

/// The prefix of the names of directories for copies.
const PREFIX: &str = "tokenctl-copy-";

/// A copy that a reader uses. Dropping it deletes the files.
pub struct Copy {
    dir: TempDir,
    /// Holds a lock while the reader runs, so that copies left by killed readers can be recognized.
    _alive: File,
}

impl Copy {
    pub fn new() -> io::Result<Self> {
        let private = Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().prefix(PREFIX).permissions(private).tempdir()?;
        let alive = File::open(dir.path())?;
        // The lock is shared and waits, because `left_behind` of another process might hold it for a moment.
        rustix::fs::flock(&alive, FlockOperation::LockShared)?;
        Ok(Self { dir, _alive: alive })
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// The copies that killed processes of this user left in the directory for temporary files. A directory
/// without a database is not included, because it is being created, and might not be locked yet.
pub fn left_behind() -> Vec<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let is_left = |path: &Path| {
        files::open(path, false).is_ok_and(|opened| {
            opened.meta.is_dir()
                && opened.meta.uid() == uid
                && rustix::fs::flock(&opened.file, FlockOperation::NonBlockingLockExclusive).is_ok()
                // This is checked under the lock, because a reader removes its copy before it releases the
                // lock.
                && path.join(DATABASE).exists()
        })
    };
    let entries = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()))
        .map(|entry| entry.path())
        .filter(|path| is_left(path))
        .collect()
}

/// Removes these copies. A copy that cannot be removed only takes space, and `doctor` reports it.
pub fn sweep() {
    for path in left_behind() {
        let _ = fs::remove_dir_all(path);
    }
}

/// Makes a consistent copy of a database with a hot journal. `None` if a writer has rolled the journal back
/// in the meantime, so that the original can be read.
///
/// This process must not have a connection to the original, because reading the file drops the locks of this
/// process on it.
pub fn copy(found: &Found) -> Result<Option<(Connection, Copy)>, StoreError> {
    let database = &found.database;
    let failed = |err: &io::Error| StoreError::io("copy", database, err);
    let too_large = || StoreError::Unreadable {
        path: database.clone(),
        why: "a killed writer left its journal, and the store is too large to copy".to_owned(),
    };
    let source = files::open(database, false).map_err(|err| failed(&err))?;
    if (source.meta.dev(), source.meta.ino()) != (found.meta.dev(), found.meta.ino()) {
        // This is not the file that was checked.
        return Ok(None);
    }
    if source.meta.len() > MAX_BYTES {
        return Err(too_large());
    }
    let Some(before) = content(&journal(database), database)? else { return Ok(None) };
    let copy = Copy::new().map_err(|err| failed(&err))?;
    let copied = copy.dir.path().canonicalize().map_err(|err| failed(&err))?.join(DATABASE);
    File::create_new(&copied)
        .and_then(|mut file| io::copy(&mut (&source.file).take(MAX_BYTES), &mut file))
        .map_err(|err| failed(&err))?;
    fs::write(journal(&copied), &before).map_err(|err| failed(&err))?;
    if content(&journal(database), database)?.as_ref() != Some(&before) {
        return Ok(None);
    }
    let sqlite = |err: rusqlite::Error| StoreError::sqlite(&copied, &err);
    let conn = open::connect(&copied, Access::Write).map_err(sqlite)?;
    let answer: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(sqlite)?;
    if answer != "ok" {
        return Err(StoreError::Damaged(format!("after its journal was rolled back: {answer}")));
    }
    Ok(Some((conn, copy)))
}

/// The content of a journal. `None` if it is not a regular file with one link, or is too large.
fn content(path: &Path, database: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let Ok(Opened { file, meta }) = files::open(path, false) else { return Ok(None) };
    if !meta.is_file() || meta.nlink() != 1 || meta.len() > MAX_BYTES {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let read = file.take(MAX_BYTES).read_to_end(&mut bytes);
    read.map_err(|err| StoreError::io("copy", database, &err))?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_small_regular_file_with_one_name_is_read_as_a_journal() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let read = |name: &str| content(&path(name), &path(DATABASE)).unwrap();
        fs::write(path("one"), "journal").unwrap();
        assert_eq!(read("one").as_deref(), Some(&b"journal"[..]));
        assert_eq!(read("missing"), None);
        fs::hard_link(path("one"), path("two")).unwrap();
        assert_eq!(read("one"), None);
        fs::create_dir(path("directory")).unwrap();
        assert_eq!(read("directory"), None);
        File::create(path("large")).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert_eq!(read("large"), None);
    }
}

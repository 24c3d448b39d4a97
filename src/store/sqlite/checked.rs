//! The database files that this process has open, each with its header checked.
//!
//! When a process closes any descriptor of a file, the system drops all POSIX locks of that process on it, those of
//! SQLite's connections too. So a file is opened to look at its header only while this process has no connection to
//! it; later connections rely on that first look.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::error::StoreError;
use super::open;

/// Which file it is, whatever its name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub fn of(meta: &fs::Metadata) -> Self {
        Self { device: meta.dev(), inode: meta.ino() }
    }
}

/// A file whose header was checked. Drop it after the connection for which it was checked.
#[derive(Debug)]
pub struct Checked {
    pub id: FileId,
}

static OPEN: Mutex<Vec<Weak<Checked>>> = Mutex::new(Vec::new());

/// Checks the header of a database, unless this process has it open already.
pub fn check(database: &Path) -> Result<Arc<Checked>, StoreError> {
    let mut files = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    files.retain(|file| file.strong_count() > 0);
    let meta = fs::symlink_metadata(database)
        .map_err(|err| StoreError::Unreadable { path: database.to_owned(), why: err.to_string() })?;
    let id = FileId::of(&meta);
    if let Some(checked) = files.iter().filter_map(Weak::upgrade).find(|checked| checked.id == id) {
        return Ok(checked);
    }
    let checked = Arc::new(Checked { id: open::header(database)? });
    files.push(Arc::downgrade(&checked));
    Ok(checked)
}

/// Whether another connection of this process relies on the same check.
pub fn is_shared(checked: &Arc<Checked>) -> bool {
    Arc::strong_count(checked) > 1
}

//! The database files that this process has open, and what was found in each before SQLite opened it.
//!
//! When a process closes any descriptor of a file, the system drops all POSIX locks of this process on the
//! file, including those of SQLite's connections. So a file is opened to read its header only while this
//! process has no connection to it. Later connections rely on that first check.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::found::Found;
use super::location::Directory;
use crate::store::error::StoreError;

/// The identity of a file, independent of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub fn of(meta: &fs::Metadata) -> Self {
        Self { device: meta.dev(), inode: meta.ino() }
    }

    /// The identity of the current database file in the directory of a store.
    pub fn at(location: &Directory) -> Result<Self, StoreError> {
        let database = location.database();
        fs::symlink_metadata(&database).map(|meta| Self::of(&meta)).map_err(|err| match err.kind() {
            std::io::ErrorKind::NotFound => StoreError::Missing(location.dir.clone()),
            _ => StoreError::Unreadable { path: database, why: err.to_string() },
        })
    }

    /// The identity of a server, which depends only on its URL.
    #[cfg(feature = "postgres")]
    pub fn of_server(url: &std::path::Path) -> Self {
        use std::os::unix::ffi::OsStrExt;
        let mut inode = [0; 8];
        inode.copy_from_slice(&blake3::hash(url.as_os_str().as_bytes()).as_bytes()[..8]);
        Self { device: 0, inode: u64::from_le_bytes(inode) }
    }
}

/// A checked file. It must be dropped after its connection.
#[derive(Debug)]
pub struct Checked {
    pub id: FileId,
    found: Found,
}

static OPEN: Mutex<Vec<(FileId, Weak<Checked>)>> = Mutex::new(Vec::new());

/// Finds the files of a store like [`Directory::find`], but without opening a file that this process already
/// has open.
pub fn find(location: &Directory) -> Result<(Found, Arc<Checked>), StoreError> {
    let mut files = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    files.retain(|(_, file)| file.strong_count() > 0);
    if let Ok(meta) = fs::symlink_metadata(location.database()) {
        let id = FileId::of(&meta);
        // Only the entry of this file is upgraded. Otherwise the check of another thread would look shared.
        let same = files.iter().find(|(other, _)| *other == id);
        if let Some(checked) = same.and_then(|(_, file)| file.upgrade()) {
            let mut found = checked.found.clone();
            found.meta = meta;
            return Ok((found, checked));
        }
    }
    let found = location.find()?;
    let id = FileId::of(&found.meta);
    let checked = Arc::new(Checked { id, found: found.clone() });
    files.push((id, Arc::downgrade(&checked)));
    Ok((found, checked))
}

/// Whether another connection of this process relies on the same check.
pub fn is_shared(checked: &Arc<Checked>) -> bool {
    Arc::strong_count(checked) > 1
}

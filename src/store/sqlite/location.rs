//! Finds the files of a store, and checks who could have written them.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::found::{DATABASE, Found, HEADER_LEN, journal, look};
use crate::store::error::{StoreError, shell};
use crate::store::{files, trust};

/// The largest journal that is accepted, and the largest database that is copied.
pub const MOST_BYTES: u64 = 256 << 20;
const STICKY: u32 = 0o1000;

/// The directory of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    pub dir: PathBuf,
    /// Whether a flag or variable names it. Then its owner may be another user.
    pub named: bool,
    /// Whether members of the store's group may change its files.
    pub trusts_group: bool,
}

/// A property of the files that makes the store unsafe, and the command that fixes it.
#[derive(Debug)]
pub struct Unsafe {
    pub path: PathBuf,
    pub why: String,
    pub fix: String,
    /// Whether another mode fixes it.
    pub by_mode: bool,
}

impl From<Unsafe> for StoreError {
    fn from(it: Unsafe) -> Self {
        Self::Unsafe { path: it.path, why: it.why, fix: it.fix }
    }
}

impl Directory {
    pub fn database(&self) -> PathBuf {
        self.dir.join(DATABASE)
    }

    /// Whether there is anything at the store's path, or there may be but we cannot look.
    pub fn exists(&self) -> bool {
        !matches!(files::look(&self.database()), Ok(None))
    }

    /// Finds the store's files. Its database must be a regular file.
    ///
    /// Never call it while this process has the database open, since closing any descriptor of a file drops all its
    /// POSIX locks.
    pub fn find(&self) -> Result<Found, StoreError> {
        let unreadable = |path: &Path, err: &io::Error| match err.kind() {
            io::ErrorKind::NotFound => StoreError::Missing(self.dir.clone()),
            _ => StoreError::Unreadable { path: path.to_owned(), why: err.to_string() },
        };
        // SQLite refuses any symbolic link in a path, so links above the store are resolved here.
        let dir = fs::canonicalize(&self.dir).map_err(|err| unreadable(&self.dir, &err))?;
        let database = dir.join(DATABASE);
        let not_a_file = |meta: &Metadata| StoreError::from(not_a_file(&database, meta));
        let opened = files::open(&database, false).map_err(|err| match files::look(&database) {
            Ok(Some(meta)) if !meta.is_file() => not_a_file(&meta),
            _ => unreadable(&database, &err),
        })?;
        if !opened.meta.is_file() {
            return Err(not_a_file(&opened.meta));
        }
        let mut head = vec![0; HEADER_LEN];
        let mut len = 0;
        while len < HEADER_LEN {
            match opened.file.read_at(&mut head[len..], len as u64) {
                Ok(0) => break,
                Ok(more) => len += more,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(unreadable(&database, &err)),
            }
        }
        head.truncate(len);
        Ok(Found { dir, database, meta: opened.meta, head })
    }

    /// Problems of owners, modes and kinds, the worst first.
    pub fn unsafe_files(&self, found: &Found) -> Result<Vec<Unsafe>, StoreError> {
        let mut all = self.unsafe_entry(&found.database, &found.meta, self.trusted(&found.meta));
        if found.meta.nlink() != 1 {
            all.push(Unsafe {
                path: found.database.clone(),
                why: format!(
                    "it has {} hard links, and a journal is found by one of them only",
                    found.meta.nlink()
                ),
                fix: "remove the other links, or `tokenctl doctor --repair` if a killed command left one"
                    .to_owned(),
                by_mode: false,
            });
        }
        all.extend(self.unsafe_journal(found)?);
        all.extend(self.unsafe_directory(&found.dir)?);
        Ok(all)
    }

    /// SQLite rolls a journal back into the database, so it must be one that SQLite wrote for the owner of the
    /// store.
    fn unsafe_journal(&self, found: &Found) -> Result<Option<Unsafe>, StoreError> {
        let path = journal(&found.database);
        let Some(meta) = look(&path)? else { return Ok(None) };
        let owner = if self.trusts_group { meta.uid() } else { found.meta.uid() };
        let too_large = || format!("it is larger than {} MiB", MOST_BYTES >> 20);
        let why = files::problem(&meta, owner).or_else(|| (meta.len() > MOST_BYTES).then(too_large));
        Ok(why.map(|why| Unsafe {
            path,
            why,
            fix: "it is not a journal that tokenctl wrote; find out who made it, and move it away".to_owned(),
            by_mode: false,
        }))
    }

    /// Problems of a directory, whose path has no symbolic links, and of its parents.
    pub fn unsafe_directory(&self, dir: &Path) -> Result<Vec<Unsafe>, StoreError> {
        let meta = lstat(dir)?;
        if !meta.is_dir() {
            return Ok(vec![not_a_file(dir, &meta)]);
        }
        let trusted = self.trusted(&meta);
        let mut all = self.unsafe_entry(dir, &meta, trusted);
        all.extend(unsafe_ancestors(dir, trusted)?);
        Ok(all)
    }

    /// Problems of the directories above a new directory in `parent`.
    pub fn unsafe_parents(&self, parent: &Path) -> Result<Vec<Unsafe>, StoreError> {
        let meta = lstat(parent)?;
        let mut all: Vec<Unsafe> = self.foreign_owner(parent, &meta).into_iter().collect();
        all.extend(unsafe_ancestors(&parent.join("new"), self.trusted(&meta))?);
        Ok(all)
    }

    /// The trusted group, if this file has it.
    fn trusted(&self, meta: &Metadata) -> Option<u32> {
        self.trusts_group.then_some(meta.gid())
    }

    fn foreign_owner(&self, path: &Path, meta: &Metadata) -> Option<Unsafe> {
        let us = rustix::process::geteuid().as_raw();
        (!self.named && meta.uid() != us && meta.uid() != 0).then(|| Unsafe {
            path: path.to_owned(),
            why: format!("it belongs to uid {}", meta.uid()),
            fix: format!("if you trust that user, name the store with `--store {}`", shell(&self.dir)),
            by_mode: false,
        })
    }

    fn unsafe_entry(&self, path: &Path, meta: &Metadata, trusted: Option<u32>) -> Vec<Unsafe> {
        let mut all: Vec<Unsafe> = self.foreign_owner(path, meta).into_iter().collect();
        if trust::others_can_write(meta, trusted) {
            all.push(writable(path, meta, "write"));
        }
        all
    }
}

/// The problem that others can write a directory or file, with its fix.
fn writable(path: &Path, meta: &Metadata, what: &str) -> Unsafe {
    let others = meta.mode() & 0o002 != 0;
    let (who, bits) = if others { ("others", "go-w") } else { ("the members of its group", "g-w") };
    let or = if others { "" } else { "; `--trust-group` trusts the group of a store that is named" };
    Unsafe {
        path: path.to_owned(),
        why: format!("its mode {:o} lets {who} {what}", meta.mode() & 0o7777),
        fix: format!("chmod {bits} {}{or}", shell(path)),
        by_mode: true,
    }
}

/// The problem that a path is not the expected kind of file.
fn not_a_file(path: &Path, meta: &Metadata) -> Unsafe {
    let (why, fix) = match fs::read_link(path) {
        Ok(to) => (
            format!("it is a symbolic link to `{}`", to.display()),
            "`--store DIR` names the directory that holds the file itself".to_owned(),
        ),
        Err(_) => (
            format!("it is {}", files::kind(meta)),
            "move it away, then restore a backup or make a new store with `tokenctl init`".to_owned(),
        ),
    };
    Unsafe { path: path.to_owned(), why, fix, by_mode: false }
}

/// Problems by which others could control an open file, whose path has no symbolic links, since they own it, can
/// write it, or can replace it.
pub fn unsafe_file(path: &Path, meta: &Metadata) -> Result<Option<(String, String)>, StoreError> {
    let owner = meta.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        let fix = format!("read it, then take it over: `sudo chown $USER {}`", shell(path));
        return Ok(Some((format!("it belongs to uid {owner}"), fix)));
    }
    if trust::others_can_write(meta, None) {
        let Unsafe { why, .. } = writable(path, meta, "write");
        return Ok(Some((why, format!("`chmod go-w {}`", shell(path)))));
    }
    let above = unsafe_path(path)?.into_iter().next();
    Ok(above.map(|it| (format!("`{}`: {}", it.path.display(), it.why), it.fix)))
}

/// Directories above a path in which others could replace what is below. This is the rule for destinations of
/// secrets.
pub fn unsafe_path(path: &Path) -> Result<Vec<Unsafe>, StoreError> {
    unsafe_ancestors(path, None)
}

/// Directories above `dir` in which others could replace what is below.
fn unsafe_ancestors(dir: &Path, trusted: Option<u32>) -> Result<Vec<Unsafe>, StoreError> {
    let mut all = Vec::new();
    for path in dir.ancestors().skip(1) {
        let meta = lstat(path)?;
        if meta.mode() & STICKY == 0 && trust::others_can_write(&meta, trusted) {
            all.push(writable(path, &meta, "replace what is below it"));
        }
    }
    Ok(all)
}

fn lstat(path: &Path) -> Result<Metadata, StoreError> {
    look(path)?.ok_or_else(|| StoreError::Missing(path.to_owned()))
}

//! Finds the files of a store, and checks that nobody else could have changed them.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::found::{DATABASE, Found, HEADER_LEN, journal, look};
use crate::store::error::{StoreError, shell};
use crate::store::{files, trust};

/// The maximum size, in bytes, of a journal that is accepted and of a database that is copied.
pub const MAX_BYTES: u64 = 256 << 20;
const STICKY: u32 = 0o1000;

/// The directory of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    pub dir: PathBuf,
    /// Whether the user named this directory, with `--store` or TOKENCTL_STORE. If so, it can belong to another user.
    pub named: bool,
    /// Whether it is accepted that members of the store's group can change its files.
    pub trusts_group: bool,
}

/// A reason why the store is unsafe, and how to fix it.
#[derive(Debug)]
pub struct Unsafe {
    pub path: PathBuf,
    pub why: String,
    pub fix: String,
    /// Whether `chmod` fixes it.
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

    /// Returns `false` only if the database is certainly missing. If we cannot look, there might be one.
    pub fn exists(&self) -> bool {
        !matches!(files::look(&self.database()), Ok(None))
    }

    /// Opens the database, which must be a regular file, and reads its header.
    ///
    /// Never call it while this process has the database open, since closing any descriptor of the file releases
    /// all POSIX locks that this process has on it.
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

    /// Returns problems with the owner, mode or type of the files, the most serious first.
    pub fn unsafe_files(&self, found: &Found) -> Result<Vec<Unsafe>, StoreError> {
        let mut all = self.unsafe_entry(&found.database, &found.meta, self.trusted(&found.meta));
        if found.meta.nlink() != 1 {
            all.push(Unsafe {
                path: found.database.clone(),
                why: format!(
                    "it has {} hard links, and SQLite looks for a journal next to only one of them",
                    found.meta.nlink()
                ),
                fix: "remove the other links; if a killed command left one, run `tokenctl doctor --repair`"
                    .to_owned(),
                by_mode: false,
            });
        }
        all.extend(self.unsafe_journal(found)?);
        all.extend(self.unsafe_directory(&found.dir)?);
        Ok(all)
    }

    /// SQLite applies a journal to the database, so the journal must belong to the owner of the store.
    fn unsafe_journal(&self, found: &Found) -> Result<Option<Unsafe>, StoreError> {
        let path = journal(&found.database);
        let Some(meta) = look(&path)? else { return Ok(None) };
        let owner = if self.trusts_group { meta.uid() } else { found.meta.uid() };
        let too_large = || format!("it is larger than {} MiB", MAX_BYTES >> 20);
        let why = files::problem(&meta, owner).or_else(|| (meta.len() > MAX_BYTES).then(too_large));
        Ok(why.map(|why| Unsafe {
            path,
            why,
            fix: "SQLite did not write it for this store; find out who made it, and move it away".to_owned(),
            by_mode: false,
        }))
    }

    /// Returns the problems of a directory and its parents. Its path must not contain symbolic links.
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

    /// Returns the problems of `parent` and the directories above it, before a store is created in `parent`.
    pub fn unsafe_parents(&self, parent: &Path) -> Result<Vec<Unsafe>, StoreError> {
        let meta = lstat(parent)?;
        let mut all: Vec<Unsafe> = self.owner_problem(parent, &meta).into_iter().collect();
        // `unsafe_ancestors` skips the path itself, so any name of a child will do.
        all.extend(unsafe_ancestors(&parent.join("new"), self.trusted(&meta))?);
        Ok(all)
    }

    /// The group of this file, if groups are trusted.
    fn trusted(&self, meta: &Metadata) -> Option<u32> {
        self.trusts_group.then_some(meta.gid())
    }

    fn owner_problem(&self, path: &Path, meta: &Metadata) -> Option<Unsafe> {
        let us = rustix::process::geteuid().as_raw();
        (!self.named && meta.uid() != us && meta.uid() != 0).then(|| Unsafe {
            path: path.to_owned(),
            why: format!("it belongs to uid {}", meta.uid()),
            fix: format!("if you trust that user, name the store with `--store {}`", shell(&self.dir)),
            by_mode: false,
        })
    }

    fn unsafe_entry(&self, path: &Path, meta: &Metadata, trusted: Option<u32>) -> Vec<Unsafe> {
        let mut all: Vec<Unsafe> = self.owner_problem(path, meta).into_iter().collect();
        if trust::others_can_write(meta, trusted) {
            all.push(writable_by_others(path, meta, "write"));
        }
        all
    }
}

/// Describes the problem that other users can write to a directory or file, and how to fix it.
fn writable_by_others(path: &Path, meta: &Metadata, action: &str) -> Unsafe {
    let others = meta.mode() & 0o002 != 0;
    let (who, bits) = if others { ("others", "go-w") } else { ("the members of its group", "g-w") };
    let or = if others {
        ""
    } else {
        "; or, if you trust that group, name the store with `--store` and pass `--trust-group`"
    };
    Unsafe {
        path: path.to_owned(),
        why: format!("its mode {:o} lets {who} {action}", meta.mode() & 0o7777),
        fix: format!("chmod {bits} {}{or}", shell(path)),
        by_mode: true,
    }
}

/// Describes the problem that a path has another type of file than is expected.
fn not_a_file(path: &Path, meta: &Metadata) -> Unsafe {
    let (why, fix) = match fs::read_link(path) {
        Ok(to) => (
            format!("it is a symbolic link to `{}`", to.display()),
            "use `--store` with the directory that contains the file itself".to_owned(),
        ),
        Err(_) => (
            format!("it is {}", files::kind(meta)),
            "move it away, then restore a backup or make a new store with `tokenctl init`".to_owned(),
        ),
    };
    Unsafe { path: path.to_owned(), why, fix, by_mode: false }
}

/// Returns why another user could control this open file, and how to fix it: that user owns it, can write to it, or
/// can replace it. The path must not contain symbolic links.
pub fn unsafe_file(path: &Path, meta: &Metadata) -> Result<Option<(String, String)>, StoreError> {
    let owner = meta.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        let fix = format!("check its content, then make it yours: `sudo chown $USER {}`", shell(path));
        return Ok(Some((format!("it belongs to uid {owner}"), fix)));
    }
    if trust::others_can_write(meta, None) {
        let Unsafe { why, .. } = writable_by_others(path, meta, "write");
        return Ok(Some((why, format!("`chmod go-w {}`", shell(path)))));
    }
    let above = unsafe_parents_of(path)?.into_iter().next();
    Ok(above.map(|it| (format!("`{}`: {}", it.path.display(), it.why), it.fix)))
}

/// Returns the directories above a path in which other users could replace entries. A secret is not delivered below
/// such a directory.
pub fn unsafe_parents_of(path: &Path) -> Result<Vec<Unsafe>, StoreError> {
    unsafe_ancestors(path, None)
}

fn unsafe_ancestors(dir: &Path, trusted: Option<u32>) -> Result<Vec<Unsafe>, StoreError> {
    let mut all = Vec::new();
    for path in dir.ancestors().skip(1) {
        let meta = lstat(path)?;
        if meta.mode() & STICKY == 0 && trust::others_can_write(&meta, trusted) {
            all.push(writable_by_others(path, &meta, "replace what is below it"));
        }
    }
    Ok(all)
}

fn lstat(path: &Path) -> Result<Metadata, StoreError> {
    look(path)?.ok_or_else(|| StoreError::Missing(path.to_owned()))
}

//! Finds the files of a store, and checks that other users could not have written them.

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
    /// Whether the user gave this directory with a flag or a variable. If so, it can belong to another user.
    pub named: bool,
    /// Whether members of the store's group are allowed to change its files.
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
    fn from(problem: Unsafe) -> Self {
        Self::Unsafe { path: problem.path, why: problem.why, fix: problem.fix }
    }
}

impl Directory {
    pub fn database(&self) -> PathBuf {
        self.dir.join(DATABASE)
    }

    /// Whether there is a database, or there might be one that cannot be checked.
    pub fn exists(&self) -> bool {
        !matches!(files::look(&self.database()), Ok(None))
    }

    /// Opens the database file, which must be a regular file, and reads its header.
    ///
    /// This must not be called while the process has the database open, because closing any descriptor of the
    /// file drops all POSIX locks of this process on it.
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

    /// Problems with the owner, mode or kind of the files, the most serious first.
    pub fn unsafe_files(&self, found: &Found) -> Result<Vec<Unsafe>, StoreError> {
        let mut all = self.unsafe_entry(&found.database, &found.meta, self.trusted_group(&found.meta));
        if found.meta.nlink() != 1 {
            all.push(Unsafe {
                path: found.database.clone(),
                why: format!(
                    "it has {} hard links, but SQLite looks for a journal under only one of these names",
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

    /// Checks the journal. SQLite would roll it back into the database, so it must belong to the owner of the
    /// store.
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

    /// Problems of a directory and the directories above it. The path must not contain symbolic links.
    pub fn unsafe_directory(&self, dir: &Path) -> Result<Vec<Unsafe>, StoreError> {
        let meta = lstat(dir)?;
        if !meta.is_dir() {
            return Ok(vec![not_a_file(dir, &meta)]);
        }
        let trusted_group = self.trusted_group(&meta);
        let mut all = self.unsafe_entry(dir, &meta, trusted_group);
        all.extend(unsafe_ancestors(dir, trusted_group)?);
        Ok(all)
    }

    /// Problems of `parent` and the directories above it, for a directory that will be created in `parent`.
    pub fn unsafe_parents(&self, parent: &Path) -> Result<Vec<Unsafe>, StoreError> {
        let meta = lstat(parent)?;
        let mut all: Vec<Unsafe> = self.owner_problem(parent, &meta).into_iter().collect();
        // `unsafe_ancestors` does not check the path itself, so it can be any name in `parent`.
        all.extend(unsafe_ancestors(&parent.join("new"), self.trusted_group(&meta))?);
        Ok(all)
    }

    /// The group of this file, if members of the store's group are trusted.
    fn trusted_group(&self, meta: &Metadata) -> Option<u32> {
        self.trusts_group.then_some(meta.gid())
    }

    fn owner_problem(&self, path: &Path, meta: &Metadata) -> Option<Unsafe> {
        let uid = rustix::process::geteuid().as_raw();
        (!self.named && meta.uid() != uid && meta.uid() != 0).then(|| Unsafe {
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

/// The problem that other users can write to a file or directory, and how to fix it.
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

/// The problem that a path is not the expected kind of file, and how to fix it.
fn not_a_file(path: &Path, meta: &Metadata) -> Unsafe {
    let (why, fix) = match fs::read_link(path) {
        Ok(target) => (
            format!("it is a symbolic link to `{}`", target.display()),
            "use `--store` with the directory that contains the file itself".to_owned(),
        ),
        Err(_) => (
            format!("it is {}", files::kind(meta)),
            "move it away, then restore a backup or make a new store with `tokenctl init`".to_owned(),
        ),
    };
    Unsafe { path: path.to_owned(), why, fix, by_mode: false }
}

/// Returns the first reason why another user could control this open file, and how to fix it. The user could
/// own the file, write to it, or replace it. The path must not contain symbolic links.
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

/// The directories above a path in which other users could replace entries. Secrets are not delivered below
/// them.
pub fn unsafe_parents_of(path: &Path) -> Result<Vec<Unsafe>, StoreError> {
    unsafe_ancestors(path, None)
}

/// The directories above `dir` in which other users could replace entries.
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

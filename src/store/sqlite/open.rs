//! Opening: who may have touched the file, whether it is ours, and a connection that trusts nothing in it.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::{StoreError, read_only, shell};
use super::lock::{self, PATIENCE};
use super::schema;
use crate::store::{files, trust};

pub const DATABASE: &str = "tokens.db";
/// Who is typing does not wait.
const GLANCE: Duration = Duration::from_millis(50);
/// A larger journal is refused, and a larger database not copied.
pub const MOST_BYTES: u64 = 256 << 20;
const STICKY: u32 = 0o1000;
/// The part of the file that is looked at before SQLite opens it.
const HEADER_LEN: usize = 100;

/// Where a store is looked for.
#[derive(Debug, Clone)]
pub struct Location {
    pub dir: PathBuf,
    /// By flag or variable; then its owner need not be us or root.
    pub named: bool,
    /// Whether the members of the store's group may change its files.
    pub trusts_group: bool,
}

/// A thing about the files that makes the store unsafe, and the command that mends it.
#[derive(Debug)]
pub struct Unsafe {
    pub path: PathBuf,
    pub why: String,
    pub fix: String,
    /// Whether another mode mends it.
    pub by_mode: bool,
}

impl From<Unsafe> for StoreError {
    fn from(it: Unsafe) -> Self {
        Self::Unsafe { path: it.path, why: it.why, fix: it.fix }
    }
}

/// A store that is there: its real directory, and its database as it was when it was opened to look at it.
#[derive(Debug, Clone)]
pub struct Found {
    pub dir: PathBuf,
    pub database: PathBuf,
    pub meta: Metadata,
    head: Vec<u8>,
}

impl Location {
    pub fn database(&self) -> PathBuf {
        self.dir.join(DATABASE)
    }

    /// Whether there is anything of the store's name, whatever it is, or might be where we may not look.
    pub fn exists(&self) -> bool {
        !matches!(files::look(&self.database()), Ok(None))
    }

    /// The store's files. Its database must be a regular file.
    ///
    /// Never call it while this process has the database open: closing any descriptor of a file drops all its POSIX
    /// locks.
    pub fn find(&self) -> Result<Found, StoreError> {
        let unreadable = |path: &Path, err: &io::Error| match err.kind() {
            io::ErrorKind::NotFound => StoreError::Missing(self.dir.clone()),
            _ => StoreError::Unreadable { path: path.to_owned(), why: err.to_string() },
        };
        // SQLite refuses any symbolic link in a path; those above the store are the administrator's own.
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

    /// What is wrong with owners, modes and kinds, the worst first.
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

    /// A journal is read by SQLite, and rolled back into the database: it must be one that SQLite wrote for its owner.
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

    /// What is wrong with a directory, which has no symbolic links in its path, and with those above it.
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

    /// What is wrong with the directories above a directory that is to be made in `parent`.
    pub fn unsafe_parents(&self, parent: &Path) -> Result<Vec<Unsafe>, StoreError> {
        let meta = lstat(parent)?;
        let mut all: Vec<Unsafe> = self.foreign_owner(parent, &meta).into_iter().collect();
        all.extend(unsafe_ancestors(&parent.join("new"), self.trusted(&meta))?);
        Ok(all)
    }

    /// The group whose members may write what has the group of this file.
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

/// A directory or file in which others can write, and how that ends.
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

/// What is not the kind of thing that the store has there.
fn not_a_file(path: &Path, meta: &Metadata) -> Unsafe {
    let (why, fix) = match fs::read_link(path) {
        Ok(to) => (
            format!("it is a symbolic link to `{}`", to.display()),
            "`--store DIR` names the directory that holds the file itself".to_owned(),
        ),
        Err(_) => (
            format!("it is {}", files::kind(meta)),
            "move it away, then restore a backup, or start anew with `tokenctl init`".to_owned(),
        ),
    };
    Unsafe { path: path.to_owned(), why, fix, by_mode: false }
}

/// Directories above a path in which others could replace what is below: the rule for destinations of secrets.
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

/// The rollback journal of a database.
pub fn journal(database: &Path) -> PathBuf {
    beside(database, "-journal")
}

/// A file that SQLite keeps beside a database.
fn beside(database: &Path, end: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

fn look(path: &Path) -> Result<Option<Metadata>, StoreError> {
    files::look(path).map_err(|err| StoreError::Unreadable { path: path.to_owned(), why: err.to_string() })
}

fn lstat(path: &Path) -> Result<Metadata, StoreError> {
    look(path)?.ok_or_else(|| StoreError::Missing(path.to_owned()))
}

impl Found {
    /// A database that this process has just made, not looked into.
    pub fn unread(database: &Path) -> io::Result<Self> {
        let dir = database.parent().unwrap_or(Path::new("/")).to_owned();
        Ok(Self {
            dir,
            database: database.to_owned(),
            meta: fs::symlink_metadata(database)?,
            head: Vec::new(),
        })
    }

    /// The version in the header.
    pub fn stamp(&self) -> i64 {
        let bytes = self.head.get(60..64).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_be_bytes).map_or(0, i64::from)
    }

    /// Looks at the header of the file. Returns the version.
    pub fn version(&self) -> Result<i64, StoreError> {
        let foreign = |why: &str| StoreError::Foreign { path: self.database.clone(), why: why.to_owned() };
        let bytes = &self.head;
        if bytes.len() < HEADER_LEN {
            return Err(foreign("it is too short for a database"));
        }
        // https://www.sqlite.org/fileformat.html, section 1.3: big-endian integers at fixed offsets.
        let int = |at: usize| {
            i64::from(u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]))
        };
        if !bytes.starts_with(b"SQLite format 3\0") {
            return Err(foreign("it is no SQLite database"));
        }
        if int(68) != schema::APPLICATION_ID {
            return Err(foreign("it is the database of another program"));
        }
        let (known, found) = (schema::VERSION, self.stamp());
        if found > known {
            return Err(StoreError::Newer { found, known });
        }
        // A rollback journal or a write-ahead log, schema format 4, UTF-8.
        let modes = [bytes[18], bytes[19]];
        if !(modes == [1, 1] || modes == [2, 2]) || int(44) != 4 || int(56) != 1 || found == 0 {
            return Err(StoreError::Damaged("its header is not one that tokenctl writes".to_owned()));
        }
        if modes == [2, 2] || look(&beside(&self.database, "-wal"))?.is_some() {
            return Err(StoreError::Wal { path: self.database.clone() });
        }
        Ok(found)
    }

    /// Fails where the files cannot be changed, with the reason.
    pub fn check_writable(&self) -> Result<(), StoreError> {
        for path in [&self.database, &self.dir] {
            if let Err(err) = rustix::fs::access(path, rustix::fs::Access::WRITE_OK) {
                return Err(read_only(path, err));
            }
        }
        Ok(())
    }

    /// Turns a store that another program set to write-ahead logging back, and drops what Litestream keeps in it. Fails
    /// while somebody has it open.
    pub fn leave_wal(&self) -> Result<(), StoreError> {
        for path in ["-wal", "-shm"].map(|end| beside(&self.database, end)) {
            if let Some(why) = look(&path)?.and_then(|meta| files::problem(&meta, self.meta.uid())) {
                let fix = "it is not a file of SQLite; find out who made it, and move it away".to_owned();
                return Err(StoreError::Unsafe { path, why, fix });
            }
        }
        let run = || {
            let conn = connect(&self.database, Access::Write)?;
            lock::be_patient(GLANCE);
            let mode: String = conn.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
            // A table of another program may refer to ours, and then dropping it would delete rows.
            conn.execute_batch("PRAGMA foreign_keys = OFF")?;
            schema::drop_litestream(&conn)?;
            Ok(mode)
        };
        match run() {
            Ok(mode) if mode == "delete" => Ok(()),
            Ok(_) => Err(StoreError::Locked(lock::holders(&self.database))),
            Err(err) => Err(StoreError::sqlite(&self.database, &err)),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    /// To read soon or not at all.
    Glance,
    Write,
}

impl Access {
    pub fn patience(self) -> Duration {
        match self {
            Self::Read | Self::Write => PATIENCE,
            Self::Glance => GLANCE,
        }
    }
}

/// A connection that runs nothing the file brings along.
pub fn connect(path: &Path, access: Access) -> rusqlite::Result<Connection> {
    let mode = match access {
        Access::Read | Access::Glance => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut conn = Connection::open_with_flags(path, flags)?;
    lock::be_patient(access.patience());
    lock::wait(&mut conn)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    for off in [
        DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA,
        DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER,
        DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW,
        DbConfig::SQLITE_DBCONFIG_DQS_DML,
        DbConfig::SQLITE_DBCONFIG_DQS_DDL,
    ] {
        conn.set_db_config(off, false)?;
    }
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
    // Or each statement is prepared once more when its parameters are bound.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // No temporary files: what a reader sorts stays in memory.
    conn.execute_batch(
        "PRAGMA temp_store = MEMORY; PRAGMA synchronous = EXTRA; PRAGMA cell_size_check = ON",
    )?;
    Ok(conn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(access: Access) -> (tempfile::TempDir, Connection) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join(DATABASE);
        fs::write(&path, "").unwrap();
        let conn = connect(&path, access).unwrap();
        (dir, conn)
    }

    #[test]
    fn a_connection_trusts_nothing_in_the_file() {
        for access in [Access::Read, Access::Glance, Access::Write] {
            let (_dir, conn) = connection(access);
            let is_on = |config| conn.db_config(config).unwrap();
            assert!(is_on(DbConfig::SQLITE_DBCONFIG_DEFENSIVE));
            assert!(is_on(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY));
            assert!(is_on(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG));
            for off in [
                DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA,
                DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER,
                DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW,
                DbConfig::SQLITE_DBCONFIG_DQS_DML,
                DbConfig::SQLITE_DBCONFIG_DQS_DDL,
            ] {
                assert!(!is_on(off), "{off:?}");
            }
            let pragma =
                |name| conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).unwrap();
            let values = ["foreign_keys", "cell_size_check", "temp_store", "synchronous"].map(pragma);
            assert_eq!(values, [1, 1, 2, 3], "on, on, MEMORY, EXTRA");
        }
    }

    #[test]
    fn sqlite_follows_no_link_to_a_database() {
        let (dir, _conn) = connection(Access::Write);
        let dir = dir.path().canonicalize().unwrap();
        std::os::unix::fs::symlink(dir.join(DATABASE), dir.join("link")).unwrap();
        assert!(connect(&dir.join("link"), Access::Read).is_err());
    }

    #[test]
    fn no_sqlite_is_linked_that_deletes_what_a_journal_names() {
        // The first version in whose source it was seen that only a file of the name of a super-journal is deleted.
        assert!(rusqlite::version_number() >= 3_054_001, "{}", rusqlite::version());
    }
}

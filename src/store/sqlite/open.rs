//! Opening: who may have touched the file, whether it is ours, and a connection that trusts nothing in it.

use std::fs::{self, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::OFlags;

use super::checked::FileId;
use super::error::StoreError;
use super::{lock, schema};

pub const DATABASE: &str = "tokens.db";
/// Readers and writers wait this long for each other: with 1 s, 30 to 64 of 1,000 concurrent creates failed.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Who is typing does not wait.
const GLANCE: Duration = Duration::from_millis(50);
const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Where a store is looked for.
#[derive(Debug, Clone)]
pub struct Location {
    pub dir: PathBuf,
    /// By flag or variable; then its owner need not be us or root.
    pub named: bool,
}

/// A thing about the files that makes the store unsafe, and the command that mends it.
#[derive(Debug)]
pub struct Unsafe {
    pub path: PathBuf,
    pub why: String,
    pub fix: String,
}

impl From<Unsafe> for StoreError {
    fn from(it: Unsafe) -> Self {
        Self::Unsafe { path: it.path, why: it.why, fix: it.fix }
    }
}

/// A store that is there: its real directory and its database.
#[derive(Debug, Clone)]
pub struct Found {
    pub dir: PathBuf,
    pub database: PathBuf,
}

impl Location {
    pub fn database(&self) -> PathBuf {
        self.dir.join(DATABASE)
    }

    /// Whether there is anything of the store's name, whatever it is, or might be where we may not look.
    pub fn exists(&self) -> bool {
        !fs::symlink_metadata(self.database()).is_err_and(|err| err.kind() == std::io::ErrorKind::NotFound)
    }

    /// The store's files, without opening them.
    pub fn find(&self) -> Result<Found, StoreError> {
        let unreadable = |path: &Path, err: &std::io::Error| match err.kind() {
            std::io::ErrorKind::NotFound => StoreError::Missing(self.dir.clone()),
            _ => StoreError::Unreadable { path: path.to_owned(), why: err.to_string() },
        };
        // SQLite refuses any symbolic link in a path; those above the store are the administrator's own.
        let dir = fs::canonicalize(&self.dir).map_err(|err| unreadable(&self.dir, &err))?;
        let database = dir.join(DATABASE);
        fs::symlink_metadata(&database).map_err(|err| unreadable(&database, &err))?;
        Ok(Found { dir, database })
    }

    /// What is wrong with owners, modes and kinds, the worst first.
    pub fn unsafe_files(&self, found: &Found) -> Result<Vec<Unsafe>, StoreError> {
        let mut all = self.unsafe_file(&found.database, false)?;
        all.extend(self.unsafe_directory(&found.dir)?);
        Ok(all)
    }

    /// What is wrong with a directory, which has no symbolic links in its path, and with those above it.
    pub fn unsafe_directory(&self, dir: &Path) -> Result<Vec<Unsafe>, StoreError> {
        let mut all = self.unsafe_file(dir, true)?;
        all.extend(unsafe_ancestors(dir)?);
        Ok(all)
    }

    fn unsafe_file(&self, path: &Path, is_dir: bool) -> Result<Vec<Unsafe>, StoreError> {
        let meta = lstat(path)?;
        let wrong = |why: String, fix: String| Unsafe { path: path.to_owned(), why, fix };
        if meta.is_dir() != is_dir || meta.is_file() == is_dir {
            let kind = if is_dir { "not a directory" } else { "not a regular file" };
            return Ok(vec![wrong(kind.to_owned(), "move it away, then `tokenctl init`".to_owned())]);
        }
        let mut all = Vec::new();
        let us = rustix::process::geteuid().as_raw();
        if !self.named && meta.uid() != us && meta.uid() != 0 {
            all.push(wrong(
                format!("it belongs to uid {}", meta.uid()),
                format!("name it with `--store {}` if you trust that user", self.dir.display()),
            ));
        }
        if meta.mode() & WRITABLE_BY_OTHERS != 0 {
            all.push(wrong(
                format!("its mode {:o} lets group or others write", meta.mode() & 0o7777),
                format!("chmod go-w {}", path.display()),
            ));
        }
        Ok(all)
    }
}

/// Directories above `dir` in which others could replace what is below.
pub fn unsafe_ancestors(dir: &Path) -> Result<Vec<Unsafe>, StoreError> {
    let mut all = Vec::new();
    for path in dir.ancestors().skip(1) {
        let mode = lstat(path)?.mode();
        if mode & WRITABLE_BY_OTHERS != 0 && mode & STICKY == 0 {
            all.push(Unsafe {
                path: path.to_owned(),
                why: format!("its mode {:o} lets group or others replace the store below it", mode & 0o7777),
                fix: format!("chmod go-w {}", path.display()),
            });
        }
    }
    Ok(all)
}

fn lstat(path: &Path) -> Result<Metadata, StoreError> {
    fs::symlink_metadata(path)
        .map_err(|err| StoreError::Unreadable { path: path.to_owned(), why: err.to_string() })
}

/// Checks the header of the file, before SQLite opens it. Returns which file it was.
///
/// Never call it while this process has the database open: closing any descriptor of a file drops all its POSIX
/// locks.
pub fn header(path: &Path) -> Result<FileId, StoreError> {
    let unreadable =
        |err: std::io::Error| StoreError::Unreadable { path: path.to_owned(), why: err.to_string() };
    let foreign = |why: &str| StoreError::Foreign { path: path.to_owned(), why: why.to_owned() };
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(unreadable)?;
    let mut bytes = [0u8; 100];
    if let Err(err) = file.read_exact(&mut bytes) {
        return Err(match err.kind() {
            std::io::ErrorKind::UnexpectedEof => foreign("it is too short for a database"),
            _ => unreadable(err),
        });
    }
    // https://www.sqlite.org/fileformat.html, section 1.3: big-endian integers at fixed offsets.
    let int =
        |at: usize| i64::from(u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
    if !bytes.starts_with(b"SQLite format 3\0") {
        return Err(foreign("it is no SQLite database"));
    }
    if int(68) != schema::APPLICATION_ID {
        return Err(foreign("it is the database of another program"));
    }
    let (known, found) = (schema::version(), int(60));
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    // A rollback journal, schema format 4, UTF-8.
    if bytes[18] != 1 || bytes[19] != 1 || int(44) != 4 || int(56) != 1 || found == 0 {
        return Err(StoreError::Damaged("its header is not one that tokenctl writes".to_owned()));
    }
    file.metadata().map(|meta| FileId::of(&meta)).map_err(unreadable)
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

//! Errors of the store, and what a failed change left behind.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rustix::fs::Access;
use rustix::io::Errno;
use rustix::process::Resource;
use thiserror::Error;

use super::sqlite::lock;
use crate::domain::when::ClockWrong;

#[derive(Debug, Error)]
pub enum StoreError {
    #[error("no store at `{}`", .0.display())]
    Missing(PathBuf),
    #[error("cannot read `{}`: {why}", .path.display())]
    Unreadable { path: PathBuf, why: String },
    #[error("`{}` is not safe to use: {why}", .path.display())]
    Unsafe { path: PathBuf, why: String, fix: String },
    #[error("`{}` is not a tokenctl store: {why}", .path.display())]
    Foreign { path: PathBuf, why: String },
    #[error("the store is of version {found}, newer than this tokenctl knows ({known})")]
    Newer { found: i64, known: i64 },
    /// Another program has set write-ahead logging.
    #[error("`{}` is in WAL mode, which another program has set", .path.display())]
    Wal { path: PathBuf },
    #[error("`{}` cannot be changed: {why}", .path.display())]
    ReadOnly { path: PathBuf, why: String, hint: String },
    /// There is no store, and none can be created here.
    #[error("no store can be created at `{}`: {why}", .path.display())]
    NoPlace { path: PathBuf, why: String },
    #[error("the store is damaged: {0}")]
    Damaged(String),
    #[error("the store is locked{}", by_processes(.0))]
    Locked(Vec<u32>),
    /// It changed between a check and the change that depended on the check.
    #[error("the store changed while the command ran; nothing was changed")]
    Changed,
    #[error("{}", .0.0)]
    Clock(ClockWrong),
    /// The operation needs files, but the store is a server.
    #[cfg(feature = "postgres")]
    #[error("`{}` is a server, which has no files of a store", .0.display())]
    NoFiles(PathBuf),
    /// A command would be stored or run that other users could have written.
    #[cfg(feature = "postgres")]
    #[error("a store on a server neither remembers commands nor runs those that it has")]
    NoCommands,
    /// The server cannot be reached.
    #[cfg(feature = "postgres")]
    #[error("`{}` cannot be reached: {why}", .server.display())]
    Unreachable { server: PathBuf, why: String },
    /// The server is a replica, and no flag limits the age of its data.
    #[cfg(feature = "postgres")]
    #[error("`{}` is a replica, whose answers may be old", .0.display())]
    Replica(PathBuf),
    /// The data of a replica might be too old for a verdict. `may_change` means that this process has not
    /// watched it for long, so the next result can be different.
    #[cfg(feature = "postgres")]
    #[error("`{}` may be too old: {why}", .server.display())]
    Stale { server: PathBuf, why: String, may_change: bool },
    /// `settled` tells whether the change was kept.
    #[error("{what}; {settled}")]
    Io { what: String, settled: &'static str },
}

/// What a failed change left behind, as text.
pub const UNCHANGED: &str = "nothing was changed";
pub const UNSETTLED: &str = "the change may or may not have been kept; check before you repeat it";

fn by_processes(pids: &[u32]) -> String {
    match pids {
        [] => " by another process".to_owned(),
        [pid] => format!(" by process {pid}"),
        pids => format!(" by processes {}", pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")),
    }
}

impl From<ClockWrong> for StoreError {
    fn from(wrong: ClockWrong) -> Self {
        Self::Clock(wrong)
    }
}

impl StoreError {
    /// Whether the message names the store.
    pub fn names_store(&self) -> bool {
        !matches!(self, Self::Newer { .. } | Self::Damaged(_) | Self::Locked(_) | Self::Changed)
    }

    /// The same error, with the path of the original instead of that of a private copy.
    #[must_use]
    pub fn of_file(self, path: &Path) -> Self {
        let path = path.to_owned();
        match self {
            Self::Foreign { why, .. } => Self::Foreign { path, why },
            Self::Unreadable { why, .. } => Self::Unreadable { path, why },
            Self::Wal { .. } => Self::Wal { path },
            other => other,
        }
    }

    pub fn io(what: &str, path: &Path, err: &io::Error) -> Self {
        Self::Io { what: format!("cannot {what} `{}`: {err}", path.display()), settled: UNCHANGED }
    }

    /// Converts an error of SQLite on the database `path`. Open transactions have been rolled back by then.
    pub fn sqlite(path: &Path, err: &rusqlite::Error) -> Self {
        let detail = err.to_string();
        match err.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => match lock::refusal() {
                Some(why) => Self::failed(path, &format!("the file system refuses to lock it: {why}")),
                None => Self::Locked(lock::pids(path)),
            },
            // All statements are correct and fit the tables. So if SQLite or tokenctl cannot interpret a
            // value, the file is damaged.
            None
            | Some(
                ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::SchemaChanged
                | ErrorCode::ConstraintViolation
                | ErrorCode::TooBig
                | ErrorCode::Unknown,
            ) => Self::Damaged(detail),
            Some(ErrorCode::ReadOnly) => match rustix::fs::access(path, Access::WRITE_OK) {
                Err(err) => read_only(path, err),
                Ok(()) => Self::Unreadable { path: path.to_owned(), why: detail },
            },
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::Unreadable { path: path.to_owned(), why: detail }
            }
            Some(_) => Self::failed(path, &format!("{detail}{}", because(err))),
        }
    }

    fn failed(path: &Path, why: &str) -> Self {
        Self::Io { what: format!("the store `{}` failed: {why}", path.display()), settled: UNCHANGED }
    }
}

/// Details that the message of SQLite lacks.
fn because(err: &rusqlite::Error) -> String {
    let limit = rustix::process::getrlimit(Resource::Fsize).current;
    match (err.sqlite_error().map(|err| err.extended_code), limit) {
        (Some(rusqlite::ffi::SQLITE_IOERR_LOCK | rusqlite::ffi::SQLITE_IOERR_RDLOCK), _) => {
            "; the file system refuses to lock it".to_owned()
        }
        (Some(rusqlite::ffi::SQLITE_IOERR_WRITE), Some(limit)) => {
            format!("; this process may write no file larger than {limit} bytes (`ulimit -f`)")
        }
        _ => String::new(),
    }
}

/// Explains why this path cannot be written, and which user can write it.
pub fn read_only(path: &Path, err: Errno) -> StoreError {
    let owner = fs::symlink_metadata(path).map(|meta| meta.uid());
    let uid = rustix::process::geteuid().as_raw();
    let (why, hint) = match (err, owner) {
        (Errno::ROFS, _) => (
            "its file system is mounted read-only".to_owned(),
            "mount it read-write; commands that only read still work".to_owned(),
        ),
        (Errno::ACCESS | Errno::PERM, Ok(owner)) if owner == uid => {
            ("its mode allows nobody to write".to_owned(), format!("chmod u+w {}", shell(path)))
        }
        (Errno::ACCESS | Errno::PERM, Ok(owner)) => (
            format!("only its owner (uid {owner}) may"),
            format!("run the command as the owner of the store: `sudo -u '#{owner}' tokenctl …`"),
        ),
        _ => (err.to_string(), "reading commands work as they are".to_owned()),
    };
    StoreError::ReadOnly { path: path.to_owned(), why, hint }
}

/// A path as a word for a shell, in quotes if necessary.
pub fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

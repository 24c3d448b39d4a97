//! Why the store could not be used, and what became of it.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use thiserror::Error;

use super::lock;
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
    #[error("the store is damaged: {0}")]
    Damaged(String),
    #[error("the store is locked{}", holders(.0))]
    Locked(Vec<u32>),
    #[error("{}", .0.0)]
    Clock(ClockWrong),
    /// `settled` says what the store holds now.
    #[error("{what}; {settled}")]
    Io { what: String, settled: &'static str },
}

/// The words for what a failed change left behind.
pub const UNCHANGED: &str = "nothing was changed";
pub const UNSETTLED: &str = "the change may or may not have been kept, look before you repeat it";

fn holders(pids: &[u32]) -> String {
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
    pub fn io(what: &str, path: &Path, err: &io::Error) -> Self {
        Self::Io { what: format!("cannot {what} `{}`: {err}", path.display()), settled: UNCHANGED }
    }

    /// What an error of SQLite on the database `path` means. Open transactions are rolled back by then.
    pub fn sqlite(path: &Path, err: &rusqlite::Error) -> Self {
        let detail = err.to_string();
        match err.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked(lock::holders(path)),
            // Every statement is ours and fits our tables: what SQLite or we cannot make sense of is in the file.
            None
            | Some(
                ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::SchemaChanged
                | ErrorCode::ConstraintViolation
                | ErrorCode::TooBig
                | ErrorCode::Unknown,
            ) => Self::Damaged(detail),
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
                Self::Unreadable { path: path.to_owned(), why: detail }
            }
            Some(_) => Self::Io { what: format!("the store failed: {detail}"), settled: UNCHANGED },
        }
    }
}

//! One error for all commands: what happened, and from it the code, the exit and the hint, in one match each.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::deliver::DeliverError;
use crate::domain::Invalid;
use crate::domain::when::{ClockWrong, Timestamp};
use crate::domain::widening::Widening;
use crate::store::StoreError;

/// What an exit code means, and the codes of the errors that end with it.
pub struct Exit {
    pub exit: u8,
    pub meaning: &'static str,
    pub codes: &'static [&'static str],
}

/// Every way to end, for scripts; never changes.
pub const EXITS: [Exit; 9] = [
    Exit { exit: 0, meaning: "done; valid; nothing to do", codes: &[] },
    Exit { exit: 1, meaning: "failed", codes: &["io"] },
    Exit {
        exit: 2,
        meaning: "usage; or an answer was needed and there is no terminal",
        codes: &["usage", "input_needed", "secret_as_argument"],
    },
    Exit {
        exit: 3,
        meaning: "the answer is no: `verify`, `scan`, `check`, `audit verify`, `doctor`",
        codes: &[],
    },
    Exit { exit: 4, meaning: "no such token or scope, or several", codes: &["not_found", "ambiguous"] },
    Exit {
        exit: 5,
        meaning: "conflict",
        codes: &["name_taken", "under_way", "policy", "revoked", "count_differs", "not_replaced"],
    },
    Exit {
        exit: 6,
        meaning: "the store cannot be used",
        codes: &[
            "store_missing",
            "store_unreadable",
            "store_locked",
            "store_damaged",
            "store_foreign",
            "store_newer",
            "store_unsafe",
            "store_read_only",
            "store_wal",
            "clock",
        ],
    },
    Exit {
        exit: 7,
        meaning: "the secret could not be delivered; nothing was changed",
        codes: &["delivery_failed"],
    },
    Exit { exit: 130, meaning: "Ctrl-C, or answered no", codes: &["interrupted", "declined"] },
];

#[derive(Debug, Error)]
pub enum Error {
    #[error("{}", .0.message)]
    Usage(Invalid),
    #[error("{}", .0.message)]
    InputNeeded(Invalid),
    /// Granting more than before, not approved yet.
    #[error("{what}: {widening}")]
    Widens { what: String, widening: Box<Widening> },
    #[error("an argument holds a secret; this secret is now exposed")]
    SecretAsArgument,
    #[error("no such {what} `{name}`")]
    NotFound { what: &'static str, name: String, nearest: Option<String> },
    #[error("`{reference}` means {} tokens: {}", .ids.len(), .ids.join(", "))]
    Ambiguous { reference: String, ids: Vec<String> },
    #[error("the {what} `{name}` is taken")]
    NameTaken { what: &'static str, name: String },
    #[error("`{name}` is being delivered by process {pid} of uid {uid} since {started_at}")]
    UnderWay { name: String, uid: u32, pid: u32, started_at: Timestamp, deadline: Timestamp },
    #[error("{}", .0.message)]
    Policy(Invalid),
    #[error("`{0}` is revoked")]
    Revoked(String),
    #[error("{found} would change, not {expected}")]
    CountDiffers { expected: usize, found: usize },
    /// Between the selection and the change.
    #[error("the selection has changed meanwhile (tokens that no longer match: {lost}); nothing was changed")]
    SelectionChanged { lost: usize },
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The same, of the store in this directory.
    #[error("`{}`: {err}", .dir.display())]
    StoreAt { dir: PathBuf, err: StoreError },
    #[error(transparent)]
    Deliver(#[from] DeliverError),
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    #[error("cannot write `{}`: {err}", .path.display())]
    File { path: PathBuf, err: io::Error },
    #[error("cannot read {what}: {err}")]
    Input { what: String, err: io::Error },
    #[error("the generator of the operating system failed: {0}")]
    Generator(io::Error),
    /// Of a change of several tokens, each in its own transaction; the first failure gives the code.
    #[error("{failed} of {all} tokens could not be {done}")]
    Some { failed: usize, all: usize, done: &'static str, first: Box<Error> },
    #[error("interrupted")]
    Interrupted,
    #[error("answered no; nothing was changed")]
    Declined,
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::Usage(invalid)
    }
}

impl From<ClockWrong> for Error {
    fn from(wrong: ClockWrong) -> Self {
        Self::Store(StoreError::Clock(wrong))
    }
}

impl Error {
    /// The same error with the store's directory in its message, where nothing in it says which store it is.
    #[must_use]
    pub fn of_store(self, dir: &Path) -> Self {
        match self {
            Self::Store(err) if !err.names_store() => Self::StoreAt { dir: dir.to_owned(), err },
            it => it,
        }
    }

    /// For scripts; never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::InputNeeded(_) | Self::Widens { .. } => "input_needed",
            Self::SecretAsArgument => "secret_as_argument",
            Self::NotFound { .. } => "not_found",
            Self::Ambiguous { .. } => "ambiguous",
            Self::NameTaken { .. } => "name_taken",
            Self::UnderWay { .. } => "under_way",
            Self::Policy(_) => "policy",
            Self::Revoked(_) => "revoked",
            Self::CountDiffers { .. } | Self::SelectionChanged { .. } => "count_differs",
            Self::Store(err) | Self::StoreAt { err, .. } => match err {
                StoreError::Missing(_) | StoreError::NoPlace { .. } => "store_missing",
                StoreError::ReadOnly { .. } => "store_read_only",
                StoreError::Wal { .. } => "store_wal",
                StoreError::Unreadable { .. } => "store_unreadable",
                StoreError::Unsafe { .. } => "store_unsafe",
                StoreError::Foreign { .. } => "store_foreign",
                StoreError::Newer { .. } => "store_newer",
                StoreError::Damaged(_) => "store_damaged",
                StoreError::Locked(_) => "store_locked",
                StoreError::Clock(_) => "clock",
                StoreError::Io { .. } => "io",
            },
            Self::Deliver(err) => match err {
                DeliverError::Failed(_) | DeliverError::NoClipboard(_) => "delivery_failed",
                DeliverError::NotReplaced(_) => "not_replaced",
                DeliverError::Interrupted => "interrupted",
                DeliverError::Uncertain { .. }
                | DeliverError::Unconfirmed(_)
                | DeliverError::Dead(_)
                | DeliverError::Cut(_) => "io",
            },
            Self::Output(_) | Self::File { .. } | Self::Input { .. } | Self::Generator(_) => "io",
            Self::Some { first, .. } => first.code(),
            Self::Interrupted => "interrupted",
            Self::Declined => "declined",
        }
    }

    /// The exit code that goes with [`Error::code`].
    pub fn exit(&self) -> u8 {
        EXITS.iter().find(|row| row.codes.contains(&self.code())).map_or(1, |row| row.exit)
    }

    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Usage(invalid) | Self::InputNeeded(invalid) | Self::Policy(invalid) => {
                return invalid.hint.clone();
            }
            Self::Widens { .. } => "`--allow-widen` allows it".to_owned(),
            Self::SecretAsArgument => "revoke it, and pass secrets on stdin or in a file".to_owned(),
            Self::NotFound { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::NotFound { what, .. } if *what == "scope" => {
                "`tokenctl scopes list` shows those that exist".to_owned()
            }
            Self::NotFound { .. } => "`tokenctl list --all` shows those that exist".to_owned(),
            Self::Ambiguous { .. } => "use one of the ids".to_owned(),
            Self::NameTaken { what: "scope", .. } => "`tokenctl scopes edit` changes it".to_owned(),
            Self::NameTaken { .. } => "choose another".to_owned(),
            Self::UnderWay { deadline, .. } => format!("wait for it; it ends by {deadline}"),
            Self::Revoked(_) => "revocation is final; create a new token".to_owned(),
            Self::SelectionChanged { .. } => "run the command again to see what it selects now".to_owned(),
            Self::CountDiffers { .. } => "nothing was changed; `--dry-run` shows the selection".to_owned(),
            Self::Store(err) | Self::StoreAt { err, .. } => match err {
                StoreError::Missing(_) => {
                    "`tokenctl init` makes one, or the first `tokenctl create`".to_owned()
                }
                StoreError::Unsafe { fix, .. } => fix.clone(),
                StoreError::ReadOnly { hint, .. } => hint.clone(),
                StoreError::Wal { .. } => {
                    "stop the program that set it (Litestream does), then `tokenctl doctor --repair`"
                        .to_owned()
                }
                StoreError::NoPlace { .. } => {
                    "name another directory with `--store DIR` or `TOKENCTL_STORE`".to_owned()
                }
                StoreError::Newer { .. } => "use a newer tokenctl".to_owned(),
                StoreError::Damaged(_) => "`tokenctl doctor` says more; restore a backup".to_owned(),
                StoreError::Locked(_) => {
                    "try again; a stopped process holds its lock until it ends".to_owned()
                }
                StoreError::Clock(_) => "set the clock, or `--accept-clock` for a change".to_owned(),
                StoreError::Unreadable { .. } | StoreError::Foreign { .. } => {
                    "look at the path; `--store DIR` names another".to_owned()
                }
                StoreError::Io { .. } => return None,
            },
            Self::Deliver(err) => return err.hint(),
            Self::Some { .. }
            | Self::Output(_)
            | Self::File { .. }
            | Self::Input { .. }
            | Self::Generator(_)
            | Self::Interrupted
            | Self::Declined => return None,
        };
        Some(hint)
    }
}

//! The error of all commands: what happened, with its code and its hint from one match.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::deliver::DeliverError;
use crate::domain::Invalid;
use crate::domain::code::Code;
use crate::domain::policy::Refused;
use crate::domain::token::{Delivery, Token};
use crate::domain::when::{ClockWrong, Timestamp};
use crate::domain::widening::Widening;
use crate::store::{StoreError, UNSETTLED};

/// What a failure is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Token,
    Scope,
}

impl Subject {
    fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Scope => "scope",
        }
    }

    /// The part of it that must be unique.
    fn name(self) -> &'static str {
        match self {
            Self::Token => "name",
            Self::Scope => "scope",
        }
    }
}

#[derive(Debug, Error)]
pub enum Error {
    #[error("{}", .0.message)]
    Usage(Invalid),
    #[error("{}", .0.message)]
    InputNeeded(Invalid),
    /// A change that would widen what tokens may do, and is not approved.
    #[error("{what}: {widening}")]
    Widens { what: String, widening: Box<Widening> },
    #[error("an argument contains a secret; this secret is now exposed")]
    SecretAsArgument,
    #[error("no such {} `{name}`", .what.word())]
    NotFound { what: Subject, name: String, nearest: Option<String> },
    #[error("`{reference}` means {} tokens: {}", .ids.len(), .ids.join(", "))]
    Ambiguous { reference: String, ids: Vec<String> },
    #[error("the {} `{name}` is taken", .what.name())]
    NameTaken { what: Subject, name: String },
    #[error("`{name}` is being delivered by process {pid} of uid {uid} since {started_at}")]
    UnderWay { name: String, uid: u32, pid: u32, started_at: Timestamp, deadline: Timestamp },
    #[error("{}", .0.message)]
    Policy(Invalid),
    /// A rotation without a destination.
    #[error("`{name}` {why}")]
    NoDestination { name: String, why: String, hint: &'static str },
    /// The command after a rotation failed; the rotation succeeded.
    #[error("`{name}` was rotated, but its hook `{command}` {how}")]
    HookFailed { name: String, command: String, how: String },
    /// A restore would lose what is newer than the backup.
    #[error("{}", .0.message)]
    Newer(Invalid),
    #[error("`{0}` is revoked")]
    Revoked(String),
    #[error("{found} would change, not {expected}")]
    CountDiffers { expected: usize, found: usize },
    /// Tokens stopped matching between the selection and the change.
    #[error(
        "the selection changed while the command ran (tokens that no longer match: {lost}); nothing was changed"
    )]
    SelectionChanged { lost: usize },
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An error of the store, with its directory.
    #[error("`{}`: {err}", .dir.display())]
    StoreAt { dir: PathBuf, err: StoreError },
    /// A backup that cannot be restored.
    #[error("the backup `{}` cannot be restored: {err}", .path.display())]
    Backup { path: PathBuf, err: Box<Error> },
    #[error(transparent)]
    Deliver(#[from] DeliverError),
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    #[error("cannot write `{}`: {err}", .path.display())]
    File { path: PathBuf, err: io::Error },
    #[error("cannot read {what}: {err}")]
    Input { what: String, err: io::Error },
    #[error("the random number generator of the operating system failed: {0}")]
    Generator(io::Error),
    /// Some of several tokens, each with its own transaction, could not be changed. The first failure gives the
    /// code.
    #[error("{failed} of {all} {of} could not be {done}")]
    Some { failed: usize, all: usize, of: &'static str, done: Cow<'static, str>, first: Box<Error> },
    /// `serve` cannot use an address.
    #[error("cannot listen on `{address}`: {why}")]
    AddressTaken { address: String, why: String },
    #[error("cannot serve: {0}")]
    Serve(io::Error),
    #[error("interrupted")]
    Interrupted,
    #[error("you answered no; nothing was changed")]
    Declined,
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::Usage(invalid)
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid(invalid) => Self::Usage(invalid),
            Refused::Forbidden(invalid) => Self::Policy(invalid),
            Refused::Revoked(name) => Self::Revoked(name),
        }
    }
}

impl From<ClockWrong> for Error {
    fn from(wrong: ClockWrong) -> Self {
        Self::Store(StoreError::Clock(wrong))
    }
}

impl Error {
    /// The error that another process is delivering this token.
    pub fn under_way(token: &Token, delivery: &Delivery) -> Self {
        Self::UnderWay {
            name: token.name.to_string(),
            uid: delivery.uid,
            pid: delivery.pid,
            started_at: delivery.started_at,
            deadline: delivery.deadline,
        }
    }

    /// Adds the store's directory to the message, unless it names the store already.
    #[must_use]
    pub fn of_store(self, dir: &Path) -> Self {
        match self {
            Self::Store(err) if !err.names_store() => Self::StoreAt { dir: dir.to_owned(), err },
            it => it,
        }
    }

    pub fn code(&self) -> Code {
        self.code_and_hint().0
    }

    /// What to do about it. Most errors have a hint.
    pub fn hint(&self) -> Option<String> {
        self.code_and_hint().1
    }

    /// The code and the hint.
    fn code_and_hint(&self) -> (Code, Option<String>) {
        let hinted = |code, hint: &str| (code, Some(hint.to_owned()));
        match self {
            Self::Usage(invalid) => (Code::Usage, invalid.hint.clone()),
            Self::InputNeeded(invalid) => (Code::InputNeeded, invalid.hint.clone()),
            Self::Newer(invalid) => (Code::NewerExists, invalid.hint.clone()),
            Self::Policy(invalid) => (Code::Policy, invalid.hint.clone()),
            Self::Widens { .. } => hinted(Code::InputNeeded, "pass `--allow-widen` to allow it"),
            Self::SecretAsArgument => {
                hinted(Code::SecretAsArgument, "revoke it, and pass secrets on stdin or in a file")
            }
            Self::NotFound { nearest: Some(nearest), .. } => {
                (Code::NotFound, Some(format!("did you mean `{nearest}`?")))
            }
            Self::NotFound { what: Subject::Scope, name, .. } => {
                let define = format!("define it with `tokenctl scopes define {name}`");
                (Code::NotFound, Some(format!("{define}; `tokenctl scopes list` shows those that exist")))
            }
            Self::NotFound { what: Subject::Token, .. } => {
                hinted(Code::NotFound, "`tokenctl list --all` shows those that exist")
            }
            Self::Ambiguous { .. } => hinted(Code::Ambiguous, "use one of the ids"),
            Self::NameTaken { what: Subject::Scope, .. } => {
                hinted(Code::NameTaken, "`tokenctl scopes edit` changes it")
            }
            Self::NameTaken { what: Subject::Token, .. } => hinted(Code::NameTaken, "choose another"),
            Self::UnderWay { deadline, .. } => {
                (Code::UnderWay, Some(format!("wait until {deadline} at the latest")))
            }
            Self::NoDestination { hint, .. } => hinted(Code::NoDestination, hint),
            Self::HookFailed { .. } => {
                hinted(Code::HookFailed, "`tokenctl rotate --due` runs it again until it succeeds")
            }
            Self::Revoked(_) => hinted(Code::Revoked, "revocation is final; create a new token"),
            Self::SelectionChanged { .. } => {
                hinted(Code::CountDiffers, "run the command again to see what it selects now")
            }
            Self::CountDiffers { .. } => {
                hinted(Code::CountDiffers, "nothing was changed; `--dry-run` shows the selection")
            }
            Self::Store(err) | Self::StoreAt { err, .. } => of_store(err),
            Self::Backup { err, .. } => {
                let hint = "nothing was changed; use another backup, made by `tokenctl backup`";
                (err.code(), Some(hint.to_owned()))
            }
            Self::Deliver(err) => (of_delivery(err), err.hint()),
            Self::AddressTaken { .. } => {
                hinted(Code::AddressTaken, "stop that process, or choose another address")
            }
            Self::Output(_)
            | Self::File { .. }
            | Self::Input { .. }
            | Self::Generator(_)
            | Self::Serve(_) => (Code::Io, None),
            Self::Some { first, .. } => (first.code(), None),
            Self::Interrupted => (Code::Interrupted, None),
            Self::Declined => (Code::Declined, None),
        }
    }
}

fn of_store(err: &StoreError) -> (Code, Option<String>) {
    let (code, hint) = match err {
        StoreError::Missing(_) => (
            Code::StoreMissing,
            "create one with `tokenctl init`, or with the first `tokenctl create` or `tokenctl scopes define`",
        ),
        StoreError::NoPlace { .. } => {
            (Code::StoreMissing, "name another directory with `--store DIR` or `TOKENCTL_STORE`")
        }
        StoreError::ReadOnly { hint, .. } => (Code::StoreReadOnly, &hint[..]),
        StoreError::Wal { .. } => (
            Code::StoreWal,
            "stop the program that set it (Litestream does), then `tokenctl doctor --repair`",
        ),
        StoreError::Unreadable { .. } => {
            (Code::StoreUnreadable, "check the path; `--store DIR` names another")
        }
        StoreError::Unsafe { fix, .. } => (Code::StoreUnsafe, &fix[..]),
        StoreError::Foreign { .. } => (Code::StoreForeign, "check the path; `--store DIR` names another"),
        StoreError::Newer { .. } => (Code::StoreNewer, "use a newer tokenctl"),
        StoreError::Damaged(_) => (Code::StoreDamaged, "see `tokenctl doctor`; restore a backup"),
        StoreError::Locked(_) => {
            (Code::StoreLocked, "try again; a stopped process holds its lock until it ends")
        }
        StoreError::Changed => (Code::CountDiffers, "run the command again"),
        StoreError::Clock(_) => {
            (Code::Clock, "set the clock, or if it is right make a change with `--accept-clock`")
        }
        #[cfg(feature = "postgres")]
        StoreError::Unreachable { .. } => (
            Code::StoreUnreadable,
            "look at the server and at the URL that `--store` or `TOKENCTL_STORE` names",
        ),
        #[cfg(feature = "postgres")]
        StoreError::NoCommands => {
            (Code::Usage, "give `--exec` or `--after` to each rotation, on the host that is to run it")
        }
        #[cfg(feature = "postgres")]
        StoreError::NoFiles(_) => (
            Code::Usage,
            "PostgreSQL's own tools back it up and restore it; `tokenctl export` makes a file of it",
        ),
        #[cfg(feature = "postgres")]
        StoreError::Replica(_) => {
            (Code::Usage, "say how old they may be, `--max-lag 2s`, or name the primary with `--store`")
        }
        #[cfg(feature = "postgres")]
        StoreError::Stale { .. } => (
            Code::StoreStale,
            "look at the replica and its primary, and whether a `tokenctl serve --heartbeat` runs there",
        ),
        StoreError::Io { settled: UNSETTLED, .. } => return (Code::Unsettled, None),
        StoreError::Io { .. } => return (Code::Io, None),
    };
    (code, Some(hint.to_owned()))
}

fn of_delivery(err: &DeliverError) -> Code {
    match err {
        DeliverError::Failed(_) | DeliverError::NoClipboard(_) => Code::DeliveryFailed,
        DeliverError::NotReplaced(_) => Code::NotReplaced,
        DeliverError::Interrupted => Code::Interrupted,
        DeliverError::Uncertain { .. }
        | DeliverError::Unconfirmed(_)
        | DeliverError::Dead(_)
        | DeliverError::Cut(_) => Code::Io,
    }
}

//! The errors of a delivery, and what to do about them.

use thiserror::Error;

use crate::domain::Invalid;
use crate::domain::when::Timestamp;

#[derive(Debug, Error)]
pub enum DeliverError {
    /// The delivery failed, and the provisional secret was rolled back or never stored.
    #[error("{}; nothing was changed", .0.message)]
    Failed(Invalid),
    /// The destination contains something that must not be replaced.
    #[error("{0}; nothing was changed")]
    NotReplaced(String),
    /// No clipboard can be reached.
    #[error("{0}; nothing was changed")]
    NoClipboard(String),
    /// Ctrl-C was pressed while a command had the secret. The provisional secret was rolled back.
    #[error("interrupted; nothing was changed")]
    Interrupted,
    /// The delivery failed, and the provisional secret could not be rolled back.
    #[error("{why}, and it could not be rolled back; the secret may work until {until}")]
    Uncertain { why: String, until: Timestamp },
    /// The file contains the new secret, which works, but its confirmation is not stored yet.
    #[error("the new secret is in place and works, but {0}; the previous one keeps its expiry")]
    Unconfirmed(String),
    /// The file contains the new secret, which was revoked or rolled back before it could be confirmed.
    #[error("`{0}` contains a secret that does not work: it was revoked or rolled back during its delivery")]
    Dead(String),
    /// The secret is delivered and valid, but the rest of the output could not be written.
    #[error("the secret is delivered and valid, but the output was cut: {0}")]
    Cut(String),
}

impl DeliverError {
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotReplaced(_) => "pass `--force` to replace what it holds",
            Self::Uncertain { .. } => "revoke the token if somebody may have seen the secret",
            Self::Unconfirmed(_) => {
                "the next change of the store, at least ten minutes from now, confirms it"
            }
            Self::NoClipboard(_) => {
                "without `--copy` it goes to standard output, with `--out FILE` into a file"
            }
            Self::Failed(Invalid { hint: Some(hint), .. }) => hint,
            Self::Failed(_) => "fix the destination, then run the command again",
            Self::Dead(_) => "run the command again once the token may have a new secret",
            Self::Interrupted | Self::Cut(_) => return None,
        };
        Some(hint.to_owned())
    }
}

/// Why a destination did not take the secret.
#[derive(Debug)]
pub enum Refusal {
    Failed(Invalid),
    /// It contains something that must not be replaced.
    NotReplaced(String),
    NoClipboard(String),
    Interrupted,
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self::Failed(Invalid::new(why))
    }
}

impl From<Refusal> for DeliverError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Failed(why) => Self::Failed(why),
            Refusal::NotReplaced(why) => Self::NotReplaced(why),
            Refusal::NoClipboard(why) => Self::NoClipboard(why),
            Refusal::Interrupted => Self::Interrupted,
        }
    }
}

//! An unfinished delivery: where the secret goes, and what its confirmation changes.

use crate::domain::when::{Span, Timestamp};

/// The kind of a destination. The store contains its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestinationKind {
    Stdout,
    File,
    EnvFile,
    Command,
    Clipboard,
}

impl DestinationKind {
    pub const ALL: [DestinationKind; 5] =
        [Self::Stdout, Self::File, Self::EnvFile, Self::Command, Self::Clipboard];

    pub fn word(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::File => "file",
            Self::EnvFile => "env-file",
            Self::Command => "command",
            Self::Clipboard => "clipboard",
        }
    }

    /// Whether the secret stays at the destination, so that recovery can look for it after a crash.
    pub fn keeps(self) -> bool {
        matches!(self, Self::File | Self::EnvFile)
    }
}

/// An unfinished delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The row of the provisional secret.
    pub secret: i64,
    pub destination: DestinationKind,
    /// The absolute path, for files.
    pub target: Option<String>,
    /// The variable, for environment files.
    pub variable: Option<String>,
    /// The command that reads the secret from its standard input.
    pub command: Option<String>,
    /// The command that runs after the confirmation.
    pub hook: Option<String>,
    /// Whether the confirmation stores this destination and hook with the token.
    pub remember: bool,
    pub host: Option<String>,
    pub uid: u32,
    pub pid: u32,
    pub started_at: Timestamp,
    pub deadline: Timestamp,
    /// The expiry that the provisional secret gets when it is confirmed.
    pub expires_at: Option<Timestamp>,
    /// How long the previous secret keeps working. `None` means that all other secrets expire at once.
    pub grace: Option<Span>,
}

impl Delivery {
    /// Whether the deadline has passed for a destination where recovery cannot look for the secret.
    pub fn is_dead(&self, now: Timestamp) -> bool {
        self.deadline <= now && !self.destination.keeps()
    }
}

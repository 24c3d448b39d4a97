//! A delivery under way: where the secret goes, and what follows once it is there.

use crate::domain::when::{Span, Timestamp};

/// Where a secret goes; the word is what the store keeps.
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

    /// Whether the secret stays where it was put, so that it can be looked for after a crash.
    pub fn keeps(self) -> bool {
        matches!(self, Self::File | Self::EnvFile)
    }
}

/// A delivery under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The provisional secret's row.
    pub secret: i64,
    pub destination: DestinationKind,
    /// Absolute path, for destinations that have one.
    pub target: Option<String>,
    /// The name in an env file.
    pub variable: Option<String>,
    /// What the secret is piped into.
    pub command: Option<String>,
    /// What runs once it is confirmed.
    pub hook: Option<String>,
    /// Whether the token remembers this destination and hook once it is confirmed.
    pub remember: bool,
    pub host: Option<String>,
    pub uid: u32,
    pub pid: u32,
    pub started_at: Timestamp,
    pub deadline: Timestamp,
    /// The end that the provisional secret gets when it is confirmed.
    pub expires_at: Option<Timestamp>,
    /// How long the secret before it lives on; none: it and all others end at once.
    pub grace: Option<Span>,
}

impl Delivery {
    /// Whether nothing can come of it any more.
    pub fn is_dead(&self, now: Timestamp) -> bool {
        self.deadline <= now && !self.destination.keeps()
    }
}

//! Where the secrets of a token go by themselves, as the token remembers it.

/// What a token remembers of where its secrets go, and whose paths and commands these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub receiver: Receiver,
    pub host: Option<String>,
    pub uid: u32,
}

/// Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receiver {
    File { path: String },
    EnvFile { path: String, variable: String },
    Command { command: String },
}

impl Receiver {
    /// The receiver of this kind; none where it is not one, or what it needs is missing or too much.
    pub fn new(
        kind: &str,
        path: Option<String>,
        variable: Option<String>,
        command: Option<String>,
    ) -> Option<Self> {
        match (kind, path, variable, command) {
            ("file", Some(path), None, None) => Some(Self::File { path }),
            ("env_file", Some(path), Some(variable), None) => Some(Self::EnvFile { path, variable }),
            ("command", None, None, Some(command)) => Some(Self::Command { command }),
            _ => None,
        }
    }

    pub fn word(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::EnvFile { .. } => "env_file",
            Self::Command { .. } => "command",
        }
    }

    pub fn path(&self) -> Option<&str> {
        match self {
            Self::File { path } | Self::EnvFile { path, .. } => Some(path),
            Self::Command { .. } => None,
        }
    }

    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::EnvFile { variable, .. } => Some(variable),
            _ => None,
        }
    }

    pub fn command(&self) -> Option<&str> {
        match self {
            Self::Command { command } => Some(command),
            _ => None,
        }
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.receiver {
            Receiver::File { path } => write!(f, "file {path}"),
            Receiver::EnvFile { path, variable } => write!(f, "env-file {path} {variable}"),
            Receiver::Command { command } => write!(f, "command {command}"),
        }
    }
}

//! The remembered destination of a token, to which rotations deliver its new secrets.

use std::fmt;

/// A remembered destination, and the host and user to which its path or command belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedDestination {
    pub destination: Destination,
    pub host: Option<String>,
    pub uid: u32,
}

/// A file, a variable of an environment file, or a command. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    File { path: String },
    EnvFile { path: String, variable: String },
    Command { command: String },
}

impl Destination {
    /// Creates a destination. Returns `None` if this kind cannot be remembered, or a field is missing or
    /// superfluous.
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

    /// Whether secrets that are delivered to both destinations would overwrite each other.
    pub fn collides_with(&self, other: &Self) -> bool {
        let same_file = self.path().is_some() && self.path() == other.path();
        same_file
            && (self.variable().is_none()
                || other.variable().is_none()
                || self.variable() == other.variable())
    }

    /// The form that is used in sentences.
    pub fn in_words(&self) -> String {
        match self {
            Self::File { path } => format!("`{path}`"),
            Self::EnvFile { path, variable } => format!("{variable} in `{path}`"),
            Self::Command { command } => format!("the command `{command}`"),
        }
    }
}

impl fmt::Display for Destination {
    /// The form that is used in the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path } => write!(f, "file {path}"),
            Self::EnvFile { path, variable } => write!(f, "env-file {path} {variable}"),
            Self::Command { command } => write!(f, "command {command}"),
        }
    }
}

impl fmt::Display for RememberedDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.destination.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_destinations_collide_if_one_would_replace_the_other() {
        let file = |path: &str| Destination::File { path: path.to_owned() };
        let line =
            |variable: &str| Destination::EnvFile { path: "/a".to_owned(), variable: variable.to_owned() };
        let command = Destination::Command { command: "cat".to_owned() };
        assert!(file("/a").collides_with(&file("/a")) && !file("/a").collides_with(&file("/b")));
        assert!(line("A").collides_with(&line("A")) && !line("A").collides_with(&line("B")));
        assert!(file("/a").collides_with(&line("A")) && line("A").collides_with(&file("/a")));
        assert!(!command.collides_with(&command));
    }
}

//! A line of an env file as the destination: `VAR=secret` or `export VAR=secret`. Other lines are kept.

use std::str::FromStr;

use zeroize::Zeroizing;

use super::content::hash_of;
use super::env_text::{self, Slot, line_end, settings};
use super::target::{Seen, Target};
use super::{Accepted, OpenDestination, Refusal};
use crate::domain::Invalid;
use crate::domain::destination::Destination;
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::token::{DestinationKind, Token};
use crate::domain::when::Timestamp;

/// The name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable(String);

impl Variable {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Variable {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if first && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(format!("`{}` is not the name of a variable", text.escape_debug()))
            .hint("use letters, digits and _, and no digit first"))
    }
}

pub struct EnvFile {
    target: Target,
    variable: Variable,
    /// Whether to replace whatever the line contains.
    force: bool,
    ours: Vec<SecretHash>,
    other_variable: Option<String>,
}

impl EnvFile {
    pub fn new(target: Target, variable: Variable, force: bool) -> Self {
        Self { target, variable, force, ours: Vec::new(), other_variable: None }
    }

    /// Returns the current state of the file, if a secret can be written to it.
    fn look(&self) -> Result<Seen, Refusal> {
        let seen = self.target.look()?;
        self.target.check_owner(&seen, self.ours.iter().any(|hash| holds(&seen.content, hash)))?;
        Ok(seen)
    }

    /// Where to put the secret in `content`.
    fn slot(&self, content: &[u8]) -> Result<Slot, Refusal> {
        let (variable, path) = (&self.variable.0, self.target.path.display());
        let ours =
            |text: &[u8]| text.is_empty() || hash_of(text).is_some_and(|hash| self.ours.contains(&hash));
        match env_text::find_slot(content, variable, ours) {
            Err(why) => Err(format!("`{path}` {why}").into()),
            Ok(Slot::Other(_)) if !self.force => Err(Refusal::NotReplaced(format!(
                "`{path}` sets {variable} to something that is not a secret of this token"
            ))),
            Ok(slot) => Ok(slot),
        }
    }
}

impl OpenDestination for EnvFile {
    fn kind(&self) -> DestinationKind {
        DestinationKind::EnvFile
    }

    fn rememberable(&self) -> Option<Destination> {
        let path = self.target.path.to_str()?.to_owned();
        Some(Destination::EnvFile { path, variable: self.variable.0.clone() })
    }

    fn other_variable(&self) -> Option<&str> {
        self.other_variable.as_deref()
    }

    fn check(&mut self, ours: &[SecretHash]) -> Result<(), Refusal> {
        self.ours = ours.to_vec();
        let seen = self.look()?;
        self.other_variable = match self.slot(&seen.content)? {
            Slot::End => variable_of(&seen.content, ours),
            Slot::Value(_) | Slot::Other(_) => None,
        };
        Ok(())
    }

    fn reserve(&mut self, secret: &Secret, now: Timestamp) -> Result<(), Refusal> {
        let seen = self.look()?;
        self.target.reserve(&seen, &secret.hash(), now)
    }

    fn deliver(&mut self, secret: &Secret, _: &Token) -> Result<Accepted, Refusal> {
        let _lock = self.target.lock()?;
        let seen = self.look()?;
        let old = seen.content.as_slice();
        let (name, end) = (self.variable.0.as_bytes(), line_end(old));
        let gap = if old.is_empty() || old.ends_with(b"\n") { b"" } else { end };
        let parts: &[&[u8]] = match self.slot(old)? {
            Slot::End => &[old, gap, name, b"=", secret.expose(), end],
            Slot::Value(at) | Slot::Other(at) => &[&old[..at.start], secret.expose(), &old[at.end..]],
        };
        // The buffer has its final size from the start, because growing it would leave copies of its content
        // behind.
        let mut new = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
        for part in parts {
            new.extend_from_slice(part);
        }
        self.target.replace(&seen, &new)
    }
}

/// The variable that a file sets to one of these secrets, if there is one.
fn variable_of(content: &[u8], secrets: &[SecretHash]) -> Option<String> {
    let is_one = |text: &[u8]| hash_of(text).is_some_and(|found| secrets.contains(&found));
    let settings = settings(content);
    let found = settings.iter().find(|setting| setting.value_if(is_one).is_some())?;
    Some(String::from_utf8_lossy(found.name).into_owned())
}

/// Whether a file consists of this secret, or sets a variable to it.
pub fn holds(content: &[u8], hash: &SecretHash) -> bool {
    let is_secret = |text: &[u8]| hash_of(text).is_some_and(|found| found == *hash);
    is_secret(content) || settings(content).iter().any(|setting| setting.value_if(is_secret).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_name_must_be_valid_in_shells() {
        assert!("API_TOKEN".parse::<Variable>().is_ok() && "_x1".parse::<Variable>().is_ok());
        for text in ["", "1A", "A-B", "A B", "A=B", "é"] {
            assert!(text.parse::<Variable>().is_err(), "{text}");
        }
    }
}

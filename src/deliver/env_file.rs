//! A line of an environment file as the receiver: `VAR=secret`, or `export VAR=secret`; the other lines stay.

use std::ops::Range;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::content::hash_of;
use super::target::{Seen, Target};
use super::{Handed, Refusal, Sink};
use crate::domain::Invalid;
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::token::{SinkKind, Token};
use crate::domain::when::Timestamp;

/// The name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable(String);

impl FromStr for Variable {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if first && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(format!("`{}` is not the name of a variable", text.escape_debug()))
            .hint("letters, digits and _, no digit first"))
    }
}

pub struct EnvFile {
    target: Target,
    variable: Variable,
    /// Replace whatever the line holds.
    force: bool,
    ours: Vec<SecretHash>,
}

impl EnvFile {
    pub fn new(target: Target, variable: Variable, force: bool) -> Self {
        Self { target, variable, force, ours: Vec::new() }
    }

    /// What is there, if a secret may go into it.
    fn look(&self) -> Result<Seen, Refusal> {
        let seen = self.target.look()?;
        self.target.admit(&seen, self.ours.iter().any(|hash| holds(&seen.content, hash)))?;
        Ok(seen)
    }

    /// Where the value stands in `content`, if the variable is set there and may be replaced.
    fn place(&self, content: &[u8]) -> Result<Option<Range<usize>>, Refusal> {
        let (name, path) = (&self.variable.0, self.target.path.display());
        let mut values =
            values(content).filter(|(variable, _)| *variable == name.as_bytes()).map(|(_, value)| value);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(format!("`{path}` sets {name} more than once").into());
        }
        let text = unquoted(&content[value.clone()]);
        if self.force || text.is_empty() || hash_of(text).is_some_and(|hash| self.ours.contains(&hash)) {
            return Ok(Some(value));
        }
        Err(Refusal::NotReplaced(format!(
            "`{path}` sets {name} to something that is no secret of this token"
        )))
    }
}

impl Sink for EnvFile {
    fn kind(&self) -> SinkKind {
        SinkKind::EnvFile
    }

    fn target(&self) -> Option<String> {
        self.target.path.to_str().map(str::to_owned)
    }

    fn check(&mut self, ours: &[SecretHash]) -> Result<(), Refusal> {
        self.ours = ours.to_vec();
        self.place(&self.look()?.content).map(drop)
    }

    fn reserve(&mut self, secret: &Secret, now: Timestamp) -> Result<(), Refusal> {
        let seen = self.look()?;
        self.target.reserve(&seen, &secret.hash(), now)
    }

    fn deliver(&mut self, secret: &Secret, _: &Token) -> Result<Handed, Refusal> {
        let _lock = self.target.lock()?;
        let seen = self.look()?;
        let place = self.place(&seen.content)?;
        let old = &seen.content;
        let name = self.variable.0.as_bytes();
        let mut new = Zeroizing::new(Vec::with_capacity(old.len() + name.len() + secret.expose().len() + 3));
        if let Some(value) = place {
            for part in [&old[..value.start], secret.expose(), &old[value.end..]] {
                new.extend_from_slice(part);
            }
        } else {
            let gap: &[u8] = if old.is_empty() || old.ends_with(b"\n") { b"" } else { b"\n" };
            for part in [old.as_slice(), gap, name, b"=", secret.expose(), b"\n"] {
                new.extend_from_slice(part);
            }
        }
        self.target.replace(&seen, &new)
    }
}

/// Whether a file is this secret, or sets a variable to it.
pub fn holds(content: &[u8], hash: &SecretHash) -> bool {
    let is_it = |text: &[u8]| hash_of(text).is_some_and(|found| found == *hash);
    is_it(content) || values(content).any(|(_, value)| is_it(unquoted(&content[value])))
}

/// Each `VAR=value` line: the name, and where its value stands.
fn values(content: &[u8]) -> impl Iterator<Item = (&[u8], Range<usize>)> {
    let mut start = 0;
    content.split_inclusive(|byte| *byte == b'\n').filter_map(move |line| {
        let at = start;
        start += line.len();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let end = at + line.len();
        let line = line.trim_ascii_start();
        let exported =
            line.strip_prefix(b"export").filter(|set| set.starts_with(b" ") || set.starts_with(b"\t"));
        let set = exported.unwrap_or(line).trim_ascii_start();
        let equals = set.iter().position(|byte| *byte == b'=')?;
        Some((&set[..equals], end - (set.len() - equals - 1)..end))
    })
}

/// A value without the quotes around it.
fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => inner,
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_behind_its_name() {
        let content = b"# A=no\nA=1\nexport B='2'\r\nA B\nC=\n  export\t E=5\n\tF=6\nexportG=7\nD=x=y";
        let found: Vec<(&[u8], &[u8])> =
            values(content).map(|(name, value)| (name, unquoted(&content[value]))).collect();
        let expected: [(&[u8], &[u8]); 8] = [
            (b"# A", b"no"),
            (b"A", b"1"),
            (b"B", b"2"),
            (b"C", b""),
            (b"E", b"5"),
            (b"F", b"6"),
            (b"exportG", b"7"),
            (b"D", b"x=y"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_variable_has_a_name_that_shells_take() {
        assert!("API_TOKEN".parse::<Variable>().is_ok() && "_x1".parse::<Variable>().is_ok());
        for text in ["", "1A", "A-B", "A B", "A=B", "é"] {
            assert!(text.parse::<Variable>().is_err(), "{text}");
        }
    }
}

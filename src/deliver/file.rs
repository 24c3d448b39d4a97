//! A file of its own as the receiver: the secret and a line end, and nothing else.

use std::path::Path;

use zeroize::Zeroizing;

use super::target::{Target, hash_of};
use super::{Handed, Refusal, Sink};
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::token::{SinkKind, Token};

pub struct OutFile {
    target: Target,
    /// Replace whatever the file holds.
    force: bool,
    ours: Vec<SecretHash>,
}

impl OutFile {
    pub fn new(path: &Path, force: bool) -> Result<Self, Refusal> {
        Ok(Self { target: Target::new(path)?, force, ours: Vec::new() })
    }

    /// An empty file holds nothing that could be lost.
    fn may_replace(&self, content: &[u8]) -> Result<(), Refusal> {
        let ours = content.is_empty() || hash_of(content).is_some_and(|hash| self.ours.contains(&hash));
        if self.force || ours {
            return Ok(());
        }
        let path = self.target.path.display();
        Err(Refusal::NotReplaced(format!("`{path}` exists and holds no secret of this token")))
    }
}

impl Sink for OutFile {
    fn kind(&self) -> SinkKind {
        SinkKind::File
    }

    fn target(&self) -> Option<String> {
        self.target.path.to_str().map(str::to_owned)
    }

    fn check(&mut self, ours: &[SecretHash]) -> Result<(), Refusal> {
        self.ours = ours.to_vec();
        self.may_replace(&self.target.look()?.content)
    }

    fn deliver(&mut self, secret: &Secret, _: &Token) -> Result<Handed, Refusal> {
        let seen = self.target.look()?;
        self.may_replace(&seen.content)?;
        let mut content = Zeroizing::new(Vec::with_capacity(secret.expose().len() + 1));
        content.extend_from_slice(secret.expose());
        content.push(b'\n');
        self.target.replace(&seen, &content, &secret.hash())
    }
}

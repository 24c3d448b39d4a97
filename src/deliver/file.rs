//! A separate file as the destination. It contains only the secret and a newline.

use zeroize::Zeroizing;

use super::content::hash_of;
use super::target::{Seen, Target};
use super::{Accepted, OpenDestination, Refusal};
use crate::domain::destination::Destination;
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::token::{DestinationKind, Token};
use crate::domain::when::Timestamp;

pub struct OutFile {
    target: Target,
    /// Whether to replace the file whatever it contains.
    force: bool,
    ours: Vec<SecretHash>,
}

impl OutFile {
    pub fn new(target: Target, force: bool) -> Self {
        Self { target, force, ours: Vec::new() }
    }

    /// Returns the current state of the file, if it can be replaced. An empty file can always be replaced.
    fn look(&self) -> Result<Seen, Refusal> {
        let seen = self.target.look()?;
        let ours = hash_of(&seen.content).is_some_and(|hash| self.ours.contains(&hash));
        self.target.check_owner(&seen, ours)?;
        if self.force || ours || seen.content.is_empty() {
            return Ok(seen);
        }
        let path = self.target.path.display();
        Err(Refusal::NotReplaced(format!("`{path}` exists and does not contain a secret of this token")))
    }
}

impl OpenDestination for OutFile {
    fn kind(&self) -> DestinationKind {
        DestinationKind::File
    }

    fn rememberable(&self) -> Option<Destination> {
        Some(Destination::File { path: self.target.path.to_str()?.to_owned() })
    }

    fn check(&mut self, ours: &[SecretHash]) -> Result<(), Refusal> {
        self.ours = ours.to_vec();
        self.look().map(drop)
    }

    fn reserve(&mut self, secret: &Secret, now: Timestamp) -> Result<(), Refusal> {
        let seen = self.look()?;
        self.target.reserve(&seen, &secret.hash(), now)
    }

    fn deliver(&mut self, secret: &Secret, _: &Token) -> Result<Accepted, Refusal> {
        let seen = self.look()?;
        let mut content = Zeroizing::new(Vec::with_capacity(secret.expose().len() + 1));
        content.extend_from_slice(secret.expose());
        content.push(b'\n');
        self.target.replace(&seen, &content)
    }
}

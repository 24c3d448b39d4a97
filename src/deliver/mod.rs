//! The protocol that delivers a secret so that it is neither lost nor orphaned, even if the process is killed.
//!
//! 1. If the destination is a file, a temporary file is created.
//! 2. The first transaction inserts the provisional secret, which is valid at once, and a delivery record with
//!    a deadline.
//! 3. The secret is delivered to the destination. No lock of the store is held meanwhile.
//! 4. The second transaction confirms the secret, if it still exists. It sets its real expiry and starts the
//!    grace period of the previous secret.
//!
//! If a delivery fails before its secret is in place, it is rolled back in a separate transaction. If a
//! delivery was killed or stopped, the next change after its deadline finishes it:
//!
//! - its temporary file is removed first, so that it can no longer be renamed;
//! - if the file contains the secret, the secret is confirmed, otherwise it is rolled back;
//! - if the file cannot be read or made durable, the delivery stays unfinished;
//! - for other destinations, the provisional secret has already expired, and it is rolled back.

mod clipboard;
mod command;
mod content;
mod env_file;
mod env_text;
mod error;
mod file;
mod metadata;
mod protocol;
mod recover;
mod stdout;
mod target;
mod temporary;

use crate::domain::destination::Destination;
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::token::{DestinationKind, Token};
use crate::domain::when::Timestamp;

pub use clipboard::Clipboard;
pub use command::{Command, failure};
pub use env_file::{EnvFile, Variable};
pub use error::{DeliverError, Refusal};
pub use file::OutFile;
pub use protocol::{Begun, Protocol};
use protocol::{roll_back, without_reason};
pub use recover::{Fate, Missing, abandon, fate, recover};
pub use stdout::{Form, Stdout};
pub use target::{Target, check_directory};
use temporary::Temporary;

/// How the destination holds the secret.
#[derive(Debug)]
pub enum Accepted {
    Whole,
    /// In place, but a power cut could undo that.
    NotDurable(String),
}

/// The destination of one secret.
pub trait OpenDestination {
    fn kind(&self) -> DestinationKind;

    /// The file or command, if it can be stored with a token.
    fn rememberable(&self) -> Option<Destination> {
        None
    }

    /// Another variable of the file that also contains a secret of the token.
    fn other_variable(&self) -> Option<&str> {
        None
    }

    /// Checks whether the destination can take a secret, before anything is changed. `ours` are the hashes of
    /// the token's secrets.
    fn check(&mut self, ours: &[SecretHash]) -> Result<(), Refusal>;

    /// Creates what must exist before the secret is in the store. Dropping the destination removes it.
    fn reserve(&mut self, _: &Secret, _: Timestamp) -> Result<(), Refusal> {
        Ok(())
    }

    /// Delivers the secret. `token` is in the state that follows the confirmation.
    fn deliver(&mut self, secret: &Secret, token: &Token) -> Result<Accepted, Refusal>;

    /// Describes where the secret went, if only the destination knows that.
    fn where_it_went(&self) -> Option<String> {
        None
    }

    /// Writes the part of the output that is held back until the secret is confirmed.
    fn finish(&mut self) -> Result<(), DeliverError> {
        Ok(())
    }
}

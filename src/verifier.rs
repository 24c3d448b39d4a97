//! The store of a service that verifies secrets, opened once and used by many threads.

use std::path::PathBuf;

use thiserror::Error;

use crate::clock::SystemClock;
use crate::domain::verdict::Requirements;
use crate::domain::when::Clock;
use crate::store::{Location, SharedStore, StoreError};
use crate::verify::{Manner, Request, Verdict, verdicts};

/// Verifies presented secrets, from any number of threads.
///
/// - The next call sees every change. After a revocation has returned, no call accepts the secret.
/// - An error is never a positive answer.
/// - A call waits up to 20 seconds for a process that is writing to the store.
/// - A store that was locked, moved, replaced or restored is used again as soon as it can be. Until then every call
///   returns an error.
/// - It needs permission to read `tokens.db`. It records when a secret was last used if it may write the usage
///   files beside it.
///
/// All verifiers of one store in a process share their connections. Do not open `tokens.db` in the same process by
/// other means: closing it would drop the locks of these connections.
///
/// ```
/// # use tokenctl::{clock::SystemClock, domain::event::{Actor, Author}, store};
/// # let dir = tempfile::tempdir()?;
/// # let store = dir.path().join("store");
/// # let location = store::Location::named(&store);
/// # let author = Author { actor: Actor::default(), reason: None, accept_clock: false };
/// # store::make(&location, store::Sharing::Private, &SystemClock, &author)?;
/// use tokenctl::{Requirements, Verifier};
///
/// let verifier = Verifier::open(&store)?;
/// let requirements = Requirements { scopes: vec!["events:read".parse()?], ..Requirements::default() };
/// assert!(!verifier.verify(b"whatever-was-presented", &requirements)?.is_valid());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Verifier {
    store: SharedStore,
    clock: Box<dyn Clock + Send + Sync>,
}

const DESCRIBED: Manner = Manner { at: None, describe: true };

/// The reason why there is no verdict. For instance, the store could not be read, or the clock is wrong.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct VerifyError(#[from] pub StoreError);

impl Verifier {
    /// Opens the store in this directory, as `tokenctl --store DIR` does.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, VerifyError> {
        Self::with_clock(dir, SystemClock)
    }

    /// Opens the store at a location, as the program does.
    #[cfg(feature = "serve")]
    pub(crate) fn at(location: Location) -> Result<Self, StoreError> {
        Ok(Self { store: SharedStore::open(location)?, clock: Box::new(SystemClock) })
    }

    /// Opens the store with a clock other than that of the system.
    pub fn with_clock(
        dir: impl Into<PathBuf>,
        clock: impl Clock + Send + Sync + 'static,
    ) -> Result<Self, VerifyError> {
        let store = SharedStore::open(Location::named(dir))?;
        Ok(Self { store, clock: Box::new(clock) })
    }

    /// Checks whether the presented text is a valid secret that meets the requirements. One newline after it is
    /// ignored.
    pub fn verify(&self, presented: &[u8], requirements: &Requirements) -> Result<Verdict, VerifyError> {
        let mut answers = self.verify_all(&[Request::new(presented, requirements)])?;
        answers.pop().unwrap_or_else(|| Ok(Verdict::malformed()))
    }

    /// The verdicts on several requests, in their order, from one read transaction with one reading of the clock. An
    /// error within the list concerns one request; an outer error concerns all of them.
    pub fn verify_all(
        &self,
        requests: &[Request<'_>],
    ) -> Result<Vec<Result<Verdict, VerifyError>>, VerifyError> {
        let answers = self.store.read(|store| verdicts(store, &*self.clock, requests, DESCRIBED))?;
        Ok(answers.into_iter().map(|answer| answer.map_err(VerifyError)).collect())
    }

    /// Like [`Verifier::verify_all`], but returns `None` if that required waiting for another process or opening the
    /// store again.
    #[cfg(feature = "serve")]
    pub(crate) fn verify_at_once(
        &self,
        requests: &[Request<'_>],
    ) -> Option<Vec<Result<Verdict, VerifyError>>> {
        let answers = self.store.read_at_once(|store| verdicts(store, &*self.clock, requests, DESCRIBED))?;
        Some(answers.into_iter().map(|answer| answer.map_err(VerifyError)).collect())
    }
}

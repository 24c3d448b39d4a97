//! What a process that verifies again and again has read of the store, for as long as nobody changes the store.
//!
//! SQLite keeps the pages that it has read while the change counter in the file stays what it was, and looks at the counter
//! at the start of each transaction. What is kept here lives by the same rule, through `PRAGMA data_version`: it is asked
//! within the transaction that answers, so nothing is older than that transaction.

use std::sync::Arc;

use super::{Parts, Presented, StoreError, View};
use crate::domain::scope::Catalogue;
use crate::domain::secret::SecretHash;
use crate::domain::when::Timestamp;

/// The secrets that are kept at most, a power of two.
const KEPT: usize = 8_192;

/// After so many unknown secrets the whole index is looked at.
const WORTH_A_LOOK: usize = 8;

/// What was read at a version of the data.
#[derive(Default)]
pub struct Known {
    /// That of the transaction under way.
    version: i64,
    /// At a place that the hash leads to; a later secret takes it over.
    secrets: Vec<Option<(i64, Arc<Presented>)>>,
    catalogue: Option<(i64, Arc<Catalogue>)>,
    /// How many secrets were unknown at a version, and whether the index of hashes was found whole at it.
    unknown: (i64, usize, bool),
}

/// What is to be done before a secret is called unknown, since a damaged index may hide it.
pub enum Doubt {
    None,
    /// To look for this secret in the table.
    OfSecret,
    /// To look for whatever the index hides. It costs as much as some secrets, and then settles all.
    OfIndex,
}

impl Known {
    /// Begins a transaction at this version of the data. What is known of another one is known no more.
    pub fn begin(&mut self, version: i64) {
        self.version = version;
        if self.secrets.is_empty() {
            self.secrets.resize_with(KEPT, || None);
        }
    }

    /// Counts one more secret that the index does not find.
    pub fn doubt(&mut self) -> Doubt {
        if self.unknown.0 != self.version {
            self.unknown = (self.version, 0, false);
        }
        let (_, count, is_whole) = &mut self.unknown;
        *count += 1;
        match count {
            _ if *is_whole => Doubt::None,
            &mut WORTH_A_LOOK => Doubt::OfIndex,
            _ => Doubt::OfSecret,
        }
    }

    /// The index hides nothing at this version.
    pub fn index_is_whole(&mut self) {
        self.unknown.2 = true;
    }

    pub(super) fn get(&self, hash: &SecretHash) -> Option<Arc<Presented>> {
        let (version, found) = self.secrets.get(place(hash))?.as_ref()?;
        (*version == self.version && found.secret().hash == *hash).then(|| Arc::clone(found))
    }

    pub(super) fn keep(&mut self, found: &Arc<Presented>) {
        if let Some(slot) = self.secrets.get_mut(place(&found.secret().hash)) {
            *slot = Some((self.version, Arc::clone(found)));
        }
    }
}

fn place(hash: &SecretHash) -> usize {
    let [first, second, ..] = *hash.as_bytes();
    usize::from(u16::from_le_bytes([first, second])) % KEPT
}

impl View<'_> {
    /// The secret of this hash, as [`View::presented`] finds it. Of a store that remembers, with labels and grants.
    pub fn known(
        &self,
        hash: &SecretHash,
        now: Timestamp,
        parts: Parts,
    ) -> Result<Option<Arc<Presented>>, StoreError> {
        #[cfg(feature = "postgres")]
        if let Some(found) = self.expected.borrow().get(hash.as_bytes()) {
            return Ok(found.clone());
        }
        // No longer borrowed in the arms, which look into the store.
        let kept = self.store.known.borrow().as_ref().map(|known| known.get(hash));
        match kept {
            None => return Ok(self.presented(hash, now, parts)?.map(Arc::new)),
            Some(Some(found)) => return Ok(Some(found)),
            Some(None) => {}
        }
        let whole = Parts { labels: true, grants: true, rest: false };
        let found = self.presented(hash, now, whole)?.map(Arc::new);
        if let (Some(known), Some(found)) = (&mut *self.store.known.borrow_mut(), &found) {
            known.keep(found);
        }
        Ok(found)
    }

    /// The catalogue of scopes.
    pub fn known_catalogue(&self) -> Result<Arc<Catalogue>, StoreError> {
        let mut known = self.store.known.borrow_mut();
        let Some(known) = &mut *known else { return self.catalogue().map(Arc::new) };
        if let Some((_, catalogue)) =
            known.catalogue.as_ref().filter(|(version, _)| *version == known.version)
        {
            return Ok(Arc::clone(catalogue));
        }
        let catalogue = Arc::new(self.catalogue()?);
        known.catalogue = Some((known.version, Arc::clone(&catalogue)));
        Ok(catalogue)
    }
}

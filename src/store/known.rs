//! A cache of what a long-running verifier has read from the store. It is valid until the store changes.
//!
//! SQLite keeps the pages that it has read while the change counter in the file stays the same, and checks the
//! counter at the start of each transaction. This cache follows the same rule by `PRAGMA data_version`. The
//! version is read within the transaction that answers, so no answer is older than that transaction.

use std::ops::Range;
use std::sync::Arc;

use super::{Parts, Presented, StoreError, View};
use crate::domain::scope::Catalogue;
use crate::domain::secret::SecretHash;
use crate::domain::when::Timestamp;

/// The number of sets in the cache, and of secrets in a set. The hash of a secret determines its set.
const SETS: usize = 2_048;
const WAYS: usize = 4;

/// How many unknown secrets are searched for one by one before the whole index is checked.
const MAX_SEARCHES: usize = 8;

/// The cached secrets and catalogue, each with the version of the data at which it was read.
#[derive(Default)]
pub struct Known {
    /// The version of the current transaction.
    version: i64,
    /// The sets, one after the other.
    secrets: Vec<Option<Kept>>,
    /// Counts the secrets that were added, to choose which secret of a full set is replaced.
    turn: usize,
    catalogue: Option<(i64, Arc<Catalogue>)>,
    /// How many secrets were unknown at this version, and whether the index of hashes was found sound.
    unknown: (i64, usize, bool),
}

struct Kept {
    version: i64,
    /// The end of the hash, which distinguishes most secrets without reading the rest.
    tag: u64,
    found: Arc<Presented>,
}

/// What to check before a secret is called unknown, because a damaged index might hide it.
pub enum Doubt {
    None,
    /// Search for this secret in the table.
    OfSecret,
    /// Check the whole index. This costs as much as searching for a few secrets, and answers the question for
    /// all.
    OfIndex,
}

impl Known {
    /// Begins a transaction at this version of the data. Entries of other versions no longer count.
    pub fn begin(&mut self, version: i64) {
        self.version = version;
        if self.secrets.is_empty() {
            self.secrets.resize_with(SETS * WAYS, || None);
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
            &mut MAX_SEARCHES => Doubt::OfIndex,
            _ => Doubt::OfSecret,
        }
    }

    /// Records that the index is sound at this version.
    pub fn index_is_whole(&mut self) {
        self.unknown.2 = true;
    }

    pub(super) fn get(&self, hash: &SecretHash) -> Option<Arc<Presented>> {
        let tag = tag(hash);
        let matches = |kept: &&Kept| {
            kept.tag == tag && kept.version == self.version && kept.found.secret().hash == *hash
        };
        let kept = self.secrets.get(set(hash))?.iter().flatten().find(matches)?;
        Some(Arc::clone(&kept.found))
    }

    pub(super) fn keep(&mut self, found: &Arc<Presented>) {
        let (hash, version) = (&found.secret().hash, self.version);
        self.turn = (self.turn + 1) % WAYS;
        let Some(set) = self.secrets.get_mut(set(hash)) else { return };
        let free = set.iter().position(|kept| kept.as_ref().is_none_or(|kept| kept.version != version));
        set[free.unwrap_or(self.turn)] = Some(Kept { version, tag: tag(hash), found: Arc::clone(found) });
    }
}

fn set(hash: &SecretHash) -> Range<usize> {
    let [first, second, ..] = *hash.as_bytes();
    let first = usize::from(u16::from_le_bytes([first, second])) % SETS * WAYS;
    first..first + WAYS
}

fn tag(hash: &SecretHash) -> u64 {
    hash.as_bytes().last_chunk().map_or(0, |end| u64::from_le_bytes(*end))
}

impl View<'_> {
    /// The secret with this hash, as [`View::presented`] finds it, from the cache if it is there. With the
    /// cache, labels and grants are always included.
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
        // The borrow must not last into the match arms, which use the store.
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

    /// The catalogue of scopes, from the cache if it is there.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::StoredSecret;
    use crate::domain::token::tests::{secret, token};

    /// A secret whose hash begins with `first`, and has `middle` in its middle.
    fn presented(first: [u8; 2], middle: u8) -> Arc<Presented> {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&first);
        bytes[16] = middle;
        let secret = StoredSecret { hash: SecretHash::from_bytes(bytes), ..secret(1, 0) };
        Arc::new(Presented { token: token(vec![secret]), index: 0, last_change: None })
    }

    #[test]
    fn two_secrets_of_one_set_are_distinguished() {
        let (one, twin, other) = (presented([7, 7], 1), presented([7, 7], 2), presented([7, 8], 1));
        let mut known = Known::default();
        known.begin(1);
        known.keep(&one);
        known.keep(&other);
        let is_kept = |known: &Known, presented: &Presented| known.get(&presented.secret().hash).is_some();
        assert!(is_kept(&known, &one) && is_kept(&known, &other));
        assert!(!is_kept(&known, &twin));
        known.begin(2);
        assert!(!is_kept(&known, &one), "an entry of another version was returned");
    }

    #[test]
    fn the_index_is_checked_again_for_each_version_of_the_data() {
        let mut known = Known::default();
        known.begin(1);
        for _ in 1..MAX_SEARCHES {
            assert!(matches!(known.doubt(), Doubt::OfSecret));
        }
        assert!(matches!(known.doubt(), Doubt::OfIndex));
        known.index_is_whole();
        assert!(matches!(known.doubt(), Doubt::None));
        known.begin(2);
        assert!(matches!(known.doubt(), Doubt::OfSecret));
    }
}

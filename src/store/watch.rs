//! The progress of a walk through the store, reported between two reads, while no lock is held.

use super::{Store, StoreError};

/// A step of a walk: how many items are done, and of how many. The total is 0 if it is unknown.
pub struct Step {
    pub what: &'static str,
    pub done: u64,
    pub of: u64,
}

/// A function that is called for each step. Its error stops the walk.
pub type Watch<'a, E> = &'a mut dyn FnMut(Step) -> Result<(), E>;

impl Step {
    /// Negative numbers count as 0.
    pub fn new(what: &'static str, done: impl TryInto<u64>, of: impl TryInto<u64>) -> Self {
        Self { what, done: done.try_into().unwrap_or(0), of: of.try_into().unwrap_or(0) }
    }
}

impl Store {
    /// The number of the last entry, or 0 if it cannot be read. The walk will report that error.
    pub(super) fn last_entry(&self) -> i64 {
        self.read(|view| Ok::<_, StoreError>(view.anchor()?.seq)).unwrap_or(0)
    }

    /// The number of tokens, or 0 if it cannot be read.
    pub(super) fn count(&self) -> i64 {
        let count = self
            .engine
            .prepare("SELECT count(*) FROM tokens")
            .and_then(|mut statement| statement.one(&[], |row| row.get(0)));
        count.ok().flatten().unwrap_or(0)
    }
}

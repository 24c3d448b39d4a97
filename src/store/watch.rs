//! How far a walk through the store is. It is told between two reads, while no lock is held.

use super::{Store, StoreError};

/// So much is done of so many; of 0 where nothing can be counted.
pub struct Step {
    pub what: &'static str,
    pub done: u64,
    pub of: u64,
}

/// Is told of each step; its error ends the walk.
pub type Watch<'a, E> = &'a mut dyn FnMut(Step) -> Result<(), E>;

impl Step {
    /// What is below 0 counts as nothing.
    pub fn new(what: &'static str, done: impl TryInto<u64>, of: impl TryInto<u64>) -> Self {
        Self { what, done: done.try_into().unwrap_or(0), of: of.try_into().unwrap_or(0) }
    }
}

impl Store {
    /// The number of the last entry; 0 where it cannot be read, which is for the walk to say.
    pub(super) fn last_entry(&self) -> i64 {
        self.read(|view| Ok::<_, StoreError>(view.anchor()?.seq)).unwrap_or(0)
    }

    /// How many tokens there are; 0 likewise.
    pub(super) fn count(&self) -> i64 {
        let count = self
            .engine
            .prepare("SELECT count(*) FROM tokens")
            .and_then(|mut it| it.one(&[], |row| row.get(0)));
        count.ok().flatten().unwrap_or(0)
    }
}

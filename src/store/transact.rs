//! Transactions. Each reads the clock after it has its lock, and a change is kept only together with its
//! event.

use std::cell::RefCell;

use super::engine::{Engine, Fault, Purpose, Transaction};
use super::sqlite::VERSION;
use super::{Store, StoreError, UNCHANGED, UNSETTLED, View, Write};
use crate::domain::event::{Anchor, Author};
use crate::domain::when::{Clock, Timestamp};

impl Store {
    /// Runs one read transaction, which ends before its result is used.
    pub fn read<T, E: From<StoreError>>(&self, f: impl FnOnce(&View<'_>) -> Result<T, E>) -> Result<T, E> {
        let failed = |err| self.failed(&err);
        let tx = self.begin(Purpose::Look)?;
        self.follow().map_err(failed)?;
        let out = f(&View::of(self));
        let ended = tx.commit();
        let out = out?;
        ended.map_err(failed)?;
        Ok(out)
    }

    /// Runs one read transaction that reads the clock once, after it has its lock. So the clock fits the
    /// data, however long the transaction waited for a writer.
    pub fn read_now<T, E: From<StoreError>>(
        &self,
        clock: &dyn Clock,
        f: impl FnOnce(&View<'_>, Timestamp) -> Result<T, E>,
    ) -> Result<T, E> {
        let is_locked = self.is_locked();
        self.read(|view| {
            // The first statement takes the lock.
            if !is_locked {
                let mut known = self.known.borrow_mut();
                let version = view.ok(self.take_lock(known.is_some()))?;
                if let Some(known) = &mut *known {
                    known.begin(version);
                }
            }
            f(view, clock.now().map_err(StoreError::Clock)?)
        })
    }

    /// Like [`Self::read_now`], for a verdict. Fails on a replica whose data might be older than `--max-lag`.
    pub fn read_fresh<T>(
        &self,
        clock: &dyn Clock,
        f: impl FnMut(&View<'_>, Timestamp) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &self.engine {
            Engine::Sqlite(_) => self.read_now(clock, f),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => {
                let mut f = f;
                postgres.when_fresh(|| {
                    self.read_now(clock, |view, now| {
                        postgres.check_freshness(clock)?;
                        f(view, now)
                    })
                })
            }
        }
    }

    /// Runs one write transaction that reads the clock once, after it has its lock. An error of `f` rolls
    /// everything back. It is an error if `f` changes something without recording an event.
    pub fn write<T, E: From<StoreError>>(
        &self,
        clock: &dyn Clock,
        author: &Author,
        f: impl FnOnce(&Write<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transact(clock, author, |tx| {
            self.is_of_today()?;
            f(tx)
        })
    }

    /// Within a write transaction, fails if another program has migrated the store to a version that this one does
    /// not know.
    pub(super) fn is_of_today(&self) -> Result<(), StoreError> {
        let found = match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.stamped().map_err(|err| sqlite.failed(&err))?,
            // Migrations wait for the lock of this transaction, and the version was checked before.
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => VERSION,
        };
        if found == VERSION { Ok(()) } else { Err(StoreError::Newer { found, known: VERSION }) }
    }

    pub(super) fn begin(&self, purpose: Purpose) -> Result<Transaction<'_>, StoreError> {
        match &self.engine {
            Engine::Sqlite(sqlite) => {
                sqlite.begin(purpose, self.patience.get()).map_err(|err| sqlite.failed(&err))
            }
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => {
                postgres.begin(purpose, self.patience.get()).map(Transaction::Postgres)
            }
        }
    }

    /// Whether the next read transaction already has its lock.
    fn is_locked(&self) -> bool {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.has_begun(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => false,
        }
    }

    /// Runs the first statement of a transaction. Returns the version of the data, if that is needed.
    fn take_lock(&self, needs_version: bool) -> Result<i64, Fault> {
        let sql = match &self.engine {
            Engine::Sqlite(_) if needs_version => "PRAGMA data_version",
            Engine::Sqlite(_) => "PRAGMA user_version",
            // The first statement takes the snapshot. Each change has an entry, whose hash identifies the state.
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => return postgres.state(),
        };
        Ok(self.engine.prepare(sql)?.one(&[], |row| row.get(0))?.unwrap_or(0))
    }

    /// Within a read transaction, notices if another process has migrated the tables.
    fn follow(&self) -> Result<(), Fault> {
        match &self.engine {
            Engine::Sqlite(sqlite) => Ok(sqlite.follow_migration()?),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => Ok(()),
        }
    }

    pub(super) fn transact<T, E: From<StoreError>>(
        &self,
        clock: &dyn Clock,
        author: &Author,
        f: impl FnOnce(&Write<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let tx = self.begin(Purpose::Change)?;
        let (now, drift) = tx.time(clock.now().map_err(StoreError::Clock)?);
        let before = self.engine.changes();
        let write = Write { view: View::of(self), now, drift, author, head: RefCell::new(None) };
        let out = f(&write)?;
        let Some(head) = write.head.into_inner() else {
            if self.engine.changes() == before {
                return Ok(out);
            }
            let what = "a change would have left no event".to_owned();
            return Err(StoreError::Io { what, settled: UNCHANGED }.into());
        };
        match tx.commit() {
            Ok(()) => Ok(out),
            Err(err) => self.settle(&err, &head.anchor).map(|()| out).map_err(E::from),
        }
    }

    /// After a failed COMMIT, only the content of the store tells whether the change was kept.
    pub(super) fn settle(&self, err: &Fault, expected: &Anchor) -> Result<(), StoreError> {
        let kept = match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.keeps(expected).ok(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.keeps(err, expected).ok(),
        };
        match kept {
            Some(true) => Ok(()),
            Some(false) => Err(self.failed(err)),
            None => Err(StoreError::Io { what: format!("the store failed: {err}"), settled: UNSETTLED }),
        }
    }
}

#[cfg(test)]
pub(in crate::store) mod tests {
    use super::*;
    use crate::domain::event::Actor;
    use crate::store::Sharing;
    use crate::store::{Location, make};

    /// A clock that always says the same time.
    pub struct Noon;

    impl Clock for Noon {
        fn unix(&self) -> i64 {
            1_800_000_000
        }
    }

    #[test]
    fn a_change_without_an_event_is_an_error_and_is_not_kept() {
        let dir = tempfile::tempdir().expect("a temporary directory can be created");
        let location = Location::named(dir.path().join("store"));
        let actor = Actor { uid: 0, login: None, sudo_user: None, host: None };
        let author = Author { actor, reason: None, accept_clock: false };
        make(&location, Sharing::Private, &Noon, &author).expect("the store can be created");
        let store = Store::open_to_write(&location, &Noon, &author).expect("the store can be opened");
        let wrote = store.write(&Noon, &author, |tx| tx.run("INSERT INTO setting VALUES ('url', 'x')", &[]));
        assert!(matches!(wrote, Err(StoreError::Io { settled: UNCHANGED, .. })), "{wrote:?}");
        let url = store.read(|view| view.settings()).expect("the settings can be read").url;
        assert_eq!(url, None, "it was rolled back");
        let looked = store.write(&Noon, &author, |tx| tx.settings());
        assert!(looked.is_ok(), "a transaction that changes nothing needs no event: {looked:?}");
    }

    #[test]
    fn a_read_that_panics_leaves_no_transaction_open() {
        let dir = tempfile::tempdir().expect("a temporary directory can be created");
        let location = Location::named(dir.path().join("store"));
        let author = Author { actor: Actor::default(), reason: None, accept_clock: false };
        make(&location, Sharing::Private, &Noon, &author).expect("the store can be created");
        let store = Store::open_to_write(&location, &Noon, &author).expect("the store can be opened");
        let read = || store.read(|_| -> Result<(), StoreError> { unreachable!("a fault in the program") });
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).is_err());
        assert!(store.read(|view| view.settings()).is_ok());
    }
}

//! Transactions: each reads the clock once its lock is held, and a change is kept only with its event.

use std::cell::RefCell;

use rusqlite::{Transaction, TransactionBehavior};

use super::open::{self, Access};
use super::{Store, StoreError, UNCHANGED, UNSETTLED, View, Write, lock, schema, v1};
use crate::domain::event::{Anchor, Author};
use crate::domain::when::{Clock, Timestamp};

impl Store {
    /// One read transaction, ended before its result is looked at.
    pub fn read<T, E: From<StoreError>>(&self, f: impl FnOnce(&View<'_>) -> Result<T, E>) -> Result<T, E> {
        lock::be_patient(self.patience.get());
        let failed = |err| self.failed(&err);
        if !self.began.take() {
            self.run("BEGIN").map_err(failed)?;
        }
        let reading = Reading(self);
        self.follow_migration().map_err(failed)?;
        let out = f(&View::of(self));
        let ended = reading.end();
        let out = out?;
        ended.map_err(failed)?;
        Ok(out)
    }

    /// Runs a statement that has no rows.
    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.prepare(sql)?.execute([]).map(drop)
    }

    /// One read transaction with one reading of the clock, made once its lock is held: what the transaction sees was
    /// so at that time, however long it waited for a writer.
    pub fn read_now<T, E: From<StoreError>>(
        &self,
        clock: &dyn Clock,
        f: impl FnOnce(&View<'_>, Timestamp) -> Result<T, E>,
    ) -> Result<T, E> {
        let is_locked = self.began.get();
        self.read(|view| {
            // The first statement takes the lock.
            if !is_locked {
                let mut known = self.known.borrow_mut();
                let sql = if known.is_some() { "PRAGMA data_version" } else { "PRAGMA user_version" };
                let run = || self.prepare(sql)?.query_row([], |row| row.get(0));
                let version = view.ok(run())?;
                if let Some(known) = &mut *known {
                    known.begin(version);
                }
            }
            f(view, clock.now().map_err(StoreError::Clock)?)
        })
    }

    /// One write transaction. The clock is read once its lock is held; an error of `f` leaves everything as it was.
    /// An `f` that changes nothing is no error, but one that changes something and records no event is.
    pub fn write<T, E: From<StoreError>>(
        &self,
        clock: &dyn Clock,
        author: &Author,
        f: impl FnOnce(&Write<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transact(clock, author, |tx| {
            let found = schema::version_of(&self.conn).map_err(|err| self.failed(&err))?;
            if found == schema::VERSION {
                return f(tx);
            }
            Err(StoreError::Newer { found, known: schema::VERSION }.into())
        })
    }

    /// Within a read transaction: takes note that another process has brought the store to the version of today.
    pub(super) fn follow_migration(&self) -> rusqlite::Result<()> {
        if self.version.get() != schema::VERSION && schema::version_of(&self.conn)? == schema::VERSION {
            v1::unview(&self.conn)?;
            self.version.set(schema::VERSION);
        }
        Ok(())
    }

    pub(super) fn transact<T, E: From<StoreError>>(
        &self,
        clock: &dyn Clock,
        author: &Author,
        f: impl FnOnce(&Write<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        lock::be_patient(self.patience.get());
        let tx = Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate)
            .map_err(|err| self.failed(&err))?;
        let now = clock.now().map_err(StoreError::Clock)?;
        let before = self.conn.total_changes();
        let write = Write { view: View::of(self), now, author, head: RefCell::new(None) };
        let out = f(&write)?;
        let Some(head) = write.head.into_inner() else {
            if self.conn.total_changes() == before {
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

    /// After a failed COMMIT: only what the database holds tells whether it happened.
    fn settle(&self, err: &rusqlite::Error, expected: &Anchor) -> Result<(), StoreError> {
        let kept = open::connect(&self.found.database, Access::Write).and_then(|conn| {
            Self::from_connection(conn, self.found.clone(), schema::VERSION).anchor_hash(expected.seq)
        });
        match kept {
            Ok(Some(hash)) if hash == expected.hash => Ok(()),
            Ok(_) => Err(self.failed(err)),
            Err(_) => Err(StoreError::Io { what: format!("the store failed: {err}"), settled: UNSETTLED }),
        }
    }
}

/// A read transaction, which ends with this at the latest.
struct Reading<'a>(&'a Store);

impl Reading<'_> {
    fn end(self) -> rusqlite::Result<()> {
        self.0.run("COMMIT")
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if !self.0.conn.is_autocommit() {
            // It fails only where SQLite has ended the transaction itself.
            let _ = self.0.run("ROLLBACK");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::Actor;
    use crate::store::Sharing;
    use crate::store::sqlite::{Location, make};

    struct Noon;

    impl Clock for Noon {
        fn unix(&self) -> i64 {
            1_800_000_000
        }
    }

    #[test]
    fn a_change_without_an_event_is_an_error_and_is_not_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let location = Location { dir: dir.path().join("store"), named: true, trusts_group: false };
        let actor = Actor { uid: 0, login: None, sudo_user: None, host: None };
        let author = Author { actor, reason: None, accept_clock: false };
        make(&location, Sharing::Private, &Noon, &author).expect("a store");
        let store = Store::open_to_write(&location, &Noon, &author).expect("the store");
        let wrote = store.write(&Noon, &author, |tx| {
            tx.ok(tx.conn().execute("INSERT INTO setting VALUES ('url', 'x')", []))
        });
        assert!(matches!(wrote, Err(StoreError::Io { settled: UNCHANGED, .. })), "{wrote:?}");
        let url = store.read(|view| view.settings()).expect("the settings").url;
        assert_eq!(url, None, "it was rolled back");
        let looked = store.write(&Noon, &author, |tx| tx.settings());
        assert!(looked.is_ok(), "a transaction that changes nothing needs no event: {looked:?}");
    }
}

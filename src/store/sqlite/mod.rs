//! The only place that knows SQLite.
//!
//! Locking: a rollback journal (`journal_mode=DELETE`) with `synchronous=EXTRA`, since write-ahead logging would
//! shut out read-only verifiers of another user, and DELETE with FULL lost a committed row in 25 of 133 power cuts.
//! Every write is one `BEGIN IMMEDIATE` transaction. A read transaction ends before its rows are written anywhere,
//! so that a stopped reader holds nothing; lists come in pages of at most [`PAGE`] rows.
//!
//! Permissions: the owner writes, readers need only to read `tokens.db`. A reading command changes no byte; where a
//! killed writer left its journal, it reads a copy that it rolled back itself.
//!
//! Compatibility: `application_id` and `user_version` are looked at before SQLite opens the file, the text of every
//! object after.

mod audit;
mod backup;
mod build;
mod bury;
mod checked;
mod doctor;
mod error;
mod find;
mod hot;
mod install;
mod integrity;
mod lock;
mod log;
mod migrate;
mod open;
mod pool;
mod restore;
mod schema;
mod scopes;
mod seal;
mod settings;
mod sql;
mod tokens;
mod v1;
mod watch;
mod words;
mod write;

use std::cell::{Cell, OnceCell, RefCell};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Row, Transaction, TransactionBehavior};

pub use audit::{AuditReport, Changed, Problem};
pub use build::{make, share};
use checked::{Checked, FileId};
pub use doctor::{Finding, Severity, examine, repair};
pub use error::{StoreError, UNCHANGED, UNSETTLED};
pub use lock::PATIENCE;
use open::{Access, Found};
pub use open::{Location, unsafe_path};
pub use pool::SharedStore;
pub use restore::{Brought, Live, Restoration, open_backup, plan};
pub use tokens::{NewSecret, Parts, Presented};
pub use watch::{Step, Watch};
pub use words::MOST;
pub use write::Write;
use write::{Head, Matched};

use crate::domain::event::{Anchor, Author};
use crate::domain::scope::{Catalogue, Scope};
use crate::domain::when::{Clock, Timestamp};
use crate::store::recorder::Recorder;
use crate::store::sharing::Sharing;
use crate::store::usage::{self, Beside, Usage};

/// The rows of one read transaction.
pub const PAGE: usize = 1_000;
/// Where a walk through rows begins: a row below 1 is damage, and so must be seen.
pub const FIRST: i64 = i64::MIN;
/// An open store.
pub struct Store {
    conn: Connection,
    /// Dropped after the connection.
    checked: Option<Arc<Checked>>,
    found: Found,
    /// Of the tables: that of today, or 1 where the store is only read.
    version: Cell<i64>,
    /// Whether rows whose seal is broken are read, so that access can be ended whatever happened to them.
    lenient: Cell<bool>,
    /// How long a transaction waits for a lock.
    patience: Cell<Duration>,
    /// The files of use, from the first question on: most verdicts need neither.
    uses: OnceCell<Usage>,
    asks: OnceCell<Usage>,
    /// The same files as uses are recorded in them.
    recorders: RefCell<[Recorder; 2]>,
    /// Holds the copy that a reader works on in place of a store with a hot journal.
    copy: Option<hot::Copy>,
}

impl Store {
    fn from_connection(conn: Connection, found: Found, version: i64) -> Self {
        let patience = Cell::new(PATIENCE);
        Self {
            conn,
            checked: None,
            uses: OnceCell::new(),
            asks: OnceCell::new(),
            recorders: RefCell::new([usage::SECRETS, usage::SCOPES].map(Recorder::new)),
            found,
            version: Cell::new(version),
            lenient: Cell::new(false),
            patience,
            copy: None,
        }
    }

    /// Sets how long the transactions of this store wait for a lock from now on.
    pub fn set_patience(&self, patience: Duration) {
        self.patience.set(patience);
    }

    #[cfg(test)]
    pub fn patience(&self) -> Duration {
        self.patience.get()
    }

    /// To look; not one byte is changed.
    pub fn open_to_read(location: &Location) -> Result<Self, StoreError> {
        let (found, checked) = safe(location)?;
        // A writer may roll the journal back between the look at it and the copy; then the next round reads.
        for _ in 0..10 {
            match Self::connect(&found, Access::Read) {
                // A copy may be made only while this process has no connection to the original.
                Err(Opening::HotJournal) if checked::is_shared(&checked) => break,
                Err(Opening::HotJournal) => {}
                Err(Opening::Failed(err)) => return Err(err),
                Ok(store) => return Ok(Self { checked: Some(checked), ..store }),
            }
            if let Some((conn, copy)) = hot::copy(&found)? {
                let version = prepare(&conn, &found).map_err(|err| err.into_store_error(&found.database))?;
                return Ok(Self { copy: Some(copy), ..Self::from_connection(conn, found, version) });
            }
        }
        Err(StoreError::Locked(lock::holders(&found.database)))
    }

    /// To look while somebody is typing: a store that is not ready at once is an error.
    pub fn open_to_glance(location: &Location) -> Result<Self, StoreError> {
        let (found, checked) = safe(location)?;
        let store = Self::connect(&found, Access::Glance).map_err(|err| err.at_once(&found))?;
        Ok(Self { checked: Some(checked), ..store })
    }

    /// To look, beside other connections of this process to the same file.
    fn open_beside(location: &Location) -> Result<Self, Opening> {
        let (found, checked) = safe(location).map_err(Opening::Failed)?;
        Ok(Self { checked: Some(checked), ..Self::connect(&found, Access::Read)? })
    }

    /// To change. A store of the version before becomes one of today.
    pub fn open_to_write(
        location: &Location,
        clock: &dyn Clock,
        author: &Author,
    ) -> Result<Self, StoreError> {
        let (found, checked) = safe(location)?;
        found.check_writable()?;
        let store = Self::connect(&found, Access::Write).map_err(|err| err.at_once(&found))?;
        if store.version.get() != schema::VERSION {
            migrate::migrate(&store, clock, author)?;
        }
        // The files of use may be lost; the next write brings them back, if it can.
        let _ = std::fs::symlink_metadata(&found.dir).and_then(|dir| {
            let now = clock.now().map_err(|err| std::io::Error::other(err.0))?;
            usage::make(&found.dir, found.meta.uid(), Sharing::of(&dir, &found.meta), now)
        });
        Ok(Self { checked: Some(checked), ..store })
    }

    fn connect(found: &Found, access: Access) -> Result<Self, Opening> {
        let sort = |err: rusqlite::Error| match err.sqlite_error().map(|err| err.extended_code) {
            Some(rusqlite::ffi::SQLITE_READONLY_ROLLBACK) => Opening::HotJournal,
            _ => Opening::Failed(StoreError::sqlite(&found.database, &err)),
        };
        let conn = open::connect(&found.database, access).map_err(sort)?;
        let version = prepare(&conn, found).map_err(|err| match err {
            schema::SchemaError::Sqlite(err) => sort(err),
            differs @ schema::SchemaError::Differs { .. } => {
                Opening::Failed(differs.into_store_error(&found.database))
            }
        })?;
        let store = Self::from_connection(conn, found.clone(), version);
        store.set_patience(access.patience());
        Ok(store)
    }

    /// The version of its tables.
    pub fn version(&self) -> i64 {
        self.version.get()
    }

    /// From here on rows are read though their seals are broken: for commands that only end access, which must work. The
    /// log still shows what was changed behind its back.
    pub fn accept_broken_seals(&self) {
        self.lenient.set(true);
    }

    pub fn path(&self) -> &Path {
        &self.found.dir
    }

    pub(super) fn uses(&self) -> &Usage {
        self.uses.get_or_init(|| Usage::to_read(beside(&self.found), usage::SECRETS))
    }

    pub(super) fn asks(&self) -> &Usage {
        self.asks.get_or_init(|| Usage::to_read(beside(&self.found), usage::SCOPES))
    }

    /// Whether this user owns the database.
    pub fn belongs_to(&self, uid: u32) -> bool {
        self.found.meta.uid() == uid
    }

    /// Whether this reader works on a copy because a killed writer left its journal.
    pub fn is_copy(&self) -> bool {
        self.copy.is_some()
    }

    /// Which file it is; `None` for a copy of it.
    fn id(&self) -> Option<FileId> {
        self.checked.as_ref().map(|checked| checked.id)
    }

    fn failed(&self, err: &rusqlite::Error) -> StoreError {
        StoreError::sqlite(&self.found.database, err)
    }

    /// Records a use of a presented secret and the scopes it was asked for. Nothing depends on it.
    pub fn record_use(&self, presented: &Presented, scopes: &[Scope], catalogue: &Catalogue, now: Timestamp) {
        let (token, secret) = (&presented.token, presented.secret());
        let [uses, asks] = &mut *self.recorders.borrow_mut();
        let (beside, database) = (beside(&self.found), &*self.found.database);
        let tag = usage::secret_tag(&secret.hash);
        uses.record(beside, database, secret.row, tag, secret.created_at, now);
        if scopes.is_empty() {
            return;
        }
        for grant in token.grants.values() {
            let held = catalogue.closure([&grant.scope]);
            if scopes.iter().any(|scope| held.contains(scope)) {
                let tag = usage::scope_tag(&token.id, &grant.scope);
                asks.record(beside, database, grant.row, tag, token.created_at, now);
            }
        }
    }

    /// One read transaction, ended before its result is looked at.
    pub fn read<T, E: From<StoreError>>(&self, f: impl FnOnce(&View<'_>) -> Result<T, E>) -> Result<T, E> {
        lock::be_patient(self.patience.get());
        let tx = Transaction::new_unchecked(&self.conn, TransactionBehavior::Deferred)
            .map_err(|err| self.failed(&err))?;
        self.follow_migration().map_err(|err| self.failed(&err))?;
        let out = f(&View { store: self })?;
        tx.commit().map_err(|err| self.failed(&err))?;
        Ok(out)
    }

    /// One read transaction with one reading of the clock, made once its lock is held: what the transaction sees was
    /// so at that time, however long it waited for a writer.
    pub fn read_now<T, E: From<StoreError>>(
        &self,
        clock: &dyn Clock,
        f: impl FnOnce(&View<'_>, Timestamp) -> Result<T, E>,
    ) -> Result<T, E> {
        self.read(|view| {
            // The first statement takes the lock.
            let run = || self.conn.prepare_cached("PRAGMA user_version")?.query_row([], |row| row.get(0));
            let _: i64 = view.ok(run())?;
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
    fn follow_migration(&self) -> rusqlite::Result<()> {
        if self.version.get() != schema::VERSION && schema::version_of(&self.conn)? == schema::VERSION {
            v1::unview(&self.conn)?;
            self.version.set(schema::VERSION);
        }
        Ok(())
    }

    fn transact<T, E: From<StoreError>>(
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
        let write = Write { view: View { store: self }, now, author, head: RefCell::new(None) };
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

enum Opening {
    HotJournal,
    Failed(StoreError),
}

impl Opening {
    /// For who does not try once more.
    fn at_once(self, found: &Found) -> StoreError {
        match self {
            Self::HotJournal => StoreError::Locked(lock::holders(&found.database)),
            Self::Failed(err) => err,
        }
    }
}

/// Checks the tables, and makes those of version 1 readable. Returns their version.
fn prepare(conn: &Connection, found: &Found) -> Result<i64, schema::SchemaError> {
    let mut version = found.stamp();
    let mut checked = schema::check(conn, version);
    if checked.is_err() {
        // It may have been migrated since the header was looked at, or its journal not been rolled back.
        version = schema::version_of(conn)?;
        checked = schema::check(conn, version);
    }
    checked?;
    if version != schema::VERSION {
        v1::view(conn)?;
    }
    Ok(version)
}

/// The files, if nobody else could have touched them and they are a store.
fn safe(location: &Location) -> Result<(Found, Arc<Checked>), StoreError> {
    let (found, checked) = checked::find(location)?;
    if let Some(wrong) = location.unsafe_files(&found)?.into_iter().next() {
        return Err(wrong.into());
    }
    found.version().map(|_| (found, checked))
}

fn beside(found: &Found) -> Beside<'_> {
    Beside { dir: &found.dir, owner: found.meta.uid(), len: found.meta.len() }
}

/// What can be asked within a transaction. The queries are in the files of their tables.
pub struct View<'a> {
    store: &'a Store,
}

/// Fails unless a page goes up from `from`: a damaged tree may lead in a circle, and a walk through its pages with it.
fn ascending(rows: impl IntoIterator<Item = i64>, from: i64) -> Result<(), StoreError> {
    let mut least = Some(from);
    for row in rows {
        if least.is_none_or(|least| row < least) {
            return Err(StoreError::Damaged("its rows are out of order".to_owned()));
        }
        least = row.checked_add(1);
    }
    Ok(())
}

impl View<'_> {
    fn conn(&self) -> &Connection {
        &self.store.conn
    }

    fn checks_seals(&self) -> bool {
        self.store.version.get() == schema::VERSION && !self.store.lenient.get()
    }

    /// Fails unless these columns, all of a table's row but its seal, are what was written.
    fn unbroken(&self, table: &str, row: &Row<'_>, columns: std::ops::Range<usize>) -> rusqlite::Result<()> {
        if self.checks_seals() { seal::check(table, row, columns) } else { Ok(()) }
    }

    /// An error of a statement as the error of the store.
    fn ok<T>(&self, result: rusqlite::Result<T>) -> Result<T, StoreError> {
        result.map_err(|err| self.store.failed(&err))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::Actor;
    use crate::store::Sharing;

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

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
#[cfg(feature = "cli")]
mod batch;
mod build;
mod bury;
mod cells;
mod change;
mod checked;
#[cfg(feature = "cli")]
mod columns;
mod doctor;
#[cfg(feature = "cli")]
mod entry;
mod error;
#[cfg(feature = "cli")]
mod export;
mod find;
mod found;
mod hooks;
mod hot;
#[cfg(feature = "cli")]
mod import;
mod install;
mod integrity;
#[cfg(feature = "cli")]
mod item;
#[cfg(feature = "cli")]
mod join;
mod known;
#[cfg(feature = "cli")]
mod listed;
mod location;
mod lock;
mod log;
mod migrate;
mod open;
mod opening;
mod page;
#[cfg(feature = "cli")]
mod parts;
mod pool;
mod prepared;
mod restore;
mod schema;
mod scopes;
mod seal;
mod settings;
mod share;
mod sql;
mod token_rows;
mod tokens;
mod transact;
mod v1;
mod view;
#[cfg(feature = "cli")]
mod vouch;
mod watch;
mod words;
mod write;

use std::cell::{Cell, OnceCell, RefCell};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

pub use audit::{AuditReport, Changed, Problem};
#[cfg(feature = "cli")]
pub use batch::Batch;
pub use build::make;
pub use change::NewSecret;
use checked::{Checked, FileId};
pub use doctor::{Finding, Severity, examine, repair};
pub use error::{StoreError, UNCHANGED, UNSETTLED};
#[cfg(feature = "cli")]
pub use export::{Extent, FORMAT as EXPORT_FORMAT};
use found::Found;
#[cfg(feature = "cli")]
pub use import::{Importer, Taker, unused};
#[cfg(feature = "cli")]
pub use item::{Fields, Item};
#[cfg(feature = "cli")]
pub use join::{Conflict, Joiner, Joins, Newcomer};
use known::Known;
#[cfg(feature = "cli")]
pub use listed::{Listed, OneListed, Order};
pub use location::{Location, unsafe_file, unsafe_path};
pub use lock::PATIENCE;
#[cfg(feature = "cli")]
pub use parts::BadLine;
pub use pool::SharedStore;
pub use restore::{Brought, Live, Restoration, open_backup, plan};
pub use share::share;
pub use tokens::{Parts, Presented};
pub use view::View;
use view::ascending;
pub use watch::{Step, Watch};
pub use words::MOST;
pub use write::Write;
use write::{Head, Matched};

use crate::domain::filter::Times;
use crate::domain::scope::{Catalogue, Scope};
use crate::domain::token::StoredSecret;
use crate::domain::when::Timestamp;
use crate::store::recorder::Recorder;
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
    /// Whether it is asked one question, so that no statement is kept.
    once: bool,
    /// Whether the transaction of its checks is still open, which then is that of the first question.
    began: Cell<bool>,
    /// How long a transaction waits for a lock.
    patience: Cell<Duration>,
    /// The files of use, from the first question on: most verdicts need neither.
    uses: OnceCell<Usage>,
    asks: OnceCell<Usage>,
    refusals: OnceCell<Usage>,
    /// What it remembers from one transaction to the next, if anything.
    known: RefCell<Option<Known>>,
    /// The same files as uses are recorded in them.
    recorders: RefCell<[Recorder; 3]>,
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
            refusals: OnceCell::new(),
            known: RefCell::new(None),
            recorders: RefCell::new(usage::FILES.map(Recorder::new)),
            found,
            version: Cell::new(version),
            lenient: Cell::new(false),
            once: false,
            began: Cell::new(false),
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

    /// From here on what look-ups find is remembered for as long as the database is not changed.
    pub(super) fn remember(&self) {
        self.known.borrow_mut().get_or_insert_default();
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

    pub(super) fn refusals(&self) -> &Usage {
        self.refusals.get_or_init(|| Usage::to_read(beside(&self.found), usage::REFUSED))
    }

    /// The instants by which tokens are shown now. Since when use is recorded does not depend on the database.
    pub fn times(&self, now: Timestamp) -> Times {
        Times { now, at: now, usage_since: self.uses().since() }
    }

    /// Since when it is recorded which scopes are asked for.
    pub fn scope_usage_since(&self) -> Option<Timestamp> {
        self.asks().since()
    }

    /// Whether this user owns the database.
    pub fn belongs_to(&self, uid: u32) -> bool {
        self.found.meta.uid() == uid
    }

    /// Fails unless only this user and root can have written what the store holds: a path or a command in it is as
    /// powerful as a line in a crontab.
    pub fn check_commands(&self) -> Result<(), StoreError> {
        let strict = Location { dir: self.found.dir.clone(), named: false, trusts_group: false };
        let Some(wrong) = strict.unsafe_files(&self.found)?.into_iter().next() else { return Ok(()) };
        Err(StoreError::Unsafe {
            path: wrong.path,
            why: format!("{}, so no destination or command in it is used or set", wrong.why),
            fix: "run it as the owner of a store that nobody else can write; `--out`, `--env-file` and `--exec` \
                  name a destination for once"
                .to_owned(),
        })
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
        let [uses, asks, _] = &mut *self.recorders.borrow_mut();
        let (beside, database) = (beside(&self.found), &*self.found.database);
        let tag = usage::secret_tag(&secret.hash);
        uses.record(beside, database, secret.row, tag, secret.created_at, now);
        if scopes.is_empty() {
            return;
        }
        for grant in token.grants.values() {
            let held = catalogue.closure([&grant.scope]);
            if scopes.iter().any(|scope| held.contains(scope)) {
                let tag = usage::scope_tag(&token.id, grant);
                asks.record(beside, database, grant.row, tag, token.created_at, now);
            }
        }
    }

    /// Records that a secret was presented that has ended. Nothing depends on it.
    pub fn record_refusal(&self, secret: &StoredSecret, now: Timestamp) {
        let [.., refusals] = &mut *self.recorders.borrow_mut();
        let (row, tag, created) = (secret.row, usage::secret_tag(&secret.hash), secret.created_at);
        refusals.record(beside(&self.found), &self.found.database, row, tag, created, now);
    }
}

fn beside(found: &Found) -> Beside<'_> {
    Beside { dir: &found.dir, owner: found.meta.uid(), len: found.meta.len() }
}

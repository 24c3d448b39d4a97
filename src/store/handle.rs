//! An open store, independent of its engine.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::time::Duration;

use super::engine::{Engine, Fault};
use super::known::Known;
use super::sqlite::{FileId, PATIENCE, Sqlite, VERSION};
#[cfg(feature = "postgres")]
use super::usage::scope_tag;
use super::usage::{Kind, secret_tag};
use super::{Presented, StoreError};
use crate::domain::filter::Times;
use crate::domain::scope::{Catalogue, Scope};
use crate::domain::token::{Grant, StoredSecret, Token};
use crate::domain::when::Timestamp;

/// An open store.
pub struct Store {
    pub(super) engine: Engine,
    /// Whether rows with a broken seal are read, so that access can always be revoked.
    pub(super) lenient: Cell<bool>,
    /// How long a transaction waits for a lock.
    pub(super) patience: Cell<Duration>,
    /// What is cached between transactions, if anything.
    pub(super) known: RefCell<Option<Known>>,
}

impl From<Sqlite> for Store {
    fn from(engine: Sqlite) -> Self {
        Self::of(Engine::Sqlite(engine))
    }
}

impl Store {
    pub(super) fn of(engine: Engine) -> Self {
        Self { engine, lenient: Cell::new(false), patience: Cell::new(PATIENCE), known: RefCell::new(None) }
    }

    /// The files of the store, which only SQLite has.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(clippy::unnecessary_wraps, reason = "another engine has no files")
    )]
    pub(super) fn files(&self) -> Result<&Sqlite, StoreError> {
        match &self.engine {
            Engine::Sqlite(it) => Ok(it),
            #[cfg(feature = "postgres")]
            Engine::Postgres(it) => Err(StoreError::NoFiles(it.url().to_owned())),
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

    /// Caches the results of look-ups from now on, as long as the database does not change. SQLite keeps the
    /// inner pages of its trees in memory, even for a million tokens, so a look-up reads only leaf pages.
    pub(super) fn remember(&self) {
        if self.known.borrow().is_some() {
            return;
        }
        *self.known.borrow_mut() = Some(Known::default());
        match &self.engine {
            // If this fails, reading is only slower.
            Engine::Sqlite(it) => drop(it.keep_pages(8)),
            #[cfg(feature = "postgres")]
            Engine::Postgres(it) => it.stays.set(true),
        }
    }

    /// The version of the tables.
    pub fn version(&self) -> i64 {
        match &self.engine {
            Engine::Sqlite(it) => it.version.get(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => VERSION,
        }
    }

    pub(super) fn checks_seals(&self) -> bool {
        self.version() == VERSION && !self.lenient.get()
    }

    /// Reads rows from now on even if their seals are broken. This is for commands that only revoke access,
    /// which must always work. The log still shows what was changed by hand.
    pub fn accept_broken_seals(&self) {
        self.lenient.set(true);
    }

    /// The directory of the store, or the URL of its server.
    pub fn path(&self) -> &Path {
        match &self.engine {
            Engine::Sqlite(it) => &it.found.dir,
            #[cfg(feature = "postgres")]
            Engine::Postgres(it) => it.url(),
        }
    }

    /// The times for showing tokens now.
    pub fn times(&self, now: Timestamp) -> Times {
        Times { now, at: now, usage_since: self.recorded_since(Kind::Uses) }
    }

    /// The time since which required scopes have been recorded.
    pub fn scope_usage_since(&self) -> Option<Timestamp> {
        self.recorded_since(Kind::Asks)
    }

    /// Whether the store can be used from several hosts.
    pub fn spans_hosts(&self) -> bool {
        self.engine.spans_hosts()
    }

    /// Whether this user owns the database.
    pub fn belongs_to(&self, uid: u32) -> bool {
        match &self.engine {
            Engine::Sqlite(it) => it.belongs_to(uid),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => false,
        }
    }

    /// Fails unless only this user and root can have written the store, because a path or a command in it is
    /// as powerful as a line in a crontab. `runs` tells whether it is a command. A store that several hosts
    /// use must not contain commands, because a user who can write to it could run them on each of these
    /// hosts.
    #[cfg_attr(not(feature = "postgres"), expect(unused_variables, reason = "files may hold commands"))]
    pub fn check_commands(&self, runs: bool) -> Result<(), StoreError> {
        match &self.engine {
            Engine::Sqlite(it) => it.check_commands(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) if runs => Err(StoreError::NoCommands),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => Ok(()),
        }
    }

    /// Whether this is a private copy, which is read because a killed writer left its journal.
    pub fn is_copy(&self) -> bool {
        match &self.engine {
            Engine::Sqlite(it) => it.copy.is_some(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => false,
        }
    }

    /// The identity of the database file. `None` for a copy.
    pub(super) fn id(&self) -> Option<FileId> {
        match &self.engine {
            Engine::Sqlite(it) => it.id(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(it) => Some(FileId::of_server(it.url())),
        }
    }

    pub(super) fn failed(&self, err: &Fault) -> StoreError {
        self.engine.failed(err)
    }

    fn recorded_since(&self, kind: Kind) -> Option<Timestamp> {
        match &self.engine {
            Engine::Sqlite(it) => it.usages.of(kind).since(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(it) => it.usage_since(),
        }
    }

    /// When a secret was last used or refused.
    pub(super) fn last(&self, kind: Kind, secret: &StoredSecret, now: Timestamp) -> Option<Timestamp> {
        let (row, tag, created) = (secret.row, secret_tag(&secret.hash), secret.created_at);
        match &self.engine {
            Engine::Sqlite(it) => it.usages.of(kind).last(row, tag, created, now),
            #[cfg(feature = "postgres")]
            Engine::Postgres(it) => it.last(kind, row, tag, created, now),
        }
    }

    /// When a granted scope was last required.
    pub(super) fn last_required(&self, token: &Token, grant: &Grant, now: Timestamp) -> Option<Timestamp> {
        match &self.engine {
            Engine::Sqlite(it) => it.usages.last_required(token, grant, now),
            #[cfg(feature = "postgres")]
            Engine::Postgres(it) => {
                it.last(Kind::Asks, grant.row, scope_tag(&token.id, grant), token.created_at, now)
            }
        }
    }

    /// Records the use of a presented secret and the required scopes. Errors are ignored.
    pub fn record_use(&self, presented: &Presented, scopes: &[Scope], catalogue: &Catalogue, now: Timestamp) {
        let (token, secret) = (&presented.token, presented.secret());
        self.record(Kind::Uses, secret, now);
        if scopes.is_empty() {
            return;
        }
        for grant in token.grants.values() {
            let held = catalogue.closure([&grant.scope]);
            if scopes.iter().any(|scope| held.contains(scope)) {
                match &self.engine {
                    Engine::Sqlite(it) => it.record_requirement(token, grant, now),
                    #[cfg(feature = "postgres")]
                    Engine::Postgres(it) => {
                        it.record(Kind::Asks, grant.row, scope_tag(&token.id, grant), now);
                    }
                }
            }
        }
    }

    /// Records that a revoked or expired secret was presented. Errors are ignored.
    pub fn record_refusal(&self, secret: &StoredSecret, now: Timestamp) {
        self.record(Kind::Refusals, secret, now);
    }

    /// Writes the uses of a batch that have not been written yet. Uses in files are written at once.
    pub fn send_uses(&self) {
        #[cfg(feature = "postgres")]
        if let Engine::Postgres(it) = &self.engine {
            it.send_uses();
        }
    }

    fn record(&self, kind: Kind, secret: &StoredSecret, now: Timestamp) {
        match &self.engine {
            Engine::Sqlite(it) => {
                it.record(kind, secret.row, secret_tag(&secret.hash), secret.created_at, now);
            }
            #[cfg(feature = "postgres")]
            Engine::Postgres(it) => it.record(kind, secret.row, secret_tag(&secret.hash), now),
        }
    }
}

//! The SQLite engine, for stores in files. Only this module opens the files.
//!
//! Locking: the journal mode is DELETE with `synchronous=EXTRA`. Write-ahead logging would shut out read-only
//! verifiers of another user, and DELETE with FULL lost a committed row in 25 of 133 power cuts. Every write
//! is one `BEGIN IMMEDIATE` transaction. A read transaction ends before its rows are written anywhere, so
//! that a stopped reader holds no lock. Lists are read in pages of at most [`PAGE`] rows.
//!
//! Permissions: the owner writes, and readers only need read access to `tokens.db`. A reading command changes
//! no byte. If a killed writer left its journal, the command reads a private copy in which it has rolled the
//! journal back.
//!
//! Compatibility: `application_id` and `user_version` are checked before SQLite opens the file, and the text
//! of every table and index after that.

mod backup;
mod build;
mod checked;
mod doctor;
#[cfg(feature = "cli")]
mod export;
mod found;
mod hot;
#[cfg(feature = "cli")]
mod import;
mod install;
mod integrity;
#[cfg(feature = "cli")]
mod listed;
mod location;
pub mod lock;
mod migrate;
mod open;
mod opening;
mod restore;
pub mod schema;
mod share;
mod uses;
mod v1;

use std::cell::{Cell, RefCell};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

pub use build::make;
use checked::Checked;
pub use checked::FileId;
pub use doctor::{Finding, Severity, examine, repair};
#[cfg(feature = "postgres")]
pub use doctor::{content, warning};
#[cfg(feature = "cli")]
pub use export::{Extent, FORMAT as EXPORT_FORMAT};
pub use found::Found;
#[cfg(feature = "cli")]
pub use import::{Importer, Taker};
#[cfg(feature = "cli")]
pub use listed::{Listed, OneListed, Order};
pub use location::{Directory, unsafe_file, unsafe_parents_of};
pub use lock::PATIENCE;
pub use opening::Opening;
pub use restore::{Live, Restoration, TokenCommand, build, open_backup};
#[cfg(feature = "postgres")]
pub use schema::APPLICATION_ID;
pub use schema::VERSION;
pub use share::share;

use super::engine::{Fault, Prepared, Purpose, Transaction};
use super::recorder::Recorder;
use super::usage::{Kind, Usages};
use super::{AuditReport, FIRST, Matched, PAGE, Step, Store, StoreError, View, Watch, Write};
use crate::domain::digest::Digest;
use crate::domain::event::Anchor;

/// An open database file.
pub struct Sqlite {
    pub conn: Connection,
    /// Dropped after the connection.
    checked: Option<Arc<Checked>>,
    pub found: Found,
    /// The version of the tables: the current one, or 1 if the store is only read.
    pub version: Cell<i64>,
    /// Whether it answers only a single question, so that no statement is cached.
    once: bool,
    /// Whether the transaction that checked the store is still open. The first question uses it.
    began: Cell<bool>,
    pub usages: Usages,
    /// The same files, for recording uses.
    recorders: RefCell<[Recorder; 3]>,
    /// The copy that is read instead of a store with a hot journal.
    pub copy: Option<hot::Copy>,
}

/// A read transaction. Its BEGIN and COMMIT statements are cached like all others.
pub struct Look<'a>(&'a Sqlite);

impl Look<'_> {
    pub fn commit(self) -> rusqlite::Result<()> {
        self.0.run("COMMIT")
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        if !self.0.conn.is_autocommit() {
            // This fails only if SQLite has already rolled the transaction back.
            let _ = self.0.run("ROLLBACK");
        }
    }
}

impl Sqlite {
    fn new(conn: Connection, found: Found, version: i64) -> Self {
        Self {
            conn,
            checked: None,
            usages: Usages::new(uses::beside(&found)),
            recorders: RefCell::new(Kind::ALL.map(|kind| Recorder::new(kind.file()))),
            found,
            version: Cell::new(version),
            once: false,
            began: Cell::new(false),
            copy: None,
        }
    }

    pub fn failed(&self, err: &rusqlite::Error) -> StoreError {
        StoreError::sqlite(&self.found.database, err)
    }

    /// The identity of the database file. `None` for a copy.
    pub fn id(&self) -> Option<FileId> {
        self.checked.as_ref().map(|checked| checked.id)
    }

    /// Whether this user owns the database.
    pub fn belongs_to(&self, uid: u32) -> bool {
        self.found.meta.uid() == uid
    }

    pub fn check_commands(&self) -> Result<(), StoreError> {
        let strict = Directory { dir: self.found.dir.clone(), named: false, trusts_group: false };
        let Some(problem) = strict.unsafe_files(&self.found)?.into_iter().next() else { return Ok(()) };
        Err(StoreError::Unsafe {
            path: problem.path,
            why: format!("{}, so destinations and commands stored in it are neither used nor changed", problem.why),
            fix: "run it as the owner of a store that nobody else can write; `--out`, `--env-file` and `--exec` \
                  name a destination for once"
                .to_owned(),
        })
    }

    pub fn prepare(&self, sql: &str) -> rusqlite::Result<Prepared<'_>> {
        if self.once {
            return self.conn.prepare(sql).map(Prepared::Once);
        }
        self.conn.prepare_cached(sql).map(Prepared::Kept)
    }

    /// Begins a transaction. A transaction for reading takes no lock before its first statement.
    pub fn begin(&self, purpose: Purpose, patience: Duration) -> rusqlite::Result<Transaction<'_>> {
        lock::be_patient(patience);
        match purpose {
            Purpose::Look if self.began.take() => {}
            Purpose::Look => self.run("BEGIN")?,
            Purpose::Change => {
                let immediate = TransactionBehavior::Immediate;
                return rusqlite::Transaction::new_unchecked(&self.conn, immediate).map(Transaction::Sqlite);
            }
        }
        Ok(Transaction::Look(Look(self)))
    }

    /// Runs a statement that returns no rows.
    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        let run =
            if self.once { self.conn.execute(sql, []) } else { self.conn.prepare_cached(sql)?.execute([]) };
        run.map(drop)
    }

    /// Whether the next read transaction already has its lock.
    pub fn has_begun(&self) -> bool {
        self.began.get()
    }

    /// The current version of the tables.
    pub fn stamped(&self) -> rusqlite::Result<i64> {
        schema::version_of(&self.conn)
    }

    /// Within a read transaction, notices if another process has migrated the store.
    pub fn follow_migration(&self) -> rusqlite::Result<()> {
        if self.version.get() != VERSION && self.stamped()? == VERSION {
            v1::unview(&self.conn)?;
            self.version.set(VERSION);
        }
        Ok(())
    }

    /// After a failed COMMIT, tells whether the database contains this entry. Fails if that cannot be read.
    pub fn keeps(&self, expected: &Anchor) -> Result<bool, Fault> {
        let conn = open::connect(&self.found.database, open::Access::Write)?;
        let again = Store::from(Self::new(conn, self.found.clone(), VERSION));
        Ok(again.anchor_hash(expected.seq)? == Some(expected.hash))
    }

    /// The last entry. This also works on a connection without the views of version 1.
    fn newest(&self) -> rusqlite::Result<Option<Anchor>> {
        let table = if self.stamped()? == VERSION { "events" } else { "main.audit" };
        let sql = format!("SELECT seq, hash FROM {table} ORDER BY seq DESC LIMIT 1");
        let read =
            |row: &rusqlite::Row<'_>| Ok(Anchor { seq: row.get(0)?, hash: Digest::from_bytes(row.get(1)?) });
        rusqlite::OptionalExtension::optional(self.conn.query_row(&sql, [], read))
    }

    /// Keeps this many mebibytes of pages in memory from now on, instead of 2.
    pub fn keep_pages(&self, mebibytes: u16) -> rusqlite::Result<()> {
        self.conn.execute_batch(&format!("PRAGMA cache_size = -{}", u32::from(mebibytes) * 1024))
    }

    /// The size of the database in bytes.
    pub fn bytes(&self) -> u64 {
        std::fs::symlink_metadata(&self.found.database).map_or(0, |meta| meta.len())
    }

    /// Returns the space of removed rows to the file system. This is atomic, and temporarily needs space for
    /// a copy.
    pub fn shrink(&self, patience: Duration) -> rusqlite::Result<()> {
        lock::be_patient(patience);
        // The copy can be large, so neither it nor many pages of the original are kept in memory.
        self.conn.execute_batch("PRAGMA temp_store = FILE; PRAGMA cache_size = -2048; VACUUM")
    }
}

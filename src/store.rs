//! The store: tokens and their log, and when secrets were last used.
//!
//! Other rooms may use only what this module lists. Each query is one text, which an engine runs (`engine`).
//! Only `sqlite` knows SQLite: the file, its locks and what a crash leaves. The usage files are beside the
//! database.

mod audit;
#[cfg(feature = "cli")]
mod batch;
mod bury;
mod cells;
mod change;
#[cfg(feature = "cli")]
mod columns;
mod engine;
#[cfg(feature = "cli")]
mod entry;
mod error;
#[cfg(feature = "postgres")]
mod expected;
mod files;
mod find;
mod handle;
mod hooks;
#[cfg(feature = "cli")]
mod item;
#[cfg(feature = "cli")]
mod join;
mod known;
mod location;
mod log;
mod opening;
#[cfg(feature = "cli")]
mod page;
#[cfg(feature = "cli")]
mod parts;
mod pool;
#[cfg(feature = "postgres")]
mod postgres;
mod recorder;
#[cfg(feature = "postgres")]
mod rest;
mod scopes;
mod seal;
mod settings;
mod sharing;
mod sql;
mod sqlite;
mod token_rows;
mod tokens;
mod transact;
mod trust;
mod usage;
mod view;
#[cfg(feature = "cli")]
mod vouch;
mod watch;
mod whole;
mod words;
mod write;

pub use audit::{AuditReport, Changed, Problem};
#[cfg(feature = "cli")]
pub use batch::Batch;
pub use change::NewSecret;
pub use error::{StoreError, UNCHANGED, UNSETTLED};
pub use handle::Store;
#[cfg(feature = "cli")]
pub use item::{Fields, Item};
#[cfg(feature = "cli")]
pub use join::{Conflict, Joiner, Joins, Newcomer};
pub use location::{Location, is_url};
pub use opening::make;
#[cfg(feature = "cli")]
pub use page::{Page, Pages, Reader};
#[cfg(feature = "cli")]
pub use parts::BadLine;
pub use pool::SharedStore;
#[cfg(feature = "postgres")]
pub use postgres::{
    Address, Lag, Relay, Surroundings, make as make_on_server, script, start_heartbeat, watch_replica,
};
pub use sharing::Sharing;
pub use sqlite::{
    Directory, Finding, Live, PATIENCE, Restoration, Severity, TokenCommand, open_backup, unsafe_file,
    unsafe_parents_of,
};
#[cfg(feature = "cli")]
pub use sqlite::{EXPORT_FORMAT, Extent, Importer, Listed, OneListed, Order, Taker};
pub use tokens::{Parts, Presented};
pub use view::View;
pub use watch::{Step, Watch};
#[cfg(feature = "cli")]
pub use whole::unused;
pub use whole::{examine, plan, repair, share};
pub use words::MOST;
pub use write::Write;

#[cfg(feature = "postgres")]
use postgres::{
    Failure as ServerFailure, FoundRows, Open, Postgres, statement as server_statement,
    values as server_value,
};
use sqlite::{Look, Sqlite};
use view::ascending;
use write::{Head, Matched};

/// The rows of one read transaction.
pub const PAGE: usize = 1_000;
/// Where a walk through rows begins. A row below 1 is damage, so it must not be skipped.
pub const FIRST: i64 = i64::MIN;

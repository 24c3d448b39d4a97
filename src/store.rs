//! The store: what is kept of tokens, and when their secrets were last used.
//!
//! This is all that other rooms may use of it. The queries stand here, one text each; below them an engine runs them
//! (`engine`). `sqlite` alone knows SQLite: the file, its locks and what a crash leaves; the files of use lie beside the
//! database.

mod audit;
#[cfg(feature = "postgres")]
mod burst;
mod bury;
mod cells;
mod change;
#[cfg(feature = "cli")]
mod columns;
mod engine;
mod error;
mod files;
mod find;
mod handle;
mod hooks;
#[cfg(feature = "cli")]
mod join;
mod known;
mod location;
mod log;
mod opening;
mod page;
#[cfg(feature = "cli")]
mod parts;
mod pool;
#[cfg(feature = "postgres")]
mod postgres;
mod recorder;
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
mod watch;
mod whole;
mod words;
mod write;

pub use audit::{AuditReport, Changed, Problem};
pub use change::NewSecret;
pub use error::{StoreError, UNCHANGED, UNSETTLED};
pub use handle::Store;
#[cfg(feature = "cli")]
pub use join::{Conflict, Entered};
pub use location::{Location, is_url};
pub use opening::make;
#[cfg(feature = "cli")]
pub use parts::{BadLine, Prepared};
pub use pool::SharedStore;
#[cfg(feature = "postgres")]
pub use postgres::{
    Address, Lag, Relay, Surroundings, make as make_on_server, script, start_heartbeat, watch_replica,
};
pub use sharing::Sharing;
pub use sqlite::{
    Brought, Directory, Finding, Live, PATIENCE, Restoration, Severity, open_backup, unsafe_file, unsafe_path,
};
#[cfg(feature = "cli")]
pub use sqlite::{EXPORT_FORMAT, Extent, Importer};
pub use tokens::{Parts, Presented};
pub use view::View;
pub use watch::{Step, Watch};
#[cfg(feature = "cli")]
pub use whole::unused;
pub use whole::{examine, plan, repair, share};
pub use words::MOST;
pub use write::Write;

#[cfg(feature = "postgres")]
use postgres::{Found, Open, Postgres, statement as server_statement, values as server_value};
use sqlite::Sqlite;
use view::ascending;
use write::{Head, Matched};

/// The rows of one read transaction.
pub const PAGE: usize = 1_000;
/// Where a walk through rows begins: a row below 1 is damage, and so must be seen.
pub const FIRST: i64 = i64::MIN;

//! The store: what is kept of tokens, and when their secrets were last used.
//!
//! This is all that other rooms may use of it. `sqlite` alone knows SQLite; the files of use lie beside the database.

mod files;
mod recorder;
mod sharing;
mod sqlite;
mod trust;
mod usage;

pub use sharing::Sharing;
pub use sqlite::{
    AuditReport, Brought, Changed, FIRST, Finding, Live, Location, MOST, NewSecret, PAGE, PATIENCE, Parts,
    Presented, Problem, Restoration, Severity, SharedStore, Step, Store, StoreError, UNCHANGED, UNSETTLED,
    View, Watch, Write, examine, make, open_backup, plan, repair, share, unsafe_file, unsafe_path,
};
#[cfg(feature = "cli")]
pub use sqlite::{
    BadLine, Batch, Conflict, EXPORT_FORMAT, Extent, Fields, Importer, Item, Joiner, Joins, Listed, Newcomer,
    OneListed, Order, Taker, unused,
};

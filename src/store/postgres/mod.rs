//! A store in PostgreSQL.
//!
//! Every change first locks the only row of `head`, so changes are serialized and none is repeated. A read
//! transaction is one snapshot. If the answer to a COMMIT never arrives, a new connection takes that lock. Then
//! the outcome is decided, and the log shows whether it has the entry.

mod address;
mod client;
mod connect;
mod doctor;
mod encryption;
mod failure;
mod freshness;
mod heartbeat;
mod make;
mod moving;
mod relay;
mod schema;
pub mod statement;
mod transaction;
mod uses;
pub mod values;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub use address::{Address, Surroundings};
pub use client::Failure;
pub use connect::Access;
pub use doctor::examine;
pub use freshness::Lag;
pub use heartbeat::{start as start_heartbeat, watch as watch_replica};
pub use make::{is_store, make, script};
pub use relay::Relay;
pub use statement::FoundRows;
pub use transaction::Open;

use super::engine::Fault;
use crate::domain::when::Timestamp;
use client::Client;

/// A connection to a server that holds a store.
pub struct Postgres {
    client: RefCell<Client>,
    address: Address,
    access: Access,
    /// The address in the form for people.
    url: PathBuf,
    statements: RefCell<HashMap<String, statement::Form>>,
    /// How many rows were changed through it.
    changes: Cell<u64>,
    /// Whether a statement of the current transaction has failed, so that it cannot be committed.
    broken: Cell<bool>,
    /// Whether a transaction that only reads has begun for us, but not yet for the server.
    pending: Cell<bool>,
    /// Since when use is recorded.
    usage_since: Option<Timestamp>,
    /// Whether its role may only verify, and so does not see all columns of a token.
    narrow: bool,
    /// The uses that were recorded within the last minute, by kind and row.
    recent: RefCell<HashMap<(i64, i64), (uses::Tag, i64)>>,
    /// Those that were not sent yet: kind, row, tag and time.
    uses: RefCell<Vec<(i64, i64, u32, i64)>>,
    /// Whether it answers many questions, so that it need not wait for what nobody asks.
    pub stays: Cell<bool>,
    blocks: RefCell<uses::Blocks>,
    /// Of a replica, what the transaction under way has found of it.
    look: Cell<Option<freshness::Look>>,
}

impl Postgres {
    /// The form for people.
    pub fn url(&self) -> &Path {
        &self.url
    }

    pub fn is_narrow(&self) -> bool {
        self.narrow
    }

    pub fn usage_since(&self) -> Option<Timestamp> {
        self.usage_since
    }

    pub fn changes(&self) -> u64 {
        self.changes.get()
    }

    /// Runs statements without rows and values.
    fn batch(&self, sql: &str) -> Result<(), Fault> {
        let done = self.client.borrow_mut().batch_execute(sql);
        done.map_err(|err| self.note(err))
    }

    /// Records that a statement has failed.
    fn note(&self, err: Failure) -> Fault {
        self.broken.set(true);
        Fault::Postgres(err)
    }
}

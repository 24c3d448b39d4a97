//! The heartbeat, by which replicas show how old they are.

use std::thread;
use std::time::Duration;

use tokio_postgres::error::SqlState;

use super::{Access, Address, Lag, connect, failure};
use crate::domain::when::Clock;
use crate::store::{Location, Store, StoreError, UNCHANGED};

/// The time of the primary, written so that replicas see it as soon as the disk of the primary holds it.
const BEAT: &str = "SET synchronous_commit = local; SELECT heartbeat()";

/// Writes the heartbeat from now on, until the process ends. A primary that cannot be reached now may be later.
pub fn start(primary: Address, every: Duration) -> Result<(), StoreError> {
    let mut client = match connect::client(&primary, Access::Read) {
        Err(StoreError::Unreachable { .. }) => None,
        client => Some(client?),
    };
    if let Some(client) = &mut client {
        client.batch_execute(BEAT).map_err(|err| match err.code() {
            Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => StoreError::Replica(primary.url()),
            _ => failure::of_store(&primary, &err),
        })?;
    }
    in_background("heartbeat", move || {
        loop {
            thread::sleep(every);
            if client.as_mut().is_none_or(|client| client.batch_execute(BEAT).is_err()) {
                client = connect::client(&primary, Access::Read).ok();
            }
        }
    })
}

/// Looks at a replica again and again from now on, so that this process knows what to think of it when it is asked. Fails
/// where the first look does; one that is too old is looked at all the same.
pub fn watch(address: Address, most: Duration, clock: impl Clock + Send + 'static) -> Result<(), StoreError> {
    let look = |store: &Store, clock: &dyn Clock| store.read_fresh(clock, |_, _| Ok(()));
    let lag = Lag { waits: true, uses: None, ..address.lag };
    let location = Location::Server(Box::new(Address { lag, ..address }));
    let store = Store::open_to_verify(&location)?;
    let first = look(&store, &clock);
    if let Ok(()) | Err(StoreError::Stale { .. }) = &first {
        let mut store = Some(store);
        in_background("lag", move || {
            loop {
                thread::sleep(most / 8);
                store = store.take().or_else(|| Store::open_to_verify(&location).ok());
                let looked = store.as_ref().map(|store| look(store, &clock));
                if !matches!(looked, Some(Ok(()) | Err(StoreError::Stale { .. }))) {
                    store = None;
                }
            }
        })?;
    }
    first
}

fn in_background(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    let failed = |err| StoreError::Io { what: format!("cannot start a thread: {err}"), settled: UNCHANGED };
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop).map_err(failed)
}

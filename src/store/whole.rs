//! Operations on whole stores, for each engine.

#[cfg(feature = "cli")]
use super::sqlite::Live;
use super::sqlite::{self, Finding, Restoration};
use super::{Location, Store, StoreError, Watch};
use crate::domain::event::Author;
use crate::domain::when::{Clock, Timestamp};

/// Checks the whole store without changing it. Fails if the store cannot even be opened for reading.
pub fn examine<E: From<StoreError>>(
    location: &Location,
    uid: u32,
    now: Timestamp,
    watch: Watch<'_, E>,
) -> Result<Vec<Finding>, E> {
    match location {
        Location::Directory(directory) => sqlite::examine(directory, uid, now, watch),
        #[cfg(feature = "postgres")]
        Location::Server(server) => super::postgres::examine(server, uid, now, watch),
    }
}

/// Corrects modes, turns WAL mode off and removes leftovers, if they belong to the owner of the store. Does
/// nothing for a server.
pub fn repair(location: &Location) -> Result<(), StoreError> {
    match location {
        Location::Directory(directory) => sqlite::repair(directory),
        #[cfg(feature = "postgres")]
        Location::Server(_) => Ok(()),
    }
}

/// Gives an existing store to a group, and records this. Returns whether this changed anything.
///
/// This opens the files of the store, so it must be called only while no connection to the database is open.
pub fn share(location: &Location, gid: u32, clock: &dyn Clock, author: &Author) -> Result<bool, StoreError> {
    sqlite::share(location.files()?, gid, clock, author)
}

/// Builds the result of restoring a backup.
pub fn plan<E: From<StoreError>>(
    location: &Location,
    backup: &Store,
    clock: &dyn Clock,
    author: &Author,
    watch: Watch<'_, E>,
) -> Result<Restoration, E> {
    sqlite::build(location.files()?, backup, clock, author, watch)
}

/// The state of a store that an export can replace: there is no store, or nothing has happened in it.
#[cfg(feature = "cli")]
pub fn unused(location: &Location) -> Result<Option<Live>, StoreError> {
    if !location.exists() {
        return Ok(Some(Live::Missing));
    }
    let store = Store::open_to_read(location)?;
    store.read(|view| {
        let sql =
            "SELECT (SELECT count(*) FROM events WHERE action <> 'init') + (SELECT count(*) FROM tokens)";
        let is_used = view.column::<i64>(sql, &[])? != [0];
        Ok(if is_used { None } else { Some(Live::SameHistory(view.anchor()?)) })
    })
}

impl Restoration {
    /// Puts the result in place, unless the store has changed since it was examined.
    pub fn install(&self, location: &Location, clock: &dyn Clock) -> Result<(), StoreError> {
        match location {
            Location::Directory(directory) => self.install_in(directory, clock),
            #[cfg(feature = "postgres")]
            Location::Server(server) => {
                let _ = clock;
                super::postgres::Postgres::install(server, self)
            }
        }
    }
}

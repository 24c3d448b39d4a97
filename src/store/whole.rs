//! What is done to a store as a whole, by the place where it is.

#[cfg(feature = "cli")]
use super::sqlite::Live;
use super::sqlite::{self, Finding, Restoration};
use super::{Location, Store, StoreError, Watch};
use crate::domain::event::Author;
use crate::domain::when::{Clock, Timestamp};

/// Looks at everything; changes nothing. An error means that the store cannot be opened even to look.
pub fn examine<E: From<StoreError>>(
    location: &Location,
    uid: u32,
    now: Timestamp,
    watch: Watch<'_, E>,
) -> Result<Vec<Finding>, E> {
    match location {
        Location::Directory(it) => sqlite::examine(it, uid, now, watch),
        #[cfg(feature = "postgres")]
        Location::Server(it) => super::postgres::examine(it, uid, now, watch),
    }
}

/// Corrects modes, leaves WAL mode and removes leftovers, as far as they belong to the owner of the store. A server has
/// nothing of that kind.
pub fn repair(location: &Location) -> Result<(), StoreError> {
    match location {
        Location::Directory(it) => sqlite::repair(it),
        #[cfg(feature = "postgres")]
        Location::Server(_) => Ok(()),
    }
}

/// Gives an existing store to a group, and records it. Returns whether that changed anything.
///
/// Its files are opened here: call it only while no connection to the database is open.
pub fn share(location: &Location, gid: u32, clock: &dyn Clock, author: &Author) -> Result<bool, StoreError> {
    sqlite::share(location.files()?, gid, clock, author)
}

/// Builds what a backup makes of the store.
pub fn plan<E: From<StoreError>>(
    location: &Location,
    backup: &Store,
    clock: &dyn Clock,
    author: &Author,
    watch: Watch<'_, E>,
) -> Result<Restoration, E> {
    sqlite::plan(location.files()?, backup, clock, author, watch)
}

/// What an export can replace: nothing, or a store that nothing has happened to.
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
    /// Puts the result in place, unless the store has changed since it was looked at.
    pub fn install(&self, location: &Location, clock: &dyn Clock) -> Result<(), StoreError> {
        match location {
            Location::Directory(it) => self.install_in(it, clock),
            #[cfg(feature = "postgres")]
            Location::Server(it) => {
                let _ = clock;
                super::postgres::Postgres::install(it, self)
            }
        }
    }
}

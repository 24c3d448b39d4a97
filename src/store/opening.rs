//! Opens a store for reading, for a single verification, or for a change.

#[cfg(feature = "postgres")]
use super::engine::Engine;
#[cfg(feature = "postgres")]
use super::postgres::{Access, Address, Postgres};
use super::sqlite::{FileId, Opening};
use super::{Location, Sharing, Store, StoreError, sqlite};
use crate::domain::event::Author;
use crate::domain::when::Clock;

impl Store {
    /// Opens the store for reading. Nothing is changed.
    pub fn open_to_read(location: &Location) -> Result<Self, StoreError> {
        match location {
            Location::Directory(directory) => Self::file_to_read(directory),
            #[cfg(feature = "postgres")]
            Location::Server(server) => Self::connect(server, Access::Read),
        }
    }

    /// Opens the store for a single verification. The read transaction that checks the store also does the
    /// verification, and no statement is cached.
    pub fn open_to_verify_once(location: &Location) -> Result<Self, StoreError> {
        match location {
            Location::Directory(directory) => Self::file_to_verify_once(directory),
            #[cfg(feature = "postgres")]
            Location::Server(server) => Self::connect(server, Access::Verify),
        }
    }

    /// Opens the store to verify many times.
    pub(super) fn open_to_verify(location: &Location) -> Result<Self, StoreError> {
        match location {
            Location::Directory(directory) => Self::file_to_read(directory),
            #[cfg(feature = "postgres")]
            Location::Server(server) => Self::connect(server, Access::Verify),
        }
    }

    /// Opens the store for completion while somebody types. A store that is not ready at once is an error.
    pub fn open_to_glance(location: &Location) -> Result<Self, StoreError> {
        match location {
            Location::Directory(directory) => Self::file_to_glance(directory),
            #[cfg(feature = "postgres")]
            Location::Server(server) => Self::connect(server, Access::Glance),
        }
    }

    /// Opens the store for reading, while this process has other connections to it.
    pub(super) fn open_beside(location: &Location) -> Result<Self, Opening> {
        match location {
            Location::Directory(directory) => Self::file_beside(directory),
            #[cfg(feature = "postgres")]
            Location::Server(server) => Self::connect(server, Access::Verify).map_err(Opening::Failed),
        }
    }

    /// Opens the store for a change. A store of the previous version is migrated.
    pub fn open_to_write(
        location: &Location,
        clock: &dyn Clock,
        author: &Author,
    ) -> Result<Self, StoreError> {
        match location {
            Location::Directory(directory) => Self::file_to_write(directory, clock, author, None),
            #[cfg(feature = "postgres")]
            Location::Server(server) => Self::connect(server, Access::Write),
        }
    }

    #[cfg(feature = "postgres")]
    fn connect(address: &Address, access: Access) -> Result<Self, StoreError> {
        Ok(Self::of(Engine::Postgres(Postgres::connect(address, access)?)))
    }
}

impl Location {
    /// The identity of the database that is there now. The identity of a server never changes.
    pub(super) fn id(&self) -> Result<FileId, StoreError> {
        match self {
            Self::Directory(directory) => FileId::at(directory),
            #[cfg(feature = "postgres")]
            Self::Server(server) => Ok(FileId::of_server(&server.url())),
        }
    }
}

/// Creates the store unless it exists. Returns whether this call created it. On a server, only
/// `make_on_server` creates the tables.
pub fn make(
    location: &Location,
    sharing: Sharing,
    clock: &dyn Clock,
    author: &Author,
) -> Result<bool, StoreError> {
    match location {
        Location::Directory(directory) => sqlite::make(directory, sharing, clock, author),
        #[cfg(feature = "postgres")]
        Location::Server(server) => super::postgres::make(server, false, clock, author),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::Actor;
    use crate::store::transact::tests::Noon;

    #[test]
    fn every_open_store_holds_the_check_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let location = Location::named(dir.path().join("store"));
        let author = Author { actor: Actor::default(), reason: None, accept_clock: false };
        make(&location, Sharing::Private, &Noon, &author).unwrap();
        // While a store holds it, no other one opens the file a second time, which would release its locks.
        let id = location.id().ok();
        let holds = |store: Store| store.id() == id;
        assert!(holds(Store::open_to_read(&location).unwrap()));
        assert!(holds(Store::open_to_verify_once(&location).unwrap()));
        assert!(holds(Store::open_to_glance(&location).unwrap()));
        assert!(Store::open_beside(&location).is_ok_and(holds));
        assert!(holds(Store::open_to_write(&location, &Noon, &author).unwrap()));
    }
}

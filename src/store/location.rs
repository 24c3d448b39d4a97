//! The location of a store.

use std::path::{Path, PathBuf};

#[cfg(feature = "postgres")]
use super::postgres::Address;
use super::sqlite::Directory;

/// The location of a store: a directory, or a database on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    Directory(Directory),
    #[cfg(feature = "postgres")]
    Server(Box<Address>),
}

/// Whether a store is given by the URL of a server.
pub fn is_url(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

impl Location {
    /// A directory that the user gave explicitly, and that only its owner is allowed to write.
    pub fn named(dir: impl Into<PathBuf>) -> Self {
        Self::Directory(Directory { dir: dir.into(), named: true, trusts_group: false })
    }

    /// Whether there is a store, or there might be one that cannot be checked.
    pub fn exists(&self) -> bool {
        match self {
            Self::Directory(directory) => directory.exists(),
            #[cfg(feature = "postgres")]
            Self::Server(server) => super::postgres::is_store(server),
        }
    }

    /// The directory of the store. `None` for a server.
    pub fn dir(&self) -> Option<&Path> {
        match self {
            Self::Directory(directory) => Some(&directory.dir),
            #[cfg(feature = "postgres")]
            Self::Server(_) => None,
        }
    }

    /// The form for people: a directory or a URL.
    pub fn shown(&self) -> PathBuf {
        match self {
            Self::Directory(directory) => directory.dir.clone(),
            #[cfg(feature = "postgres")]
            Self::Server(server) => server.url(),
        }
    }

    /// Waits a moment for recorded uses that are still on their way to a primary.
    pub fn finish_uses(&self) {
        #[cfg(feature = "postgres")]
        if let Self::Server(server) = self
            && let Some(relay) = &server.lag.uses
        {
            relay.finish();
        }
    }

    /// The directory, for operations that need files. Fails for a server.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(clippy::unnecessary_wraps, reason = "a server has no directory")
    )]
    pub(super) fn files(&self) -> Result<&Directory, super::StoreError> {
        match self {
            Self::Directory(directory) => Ok(directory),
            #[cfg(feature = "postgres")]
            Self::Server(server) => Err(super::StoreError::NoFiles(server.url())),
        }
    }
}

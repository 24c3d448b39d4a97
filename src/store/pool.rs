//! Connections that the threads of a process share. There is one pool for each database file.
//!
//! - Each reading thread uses a separate connection. Idle connections are kept here.
//! - A connection that failed is not used again. One thread closes all others and opens the store again, with
//!   every check. This also finds a journal that a killed writer left. In that case a private copy is read,
//!   which is used only once, and which can be made only while this process has no connection to the
//!   database.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
#[cfg(feature = "serve")]
use std::time::Duration;

#[cfg(feature = "serve")]
use super::PATIENCE;
use super::sqlite::{FileId, Opening};
use super::{Location, Store, StoreError};

/// How many idle connections are kept. More are opened if more threads read at once.
const KEPT: usize = 16;

static POOLS: Mutex<Vec<Weak<Pool>>> = Mutex::new(Vec::new());

/// The connections of this process to one database file.
pub struct Pool {
    location: Location,
    id: FileId,
    /// Reading threads share this lock. A thread that opens the store again holds it exclusively.
    turn: RwLock<()>,
    idle: Mutex<Vec<Store>>,
    #[cfg(feature = "postgres")]
    rest: super::rest::Rest,
    /// Whether threads that can wait leave the last idle connection to a thread that cannot.
    spares_one: AtomicBool,
}

impl Pool {
    /// The pool of the current database file.
    fn of(location: &Location) -> Result<Arc<Self>, StoreError> {
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|pool| pool.strong_count() > 0);
        let id = location.id()?;
        if let Some(pool) = pools.iter().filter_map(Weak::upgrade).find(|pool| pool.id == id) {
            return Ok(pool);
        }
        let store = Store::open_to_verify(location)?;
        let id = store.id().unwrap_or(id);
        let pool = Arc::new(Self {
            location: location.clone(),
            id,
            turn: RwLock::new(()),
            idle: Mutex::new(Vec::new()),
            #[cfg(feature = "postgres")]
            rest: super::rest::Rest::default(),
            spares_one: AtomicBool::new(false),
        });
        pool.keep(store);
        pools.push(Arc::downgrade(&pool));
        Ok(pool)
    }

    fn read<T>(&self, mut f: impl FnMut(&Store) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let turn = self.turn.read().unwrap_or_else(PoisonError::into_inner);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let spared = usize::from(self.spares_one.load(Ordering::Relaxed));
        let store = if idle.len() > spared { idle.pop() } else { None };
        drop(idle);
        let store = store.map_or_else(|| self.open_beside(), Ok);
        match store.map(|store| (f(&store), store)) {
            Ok((Ok(value), store)) => {
                self.keep(store);
                return Ok(value);
            }
            Ok((Err(err), store)) if leaves_usable(&err) => {
                self.keep(store);
                return Err(err);
            }
            Err(Opening::Failed(err @ StoreError::Locked(_))) => return Err(err),
            Ok((Err(_), store)) => drop(store),
            Err(_) => {}
        }
        drop(turn);
        let _alone = self.turn.write().unwrap_or_else(PoisonError::into_inner);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let store = self.open()?;
        let value = f(&store)?;
        self.keep(store);
        Ok(value)
    }

    fn open_beside(&self) -> Result<Store, Opening> {
        #[cfg(feature = "postgres")]
        if self.location.dir().is_none() {
            return self.open().map_err(Opening::Failed);
        }
        Store::open_beside(&self.location)
    }

    fn open(&self) -> Result<Store, StoreError> {
        let open = || Store::open_to_verify(&self.location);
        #[cfg(feature = "postgres")]
        if self.location.dir().is_none() {
            return self.rest.after(open);
        }
        open()
    }

    /// Calls `f` with an idle connection, if this is possible without waiting.
    #[cfg(feature = "serve")]
    fn read_at_once<T>(&self, f: impl FnOnce(&Store) -> Result<T, StoreError>) -> Option<T> {
        self.spares_one.store(true, Ordering::Relaxed);
        let _turn = self.turn.try_read().ok()?;
        let store = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        store.set_patience(Duration::ZERO);
        let value = f(&store);
        store.set_patience(PATIENCE);
        if value.as_ref().err().is_none_or(leaves_usable) {
            self.keep(store);
        }
        value.ok()
    }

    /// Keeps a connection for later, if it belongs to this file and not to a copy.
    fn keep(&self, store: Store) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT && !store.is_copy() && store.id() == Some(self.id) {
            store.remember();
            idle.push(store);
        }
    }
}

/// Whether the connection is still usable after this error.
fn leaves_usable(err: &StoreError) -> bool {
    match err {
        StoreError::Locked(_) | StoreError::Clock(_) => true,
        #[cfg(feature = "postgres")]
        StoreError::Stale { .. } => true,
        _ => false,
    }
}

/// A store that many threads read. All handles of a process for one file share its connections. If the file
/// was replaced, the next use notices that and opens the new file.
pub struct SharedStore {
    location: Location,
    pool: RwLock<Arc<Pool>>,
}

impl SharedStore {
    pub fn open(location: Location) -> Result<Self, StoreError> {
        let pool = RwLock::new(Pool::of(&location)?);
        Ok(Self { location, pool })
    }

    /// Calls `f` with a connection. If the connection fails, calls `f` again with another one.
    pub fn read<T>(&self, f: impl FnMut(&Store) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let current = self.location.id()?;
        let mut pool = Arc::clone(&self.pool.read().unwrap_or_else(PoisonError::into_inner));
        if pool.id != current {
            pool = Pool::of(&self.location)?;
            *self.pool.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&pool);
        }
        pool.read(f)
    }

    /// Like [`Self::read`], but without waiting. `None` if the store is locked, was replaced, failed, or is a
    /// server.
    #[cfg(feature = "serve")]
    pub fn read_at_once<T>(&self, f: impl FnOnce(&Store) -> Result<T, StoreError>) -> Option<T> {
        self.location.dir()?;
        let current = self.location.id().ok()?;
        let pool = Arc::clone(&*self.pool.try_read().ok()?);
        if pool.id == current { pool.read_at_once(f) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::when::ClockWrong;

    #[test]
    fn a_connection_is_kept_after_an_error_that_leaves_it_usable() {
        assert!(leaves_usable(&StoreError::Locked(vec![7])));
        assert!(leaves_usable(&StoreError::Clock(ClockWrong("wrong".to_owned()))));
        assert!(
            !leaves_usable(&StoreError::Damaged("a row".to_owned())) && !leaves_usable(&StoreError::Changed)
        );
    }
}

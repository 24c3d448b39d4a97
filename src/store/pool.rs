//! Connections that the threads of a process share, with one pool for each database file.
//!
//! - Each reading thread has its own connection; idle connections are kept here.
//! - A connection that failed is not used again. One thread then closes all others and opens the store again,
//!   with every check. This also finds a journal that a killed writer left. The private copy that is then read
//!   may only be made while nothing in this process has the database open, and is used once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
#[cfg(feature = "serve")]
use std::time::Duration;

#[cfg(feature = "serve")]
use super::PATIENCE;
use super::sqlite::{FileId, Opening};
use super::{Location, Store, StoreError};

/// How many idle connections are kept. More are opened while more threads read at once.
const KEPT: usize = 16;

static POOLS: Mutex<Vec<Weak<Pool>>> = Mutex::new(Vec::new());

/// The connections of this process to one database file.
pub struct Pool {
    location: Location,
    id: FileId,
    /// Every reading thread holds it shared. A thread that opens the store again holds it exclusively.
    turn: RwLock<()>,
    idle: Mutex<Vec<Store>>,
    #[cfg(feature = "postgres")]
    rest: super::rest::Rest,
    /// Whether a thread that may wait leaves the last connection to one that may not.
    spares_one: AtomicBool,
}

impl Pool {
    /// The pool of the present file.
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
            Ok((Err(err), store)) if keeps(&err) => {
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

    /// Calls `f` with an open connection, if that needs no waiting for a lock.
    #[cfg(feature = "serve")]
    fn read_at_once<T>(&self, f: impl FnOnce(&Store) -> Result<T, StoreError>) -> Option<T> {
        self.spares_one.store(true, Ordering::Relaxed);
        let _turn = self.turn.try_read().ok()?;
        let store = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        store.set_patience(Duration::ZERO);
        let value = f(&store);
        store.set_patience(PATIENCE);
        if value.as_ref().err().is_none_or(keeps) {
            self.keep(store);
        }
        value.ok()
    }

    /// Keeps a connection for later, if it is to this file and not to a copy.
    fn keep(&self, store: Store) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT && !store.is_copy() && store.id() == Some(self.id) {
            store.remember();
            idle.push(store);
        }
    }
}

/// Whether an error says nothing against the connection.
fn keeps(err: &StoreError) -> bool {
    match err {
        StoreError::Locked(_) | StoreError::Clock(_) => true,
        #[cfg(feature = "postgres")]
        StoreError::Stale { .. } => true,
        _ => false,
    }
}

/// A store for reading from many threads. All handles of a process for one file share its connections. If the
/// file was replaced, the next use notices that and opens the new one.
pub struct SharedStore {
    location: Location,
    pool: RwLock<Arc<Pool>>,
}

impl SharedStore {
    pub fn open(location: Location) -> Result<Self, StoreError> {
        let pool = RwLock::new(Pool::of(&location)?);
        Ok(Self { location, pool })
    }

    /// Calls `f` with a connection, and again with another one if the first had to be given up.
    pub fn read<T>(&self, f: impl FnMut(&Store) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let present = self.location.id()?;
        let mut pool = Arc::clone(&self.pool.read().unwrap_or_else(PoisonError::into_inner));
        if pool.id != present {
            pool = Pool::of(&self.location)?;
            *self.pool.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&pool);
        }
        pool.read(f)
    }

    /// The same without waiting. `None` if the store is locked, was replaced, or failed, or is a server.
    #[cfg(feature = "serve")]
    pub fn read_at_once<T>(&self, f: impl FnOnce(&Store) -> Result<T, StoreError>) -> Option<T> {
        self.location.dir()?;
        let present = self.location.id().ok()?;
        let pool = Arc::clone(&*self.pool.try_read().ok()?);
        if pool.id == present { pool.read_at_once(f) } else { None }
    }
}

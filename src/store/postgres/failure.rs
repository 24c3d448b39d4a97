//! The meaning of an error of PostgreSQL, by its code.

use postgres::error::SqlState;

use super::{Address, Postgres};
use crate::store::engine::Fault;
use crate::store::{StoreError, UNCHANGED, UNSETTLED};

/// The message of a server, without the text that the client adds.
pub fn words(err: &postgres::Error) -> String {
    let cause = std::error::Error::source(err).map(ToString::to_string);
    match (err.as_db_error(), cause) {
        (Some(error), _) => error.message().to_owned(),
        (None, Some(cause)) => cause,
        (None, None) => err.to_string(),
    }
}

pub fn of_connecting(address: &Address, err: &postgres::Error) -> StoreError {
    StoreError::Unreachable { server: address.url(), why: words(err) }
}

/// The error of the first check of a store.
pub fn of_store(address: &Address, err: &postgres::Error) -> StoreError {
    match err.code() {
        Some(&SqlState::UNDEFINED_TABLE) => StoreError::Missing(address.url()),
        _ => of(address, err),
    }
}

fn of(address: &Address, err: &postgres::Error) -> StoreError {
    let (path, why) = (address.url(), words(err));
    match err.code() {
        Some(&(SqlState::LOCK_NOT_AVAILABLE | SqlState::QUERY_CANCELED)) => StoreError::Locked(Vec::new()),
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => StoreError::ReadOnly {
            path,
            why,
            hint: "connect as a role that may, such as `tokenctl_admin`".to_owned(),
        },
        Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => StoreError::ReadOnly {
            path,
            why: "it is a replica".to_owned(),
            hint: "name the primary with `--store` or `TOKENCTL_STORE`".to_owned(),
        },
        // All statements are ours and fit our tables, so a broken rule of a table means that somebody else changed it.
        Some(code) if ["22", "23", "42", "XX"].iter().any(|class| code.code().starts_with(class)) => {
            StoreError::Damaged(why)
        }
        Some(_) => StoreError::Io {
            what: format!("the store `{}` failed: {why}", path.display()),
            settled: UNCHANGED,
        },
        None => StoreError::Unreachable { server: path, why },
    }
}

impl Postgres {
    pub fn failed(&self, err: &Fault) -> StoreError {
        match err {
            Fault::Postgres(err) => of(&self.address, err),
            // A value that does not convert.
            Fault::Sqlite(err) => StoreError::Damaged(err.to_string()),
            Fault::Unconfirmed => StoreError::Io {
                what: "no standby has confirmed the change in time".to_owned(),
                settled: UNSETTLED,
            },
        }
    }
}

//! The meaning of an error of PostgreSQL, by its code.

use tokio_postgres::error::SqlState;

use super::{Address, Failure, Postgres};
use crate::store::engine::Fault;
use crate::store::{StoreError, UNCHANGED, UNSETTLED};

pub fn of_connecting(address: &Address, err: &Failure) -> StoreError {
    StoreError::Unreachable { server: address.url(), why: err.words() }
}

/// The error of the first check of a store.
pub fn of_store(address: &Address, err: &Failure) -> StoreError {
    match err.code() {
        Some(&SqlState::UNDEFINED_TABLE) => StoreError::Missing(address.url()),
        _ => of(address, err),
    }
}

fn of(address: &Address, err: &Failure) -> StoreError {
    let (path, why) = (address.url(), err.words());
    match err.code() {
        // The server has aborted the change in favour of another one, which is done by now, so it is worth trying
        // again.
        Some(
            &(SqlState::LOCK_NOT_AVAILABLE
            | SqlState::QUERY_CANCELED
            | SqlState::T_R_SERIALIZATION_FAILURE
            | SqlState::T_R_DEADLOCK_DETECTED),
        ) => StoreError::Locked(Vec::new()),
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => not_allowed(address, why),
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

fn not_allowed(address: &Address, why: String) -> StoreError {
    let hint = "connect as a role that may, such as `tokenctl_admin`".to_owned();
    StoreError::ReadOnly { path: address.url(), why, hint }
}

impl Postgres {
    pub fn failed(&self, err: &Fault) -> StoreError {
        match err {
            // What no verdict needs is not there for it.
            Fault::Postgres(err)
                if self.narrow
                    && matches!(
                        err.code(),
                        Some(&(SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_COLUMN))
                    ) =>
            {
                not_allowed(&self.address, format!("`{}` may only verify", self.address.user))
            }
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

//! Makes a store: tables, roles and the first entries of its log.

use super::schema::{ROLES, TABLES};
use super::{Access, Address, Postgres, connect};
use crate::domain::event::{Anchor, Author, GENESIS};
use crate::domain::when::Clock;
use crate::store::engine::Engine;
use crate::store::sqlite::{APPLICATION_ID, VERSION};
use crate::store::{Sharing, Store, StoreError};

/// Whether a store is there, or might be where we may not look.
pub fn is_store(address: &Address) -> bool {
    !matches!(Postgres::connect(address, Access::Read), Err(StoreError::Missing(_)))
}

/// The statements that a superuser or the owner of the database runs once, as one transaction.
pub fn script() -> String {
    format!(
        "BEGIN;\n{TABLES}INSERT INTO tokenctl.meta (application, version, usage_since)
  SELECT {APPLICATION_ID}, {VERSION}, floor(extract(epoch FROM clock_timestamp())) ON CONFLICT DO NOTHING;
INSERT INTO tokenctl.head DEFAULT VALUES ON CONFLICT DO NOTHING;\n{ROLES}COMMIT;\n"
    )
}

/// Makes a store where there is none; without `apply` only where its tables are there. Returns whether this call made it;
/// an error that it is missing where somebody has to make its tables first.
pub fn make(address: &Address, apply: bool, clock: &dyn Clock, author: &Author) -> Result<bool, StoreError> {
    if apply {
        let mut client = connect::client(address, Access::Write)?;
        let done = client.batch_execute(&script());
        done.map_err(|err| super::failure::of_store(address, &err))?;
    }
    let store = Store::of(Engine::Postgres(Postgres::tables(address, Access::Write)?.0));
    store.write(clock, author, |tx| {
        if tx.anchor()? != (Anchor { seq: 0, hash: GENESIS }) {
            return Ok(false);
        }
        tx.record_init(Sharing::Private).map(|()| true)
    })
}

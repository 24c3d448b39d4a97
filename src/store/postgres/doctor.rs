//! Finds problems of a store in PostgreSQL, and of the settings of its server.

use super::values::get;
use super::{Access, Address, Postgres};
use crate::domain::when::Timestamp;
use crate::store::engine::Engine;
use crate::store::sqlite::{Finding, content, warning};
use crate::store::{Store, StoreError, Watch};

/// Settings that a server needs so that it does not lose acknowledged changes.
const NEEDED: [(&str, &str); 3] = [("fsync", "on"), ("full_page_writes", "on"), ("synchronous_commit", "on")];

/// Checks everything, and changes nothing.
pub fn examine<E: From<StoreError>>(
    address: &Address,
    uid: u32,
    now: Timestamp,
    watch: Watch<'_, E>,
) -> Result<Vec<Finding>, E> {
    let engine = Postgres::connect(address, Access::Write)?;
    let mut all = engine.settings().map_err(E::from)?;
    let store = Store::of(Engine::Postgres(engine));
    all.extend(content(&store, uid, now, watch)?);
    Ok(all)
}

impl Postgres {
    fn settings(&self) -> Result<Vec<Finding>, StoreError> {
        let mut all = Vec::new();
        for (name, needed) in NEEDED {
            let found = self.text(&format!("SELECT current_setting('{name}')"))?;
            if found.as_deref() != Some(needed) {
                let found = found.unwrap_or_default();
                let message =
                    format!("the server has `{name} = {found}`: a crash can undo what was acknowledged");
                all.push(warning("durability", message));
            }
        }
        let sql = "SELECT CASE WHEN current_setting('synchronous_standby_names') = ''
             THEN (SELECT count(*) FROM pg_catalog.pg_stat_replication) ELSE 0 END::text";
        if self.text(sql)?.is_some_and(|count| count != "0") {
            let message = "the server has standbys, and `synchronous_standby_names` is empty: a failover can undo what \
                           was acknowledged, a revocation too";
            all.push(warning("durability", message));
        }
        Ok(all)
    }

    fn text(&self, sql: &str) -> Result<Option<String>, StoreError> {
        let mut found = self.prepare(sql).query(&[]).map_err(|err| self.failed(&err))?;
        let text = found.next().map(|row| get(row, 0)).transpose();
        text.map_err(|err| self.failed(&err.into()))
    }
}

//! When secrets were last used, in a table. It is written without waiting for the disk, and may be lost.

use std::collections::HashMap;

use super::Postgres;
use super::values::get;
use crate::domain::when::Timestamp;
pub use crate::store::usage::Tag;
use crate::store::usage::{Kind, RESOLUTION};

/// The rows that are read at once.
const BLOCK: i64 = 512;
/// The uses that are remembered at most.
const REMEMBERED: usize = 1 << 17;

/// Records by row, of each kind and block that the current transaction has read.
pub type Blocks = HashMap<(i64, i64), HashMap<i64, (Tag, i64)>>;

impl Postgres {
    /// The recorded time, if it is plausible: not before `created`, and not after `now`.
    pub fn last(
        &self,
        kind: Kind,
        row: i64,
        tag: Tag,
        created: Timestamp,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if self.narrow {
            return None;
        }
        let key = (kind as i64, row.div_euclid(BLOCK));
        if !self.blocks.borrow().contains_key(&key) {
            let found = self.block(key)?;
            self.blocks.borrow_mut().insert(key, found);
        }
        let blocks = self.blocks.borrow();
        let (recorded, at) = blocks.get(&key)?.get(&row)?;
        let time = Timestamp::from_unix(*at)?;
        (*recorded == tag && (created..=now).contains(&time)).then_some(time)
    }

    fn block(&self, (kind, block): (i64, i64)) -> Option<HashMap<i64, (Tag, i64)>> {
        let sql = "SELECT row, tag, at FROM usage WHERE kind = ?1 AND row BETWEEN ?2 AND ?3";
        let (first, last) = (block.checked_mul(BLOCK)?, block.checked_mul(BLOCK)?.checked_add(BLOCK - 1)?);
        let mut found = self.prepare(sql).query(&[&kind, &first, &last]).ok()?;
        let mut all = HashMap::new();
        while let Some(row) = found.next() {
            let (number, tag, at) = (get(row, 0).ok()?, get(row, 1).ok()?, get(row, 2).ok()?);
            all.insert(number, (tag, at));
        }
        Some(all)
    }

    pub fn forget_uses(&self) {
        self.blocks.borrow_mut().clear();
    }

    /// Notes a use for [`Self::send_uses`], unless this process did so within the last minute.
    pub fn record(&self, kind: Kind, row: i64, tag: Tag, now: Timestamp) {
        let (key, at) = ((kind as i64, row), now.unix());
        let last = self.recent.borrow().get(&key).copied();
        if last.is_some_and(|(of, last)| of == tag && (0..RESOLUTION).contains(&(at - last))) {
            return;
        }
        if self.is_replica() {
            if let Some(relay) = &self.address.lag.uses {
                relay.send(kind, row, tag, now);
            }
        } else {
            self.uses.borrow_mut().push((key.0, row, u32::from_be_bytes(tag), at));
        }
        let mut recent = self.recent.borrow_mut();
        if recent.len() >= REMEMBERED {
            recent.clear();
        }
        recent.insert(key, (tag, at));
    }

    /// Records the uses that were noted, together. Errors are ignored, and a connection that answers more questions does not
    /// wait for it.
    pub fn send_uses(&self) {
        let mut uses = self.uses.take();
        if uses.is_empty() {
            return;
        }
        // Two gates that write the same rows in different order would wait for each other.
        uses.sort_unstable();
        let rows: Vec<String> = uses
            .iter()
            .map(|(kind, row, tag, at)| format!("({kind}, {row}, '\\x{tag:08x}'::bytea, {at})"))
            .collect();
        let sql = format!("SELECT record_use(k, r, t, a) FROM (VALUES {}) v (k, r, t, a)", rows.join(", "));
        let mut client = self.client.borrow_mut();
        if self.stays.get() {
            client.send(&sql);
        } else {
            let _ = client.batch_execute(&sql);
        }
    }
}

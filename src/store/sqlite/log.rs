//! The log as a reader asks for it: backwards, by what began a delivery, and by tokens that are gone.

use rusqlite::params;

use super::audit::page;
use super::error::StoreError;
use super::{FIRST, View, ascending};
use crate::domain::event::Event;

impl View<'_> {
    /// A page of entries from number `seq` back, all or those about a token's id, the newest first.
    pub fn page_of_events_back(&self, seq: i64, id: Option<&str>) -> Result<Vec<Event>, StoreError> {
        let events = match id {
            Some(id) => {
                let rest = "WHERE subject = ?1 AND seq <= ?2 ORDER BY seq DESC LIMIT ?3";
                self.events(rest, params![id, seq, page()])?
            }
            None => self.events("WHERE seq <= ?1 ORDER BY seq DESC LIMIT ?2", params![seq, page()])?,
        };
        ascending(events.iter().rev().map(|event| event.seq), FIRST).map(|()| events)
    }

    /// The creation or rotation of a token whose confirmation this is.
    pub fn beginning_of(&self, confirmation: &Event) -> Result<Option<Event>, StoreError> {
        let rest =
            "WHERE subject = ?1 AND seq < ?2 AND action IN ('create', 'rotate') ORDER BY seq DESC LIMIT 1";
        Ok(self.events(rest, params![confirmation.subject.key(), confirmation.seq])?.pop())
    }

    /// The id of the last token of this name or id that is gone.
    pub fn logged_id(&self, reference: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT subject FROM audit WHERE (name = ?1 OR subject = ?1) AND name IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM token WHERE id = subject) ORDER BY seq DESC LIMIT 1";
        Ok(self.column(sql, params![reference])?.pop())
    }
}

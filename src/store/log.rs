//! Reads the entries of the log in either order, and writes them.

use rusqlite::params;
use rusqlite::types::{ToSql, ValueRef};

use super::audit::page;
use super::cells::{self, Cells};
use super::engine::Row;
use super::error::StoreError;
use super::sql::{Changes, RowNumber, wrong};
use super::{FIRST, Head, View, Write, ascending};
use crate::domain::digest::{Digest, Form};
use crate::domain::event::{Actor, Anchor, Event, GENESIS, Subject};

const COLUMNS: &str =
    "SELECT seq, time, action, subject, name, uid, login, sudo_user, host, reason, digest, hash, format, changes
     FROM events";

/// The number of columns of an entry.
pub const OF_EVENT: usize = 14;

/// Reads an entry from all columns of its row.
pub fn read_event(cells: &Cells<'_>) -> rusqlite::Result<Event> {
    let bytes = |digest: [u8; 32]| Digest::from_bytes(digest);
    let form = cells.get(12)?;
    let changes = match form {
        Form::One if cells.values()[13] != ValueRef::Null => {
            return Err(wrong(cells.column(13), "version 1 did not record changes"));
        }
        Form::One => Changes::default(),
        Form::Two => cells.get(13)?,
    };
    Ok(Event {
        seq: cells.get::<RowNumber>(0)?.0,
        time: cells.get(1)?,
        action: cells.get(2)?,
        subject: Subject::from_key(cells.get(3)?, cells.get(4)?),
        actor: Actor {
            uid: cells.get(5)?,
            login: cells.get(6)?,
            sudo_user: cells.get(7)?,
            host: cells.get(8)?,
        },
        reason: cells.get(9)?,
        row_digest: cells.get::<Option<[u8; 32]>>(10)?.map(bytes),
        hash: bytes(cells.get(11)?),
        form,
        changes: changes.0,
    })
}

impl View<'_> {
    pub(super) fn events(&self, rest: &str, args: &[&dyn ToSql]) -> Result<Vec<Event>, StoreError> {
        let read = |row: &Row<'_>| read_event(&Cells::new(row, 0, &cells::values::<OF_EVENT>(row)?));
        let run = || self.prepare(&format!("{COLUMNS} {rest}"))?.all(args, read);
        self.ok(run())
    }

    /// A page of entries from number `seq` on, about all objects or about one token.
    pub fn page_of_events(&self, seq: i64, id: Option<&str>) -> Result<Vec<Event>, StoreError> {
        let Some(id) = id else { return self.events_from(seq, page()) };
        let rest = "WHERE subject = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3";
        let events = self.events(rest, params![id, seq, page()])?;
        ascending(events.iter().map(|event| event.seq), seq).map(|()| events)
    }

    pub(super) fn events_from(&self, seq: i64, count: i64) -> Result<Vec<Event>, StoreError> {
        let events = self.events("WHERE seq >= ?1 ORDER BY seq LIMIT ?2", params![seq, count])?;
        ascending(events.iter().map(|event| event.seq), seq).map(|()| events)
    }

    /// The last entries of a token, oldest first.
    pub fn last_events(&self, id: &str, count: i64) -> Result<Vec<Event>, StoreError> {
        let mut events = self.events("WHERE subject = ?1 ORDER BY seq DESC LIMIT ?2", params![id, count])?;
        events.reverse();
        Ok(events)
    }

    /// The last entry. If there is none, its number is 0 and its hash is all zeros.
    pub fn anchor(&self) -> Result<Anchor, StoreError> {
        self.head().map(|head| head.anchor)
    }

    pub(super) fn head(&self) -> Result<Head, StoreError> {
        let sql = "SELECT seq, hash, time FROM events ORDER BY seq DESC LIMIT 1";
        let run = || {
            let mut statement = self.prepare(sql)?;
            let read = |row: &Row<'_>| {
                let anchor =
                    Anchor { seq: row.get::<RowNumber>(0)?.0, hash: Digest::from_bytes(row.get(1)?) };
                Ok(Head { anchor, time: row.get(2)? })
            };
            statement.one(&[], read)
        };
        let before = Head { anchor: Anchor { seq: 0, hash: GENESIS }, time: None };
        Ok(self.ok(run())?.unwrap_or(before))
    }

    /// The digest in the last entry about a subject up to a number, and its form. `None` if there is no
    /// entry, or if the subject was removed.
    pub(super) fn last_digest(&self, key: &str, up_to: i64) -> Result<Option<(Form, Digest)>, StoreError> {
        let sql =
            "SELECT format, digest FROM events WHERE subject = ?1 AND seq <= ?2 ORDER BY seq DESC LIMIT 1";
        let run = || {
            let read = |row: &Row<'_>| {
                let digest: Option<[u8; 32]> = row.get(1)?;
                Ok(digest.map(Digest::from_bytes).zip(Some(row.get::<Form>(0)?)))
            };
            self.prepare(sql)?.one(params![key, up_to], read)
        };
        Ok(self.ok(run())?.flatten().map(|(digest, form)| (form, digest)))
    }

    /// A page of entries from number `seq` backwards, about all objects or about one token, newest first.
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

    /// The entry of the creation or rotation that this confirmation belongs to.
    pub fn beginning_of(&self, confirmation: &Event) -> Result<Option<Event>, StoreError> {
        let rest =
            "WHERE subject = ?1 AND seq < ?2 AND action IN ('create', 'rotate') ORDER BY seq DESC LIMIT 1";
        Ok(self.events(rest, params![confirmation.subject.key(), confirmation.seq])?.pop())
    }

    /// The id of the token with this name or id that was pruned last.
    pub fn logged_id(&self, reference: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT subject FROM events WHERE (name = ?1 OR subject = ?1) AND name IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM tokens WHERE id = subject) ORDER BY seq DESC LIMIT 1";
        Ok(self.column(sql, params![reference])?.pop())
    }
}

impl Write<'_> {
    pub(super) fn insert_event(&self, event: &Event) -> Result<(), StoreError> {
        let sql = "INSERT INTO events (seq, time, action, subject, name, uid, login, sudo_user, host, reason, digest, hash,
             format, changes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
        let Actor { uid, login, sudo_user, host } = &event.actor;
        let digest = event.row_digest.as_ref().map(Digest::as_bytes);
        let changes = serde_json::to_string(&event.changes).unwrap_or_default();
        let values = params![
            event.seq,
            event.time,
            event.action,
            event.subject.key(),
            event.subject.name(),
            uid,
            login,
            sudo_user,
            host,
            event.reason,
            digest,
            event.hash.as_bytes(),
            event.form.number(),
            changes
        ];
        self.run(sql, values).map(drop)
    }
}

//! The audit log: its entries, its chain, and whether every object is what its last entry says.

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::StoreError;
use super::{FIRST, Head, PAGE, Step, Store, View, Watch, Write, ascending};
use crate::domain::digest::{self, Digest};
use crate::domain::event::{Actor, Anchor, Event, GENESIS, Subject};
use crate::domain::when::Timestamp;

/// The first entry that cannot be what was written.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    pub seq: i64,
    pub problem: String,
}

/// An object that differs from its last entry; `id` is none for the catalogue and the settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Changed {
    pub id: Option<String>,
    pub name: String,
}

#[derive(Debug)]
pub struct AuditReport {
    pub events: i64,
    pub head: Anchor,
    pub first_bad: Option<Problem>,
    pub rows: Vec<Changed>,
}

impl AuditReport {
    pub fn is_ok(&self) -> bool {
        self.first_bad.is_none() && self.rows.is_empty()
    }
}

const COLUMNS: &str =
    "SELECT seq, time, action, subject, name, uid, login, sudo_user, host, reason, digest, hash FROM audit";

fn read_event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let bytes = |digest: [u8; 32]| Digest::from_bytes(digest);
    Ok(Event {
        seq: row.get(0)?,
        time: row.get(1)?,
        action: row.get(2)?,
        subject: Subject::from_key(row.get(3)?, row.get(4)?),
        actor: Actor { uid: row.get(5)?, login: row.get(6)?, sudo_user: row.get(7)?, host: row.get(8)? },
        reason: row.get(9)?,
        row_digest: row.get::<_, Option<[u8; 32]>>(10)?.map(bytes),
        hash: bytes(row.get(11)?),
    })
}

impl View<'_> {
    fn events(&self, rest: &str, args: &[&dyn ToSql]) -> Result<Vec<Event>, StoreError> {
        let run = || {
            self.conn().prepare_cached(&format!("{COLUMNS} {rest}"))?.query_map(args, read_event)?.collect()
        };
        self.ok(run())
    }

    /// A page of entries after `seq`, all or those about a token's id.
    pub fn events_after(&self, seq: i64, id: Option<&str>) -> Result<Vec<Event>, StoreError> {
        let Some(id) = id else { return self.next_events(seq, page()) };
        let rest = "WHERE subject = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
        let events = self.events(rest, params![id, seq, page()])?;
        ascending(events.iter().map(|event| event.seq), seq).map(|()| events)
    }

    fn next_events(&self, seq: i64, count: i64) -> Result<Vec<Event>, StoreError> {
        let events = self.events("WHERE seq > ?1 ORDER BY seq LIMIT ?2", params![seq, count])?;
        ascending(events.iter().map(|event| event.seq), seq).map(|()| events)
    }

    /// The last entries about a token's id, oldest first.
    pub fn last_events(&self, id: &str, count: i64) -> Result<Vec<Event>, StoreError> {
        let mut events = self.events("WHERE subject = ?1 ORDER BY seq DESC LIMIT ?2", params![id, count])?;
        events.reverse();
        Ok(events)
    }

    /// The last entry; `0` and zeros before the first.
    pub fn anchor(&self) -> Result<Anchor, StoreError> {
        self.head().map(|head| head.anchor)
    }

    pub(super) fn head(&self) -> Result<Head, StoreError> {
        let sql = "SELECT seq, hash, time FROM audit ORDER BY seq DESC LIMIT 1";
        let run = || {
            let mut statement = self.conn().prepare_cached(sql)?;
            let read = |row: &Row<'_>| {
                let anchor = Anchor { seq: row.get(0)?, hash: Digest::from_bytes(row.get(1)?) };
                Ok(Head { anchor, time: row.get(2)? })
            };
            statement.query_row([], read).optional()
        };
        let before = Head { anchor: Anchor { seq: 0, hash: GENESIS }, time: None };
        Ok(self.ok(run())?.unwrap_or(before))
    }

    /// The digest in the last entry about a subject; none where there is no entry, or the subject is gone.
    fn last_digest(&self, key: &str) -> Result<Option<Digest>, StoreError> {
        let sql = "SELECT digest FROM audit WHERE subject = ?1 ORDER BY seq DESC LIMIT 1";
        let run = || {
            let read = |row: &Row<'_>| row.get::<_, Option<[u8; 32]>>(0);
            self.conn().prepare_cached(sql)?.query_row([key], read).optional()
        };
        Ok(self.ok(run())?.flatten().map(Digest::from_bytes))
    }
}

impl Write<'_> {
    pub(super) fn insert_event(&self, event: &Event) -> Result<(), StoreError> {
        let sql = "INSERT INTO audit (seq, time, action, subject, name, uid, login, sudo_user, host, reason, digest, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        let Actor { uid, login, sudo_user, host } = &event.actor;
        let digest = event.row_digest.as_ref().map(Digest::as_bytes);
        let run = || {
            self.conn().prepare_cached(sql)?.execute(params![
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
                event.hash.as_bytes()
            ])
        };
        self.ok(run()).map(drop)
    }
}

fn hash_at(conn: &Connection, seq: i64) -> rusqlite::Result<Option<Digest>> {
    let sql = "SELECT hash FROM audit WHERE seq = ?1";
    conn.query_row(sql, [seq], |row| row.get(0)).optional().map(|hash| hash.map(Digest::from_bytes))
}

impl Store {
    pub(super) fn anchor_hash(&self, seq: i64) -> rusqlite::Result<Option<Digest>> {
        hash_at(&self.conn, seq)
    }

    /// Walks the whole chain and every object. `since` must be an ancestor of the head.
    pub fn audit<E: From<StoreError>>(
        &self,
        since: Option<&Anchor>,
        now: Timestamp,
        watch: Watch<'_, E>,
    ) -> Result<AuditReport, E> {
        let (head, mut first_bad) = self.audit_chain(watch)?;
        if first_bad.is_none()
            && let Some(since) = since
        {
            let found = hash_at(&self.conn, since.seq).map_err(|err| self.failed(&err))?;
            if found != Some(since.hash) && *since != (Anchor { seq: 0, hash: GENESIS }) {
                let problem = "not the entry that the anchor names".to_owned();
                first_bad = Some(Problem { seq: since.seq, problem });
            }
        }
        let rows = self.audit_objects(now, watch)?;
        Ok(AuditReport { events: head.seq, head, first_bad, rows })
    }

    fn audit_chain<E: From<StoreError>>(&self, watch: Watch<'_, E>) -> Result<(Anchor, Option<Problem>), E> {
        let of = self.last_entry();
        let mut last = Anchor { seq: 0, hash: GENESIS };
        let (mut after, mut count) = (FIRST, page());
        loop {
            watch(Step::new("checking entries", last.seq, of))?;
            let page = match self.read(|view| view.next_events(after, count)) {
                // One entry that no version of ours wrote: go on singly, up to it.
                Err(StoreError::Damaged(_)) if count > 1 => {
                    count = 1;
                    continue;
                }
                Err(StoreError::Damaged(why)) => {
                    let problem = format!("the entry cannot be read: {why}");
                    return Ok((last, Some(Problem { seq: last.seq + 1, problem })));
                }
                page => page?,
            };
            if page.is_empty() {
                return Ok((last, None));
            }
            for event in page {
                let problem = if event.seq != last.seq + 1 {
                    Some("the entry is missing")
                } else if event.chained(&last.hash) != event.hash {
                    Some("its hash is not that of its content and the entries before it")
                } else {
                    None
                };
                if let Some(problem) = problem {
                    return Ok((last, Some(Problem { seq: last.seq + 1, problem: problem.to_owned() })));
                }
                last = Anchor { seq: event.seq, hash: event.hash };
            }
            after = last.seq;
        }
    }

    /// Every object that is not what its last entry says, page by page.
    fn audit_objects<E: From<StoreError>>(
        &self,
        now: Timestamp,
        watch: Watch<'_, E>,
    ) -> Result<Vec<Changed>, E> {
        let mut changed = Vec::new();
        let (catalogue, settings) = self.read(|view| {
            let same = |digest: Result<Digest, StoreError>, subject: &Subject| match digest {
                Err(StoreError::Damaged(_)) => Ok(false),
                digest => Ok::<_, StoreError>(view.last_digest(subject.key())? == Some(digest?)),
            };
            let scopes = view.catalogue().map(|all| digest::catalogue(&all));
            let settings = view.settings().map(|all| digest::settings(&all));
            Ok::<_, StoreError>((same(scopes, &Subject::Catalogue)?, same(settings, &Subject::Settings)?))
        })?;
        for (same, name) in [(catalogue, "scopes"), (settings, "settings")] {
            if !same {
                changed.push(Changed { id: None, name: name.to_owned() });
            }
        }
        let (mut after, mut done, of) = (FIRST, 0, self.count());
        loop {
            watch(Step::new("checking tokens", done, of))?;
            let (rows, found) = self.read(|view| {
                let rows = view.rows_after(after)?;
                let found = view.changed_tokens(&rows, now)?;
                Ok::<_, StoreError>((rows, found))
            })?;
            changed.extend(found);
            done += rows.len();
            match rows.last() {
                Some(last) => after = *last,
                None => break,
            }
        }
        let (mut from, of) = (FIRST, self.last_entry());
        while let Some((to, found)) = self.read(|view| view.orphans(from))? {
            changed.extend(found);
            from = to;
            watch(Step::new("looking for lost tokens", from, of))?;
        }
        Ok(changed)
    }
}

impl View<'_> {
    fn changed_tokens(&self, rows: &[i64], now: Timestamp) -> Result<Vec<Changed>, StoreError> {
        let tokens = match self.tokens(rows, now) {
            // One row that no version of ours wrote: find it among the others.
            Err(StoreError::Damaged(_)) if rows.len() > 1 => {
                let (left, right) = rows.split_at(rows.len() / 2);
                let mut changed = self.changed_tokens(left, now)?;
                changed.extend(self.changed_tokens(right, now)?);
                return Ok(changed);
            }
            Err(StoreError::Damaged(_)) => return self.unreadable(rows[0]).map(|changed| vec![changed]),
            tokens => tokens?,
        };
        let mut changed = Vec::new();
        for token in tokens {
            if self.last_digest(&token.id)? != Some(digest::token(&token)) {
                changed.push(Changed { id: Some(token.id), name: token.name });
            }
        }
        Ok(changed)
    }

    fn unreadable(&self, row: i64) -> Result<Changed, StoreError> {
        let sql = "SELECT CAST(id AS TEXT), CAST(name AS TEXT) FROM token WHERE row = ?1";
        let read = |row: &Row<'_>| Ok(Changed { id: Some(lossy(row, 0)?), name: lossy(row, 1)? });
        self.ok(self.conn().query_row(sql, [row], read))
    }

    /// Tokens that should exist by their last entry, which is on the page of entries after a number, but do not; and
    /// the last number of that page, unless it is empty.
    fn orphans(&self, from: i64) -> Result<Option<(i64, Vec<Changed>)>, StoreError> {
        let end = "SELECT max(seq) FROM (SELECT seq FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2)";
        let sql =
            "SELECT a.subject, a.name FROM audit a WHERE a.seq > ?1 AND a.seq <= ?2 AND a.digest IS NOT NULL
             AND a.subject NOT LIKE '*%'
             AND NOT EXISTS (SELECT 1 FROM audit b WHERE b.subject = a.subject AND b.seq > a.seq)
             AND NOT EXISTS (SELECT 1 FROM token t WHERE t.id = a.subject)";
        let run = || {
            let to: Option<i64> =
                self.conn().prepare_cached(end)?.query_row([from, page()], |row| row.get(0))?;
            let Some(to) = to.filter(|to| *to > from) else { return Ok(None) };
            let read = |row: &Row<'_>| Ok(Changed { id: Some(lossy(row, 0)?), name: lossy(row, 1)? });
            let found =
                self.conn().prepare_cached(sql)?.query_map([from, to], read)?.collect::<Result<_, _>>()?;
            Ok(Some((to, found)))
        };
        self.ok(run())
    }
}

fn page() -> i64 {
    i64::try_from(PAGE).unwrap_or(i64::MAX)
}

/// A text that need not be one.
fn lossy(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(String::from_utf8_lossy(row.get_ref(column)?.as_bytes_or_null()?.unwrap_or_default()).into_owned())
}

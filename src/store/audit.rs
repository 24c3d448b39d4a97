//! The audit checks that the hash chain of the log is intact, and that every object matches its last entry.

use std::collections::HashMap;

use rusqlite::params;

use super::engine::{Engine, Fault, Row};
use super::{FIRST, PAGE, Step, Store, StoreError, View, Watch};
use crate::domain::digest::{Digest, Form};
use crate::domain::event::{Anchor, GENESIS, Subject};
use crate::domain::when::Timestamp;

/// The first entry that is missing or was altered.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    pub seq: i64,
    pub problem: String,
}

/// An object that differs from its last entry. `id` is `None` for the catalogue and the settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Changed {
    pub id: Option<String>,
    pub name: String,
}

#[derive(Debug)]
pub struct AuditReport {
    /// Problems of the database itself, one sentence each.
    pub database: Vec<String>,
    pub events: i64,
    pub head: Anchor,
    pub first_bad: Option<Problem>,
    pub rows: Vec<Changed>,
}

impl AuditReport {
    pub fn is_ok(&self) -> bool {
        self.database.is_empty() && self.first_bad.is_none() && self.rows.is_empty()
    }
}

impl Store {
    pub(super) fn anchor_hash(&self, seq: i64) -> Result<Option<Digest>, Fault> {
        let sql = "SELECT hash FROM events WHERE seq = ?1";
        let hash = self.engine.prepare(sql)?.one(&[&seq], |row| row.get(0))?;
        Ok(hash.map(Digest::from_bytes))
    }

    /// Checks the structure of the database, the whole chain and every object. `since` must be an ancestor of
    /// the head.
    pub fn audit<E: From<StoreError>>(
        &self,
        since: Option<&Anchor>,
        now: Timestamp,
        watch: Watch<'_, E>,
    ) -> Result<AuditReport, E> {
        watch(Step::new("checking the database", 0, 0))?;
        let database = match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.check_integrity()?,
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => Vec::new(),
        };
        let history = self.audit_history(since, now, database.is_empty(), watch)?;
        Ok(AuditReport { database, ..history })
    }

    /// Like [`Self::audit`], but without the structure of the database. `index_is_sound` tells whether that
    /// is known to be sound.
    pub(super) fn audit_history<E: From<StoreError>>(
        &self,
        since: Option<&Anchor>,
        now: Timestamp,
        index_is_sound: bool,
        watch: Watch<'_, E>,
    ) -> Result<AuditReport, E> {
        let mut chain = Chain::new(index_is_sound);
        let total = self.last_entry();
        while self.read(|view| chain.follow(view))? {
            watch(Step::new("checking entries", chain.last.seq, total))?;
        }
        if chain.first_bad.is_none()
            && let Some(since) = since
        {
            let found = self.anchor_hash(since.seq).map_err(|err| self.failed(&err))?;
            if found != Some(since.hash) && *since != (Anchor { seq: 0, hash: GENESIS }) {
                let problem = "it is not the entry that the anchor names".to_owned();
                chain.first_bad = Some(Problem { seq: since.seq, problem });
            }
        }
        let rows = self.audit_objects(&mut chain, now, watch)?;
        let Chain { last: head, first_bad, .. } = chain;
        Ok(AuditReport { database: Vec::new(), events: head.seq, head, first_bad, rows })
    }

    /// Finds every object that does not match its last entry, page by page.
    fn audit_objects<E: From<StoreError>>(
        &self,
        chain: &mut Chain,
        now: Timestamp,
        watch: Watch<'_, E>,
    ) -> Result<Vec<Changed>, E> {
        let mut changed = self.read(|view| {
            chain.catch_up(view)?;
            view.changed_wholes(chain)
        })?;
        let began = chain.last.seq;
        let (mut from, mut done, total) = (Some(FIRST), 0, self.count());
        while let Some(start) = from {
            watch(Step::new("checking tokens", done, total))?;
            from = self.read(|view| {
                chain.catch_up(view)?;
                let rows = view.rows_from(start)?;
                changed.extend(view.changed_tokens(&rows, now, chain)?);
                done += rows.len();
                Ok::<_, StoreError>(rows.last().and_then(|last| last.checked_add(1)))
            })?;
        }
        let mut after = Some(0);
        while let Some(seq) = after {
            after = self.read(|view| {
                chain.catch_up(view)?;
                match &chain.by_subject {
                    Some(by_subject) => view.missing_of(by_subject, &mut changed).map(|()| None),
                    None => view.missing(chain, seq, &mut changed),
                }
            })?;
        }
        self.read(|view| {
            chain.catch_up(view)?;
            view.changed_meanwhile(chain, began, now, &mut changed)
        })?;
        Ok(changed)
    }
}

/// A walk along the chain: its position, and whether the chain is intact up to there. The last entry about
/// each object tells what its digest should be.
pub(super) struct Chain {
    last: Anchor,
    first_bad: Option<Problem>,
    /// How many entries are read at once.
    step: i64,
    /// The last entry about each object. It is kept in memory only if the indexes of the store are damaged.
    /// Otherwise the index of the log finds it.
    by_subject: Option<HashMap<String, Last>>,
}

struct Last {
    seq: i64,
    name: Option<String>,
    digest: Option<(Form, Digest)>,
}

impl Chain {
    /// A walk that is at the end of the log. The log is known to be intact, and the indexes of the store to
    /// be sound.
    #[cfg(feature = "cli")]
    pub(super) fn at_end(last: Anchor) -> Self {
        Self { last, ..Self::new(true) }
    }

    fn new(index_is_sound: bool) -> Self {
        let by_subject = if index_is_sound { None } else { Some(HashMap::new()) };
        Self { last: Anchor { seq: 0, hash: GENESIS }, first_bad: None, step: page(), by_subject }
    }

    /// Reads a page of entries. Returns whether there might be more.
    fn follow(&mut self, view: &View<'_>) -> Result<bool, StoreError> {
        if self.first_bad.is_some() {
            return Ok(false);
        }
        // The first page begins below every valid number, so that no entry can be hidden there.
        let from = if self.last.seq == 0 { Some(FIRST) } else { self.last.seq.checked_add(1) };
        let Some(from) = from else { return Ok(false) };
        let page = match view.events_from(from, self.step) {
            // The page has an entry that no version of tokenctl wrote. To find it, the entries are read one
            // by one.
            Err(StoreError::Damaged(_)) if self.step > 1 => {
                self.step = 1;
                return Ok(true);
            }
            Err(StoreError::Damaged(why)) => {
                self.stop(format!("the entry cannot be read: {why}"));
                return Ok(false);
            }
            page => page?,
        };
        let is_last = page.is_empty();
        for event in page {
            if event.seq != self.last.seq + 1 {
                self.stop("the entry is missing".to_owned());
                return Ok(false);
            }
            if event.chained(&self.last.hash) != event.hash {
                self.stop("its hash is not that of its content and the entries before it".to_owned());
                return Ok(false);
            }
            self.last = Anchor { seq: event.seq, hash: event.hash };
            if let Some(by_subject) = &mut self.by_subject {
                let digest = event.row_digest.map(|digest| (event.form, digest));
                let last = Last { seq: event.seq, name: event.subject.name().map(str::to_owned), digest };
                by_subject.insert(event.subject.key().to_owned(), last);
            }
        }
        Ok(!is_last)
    }

    fn stop(&mut self, problem: String) {
        self.first_bad = Some(Problem { seq: self.last.seq + 1, problem });
    }

    /// Reads the entries that were written since, so that objects are compared with the log as this
    /// transaction sees it.
    fn catch_up(&mut self, view: &View<'_>) -> Result<(), StoreError> {
        while self.follow(view)? {}
        Ok(())
    }

    /// Whether an object matches its last entry. `found` computes its digest.
    fn matches_last_entry(
        &self,
        view: &View<'_>,
        key: &str,
        found: impl Fn(Form) -> Digest,
    ) -> Result<bool, StoreError> {
        let last = match &self.by_subject {
            Some(by_subject) => by_subject.get(key).and_then(|last| last.digest),
            None => view.last_digest(key, self.last.seq)?,
        };
        Ok(last.is_some_and(|(form, digest)| digest == found(form)))
    }
}

/// Turns damage into `None`, so that it does not stop the walk.
fn damage_as_none<T>(found: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match found {
        Err(StoreError::Damaged(_)) => Ok(None),
        found => found.map(Some),
    }
}

impl View<'_> {
    /// Returns the catalogue and the settings, if they do not match their last entries.
    pub(super) fn changed_wholes(&self, chain: &Chain) -> Result<Vec<Changed>, StoreError> {
        let scopes = damage_as_none(self.catalogue())?.map(|all| move |form: Form| form.catalogue(&all));
        let settings = damage_as_none(self.settings())?.map(|all| move |form: Form| form.settings(&all));
        let matches = |subject: Subject, found: Option<&dyn Fn(Form) -> Digest>| {
            found.map_or(Ok(false), |found| chain.matches_last_entry(self, subject.key(), found))
        };
        let mut changed = Vec::new();
        for (subject, name, found) in [
            (Subject::Catalogue, "scopes", scopes.as_ref().map(|digest| digest as &dyn Fn(Form) -> Digest)),
            (Subject::Settings, "settings", settings.as_ref().map(|digest| digest as _)),
        ] {
            if !matches(subject, found)? {
                changed.push(Changed { id: None, name: name.to_owned() });
            }
        }
        Ok(changed)
    }

    pub(super) fn changed_tokens(
        &self,
        rows: &[i64],
        now: Timestamp,
        chain: &Chain,
    ) -> Result<Vec<Changed>, StoreError> {
        let tokens = match self.tokens(rows, now) {
            // The page has a row that no version of tokenctl wrote. To find it, the page is split.
            Err(StoreError::Damaged(_)) if rows.len() > 1 => {
                let (left, right) = rows.split_at(rows.len() / 2);
                let mut changed = self.changed_tokens(left, now, chain)?;
                changed.extend(self.changed_tokens(right, now, chain)?);
                return Ok(changed);
            }
            Err(StoreError::Damaged(_)) => {
                return Ok(vec![self.unreadable(rows[0])?]);
            }
            tokens => tokens?,
        };
        let mut changed = Vec::new();
        for token in tokens {
            if !chain.matches_last_entry(self, &token.id, |form| form.token(&token))? {
                changed.push(Changed { id: Some(token.id.to_string()), name: token.name.to_string() });
            }
        }
        Ok(changed)
    }

    /// Finds tokens that are missing although their last entry says that they exist. Reads a page of entries
    /// after `after`, and returns the number of the last one, or `None` at the end of the log.
    pub(super) fn missing(
        &self,
        chain: &Chain,
        after: i64,
        changed: &mut Vec<Changed>,
    ) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT e.seq, e.subject, e.name, e.digest IS NOT NULL AND NOT EXISTS
               (SELECT 1 FROM events l WHERE l.subject = e.subject AND l.seq > e.seq AND l.seq <= ?2)
             FROM events e WHERE e.seq > ?1 AND e.seq <= ?2 AND substr(e.subject, 1, 1) <> '*'
             AND NOT EXISTS (SELECT 1 FROM tokens t WHERE t.id = e.subject) ORDER BY e.seq LIMIT ?3";
        let mut run = || {
            let mut statement = self.prepare(sql)?;
            let mut rows = statement.query(params![after, chain.last.seq, page()])?;
            let mut last = None;
            while let Some(row) = rows.next()? {
                last = Some(row.get(0)?);
                if row.get(3)? {
                    let name: Option<String> = row.get(2)?;
                    changed.push(Changed { id: row.get(1)?, name: name.unwrap_or_default() });
                }
            }
            Ok(last)
        };
        self.ok(run())
    }

    /// Like [`Self::missing`], with the last entries in memory. The oldest entry comes first.
    fn missing_of(
        &self,
        by_subject: &HashMap<String, Last>,
        changed: &mut Vec<Changed>,
    ) -> Result<(), StoreError> {
        let mut lost = Vec::new();
        for (id, last) in
            by_subject.iter().filter(|(key, last)| !key.starts_with('*') && last.digest.is_some())
        {
            if self.row_of_id(id)?.is_none() {
                lost.push((
                    last.seq,
                    Changed { id: Some(id.clone()), name: last.name.clone().unwrap_or_default() },
                ));
            }
        }
        lost.sort_unstable_by_key(|(seq, _)| *seq);
        changed.extend(lost.into_iter().map(|(_, changed)| changed));
        Ok(())
    }

    /// Checks the tokens that were changed since entry `began`, because the walk might have passed their rows
    /// before.
    fn changed_meanwhile(
        &self,
        chain: &Chain,
        began: i64,
        now: Timestamp,
        changed: &mut Vec<Changed>,
    ) -> Result<(), StoreError> {
        let sql = "SELECT DISTINCT t.row FROM events e JOIN tokens t ON t.id = e.subject WHERE e.seq > ?1 AND e.seq <= ?2";
        for row in self.column::<i64>(sql, params![began, chain.last.seq])? {
            let is_new = |found: &Changed| changed.iter().all(|other| other.id != found.id);
            let found: Vec<Changed> =
                self.changed_tokens(&[row], now, chain)?.into_iter().filter(is_new).collect();
            changed.extend(found);
        }
        Ok(())
    }

    fn unreadable(&self, row: i64) -> Result<Changed, StoreError> {
        let sql = "SELECT CAST(id AS TEXT), CAST(name AS TEXT) FROM tokens WHERE row = ?1";
        let read = |row: &Row<'_>| Ok(Changed { id: Some(lossy(row, 0)?), name: lossy(row, 1)? });
        let found = self.ok(self.prepare(sql).and_then(|mut statement| statement.one(&[&row], read)))?;
        found.ok_or_else(|| StoreError::Damaged(format!("token row {row} is missing")))
    }
}

pub(super) fn page() -> i64 {
    i64::try_from(PAGE).unwrap_or(i64::MAX)
}

/// Reads a column that should be a text, but might not be.
fn lossy(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(String::from_utf8_lossy(row.get_ref(column)?.as_bytes_or_null()?.unwrap_or_default()).into_owned())
}

//! A write transaction. Each change is checked, written and recorded in one call.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Deref;

use super::{StoreError, View};
use crate::domain::changes::{self, Change};
use crate::domain::digest::{Digest, Form};
use crate::domain::event::{self, Action, Anchor, Author, Event, GENESIS, Subject};
use crate::domain::scope::Catalogue;
use crate::domain::settings::{Fact, Settings};
use crate::domain::text::shown;
use crate::domain::token::Token;
use crate::domain::when::{ClockWrong, Timestamp};
use crate::store::sharing::Sharing;

/// A write transaction. Each change compares the object with its last event, writes the rows, and records a new
/// event, all in one call.
pub struct Write<'a> {
    pub(super) view: View<'a>,
    /// The time, read after the lock was taken.
    pub now: Timestamp,
    /// Why this host's clock is not trusted, if another clock contradicts it.
    pub(super) drift: Option<ClockWrong>,
    pub author: &'a Author,
    pub(super) head: RefCell<Option<Head>>,
}

/// The last entry of the hash chain.
pub(super) struct Head {
    pub(super) anchor: Anchor,
    pub(super) time: Option<Timestamp>,
}

impl<'a> Deref for Write<'a> {
    type Target = View<'a>;

    fn deref(&self) -> &Self::Target {
        &self.view
    }
}

impl Write<'_> {
    /// Fails if an object does not match its last event, because the manual edit would become part of its
    /// history. A change that only removes access is never refused. Its result is [`Matched::No`], which the
    /// event must record.
    pub(super) fn compare(
        &self,
        action: Action,
        subject: &Subject,
        found: impl Fn(Form) -> Digest,
    ) -> Result<Matched, StoreError> {
        if self.is_as_recorded(subject, found)? {
            return Ok(Matched::Yes);
        }
        if action.only_removes_access() {
            return Ok(Matched::No);
        }
        let what = match subject {
            Subject::Token { name, .. } => format!("the token `{}`", shown(name)),
            Subject::Catalogue => "the catalogue of scopes".to_owned(),
            Subject::Settings => "a setting".to_owned(),
        };
        Err(StoreError::Damaged(format!("{what} does not match its last event")))
    }

    /// Whether an object matches its last event.
    pub(super) fn is_as_recorded(
        &self,
        subject: &Subject,
        found: impl Fn(Form) -> Digest,
    ) -> Result<bool, StoreError> {
        let last = self.last_digest(subject.key(), i64::MAX)?;
        Ok(last.is_some_and(|(form, digest)| digest == found(form)))
    }

    /// Adds an event of this transaction to the chain.
    pub(super) fn record(
        &self,
        action: Action,
        subject: Subject,
        row_digest: Option<Digest>,
        changes: Vec<Change>,
        matched: Matched,
    ) -> Result<(), StoreError> {
        let mut slot = self.head.borrow_mut();
        let head = match slot.take() {
            Some(head) => head,
            None => self.head()?,
        };
        if !self.author.accept_clock && !action.works_at_any_time() {
            self.drift.clone().map_or(Ok(()), Err)?;
            ClockWrong::check(self.now, head.time)?;
        }
        // Unless the clock was accepted, an entry never has an earlier time than the entry before it. So the
        // last entry has the latest time, even after a change that is allowed with a wrong clock.
        let last = head.time.filter(|_| !self.author.accept_clock);
        let time = last.map_or(self.now, |last| last.max(self.now));
        let damaged =
            || StoreError::Damaged("the last entry of its audit log has an impossible number".to_owned());
        let mut event = Event {
            seq: head.anchor.seq.checked_add(1).ok_or_else(damaged)?,
            time,
            action: action.word().to_owned(),
            subject,
            actor: self.author.actor.clone(),
            reason: match matched {
                Matched::Yes => self.author.reason.clone(),
                Matched::No => Some(event::reason_of_mismatch(self.author.reason.as_deref())),
            },
            form: Form::Two,
            changes,
            row_digest,
            hash: GENESIS,
        };
        event.hash = event.chained(&head.anchor.hash);
        self.insert_event(&event)?;
        *slot = Some(Head { anchor: Anchor { seq: event.seq, hash: event.hash }, time: Some(time) });
        Ok(())
    }

    /// Seals a token whose rows were just written, and records the event with the changed fields and the new digest.
    /// Returns the token.
    pub(super) fn record_token(
        &self,
        action: Action,
        before: Option<&Token>,
        row: i64,
        matched: Matched,
    ) -> Result<Token, StoreError> {
        self.seal_token(row)?;
        let token = self.token(row, self.now)?;
        let changes = changes::of_token(before, Some(&token));
        self.record(action, Subject::of(&token), Some(Form::Two.token(&token)), changes, matched)?;
        Ok(token)
    }

    /// Records the first events of a store, whose tables are empty.
    pub(super) fn record_init(&self, sharing: Sharing) -> Result<(), StoreError> {
        let scopes = Some(Form::Two.catalogue(&Catalogue::default()));
        self.record(Action::Init, Subject::Catalogue, scopes, Vec::new(), Matched::Yes)?;
        let before = Settings::default();
        let after = Settings { facts: self.first_facts(sharing)?, ..before.clone() };
        self.write_settings(Action::Init, &before, &after, Matched::Yes)
    }

    /// The facts that a new store records about itself.
    pub(super) fn first_facts(&self, sharing: Sharing) -> Result<BTreeMap<Fact, String>, StoreError> {
        Ok(BTreeMap::from([(Fact::StoreId, self.uuid()?), (Fact::Sharing, sharing.to_string())]))
    }

    pub(super) fn uuid(&self) -> Result<String, StoreError> {
        let lost = || StoreError::Damaged("the database returned no random number".to_owned());
        self.column(self.store.engine.uuid(), &[])?.pop().ok_or_else(lost)
    }

    /// Fails if rows already refer to a new row, because the new object would get them.
    pub(super) fn starts_alone(
        &self,
        of: &str,
        row: i64,
        references: &[(&str, &str)],
    ) -> Result<(), StoreError> {
        for (table, column) in references {
            let sql = format!("SELECT 1 FROM {table} WHERE {column} = ?1 LIMIT 1");
            if !self.column::<i64>(&sql, &[&row])?.is_empty() {
                let why = format!("a row of `{table}` refers to row {row} of `{of}`, which did not exist");
                return Err(StoreError::Damaged(why));
            }
        }
        Ok(())
    }
}

/// Whether an object matched its last event when it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Matched {
    Yes,
    No,
}

//! Builds a store from the lines of an export, in a private file.
//!
//! The lines are not trusted. The result is accepted only if its log matches every object in it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::restore::{Live, Restoration, check_built};
use super::{Store, StoreError, Watch};
use crate::domain::Invalid;
use crate::domain::digest::Form;
use crate::domain::event::{Anchor, Author, Event, GENESIS};
use crate::domain::when::{Clock, Timestamp};
use crate::domain::widening::Widening;
use crate::store::batch::{Batch, Table};
use crate::store::cells::Cells;
use crate::store::columns;
use crate::store::entry::Entry;
use crate::store::item::Fields;
use crate::store::log::{OF_EVENT, read_event};
use crate::store::parts::{BadLine, Granted, Keep, Rows, Scopes, words};
use crate::store::vouch::Digests;

/// Makes rows of the lines of an export. It does not use the store, so it works beside the thread that
/// inserts the rows.
pub struct Taker {
    rows: Rows,
    scopes: Scopes,
    /// What each scope includes, by its row.
    includes: Vec<(i64, Vec<String>)>,
    log: Log,
    digests: Digests,
    /// Whether a token has a destination or a hook.
    brings_commands: bool,
}

/// How far the log was followed, and whether it is intact up to there. If not, a full check describes the
/// problem.
struct Log {
    last: Anchor,
    is_intact: bool,
}

impl Taker {
    pub fn new() -> Result<Self, StoreError> {
        Ok(Self {
            rows: Rows::default(),
            scopes: Scopes::new(),
            includes: Vec::new(),
            log: Log { last: Anchor { seq: 0, hash: GENESIS }, is_intact: true },
            digests: Digests::new()?,
            brings_commands: false,
        })
    }

    /// Adds the rows of a line to a batch.
    pub fn line(
        &mut self,
        line: usize,
        kind: &str,
        mut fields: Fields<'_>,
        batch: &mut Batch,
    ) -> Result<(), BadLine> {
        let (fields, from) = (&mut fields, batch.next_cell());
        match kind {
            "token" => return self.token(line, fields, batch),
            "scope" => self.scope(line, fields, batch)?,
            "setting" => {
                columns::take(columns::SETTING, fields, batch)?;
                batch.add_row(Table::Setting, line, from);
            }
            "pruned" => {
                columns::take(columns::PRUNED, fields, batch)?;
                batch.add_row(Table::Pruned, line, from);
            }
            "event" => {
                columns::take(columns::EVENT, fields, batch)?;
                batch.add_row(Table::Events, line, from);
                self.log.follow(batch);
            }
            kind => return Err(format!("its type is `{kind}`").into()),
        }
        Ok(columns::check_all_taken(fields)?)
    }

    fn token(&mut self, line: usize, fields: &mut Fields<'_>, batch: &mut Batch) -> Result<(), BadLine> {
        let arrival = self.rows.token(line, fields, Keep::All, &self.scopes, batch)?;
        if let Some(name) = arrival.missing {
            return Err(no_scope(&name).into());
        }
        let token = arrival.token.as_ref();
        self.brings_commands |= token.is_none_or(|token| token.hook.is_some() || token.destination.is_some());
        self.digests.add(token.map(|token| Form::Two.token(token))).map_err(BadLine::Store)
    }

    fn scope(&mut self, line: usize, fields: &mut Fields<'_>, batch: &mut Batch) -> Result<(), BadLine> {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let includes: Vec<String> = words(fields, "includes")?.into_iter().map(Cow::into_owned).collect();
        let (row, from) = (number(self.includes.len() + 1), batch.next_cell());
        batch.integer(row);
        columns::take(columns::SCOPE, fields, batch)?;
        batch.integer(number(includes.len()));
        let (id, name) = (batch.str_at(from + 1).to_owned(), batch.str_at(from + 2));
        let granted = Granted { row, id, name: name.parse().map_err(|invalid: Invalid| invalid.message)? };
        self.scopes.insert(name.to_owned(), granted);
        self.includes.push((row, includes));
        batch.add_sealed_row(Table::Scope, line, from);
        Ok(())
    }

    /// Makes the rows for what scopes include. An included scope can come after the scope that includes it.
    /// An error names a scope that does not come at all.
    fn included(&self) -> Result<Batch, String> {
        let mut batch = Batch::default();
        for (row, names) in &self.includes {
            for name in names {
                let included = self.scopes.get(name).ok_or_else(|| no_scope(name))?;
                let from = batch.next_cell();
                batch.integer(*row);
                batch.integer(included.row);
                batch.add_sealed_row(Table::Includes, 0, from);
            }
        }
        Ok(batch)
    }
}

fn no_scope(name: &str) -> String {
    format!("no earlier line defines the scope `{name}`")
}

impl Log {
    /// Follows the log by one entry, which is the last row of a batch.
    fn follow(&mut self, batch: &Batch) {
        let Some(row) = batch.rows().last().filter(|_| self.is_intact) else { return };
        let event = read_event(&Cells::of_values(&batch.values::<OF_EVENT>(row))).ok();
        let next =
            |event: &Event| event.seq == self.last.seq + 1 && event.chained(&self.last.hash) == event.hash;
        match event.filter(next) {
            Some(event) => self.last = Anchor { seq: event.seq, hash: event.hash },
            None => self.is_intact = false,
        }
    }
}

/// A store under construction.
pub struct Importer {
    store: Store,
}

impl Importer {
    /// Makes an empty private store.
    pub fn new(clock: &dyn Clock, author: &Author) -> Result<Self, StoreError> {
        Ok(Self { store: Store::private_to_fill(clock, author)? })
    }

    /// Inserts the rows of some lines. An error contains the number of the line.
    pub fn enter(&mut self, batch: &Batch) -> Result<(), (usize, BadLine)> {
        Entry::default().all(&self.store.engine, batch)
    }

    /// Checks the store, whose log must end with `head`, and prepares it to be put in place.
    pub fn finish<E: From<StoreError>>(
        self,
        taker: Taker,
        head: Anchor,
        live: Live,
        now: Timestamp,
        watch: Watch<'_, E>,
    ) -> Result<Restoration, E> {
        let damaged = |why: String| E::from(StoreError::Damaged(why));
        let included = taker.included().map_err(damaged)?;
        Entry::default().all(&self.store.engine, &included).map_err(|(_, bad)| match bad {
            BadLine::Content(why) => damaged(why),
            BadLine::Store(err) => err.into(),
        })?;
        let store = self.store;
        store.commit_filled()?;
        // If the quick check fails, a full audit decides, and describes the problem.
        let log = taker.log;
        if !(log.is_intact && store.vouched(log.last, taker.digests, now, watch)?) {
            check_built(&store, now, watch)?;
        }
        let none = || Ok(BTreeSet::new());
        let (found, commands) = store.read(|view| {
            let commands = if taker.brings_commands { view.commands() } else { none() }?;
            Ok::<_, StoreError>((view.anchor()?, commands))
        })?;
        if found != head {
            return Err(damaged(format!("its log ends with {found}, but its header says {head}")));
        }
        Ok(Restoration {
            result: store,
            live,
            backup_head: head,
            head,
            changed: true,
            kept_ended: Vec::new(),
            discarded: Vec::new(),
            widening: Widening::default(),
            commands: commands.into_iter().collect(),
        })
    }
}

impl Restoration {
    /// How many tokens the result has.
    pub fn tokens(&self) -> i64 {
        self.result.count()
    }
}

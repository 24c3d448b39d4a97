//! Inserts tokens of an export into a store that already has tokens.

use super::batch::{Batch, Table};
use super::engine::Engine;
use super::entry::{Entry, failed};
use super::item::Fields;
use super::parts::{Arrival, BadLine, Granted, Keep, Rows, Scopes};
use super::{Matched, Store, StoreError, Write};
use crate::domain::changes::{self, Change};
use crate::domain::digest::{Digest, Form};
use crate::domain::event::{Action, Subject};
use crate::domain::scope::{Catalogue, Scope};
use crate::domain::token::Token;

/// Why a token cannot be inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// An unrevoked token already has its name.
    Name,
    /// The store already has its id, or one of its secrets.
    Known,
    /// One of its secrets was pruned from the store.
    Pruned,
    /// None of its secrets was ever delivered.
    Undelivered,
    /// It holds this scope, which the store cannot grant.
    NoScope(Scope),
}

/// Makes rows of the lines of tokens. It does not use the store, so it works beside the thread that inserts
/// the rows.
pub struct Joiner {
    rows: Rows,
    scopes: Scopes,
}

/// A token to insert, and the content of its event.
pub struct Newcomer {
    arrival: Arrival,
    pub token: Token,
    digest: Digest,
    changes: Vec<Change>,
}

impl Joiner {
    /// Adds the rows of a token's line to a batch. An error describes what is wrong with the line.
    pub fn line(
        &mut self,
        line: usize,
        mut fields: Fields<'_>,
        batch: &mut Batch,
    ) -> Result<Newcomer, BadLine> {
        let mut arrival = self.rows.token(line, &mut fields, Keep::Delivered, &self.scopes, batch)?;
        let token = arrival.token.take().ok_or_else(|| "it has a value that no token can have".to_owned())?;
        let changes = changes::of_token(None, Some(&token));
        Ok(Newcomer { digest: Form::Two.token(&token), changes, token, arrival })
    }
}

impl Newcomer {
    /// The number of its line in the export.
    pub fn line(&self) -> usize {
        self.arrival.line
    }
}

/// Inserts tokens within a transaction.
pub struct Joins<'t, 'w> {
    tx: &'t Write<'w>,
    entry: Entry<'t>,
    /// Whether the store has any pruned secrets.
    pruned: bool,
}

impl<'t, 'w> Joins<'t, 'w> {
    /// Also returns the part that makes rows of lines. Only scopes that the catalogue can grant are accepted.
    pub fn new(tx: &'t Write<'w>, catalogue: &Catalogue) -> Result<(Self, Joiner), StoreError> {
        let scopes = catalogue.open().map(|entry| {
            let granted = Granted { row: entry.row, id: entry.id.clone(), name: entry.name.clone() };
            (entry.name.to_string(), granted)
        });
        let pruned = !tx.column::<i64>("SELECT 1 FROM pruned LIMIT 1", &[])?.is_empty();
        let joiner = Joiner { rows: Rows::last(tx)?, scopes: scopes.collect() };
        Ok((Self { tx, entry: Entry::default(), pruned }, joiner))
    }

    /// Inserts a token with its delivered secrets and records the event, unless there is a conflict.
    pub fn enter(&mut self, batch: &Batch, newcomer: &mut Newcomer) -> Result<Result<(), Conflict>, BadLine> {
        let rows = &batch.rows()[newcomer.arrival.rows.clone()];
        let must_search = newcomer.arrival.missing.is_some() || !self.engine().goes_on();
        if (must_search || self.may_conflict(&newcomer.token)?)
            && let Some(conflict) = self.conflict(&newcomer.token)?
        {
            return Ok(Err(conflict));
        }
        if let Some(name) = &newcomer.arrival.missing {
            let scope: Scope = name.parse().map_err(|invalid: crate::domain::Invalid| invalid.message)?;
            return Ok(Err(Conflict::NoScope(scope)));
        }
        for row in rows {
            if let Err(err) = self.entry.row(self.engine(), batch, row) {
                // Ids and names are unique in their tables, so they need not be searched for before.
                if row.table == Table::Tokens
                    && self.engine().goes_on()
                    && err.breaks_rule()
                    && let Some(conflict) = self.conflict(&newcomer.token)?
                {
                    return Ok(Err(conflict));
                }
                return Err(failed(self.engine(), &err));
            }
        }
        let subject = Subject::of(&newcomer.token);
        self.tx.record(
            Action::Import,
            subject,
            Some(newcomer.digest),
            std::mem::take(&mut newcomer.changes),
            Matched::Yes,
        )?;
        Ok(Ok(()))
    }

    /// Finishes the inserts. Further rows get higher numbers.
    pub fn finish(self) -> Result<(), StoreError> {
        self.tx.ok(self.engine().number_from_here())
    }

    fn engine(&self) -> &'t Engine {
        &self.tx.store.engine
    }

    /// Whether there might be a conflict that only a search finds.
    fn may_conflict(&self, token: &Token) -> Result<bool, StoreError> {
        for secret in &token.secrets {
            let known =
                !self.tx.column::<i64>("SELECT 1 FROM secret WHERE hash = ?1", &[&secret.hash])?.is_empty();
            if known || self.pruned && self.tx.is_pruned(&secret.hash)? {
                return Ok(true);
            }
        }
        Ok(token.secrets.is_empty())
    }

    fn conflict(&self, token: &Token) -> Result<Option<Conflict>, StoreError> {
        let is_there = |sql: &str, value: &dyn rusqlite::ToSql| {
            Ok::<_, StoreError>(!self.tx.column::<i64>(sql, &[value])?.is_empty())
        };
        if token.secrets.is_empty() {
            return Ok(Some(Conflict::Undelivered));
        }
        if is_there("SELECT 1 FROM tokens WHERE id = ?1", &token.id)? {
            return Ok(Some(Conflict::Known));
        }
        for secret in &token.secrets {
            if is_there("SELECT 1 FROM secret WHERE hash = ?1", &secret.hash)? {
                return Ok(Some(Conflict::Known));
            }
            if self.tx.is_pruned(&secret.hash)? {
                return Ok(Some(Conflict::Pruned));
            }
        }
        let by_name = "SELECT 1 FROM tokens WHERE name = ?1 AND revoked_at IS NULL";
        Ok((token.revoked_at.is_none() && is_there(by_name, &token.name)?).then_some(Conflict::Name))
    }
}

impl Store {
    /// Prepares for a change of very many rows. Keeps 32 MiB of pages in memory, and caches that the index of
    /// hashes is sound; otherwise each new secret would be searched for in the table.
    pub fn keep_pages(&self) -> Result<(), StoreError> {
        self.remember();
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.keep_pages(32).map_err(|err| sqlite.failed(&err)),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => Ok(()),
        }
    }
}

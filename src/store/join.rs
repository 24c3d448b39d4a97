//! Inserts tokens of an export into a store that has others.

use rusqlite::types::Value as Sql;

use super::columns::{self, Fields};
use super::engine::Engine;
use super::parts::{BadLine, Parts, Rows, SecretParts};
use super::{Matched, Store, StoreError, Write};
use crate::domain::changes;
use crate::domain::digest::Form;
use crate::domain::event::{Action, Subject};
use crate::domain::scope::{Catalogue, Scope};
use crate::domain::token::Token;

/// Why a token cannot be inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// An unrevoked token has its name.
    Name,
    /// The store has its id, or one of its secrets.
    Known,
    /// One of its secrets was pruned from the store.
    Pruned,
    /// No secret of it was ever delivered.
    Undelivered,
    NoScope(Scope),
}

/// The result for a line: the inserted token, or the conflict.
pub type Entered = Result<Token, Conflict>;

impl Write<'_> {
    /// Inserts tokens of an export, with their delivered secrets, and records the event of each. An error has the
    /// index of its line. All tokens are in memory, so pass only a few at once.
    pub fn import_tokens(
        &self,
        lines: Vec<Fields>,
        catalogue: &Catalogue,
    ) -> Result<Vec<Entered>, (usize, BadLine)> {
        let of_all = |err| (0, BadLine::Store(err));
        let mut rows = Rows::last(self).map_err(of_all)?;
        let entered: Vec<_> = (0..)
            .zip(lines)
            .map(|(at, fields)| self.enter(&mut rows, fields, catalogue).map_err(|err| (at, err)))
            .collect::<Result<_, _>>()?;
        self.ok(self.store.engine.number_from_here()).map_err(of_all)?;
        let all: Vec<i64> = entered.iter().filter_map(|one| one.as_ref().ok().copied()).collect();
        let mut tokens = self.tokens(&all, self.now).map_err(of_all)?.into_iter();
        let lost = || StoreError::Damaged("a token that was just written is not there".to_owned());
        let mut record = || {
            let token = tokens.next().ok_or_else(lost)?;
            let digest = Some(Form::Two.token(&token));
            let changes = changes::of_token(None, Some(&token));
            self.record(Action::Import, Subject::of(&token), digest, changes, Matched::Yes)?;
            Ok(token)
        };
        let become_tokens = |one: Result<i64, Conflict>| match one {
            Ok(_) => record().map(Ok),
            Err(conflict) => Ok(Err(conflict)),
        };
        entered.into_iter().map(become_tokens).collect::<Result<_, _>>().map_err(of_all)
    }

    /// Writes the rows of a token. Returns the token's row.
    fn enter(
        &self,
        rows: &mut Rows,
        mut fields: Fields,
        catalogue: &Catalogue,
    ) -> Result<Result<i64, Conflict>, BadLine> {
        let mut parts = Parts::take(&mut fields)?;
        columns::end(&fields)?;
        parts.secrets.retain(SecretParts::is_delivered);
        for secret in &mut parts.secrets {
            (secret.delivery, secret.hook) = (None, None);
        }
        if let Some(conflict) = self.conflict(&parts).map_err(BadLine::Store)? {
            return Ok(Err(conflict));
        }
        let mut scopes = Vec::new();
        for name in &parts.scopes {
            let scope: Scope = name.parse().map_err(|invalid: crate::domain::Invalid| invalid.message)?;
            match catalogue.get(&scope).filter(|entry| entry.retired_at.is_none()) {
                Some(entry) => scopes.push(entry.row),
                None => return Ok(Err(Conflict::NoScope(scope))),
            }
        }
        rows.enter(&self.store.engine, parts, scopes).map(Ok)
    }

    fn conflict(&self, parts: &Parts) -> Result<Option<Conflict>, StoreError> {
        let is_there =
            |sql: &str, value: &Sql| Ok::<_, StoreError>(!self.column::<i64>(sql, &[value])?.is_empty());
        if parts.secrets.is_empty() {
            return Ok(Some(Conflict::Undelivered));
        }
        if is_there("SELECT 1 FROM tokens WHERE id = ?1", &parts.token[0])? {
            return Ok(Some(Conflict::Known));
        }
        for secret in &parts.secrets {
            if is_there("SELECT 1 FROM secret WHERE hash = ?1", &secret.secret[0])? {
                return Ok(Some(Conflict::Known));
            }
            if is_there("SELECT 1 FROM pruned WHERE hash = ?1", &secret.secret[0])? {
                return Ok(Some(Conflict::Pruned));
            }
        }
        let is_revoked = parts.token[13] != Sql::Null;
        let taken = "SELECT 1 FROM tokens WHERE name = ?1 AND revoked_at IS NULL";
        Ok((!is_revoked && is_there(taken, &parts.token[1])?).then_some(Conflict::Name))
    }
}

impl Store {
    /// Prepares for a change of very many rows: keeps 32 MiB of pages in memory, and caches that the index of hashes
    /// is sound, or each new secret would be searched for in the table.
    pub fn keep_pages(&self) -> Result<(), StoreError> {
        self.remember();
        match &self.engine {
            Engine::Sqlite(it) => it.keep_pages().map_err(|err| it.failed(&err)),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => Ok(()),
        }
    }
}

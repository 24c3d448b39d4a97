//! Changes to tokens and everything that belongs to them. Each change is written and recorded in one call.

use rusqlite::params;
use rusqlite::types::ToSql;

use super::{Matched, StoreError, Write};
use crate::domain::changes;
use crate::domain::destination::Destination;
use crate::domain::event::{Action, Subject};
use crate::domain::token::{Delivery, StoredSecret, Token};

/// A secret to insert, and its delivery if it has not been delivered yet. The row numbers are ignored.
pub struct NewSecret {
    pub secret: StoredSecret,
    pub delivery: Option<Delivery>,
}

impl Write<'_> {
    /// Runs a statement that inserts a row. Returns the number of the row.
    pub(super) fn enter_row(&self, sql: &str, args: &[&dyn ToSql]) -> Result<i64, StoreError> {
        let missing = || StoreError::Damaged("a row that was just written has no number".to_owned());
        self.column(sql, args)?.pop().ok_or_else(missing)
    }

    /// Inserts a token with its labels, its grants and its first secret, and records the event. The row
    /// numbers are ignored. Returns the token as it is stored.
    pub fn insert_token(
        &self,
        token: &Token,
        first: &NewSecret,
        action: Action,
    ) -> Result<Token, StoreError> {
        let sql =
            "INSERT INTO tokens (id, name, created_at, created_by) VALUES (?1, ?2, ?3, ?4) RETURNING row";
        let row = self.enter_row(sql, params![token.id, token.name, token.created_at, token.created_by])?;
        self.starts_alone("tokens", row, &[("label", "token"), ("granted", "token"), ("secret", "token")])?;
        self.save_token(&Token { row, ..token.clone() })?;
        for scope in token.grants.keys() {
            self.run("INSERT INTO granted (token, scope) VALUES (?1, ?2)", params![row, scope])?;
        }
        self.enter_secret(row, first)?;
        self.record_token(action, None, row, Matched::Yes)
    }

    /// Adds a secret to a token that was read in this transaction, and records the event. Returns the token as it is
    /// stored.
    pub fn insert_secret(&self, token: &Token, new: &NewSecret, action: Action) -> Result<Token, StoreError> {
        let matched = self.compare(action, &Subject::of(token), |form| form.token(token))?;
        self.enter_secret(token.row, new)?;
        self.record_token(action, Some(token), token.row, matched)
    }

    /// Writes the difference between a token that was read in this transaction and its new state, and records the
    /// event.
    pub fn update(&self, before: &Token, after: &Token, action: Action) -> Result<Token, StoreError> {
        let row = before.row;
        let matched = self.compare(action, &Subject::of(before), |form| form.token(before))?;
        self.save_token(after)?;
        for scope in before.grants.keys().filter(|scope| !after.grants.contains_key(scope)) {
            self.run("DELETE FROM granted WHERE token = ?1 AND scope = ?2", params![row, scope])?;
        }
        for scope in after.grants.keys().filter(|scope| !before.grants.contains_key(scope)) {
            self.run("INSERT INTO granted (token, scope) VALUES (?1, ?2)", params![row, scope])?;
        }
        match (&before.delivery, &after.delivery) {
            (Some(old), None) => self.run("DELETE FROM delivery WHERE secret = ?1", params![old.secret])?,
            (Some(old), Some(new)) if old.expires_at != new.expires_at => {
                let sql = "UPDATE delivery SET expires_at = ?2 WHERE secret = ?1";
                self.run(sql, params![new.secret, new.expires_at])?
            }
            _ => 0,
        };
        if before.pending_hook != after.pending_hook {
            self.save_hook(row, after.pending_hook.as_ref())?;
        }
        for old in &before.secrets {
            match after.secrets.iter().find(|new| new.row == old.row) {
                None => {
                    self.run("DELETE FROM secret WHERE row = ?1 AND delivered_at IS NULL", params![old.row])?
                }
                Some(new) if new != old => self.save_secret(new)?,
                Some(_) => 0,
            };
        }
        self.record_token(action, Some(before), row, matched)
    }

    /// Writes all fields of a token that can change, and its labels.
    pub(super) fn save_token(&self, token: &Token) -> Result<(), StoreError> {
        let sql = "UPDATE tokens SET name = ?2, description = ?3, owner = ?4, icon = ?5, ttl = ?6, until = ?7,
             not_before = ?8, rotate_every = ?9, grace = ?10, disabled_at = ?11, revoked_at = ?12,
             destination_kind = ?13, destination_path = ?14, destination_variable = ?15, destination_command = ?16,
             destination_host = ?17, destination_uid = ?18, hook = ?19, allow_from = ?20 WHERE row = ?1";
        let remembered = token.destination.as_ref();
        let destination = remembered.map(|remembered| &remembered.destination);
        self.run(
            sql,
            params![
                token.row,
                token.name,
                token.description,
                token.owner,
                token.icon,
                token.lifetime.ttl(),
                token.lifetime.until(),
                token.not_before,
                token.rotate_every,
                token.grace,
                token.disabled_at,
                token.revoked_at,
                destination.map(Destination::word),
                destination.and_then(Destination::path),
                destination.and_then(Destination::variable),
                destination.and_then(Destination::command),
                remembered.and_then(|remembered| remembered.host.as_deref()),
                remembered.map(|remembered| remembered.uid),
                token.hook,
                token.allow_from.as_ref().map(ToString::to_string)
            ],
        )?;
        self.run("DELETE FROM label WHERE token = ?1", params![token.row])?;
        for (key, value) in &token.labels {
            self.run(
                "INSERT INTO label (token, key, value) VALUES (?1, ?2, ?3)",
                params![token.row, key, value],
            )?;
        }
        Ok(())
    }

    fn enter_secret(&self, token: i64, new: &NewSecret) -> Result<(), StoreError> {
        let sql = "INSERT INTO secret (token, hash, hint, created_at, expires_at, delivered_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING row";
        let StoredSecret { hash, hint, created_at, expires_at, delivered_at, .. } = &new.secret;
        let row = self.enter_row(sql, params![token, hash, hint, created_at, expires_at, delivered_at])?;
        self.starts_alone("secret", row, &[("delivery", "secret"), ("hook", "secret")])?;
        new.delivery.as_ref().map_or(Ok(()), |delivery| self.enter_delivery(row, delivery))
    }

    pub(super) fn save_secret(&self, secret: &StoredSecret) -> Result<usize, StoreError> {
        let sql = "UPDATE secret SET expires_at = ?2, delivered_at = ?3, superseded_at = ?4, revoked_at = ?5
             WHERE row = ?1";
        let StoredSecret { row, expires_at, delivered_at, superseded_at, revoked_at, .. } = secret;
        self.run(sql, params![row, expires_at, delivered_at, superseded_at, revoked_at])
    }

    fn enter_delivery(&self, secret: i64, delivery: &Delivery) -> Result<(), StoreError> {
        let sql =
            "INSERT INTO delivery (secret, kind, target, uid, pid, started_at, deadline, expires_at, grace, variable,
             command, hook, remember, host) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
        let values = params![
            secret,
            delivery.destination.word(),
            delivery.target,
            delivery.uid,
            delivery.pid,
            delivery.started_at,
            delivery.deadline,
            delivery.expires_at,
            delivery.grace,
            delivery.variable,
            delivery.command,
            delivery.hook,
            delivery.remember,
            delivery.host
        ];
        self.run(sql, values).map(drop)
    }

    /// Removes a token that never had a delivered secret, with everything that belongs to it, and records the event.
    pub fn delete_token(&self, token: &Token, action: Action) -> Result<(), StoreError> {
        let matched = self.compare(action, &Subject::of(token), |form| form.token(token))?;
        for secret in &token.secrets {
            self.run("DELETE FROM delivery WHERE secret = ?1", params![secret.row])?;
        }
        self.save_hook(token.row, None)?;
        for table in ["label", "granted", "secret"] {
            self.run(&format!("DELETE FROM {table} WHERE token = ?1"), params![token.row])?;
        }
        self.run("DELETE FROM tokens WHERE row = ?1", params![token.row])?;
        let changes = changes::of_token(Some(token), None);
        self.record(action, Subject::of(token), None, changes, matched)
    }
}

//! Tokens and what belongs to them: labels, grants, secrets, the open delivery.

use std::collections::{BTreeMap, HashMap};

use rusqlite::types::ToSql;
use rusqlite::{OptionalExtension, Row, params};

use super::sql::{RowNumber, damage, wrong};
use super::{Matched, StoreError, View, Write};
use crate::domain::digest;
use crate::domain::event::{Action, Subject};
use crate::domain::lifetime::Lifetime;
use crate::domain::name::{Name, TokenId};
use crate::domain::secret::SecretHash;
use crate::domain::token::{Delivery, DestinationKind, Grant, StoredSecret, Token};
use crate::domain::when::{Span, Timestamp};
use crate::store::usage::{scope_tag, secret_tag};

/// A presented secret that the store knows.
#[derive(Debug)]
pub struct Presented {
    pub token: Token,
    /// Its place in `token.secrets`.
    pub index: usize,
}

impl Presented {
    pub fn secret(&self) -> &StoredSecret {
        &self.token.secrets[self.index]
    }
}

/// A secret to be entered, and its delivery if it has not been delivered. Rows are not looked at.
pub struct NewSecret {
    pub secret: StoredSecret,
    pub delivery: Option<Delivery>,
}

/// What of a token is needed, where a look-up must be fast; what is not is empty. With neither part, a token that is
/// found by its current secret has only that one, since the verdict depends on no other.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    pub labels: bool,
    pub grants: bool,
}

impl Parts {
    pub const ALL: Parts = Parts { labels: true, grants: true };
}

impl View<'_> {
    /// One token by its row.
    pub fn token(&self, row: i64, now: Timestamp) -> Result<Token, StoreError> {
        self.tokens(&[row], now)?.pop().ok_or_else(|| missing(row))
    }

    /// The tokens of these rows, in their order; rows that are gone are left out. `now` bounds the times of use.
    pub fn tokens(&self, rows: &[i64], now: Timestamp) -> Result<Vec<Token>, StoreError> {
        self.load(rows, now, Parts::ALL)
    }

    fn load(&self, rows: &[i64], now: Timestamp, parts: Parts) -> Result<Vec<Token>, StoreError> {
        // No row is a page of none.
        let (labelled, granted) =
            (if parts.labels { rows } else { &[] }, if parts.grants { rows } else { &[] });
        let mut found: HashMap<i64, Token> = HashMap::with_capacity(rows.len());
        let columns =
            "SELECT row, id, name, description, owner, icon, ttl, until, not_before, rotate_every, grace,
             created_at, created_by, disabled_at, revoked_at FROM token";
        self.each("token", columns, "row", "row", rows, |row| {
            let token = read_token(row)?;
            found.insert(token.row, token);
            Ok(())
        })?;
        self.each("label", "SELECT token, key, value FROM label", "token", "token, key", labelled, |row| {
            if let Some(token) = found.get_mut(&row.get(0)?) {
                token.labels.insert(row.get(1)?, row.get(2)?);
            }
            Ok(())
        })?;
        // The index holds all of a grant; the table is asked again by its row, or a damaged index could grant a scope.
        let grants = "SELECT g.row, g.token, g.scope, s.name, t.token, t.scope FROM granted g
             LEFT JOIN scope s ON s.row = g.scope LEFT JOIN granted t ON t.row = g.row";
        self.each("granted", grants, "g.token", "g.token", granted, |row| {
            if let Some(token) = found.get_mut(&row.get(1)?) {
                let (by_index, by_table): ([Option<i64>; 2], [Option<i64>; 2]) =
                    ([row.get(1)?, row.get(2)?], [row.get(4)?, row.get(5)?]);
                if by_index != by_table {
                    return Err(wrong(4, "the table and its index differ"));
                }
                let mut grant =
                    Grant { row: row.get::<_, RowNumber>(0)?.0, scope: row.get(3)?, last_asked_at: None };
                let tag = scope_tag(&token.id, &grant.scope);
                grant.last_asked_at = self.store.asks().last(grant.row, tag, token.created_at, now);
                token.grants.insert(row.get::<_, RowNumber>(2)?.0, grant);
            }
            Ok(())
        })?;
        let secrets = "SELECT s.row, s.token, s.hash, s.hint, s.created_at, s.expires_at, s.delivered_at,
             s.superseded_at, s.revoked_at, d.sink, d.target, d.uid, d.pid, d.started_at, d.deadline, d.expires_at, d.grace
             FROM secret s LEFT JOIN delivery d ON d.secret = s.row";
        self.each("secret", secrets, "s.token", "s.row", rows, |row| {
            if let Some(token) = found.get_mut(&row.get(1)?) {
                let mut secret = read_secret(row, 0)?;
                let tag = secret_tag(&secret.hash);
                secret.last_used_at = self.store.uses().last(secret.row, tag, secret.created_at, now);
                if row.get_ref(9)?.as_str_or_null()?.is_some() {
                    let delivery = read_delivery(row, secret.row)?;
                    if secret.delivered_at.is_some() || token.delivery.replace(delivery).is_some() {
                        return Err(wrong(9, "a delivery that cannot be under way"));
                    }
                }
                token.secrets.push(secret);
            }
            Ok(())
        })?;
        Ok(rows.iter().filter_map(|row| found.remove(row)).collect())
    }

    /// Runs `columns … WHERE column IN rows` over one row or a page of them.
    fn each(
        &self,
        table: &str,
        columns: &str,
        column: &str,
        order: &str,
        rows: &[i64],
        mut take: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let (test, keys): (_, Box<dyn ToSql>) = match rows {
            [] => return Ok(()),
            [row] => ("= ?1", Box::new(*row)),
            rows => {
                let list: Vec<String> = rows.iter().map(i64::to_string).collect();
                ("IN (SELECT value FROM json_each(?1))", Box::new(format!("[{}]", list.join(","))))
            }
        };
        let sql = format!("{columns} WHERE {column} {test} ORDER BY {order}");
        let mut statement = self.ok(self.conn().prepare_cached(&sql))?;
        let mut found = self.ok(statement.query(params![keys]))?;
        while let Some(row) = self.ok(found.next())? {
            take(row).map_err(|err| damage(table, row, &err))?;
        }
        Ok(())
    }

    /// The secret of this hash, compared once more in constant time.
    pub fn presented(
        &self,
        hash: &SecretHash,
        now: Timestamp,
        parts: Parts,
    ) -> Result<Option<Presented>, StoreError> {
        if let Parts { labels: false, grants: false } = parts
            && let Some(found) = self.current(hash)?
        {
            return Ok(Some(found));
        }
        let sql = "SELECT token FROM secret WHERE hash = ?1";
        let run = || self.conn().prepare_cached(sql)?.query_row([hash], |row| row.get(0)).optional();
        let Some(row) = self.ok(run())? else { return Ok(None) };
        // What the index of hashes has found is there, or the index is damaged: no reason to call a secret unknown.
        let token = self.load(&[row], now, parts)?.pop().ok_or_else(|| missing(row))?;
        let index = token.secrets.iter().position(|secret| secret.hash == *hash);
        let index = index.ok_or_else(|| {
            StoreError::Damaged(format!("no secret of token row {row} is where an index says"))
        })?;
        Ok(Some(Presented { token, index }))
    }

    /// The token with this current secret, in one statement. Its hash must come from the row: a column that an index has
    /// may be read from there, and an index may lead to the wrong row.
    fn current(&self, hash: &SecretHash) -> Result<Option<Presented>, StoreError> {
        let sql = "SELECT t.row, t.id, t.name, t.description, t.owner, t.icon, t.ttl, t.until, t.not_before,
             t.rotate_every, t.grace, t.created_at, t.created_by, t.disabled_at, t.revoked_at,
             s.row, s.token, s.hash, s.hint, s.created_at, s.expires_at, s.delivered_at, s.superseded_at, s.revoked_at
             FROM secret s JOIN token t ON t.row = s.token
             WHERE s.row = (SELECT row FROM secret WHERE hash = ?1)
             AND s.delivered_at IS NOT NULL AND s.superseded_at IS NULL";
        let read = |row: &Row<'_>| Ok((read_token(row)?, read_secret(row, 15)?));
        let run = || self.conn().prepare_cached(sql)?.query_row([hash], read).optional();
        let found = self.ok(run())?.filter(|(_, secret)| secret.hash == *hash);
        Ok(found
            .map(|(token, secret)| Presented { token: Token { secrets: vec![secret], ..token }, index: 0 }))
    }

    /// Since when use is recorded.
    pub fn usage_since(&self) -> Option<Timestamp> {
        self.store.uses().since()
    }

    /// Since when the uses of scopes are recorded.
    pub fn scope_usage_since(&self) -> Option<Timestamp> {
        self.store.asks().since()
    }
}

impl Write<'_> {
    fn run(&self, sql: &str, args: &[&dyn ToSql]) -> Result<usize, StoreError> {
        self.ok(self.conn().prepare_cached(sql).and_then(|mut statement| statement.execute(args)))
    }

    /// Adds a token with its labels, its grants and its first secret, and records the event. Rows are not looked at.
    /// Returns the token as it now is.
    pub fn insert_token(
        &self,
        token: &Token,
        first: &NewSecret,
        action: Action,
    ) -> Result<Token, StoreError> {
        let sql = "INSERT INTO token (id, name, created_at, created_by) VALUES (?1, ?2, ?3, ?4)";
        self.run(sql, params![token.id, token.name, token.created_at, token.created_by])?;
        let row = self.conn().last_insert_rowid();
        self.starts_alone("token", row, &[("label", "token"), ("granted", "token"), ("secret", "token")])?;
        self.save_token(&Token { row, ..token.clone() })?;
        for scope in token.grants.keys() {
            self.run("INSERT INTO granted (token, scope) VALUES (?1, ?2)", params![row, scope])?;
        }
        self.enter_secret(row, first)?;
        self.record_token(action, row, Matched::Yes)
    }

    /// Adds a secret to a token as read in this transaction, and records the event. Returns the token as it now is.
    pub fn insert_secret(&self, token: &Token, new: &NewSecret, action: Action) -> Result<Token, StoreError> {
        let matched = self.compare(action, &Subject::of(token), digest::token(token))?;
        self.enter_secret(token.row, new)?;
        self.record_token(action, token.row, matched)
    }

    /// Writes what differs between a token as read in this transaction and as it shall be, and records the event.
    pub fn update(&self, before: &Token, after: &Token, action: Action) -> Result<Token, StoreError> {
        let row = before.row;
        let matched = self.compare(action, &Subject::of(before), digest::token(before))?;
        self.save_token(after)?;
        for scope in before.grants.keys().filter(|scope| !after.grants.contains_key(scope)) {
            self.run("DELETE FROM granted WHERE token = ?1 AND scope = ?2", params![row, scope])?;
        }
        for scope in after.grants.keys().filter(|scope| !before.grants.contains_key(scope)) {
            self.run("INSERT INTO granted (token, scope) VALUES (?1, ?2)", params![row, scope])?;
        }
        match (&before.delivery, &after.delivery) {
            (Some(was), None) => self.run("DELETE FROM delivery WHERE secret = ?1", params![was.secret])?,
            (Some(was), Some(is)) if was.expires_at != is.expires_at => {
                let sql = "UPDATE delivery SET expires_at = ?2 WHERE secret = ?1";
                self.run(sql, params![is.secret, is.expires_at])?
            }
            _ => 0,
        };
        for was in &before.secrets {
            match after.secrets.iter().find(|is| is.row == was.row) {
                None => {
                    self.run("DELETE FROM secret WHERE row = ?1 AND delivered_at IS NULL", params![was.row])?
                }
                Some(is) if is != was => self.save_secret(is)?,
                Some(_) => 0,
            };
        }
        self.record_token(action, row, matched)
    }

    /// Writes all that can change of a token itself, and its labels.
    fn save_token(&self, token: &Token) -> Result<(), StoreError> {
        let sql = "UPDATE token SET name = ?2, description = ?3, owner = ?4, icon = ?5, ttl = ?6, until = ?7,
             not_before = ?8, rotate_every = ?9, grace = ?10, disabled_at = ?11, revoked_at = ?12 WHERE row = ?1";
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
                token.revoked_at
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
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let StoredSecret { hash, hint, created_at, expires_at, delivered_at, .. } = &new.secret;
        self.run(sql, params![token, hash, hint, created_at, expires_at, delivered_at])?;
        let row = self.conn().last_insert_rowid();
        self.starts_alone("secret", row, &[("delivery", "secret")])?;
        new.delivery.as_ref().map_or(Ok(()), |delivery| self.enter_delivery(row, delivery))
    }

    fn save_secret(&self, secret: &StoredSecret) -> Result<usize, StoreError> {
        let sql = "UPDATE secret SET expires_at = ?2, delivered_at = ?3, superseded_at = ?4, revoked_at = ?5
             WHERE row = ?1";
        let StoredSecret { row, expires_at, delivered_at, superseded_at, revoked_at, .. } = secret;
        self.run(sql, params![row, expires_at, delivered_at, superseded_at, revoked_at])
    }

    fn enter_delivery(&self, secret: i64, it: &Delivery) -> Result<(), StoreError> {
        let sql =
            "INSERT INTO delivery (secret, sink, target, uid, pid, started_at, deadline, expires_at, grace)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let values = params![
            secret,
            it.destination.word(),
            it.target,
            it.uid,
            it.pid,
            it.started_at,
            it.deadline,
            it.expires_at,
            it.grace
        ];
        self.run(sql, values).map(drop)
    }

    /// Removes a token that never had a delivered secret, with all that belongs to it, and records the event.
    pub fn delete_token(&self, token: &Token, action: Action) -> Result<(), StoreError> {
        let matched = self.compare(action, &Subject::of(token), digest::token(token))?;
        for secret in &token.secrets {
            self.run("DELETE FROM delivery WHERE secret = ?1", params![secret.row])?;
        }
        for table in ["label", "granted", "secret"] {
            self.run(&format!("DELETE FROM {table} WHERE token = ?1"), params![token.row])?;
        }
        self.run("DELETE FROM token WHERE row = ?1", params![token.row])?;
        self.record(action, Subject::of(token), None, matched)
    }
}

fn missing(row: i64) -> StoreError {
    StoreError::Damaged(format!("token row {row} is missing"))
}

fn read_token(row: &Row<'_>) -> rusqlite::Result<Token> {
    let lifetime = match (row.get::<_, Option<Span>>(6)?, row.get::<_, Option<Timestamp>>(7)?) {
        (Some(_), Some(_)) => return Err(wrong(7, "a token with a `ttl` has no `until`")),
        (Some(ttl), None) if ttl.is_zero() => return Err(wrong(6, "a lifetime is longer than nothing")),
        (Some(ttl), None) => Lifetime::Ttl(ttl),
        (None, Some(until)) => Lifetime::Until(until),
        (None, None) => Lifetime::Endless,
    };
    let rotate_every: Option<Span> = row.get(9)?;
    if rotate_every.is_some_and(Span::is_zero) {
        return Err(wrong(9, "a rotation is due after more than no time"));
    }
    Ok(Token {
        row: row.get::<_, RowNumber>(0)?.0,
        id: row.get::<_, TokenId>(1)?.as_str().to_owned(),
        name: row.get::<_, Name>(2)?.to_string(),
        description: row.get(3)?,
        owner: row.get(4)?,
        icon: row.get(5)?,
        labels: BTreeMap::new(),
        grants: BTreeMap::new(),
        lifetime,
        not_before: row.get(8)?,
        rotate_every,
        grace: row.get(10)?,
        created_at: row.get(11)?,
        created_by: row.get(12)?,
        disabled_at: row.get(13)?,
        revoked_at: row.get(14)?,
        secrets: Vec::new(),
        delivery: None,
    })
}

/// A secret whose columns begin at `first`: its row, its token, and the rest.
fn read_secret(row: &Row<'_>, first: usize) -> rusqlite::Result<StoredSecret> {
    let [delivered_at, superseded_at, revoked_at]: [Option<Timestamp>; 3] =
        [row.get(first + 6)?, row.get(first + 7)?, row.get(first + 8)?];
    if delivered_at.is_none() && (superseded_at.is_some() || revoked_at.is_some()) {
        return Err(wrong(first + 6, "a secret that was never delivered is neither superseded nor revoked"));
    }
    Ok(StoredSecret {
        row: row.get::<_, RowNumber>(first)?.0,
        hash: row.get(first + 2)?,
        hint: row.get(first + 3)?,
        created_at: row.get(first + 4)?,
        expires_at: row.get(first + 5)?,
        delivered_at,
        superseded_at,
        revoked_at,
        last_used_at: None,
    })
}

fn read_delivery(row: &Row<'_>, secret: i64) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        secret,
        destination: row.get::<_, DestinationKind>(9)?,
        target: row.get(10)?,
        uid: row.get(11)?,
        pid: row.get(12)?,
        started_at: row.get(13)?,
        deadline: row.get(14)?,
        expires_at: row.get(15)?,
        grace: row.get(16)?,
    })
}

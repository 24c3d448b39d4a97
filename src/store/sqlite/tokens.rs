//! Tokens and what belongs to them: labels, grants, secrets, the open delivery.

use std::collections::{BTreeMap, HashMap};

use rusqlite::types::{ToSql, ValueRef};
use rusqlite::{OptionalExtension, Row, params};

use super::sql::{Count, RowNumber, damage, wrong};
use super::{Matched, StoreError, View, Write};
use crate::domain::changes;
use crate::domain::destination::{Destination, Receiver};
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

/// How many secrets are looked through for one that an index does not find.
const LOOKED_THROUGH: i64 = 10_000;

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
             created_at, created_by, disabled_at, revoked_at, destination_kind, destination_path,
             destination_variable, destination_command, destination_host, destination_uid, hook, allow_from,
             label_count, grant_count, secret_count, seal FROM tokens";
        let mut counts: HashMap<i64, [usize; 3]> = HashMap::new();
        self.each("tokens", columns, "row", "row", rows, |row| {
            self.unbroken("tokens", row, 0..26)?;
            let token = read_token(row)?;
            counts.insert(
                token.row,
                [23, 24, 25].map(|at| row.get::<_, Count>(at).map_or(usize::MAX, |count| count.0)),
            );
            found.insert(token.row, token);
            Ok(())
        })?;
        let labels = "SELECT token, key, value, seal FROM label";
        self.each("label", labels, "token", "token, key", labelled, |row| {
            self.unbroken("label", row, 0..3)?;
            if let Some(token) = found.get_mut(&row.get(0)?) {
                token.labels.insert(row.get(1)?, row.get(2)?);
            }
            Ok(())
        })?;
        // The index holds all of a grant; the table is asked again by its row, or a damaged index could grant a scope.
        let grants = "SELECT t.row, t.token, t.scope, t.seal, s.name, s.id, g.token, g.scope FROM granted g
             LEFT JOIN scope s ON s.row = g.scope LEFT JOIN granted t ON t.row = g.row";
        self.each("granted", grants, "g.token", "g.token", granted, |row| {
            if let Some(token) = found.get_mut(&row.get(6)?) {
                let (by_index, by_table): ([Option<i64>; 2], [Option<i64>; 2]) =
                    ([row.get(6)?, row.get(7)?], [row.get(1)?, row.get(2)?]);
                if by_index != by_table {
                    return Err(wrong(1, "the table and its index differ"));
                }
                self.unbroken("granted", row, 0..3)?;
                let mut grant = Grant {
                    row: row.get::<_, RowNumber>(0)?.0,
                    scope: row.get(4)?,
                    scope_id: row.get(5)?,
                    last_asked_at: None,
                };
                let tag = scope_tag(&token.id, &grant.scope);
                grant.last_asked_at = self.store.asks().last(grant.row, tag, token.created_at, now);
                token.grants.insert(row.get::<_, RowNumber>(2)?.0, grant);
            }
            Ok(())
        })?;
        let secrets = "SELECT s.row, s.token, s.hash, s.hint, s.created_at, s.expires_at, s.delivered_at,
             s.superseded_at, s.revoked_at, s.seal, d.kind, d.target, d.uid, d.pid, d.started_at, d.deadline,
             d.expires_at, d.grace, d.variable, d.command, d.hook, d.remember, d.host
             FROM secret s LEFT JOIN delivery d ON d.secret = s.row";
        self.each("secret", secrets, "s.token", "s.row", rows, |row| {
            self.unbroken("secret", row, 0..9)?;
            if let Some(token) = found.get_mut(&row.get(1)?) {
                let mut secret = read_secret(row, 0)?;
                let tag = secret_tag(&secret.hash);
                secret.last_used_at = self.store.uses().last(secret.row, tag, secret.created_at, now);
                if row.get_ref(10)?.as_str_or_null()?.is_some() {
                    let delivery = read_delivery(row, secret.row)?;
                    if secret.delivered_at.is_some() || token.delivery.replace(delivery).is_some() {
                        return Err(wrong(10, "a delivery that cannot be under way"));
                    }
                }
                token.secrets.push(secret);
            }
            Ok(())
        })?;
        if self.checks_seals() {
            for (row, [labels, grants, secrets]) in counts {
                let Some(token) = found.get(&row) else { continue };
                let whole = token.secrets.len() == secrets
                    && (!parts.labels || token.labels.len() == labels)
                    && (!parts.grants || token.grants.len() == grants);
                if !whole {
                    return Err(StoreError::Damaged(format!("rows of token row {row} are missing")));
                }
            }
        }
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
        let Some(row) = self.ok(run())? else {
            return self.is_nowhere(hash).map(|()| None);
        };
        // What the index of hashes has found is there, or the index is damaged: no reason to call a secret unknown.
        let token = self.load(&[row], now, parts)?.pop().ok_or_else(|| missing(row))?;
        let index = token.secrets.iter().position(|secret| secret.hash == *hash);
        let index = index.ok_or_else(|| {
            StoreError::Damaged(format!("no secret of token row {row} is where an index says"))
        })?;
        Ok(Some(Presented { token, index }))
    }

    /// Fails if the table knows a hash that its index does not: then the index is damaged, and the secret not unknown.
    /// Only the first rows are looked at, so that guessing at a large store stays cheap.
    fn is_nowhere(&self, hash: &SecretHash) -> Result<(), StoreError> {
        if !self.checks_seals() {
            return Ok(());
        }
        let sql = "SELECT row FROM (SELECT row, hash FROM secret NOT INDEXED ORDER BY row LIMIT ?2) WHERE hash = ?1";
        match self.column::<i64>(sql, params![hash, LOOKED_THROUGH])?.pop() {
            None => Ok(()),
            Some(row) => Err(StoreError::Damaged(format!("an index does not lead to secret row {row}"))),
        }
    }

    /// The token with this current secret, in one statement. Its hash must come from the row: a column that an index has
    /// may be read from there, and an index may lead to the wrong row.
    fn current(&self, hash: &SecretHash) -> Result<Option<Presented>, StoreError> {
        let sql = "SELECT t.*, s.* FROM secret s JOIN tokens t ON t.row = s.token
             WHERE s.row = (SELECT row FROM secret WHERE hash = ?1)
             AND s.delivered_at IS NOT NULL AND s.superseded_at IS NULL";
        let read = |row: &Row<'_>| {
            self.unbroken("tokens", row, 0..26)?;
            self.unbroken("secret", row, 27..36)?;
            Ok((read_token(row)?, read_secret(row, 27)?))
        };
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
    pub(super) fn run(&self, sql: &str, args: &[&dyn ToSql]) -> Result<usize, StoreError> {
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
        let sql = "INSERT INTO tokens (id, name, created_at, created_by) VALUES (?1, ?2, ?3, ?4)";
        self.run(sql, params![token.id, token.name, token.created_at, token.created_by])?;
        let row = self.conn().last_insert_rowid();
        self.starts_alone("tokens", row, &[("label", "token"), ("granted", "token"), ("secret", "token")])?;
        self.save_token(&Token { row, ..token.clone() })?;
        for scope in token.grants.keys() {
            self.run("INSERT INTO granted (token, scope) VALUES (?1, ?2)", params![row, scope])?;
        }
        self.enter_secret(row, first)?;
        self.record_token(action, None, row, Matched::Yes)
    }

    /// Adds a secret to a token as read in this transaction, and records the event. Returns the token as it now is.
    pub fn insert_secret(&self, token: &Token, new: &NewSecret, action: Action) -> Result<Token, StoreError> {
        let matched = self.compare(action, &Subject::of(token), |form| form.token(token))?;
        self.enter_secret(token.row, new)?;
        self.record_token(action, Some(token), token.row, matched)
    }

    /// Writes what differs between a token as read in this transaction and as it shall be, and records the event.
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
        self.record_token(action, Some(before), row, matched)
    }

    /// Writes all that can change of a token itself, and its labels.
    pub(super) fn save_token(&self, token: &Token) -> Result<(), StoreError> {
        let sql = "UPDATE tokens SET name = ?2, description = ?3, owner = ?4, icon = ?5, ttl = ?6, until = ?7,
             not_before = ?8, rotate_every = ?9, grace = ?10, disabled_at = ?11, revoked_at = ?12,
             destination_kind = ?13, destination_path = ?14, destination_variable = ?15, destination_command = ?16,
             destination_host = ?17, destination_uid = ?18, hook = ?19, allow_from = ?20 WHERE row = ?1";
        let destination = token.destination.as_ref();
        let receiver = destination.map(|it| &it.receiver);
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
                receiver.map(Receiver::word),
                receiver.and_then(Receiver::path),
                receiver.and_then(Receiver::variable),
                receiver.and_then(Receiver::command),
                destination.and_then(|it| it.host.as_deref()),
                destination.map(|it| it.uid),
                token.hook,
                token.allow_from
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

    pub(super) fn save_secret(&self, secret: &StoredSecret) -> Result<usize, StoreError> {
        let sql = "UPDATE secret SET expires_at = ?2, delivered_at = ?3, superseded_at = ?4, revoked_at = ?5
             WHERE row = ?1";
        let StoredSecret { row, expires_at, delivered_at, superseded_at, revoked_at, .. } = secret;
        self.run(sql, params![row, expires_at, delivered_at, superseded_at, revoked_at])
    }

    fn enter_delivery(&self, secret: i64, it: &Delivery) -> Result<(), StoreError> {
        let sql =
            "INSERT INTO delivery (secret, kind, target, uid, pid, started_at, deadline, expires_at, grace, variable,
             command, hook, remember, host) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
        let values = params![
            secret,
            it.destination.word(),
            it.target,
            it.uid,
            it.pid,
            it.started_at,
            it.deadline,
            it.expires_at,
            it.grace,
            it.variable,
            it.command,
            it.hook,
            it.remember,
            it.host
        ];
        self.run(sql, values).map(drop)
    }

    /// Removes a token that never had a delivered secret, with all that belongs to it, and records the event.
    pub fn delete_token(&self, token: &Token, action: Action) -> Result<(), StoreError> {
        let matched = self.compare(action, &Subject::of(token), |form| form.token(token))?;
        for secret in &token.secrets {
            self.run("DELETE FROM delivery WHERE secret = ?1", params![secret.row])?;
        }
        for table in ["label", "granted", "secret"] {
            self.run(&format!("DELETE FROM {table} WHERE token = ?1"), params![token.row])?;
        }
        self.run("DELETE FROM tokens WHERE row = ?1", params![token.row])?;
        let changes = changes::of_token(Some(token), None);
        self.record(action, Subject::of(token), None, changes, matched)
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
        destination: read_destination(row)?,
        hook: row.get(21)?,
        allow_from: row.get(22)?,
        secrets: Vec::new(),
        delivery: None,
    })
}

fn read_destination(row: &Row<'_>) -> rusqlite::Result<Option<Destination>> {
    let Some(kind) = row.get::<_, Option<String>>(15)? else {
        let rest = (16..=20).any(|column| row.get_ref(column).is_ok_and(|value| value != ValueRef::Null));
        return if rest { Err(wrong(15, "a destination without a kind")) } else { Ok(None) };
    };
    let receiver = Receiver::new(&kind, row.get(16)?, row.get(17)?, row.get(18)?)
        .ok_or_else(|| wrong(15, "a destination that no token can have"))?;
    Ok(Some(Destination { receiver, host: row.get(19)?, uid: row.get(20)? }))
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
        destination: row.get::<_, DestinationKind>(10)?,
        target: row.get(11)?,
        uid: row.get(12)?,
        pid: row.get(13)?,
        started_at: row.get(14)?,
        deadline: row.get(15)?,
        expires_at: row.get(16)?,
        grace: row.get(17)?,
        variable: row.get(18)?,
        command: row.get(19)?,
        hook: row.get(20)?,
        remember: row.get(21)?,
        host: row.get(22)?,
    })
}

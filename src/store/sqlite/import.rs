//! Building a store from the lines of an export, in a private file; and single tokens of it in a store that has others.
//!
//! Nothing is believed: the result is a store only if its log vouches for every object in it.

use std::collections::HashMap;
use std::fmt::Write as _;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params_from_iter};
use serde_json::Value;

use super::columns::{self, Column, Fields};
use super::restore::{Live, Restoration, check};
use super::{Location, Store, StoreError, Watch, Write, open, schema, seal};
use crate::domain::event::{Action, Anchor, Author};
use crate::domain::name::{Name, TokenId};
use crate::domain::scope::{Catalogue, Scope};
use crate::domain::text::Line;
use crate::domain::token::Token;
use crate::domain::when::Clock;
use crate::domain::widening::Widening;

/// Why a line is not one of an export.
#[derive(Debug)]
pub enum BadLine {
    /// What is wrong with it.
    Content(String),
    Store(StoreError),
}

impl From<String> for BadLine {
    fn from(why: String) -> Self {
        Self::Content(why)
    }
}

/// Tables and their last row numbers.
#[derive(Default)]
struct Rows {
    token: i64,
    secret: i64,
    granted: i64,
}

/// A store under construction.
pub struct Importer {
    store: Store,
    rows: Rows,
    /// The rows of scopes by their names, and what each includes.
    scopes: HashMap<String, i64>,
    includes: Vec<(i64, Vec<String>)>,
}

impl Importer {
    /// Makes an empty private store.
    pub fn new(clock: &dyn Clock, author: &Author) -> Result<Self, StoreError> {
        let store = Store::private(clock, author, |path, _| {
            let make = || {
                let conn = open::connect(path, open::Access::Write)?;
                schema::create(&conn)?;
                schema::stamp(&conn)
            };
            make().map_err(|err| StoreError::sqlite(path, &err))
        })?;
        let begin = store.conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; BEGIN");
        begin.map_err(|err| store.failed(&err))?;
        Ok(Self { store, rows: Rows::default(), scopes: HashMap::new(), includes: Vec::new() })
    }

    /// Takes up a line.
    pub fn line(&mut self, kind: &str, mut fields: Fields) -> Result<(), BadLine> {
        match kind {
            "setting" => self.plain("setting", columns::SETTING, &mut fields)?,
            "pruned" => self.plain("pruned", columns::PRUNED, &mut fields)?,
            "event" => self.plain("events", columns::EVENT, &mut fields)?,
            "scope" => self.scope(&mut fields)?,
            "token" => self.token(&mut fields)?,
            kind => return Err(format!("its type is `{kind}`").into()),
        }
        Ok(columns::end(&fields)?)
    }

    fn plain(&self, table: &str, columns: &[Column], fields: &mut Fields) -> Result<(), BadLine> {
        let values = columns::take(columns, fields)?;
        insert(&self.store.conn, table, &columns::names(columns, ""), values)
    }

    fn scope(&mut self, fields: &mut Fields) -> Result<(), BadLine> {
        let includes = words(fields, "includes")?;
        let mut values = columns::take(columns::SCOPE, fields)?;
        let name = text(&values[1]).to_owned();
        name.parse::<Scope>().map_err(|invalid| invalid.message)?;
        let row = i64::try_from(self.scopes.len()).unwrap_or(i64::MAX) + 1;
        values.insert(0, row.into());
        values.push(number(includes.len()));
        values.push(seal::of_values("scope", &values).into());
        let names = format!("row, {}, include_count, seal", columns::names(columns::SCOPE, ""));
        insert(&self.store.conn, "scope", &names, values)?;
        self.scopes.insert(name, row);
        self.includes.push((row, includes));
        Ok(())
    }

    fn token(&mut self, fields: &mut Fields) -> Result<(), BadLine> {
        let parts = Parts::take(fields)?;
        let scopes: Vec<i64> =
            parts.scopes.iter().map(|name| self.scope_row(name)).collect::<Result<_, _>>()?;
        let conn = &self.store.conn;
        self.rows.token += 1;
        let token = self.rows.token;
        let mut values = vec![token.into()];
        values.extend(parts.token);
        values.extend([parts.labels.len(), scopes.len(), parts.secrets.len()].map(number));
        sealed(conn, "tokens", &token_columns(), values)?;
        for (key, value) in parts.labels {
            sealed(conn, "label", "token, key, value", vec![token.into(), key.into(), value.into()])?;
        }
        for scope in scopes {
            self.rows.granted += 1;
            let values = vec![self.rows.granted.into(), token.into(), scope.into()];
            sealed(conn, "granted", "row, token, scope", values)?;
        }
        for secret in parts.secrets {
            self.rows.secret += 1;
            let row: Sql = self.rows.secret.into();
            let values = [row.clone(), token.into()].into_iter().chain(secret.secret).collect();
            let names = format!("row, token, {}", columns::names(columns::SECRET, ""));
            sealed(conn, "secret", &names, values)?;
            for (table, columns, part) in
                [("delivery", columns::DELIVERY, secret.delivery), ("hook", columns::HOOK, secret.hook)]
            {
                if let Some(part) = part {
                    let names = format!("secret, {}", columns::names(columns, ""));
                    insert(conn, table, &names, [row.clone()].into_iter().chain(part).collect())?;
                }
            }
        }
        Ok(())
    }

    fn scope_row(&self, name: &str) -> Result<i64, String> {
        self.scopes.get(name).copied().ok_or_else(|| format!("the scope `{name}` is in no line before"))
    }

    /// Checks the store, whose log must end so, and prepares to put it into its place.
    pub fn finish<E: From<StoreError>>(
        self,
        head: Anchor,
        live: Live,
        clock: &dyn Clock,
        watch: Watch<'_, E>,
    ) -> Result<Restoration, E> {
        let damaged = |why: String| E::from(StoreError::Damaged(why));
        for (row, includes) in &self.includes {
            for name in includes {
                let included = self.scope_row(name).map_err(damaged)?;
                sealed(
                    &self.store.conn,
                    "scope_include",
                    "scope, included",
                    vec![(*row).into(), included.into()],
                )
                .map_err(|bad| match bad {
                    BadLine::Content(why) => damaged(why),
                    BadLine::Store(err) => err.into(),
                })?;
            }
        }
        let store = self.store;
        let end = store.conn.execute_batch("COMMIT; PRAGMA foreign_keys = ON");
        end.map_err(|err| store.failed(&err))?;
        check(&store, clock.now().map_err(StoreError::Clock)?, watch)?;
        let (found, commands) = store.read(|view| Ok::<_, StoreError>((view.anchor()?, view.commands()?)))?;
        if found != head {
            return Err(damaged(format!("its log ends with {found}, and its heading says {head}")));
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

/// What an export can replace: nothing, or a store that nothing has happened to.
pub fn unused(location: &Location) -> Result<Option<Live>, StoreError> {
    if !location.exists() {
        return Ok(Some(Live::Missing));
    }
    let store = Store::open_to_read(location)?;
    store.read(|view| {
        let sql =
            "SELECT (SELECT count(*) FROM events WHERE action <> 'init') + (SELECT count(*) FROM tokens)";
        let is_used = view.column::<i64>(sql, &[])? != [0];
        Ok(if is_used { None } else { Some(Live::SameHistory(view.anchor()?)) })
    })
}

fn token_columns() -> String {
    format!("row, {}, label_count, grant_count, secret_count", columns::names(columns::TOKEN, ""))
}

/// The parts of a token's line.
struct Parts {
    token: Vec<Sql>,
    labels: Vec<(String, String)>,
    scopes: Vec<String>,
    secrets: Vec<SecretParts>,
}

struct SecretParts {
    secret: Vec<Sql>,
    delivery: Option<Vec<Sql>>,
    hook: Option<Vec<Sql>>,
}

impl Parts {
    fn take(fields: &mut Fields) -> Result<Self, String> {
        let Some(Value::Object(labels)) = fields.remove("labels") else {
            return Err("`labels` is missing, or not an object".to_owned());
        };
        let label = |(key, value): (String, Value)| match value {
            Value::String(value) => Ok((key, value)),
            _ => Err(format!("the label `{key}` is not a text")),
        };
        let scopes = words(fields, "scopes")?;
        let secrets = match fields.remove("secrets") {
            Some(Value::Array(secrets)) if !secrets.is_empty() => secrets,
            _ => return Err("`secrets` is missing, or not a list of at least one".to_owned()),
        };
        let token = columns::take(columns::TOKEN, fields)?;
        text(&token[0]).parse::<TokenId>().map_err(|invalid| invalid.message)?;
        text(&token[1]).parse::<Name>().map_err(|invalid| invalid.message)?;
        for free in [&token[2], &token[3]] {
            text(free).parse::<Line>().map_err(|invalid| invalid.message)?;
        }
        Ok(Self {
            token,
            labels: labels.into_iter().map(label).collect::<Result<_, _>>()?,
            scopes,
            secrets: secrets.into_iter().map(SecretParts::take).collect::<Result<_, _>>()?,
        })
    }
}

impl SecretParts {
    fn take(value: Value) -> Result<Self, String> {
        let Value::Object(mut fields) = value else { return Err("a secret is not an object".to_owned()) };
        let mut part = |name: &str, columns: &[Column]| match fields.remove(name) {
            Some(Value::Null) => Ok(None),
            Some(Value::Object(mut part)) => {
                let values = columns::take(columns, &mut part)?;
                columns::end(&part).map(|()| Some(values))
            }
            _ => Err(format!("`{name}` of a secret is missing, or not an object")),
        };
        let (delivery, hook) = (part("delivery", columns::DELIVERY)?, part("hook", columns::HOOK)?);
        let secret = columns::take(columns::SECRET, &mut fields)?;
        columns::end(&fields)?;
        Ok(Self { secret, delivery, hook })
    }

    fn is_delivered(&self) -> bool {
        self.secret[4] != Sql::Null
    }
}

fn words(fields: &mut Fields, name: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("`{name}` is missing, or not a list of texts");
    let Some(Value::Array(all)) = fields.remove(name) else { return Err(wrong()) };
    let word = |value| if let Value::String(text) = value { Ok(text) } else { Err(wrong()) };
    all.into_iter().map(word).collect()
}

fn text(value: &Sql) -> &str {
    if let Sql::Text(text) = value { text } else { "" }
}

fn number(count: usize) -> Sql {
    i64::try_from(count).unwrap_or(i64::MAX).into()
}

fn sealed(conn: &Connection, table: &str, names: &str, mut values: Vec<Sql>) -> Result<(), BadLine> {
    values.push(seal::of_values(table, &values).into());
    insert(conn, table, &format!("{names}, seal"), values)
}

fn insert(conn: &Connection, table: &str, names: &str, values: Vec<Sql>) -> Result<(), BadLine> {
    let mut sql = format!("INSERT INTO {table} ({names}) VALUES (?1");
    (2..=values.len()).for_each(|at| {
        let _ = write!(sql, ", ?{at}");
    });
    sql.push(')');
    let run = || conn.prepare_cached(&sql)?.execute(params_from_iter(values));
    run().map(drop).map_err(|err: rusqlite::Error| match err.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation | rusqlite::ErrorCode::TypeMismatch) => {
            BadLine::Content(format!("it breaks a rule, or repeats what must be unique ({err})"))
        }
        _ => BadLine::Store(StoreError::sqlite(std::path::Path::new(conn.path().unwrap_or_default()), &err)),
    })
}

/// What stands in the way of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// A token that is not revoked has its name.
    Name,
    /// The store has its id, or one of its secrets.
    Known,
    /// One of its secrets was removed because it had ended.
    Pruned,
    /// No secret of it was ever delivered.
    Undelivered,
    NoScope(Scope),
}

impl Write<'_> {
    /// Enters a token of an export, with its delivered secrets, and records the event.
    pub fn import_token(
        &self,
        mut fields: Fields,
        catalogue: &Catalogue,
    ) -> Result<Result<Token, Conflict>, BadLine> {
        let mut parts = Parts::take(&mut fields)?;
        columns::end(&fields)?;
        parts.secrets.retain(SecretParts::is_delivered);
        let mut scopes = Vec::new();
        for name in &parts.scopes {
            let scope: Scope = name.parse().map_err(|invalid: crate::domain::Invalid| invalid.message)?;
            match catalogue.get(&scope).filter(|entry| entry.retired_at.is_none()) {
                Some(entry) => scopes.push(entry.row),
                None => return Ok(Err(Conflict::NoScope(scope))),
            }
        }
        if let Some(conflict) = self.conflict(&parts).map_err(BadLine::Store)? {
            return Ok(Err(conflict));
        }
        let conn = self.conn();
        let names = columns::names(columns::TOKEN, "");
        insert(conn, "tokens", &names, parts.token)?;
        let row = conn.last_insert_rowid();
        let of = [("label", "token"), ("granted", "token"), ("secret", "token")];
        self.starts_alone("tokens", row, &of).map_err(BadLine::Store)?;
        for (key, value) in parts.labels {
            insert(conn, "label", "token, key, value", vec![row.into(), key.into(), value.into()])?;
        }
        for scope in scopes {
            insert(conn, "granted", "token, scope", vec![row.into(), scope.into()])?;
        }
        for secret in parts.secrets {
            let names = format!("token, {}", columns::names(columns::SECRET, ""));
            insert(conn, "secret", &names, [row.into()].into_iter().chain(secret.secret).collect())?;
        }
        self.record_token(Action::Import, None, row, super::Matched::Yes).map(Ok).map_err(BadLine::Store)
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

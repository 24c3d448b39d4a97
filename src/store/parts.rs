//! Splits a token of an export into its rows. Only the form of the values is checked.

use std::fmt::Write as _;

use rusqlite::types::{ToSql, Value as Sql};
use serde_json::Value;

use super::columns::{self, Column, Fields};
use super::engine::Engine;
use super::{StoreError, View, seal};
use crate::domain::name::{Name, TokenId};
use crate::domain::scope::Scope;
use crate::domain::text::Line;

/// Why a line is not a valid line of an export.
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

/// The greatest row numbers of the tables of tokens.
#[derive(Default)]
pub struct Rows {
    token: i64,
    secret: i64,
    granted: i64,
}

impl Rows {
    /// Reads them from a store with tokens. Fails if a row refers to one that does not exist, since a new token
    /// would get what that row claims.
    pub fn last(view: &View<'_>) -> Result<Self, StoreError> {
        let last = |table: &str| {
            let sql = format!("SELECT coalesce(max(row), 0) FROM {table}");
            view.column(&sql, &[]).map(|all| all.first().copied().unwrap_or(0))
        };
        let rows = Self { token: last("tokens")?, secret: last("secret")?, granted: last("granted")? };
        if rows.token.max(rows.secret).max(rows.granted) > i64::MAX / 2 {
            return Err(StoreError::Damaged("a row has a number that no version of ours gives".to_owned()));
        }
        let references = [
            ("label", "token", rows.token),
            ("granted", "token", rows.token),
            ("secret", "token", rows.token),
            ("delivery", "secret", rows.secret),
            ("hook", "secret", rows.secret),
        ];
        for (table, column, last) in references {
            let sql = format!("SELECT {column} FROM {table} WHERE {column} > ?1 LIMIT 1");
            if let Some(row) = view.column::<i64>(&sql, &[&last])?.pop() {
                let why =
                    format!("a row of `{table}` refers to the {column} of row {row}, which does not exist");
                return Err(StoreError::Damaged(why));
            }
        }
        Ok(rows)
    }

    /// Writes a token with everything that belongs to it, sealed. Returns its row.
    pub fn enter(&mut self, engine: &Engine, parts: Parts, scopes: Vec<i64>) -> Result<i64, BadLine> {
        self.token += 1;
        let token = self.token;
        let mut values = vec![token.into()];
        values.extend(parts.token);
        values.push(format!("{},{},{}", parts.labels.len(), scopes.len(), parts.secrets.len()).into());
        sealed(engine, "tokens", &token_columns(), values)?;
        for (key, value) in parts.labels {
            sealed(engine, "label", "token, key, value", vec![token.into(), key.into(), value.into()])?;
        }
        for scope in scopes {
            self.granted += 1;
            let values = vec![self.granted.into(), token.into(), scope.into()];
            sealed(engine, "granted", "row, token, scope", values)?;
        }
        for secret in parts.secrets {
            self.secret += 1;
            let row: Sql = self.secret.into();
            let values = [row.clone(), token.into()].into_iter().chain(secret.secret).collect();
            let names = format!("row, token, {}", columns::names(columns::SECRET, ""));
            sealed(engine, "secret", &names, values)?;
            for (table, columns, part) in
                [("delivery", columns::DELIVERY, secret.delivery), ("hook", columns::HOOK, secret.hook)]
            {
                if let Some(part) = part {
                    let names = format!("secret, {}", columns::names(columns, ""));
                    let values: Vec<Sql> = [row.clone()].into_iter().chain(part).collect();
                    insert(engine, table, &names, &values)?;
                }
            }
        }
        Ok(token)
    }
}

fn token_columns() -> String {
    format!("row, {}, counts", columns::names(columns::TOKEN, ""))
}

/// A line, parsed into the values of its rows. This needs no store.
pub enum Prepared {
    /// A row of this table with these columns.
    Plain(&'static str, &'static [Column], Vec<Sql>),
    /// A scope, and the names of the scopes that it includes.
    Scope(Vec<Sql>, Vec<String>),
    Token(Parts),
}

impl Prepared {
    /// Parses a line. The error is what is wrong with it.
    pub fn of(kind: &str, mut fields: Fields) -> Result<Self, String> {
        let fields = &mut fields;
        let line = match kind {
            "setting" => Self::Plain("setting", columns::SETTING, columns::take(columns::SETTING, fields)?),
            "pruned" => Self::Plain("pruned", columns::PRUNED, columns::take(columns::PRUNED, fields)?),
            "event" => Self::Plain("events", columns::EVENT, columns::take(columns::EVENT, fields)?),
            "scope" => {
                let includes = words(fields, "includes")?;
                let values = columns::take(columns::SCOPE, fields)?;
                text(&values[1]).parse::<Scope>().map_err(|invalid| invalid.message)?;
                Self::Scope(values, includes)
            }
            "token" => Self::Token(Parts::take(fields)?),
            kind => return Err(format!("its type is `{kind}`")),
        };
        columns::end(fields).map(|()| line)
    }
}

/// Parses the line of a token.
pub struct Parts {
    pub token: Vec<Sql>,
    labels: Vec<(String, String)>,
    pub scopes: Vec<String>,
    pub secrets: Vec<SecretParts>,
}

pub struct SecretParts {
    pub secret: Vec<Sql>,
    pub delivery: Option<Vec<Sql>>,
    pub hook: Option<Vec<Sql>>,
}

impl Parts {
    pub fn take(fields: &mut Fields) -> Result<Self, String> {
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

    pub fn is_delivered(&self) -> bool {
        self.secret[4] != Sql::Null
    }
}

pub fn words(fields: &mut Fields, name: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("`{name}` is missing, or not a list of texts");
    let Some(Value::Array(all)) = fields.remove(name) else { return Err(wrong()) };
    let word = |value| if let Value::String(text) = value { Ok(text) } else { Err(wrong()) };
    all.into_iter().map(word).collect()
}

pub fn text(value: &Sql) -> &str {
    if let Sql::Text(text) = value { text } else { "" }
}

pub fn number(count: usize) -> Sql {
    i64::try_from(count).unwrap_or(i64::MAX).into()
}

pub fn sealed(engine: &Engine, table: &str, names: &str, mut values: Vec<Sql>) -> Result<(), BadLine> {
    values.push(seal::of_values(table, &values).into());
    insert(engine, table, &format!("{names}, seal"), &values)
}

pub fn insert(engine: &Engine, table: &str, names: &str, values: &[Sql]) -> Result<(), BadLine> {
    let mut sql = format!("INSERT INTO {table} ({names}) VALUES (?1");
    (2..=values.len()).for_each(|at| {
        let _ = write!(sql, ", ?{at}");
    });
    sql.push(')');
    let values: Vec<&dyn ToSql> = values.iter().map(|it| it as &dyn ToSql).collect();
    engine.run(&sql, &values).map(drop).map_err(|err| {
        if err.breaks_rule() {
            BadLine::Content(format!("it breaks a rule, or repeats what must be unique ({err})"))
        } else {
            BadLine::Store(engine.failed(&err))
        }
    })
}

//! Splits a token of an export into its rows. Checks only the form of the values.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::batch::{Batch, Table};
use super::cells::Cells;
use super::columns;
use super::item::{Fields, Item};
use super::token_rows::{OF_SECRET, OF_TOKEN, read_secret, read_token};
use super::{StoreError, View};
use crate::domain::name::{Name, TokenId};
use crate::domain::scope::Scope;
use crate::domain::text::Line;
use crate::domain::token::{Grant, Token};

/// Why a line is not a valid line of an export.
#[derive(Debug)]
pub enum BadLine {
    /// The content is wrong, for this reason.
    Content(String),
    Store(StoreError),
}

impl From<StoreError> for BadLine {
    fn from(err: StoreError) -> Self {
        Self::Store(err)
    }
}

impl From<String> for BadLine {
    fn from(why: String) -> Self {
        Self::Content(why)
    }
}

/// The highest row numbers in the tables of tokens.
#[derive(Default)]
pub struct Rows {
    token: i64,
    secret: i64,
    granted: i64,
}

impl Rows {
    /// Reads the numbers from a store with tokens. Fails if a row refers to a token or secret that does not
    /// exist, because a new one with that number would get the row.
    pub fn last(view: &View<'_>) -> Result<Self, StoreError> {
        let last = |table: &str| {
            let sql = format!("SELECT coalesce(max(row), 0) FROM {table}");
            view.column(&sql, &[]).map(|all| all.first().copied().unwrap_or(0))
        };
        let rows = Self { token: last("tokens")?, secret: last("secret")?, granted: last("granted")? };
        if rows.token.max(rows.secret).max(rows.granted) > i64::MAX / 2 {
            return Err(StoreError::Damaged(
                "a row has a number that no version of tokenctl assigns".to_owned(),
            ));
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

    /// Makes rows of a token's line, which are not in a database yet. An error describes what is wrong with
    /// the line.
    pub fn token(
        &mut self,
        line: usize,
        fields: &mut Fields<'_>,
        keep: Keep,
        scopes: &Scopes,
        batch: &mut Batch,
    ) -> Result<Arrival, String> {
        let Some(Item::Object(labels)) = fields.take("labels") else {
            return Err("`labels` is missing, or not an object".to_owned());
        };
        let names = words(fields, "scopes")?;
        let mut secrets = match fields.take("secrets") {
            Some(Item::List(secrets)) if !secrets.is_empty() => secrets,
            _ => return Err("`secrets` is missing, or not a list of at least one".to_owned()),
        };
        self.token += 1;
        let (first, from) = (batch.rows().len(), batch.next_cell());
        batch.integer(self.token);
        columns::take(columns::TOKEN, fields, batch)?;
        check_texts(batch, from)?;
        let missing =
            names.iter().find(|name| !scopes.contains_key(&***name)).map(|name| (**name).to_owned());
        let is_kept = |secret: &Item<'_>| keep == Keep::All || is_delivered(secret);
        let kept = secrets.iter().filter(|secret| is_kept(secret)).count();
        batch.text(&format!("{},{},{kept}", labels.iter().count(), names.len()));
        batch.add_sealed_row(Table::Tokens, line, from);
        for (key, value) in labels.iter() {
            let Some(value) = value.as_str() else { return Err(format!("the label `{key}` is not a text")) };
            let from = batch.next_cell();
            batch.integer(self.token);
            batch.text(key);
            batch.text(value);
            batch.add_sealed_row(Table::Label, line, from);
        }
        for scope in names.iter().filter_map(|name| scopes.get(&**name)) {
            self.granted += 1;
            let from = batch.next_cell();
            for value in [self.granted, self.token, scope.row] {
                batch.integer(value);
            }
            batch.add_sealed_row(Table::Granted, line, from);
        }
        for secret in &mut secrets {
            let is_kept = is_kept(secret);
            self.secret(line, secret, keep, is_kept, batch)?;
        }
        columns::check_all_taken(fields)?;
        let rows = first..batch.rows().len();
        let token = as_read(batch, rows.clone(), scopes, &names);
        Ok(Arrival { line, rows, missing, token })
    }

    fn secret(
        &mut self,
        line: usize,
        secret: &mut Item<'_>,
        keep: Keep,
        is_kept: bool,
        batch: &mut Batch,
    ) -> Result<(), String> {
        let Item::Object(fields) = secret else { return Err("a secret is not an object".to_owned()) };
        self.secret += 1;
        let from = batch.next_cell();
        batch.integer(self.secret);
        batch.integer(self.token);
        columns::take(columns::SECRET, fields, batch)?;
        if is_kept {
            batch.add_sealed_row(Table::Secret, line, from);
        }
        for (name, columns, table) in
            [("delivery", columns::DELIVERY, Table::Delivery), ("hook", columns::HOOK, Table::Hook)]
        {
            match fields.take(name) {
                Some(Item::Null) => {}
                Some(Item::Object(mut part)) => {
                    let from = batch.next_cell();
                    batch.integer(self.secret);
                    columns::take(columns, &mut part, batch)?;
                    columns::check_all_taken(&part)?;
                    if keep == Keep::All {
                        batch.add_row(table, line, from);
                    }
                }
                _ => return Err(format!("`{name}` of a secret is missing, or not an object")),
            }
        }
        columns::check_all_taken(fields)
    }
}

/// Which secrets of a token are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All secrets, with unfinished deliveries and hooks.
    All,
    /// Only delivered secrets, without deliveries and hooks.
    Delivered,
}

/// The scopes that tokens are allowed to hold, by name.
pub type Scopes = HashMap<String, Granted>;

pub struct Granted {
    pub row: i64,
    pub id: String,
    pub name: Scope,
}

/// A token whose rows are in a batch.
pub struct Arrival {
    /// The number of its line in the export.
    pub line: usize,
    /// The row of the token, and the rows that belong to it.
    pub rows: Range<usize>,
    /// A scope that the token holds but that does not exist.
    pub missing: Option<String>,
    /// The token as it will be read. `None` if it has to be read from the database.
    pub token: Option<Token>,
}

fn is_delivered(secret: &Item<'_>) -> bool {
    !matches!(secret, Item::Object(fields) if fields.get("delivered_at") == Some(&Item::Null))
}

/// Checks the texts of a token's row, which begins at this index.
fn check_texts(batch: &Batch, from: usize) -> Result<(), String> {
    let text = |at: usize| batch.str_at(from + 1 + at);
    text(0).parse::<TokenId>().map_err(|invalid| invalid.message)?;
    text(1).parse::<Name>().map_err(|invalid| invalid.message)?;
    [2, 3]
        .into_iter()
        .try_for_each(|at| text(at).parse::<Line>().map(drop).map_err(|invalid| invalid.message))
}

/// The token as which these rows will be read. `None` if they have a delivery or a hook, or cannot be read.
fn as_read(batch: &Batch, rows: Range<usize>, scopes: &Scopes, names: &[Cow<'_, str>]) -> Option<Token> {
    let rows = &batch.rows()[rows];
    let mut token = read_token(&Cells::of_values(&batch.values::<OF_TOKEN>(&rows[0]))).ok()?;
    for row in &rows[1..] {
        match row.table {
            Table::Label => {
                let text = |at| batch.value(row, at).as_str().map(str::to_owned);
                token.labels.insert(text(1).ok()?, text(2).ok()?);
            }
            Table::Secret => {
                token.secrets.push(read_secret(&Cells::of_values(&batch.values::<OF_SECRET>(row))).ok()?);
            }
            Table::Granted => {}
            _ => return None,
        }
    }
    for scope in names.iter().filter_map(|name| scopes.get(&**name)) {
        let (scope_id, name) = (scope.id.clone(), scope.name.clone());
        token.grants.insert(scope.row, Grant { row: 0, scope_id, scope: name, last_required_at: None });
    }
    Some(token)
}

/// Takes a list of strings out of the fields.
pub fn words<'a>(fields: &mut Fields<'a>, name: &str) -> Result<Vec<Cow<'a, str>>, String> {
    let wrong = || format!("`{name}` is missing, or not a list of strings");
    let Some(Item::List(all)) = fields.take(name) else { return Err(wrong()) };
    all.into_iter().map(|word| if let Item::Text(text) = word { Ok(text) } else { Err(wrong()) }).collect()
}

//! Exports the whole store, or its tokens, as JSON lines. The lines are read from a private copy, so that a
//! slow reader holds no lock, and all lines are of the same moment.

use serde_json::{Value, json};

use super::{FIRST, PAGE, Step, Store, StoreError, View, Watch};
use crate::domain::event::Author;
use crate::domain::token::Token;
use crate::domain::when::{Clock, Timestamp};
use crate::store::columns::{self, Column, Fields};
use crate::store::engine::{Fault, Row};

/// The version of the format.
pub const FORMAT: i64 = 1;

/// What an export includes.
pub struct Extent<'a> {
    /// Whether the export also has the settings, the events, and the hashes of pruned tokens.
    pub history: bool,
    /// Whether a token is included.
    pub includes: &'a dyn Fn(&Token) -> bool,
}

/// A function that is called with each line, without its newline.
pub type Take<'a, E> = &'a mut dyn FnMut(&str) -> Result<(), E>;

impl Store {
    /// Passes each line of an export to `take`.
    pub fn export<E: From<StoreError>>(
        &self,
        extent: &Extent<'_>,
        clock: &dyn Clock,
        author: &Author,
        take: Take<'_, E>,
        watch: Watch<'_, E>,
    ) -> Result<(), E> {
        watch(Step::new("copying the store", 0, 0))?;
        let copy = self.private_copy(clock, author)?;
        let now = clock.now().map_err(StoreError::Clock)?;
        let head = copy.read(|view| view.anchor())?;
        let header = json!({ "format": FORMAT, "version": env!("CARGO_PKG_VERSION"), "history": extent.history,
            "head": { "seq": head.seq, "hash": head.hash.to_hex().as_str() } });
        take(&line("header", &header))?;
        let mut counts = Fields::new();
        let mut lines = |kind: &str, all: Vec<Fields>, take: Take<'_, E>| {
            let count = counts.get(kind).and_then(Value::as_u64).unwrap_or(0);
            counts.insert(kind.to_owned(), (count + all.len() as u64).into());
            all.into_iter().try_for_each(|fields| take(&line(kind, &fields.into())))
        };
        if extent.history {
            let all = copy.read(|view| view.shown("setting", columns::SETTING, "key", ""))?;
            lines("setting", all, take)?;
        }
        lines("scope", copy.read(|view| view.shown_scopes())?, take)?;
        let (mut from, mut done, total) = (Some(FIRST), 0, copy.count());
        while let Some(start) = from {
            let (last, page) = copy.read(|view| view.shown_tokens(start, extent, now))?;
            done += page.len();
            lines("token", page, take)?;
            watch(Step::new("exporting tokens", done, total))?;
            from = last.and_then(|last| last.checked_add(1));
        }
        if extent.history {
            copy.each_shown("pruned", columns::PRUNED, "hash", |page| lines("pruned", page, take))?;
            copy.each_shown("events", columns::EVENT, "seq", |page| lines("event", page, take))?;
        }
        take(&line("end", &counts.into()))
    }

    /// Passes the rows of a table to `page`, page by page.
    fn each_shown<E: From<StoreError>>(
        &self,
        table: &str,
        columns: &[Column],
        key: &str,
        mut page: impl FnMut(Vec<Fields>) -> Result<(), E>,
    ) -> Result<(), E> {
        for at in (0..).step_by(PAGE) {
            let rest = format!("LIMIT {PAGE} OFFSET {at}");
            let all = self.read(|view| view.shown(table, columns, key, &rest))?;
            if all.is_empty() {
                break;
            }
            page(all)?;
        }
        Ok(())
    }
}

/// Formats a line, which begins with its type.
fn line(kind: &str, fields: &Value) -> String {
    let text = fields.to_string();
    let rest = text.strip_prefix('{').unwrap_or_default();
    let comma = if rest == "}" { "" } else { "," };
    format!("{{\"type\":\"{kind}\"{comma}{rest}")
}

impl View<'_> {
    fn shown(
        &self,
        table: &str,
        columns: &[Column],
        key: &str,
        rest: &str,
    ) -> Result<Vec<Fields>, StoreError> {
        let names = columns::names(columns, "");
        let sql = format!("SELECT {names} FROM {table} ORDER BY {key} {rest}");
        let read = |row: &Row<'_>| columns::show(columns, row, 0);
        let run = || self.prepare(&sql)?.all(&[], read);
        self.ok(run())
    }

    fn shown_scopes(&self) -> Result<Vec<Fields>, StoreError> {
        let sql = format!(
            "SELECT {}, (SELECT json_group_array(i.name) FROM (SELECT o.name FROM scope_include JOIN scope o
             ON o.row = included WHERE scope = s.row ORDER BY o.name) i) FROM scope s ORDER BY row",
            columns::names(columns::SCOPE, "s.")
        );
        let run = || {
            let read = |row: &Row<'_>| {
                let mut fields = columns::show(columns::SCOPE, row, 0)?;
                fields.insert("includes".to_owned(), list(row, columns::SCOPE.len())?);
                Ok(fields)
            };
            self.prepare(&sql)?.all(&[], read)
        };
        self.ok(run())
    }

    /// Reads a page of tokens that starts at a row. Returns its last row and the tokens.
    fn shown_tokens(
        &self,
        from: i64,
        extent: &Extent<'_>,
        now: Timestamp,
    ) -> Result<(Option<i64>, Vec<Fields>), StoreError> {
        let rows = self.rows_from(from)?;
        let tokens = self.tokens(&rows, now)?;
        let chosen = tokens.iter().filter(|token| (extent.includes)(token));
        let all = chosen.map(|token| self.ok(self.shown_token(token))).collect::<Result<_, _>>()?;
        Ok((rows.last().copied(), all))
    }

    fn shown_token(&self, token: &Token) -> Result<Fields, Fault> {
        let sql = format!("SELECT {} FROM tokens WHERE row = ?1", columns::names(columns::TOKEN, ""));
        let read = |row: &Row<'_>| columns::show(columns::TOKEN, row, 0);
        let mut fields = self.prepare(&sql)?.one(&[&token.row], read)?.unwrap_or_default();
        fields.insert("labels".to_owned(), json!(token.labels));
        let scopes: Vec<&str> = token.scopes().map(|scope| scope.as_str()).collect();
        fields.insert("scopes".to_owned(), json!(scopes));
        let sql = format!(
            "SELECT row, {} FROM secret WHERE token = ?1 ORDER BY row",
            columns::names(columns::SECRET, "")
        );
        let read = |row: &Row<'_>| Ok((row.get(0)?, columns::show(columns::SECRET, row, 1)?));
        let mut secrets: Vec<(i64, Fields)> = self.prepare(&sql)?.all(&[&token.row], read)?;
        for (secret, fields) in &mut secrets {
            for (table, columns) in [("delivery", columns::DELIVERY), ("hook", columns::HOOK)] {
                fields.insert(table.to_owned(), self.shown_one(table, columns, *secret)?);
            }
        }
        let secrets: Vec<Value> = secrets.into_iter().map(|(_, fields)| fields.into()).collect();
        fields.insert("secrets".to_owned(), secrets.into());
        Ok(fields)
    }

    /// Reads, from a table, the row that belongs to a secret. Returns null if there is no such row.
    fn shown_one(&self, table: &str, columns: &[Column], secret: i64) -> Result<Value, Fault> {
        let sql = format!("SELECT {} FROM {table} WHERE secret = ?1", columns::names(columns, ""));
        let read = |row: &Row<'_>| columns::show(columns, row, 0);
        Ok(self.prepare(&sql)?.one(&[&secret], read)?.map_or(Value::Null, Value::from))
    }
}

/// Reads a column that contains a list in JSON.
fn list(row: &Row<'_>, at: usize) -> rusqlite::Result<Value> {
    serde_json::from_str(&row.get::<String>(at)?)
        .map_err(|err| rusqlite::Error::ToSqlConversionFailure(err.into()))
}

//! Pages of tokens in the order of their names, for lists of all tokens. One statement takes their rows from
//! the store. A [`Reader`] checks and reads the rows, possibly on another thread.

mod reader;
mod rows;

use rusqlite::params;
use rusqlite::types::ToSql;

use super::engine::{Engine, Fault};
use super::token_rows::{
    DELIVERY, GRANTS, HOOK, LABELS, OF_BOTH, OF_GRANT, OF_GRANT_ROW, OF_LABEL, OF_SECRET, OF_TOKEN,
};
use super::{PAGE, Store, StoreError, View};
use crate::domain::token::Token;
use crate::domain::when::Timestamp;
pub use reader::Reader;
use rows::{Rows, Table};

/// How many tokens a page has. Several pages are in memory at once.
const TOKENS: usize = 250;

/// A page of rows as they were taken from the store.
#[derive(Default)]
pub struct Page {
    /// The name before the page, after which it can be taken again.
    pub after: Option<String>,
    /// Each token with its secrets, followed by the labels and grants of all tokens.
    rows: Rows,
    /// The row numbers of the tokens, and the name of the last one.
    tokens: Vec<i64>,
    end: Option<String>,
    /// The tokens of a page that was read table by table.
    read: Vec<Token>,
}

/// A walk through the unrevoked tokens in the order of their names.
pub struct Pages<'a> {
    store: &'a mut Store,
    now: Timestamp,
    reverse: bool,
    after: Option<String>,
    is_over: bool,
    /// Whether pages are read table by table. This is done for a server, which would otherwise send the whole
    /// store, and to get an error that names the damaged row.
    by_table: bool,
}

impl Store {
    pub fn pages_by_name(&mut self, reverse: bool, now: Timestamp) -> Pages<'_> {
        let by_table = self.spans_hosts();
        Pages { store: self, now, reverse, after: None, is_over: false, by_table }
    }
}

impl Pages<'_> {
    /// Returns a reader for these pages.
    pub fn reader(&self) -> Reader {
        Reader::new(self.store, self.now)
    }

    /// Whether there are no further pages.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Continues after this name, table by table.
    pub fn again(&mut self, after: Option<String>) {
        (self.after, self.is_over, self.by_table) = (after, false, true);
    }

    /// Takes the next page in a separate transaction. Returns whether there is one.
    pub fn take(&mut self, page: &mut Page) -> Result<bool, StoreError> {
        if self.is_over {
            return Ok(false);
        }
        match self.try_take(page) {
            Err(StoreError::Damaged(_)) if !self.by_table => {
                self.by_table = true;
                self.try_take(page)?;
            }
            taken => taken?,
        }
        Ok(true)
    }

    fn try_take(&mut self, page: &mut Page) -> Result<(), StoreError> {
        *page = Page { after: self.after.clone(), rows: std::mem::take(&mut page.rows), ..Page::default() };
        page.rows.clear();
        let more = self.store.read(|view| view.take_page(self, page))?;
        // A damaged index might contain a cycle.
        let goes_on = match (&self.after, &page.end) {
            (Some(after), Some(end)) if self.reverse => end < after,
            (Some(after), Some(end)) => end > after,
            (_, end) => end.is_some(),
        };
        if more && !goes_on {
            return Err(StoreError::Damaged("its names are out of order".to_owned()));
        }
        (self.after, self.is_over) = (page.end.clone(), !more);
        Ok(())
    }
}

impl View<'_> {
    /// Takes a page. Returns whether there might be more.
    fn take_page(&self, pages: &Pages<'_>, page: &mut Page) -> Result<bool, StoreError> {
        if pages.by_table {
            let rows = self.rows_by_name(pages.after.as_deref(), pages.reverse)?;
            page.read = self.tokens(&rows, pages.now)?;
            page.end = page.read.last().map(|token| token.name.to_string());
            return Ok(rows.len() == PAGE);
        }
        page.rows.is_sealed = self.checks_seals();
        let more = self.take_tokens(pages, page)?;
        let (least, most) = (page.tokens.iter().min().copied(), page.tokens.iter().max().copied());
        for (table, sql, columns, key) in [
            (Table::Label, LABELS, (OF_LABEL, OF_LABEL), "token"),
            (Table::Granted, GRANTS, (OF_GRANT_ROW, OF_GRANT), "g.token"),
        ] {
            let any = format!("SELECT 1 FROM {} WHERE token BETWEEN ?1 AND ?2 LIMIT 1", table.name());
            if self.has(&any, params![least, most])? {
                let Page { rows, tokens, .. } = &mut *page;
                self.each(table.name(), sql, key, key, tokens, |row| rows.add(table, row, 0, columns))?;
            }
        }
        Ok(more)
    }

    /// Takes tokens with their secrets. The index finds the names, and they are read from the rows to which
    /// it leads.
    fn take_tokens(&self, pages: &Pages<'_>, page: &mut Page) -> Result<bool, StoreError> {
        let (order, beyond) = if pages.reverse { ("DESC", "<") } else { ("ASC", ">") };
        // The first page has no bound, so that it also contains an invalid name that sorts before all valid
        // ones.
        let bound = pages.after.as_ref().map_or(String::new(), |_| format!("AND i.name {beyond} ?1"));
        // Few stores have unfinished deliveries or pending hooks, so their tables are usually left out.
        let any = "SELECT 1 WHERE EXISTS (SELECT 1 FROM delivery) OR EXISTS (SELECT 1 FROM hook)";
        let (both, joins, of_secret) = if self.has(any, &[])? {
            let joins = "LEFT JOIN delivery d ON d.secret = s.row LEFT JOIN hook h ON h.secret = s.row";
            (format!(", {DELIVERY}, {HOOK}"), joins, OF_SECRET + OF_BOTH)
        } else {
            (String::new(), "", OF_SECRET)
        };
        // The secrets of a token are sorted later, because SQLite would copy all columns to sort them.
        let sql = format!(
            "SELECT t.*, s.*{both} FROM tokens i CROSS JOIN tokens t ON t.row = i.row
             LEFT JOIN secret s ON s.token = t.row {joins}
             WHERE i.revoked_at IS NULL {bound} ORDER BY i.name {order}"
        );
        let args: Vec<&dyn ToSql> = pages.after.iter().map(|it| it as &dyn ToSql).collect();
        let mut run = || {
            let mut statement = self.prepare(&sql)?;
            let mut rows = statement.query(&args)?;
            while let Some(row) = rows.next()? {
                let number = row.get(0)?;
                if page.tokens.last() != Some(&number) {
                    if page.tokens.len() == TOKENS {
                        return Ok(true);
                    }
                    page.tokens.push(number);
                    page.end = row.get_ref(2)?.as_str().ok().map(str::to_owned);
                    page.rows.add(Table::Tokens, &row, 0, (OF_TOKEN, OF_TOKEN))?;
                }
                if row.get::<Option<i64>>(OF_TOKEN)?.is_some() {
                    page.rows.add(Table::Secret, &row, OF_TOKEN, (OF_SECRET, of_secret))?;
                }
            }
            Ok::<_, Fault>(false)
        };
        self.ok(run())
    }

    fn has(&self, sql: &str, args: &[&dyn ToSql]) -> Result<bool, StoreError> {
        Ok(!self.column::<i64>(sql, args)?.is_empty())
    }
}

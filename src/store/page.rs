//! Reads a page of tokens in the order of their names with one statement, for lists of all tokens.

use rusqlite::params;
use rusqlite::types::ToSql;

use super::cells::{self, Cells};
use super::engine::Row;
use super::sql::damage;
use super::token_rows::{Counts, DELIVERY, HOOK, OF_SECRET, OF_TOKEN, add_secret};
use super::tokens::TokensByRow;
use super::{PAGE, Parts, StoreError, View};
use crate::domain::token::Token;
use crate::domain::when::Timestamp;
use crate::store::usage::{Block, Kind};

/// How many tokens a page has. All of them and their output are in memory at once.
const TOKENS: usize = 250;

impl View<'_> {
    /// A page of the unrevoked tokens in the order of their names, after `after` (in reverse order, before
    /// it), and whether there might be more.
    pub fn page_by_name(
        &self,
        after: Option<&str>,
        reverse: bool,
        now: Timestamp,
    ) -> Result<(Vec<Token>, bool), StoreError> {
        // A page that cannot be read in this way is read table by table, so that the error names the row. A
        // server would send the whole store.
        if !self.spans_hosts()
            && let Ok(page) = self.joined_page(after, reverse, now)
        {
            return Ok(page);
        }
        let rows = self.rows_by_name(after, reverse)?;
        Ok((self.tokens(&rows, now)?, rows.len() == PAGE))
    }

    fn joined_page(
        &self,
        after: Option<&str>,
        reverse: bool,
        now: Timestamp,
    ) -> Result<(Vec<Token>, bool), StoreError> {
        let (page, more) = self.with_secrets(after, reverse, now)?;
        let rows: Vec<i64> = page.iter().map(|(token, _)| token.row).collect();
        let (least, most) = (rows.iter().min(), rows.iter().max());
        let any = |table: &str| -> Result<bool, StoreError> {
            let sql = format!("SELECT 1 FROM {table} WHERE token BETWEEN ?1 AND ?2 LIMIT 1");
            Ok(!self.column::<i64>(&sql, params![least, most])?.is_empty())
        };
        let (labels, grants) = (any("label")?, any("granted")?);
        if !(labels || grants) {
            // Labels and grants are read only for tokens that should have some.
            self.are_whole(&page, Parts::ALL)?;
            return Ok((page.into_iter().map(|(token, _)| token).collect(), more));
        }
        let mut found: TokensByRow = page.into_iter().map(|it| (it.0.row, it)).collect();
        self.add_labels(&rows, &mut found)?;
        self.add_grants(&rows, &mut found, Some(now))?;
        self.are_whole(found.values(), Parts::ALL)?;
        Ok((rows.iter().filter_map(|row| found.remove(row)).map(|(token, _)| token).collect(), more))
    }

    /// Reads tokens with their secrets. The index finds the names, and they are read from the rows to which
    /// it leads.
    fn with_secrets(
        &self,
        after: Option<&str>,
        reverse: bool,
        now: Timestamp,
    ) -> Result<(Vec<(Token, Counts)>, bool), StoreError> {
        let (order, beyond) = if reverse { ("DESC", "<") } else { ("ASC", ">") };
        // The first page has no bound, so that it also contains an invalid name that sorts before all valid
        // ones.
        let bound = after.map_or(String::new(), |_| format!("AND i.name {beyond} ?1"));
        // The secrets of a token are sorted later, because SQLite would copy all columns to sort them.
        let sql = format!(
            "SELECT t.*, s.*, {DELIVERY}, {HOOK} FROM tokens i CROSS JOIN tokens t ON t.row = i.row
             LEFT JOIN secret s ON s.token = t.row LEFT JOIN delivery d ON d.secret = s.row
             LEFT JOIN hook h ON h.secret = s.row WHERE i.revoked_at IS NULL {bound} ORDER BY i.name {order}"
        );
        let (mut page, mut block) = (Vec::with_capacity(TOKENS), Block::default());
        let mut statement = self.ok(self.prepare(&sql))?;
        let args: Vec<&dyn ToSql> = after.iter().map(|it| it as &dyn ToSql).collect();
        let mut rows = self.ok(statement.query(&args))?;
        while let Some(row) = self.ok(rows.next())? {
            let is_full =
                self.take(&row, now, &mut page, &mut block).map_err(|err| damage("tokens", &row, &err))?;
            if is_full {
                return Ok((page, true));
            }
        }
        Ok((page, false))
    }

    /// Adds a row to the page. Returns whether the row belongs to a token for which the page has no room.
    fn take(
        &self,
        row: &Row<'_>,
        now: Timestamp,
        page: &mut Vec<(Token, Counts)>,
        block: &mut Block,
    ) -> rusqlite::Result<bool> {
        let values = cells::values::<{ OF_TOKEN + OF_SECRET }>(row)?;
        let (of_token, of_secret) = values.split_at(OF_TOKEN);
        let (of_token, of_secret) = (Cells::new(row, 0, of_token), Cells::new(row, OF_TOKEN, of_secret));
        let number: i64 = of_token.get(0)?;
        if page.last().is_none_or(|(last, _)| last.row != number) {
            if page.len() == TOKENS {
                return Ok(true);
            }
            page.push(self.whole_token(&of_token)?);
        }
        if let (Some((token, _)), Some(_)) = (page.last_mut(), of_secret.get::<Option<i64>>(0)?) {
            let mut secret = self.whole_secret(&of_secret)?;
            secret.last_used_at = self.store.last(Kind::Uses, &secret, now, Some(block));
            secret.refused_at = self.refused_at(token, &secret, now);
            add_secret(token, secret, row, OF_TOKEN + OF_SECRET)?;
            token.secrets.sort_unstable_by_key(|secret| secret.row);
        }
        Ok(false)
    }
}

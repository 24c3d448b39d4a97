//! Tokens that a command has chosen. They are kept in a temporary SQLite database, so that a choice of any
//! size takes little memory. A small choice is never written to disk.

use rusqlite::{Connection, Row, params};

use crate::domain::name::{Name, TokenId};
use crate::domain::token::Token;
use crate::store::{PAGE, StoreError, UNCHANGED};

/// The order in which tokens are returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// In the order in which they were added.
    Given,
    /// By name, and tokens of the same name by id.
    Name,
}

pub struct Listed {
    conn: Connection,
    order: Order,
    pub count: usize,
}

/// A token as it was when the command chose it.
#[derive(Debug, Clone)]
pub struct OneListed {
    /// Its number in the order of adding, from 1.
    pub place: i64,
    pub row: i64,
    pub id: TokenId,
    pub name: Name,
    /// What the command notes about it.
    pub note: String,
}

impl Listed {
    pub fn new(order: Order) -> Result<Self, StoreError> {
        let made = Connection::open("").and_then(|conn| {
            // The file disappears with the process, however the process exits.
            conn.execute_batch(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = FILE;
                 CREATE TABLE listed (place INTEGER PRIMARY KEY, row INTEGER, id TEXT, name TEXT, note TEXT);
                 BEGIN",
            )?;
            Ok(conn)
        });
        Ok(Self { conn: made.map_err(|err| failed(&err))?, order, count: 0 })
    }

    pub fn add(&mut self, token: &Token, note: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO listed (row, id, name, note) VALUES (?1, ?2, ?3, ?4)";
        let run = || self.conn.prepare_cached(sql)?.execute(params![token.row, token.id, token.name, note]);
        run().map_err(|err| failed(&err))?;
        self.count += 1;
        Ok(())
    }

    /// Replaces the note about a token.
    pub fn note(&self, place: i64, note: &str) -> Result<(), StoreError> {
        let sql = "UPDATE listed SET note = ?2 WHERE place = ?1";
        let run = || self.conn.prepare_cached(sql)?.execute(params![place, note]);
        run().map(drop).map_err(|err| failed(&err))
    }

    /// Passes the tokens to `take`, page by page. A note that is replaced meanwhile is returned only by the
    /// next call.
    pub fn each<E: From<StoreError>>(
        &self,
        mut take: impl FnMut(Vec<OneListed>) -> Result<(), E>,
    ) -> Result<(), E> {
        let order = if self.order == Order::Name { "name, id" } else { "place" };
        let sql = format!("SELECT place, row, id, name, note FROM listed ORDER BY {order}");
        let failed = |err: rusqlite::Error| E::from(failed(&err));
        let mut statement = self.conn.prepare(&sql).map_err(failed)?;
        let read = |row: &Row<'_>| {
            Ok(OneListed {
                place: row.get(0)?,
                row: row.get(1)?,
                id: row.get(2)?,
                name: row.get(3)?,
                note: row.get(4)?,
            })
        };
        let mut rows = statement.query_map([], read).map_err(failed)?;
        loop {
            let page: Vec<OneListed> = rows.by_ref().take(PAGE).collect::<Result<_, _>>().map_err(failed)?;
            if page.is_empty() {
                return Ok(());
            }
            take(page)?;
        }
    }
}

fn failed(err: &rusqlite::Error) -> StoreError {
    StoreError::Io { what: format!("the list of chosen tokens cannot be kept: {err}"), settled: UNCHANGED }
}

//! Statements and the rows that they find. All rows are in memory at once: a page.

use rusqlite::types::{ToSql, ToSqlOutput};
use tokio_postgres::Row;

use super::Postgres;
use super::client::{Ask, Client, Failure};
use super::transaction::LOOK;
use super::values::Param;
use crate::store::engine::Fault;

/// How often a statement is sent as a text. Preparing it takes a separate request, which saves time only later.
const AS_TEXT: u32 = 2;

/// A statement.
pub struct Statement<'a> {
    engine: &'a Postgres,
    sql: String,
}

/// What a connection knows of a statement.
#[derive(Default)]
pub struct Form {
    runs: u32,
    prepared: Option<tokio_postgres::Statement>,
}

/// The rows that a statement has found.
pub struct FoundRows {
    rows: std::vec::IntoIter<Row>,
    current: Option<Row>,
}

impl FoundRows {
    pub fn next(&mut self) -> Option<&Row> {
        self.current = self.rows.next();
        self.current.as_ref()
    }
}

/// One text of a query in the words of PostgreSQL: numbered parameters have another sign, and what only tells SQLite's
/// planner what to do goes.
fn translated(sql: &str) -> String {
    sql.replace('?', "$").replace(" NOT INDEXED", "").replace("CROSS JOIN", "JOIN")
}

impl Postgres {
    pub fn prepare(&self, sql: &str) -> Statement<'_> {
        Statement { engine: self, sql: translated(sql) }
    }

    /// The statement as the server has prepared it, once it has come often enough.
    fn form_of(&self, sql: &str) -> Result<Option<tokio_postgres::Statement>, Failure> {
        let mut all = self.statements.borrow_mut();
        let Some(form) = all.get_mut(sql) else {
            all.insert(sql.to_owned(), Form { runs: 1, prepared: None });
            return Ok(None);
        };
        form.runs = form.runs.saturating_add(1);
        if form.prepared.is_none() && form.runs > AS_TEXT {
            form.prepared = Some(self.client.borrow_mut().prepare(sql)?);
        }
        Ok(form.prepared.clone())
    }
}

impl Statement<'_> {
    pub fn query(&self, args: &[&dyn ToSql]) -> Result<FoundRows, Fault> {
        let rows = self.with(args, Client::query)?;
        Ok(FoundRows { rows: rows.into_iter(), current: None })
    }

    /// Returns how many rows it changed.
    pub fn execute(&self, args: &[&dyn ToSql]) -> Result<usize, Fault> {
        let changed = self.with(args, Client::execute)?;
        self.engine.changes.set(self.engine.changes.get() + changed);
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    fn with<T>(
        &self,
        args: &[&dyn ToSql],
        run: impl Fn(&mut Client, Option<&str>, &Ask<'_>, &[Param<'_>]) -> Result<T, Failure>,
    ) -> Result<T, Fault> {
        let engine = self.engine;
        let values: Vec<ToSqlOutput<'_>> = args.iter().map(|it| it.to_sql()).collect::<Result<_, _>>()?;
        let params: Vec<Param<'_>> = values.iter().filter_map(Param::of).collect();
        let first = engine.pending.take().then_some(LOOK);
        let once = || {
            let prepared = engine.form_of(&self.sql)?;
            let ask = prepared.as_ref().map_or(Ask::Text(&self.sql), Ask::Prepared);
            run(&mut engine.client.borrow_mut(), first, &ask, &params)
        };
        let done = match once() {
            // Nothing of the transaction has happened yet, so a lost connection can be replaced.
            Err(err) if first.is_some() && err.is_end() && engine.reconnect().is_ok() => once(),
            done => done,
        };
        done.map_err(|err| engine.note(err))
    }
}

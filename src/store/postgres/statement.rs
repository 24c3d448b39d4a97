//! Statements and the rows that they find. All rows are in memory at once: a page.

use rusqlite::types::{ToSql, ToSqlOutput};

use super::Postgres;
use super::values::Param;
use crate::store::engine::Fault;

/// A statement that the server has prepared.
pub struct Statement<'a> {
    pub engine: &'a Postgres,
    pub prepared: postgres::Statement,
}

/// The rows that a statement has found.
pub struct FoundRows {
    rows: std::vec::IntoIter<postgres::Row>,
    current: Option<postgres::Row>,
}

impl FoundRows {
    pub fn next(&mut self) -> Option<&postgres::Row> {
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
    pub fn prepare(&self, sql: &str) -> Result<Statement<'_>, Fault> {
        if let Some(prepared) = self.statements.borrow().get(sql) {
            return Ok(Statement { engine: self, prepared: prepared.clone() });
        }
        let prepared = self.client.borrow_mut().prepare(&translated(sql)).map_err(|err| self.note(err))?;
        self.statements.borrow_mut().insert(sql.to_owned(), prepared.clone());
        Ok(Statement { engine: self, prepared })
    }
}

impl Statement<'_> {
    pub fn columns(&self) -> usize {
        self.prepared.columns().len()
    }

    pub fn query(&self, args: &[&dyn ToSql]) -> Result<FoundRows, Fault> {
        let rows = self.with(args, |client, params| client.query(&self.prepared, params))?;
        if self.prepared.columns().is_empty() {
            return Ok(FoundRows { rows: Vec::new().into_iter(), current: None });
        }
        Ok(FoundRows { rows: rows.into_iter(), current: None })
    }

    /// Returns how many rows it changed.
    pub fn execute(&self, args: &[&dyn ToSql]) -> Result<usize, Fault> {
        let changed = self.with(args, |client, params| client.execute(&self.prepared, params))?;
        self.engine.changes.set(self.engine.changes.get() + changed);
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    fn with<T>(
        &self,
        args: &[&dyn ToSql],
        run: impl FnOnce(
            &mut postgres::Client,
            &[&(dyn postgres::types::ToSql + Sync)],
        ) -> Result<T, postgres::Error>,
    ) -> Result<T, Fault> {
        let values: Vec<ToSqlOutput<'_>> = args.iter().map(|it| it.to_sql()).collect::<Result<_, _>>()?;
        let params: Vec<Param<'_>> = values.iter().filter_map(Param::of).collect();
        let params: Vec<&(dyn postgres::types::ToSql + Sync)> =
            params.iter().map(|it| it as &(dyn postgres::types::ToSql + Sync)).collect();
        let done = run(&mut self.engine.client.borrow_mut(), &params);
        done.map_err(|err| self.engine.note(err))
    }
}

//! Inserts the rows of a batch.

use super::batch::{Batch, Row, Table};
use super::columns::{self, Column};
use super::engine::{Engine, Fault, Prepared};
use super::parts::BadLine;

/// The number of tables.
const TABLES: usize = Table::Events as usize + 1;

fn insert(table: Table) -> String {
    // The columns before those that an export contains, those columns, and the ones after them.
    let (before, shown, after): (&[&str], &[Column], &[&str]) = match table {
        Table::Setting => (&[], columns::SETTING, &[]),
        Table::Scope => (&["row"], columns::SCOPE, &["include_count", "seal"]),
        Table::Includes => (&["scope", "included"], &[], &["seal"]),
        Table::Tokens => (&["row"], columns::TOKEN, &["counts", "seal"]),
        Table::Label => (&["token", "key", "value"], &[], &["seal"]),
        Table::Granted => (&["row", "token", "scope"], &[], &["seal"]),
        Table::Secret => (&["row", "token"], columns::SECRET, &["seal"]),
        Table::Delivery => (&["secret"], columns::DELIVERY, &[]),
        Table::Hook => (&["secret"], columns::HOOK, &[]),
        Table::Pruned => (&[], columns::PRUNED, &[]),
        Table::Events => (&[], columns::EVENT, &[]),
    };
    let names: Vec<&str> = before
        .iter()
        .copied()
        .chain(shown.iter().map(|column| column.0))
        .chain(after.iter().copied())
        .collect();
    let marks: Vec<String> = (1..=names.len()).map(|at| format!("?{at}")).collect();
    format!("INSERT INTO {} ({}) VALUES ({})", table.name(), names.join(", "), marks.join(", "))
}

/// The statements that insert rows. Each is prepared when its first row is inserted.
#[derive(Default)]
pub struct Entry<'a>([Option<Prepared<'a>>; TABLES]);

impl<'a> Entry<'a> {
    pub fn row(&mut self, engine: &'a Engine, batch: &Batch, row: &Row) -> Result<(), Fault> {
        let statement = match &mut self.0[row.table as usize] {
            Some(statement) => statement,
            empty => empty.insert(engine.prepare(&insert(row.table))?),
        };
        statement.enter(batch.all(row))
    }

    /// Inserts all rows. An error contains the number of the line.
    pub fn all(&mut self, engine: &'a Engine, batch: &Batch) -> Result<(), (usize, BadLine)> {
        let enter = |row: &Row| self.row(engine, batch, row).map_err(|err| (row.line, failed(engine, &err)));
        batch.rows().iter().try_for_each(enter)
    }
}

/// Describes why the rows of a line cannot be inserted.
pub fn failed(engine: &Engine, err: &Fault) -> BadLine {
    if err.breaks_rule() {
        return BadLine::Content(format!("it breaks a rule, or repeats what must be unique ({err})"));
    }
    BadLine::Store(engine.failed(err))
}

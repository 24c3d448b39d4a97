//! Whole stores between a server and private files: each row as it is, so that seals, digests and the log stay what they are.

use rusqlite::types::{ToSql, Value};

use super::schema::{COPIED, NUMBERED};
use super::{Access, Address, Postgres};
use crate::domain::event::{Anchor, Author, GENESIS};
use crate::domain::when::Clock;
use crate::store::engine::{Engine, Fault, Purpose};
use crate::store::sqlite::{Live, Restoration};
use crate::store::{PAGE, Store, StoreError};

/// Copies every row, within the transactions that are open.
fn copy(from: &Engine, to: &Engine) -> Result<(), StoreError> {
    COPIED.iter().try_for_each(|(table, key)| copy_table(from, to, table, key))
}

fn copy_table(from: &Engine, to: &Engine, table: &str, key: &[&str]) -> Result<(), StoreError> {
    let keys = key.join(", ");
    let places: Vec<String> = (1..=key.len()).map(|at| format!("?{at}")).collect();
    let rest = format!("ORDER BY {keys} LIMIT {PAGE}");
    let first = format!("SELECT {keys}, * FROM {table} {rest}");
    let next = format!("SELECT {keys}, * FROM {table} WHERE ({keys}) > ({}) {rest}", places.join(", "));
    let mut after: Option<Vec<Value>> = None;
    loop {
        let page = match &after {
            None => rows(from, &first, &[]),
            Some(after) => rows(from, &next, after),
        };
        let page = page.map_err(|err| from.failed(&err))?;
        for row in &page {
            enter(to, table, &row[key.len()..]).map_err(|err| to.failed(&err))?;
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last[..key.len()].to_vec()),
            _ => return Ok(()),
        }
    }
}

fn rows(from: &Engine, sql: &str, args: &[Value]) -> Result<Vec<Vec<Value>>, Fault> {
    let args: Vec<&dyn ToSql> = args.iter().map(|it| it as &dyn ToSql).collect();
    from.prepare(sql)?.all(&args, |row| (0..row.columns()).map(|at| row.get(at)).collect())
}

fn enter(to: &Engine, table: &str, values: &[Value]) -> Result<(), Fault> {
    let places: Vec<String> = (1..=values.len()).map(|at| format!("?{at}")).collect();
    let values: Vec<&dyn ToSql> = values.iter().map(|it| it as &dyn ToSql).collect();
    to.run(&format!("INSERT INTO {table} VALUES ({})", places.join(", ")), &values).map(drop)
}

impl Store {
    /// A private copy in a file of a store that is a server's, of one moment.
    pub(in crate::store) fn file_of_server(
        &self,
        clock: &dyn Clock,
        author: &Author,
    ) -> Result<Self, StoreError> {
        let file = Self::private_to_fill(clock, author)?;
        self.read(|_| copy(&self.engine, &file.engine))?;
        file.commit_filled().map(|()| file)
    }

    /// Makes the store of a server, which has none, from this one.
    pub(in crate::store) fn put_on_server(&self, address: &Address) -> Result<(), StoreError> {
        Postgres::replace(address, self, &Anchor { seq: 0, hash: GENESIS })
    }

    /// Puts all rows of another store in place of those of this one, whose log must still end so.
    fn become_as(&self, other: &Self, expected: &Anchor, head: &Anchor) -> Result<(), StoreError> {
        let open = self.begin(Purpose::Change)?;
        if crate::store::View::of(self).anchor()? != *expected {
            return Err(StoreError::Changed);
        }
        let run = |sql: &str| self.engine.run(sql, &[]).map(drop).map_err(|err| self.failed(&err));
        for (table, _) in COPIED.iter().rev() {
            run(&format!("DELETE FROM {table}"))?;
        }
        run("DELETE FROM usage")?;
        other.read(|_| copy(&other.engine, &self.engine))?;
        self.engine.number_from_here().map_err(|err| self.failed(&err))?;
        open.commit().or_else(|err| self.settle(&err, head))
    }
}

impl Postgres {
    /// Lets the numbers of further rows follow those that there are.
    pub fn number_from_here(&self) -> Result<(), Fault> {
        NUMBERED.iter().try_for_each(|table| {
            let sql = format!(
                "SELECT setval(pg_get_serial_sequence('{table}', 'row'), (SELECT coalesce(max(row), 0) + 1 FROM {table}), false)"
            );
            self.prepare(&sql).query(&[]).map(drop)
        })
    }

    /// Puts a store that was built in a private file in place of one that nothing has happened to.
    pub fn install(address: &Address, built: &Restoration) -> Result<(), StoreError> {
        match &built.live {
            Live::SameHistory(expected) => Self::replace(address, &built.result, expected),
            _ => Self::replace(address, &built.result, &Anchor { seq: 0, hash: GENESIS }),
        }
    }

    /// Puts all rows of a store in place of those whose log ends so.
    pub fn replace(address: &Address, by: &Store, expected: &Anchor) -> Result<(), StoreError> {
        let head = by.read(|view| view.anchor())?;
        let store = Store::of(Engine::Postgres(Self::tables(address, Access::Write)?.0));
        store.become_as(by, expected, &head)
    }
}

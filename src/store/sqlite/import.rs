//! Builds a store from the lines of an export, in a private file.
//!
//! Nothing is trusted. The result is a store only if its log confirms every object in it.

use std::collections::HashMap;

use rusqlite::types::Value as Sql;

use super::restore::{Live, Restoration, check_built};
use super::{Store, StoreError, Watch};
use crate::domain::event::{Anchor, Author};
use crate::domain::when::{Clock, Timestamp};
use crate::domain::widening::Widening;
use crate::store::columns;
use crate::store::parts::{BadLine, Prepared, Rows, insert, number, sealed, text};
use crate::store::seal;

/// A store under construction.
pub struct Importer {
    store: Store,
    rows: Rows,
    /// The rows of scopes by their names, and the includes of each.
    scopes: HashMap<String, i64>,
    includes: Vec<(i64, Vec<String>)>,
}

impl Importer {
    /// Makes an empty private store.
    pub fn new(clock: &dyn Clock, author: &Author) -> Result<Self, StoreError> {
        let store = Store::private_to_fill(clock, author)?;
        Ok(Self { store, rows: Rows::default(), scopes: HashMap::new(), includes: Vec::new() })
    }

    /// Inserts a line.
    pub fn line(&mut self, line: Prepared) -> Result<(), BadLine> {
        match line {
            Prepared::Plain(table, columns, values) => {
                insert(&self.store.engine, table, &columns::names(columns, ""), &values)
            }
            Prepared::Scope(values, includes) => self.scope(values, includes),
            Prepared::Token(parts) => {
                let scopes =
                    parts.scopes.iter().map(|name| self.scope_row(name)).collect::<Result<_, _>>()?;
                self.rows.enter(&self.store.engine, parts, scopes).map(drop)
            }
        }
    }

    fn scope(&mut self, mut values: Vec<Sql>, includes: Vec<String>) -> Result<(), BadLine> {
        let name = text(&values[1]).to_owned();
        let row = i64::try_from(self.scopes.len()).unwrap_or(i64::MAX) + 1;
        values.insert(0, row.into());
        values.push(number(includes.len()));
        values.push(seal::of_values("scope", &values).into());
        let names = format!("row, {}, include_count, seal", columns::names(columns::SCOPE, ""));
        insert(&self.store.engine, "scope", &names, &values)?;
        self.scopes.insert(name, row);
        self.includes.push((row, includes));
        Ok(())
    }

    fn scope_row(&self, name: &str) -> Result<i64, String> {
        self.scopes.get(name).copied().ok_or_else(|| format!("the scope `{name}` is in no line before"))
    }

    /// Checks the store, whose log must have this head, and prepares it for being put in place.
    pub fn finish<E: From<StoreError>>(
        self,
        head: Anchor,
        live: Live,
        now: Timestamp,
        watch: Watch<'_, E>,
    ) -> Result<Restoration, E> {
        let damaged = |why: String| E::from(StoreError::Damaged(why));
        for (row, includes) in &self.includes {
            for name in includes {
                let included = self.scope_row(name).map_err(damaged)?;
                sealed(
                    &self.store.engine,
                    "scope_include",
                    "scope, included",
                    vec![(*row).into(), included.into()],
                )
                .map_err(|bad| match bad {
                    BadLine::Content(why) => damaged(why),
                    BadLine::Store(err) => err.into(),
                })?;
            }
        }
        let store = self.store;
        store.is_filled()?;
        check_built(&store, now, watch)?;
        let (found, commands) = store.read(|view| Ok::<_, StoreError>((view.anchor()?, view.commands()?)))?;
        if found != head {
            return Err(damaged(format!("its log ends with {found}, and its heading says {head}")));
        }
        Ok(Restoration {
            result: store,
            live,
            backup_head: head,
            head,
            changed: true,
            kept_ended: Vec::new(),
            discarded: Vec::new(),
            widening: Widening::default(),
            commands: commands.into_iter().collect(),
        })
    }
}

impl Restoration {
    /// How many tokens the result has.
    pub fn tokens(&self) -> i64 {
        self.result.count()
    }
}

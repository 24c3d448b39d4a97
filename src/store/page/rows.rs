//! Rows on their way from the thread that takes them to the thread that reads them. They have the encoding
//! from which seals are computed.

use rusqlite::types::ValueRef;

use crate::store::engine::Row as Found;
use crate::store::seal;

/// The table to which a row belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Tokens,
    /// A secret, with its unfinished delivery and its pending hook if the store has any.
    Secret,
    Label,
    Granted,
}

impl Table {
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Secret => "secret",
            Self::Label => "label",
            Self::Granted => "granted",
        }
    }
}

#[derive(Default)]
pub struct Rows {
    bytes: Vec<u8>,
    pub all: Vec<Row>,
    /// Whether the rows have seals. A migration can add them between two pages.
    pub is_sealed: bool,
}

pub struct Row {
    pub table: Table,
    pub columns: usize,
    from: usize,
    /// The position of its seal.
    seal: usize,
    to: usize,
}

impl Rows {
    /// Removes all rows, but keeps the memory for others.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.all.clear();
    }

    /// Adds the columns of a row from `first` on. The first `sealed` of them end with the seal.
    pub fn add(
        &mut self,
        table: Table,
        row: &Found<'_>,
        first: usize,
        (sealed, columns): (usize, usize),
    ) -> rusqlite::Result<()> {
        let from = self.bytes.len();
        seal::begin(table.name(), &mut self.bytes);
        let mut seal = from;
        row.each(first..first + columns, |at, value| {
            if at + 1 == first + sealed {
                seal = self.bytes.len();
            }
            seal::encode(value, &mut self.bytes);
        })?;
        self.all.push(Row { table, columns, from, seal, to: self.bytes.len() });
        Ok(())
    }

    /// The first `N` values of a row.
    pub fn values<const N: usize>(&self, row: &Row) -> [ValueRef<'_>; N] {
        let mut bytes = &self.bytes[row.from..row.to];
        let _name = seal::decode(&mut bytes);
        let mut values = [ValueRef::Null; N];
        for value in &mut values {
            *value = seal::decode(&mut bytes).unwrap_or(ValueRef::Null);
        }
        values
    }

    /// The first `N` values of a row. Fails if its seal does not match the columns before it.
    pub fn unbroken<const N: usize>(&self, row: &Row) -> rusqlite::Result<[ValueRef<'_>; N]> {
        let expected = || ValueRef::Integer(seal::of(&self.bytes[row.from..row.seal]));
        if self.is_sealed && seal::decode(&mut &self.bytes[row.seal..]) != Some(expected()) {
            return Err(seal::broken(0));
        }
        Ok(self.values(row))
    }
}

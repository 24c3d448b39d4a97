//! Seals. A seal is eight bytes of a hash over a row, in the last column of the row. Seals are needed because
//! SQLite has no checksums, and a bit that flips on a disk must not change a verdict. Deliberate edits of
//! rows are found by the log instead.

use rusqlite::types::{ToSql, Value, ValueRef};

use super::cells::Cells;
use super::engine::Row;
use super::sql::wrong;
use super::{StoreError, Write};

/// A table whose rows are sealed.
struct Sealed {
    name: &'static str,
    /// The column with the row of the object that a row belongs to.
    owner: &'static str,
    /// The columns that identify a row.
    key: &'static [&'static str],
}

const OF_TOKEN: [Sealed; 4] = [
    Sealed { name: "tokens", owner: "row", key: &["row"] },
    Sealed { name: "secret", owner: "token", key: &["row"] },
    Sealed { name: "granted", owner: "token", key: &["row"] },
    Sealed { name: "label", owner: "token", key: &["token", "key"] },
];
const OF_SCOPE: [Sealed; 2] = [
    Sealed { name: "scope", owner: "row", key: &["row"] },
    Sealed { name: "scope_include", owner: "scope", key: &["scope", "included"] },
];

/// Computes the seal of a row, over the name of the table, and over each column with its type and length.
pub fn seal<'a>(table: &str, columns: impl IntoIterator<Item = ValueRef<'a>>) -> i64 {
    let mut bytes = Vec::with_capacity(512);
    begin(table, &mut bytes);
    columns.into_iter().for_each(|column| encode(&column, &mut bytes));
    of(&bytes)
}

/// Begins the encoding of a row, from which its seal is computed.
pub fn begin(table: &str, bytes: &mut Vec<u8>) {
    encode(&ValueRef::Text(table.as_bytes()), bytes);
}

/// Adds a column to the encoding of a row.
#[inline]
pub fn encode(column: &ValueRef<'_>, bytes: &mut Vec<u8>) {
    let mut number = |tag: u8, [a, b, c, d, e, f, g, h]: [u8; 8]| {
        bytes.extend_from_slice(&[tag, a, b, c, d, e, f, g, h]);
    };
    let (tag, text) = match column {
        ValueRef::Null => return bytes.push(b'n'),
        ValueRef::Integer(value) => return number(b'i', value.to_le_bytes()),
        ValueRef::Real(value) => return number(b'r', value.to_le_bytes()),
        ValueRef::Text(text) => (b't', text),
        ValueRef::Blob(blob) => (b'b', blob),
    };
    number(tag, (text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text);
}

/// Removes the first column from an encoding, and returns it. `None` if there is none.
#[cfg(feature = "cli")]
pub fn decode<'b>(bytes: &mut &'b [u8]) -> Option<ValueRef<'b>> {
    let (tag, rest) = bytes.split_first()?;
    if *tag == b'n' {
        *bytes = rest;
        return Some(ValueRef::Null);
    }
    let (number, rest) = rest.split_first_chunk::<8>()?;
    *bytes = rest;
    let mut take = || {
        let (text, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*number)).ok()?)?;
        *bytes = rest;
        Some(text)
    };
    match tag {
        b'i' => Some(ValueRef::Integer(i64::from_le_bytes(*number))),
        b'r' => Some(ValueRef::Real(f64::from_le_bytes(*number))),
        b't' => take().map(ValueRef::Text),
        _ => take().map(ValueRef::Blob),
    }
}

/// The seal of an encoded row.
pub fn of(bytes: &[u8]) -> i64 {
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    i64::from_le_bytes(first)
}

/// Fails unless the last of these cells, which are a whole row, is the seal of the others.
pub fn check(table: &str, cells: &Cells<'_>) -> rusqlite::Result<()> {
    let Some((last, columns)) = cells.values().split_last() else { return Ok(()) };
    if *last == ValueRef::Integer(seal(table, columns.iter().copied())) {
        return Ok(());
    }
    Err(broken(cells.column(columns.len())))
}

/// The error for a row whose seal, which is in this column, does not match the other columns.
pub fn broken(column: usize) -> rusqlite::Error {
    wrong(column, "the row is not what was written")
}

/// The seal over the columns from `first` to the one before `last`.
fn seal_of(table: &str, row: &Row<'_>, first: usize, last: usize) -> rusqlite::Result<i64> {
    let columns: Vec<_> = (first..last).map(|at| row.get_ref(at)).collect::<Result<_, _>>()?;
    Ok(seal(table, columns))
}

impl Write<'_> {
    /// Seals all rows of a token in their current state.
    pub(super) fn seal_token(&self, row: i64) -> Result<(), StoreError> {
        let counts = "UPDATE tokens SET counts = (SELECT count(*) FROM label WHERE token = ?1) || ',' ||
             (SELECT count(*) FROM granted WHERE token = ?1) || ',' ||
             (SELECT count(*) FROM secret WHERE token = ?1) WHERE row = ?1";
        self.run(counts, &[&row])?;
        OF_TOKEN.iter().try_for_each(|table| self.seal_rows(table, row))
    }

    /// Seals a scope and the rows of its includes.
    pub(super) fn seal_scope(&self, row: i64) -> Result<(), StoreError> {
        let count = "UPDATE scope SET include_count = (SELECT count(*) FROM scope_include WHERE scope = ?1) WHERE row = ?1";
        self.run(count, &[&row])?;
        OF_SCOPE.iter().try_for_each(|table| self.seal_rows(table, row))
    }

    fn seal_rows(&self, table: &Sealed, owner: i64) -> Result<(), StoreError> {
        let Sealed { name, owner: column, key } = table;
        let keys = key.join(", ");
        let sql = format!("SELECT {keys}, * FROM {name} WHERE {column} = ?1");
        let run = || {
            let mut all = self.prepare(&sql)?;
            let mut changed = Vec::new();
            let mut rows = all.query(&[&owner])?;
            while let Some(row) = rows.next()? {
                let last = row.columns() - 1;
                let seal = seal_of(name, &row, key.len(), last)?;
                if row.get::<Option<i64>>(last)? != Some(seal) {
                    let mut values = vec![Value::Integer(seal)];
                    for at in 0..key.len() {
                        values.push(row.get(at)?);
                    }
                    changed.push(values);
                }
            }
            drop(rows);
            let test: Vec<String> = (2..).zip(*key).map(|(at, column)| format!("{column} = ?{at}")).collect();
            let sql = format!("UPDATE {name} SET seal = ?1 WHERE {}", test.join(" AND "));
            for values in changed {
                let values: Vec<&dyn ToSql> = values.iter().map(|it| it as &dyn ToSql).collect();
                self.store.engine.run(&sql, &values)?;
            }
            Ok(())
        };
        self.ok(run())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_intact_only_in_its_table_with_each_value_type_and_length() {
        use ValueRef::{Integer, Null, Text};
        let written = [Integer(1), Text(b"ab"), Text(b"c"), Null];
        let seal = Integer(seal("tokens", written));
        let is_intact = |table, [a, b, c, d]: [ValueRef<'_>; 4]| {
            check(table, &Cells::of_values(&[a, b, c, d, seal])).is_ok()
        };
        assert!(is_intact("tokens", written));
        assert!(!is_intact("secret", written));
        assert!(!is_intact("tokens", [Integer(2), Text(b"ab"), Text(b"c"), Null]));
        assert!(!is_intact("tokens", [Text(b"1"), Text(b"ab"), Text(b"c"), Null]));
        assert!(!is_intact("tokens", [Integer(1), Text(b"a"), Text(b"bc"), Null]));
        assert!(!is_intact("tokens", [Integer(1), Text(b"ab"), Text(b"c"), Text(b"")]));
    }
}

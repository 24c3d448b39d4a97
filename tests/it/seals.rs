//! A second implementation of seals, written from the documents. A deliberate edit can correct the seals, and then the
//! log must show the edit.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

const TABLES: [(&str, &[&str]); 6] = [
    ("tokens", &["row"]),
    ("secret", &["row"]),
    ("granted", &["row"]),
    ("label", &["token", "key"]),
    ("scope", &["row"]),
    ("scope_include", &["scope", "included"]),
];

/// Updates the seal of every row to match its content.
pub fn seal(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(
        "UPDATE tokens SET counts = (SELECT count(*) FROM label WHERE token = tokens.row) || ',' ||
         (SELECT count(*) FROM granted WHERE token = tokens.row) || ',' ||
         (SELECT count(*) FROM secret WHERE token = tokens.row);
         UPDATE scope SET include_count = (SELECT count(*) FROM scope_include i WHERE i.scope = scope.row)",
    )?;
    for (table, key) in TABLES {
        let mut all = conn.prepare(&format!("SELECT {}, * FROM {table}", key.join(", ")))?;
        let last = all.column_count() - 1;
        let test: Vec<String> = (2..).zip(key).map(|(at, column)| format!("{column} = ?{at}")).collect();
        let mut update =
            conn.prepare(&format!("UPDATE {table} SET seal = ?1 WHERE {}", test.join(" AND ")))?;
        let mut rows = all.query([])?;
        let mut seals = Vec::new();
        while let Some(row) = rows.next()? {
            let mut bytes = vec![b't'];
            bytes.extend((table.len() as u64).to_le_bytes());
            bytes.extend(table.as_bytes());
            for at in key.len()..last {
                match row.get_ref(at)? {
                    ValueRef::Null => bytes.push(b'n'),
                    ValueRef::Integer(value) => bytes.extend([&b"i"[..], &value.to_le_bytes()].concat()),
                    ValueRef::Real(value) => bytes.extend([&b"r"[..], &value.to_le_bytes()].concat()),
                    ValueRef::Text(value) => {
                        bytes.extend([&b"t"[..], &(value.len() as u64).to_le_bytes(), value].concat());
                    }
                    ValueRef::Blob(value) => {
                        bytes.extend([&b"b"[..], &(value.len() as u64).to_le_bytes(), value].concat());
                    }
                }
            }
            let hash = blake3::hash(&bytes);
            let seal = i64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("eight bytes"));
            let mut values = vec![rusqlite::types::Value::Integer(seal)];
            for at in 0..key.len() {
                values.push(row.get(at)?);
            }
            seals.push(values);
        }
        for values in seals {
            update.execute(params_from_iter(values))?;
        }
    }
    Ok(())
}

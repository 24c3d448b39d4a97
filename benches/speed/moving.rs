//! Compares `import` of an export with bare inserts of the same rows: prepared statements in one transaction with the
//! same indexes, and nothing is parsed, checked or hashed.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::rounds::{Pair, compare_times};
use crate::stocked::Stocked;

const TABLES: [&str; 3] = ["tokens", "secret", "events"];

/// An export of a store, and its rows.
pub struct Exported<'a> {
    store: &'a Stocked,
    schema: Vec<String>,
    rows: Vec<Vec<Vec<Value>>>,
}

impl<'a> Exported<'a> {
    pub fn new(store: &'a Stocked) -> Self {
        for (file, args) in [("all.jsonl", ["export"].as_slice()), ("tokens.jsonl", &["export", "--tokens"])]
        {
            let file = fs::File::create(store.path(file)).expect("the file can be created");
            assert!(store.run(args).stdout(file).status().expect("the command runs").success());
        }
        let conn = Connection::open(store.path("store/tokens.db")).expect("the database can be opened");
        let sql = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL";
        let mut schema = conn.prepare(sql).expect("the SQL can be executed");
        let schema = schema.query_map([], |row| row.get(0)).expect("it runs").map(|sql| sql.expect("a text"));
        let rows = TABLES.map(|table| all_of(&conn, table)).into();
        Self { store, schema: schema.collect(), rows }
    }

    /// Imports the whole store with its history into a store that does not exist yet.
    pub fn whole(&self, rounds: usize) -> Pair {
        compare_times(rounds, &|| self.import(false), &|| self.bare())
    }

    /// Imports only the tokens into a store that has another token.
    pub fn tokens(&self, rounds: usize) -> Pair {
        compare_times(rounds, &|| self.import(true), &|| self.bare())
    }

    fn import(&self, used: bool) -> Duration {
        let dir = self.store.path("imported");
        let _ = fs::remove_dir_all(&dir);
        if used {
            let secret = self.store.path("there");
            let args = ["--store", &dir, "--quiet", "create", "there", "--out", &secret, "--force"];
            assert!(self.store.run(&args).status().expect("the command runs").success());
        }
        let file = self.store.path(if used { "tokens.jsonl" } else { "all.jsonl" });
        let mut command = self.store.run(&["--store", &dir, "--quiet", "import", &file]);
        command.stdout(Stdio::null());
        let start = Instant::now();
        let done = command.status().expect("the command runs");
        let took = start.elapsed();
        assert!(done.success(), "{done}");
        took
    }

    fn bare(&self) -> Duration {
        let path = self.store.path("bare.db");
        let _ = fs::remove_file(&path);
        let conn = Connection::open(&path).expect("the database can be opened");
        conn.execute_batch("PRAGMA synchronous = EXTRA; PRAGMA cache_size = -32768")
            .expect("the SQL can be executed");
        for sql in &self.schema {
            conn.execute_batch(sql).expect("the SQL can be executed");
        }
        let start = Instant::now();
        let change = conn.unchecked_transaction().expect("a transaction can begin");
        for (table, rows) in TABLES.iter().zip(&self.rows) {
            let marks = vec!["?"; rows[0].len()].join(", ");
            let mut insert = change
                .prepare(&format!("INSERT INTO {table} VALUES ({marks})"))
                .expect("the SQL can be executed");
            for row in rows {
                insert.execute(params_from_iter(row)).expect("a row");
            }
        }
        change.commit().expect("it lasts");
        start.elapsed()
    }
}

fn all_of(conn: &Connection, table: &str) -> Vec<Vec<Value>> {
    let mut all =
        conn.prepare(&format!("SELECT * FROM {table} ORDER BY 1")).expect("the SQL can be executed");
    let columns = all.column_count();
    let rows = all.query_map([], |row| (0..columns).map(|at| row.get(at)).collect()).expect("it runs");
    rows.map(|row| row.expect("a row")).collect()
}

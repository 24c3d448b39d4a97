//! `verify --stream` against the bare loop: hash, prepared look-up, in one process and one read transaction.

use std::fs::{self, File};
use std::hint::black_box;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tokenctl::domain::secret::SecretHash;

use crate::rounds::{Pair, compare_times};
use crate::stocked::{Stocked, known_secret};

/// A burst of requests of known secrets, in an order that leaps through the store.
pub struct Requests<'a> {
    store: &'a Stocked,
    path: String,
    count: usize,
}

impl<'a> Requests<'a> {
    /// Writes this many requests.
    pub fn new(store: &'a Stocked, count: usize) -> Self {
        // A prime step visits all tokens before it comes back to one.
        let lines = (0..count).map(|n| known_secret(2 + n * 7_919 % (store.tokens - 1)) + "\n");
        let path = store.path("requests");
        fs::write(&path, lines.collect::<String>()).expect("the requests");
        Self { store, path, count }
    }

    pub fn compare(&self, rounds: usize) -> Pair {
        compare_times(rounds, &|| self.stream(), &|| self.bare_loop())
    }

    fn stream(&self) -> Duration {
        // A file, since the reader of a pipe would be measured with it.
        let answers = self.store.path("answers");
        let mut command = self.store.run(&["verify", "--stream"]);
        command.stdin(File::open(&self.path).expect("the requests"));
        command.stdout(File::create(&answers).expect("a file"));
        let start = Instant::now();
        let done = command.status().expect("tokenctl runs");
        let took = start.elapsed();
        assert!(done.success(), "{done}");
        let answers = fs::read_to_string(answers).expect("the answers");
        assert_eq!(answers.lines().filter(|line| line.starts_with("valid ")).count(), self.count);
        took
    }

    fn bare_loop(&self) -> Duration {
        let start = Instant::now();
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let conn =
            Connection::open_with_flags(self.store.path("store/tokens.db"), flags).expect("the database");
        let change = conn.unchecked_transaction().expect("a transaction");
        let sql = "SELECT t.name, t.disabled_at, t.revoked_at, s.expires_at, s.revoked_at
             FROM secret s JOIN tokens t ON t.row = s.token WHERE s.hash = ?1";
        let mut look_up = change.prepare(sql).expect("it fits");
        for line in fs::read(&self.path).expect("the requests").split(|byte| *byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            let name = look_up.query_row([SecretHash::of(line).as_bytes()], |row| row.get::<_, String>(0));
            black_box(name.expect("a token"));
        }
        start.elapsed()
    }
}

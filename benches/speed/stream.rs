//! Compares `verify --stream` and `Verifier` with a bare loop, which hashes each secret and looks up the columns that a
//! verdict needs, with a prepared statement in one read transaction and without checking seals.

use std::fs::{self, File};
use std::hint::black_box;
use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use tokenctl::domain::secret::SecretHash;
use tokenctl::{Request, Requirements, Verifier};

use crate::rounds::{Pair, compare_times};
use crate::stocked::{Stocked, known_secret};

/// A batch of requests with known secrets, in an order that jumps around in the store.
pub struct Requests<'a> {
    store: &'a Stocked,
    path: String,
    count: usize,
}

impl<'a> Requests<'a> {
    /// Writes this many requests, which use this many of the tokens.
    pub fn new(store: &'a Stocked, used: usize, count: usize) -> Self {
        // The step is a prime number, so every token is visited before one is repeated.
        let lines = (0..count).map(|n| known_secret(2 + n % used * 7_919 % (store.tokens - 1)) + "\n");
        let path = store.path("requests");
        fs::write(&path, lines.collect::<String>()).expect("the requests can be written");
        Self { store, path, count }
    }

    /// Compares each of these with the bare loop.
    pub fn compare(&self, rounds: usize) -> [(&'static str, Pair); 4] {
        let bare = || self.look_up(VERDICT, |_| ());
        let against = |first: &dyn Fn() -> Duration| compare_times(rounds, first, &bare);
        [
            ("`verify --stream`", against(&|| self.stream())),
            ("`Verifier`, batches of 500", against(&|| self.verifier(500))),
            ("`Verifier`, one by one", against(&|| self.verifier(1))),
            ("the bare loop with all columns and two hashes over them", against(&|| self.look_up(ALL, seal))),
        ]
    }

    fn verifier(&self, batch: usize) -> Duration {
        let text = fs::read(&self.path).expect("the requests can be read");
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        let (verifier, requirements) = (
            Verifier::open(self.store.path("store")).expect("the store can be opened"),
            Requirements::default(),
        );
        let start = Instant::now();
        for lines in lines.chunks(batch) {
            let requests: Vec<Request<'_>> =
                lines.iter().map(|line| Request::new(line, &requirements)).collect();
            let answers = verifier.verify_all(&requests).expect("answers");
            assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.is_valid())));
        }
        start.elapsed()
    }

    fn stream(&self) -> Duration {
        // The output goes to a file, because the reader of a pipe would be measured too.
        let answers = self.store.path("answers");
        let mut command = self.store.run(&["verify", "--stream"]);
        command.stdin(File::open(&self.path).expect("the requests can be opened"));
        command.stdout(File::create(&answers).expect("the file can be created"));
        let start = Instant::now();
        let done = command.status().expect("tokenctl runs");
        let took = start.elapsed();
        assert!(done.success(), "{done}");
        let answers = fs::read_to_string(answers).expect("the answers can be read");
        assert_eq!(answers.lines().filter(|line| line.starts_with("valid ")).count(), self.count);
        took
    }

    /// Looks up the secret of each request with this statement, and calls `with` with the row.
    fn look_up(&self, sql: &str, with: impl Fn(&Row<'_>)) -> Duration {
        let start = Instant::now();
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let conn = Connection::open_with_flags(self.store.path("store/tokens.db"), flags)
            .expect("the database can be opened");
        let transaction = conn.unchecked_transaction().expect("a transaction can begin");
        let mut look_up = transaction.prepare(sql).expect("the SQL can be executed");
        for line in fs::read(&self.path).expect("the requests can be read").split(|byte| *byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            let read = |row: &Row<'_>| {
                with(row);
                row.get::<_, String>("name")
            };
            black_box(
                look_up
                    .query_row([SecretHash::of(line).as_bytes()], read)
                    .expect("the query returns a token"),
            );
        }
        start.elapsed()
    }
}

/// The columns that a verdict needs, for a token without labels and scopes.
const VERDICT: &str =
    "SELECT t.name, t.not_before, t.disabled_at, t.revoked_at, t.allow_from, s.created_at, s.expires_at,
     s.delivered_at, s.superseded_at, s.revoked_at
     FROM secret s JOIN tokens t ON t.row = s.token WHERE s.hash = ?1";
const ALL: &str = "SELECT t.*, s.* FROM secret s JOIN tokens t ON t.row = s.token WHERE s.hash = ?1";

/// Hashes both halves of a row, as a seal does.
fn seal(row: &Row<'_>) {
    let columns = row.as_ref().column_count();
    for half in [0..columns / 2, columns / 2..columns] {
        let mut bytes = Vec::with_capacity(256);
        for column in half {
            match row.get_ref(column).expect("a column") {
                ValueRef::Text(text) | ValueRef::Blob(text) => bytes.extend(text),
                ValueRef::Integer(number) => bytes.extend(number.to_le_bytes()),
                ValueRef::Null | ValueRef::Real(_) => bytes.push(0),
            }
        }
        black_box(blake3::hash(&bytes));
    }
}

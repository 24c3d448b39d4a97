//! How long `verify` takes, as ratios: against the `sqlite3` shell doing the same look-up, and of a store of 100,000
//! tokens against one of 1,000. The runs of a pair follow each other at once, in turns, so that whatever else the
//! machine does falls on both.
//!
//!     cargo bench

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot run has nothing to say")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tempfile::TempDir;

const PAIRS: usize = 400;

fn main() {
    let (few, many) = (Stocked::new(1_000), Stocked::new(100_000));
    let has_shell = Command::new("sqlite3").arg("--version").output().is_ok_and(|out| out.status.success());
    println!("median of {PAIRS} pairs of processes");
    if has_shell {
        for store in [&few, &many] {
            let pair = compare(|| store.verify(), || store.look_up());
            println!(
                "{:>7} tokens: tokenctl verify {:>5.2} ms, sqlite3 {:>5.2} ms, ratio {:.2}",
                store.tokens, pair.first, pair.second, pair.ratio
            );
        }
    } else {
        println!("sqlite3 is not installed: no comparison with it");
    }
    let pair = compare(|| many.verify(), || few.verify());
    println!("{} tokens against {}: ratio {:.2}", many.tokens, few.tokens, pair.ratio);
}

/// Medians: of the times in milliseconds, and of the ratios within the pairs.
struct Pair {
    first: f64,
    second: f64,
    ratio: f64,
}

fn compare(first: impl Fn() -> Duration, second: impl Fn() -> Duration) -> Pair {
    let (mut firsts, mut seconds, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..PAIRS + 10 {
        let (one, other) = if turn % 2 == 0 {
            let one = first();
            (one, second())
        } else {
            let other = second();
            (first(), other)
        };
        // The first few fill the caches.
        if turn >= 10 {
            firsts.push(one.as_secs_f64() * 1000.0);
            seconds.push(other.as_secs_f64() * 1000.0);
            ratios.push(one.as_secs_f64() / other.as_secs_f64());
        }
    }
    Pair { first: median(firsts), second: median(seconds), ratio: median(ratios) }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A store with this many tokens, one of them real.
struct Stocked {
    dir: TempDir,
    tokens: usize,
    query: String,
}

impl Stocked {
    fn new(tokens: usize) -> Self {
        let dir = tempfile::Builder::new().prefix("tokenctl-bench-").tempdir().expect("a directory");
        let secret = File::create(dir.path().join("secret")).expect("a file");
        let created = tokenctl(dir.path()).args(["--quiet", "create", "real"]).stdout(secret).status();
        assert!(created.expect("tokenctl runs").success());
        let conn = Connection::open(database(dir.path())).expect("the database");
        let query = conn
            .query_row(
                "SELECT format('SELECT t.name, t.disabled_at, t.revoked_at, s.expires_at, s.revoked_at \
                 FROM secret s JOIN token t ON t.row = s.token WHERE s.hash = x''%s''', hex(hash)) FROM secret",
                [],
                |row| row.get(0),
            )
            .expect("its one secret");
        conn.execute_batch(&format!(
            "BEGIN;
             INSERT INTO token (id, name, ttl, created_at, created_by)
             WITH RECURSIVE n (i) AS (VALUES (2) UNION ALL SELECT i + 1 FROM n WHERE i < {tokens})
             SELECT format('%012d', i), format('token-%d', i), t.ttl, t.created_at, t.created_by FROM n, token t;
             INSERT INTO secret (token, hash, hint, created_at, expires_at, delivered_at)
             SELECT t.row, randomblob(32), 'tkn_0000', s.created_at, s.expires_at, s.delivered_at
             FROM token t, secret s WHERE t.row <> s.token AND s.row = 1;
             COMMIT"
        ))
        .expect("the rows");
        Self { dir, tokens, query }
    }

    fn verify(&self) -> Duration {
        let secret = File::open(self.dir.path().join("secret")).expect("the secret");
        timed(tokenctl(self.dir.path()).arg("verify").stdin(secret))
    }

    fn look_up(&self) -> Duration {
        timed(Command::new("sqlite3").arg("-readonly").arg(database(self.dir.path())).arg(&self.query))
    }
}

fn timed(command: &mut Command) -> Duration {
    command.stdout(Stdio::null());
    let start = Instant::now();
    let done = command.status().expect("it runs");
    let took = start.elapsed();
    assert!(done.success(), "{command:?}");
    took
}

fn tokenctl(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenctl"));
    command.env("TOKENCTL_STORE", dir.join("store"));
    command
}

fn database(dir: &Path) -> PathBuf {
    dir.join("store/tokens.db")
}

//! Stores with many tokens, and the commands that are run on them.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use rusqlite::Connection;
use tempfile::TempDir;
use tokenctl::clock::SystemClock;
use tokenctl::domain::event::{Action, Actor, Author};
use tokenctl::domain::secret::Secret;
use tokenctl::domain::token::{StoredSecret, Token};
use tokenctl::store::{Location, NewSecret, Store, StoreError};

/// A store with this many tokens, one of which was created by `create` (the real one).
pub struct Stocked {
    dir: TempDir,
    pub tokens: usize,
    /// The SQL query that looks up the real token.
    query: String,
    created: Cell<usize>,
}

impl Stocked {
    pub fn new(tokens: usize) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("tokenctl-bench-")
            .tempdir()
            .expect("a temporary directory can be created");
        let secret = dir.path().join("secret").to_str().expect("the path is UTF-8").to_owned();
        for args in [["init"].as_slice(), &["create", "real", "--out", &secret]] {
            let made = tokenctl(dir.path()).arg("--quiet").args(args).stdout(Stdio::null()).status();
            assert!(made.expect("tokenctl runs").success(), "{args:?}");
        }
        let conn = Connection::open(dir.path().join("store/tokens.db")).expect("the database can be opened");
        let query = conn
            .query_row(
                "SELECT format('SELECT t.name, t.disabled_at, t.revoked_at, s.expires_at, s.revoked_at \
                 FROM secret s JOIN tokens t ON t.row = s.token WHERE s.hash = x''%s''', hex(hash)) FROM secret",
                [],
                |row| row.get(0),
            )
            .expect("its one secret");
        drop(conn);
        fill(dir.path().join("store"), tokens);
        Self { dir, tokens, query, created: Cell::new(0) }
    }

    pub fn run(&self, args: &[&str]) -> Command {
        let mut command = tokenctl(self.dir.path());
        command.args(args);
        command
    }

    pub fn verify(&self) -> Command {
        let mut command = self.run(&["verify"]);
        command.stdin(self.secret());
        command
    }

    pub fn secret(&self) -> File {
        File::open(self.dir.path().join("secret")).expect("the secret can be opened")
    }

    /// A `create` that writes the secret to a file.
    pub fn create(&self) -> Command {
        let number = self.created.get();
        self.created.set(number + 1);
        self.run(&[
            "--quiet",
            "create",
            &format!("new-{number}"),
            "--out",
            &self.path(&format!("new-{number}")),
        ])
    }

    /// Replaces the secret of a token that is not the real one.
    pub fn rotate(&self) -> Command {
        self.run(&["--quiet", "--yes", "rotate", "token-2", "--out", &self.path("rotated")])
    }

    /// A request for completion of token names, as a shell makes it.
    pub fn complete(&self) -> Command {
        let mut command = self.run(&["--", "tokenctl", "show", "re"]);
        command.env("TOKENCTL_COMPLETE", "bash");
        command
    }

    /// Runs a command that reads all tokens, whatever its exit code.
    pub fn whole(&self, args: &[&str]) -> Whole {
        self.measured(&self.run(args))
    }

    /// Runs a command to its end.
    pub fn measured(&self, command: &Command) -> Whole {
        let report = self.path("report");
        let mut time = Command::new("/usr/bin/time");
        time.args(["-f", "%U %S %M", "-o", &report]).arg(command.get_program()).args(command.get_args());
        time.env_clear().env("PATH", "/usr/bin:/bin").env("TOKENCTL_STORE", self.path("store"));
        let start = Instant::now();
        time.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("time runs");
        let millis = start.elapsed().as_secs_f64() * 1000.0;
        // If the exit code is not 0, `time` reports it on a line before this.
        let report = std::fs::read_to_string(report).expect("the file can be read");
        let numbers = report.lines().last().unwrap_or_default().split(' ');
        let numbers: Vec<f64> = numbers.map(|number| number.parse().expect("it is a number")).collect();
        let [user, system, peak] = numbers.try_into().expect("there are three numbers");
        Whole { millis, cpu: (user + system) * 1000.0, peak }
    }

    /// The milliseconds until the first line of a list of all tokens.
    pub fn first_line(&self) -> f64 {
        let start = Instant::now();
        let mut list = self
            .run(&["list", "--format", "jsonl"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command runs");
        let mut line = String::new();
        BufReader::new(list.stdout.take().expect("stdout is a pipe"))
            .read_line(&mut line)
            .expect("the line can be read");
        let millis = start.elapsed().as_secs_f64() * 1000.0;
        // The list stops, because nobody reads the rest.
        list.wait().expect("it ends");
        millis
    }

    /// The look-up that `verify` does, with the `sqlite3` shell.
    pub fn look_up(&self) -> Command {
        let mut command = Command::new("sqlite3");
        command.arg("-readonly").arg(self.path("store/tokens.db")).arg(&self.query);
        command
    }

    /// Prints all tokens with the `sqlite3` shell, with the columns that `list` shows.
    pub fn dump(&self) -> Command {
        let mut command = Command::new("sqlite3");
        command.args(["-readonly", "-json"]).arg(self.path("store/tokens.db")).arg(
            "SELECT t.id, t.name, t.description, t.owner, t.icon, t.ttl, t.until, t.not_before, t.rotate_every, t.grace, \
             t.created_at, t.created_by, t.disabled_at, t.destination_kind, t.destination_path, t.destination_variable, \
             t.destination_command, t.destination_host, t.destination_uid, t.hook, t.allow_from, s.hint, s.created_at, s.expires_at, s.delivered_at, \
             s.superseded_at, s.revoked_at FROM tokens t JOIN secret s ON s.token = t.row \
             WHERE t.revoked_at IS NULL ORDER BY t.name",
        );
        command
    }

    /// Checks a password against a file with as many users as there are tokens, hashed as this flag of `htpasswd`
    /// selects. The user is on the last line.
    pub fn htpasswd(&self, flag: &str) -> impl Fn() -> Command {
        let made =
            Command::new("htpasswd").args(["-nb", flag, "real", "secret"]).output().expect("htpasswd runs");
        let line = String::from_utf8(made.stdout).expect("the bytes are UTF-8");
        let hash = line.trim().split_once(':').expect("there is a hash").1.to_owned();
        let others = (1..self.tokens).map(|number| format!("user-{number}:{hash}\n"));
        let path = self.dir.path().join("htpasswd");
        std::fs::write(&path, others.chain([format!("real:{hash}\n")]).collect::<String>())
            .expect("the file can be written");
        move || {
            let mut command = Command::new("htpasswd");
            command.arg("-vb").arg(&path).args(["real", "secret"]).stderr(Stdio::null());
            command
        }
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("the path is UTF-8").to_owned()
    }
}

/// The time, the CPU time (both in milliseconds) and the peak memory (in KiB) of a command.
pub struct Whole {
    pub millis: f64,
    pub cpu: f64,
    pub peak: f64,
}

/// The secret of a token other than the real one. These tokens are numbered from 2.
pub fn known_secret(token: usize) -> String {
    format!("a-known-secret-of-token-{token:012}")
}

/// Adds tokens as `adopt` does, but thousands per transaction.
fn fill(dir: PathBuf, tokens: usize) {
    let actor = Actor { uid: 0, login: None, sudo_user: None, host: None };
    let author = Author { actor, reason: None, accept_clock: false };
    let location = Location::named(dir);
    let store = Store::open_to_write(&location, &SystemClock, &author).expect("the store can be opened");
    let numbers: Vec<usize> = (2..=tokens).collect();
    for some in numbers.chunks(10_000) {
        let added = store.write::<_, StoreError>(&SystemClock, &author, |tx| {
            let real = tx.token(1, tx.now)?;
            some.iter().try_for_each(|number| {
                let secret = Secret::read(known_secret(*number).into_bytes().into()).expect("a secret");
                let secret = StoredSecret {
                    delivered_at: Some(tx.now),
                    ..StoredSecret::new(&secret, tx.now, real.expires_at())
                };
                let token = Token {
                    id: format!("{number:012}").parse().expect("it is an id"),
                    name: format!("token-{number}").parse().expect("it is a name"),
                    secrets: Vec::new(),
                    ..real.clone()
                };
                tx.insert_token(&token, &NewSecret { secret, delivery: None }, Action::Adopt).map(drop)
            })
        });
        added.expect("tokens");
    }
    // What is measured next does not wait for the disk to write all of this.
    assert!(Command::new("sync").status().expect("sync runs").success());
}

/// The path of the program that is measured.
pub fn program() -> String {
    std::env::var("TOKENCTL_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_tokenctl").to_owned())
}

fn tokenctl(dir: &Path) -> Command {
    let mut command = Command::new(program());
    command.env_clear().env("TOKENCTL_STORE", dir.join("store"));
    command
}

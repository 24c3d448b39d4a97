//! Compares a store on a PostgreSQL server with `pgbench` over the same socket.

use std::cell::Cell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::gate;
use crate::rounds::{Pair, compare_times, median};
use crate::stocked::{Stocked, known_secret, program};

/// How many look-up scripts `pgbench` runs. It accepts at most 128.
const LOOK_UPS: usize = 100;

/// Selects what a verdict needs about the token with a secret.
const LOOK_UP: &str =
    "SELECT t.*, s.* FROM tokenctl.secret s JOIN tokenctl.tokens t ON t.row = s.token WHERE s.hash";

/// The two transactions of a creation, reduced to the statements that are necessary.
const CREATE: &str = r"\set n random(1, 9000000000000000)
BEGIN;
SELECT one FROM tokenctl.head FOR UPDATE;
SELECT row FROM tokenctl.tokens WHERE name = 'bare-' || :n::text AND revoked_at IS NULL;
INSERT INTO tokenctl.tokens (id, name, created_at, created_by, ttl, counts, seal)
  VALUES ('b' || :n::text, 'bare-' || :n::text, 1, 'root', 7776000, '0,0,1', 1);
INSERT INTO tokenctl.secret (token, hash, hint, created_at, expires_at, seal)
  VALUES (currval('tokenctl.tokens_row_seq'), sha256(int8send(:n)), 'tkn_abcd…', 1, 2, 1);
INSERT INTO tokenctl.delivery (secret, kind, host, uid, pid, started_at, deadline)
  VALUES (currval('tokenctl.secret_row_seq'), 'stdout', 'host', 0, 1, 1, 2);
INSERT INTO bare_events (time, action, subject, digest, hash, format, changes)
  VALUES (1, 'create', 'b' || :n::text, sha256(int8send(:n)), sha256(int8send(:n)), 2, '[]');
COMMIT;
BEGIN;
SELECT one FROM tokenctl.head FOR UPDATE;
DELETE FROM tokenctl.delivery WHERE secret = currval('tokenctl.secret_row_seq');
UPDATE tokenctl.secret SET delivered_at = 1, seal = 2 WHERE row = currval('tokenctl.secret_row_seq');
INSERT INTO bare_events (time, action, subject, digest, hash, format, changes)
  VALUES (1, 'confirm', 'b' || :n::text, sha256(int8send(:n)), sha256(int8send(:n)), 2, '[]');
COMMIT;
";

struct Server {
    dir: TempDir,
    bin: PathBuf,
    child: Child,
    created: Cell<usize>,
}

/// The programs of the newest installed version, in Debian's directory.
fn installed() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let all = versions.flatten().map(|version| version.path().join("bin"));
    all.filter(|bin| ["initdb", "pgbench"].iter().all(|name| bin.join(name).is_file())).max()
}

/// A command that runs this program as `postgres` if we are root, because the server refuses to run as root.
fn unprivileged(program: &Path) -> Command {
    let is_root = rustix::process::geteuid().is_root();
    let mut command = Command::new(if is_root { Path::new("setpriv") } else { program });
    if is_root {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn done(command: &mut Command) {
    assert!(command.status().expect("the command runs").success(), "{command:?}");
}

impl Server {
    fn start(bin: PathBuf) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("tokenctl-bench-")
            .tempdir()
            .expect("a temporary directory can be created");
        if rustix::process::geteuid().is_root() {
            done(Command::new("chown").arg("postgres").arg(dir.path()));
        }
        let data = dir.path().join("data");
        let init = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-D"];
        done(unprivileged(&bin.join("initdb")).args(init).arg(&data));
        let mut postgres = unprivileged(&bin.join("postgres"));
        postgres.arg("-D").arg(data).arg("-k").arg(dir.path()).args(["-c", "listen_addresses="]);
        let child = postgres.spawn().expect("the server starts");
        let server = Self { dir, bin, child, created: Cell::new(0) };
        let start = Instant::now();
        while !server.psql("postgres", "SELECT 1").status().expect("psql runs").success() {
            assert!(start.elapsed() < Duration::from_secs(30), "the server does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn psql(&self, database: &str, sql: &str) -> Command {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["-X", "-A", "-t", "-q", "-U", "postgres", "-d", database, "-c", sql, "-h"])
            .arg(self.dir.path());
        psql.stdout(Stdio::null()).stderr(Stdio::null());
        psql
    }

    fn run(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        let url = format!("postgres://postgres@/tokens?host={}", self.dir.path().display());
        command.env_clear().env("TOKENCTL_STORE", url).args(args);
        command
    }

    fn create(&self) -> Command {
        let number = self.created.get();
        self.created.set(number + 1);
        self.run(&["--quiet", "create", &format!("new-{number}")])
    }

    /// Copies a store to the server.
    fn fill(&self, store: &Stocked) {
        done(&mut self.psql("postgres", "CREATE DATABASE tokens"));
        let file = store.path("export.jsonl");
        done(store.run(&["export"]).stdout(File::create(&file).expect("the file can be created")));
        for args in [["--quiet", "init", "--apply"], ["--quiet", "import", &file]] {
            done(self.run(&args).stdout(Stdio::null()));
        }
        let sql = "CREATE TABLE bare_events (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, time bigint, action text,
             subject text, digest bytea, hash bytea, format bigint, changes text);
             CREATE INDEX ON bare_events (subject, seq); ANALYZE";
        done(&mut self.psql("tokens", sql));
    }

    /// Returns the transactions per second that `pgbench` reports.
    fn pgbench(&self, args: &[&str], scripts: &[PathBuf]) -> f64 {
        let mut pgbench = Command::new(self.bin.join("pgbench"));
        pgbench.args(["-n", "-U", "postgres", "-h"]).arg(self.dir.path()).args(args);
        pgbench.args(scripts.iter().flat_map(|script| ["-f".as_ref(), script.as_os_str()]));
        let ran = pgbench.arg("tokens").output().expect("pgbench runs");
        let out = String::from_utf8_lossy(&ran.stdout);
        let rate = out.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        rate.expect("the rate is printed")
    }

    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).expect("the script can be written");
        path
    }

    /// Scripts that look up some secrets by their hash.
    fn look_ups(&self) -> Vec<PathBuf> {
        let sql = format!("SELECT encode(hash, 'hex') FROM tokenctl.secret ORDER BY hash LIMIT {LOOK_UPS}");
        let found = self.psql("tokens", &sql).stdout(Stdio::piped()).output().expect("psql runs").stdout;
        let found = String::from_utf8(found).expect("the bytes are UTF-8");
        let script = |(nth, hash): (usize, &str)| {
            self.script(&format!("look-up-{nth}"), &format!("{LOOK_UP} = '\\x{hash}';\n"))
        };
        found.lines().enumerate().map(script).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::QUIT,
        );
        let _ = self.child.wait();
    }
}

/// Prints the rates of both programs and their ratios.
pub fn compare(smoke: bool) {
    if !cfg!(feature = "postgres") {
        println!("postgres: skipped, since this is built without the feature `postgres`");
        return;
    }
    let Some(bin) = installed() else {
        println!("postgres: skipped, since PostgreSQL is not installed");
        return;
    };
    let (tokens, rounds, seconds) = if smoke { (200, 1, 1) } else { (20_000, 7, 2) };
    let (server, store) = (Server::start(bin), Stocked::new(tokens));
    server.fill(&store);
    gates(&server, &store, rounds, seconds);
    creations(&server, if smoke { 1 } else { 40 });
}

/// Compares the answers of `serve` with prepared look-ups, over one connection and over as many as `serve` has. Each
/// request is about another secret.
fn gates(server: &Server, store: &Stocked, rounds: usize, seconds: u64) {
    println!("\n| answers a second | `serve` | `pgbench -M prepared` | ratio |\n|---|---|---|---|");
    let look_ups = server.look_ups();
    let socket = store.path("gate.sock");
    let mut serve = server.run(&["--quiet", "serve", "--listen", &format!("unix:{socket}")]);
    let gate = gate::Server::on_unix(&mut serve, &socket);
    let long = Duration::from_secs(seconds);
    for used in [(store.tokens / 20).max(2), store.tokens - 1] {
        let secrets = (0..used).map(|n| known_secret(2 + n * 7_919 % (store.tokens - 1)));
        let requests: Vec<String> = secrets.map(|secret| gate::request(&secret)).collect();
        for (connections, clients) in [(16, 1), (64, 1), (64, 64)] {
            let clients = clients.to_string();
            let args = [
                "-M",
                "prepared",
                "-c",
                &clients,
                "-j",
                if clients == "1" { "1" } else { "2" },
                "-T",
                &seconds.to_string(),
            ];
            let pairs: Vec<(f64, f64)> = (0..rounds)
                .map(|_| (gate.rate(connections, &requests, long), server.pgbench(&args, &look_ups)))
                .collect();
            let of = |value: &dyn Fn(&(f64, f64)) -> f64| median(pairs.iter().map(value).collect());
            println!(
                "| {} tokens, {used} in use, {connections} connections, against {clients} of `pgbench` | {:.0} | {:.0} | {:.2} |",
                store.tokens,
                of(&|pair| pair.0),
                of(&|pair| pair.1),
                of(&|pair| pair.0 / pair.1)
            );
        }
    }
}

/// Compares whole creations with the bare transactions, one at a time and several at once. Each uses a new connection.
fn creations(server: &Server, rounds: usize) {
    println!("\n| of {rounds} rounds, the median | ms | against | ms | ratio |\n|---|---|---|---|---|");
    let bare = [server.script("create", CREATE)];
    let row = |what: &str, other: &str, Pair { first, second, ratio }: Pair| {
        println!("| {what} | {first:.2} | {other} | {second:.2} | {ratio:.2} |");
    };
    let timed = |commands: Vec<Command>| {
        let start = Instant::now();
        let spawn = |mut command: Command| command.stdout(Stdio::piped()).spawn().expect("it starts");
        let running: Vec<Child> = commands.into_iter().map(spawn).collect();
        for mut child in running {
            assert!(child.wait().expect("the process can be waited for").success());
        }
        start.elapsed()
    };
    for at_once in [1, 8] {
        let (clients, each) = (at_once.to_string(), 20.to_string());
        // `pgbench` reports a rate. This is the time for as many transactions as there are creations.
        let bare = || {
            let args = ["-C", "-M", "simple", "-c", &clients, "-j", "2", "-t", &each];
            let args = if at_once == 1 {
                [&args[..3], &["-c", "1", "-j", "1", "-t", &each]].concat()
            } else {
                args.to_vec()
            };
            Duration::from_secs_f64(f64::from(at_once) / server.pgbench(&args, &bare))
        };
        let ours = || timed((0..at_once).map(|_| server.create()).collect());
        row(
            &format!("`create`, {at_once} at once"),
            "the bare transactions, as many",
            compare_times(rounds, &ours, &bare),
        );
    }
}

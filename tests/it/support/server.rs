//! A PostgreSQL server for the tests. It uses Debian's programs, listens on a Unix socket in a directory in memory, and
//! stops when this process exits.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::{START, program, run, uid};

/// Returns whether the stores of the tests are in PostgreSQL. If so, each [`super::World`] has a separate database.
pub fn is_engine() -> bool {
    std::env::var_os("TOKENCTL_TEST_ENGINE").is_some_and(|engine| engine == "postgres")
}

/// The message of a test that does not apply to PostgreSQL because it is about the files of a store.
pub const OF_FILES: &str = "this test is about the files of a store";

/// A server that stops when the value is dropped or this process exits.
pub struct Server {
    dir: PathBuf,
    bin: PathBuf,
    settings: Vec<String>,
    shell: Child,
}

/// The programs of the newest installed version.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let all = versions.flatten().map(|version| version.path().join("bin"));
    all.filter(|bin| bin.join("initdb").is_file()).max()
}

/// Returns whether PostgreSQL is installed. If not, the test prints that it is skipped; in CI it fails.
pub fn have() -> bool {
    let found = programs().is_some();
    if !found {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "PostgreSQL is missing in CI");
        eprintln!("skipped: PostgreSQL is not installed");
    }
    found
}

/// A command that runs as a user other than root, because PostgreSQL refuses to run as root.
fn unprivileged(program: &Path) -> Command {
    if uid() != 0 {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

/// Creates a directory for the user that runs the servers. It is not removed automatically.
pub fn directory() -> PathBuf {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("tokenctl-pg-");
    let dir = builder
        .tempdir_in("/dev/shm")
        .or_else(|_| builder.tempdir())
        .expect("a temporary directory can be created")
        .keep();
    if uid() == 0 {
        run(Command::new("chown").arg("postgres").arg(&dir), b"").ok();
        run(Command::new("chmod").arg("755").arg(&dir), b"").ok();
    }
    dir
}

/// Starts a server that stops when the pipe closes, however this process exits.
fn spawn(dir: &Path, bin: &Path, settings: &[String]) -> Child {
    let script = r#"dir=$1 bin=$2; shift 2
        "$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= "$@" >>"$dir/log" 2>&1 & pid=$!
        exec 3<&0; (read _ <&3; kill -QUIT $pid) & wait $pid"#;
    let mut shell = unprivileged(Path::new("sh"));
    shell.args(["-c", script, "sh"]).arg(dir).arg(bin);
    for setting in settings {
        shell.args(["-c", setting]);
    }
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the shell starts")
}

impl Server {
    /// Starts a server with these additional settings.
    pub fn start(settings: &[&str]) -> Self {
        let bin = programs().expect("PostgreSQL is installed");
        let dir = directory();
        let data = dir.join("data");
        let mut init = unprivileged(&bin.join("initdb"));
        init.args(["-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8", "-D"])
            .arg(&data);
        run(&mut init, b"").ok();
        let settings: Vec<String> = settings.iter().map(|it| (*it).to_owned()).collect();
        let shell = spawn(&dir, &bin, &settings);
        let server = Self { dir, bin, settings, shell };
        server.wait();
        server
    }

    /// Starts a standby of this server. Its name can be used in `synchronous_standby_names`.
    pub fn standby(&self, name: &str) -> Self {
        self.standby_with(name, &[])
    }

    /// Starts a standby with these additional settings.
    pub fn standby_with(&self, name: &str, more: &[&str]) -> Self {
        let (dir, bin) = (directory(), self.bin.clone());
        let mut copy = unprivileged(&bin.join("pg_basebackup"));
        copy.args(["-U", "postgres", "-R", "-c", "fast", "--no-sync", "-h"]).arg(&self.dir);
        run(copy.arg("-D").arg(dir.join("data")), b"").ok();
        let mut settings = self.settings.clone();
        settings.push(format!("cluster_name={name}"));
        settings.extend(more.iter().map(|it| (*it).to_owned()));
        let shell = spawn(&dir, &bin, &settings);
        let server = Self { dir, bin, settings, shell };
        server.wait();
        server
    }

    fn wait(&self) {
        let began = Instant::now();
        while self.ask("postgres", "SELECT 1").is_none() {
            assert!(began.elapsed() < Duration::from_secs(60), "the server does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Kills every process of the server at once.
    pub fn kill(&mut self) {
        self.kill_processes();
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }

    /// Kills every process of a server that is not started again.
    pub fn kill_processes(&self) {
        let pid = std::fs::read_to_string(self.dir.join("data/postmaster.pid")).expect("the server runs");
        let pid = pid.lines().next().expect("the file contains a process id").to_owned();
        let kill = format!("kill -STOP {pid}; kill -9 $(pgrep -P {pid}) {pid}");
        run(Command::new("sh").args(["-c", &kill]), b"").ok();
    }

    /// Starts a killed server again.
    pub fn start_again(&mut self) {
        self.shell = spawn(&self.dir, &self.bin, &self.settings);
        self.wait();
    }

    /// The server that the tests of this process share. Its settings favour speed over durability.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| {
            let roomy = ["max_connections=200", "autovacuum=off"];
            let server = Self::start(&roomy);
            server.sql("postgres", "CREATE DATABASE made");
            run(program().args(["init", "--apply", "--store", &server.url("postgres", "made")]), b"").ok();
            // The template store has an empty log, and its clock is not compared with the simulated clocks of the
            // tests.
            server.sql("made", &format!(
                "TRUNCATE tokenctl.events, tokenctl.setting, tokenctl.usage; UPDATE tokenctl.meta SET usage_since = {START}"
            ));
            server.sql("made", "CREATE OR REPLACE FUNCTION tokenctl.clock() RETURNS bigint LANGUAGE sql AS 'SELECT NULL::bigint'");
            server
        })
    }

    /// Creates a database with an unused store, and returns its name.
    pub fn database(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("world_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE made"));
        name
    }

    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@/{database}?host={}", self.dir.display())
    }

    /// The directory that contains the socket.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns what `psql` prints for a query, or `None` if the query fails.
    pub fn ask(&self, database: &str, sql: &str) -> Option<String> {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-h"]);
        let done = psql.arg(&self.dir).args(["-c", sql]).stderr(Stdio::null()).output().expect("psql runs");
        done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim_end().to_owned())
    }

    /// Like [`Self::ask`], but fails the test if the query fails.
    #[track_caller]
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.ask(database, sql).unwrap_or_else(|| panic!("failed: {sql}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.shell.stdin.take() {
            let _ = pipe.write_all(b"\n");
        }
        let _ = self.shell.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A database on the shared server, which is dropped with this value.
pub struct Database(pub String);

impl Drop for Database {
    fn drop(&mut self) {
        let _ = Server::shared().ask("postgres", &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.0));
    }
}

impl Database {
    pub fn new() -> Self {
        Self(Server::shared().database())
    }

    pub fn url(&self) -> String {
        Server::shared().url("postgres", &self.0)
    }

    /// Returns a text that changes if any row of the store changes.
    pub fn state(&self) -> String {
        let tables = [
            "setting",
            "tokens",
            "secret",
            "delivery",
            "hook",
            "label",
            "scope",
            "scope_include",
            "granted",
            "pruned",
            "events",
        ];
        let sums = tables.map(|table| {
            format!("(SELECT md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM tokenctl.{table} t)")
        });
        Server::shared().sql(&self.0, &format!("SELECT {}", sums.join(", ")))
    }
}

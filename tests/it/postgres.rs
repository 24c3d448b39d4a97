//! What is special about a store in PostgreSQL. The tests of the verbs also run on PostgreSQL, and show that the rest
//! is the same as for a store in files.

mod crash;
mod cuts;
mod fleet;
mod freshness;
mod gate;
mod hosts;
mod link;
mod replicas;
mod requests;
mod suite;
mod tls;

use std::path::PathBuf;
use std::process::Command;

use crate::support::server::{Database, Server, have};
use crate::support::{Ran, program, run};

/// The socket of the shared server.
fn socket() -> PathBuf {
    Server::shared().dir().join(".s.PGSQL.5432")
}

/// A separate store on the server that the tests share.
struct Fixture(Database);

impl Fixture {
    fn new() -> Self {
        let it = Self(Database::new());
        it.run(&["init"]).ok();
        it
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Ran {
        self.run_as("postgres", args, b"")
    }

    /// Runs a command that connects as this PostgreSQL role.
    #[track_caller]
    fn run_as(&self, role: &str, args: &[&str], input: &[u8]) -> Ran {
        let url = Server::shared().url(role, &self.0.0);
        run(program().env("TOKENCTL_STORE", url).args(args), input)
    }

    /// A command that reaches this store through a local port.
    fn through(&self, port: u16) -> Command {
        let mut command = program();
        let url = format!("postgres://postgres@127.0.0.1:{port}/{}?sslmode=disable", self.0.0);
        command.env("TOKENCTL_STORE", url);
        command
    }

    /// Returns what `verify` prints for a secret.
    fn verify(&self, secret: &[u8]) -> String {
        self.run_as("postgres", &["verify"], secret).out
    }

    fn sql(&self, sql: &str) -> String {
        Server::shared().sql(&self.0.0, sql)
    }

    /// Runs a statement as this role. Returns `None` if it is refused.
    fn as_role(&self, role: &str, sql: &str) -> Option<String> {
        Server::shared().ask(&self.0.0, &format!("SET SESSION AUTHORIZATION {role}; {sql}"))
    }
}

/// Returns `nth`, so that only every n-th point of interruption is tested, or 1 if `CRASH=all` is set.
fn every(nth: usize) -> usize {
    if std::env::var_os("CRASH").is_some_and(|which| which == "all") { 1 } else { nth }
}

#[test]
fn init_without_apply_prints_the_sql_and_creates_no_tables() {
    if !have() {
        return;
    }
    let server = Server::shared();
    server.sql("postgres", "CREATE DATABASE empty_one");
    let url = server.url("postgres", "empty_one");
    let at = |args: &[&str]| run(program().env("TOKENCTL_STORE", &url).args(args), b"");
    let printed = at(&["init"]).ok();
    assert!(printed.out.starts_with("BEGIN;") && printed.out.ends_with("COMMIT;\n"), "{}", printed.out);
    assert!(printed.err.contains("nothing was changed"), "{}", printed.err);
    assert_eq!(
        server.sql("empty_one", "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'tokenctl%'"),
        "0"
    );
    assert!(at(&["create", "web"]).exit(6).err.contains("no store at"));
    server.sql("empty_one", &printed.out);
    assert!(at(&["init"]).ok().err.starts_with("created a new store"));
    assert!(at(&["init", "--apply"]).ok().err.starts_with("there is a store"), "it can be run again");
    at(&["audit", "verify"]).ok();
    server.sql("postgres", "DROP DATABASE empty_one WITH (FORCE)");
}

#[test]
fn an_export_into_files_and_back_keeps_the_digests_and_the_log_head() {
    if !have() {
        return;
    }
    let (from, to) = (Fixture::new(), Fixture::new());
    from.run(&["scopes", "define", "a:read"]).ok();
    for name in ["web", "api"] {
        from.run(&["create", name, "--scope", "a:read", "--label", "team=x"]).ok();
    }
    from.run(&["rotate", "web"]).ok();
    from.run(&["revoke", "api", "--yes"]).ok();
    let head = from.run(&["audit", "head"]).ok().out;
    let exported = from.run(&["export"]).ok().out;
    // Import into files first, and from there into another server.
    let dir = tempfile::tempdir().expect("a temporary directory can be created");
    let files = dir.path().join("store");
    let in_files =
        |args: &[&str], input: &[u8]| run(program().env("TOKENCTL_STORE", &files).args(args), input);
    let lines = dir.path().join("lines");
    std::fs::write(&lines, &exported).expect("the file can be written");
    let lines = lines.to_str().expect("the path is UTF-8");
    in_files(&["import", lines], b"").ok();
    assert_eq!(in_files(&["audit", "head"], b"").ok().out, head);
    let again = in_files(&["export"], b"").ok().out;
    assert_eq!(again, exported);
    to.run(&["import", lines]).ok();
    assert_eq!(to.run(&["audit", "head"]).ok().out, head);
    assert_eq!(to.run(&["export"]).ok().out, exported);
    to.run(&["audit", "verify"]).ok();
    // New rows get numbers after those of the imported rows.
    to.run(&["create", "new", "--all-scopes"]).ok();
    to.run(&["audit", "verify"]).ok();
}

#[test]
fn the_role_tokenctl_verify_can_only_verify() {
    if !have() {
        return;
    }
    let store = Fixture::new();
    let secret = store.run(&["create", "web"]).ok();
    let verified = store.run_as("tokenctl_verify", &["verify"], secret.line().as_bytes());
    assert_eq!(verified.ok().out, "valid web\n");
    assert_eq!(store.sql("SELECT count(*) FROM tokenctl.usage"), "1", "the use was not recorded");
    let forbidden = [
        "SELECT count(*) FROM tokenctl.events",
        "SELECT destination_path FROM tokenctl.tokens",
        "SELECT hash FROM tokenctl.secret",
        "INSERT INTO tokenctl.setting VALUES ('url', 'x')",
        "INSERT INTO tokenctl_read.secret (token) VALUES (1)",
        "UPDATE tokenctl_read.tokens SET revoked_at = NULL",
        "DELETE FROM tokenctl_read.secret",
        "SELECT row FROM tokenctl_read.tokens FOR UPDATE",
        "SELECT one FROM tokenctl.head FOR UPDATE",
        "LOCK TABLE tokenctl.tokens IN ACCESS SHARE MODE",
        "LOCK TABLE tokenctl_read.tokens IN EXCLUSIVE MODE",
        "CREATE TABLE tokenctl.t (x int)",
        "CREATE TABLE tokenctl_read.t (x int)",
        "CREATE FUNCTION tokenctl_read.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "TRUNCATE tokenctl.usage",
        "DROP VIEW tokenctl_read.tokens",
    ];
    let is_done = |sql: &&&str| store.as_role("tokenctl_verify", sql).is_some();
    assert_eq!(forbidden.iter().filter(is_done).collect::<Vec<_>>(), Vec::<&&str>::new());
    // The views that the role can read contain no destinations, hooks or actors.
    let hidden =
        "SELECT count(destination_path) + count(destination_command) + count(hook) FROM tokenctl_read.tokens";
    assert_eq!(store.as_role("tokenctl_verify", hidden).as_deref(), Some("0"));
    let columns = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'tokenctl_read' AND table_name = 'events'";
    assert_eq!(store.sql(columns), "3");
    // The role can create temporary tables, but they do not replace a table of the store.
    let planted = "CREATE TEMP TABLE tokens (row bigint); SET search_path = tokenctl, tokenctl_read, pg_temp; SELECT count(name) FROM tokens";
    assert_eq!(store.as_role("tokenctl_verify", planted).as_deref(), Some("1"));
    for args in [&["create", "x"][..], &["revoke", "web", "--yes"], &["audit"], &["export"], &["settings"]] {
        let ran = store.run_as("tokenctl_verify", args, b"");
        assert!(ran.code == 6 && ran.out.is_empty(), "{args:?}: {ran:?}");
        assert!(ran.err.contains("`tokenctl_verify` may only verify"), "{args:?}: {}", ran.err);
    }
    store.run(&["audit", "verify"]).ok();
}

#[test]
fn a_password_in_the_url_is_refused() {
    let ran = run(program().args(["list", "--store", "postgres://ada:very-secret@localhost/x"]), b"").exit(2);
    assert!(ran.err.contains("PGPASSFILE") && !ran.err.contains("very-secret"), "{}", ran.err);
}

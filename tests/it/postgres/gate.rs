//! `serve` and `verify --stream` on a server: batches, revocations, and connections that are lost.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::support::processes::until;
use crate::support::server::have;
use crate::support::{program, run};

use super::link::{Link, LinkState};
use super::{Fixture, socket};

/// A gate process that is killed when the value is dropped.
struct Gate {
    process: Child,
    address: String,
}

impl Gate {
    fn start(store: &Fixture) -> Self {
        let mut command = program();
        command.env("TOKENCTL_STORE", store.0.url());
        Self::of(command)
    }

    /// Starts the gate with this command, which has a store set.
    fn of(mut command: Command) -> Self {
        command.args(["serve", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the gate starts");
        let mut line = String::new();
        BufReader::new(process.stderr.take().expect("stderr is a pipe"))
            .read_line(&mut line)
            .expect("the line can be read");
        let address = line.trim_end().strip_prefix("listening on ").expect(&line).to_owned();
        Self { process, address }
    }

    /// Sends a secret to the gate and returns the status code of the answer.
    fn status(&self, secret: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("the gate accepts connections");
        let request = format!(
            "GET /verify HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer {secret}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("the gate reads the request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the gate answers");
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_gate_notices_a_revocation_at_once_and_replaces_lost_connections() {
    if !have() {
        return;
    }
    let store = Fixture::new();
    let [gone, kept] = ["gone", "kept"].map(|name| store.run(&["create", name]).ok().line().to_owned());
    let gate = Gate::start(&store);
    let of_both = || [gate.status(&gone), gate.status(&kept)];
    assert_eq!(of_both(), ["200", "200"]);
    store.run(&["revoke", "gone", "--yes"]).ok();
    assert_eq!(of_both(), ["401", "200"]);
    let cut = "SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity
         WHERE application_name = 'tokenctl' AND datname = current_database()";
    assert_eq!(store.sql(cut), "t");
    assert_eq!(of_both(), ["401", "200"], "the gate did not reconnect correctly");
    assert_eq!(gate.status("tkn_nobody"), "401");
}

/// The time limits of the server do not apply here, because no bytes arrive from it.
#[test]
fn a_gate_replaces_connections_that_no_longer_respond() {
    if !have() {
        return;
    }
    let store = Fixture::new();
    let [gone, kept] = ["gone", "kept"].map(|name| store.run(&["create", name]).ok().line().to_owned());
    let link = Link::to(socket());
    let gate = Gate::of(store.through(link.port));
    assert_eq!([gate.status(&gone), gate.status(&kept)], ["200", "200"]);
    link.strand();
    store.run(&["revoke", "gone", "--yes"]).ok();
    until("the gate has a new connection", || {
        let status = gate.status(&gone);
        assert!(["401", "503"].contains(&&*status), "{status} after the revocation");
        status == "401"
    });
    assert_eq!(gate.status(&kept), "200");
    // While no connection can be had, attempts are rare, and no answer accepts a secret.
    link.set(LinkState::Cut);
    let before = link.count();
    for _ in 0..200 {
        assert_eq!(gate.status(&kept), "503");
    }
    assert!(link.count() < before + 100, "{} connections for 200 requests", link.count() - before);
    link.set(LinkState::Open);
    until("the gate has reconnected", || gate.status(&kept) == "200");
}

#[test]
fn a_stream_replaces_a_connection_that_no_longer_responds() {
    if !have() {
        return;
    }
    let store = Fixture::new();
    let secret = store.run(&["create", "web"]).ok().line().to_owned();
    let link = Link::to(socket());
    let mut command = store.through(link.port);
    command.args(["verify", "--stream"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut stream = command.spawn().expect("the program starts");
    let mut input = stream.stdin.take().expect("stdin is a pipe");
    let mut output = BufReader::new(stream.stdout.take().expect("stdout is a pipe"));
    let mut ask = || {
        writeln!(input, "{secret}").expect("the program reads its input");
        let mut answer = String::new();
        output.read_line(&mut answer).expect("the answer can be read");
        answer
    };
    assert_eq!(ask(), "valid web\n");
    link.strand();
    store.run(&["revoke", "web", "--yes"]).ok();
    assert_eq!(ask(), "revoked web\n");
    drop(input);
    assert!(stream.wait().expect("the process can be waited for").success());
    // One `verify` command, with a server that accepts the connection and never answers.
    link.set(LinkState::Held);
    let ran = run(store.through(link.port).arg("verify"), secret.as_bytes()).exit(6);
    assert!(ran.out.is_empty() && ran.err.contains("nothing has come from it"), "{ran:?}");
    link.set(LinkState::Open);
}

#[test]
fn a_batch_is_answered_as_its_secrets_are_one_by_one() {
    if !have() {
        return;
    }
    let store = Fixture::new();
    let mut secrets = Vec::new();
    for nth in 0..12 {
        secrets.push(store.run(&["create", &format!("t{nth}"), "--label", "team=x"]).ok().line().to_owned());
    }
    secrets.push(store.run(&["rotate", "t0"]).ok().line().to_owned());
    store.run(&["revoke", "t1", "--yes"]).ok();
    store.run(&["disable", "t2", "--yes"]).ok();
    secrets.push(secrets[5].clone());
    secrets.push("malformed".to_owned());
    secrets.push("tkn_00000000000000000000000000000000000000".to_owned());
    let lines = secrets.join("\n") + "\n";
    let batch = store.run_as("postgres", &["verify", "--stream"], lines.as_bytes()).out;
    let singly: String = secrets.iter().map(|secret| store.verify(secret.as_bytes())).collect();
    assert_eq!(batch, singly);
    let batch = store.run_as("tokenctl_verify", &["verify", "--stream"], lines.as_bytes()).out;
    assert_eq!(batch, singly, "the verifier's role sees the same");
}

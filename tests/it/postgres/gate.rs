//! `serve` and `verify --stream` on a server: bursts, revocations, and connections that are lost.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use crate::support::program;
use crate::support::server::have;

use super::Fixture;

/// A gate that ends with its test.
struct Gate {
    process: Child,
    address: String,
}

impl Gate {
    fn start(store: &Fixture) -> Self {
        let mut process = program()
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("TOKENCTL_STORE", store.0.url())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the gate starts");
        let mut line = String::new();
        BufReader::new(process.stderr.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let address = line.trim_end().strip_prefix("listening on ").expect(&line).to_owned();
        Self { process, address }
    }

    /// The status of an answer.
    fn status(&self, secret: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("the gate");
        let request = format!(
            "GET /verify HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer {secret}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
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
fn a_gate_sees_a_revocation_at_once_and_outlives_its_connections() {
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
    assert_eq!(of_both(), ["401", "200"], "with a new connection");
    assert_eq!(gate.status("tkn_nobody"), "401");
}

#[test]
fn a_burst_is_answered_as_its_secrets_are_one_by_one() {
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
    let burst = store.run_as("postgres", &["verify", "--stream"], lines.as_bytes()).out;
    let singly: String = secrets.iter().map(|secret| store.verify(secret.as_bytes())).collect();
    assert_eq!(burst, singly);
    let burst = store.run_as("tokenctl_verify", &["verify", "--stream"], lines.as_bytes()).out;
    assert_eq!(burst, singly, "the verifier's role sees the same");
}

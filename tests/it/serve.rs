//! `serve`: the real program on real sockets.

mod hostile;
mod lifecycle;
mod load;
mod proxies;
mod recipes;
mod store;
mod systemd;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::World;

/// A gate (a running `serve`) that is killed when it is dropped.
struct Gate {
    child: Child,
    socket: PathBuf,
}

/// An HTTP response of the gate.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// The headers, with names in lower case.
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|err| panic!("{err}: {self:?}"))
    }
}

impl Gate {
    /// Starts a gate on a socket in the directory of the world, and waits until it listens.
    fn start(world: &World, args: &[&str]) -> Self {
        Self::start_as(world, world.program(), args)
    }

    fn start_as(world: &World, mut program: std::process::Command, args: &[&str]) -> Self {
        let socket = world.dir.path().join("gate.sock");
        let listen = format!("unix:{}", socket.display());
        let child = program
            .args(["serve", "--listen", &listen])
            .args(args)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut gate = Self { child, socket };
        while UnixStream::connect(&gate.socket).is_err() {
            assert!(gate.child.try_wait().unwrap().is_none(), "the gate exited: {}", gate.stop().1);
            std::thread::sleep(Duration::from_millis(10));
        }
        // After its first response, the gate handles signals.
        assert_eq!(gate.get("/", &[]).status, 404);
        gate
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).expect("the gate listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends one request on a new connection and returns the response.
    fn get(&self, target: &str, headers: &[&str]) -> Answer {
        let head = headers.iter().map(|header| format!("{header}\r\n")).collect::<Vec<_>>().concat();
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n{head}\r\n"))
    }

    fn with_secret(&self, target: &str, secret: &str) -> Answer {
        self.get(target, &[&format!("Authorization: Bearer {secret}")])
    }

    fn post(&self, body: &str) -> Answer {
        let length = body.len();
        self.send(&format!(
            "POST /api/verify HTTP/1.1\r\nHost: gate\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }

    /// Sends these bytes on a new connection and reads one response.
    fn send(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        // The gate can close the connection before a refused request is completely sent.
        let _ = stream.write_all(request.as_bytes());
        read_answer(&mut stream)
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Waits until the gate exits. Returns the exit code and stderr.
    fn stop(&mut self) -> (Option<i32>, String) {
        let mut err = String::new();
        self.child.stderr.take().expect("stderr is a pipe").read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code(), err)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads one response, whose body is as long as its `Content-Length`.
fn read_answer(stream: &mut impl Read) -> Answer {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).expect("an answer"), 1, "closed after {head:?}");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("ASCII");
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(':').expect("there is a header"))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or("0", |(_, value)| value);
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).expect("the body");
    Answer { status, headers, body: String::from_utf8(body).expect("the bytes are UTF-8") }
}

/// A store with a token `app` that has the scope `read`, and its secret. The tests use the simulated clock, and the
/// gate the real one.
fn app() -> (World, String) {
    let world = World::with_store();
    world.define(&["read", "write"]);
    let more = ["-s", "read", "-l", "env=prod", "-l", "team=a b,c", "--ttl", "9999d"];
    let secret = world.create("app", &more);
    (world, secret)
}

#[test]
fn a_positive_response_has_every_identity_header() {
    let (world, secret) = app();
    let gate = Gate::start(&world, &["--route", "any="]);
    let yes = gate.with_secret("/verify", &secret);
    let token = world.show("app");
    let identity: Vec<_> = yes.headers.iter().filter(|(name, _)| name.starts_with("x-token-")).collect();
    let expected = [
        ("x-token-id", token["id"].as_str().unwrap()),
        ("x-token-name", "app"),
        ("x-token-owner", ""),
        ("x-token-scopes", "read"),
        ("x-token-labels", "env=prod,team=a b%2Cc"),
        ("x-token-role", "current"),
        ("x-token-expires", token["expires_at"].as_str().unwrap()),
    ];
    let expected: Vec<_> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(identity, expected.iter().collect::<Vec<_>>());
    assert_eq!((yes.status, yes.header("content-length"), &*yes.body), (200, Some("0"), ""));
    // The gate records the use with the clock of this machine.
    let token = world.real(&["show", "app", "--json"], b"").ok().json();
    assert!(!token["last_used_at"].is_null(), "the use was not recorded");
}

#[test]
fn requirements_come_from_the_query_or_the_route() {
    let (world, secret) = app();
    let gate = Gate::start(&world, &["--route", "r=scope:read,label:env=prod", "--route", "w=scope:write"]);
    let statuses = [
        ("/verify", 200),
        ("/verify?scope=read", 200),
        ("/verify?scope=read,write", 403),
        ("/verify?scope=read&label=env=prod", 200),
        ("/verify?label=env=test", 403),
        ("/verify?label=team=a+b%2Cc", 200),
        ("/route/r", 200),
        ("/route/r/admin/../x?scope=write", 200),
        ("/route/w", 403),
        ("/route/w/?scope=read", 403),
        // A misspelled requirement must not be ignored.
        ("/verify?scpoe=admin", 400),
        ("/verify?", 400),
        ("/verify?scope=", 400),
        ("/verify?scope=%zz", 400),
        ("/verify?scope=read&", 400),
        ("/verify?token=x", 400),
        ("/", 404),
        ("/verify/", 404),
        ("/route", 404),
        ("/route/x", 404),
        ("/route/%72", 404),
        ("/route/../verify", 404),
        ("//verify", 404),
        ("/healthz", 404),
        ("/metrics", 404),
    ];
    for (target, status) in statuses {
        assert_eq!(gate.with_secret(target, &secret).status, status, "{target}");
    }
}

#[test]
fn a_refusal_contains_its_reason_only_with_explain() {
    let (world, secret) = app();
    let revoked = world.create("gone", &["--all-scopes"]);
    world.run(&["revoke", "gone", "--yes"]).ok();
    let bearer = |secret: &str| format!("Authorization: Bearer {secret}");
    let key = |secret: &str| format!("X-Api-Key: {secret}");
    let (app, gone, unknown) = (bearer(&secret), bearer(&revoked), bearer("nobody-has-this-secret"));
    let other = key(&revoked);
    let cases: [(&str, &[&str], u16, &str, &str); 8] = [
        ("/verify", &[], 401, "", ""),
        ("/verify", &["Authorization: Digest x"], 401, "", ""),
        ("/verify", &["Authorization: Bearer x y"], 401, "invalid_token", "malformed"),
        ("/verify", &[&unknown], 401, "invalid_token", "unknown"),
        ("/verify", &[&gone], 401, "invalid_token", "revoked"),
        ("/verify?scope=write", &[&app], 403, "insufficient_scope", "scope_missing"),
        ("/verify?label=a=b", &[&app], 403, "insufficient_scope", "label_mismatch"),
        ("/verify", &[&app, &other], 400, "invalid_request", "two different secrets"),
    ];
    let check = |args: &[&str], explains: bool, realm: &str| {
        let gate = Gate::start(&world, args);
        for (target, headers, status, error, why) in cases {
            let mut challenge = format!("Bearer realm=\"{realm}\"");
            if !error.is_empty() {
                challenge.push_str(&format!(", error=\"{error}\""));
                if explains {
                    challenge.push_str(&format!(", error_description=\"{why}\""));
                }
            }
            let no = gate.get(target, headers);
            assert_eq!(
                (no.status, no.header("www-authenticate")),
                (status, Some(&*challenge)),
                "{headers:?}"
            );
            assert!(no.headers.iter().all(|(name, _)| !name.starts_with("x-token-")), "{no:?}");
        }
    };
    check(&[], false, "tokenctl");
    check(&["--explain", "--realm", "our api"], true, "our api");
}

#[test]
fn the_gate_enforces_allowed_addresses() {
    let (world, _) = app();
    let office = world.create("office", &["--all-scopes", "--allow-from", "192.0.2.0/24"]);
    let bearer = format!("Authorization: Bearer {office}");
    let forwarded = "X-Forwarded-For: 203.0.113.9, 192.0.2.7";
    // A connection over a Unix socket has no remote address.
    let gate = Gate::start(&world, &["--explain"]);
    let no = gate.get("/verify?scope=missing", &[&bearer, forwarded, "X-Real-IP: 192.0.2.7"]);
    let why =
        "Bearer realm=\"tokenctl\", error=\"insufficient_scope\", error_description=\"source_not_allowed\"";
    assert_eq!((no.status, no.header("www-authenticate")), (403, Some(why)));
    let posted = |address: Value| {
        gate.post(&json!({"secret": office, "address": address}).to_string()).json()["reason"].clone()
    };
    assert_eq!(posted(json!("192.0.2.7")), "valid");
    assert_eq!(posted(json!("192.0.3.7")), "source_not_allowed");
    assert_eq!(posted(Value::Null), "source_not_allowed");
    assert_eq!(posted(json!("192.0.2.0/24")), Value::Null);
    drop(gate);
    let gate = Gate::start(&world, &["--address-from", "x-forwarded-for"]);
    assert_eq!(gate.get("/verify", &[&bearer, forwarded]).status, 200);
    assert_eq!(gate.get("/verify", &[&bearer, "X-Forwarded-For: 192.0.2.7, 203.0.113.9"]).status, 403);
    drop(gate);
    let gate = Gate::start(&world, &["--address-from", "x-real-ip"]);
    assert_eq!(gate.get("/verify", &[&bearer, "X-Real-IP: 192.0.2.7"]).status, 200);
    assert_eq!(gate.get("/verify", &[&bearer, forwarded]).status, 403);
}

#[test]
fn a_secret_is_read_only_from_the_configured_headers() {
    let (world, secret) = app();
    let basic = format!("Authorization: Basic {}", base64(&format!("any:{secret}")));
    let (bearer, key) = (format!("authorization: bEaReR {secret}"), format!("x-api-key: {secret}"));
    let gate = Gate::start(&world, &[]);
    for header in [&basic, &bearer, &key] {
        assert_eq!(gate.get("/verify", &[header]).status, 200, "{header}");
    }
    assert_eq!(gate.get("/verify", &[&bearer, &key]).status, 200);
    assert_eq!(gate.get(&format!("/verify?secret={secret}"), &[]).status, 400);
    drop(gate);
    let gate = Gate::start(&world, &["--secret-from", "x-api-key"]);
    let statuses = [&basic, &bearer, &key].map(|header| gate.get("/verify", &[header]).status);
    assert_eq!(statuses, [401, 401, 200]);
}

fn base64(text: &str) -> String {
    let ran = crate::support::run(std::process::Command::new("base64").arg("-w0"), text.as_bytes()).ok();
    ran.out
}

#[test]
fn services_can_post_one_request_or_many() {
    let (world, secret) = app();
    let gate = Gate::start(&world, &[]);
    let one = gate
        .post(&json!({"secret": secret, "scopes": ["read"], "labels": {"env": "prod"}, "id": 7}).to_string());
    let document = one.json();
    assert_eq!(
        (one.status, &document["valid"], &document["token"]["name"]),
        (200, &json!(true), &json!("app"))
    );
    assert_eq!(document["id"], 7);
    let mut expected = world.run_with(&["verify", "--json", "-s", "read"], secret.as_bytes()).ok().json();
    expected["id"] = json!(7);
    assert_eq!(document, expected);

    let many = json!([
        {"secret": secret, "scopes": ["write"], "id": "a"},
        {"secret": "nobody-has-this-secret"},
        {"secret": ""},
        {"secret": secret, "scpoes": ["write"], "id": {"any": 1}},
        {"secret": secret, "scopes": ["No Scope"]},
        {"secret": secret, "labels": {"a=b": "c"}},
        {"scopes": []},
        7,
    ]);
    let answers = gate.post(&many.to_string());
    let results = answers.json();
    let results: Vec<_> = results
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["reason"].as_str(), it["error"]["code"].as_str(), it["id"].clone()))
        .collect();
    let wrong = (None, Some("usage"));
    let expected = [
        (Some("scope_missing"), None, json!("a")),
        (Some("unknown"), None, Value::Null),
        (Some("malformed"), None, Value::Null),
        (wrong.0, wrong.1, json!({"any": 1})),
        (wrong.0, wrong.1, Value::Null),
        (wrong.0, wrong.1, Value::Null),
        (wrong.0, wrong.1, Value::Null),
        (wrong.0, wrong.1, Value::Null),
    ];
    assert_eq!((answers.status, results), (200, expected.to_vec()));
    assert_eq!(gate.post("[]").body, "[]\n");
}

#[test]
fn hidden_characters_in_a_document_are_escaped() {
    let (world, secret) = app();
    let gate = Gate::start(&world, &[]);
    let hidden = "\u{202e}\u{9b}";
    let valid = json!({"secret": secret, "id": hidden});
    let wrong = json!({"secrets": secret, "id": hidden});
    for request in [valid, wrong] {
        let answer = gate.post(&request.to_string());
        assert!(answer.body.contains("\\u202e\\u009b") && !answer.body.contains('\u{202e}'), "{answer:?}");
        assert_eq!(answer.json()["id"], hidden);
    }
}

#[test]
fn a_repeated_key_in_a_request_never_drops_a_requirement() {
    let (world, secret) = app();
    let gate = Gate::start(&world, &[]);
    let twice = |more: &str| gate.post(&format!("{{\"secret\":\"{secret}\",{more}}}")).json();
    for more in ["\"scopes\":[\"write\"],\"scopes\":[]", "\"address\":\"::1\",\"address\":null"] {
        assert_eq!(twice(more)["error"]["code"], "usage", "{more}");
    }
    let labels = twice("\"labels\":{\"env\":\"test\",\"env\":\"prod\"}");
    assert_eq!(labels["reason"], "label_mismatch", "both values of the label are required");
}

#[test]
fn a_body_that_is_not_a_request_is_refused() {
    let (world, _) = app();
    let gate = Gate::start(&world, &[]);
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("7", 400),
        ("null", 400),
        (&*format!("[{}1]", "1,".repeat(1_000)), 400),
        (&"x".repeat((1 << 20) + 1), 413),
    ] {
        let no = gate.post(body);
        assert_eq!((no.status, &no.json()["error"]["code"]), (status, &json!("usage")), "{}", body.len());
    }
    let most = format!("[{}{{\"secret\":\"\"}}]", "{\"secret\":\"\"},".repeat(999));
    assert_eq!(gate.post(&most).json().as_array().unwrap().len(), 1_000);
    let get = gate.get("/api/verify", &[]);
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
}

#[test]
fn the_log_contains_every_request_but_no_secret() {
    let (world, secret) = app();
    let mut gate = Gate::start(&world, &["--log", "--route", "r=scope:write"]);
    gate.with_secret(&format!("/route/r/{secret}?x={secret}"), &secret);
    gate.get("/verify", &[]);
    gate.with_secret("/verify", &secret);
    gate.signal("-TERM");
    let (code, err) = gate.stop();
    assert_eq!(code, Some(0), "{err}");
    assert!(!err.contains(&secret), "{err}");
    let lines = err.lines().filter_map(|line| serde_json::from_str(line).ok());
    // The first line is for the request that was sent when the gate started.
    let lines: Vec<Value> = lines.skip(1).collect();
    let logged: Vec<_> = lines
        .iter()
        .map(|line| ["method", "route", "status", "result", "token"].map(|key| line[key].clone()))
        .collect();
    let expected = [
        [json!("GET"), json!("r"), json!(403), json!("scope_missing"), json!("app")],
        [json!("GET"), json!("/verify"), json!(401), json!("nothing_presented"), Value::Null],
        [json!("GET"), json!("/verify"), json!(200), json!("valid"), json!("app")],
    ];
    assert_eq!(logged, expected);
    for line in &lines {
        crate::readme::reference::assert_is("Request", line);
    }
    assert!(lines[0]["hint"].as_str().unwrap().starts_with(&secret[..4]), "{}", lines[0]);
}

#[test]
fn health_and_metrics_are_on_a_separate_socket() {
    let (world, secret) = app();
    let admin = world.dir.path().join("admin.sock");
    let listen = format!("unix:{}", admin.display());
    let gate = Gate::start(&world, &["--admin-listen", &listen, "--route", "r="]);
    let ask = |path: &str| {
        let mut stream = UnixStream::connect(&admin).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        read_answer(&mut stream)
    };
    gate.with_secret("/route/r", &secret);
    gate.with_secret("/route/r", &secret);
    gate.get("/nowhere", &[]);
    assert_eq!((ask("/healthz").status, ask("/healthz").body), (200, "ok\n".to_owned()));
    let metrics = ask("/metrics").body;
    for line in [
        "tokenctl_requests_total{route=\"r\",result=\"valid\"} 2\n",
        "tokenctl_requests_total{route=\"\",result=\"no_route\"} 2\n",
        "tokenctl_request_seconds_count 4\n",
        "tokenctl_waiting_requests 0\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
    assert_eq!(ask("/verify").status, 404);
    std::fs::rename(world.store(), world.dir.path().join("away")).unwrap();
    assert_eq!(ask("/healthz").status, 503);
}

#[test]
fn a_command_line_that_would_expose_secrets_is_refused() {
    let world = World::with_store();
    let cases: [&[&str]; 9] = [
        &[],
        &["--listen", "0.0.0.0:8787"],
        &["--listen", "127.0.0.1:0", "--admin-listen", "[::]:8787"],
        &["--listen", "localhost"],
        &["--listen", "unix:"],
        &["--listen", "unix:x", "--route", "a=b"],
        &["--listen", "unix:x", "--route", "a=", "--route", "a=scope:read"],
        &["--listen", "unix:x", "--socket-mode", "888"],
        &["--listen", "unix:x", "--realm", "a\"b"],
    ];
    for args in cases {
        world.refuses(&[&["serve"], args].concat(), 2, "usage");
    }
}

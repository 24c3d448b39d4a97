//! `verify --stream`: one request per line, one answer per line, whatever the input and the state of the store.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use serde_json::{Value, json};

use crate::support::{MINUTE, World, have, pages, program_path, search_path};

const UNKNOWN: &str = "a-secret-that-nobody-adopted";

/// A running `verify --stream`.
struct Stream {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Stream {
    fn start(world: &World, args: &[&str]) -> Self {
        let mut command = world.program();
        command.args(["verify", "--stream"]).args(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    fn send(&mut self, request: &str) {
        self.input.write_all(format!("{request}\n").as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    fn ask(&mut self, request: &str) -> String {
        self.send(request);
        self.line()
    }

    fn exit(self) -> Option<i32> {
        let Self { mut child, input, output } = self;
        drop((input, output));
        child.wait().unwrap().code()
    }
}

/// The answers of a stream with these arguments to this input. Fails unless the exit code is 0.
#[track_caller]
fn answers(world: &World, args: &[&str], input: &str) -> Vec<String> {
    let ran = world.run_with(&[&["verify", "--stream"], args].concat(), input.as_bytes()).ok();
    assert_eq!(ran.err, "");
    ran.out.lines().map(str::to_owned).collect()
}

#[track_caller]
fn documents(world: &World, args: &[&str], input: &str) -> Vec<Value> {
    answers(world, args, input).iter().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn world_with_token() -> (World, String) {
    let world = World::with_store();
    world.define(&["read", "write"]);
    let secret = world.create("app", &["-s", "read", "-l", "env=prod", "-l", "team=a"]);
    (world, secret)
}

#[test]
fn plain_lines_get_plain_answers_and_json_lines_get_documents_in_order() {
    let (world, secret) = world_with_token();
    let input = format!(
        "{secret}\n{{\"secret\":\"{secret}\",\"id\":[1, 2.50]}}\n{UNKNOWN}\r\n{{\"secret\":\"{UNKNOWN}\"}}\nshort\n{secret}"
    );
    let lines = answers(&world, &[], &input);
    let document = world.run_with(&["verify", "--json"], secret.as_bytes()).ok();
    let with_id = document.line().replace("}}", "},\"id\":[1, 2.50]}");
    let unknown =
        r#"{"valid":false,"reason":"unknown","missing_scopes":[],"token":null,"secret":null,"id":null}"#;
    assert_eq!(lines, ["valid app", &with_id, "unknown", unknown, "malformed", "valid app"]);
    let all = documents(&world, &["--json"], &format!("{secret}\nshort\n"));
    assert_eq!(all[0]["token"]["labels"], json!({"env": "prod", "team": "a"}));
    assert_eq!((&all[1]["reason"], &all[1]["id"]), (&json!("malformed"), &Value::Null));
    assert_eq!(answers(&world, &[], ""), [""; 0]);
}

#[test]
fn requirements_from_flags_are_added_to_those_of_each_request() {
    let (world, secret) = world_with_token();
    let request = |more: &str| format!("{{\"secret\":\"{secret}\"{more}}}\n");
    let input = [
        request(""),
        request(r#","scopes":["read"],"labels":{"env":"prod"}"#),
        request(r#","scopes":["write"]"#),
        request(r#","labels":{"env":"dev"}"#),
        request(r#","labels":{"env":"prod","env":"dev"}"#),
    ]
    .concat();
    let reasons = |args: &[&str]| -> Vec<String> {
        let all = documents(&world, args, &input);
        all.iter().map(|answer| answer["reason"].as_str().unwrap().to_owned()).collect()
    };
    let [valid, scope, label] = ["valid", "scope_missing", "label_mismatch"];
    assert_eq!(reasons(&[]), [valid, valid, scope, label, label]);
    assert_eq!(reasons(&["-s", "read", "-l", "team=a"]), [valid, valid, scope, label, label]);
    assert_eq!(reasons(&["-s", "write"]), [scope; 5]);
    assert_eq!(reasons(&["-l", "team=b"]), [label, label, scope, label, label]);
    assert_eq!(answers(&world, &["-s", "write"], &secret), ["scope_missing app"]);
}

#[test]
fn an_invalid_line_is_refused_and_the_stream_continues() {
    let (world, secret) = world_with_token();
    let long = "x".repeat(64 * 1024 + 1);
    let plain = ["", " ", "\0", "\u{feff}", "[]", "null", "x y", &long, &format!(" {secret}")];
    let input = plain.map(|line| format!("{line}\n{secret}\n")).concat();
    let expected: Vec<&str> = plain.iter().flat_map(|_| ["malformed", "valid app"]).collect();
    assert_eq!(answers(&world, &[], &input), expected);

    let broken = ["{", "{}x", "{\"secret\":\"\\ud800\"}x", &format!("{{{long}"), "{\"id\":1,\"id\":2}"];
    for line in broken {
        let all = documents(&world, &[], &format!("{line}\n{{\"secret\":\"{secret}\"}}\n"));
        assert_eq!((all.len(), &all[0]["reason"], &all[1]["valid"]), (2, &json!("malformed"), &json!(true)));
    }
    let invalid = [
        r#""adress":"192.0.2.1""#,
        r#""address":"192.0.2.0/24""#,
        r#""scopes":"read""#,
        r#""scopes":["Not A Scope"]"#,
        r#""labels":{"env":1}"#,
        r#""labels":{"env":""}"#,
        r#""labels":{"env=prod":"x"}"#,
        r#""secret":"twice""#,
    ];
    let request = |more: &str| format!("{{\"secret\":\"{secret}\",\"id\":7,{more}}}\n");
    let input: String = invalid.iter().map(|more| request(more)).collect();
    let all = documents(&world, &[], &format!("{input}{{\"id\":7}}\n"));
    assert_eq!(all.len(), invalid.len() + 1);
    for answer in all {
        let error = &answer["error"];
        assert_eq!((&error["code"], &error["exit"], &answer["id"]), (&json!("usage"), &json!(2), &json!(7)));
        assert!(!answer.to_string().contains(&secret), "{answer}");
        assert_eq!(answer.get("valid"), None);
    }
}

#[test]
fn bytes_that_are_not_utf8_are_malformed() {
    let (world, secret) = world_with_token();
    let input = [b"\xff\xfe\n{\"secret\":\"\xff\"}\n", secret.as_bytes()].concat();
    let ran = world.run_with(&["verify", "--stream"], &input).ok();
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!((lines[0], lines[2]), ("malformed", "valid app"));
    assert!(lines[1].starts_with(r#"{"valid":false,"reason":"malformed""#), "{lines:?}");
}

#[test]
fn thousands_of_requests_that_arrive_at_once_are_answered_in_order() {
    let (world, secret) = world_with_token();
    let pair = |id| format!("{{\"secret\":\"{secret}\",\"id\":{id}}}\n{UNKNOWN}\n");
    let input: Vec<String> = (0..3_000).map(pair).collect();
    let lines = answers(&world, &[], &input.concat());
    assert_eq!(lines.len(), 6_000);
    for (id, pair) in lines.chunks(2).enumerate() {
        assert!(pair[0].ends_with(&format!("\"id\":{id}}}")) && pair[1] == "unknown", "{pair:?}");
    }
}

#[test]
fn a_stream_answers_at_once_and_considers_every_completed_change() {
    let world = World::with_store();
    let mut stream = Stream::start(&world, &[]);
    for n in 0..20 {
        let name = format!("t{n}");
        let secret = world.real(&["create", &name], b"").ok();
        assert_eq!(stream.ask(secret.line()), format!("valid {name}"));
        world.real(&["revoke", "--yes", &name], b"").ok();
        assert_eq!(stream.ask(secret.line()), format!("revoked {name}"));
    }
    assert_eq!(stream.exit(), Some(0));
}

#[test]
fn a_stream_continues_when_the_store_can_be_read_again() {
    let world = World::new();
    let secret = world.real(&["create", "first"], b"").ok();
    let secret = secret.line();
    let request = format!("{{\"secret\":\"{secret}\",\"id\":\"a\"}}");
    let mut stream = Stream::start(&world, &[]);
    assert_eq!(stream.ask(secret), "valid first");

    let (store, aside) = (world.store(), world.dir.path().join("aside"));
    fs::rename(&store, &aside).unwrap();
    assert_eq!(stream.ask(secret), "error store_missing");
    assert_eq!(stream.ask("short"), "malformed");
    let answer: Value = serde_json::from_str(&stream.ask(&request)).unwrap();
    let error = &answer["error"];
    assert_eq!((&error["code"], &error["exit"]), (&json!("store_missing"), &json!(6)));
    assert_eq!((&answer["id"], answer.get("valid")), (&json!("a"), None));

    world.real(&["init"], b"").ok();
    assert_eq!(stream.ask(secret), "unknown");
    fs::remove_dir_all(&store).unwrap();
    fs::rename(&aside, &store).unwrap();
    assert_eq!(stream.ask(secret), "valid first");

    let whole = fs::read(world.database()).unwrap();
    fs::write(world.database(), b"not a database at all").unwrap();
    let answer = stream.ask(secret);
    assert!(answer.starts_with("error store_"), "{answer}");
    fs::write(world.database(), whole).unwrap();
    assert_eq!(stream.ask(secret), "valid first");

    let conn = rusqlite::Connection::open(world.database()).unwrap();
    conn.execute_batch("BEGIN EXCLUSIVE").unwrap();
    stream.send(secret);
    conn.execute_batch("ROLLBACK").unwrap();
    assert_eq!(stream.line(), "valid first");
    assert_eq!(stream.exit(), Some(0));
}

#[test]
fn a_use_in_a_stream_is_recorded() {
    let (world, secret) = world_with_token();
    world.wait(MINUTE);
    let used = world.now();
    answers(&world, &[], &format!("{secret}\n{{\"secret\":\"{secret}\",\"scopes\":[\"read\"]}}\n"));
    world.wait(MINUTE);
    let last = world.show("app")["last_used_at"].clone();
    assert_eq!(last, json!("2026-11-22T12:01:00Z"), "{used}");
}

#[test]
fn a_stream_needs_a_store_and_refuses_flags_without_a_meaning() {
    let world = World::new();
    world.refuses(&["verify", "--stream"], 6, "store_missing");
    let world = World::with_store();
    for flags in [["--secret-file", "x"], ["--at", "1d"], ["--quiet", "--no-input"]] {
        world.refuses(&[&["verify", "--stream"], &flags[..]].concat(), 2, "usage");
    }
}

#[test]
fn a_stream_exits_without_an_error_if_its_output_is_closed() {
    let world = World::with_store();
    let mut command = world.program();
    command.args(["verify", "--stream"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let _ = child.stdin.take().unwrap().write_all(&b"short\n".repeat(100_000));
    let done = child.wait_with_output().unwrap();
    assert_eq!((done.status.code(), &*String::from_utf8_lossy(&done.stderr)), (Some(0), ""));
}

#[test]
fn the_memory_of_a_stream_does_not_grow_with_its_input() {
    let world = World::with_store();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 65536; exec \"$0\" verify --stream"]).arg(program_path());
    command.env_clear().env("TOKENCTL_STORE", world.store());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = thread::spawn(move || {
        // The input is a line of 128 MiB, a line that gets a long document, and enough short lines that the answers exceed
        // the limit twice.
        for _ in 0..128 {
            input.write_all(&vec![b'x'; 1 << 20]).unwrap();
        }
        input.write_all(format!("\n{{\"secret\":\"{UNKNOWN}\",\"id\":").as_bytes()).unwrap();
        input.write_all(format!("\"{}\"}}\n", "i".repeat(60_000)).as_bytes()).unwrap();
        input.write_all(&b"{\n".repeat(1 << 20)).unwrap();
    });
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let lengths: Vec<usize> = lines.map(|line| line.len()).collect();
    writer.join().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!((lengths.len(), lengths[0]), (2 + (1 << 20), "malformed".len()));
    assert!(lengths[1] > 60_000, "{}", lengths[1]);
}

/// Runs an example from the documents, followed by a few calls, with a valid and a revoked secret as arguments.
#[track_caller]
fn example(interpreter: &str, language: &str, calls: &str) {
    if !have(interpreter) {
        return;
    }
    let world = World::new();
    let valid = world.real(&["create", "valid"], b"").ok();
    let revoked = world.real(&["create", "revoked"], b"").ok();
    world.real(&["revoke", "--yes", "revoked"], b"").ok();
    let block =
        pages::blocks(language).into_iter().find(|block| block.contains("--stream")).expect("the example");
    let script = world.dir.path().join("script");
    fs::write(&script, block + calls).unwrap();
    let mut command = Command::new(interpreter);
    command.arg(&script).args([valid.line(), revoked.line()]);
    command.env_clear().env("PATH", search_path()).env("TOKENCTL_STORE", world.store());
    let done = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(
        (text(&done.stderr), text(&done.stdout)),
        (String::new(), "yes no no yes no yes\n".to_owned())
    );
}

#[test]
fn the_python_example_works() {
    example(
        "python3",
        "python",
        r#"
import sys
valid, revoked = sys.argv[1:]
tokens = Tokens()
asked = [valid, revoked, "two\n" + valid, valid, "é" * 70000, valid]
print(*("yes" if tokens.allows(secret) else "no" for secret in asked))
"#,
    );
}

#[test]
fn the_shell_example_works() {
    example(
        "bash",
        "shell",
        r#"
says() { if allows "$1"; then printf yes; else printf no; fi; }
for secret in "$1" "$2" $'two\n'"$1" "$1" '' "$1"; do answer+=" $(says "$secret")"; done
echo "${answer# }"
"#,
    );
}

#[test]
fn a_secret_that_is_missing_from_an_index_is_never_reported_as_unknown() {
    let world = World::with_store();
    let [seen, hidden] = ["seen", "hidden"].map(|name| world.create(name, &[]));
    let conn = rusqlite::Connection::open(world.database()).expect("the database can be opened");
    let sql = "SELECT hash FROM secret WHERE row = 2";
    let hash: Vec<u8> = conn.query_row(sql, [], |row| row.get(0)).expect("the query returns a secret");
    drop(conn);
    let unknown: Vec<String> = (0..30).map(|n| format!("nobody-has-this-secret-{n}\n")).collect();
    let unknown = unknown.concat();
    let input = format!("{unknown}{seen}\n{hidden}\n");
    let answers = |last: &str| format!("{}valid seen\n{last}\n", "unknown\n".repeat(30));
    let stream = || world.run_with(&["verify", "--stream"], input.as_bytes()).ok().out;
    assert_eq!(stream(), answers("valid hidden"));
    // The next lines change the last byte of the hash in the index. An index page starts with the byte 10.
    let mut bytes = fs::read(world.database()).expect("the store can be read");
    let mut places = bytes.windows(32).enumerate().filter(|(_, it)| *it == hash).map(|(at, _)| at);
    let place = places.find(|at| bytes[at / 4096 * 4096] == 10).expect("an entry of the index");
    bytes[place + 31] ^= 1;
    fs::write(world.database(), bytes).expect("the store can be written");
    assert_eq!(stream(), answers("error store_damaged"));
}

//! Tests of `verify`, which answers whether a secret is valid.

use std::fs;
use std::io::ErrorKind;

use serde_json::{Value, json};

use crate::support::{Answer, DAY, HOUR, MINUTE, START, World};

/// A well-formed secret that is in no store.
const UNKNOWN: &str = "a-secret-that-nobody-adopted";

fn last_used(world: &World, name: &str) -> Value {
    world.show(name)["last_used_at"].clone()
}

#[test]
fn only_the_most_important_of_several_reasons_is_given() {
    let world = World::with_store();
    world.run(&["scopes", "define", "read"]).ok();
    world.run(&["scopes", "define", "write"]).ok();
    let secret = world.create("demo", &["-s", "read", "-l", "env=prod", "--ttl", "1d"]);
    let answer = |args: &[&str]| world.verify(&secret, args);
    let ask = ["-s", "write", "-l", "env=dev"];
    assert_eq!(answer(&["-s", "read", "-l", "env=prod"]), (0, "valid demo".into()));
    assert_eq!(answer(&["-s", "read", "-l", "env=dev"]), (3, "label_mismatch demo".into()));
    assert_eq!(answer(&ask), (3, "scope_missing demo".into()));
    // From here on, each reason takes precedence over all reasons before it.
    world.sql(&format!("UPDATE tokens SET not_before = {}", START + 10 * DAY));
    assert_eq!(answer(&ask), (3, "not_yet_valid demo".into()));
    world.wait(DAY - 1);
    assert_eq!(answer(&ask), (3, "not_yet_valid demo".into()));
    world.wait(1);
    assert_eq!(answer(&ask), (3, "expired demo".into()));
    world.sql(&format!("UPDATE secret SET superseded_at = {START}"));
    assert_eq!(answer(&ask), (3, "superseded demo".into()));
    world.sql(&format!("UPDATE tokens SET disabled_at = {START}"));
    assert_eq!(answer(&ask), (3, "disabled demo".into()));
    world.sql(&format!("UPDATE secret SET revoked_at = {START}"));
    assert_eq!(answer(&ask), (3, "revoked demo".into()));
    world.sql("UPDATE secret SET revoked_at = NULL");
    world.sql(&format!("UPDATE tokens SET revoked_at = {START}"));
    assert_eq!(answer(&ask), (3, "revoked demo".into()));
    assert_eq!(world.verify(UNKNOWN, &ask), (3, "unknown".into()));
    assert_eq!(world.verify("short", &ask), (3, "malformed".into()));
}

#[test]
fn a_previous_secret_is_valid_during_its_grace_period_and_reported_as_previous() {
    let world = World::new();
    let secret = world.create("demo", &["--ttl", "1d"]);
    world.sql(&format!("UPDATE secret SET superseded_at = {START}"));
    assert_eq!(world.verify(&secret, &[]), (0, "valid demo previous".into()));
    let document = world.run_with(&["verify", "--json"], secret.as_bytes()).ok().json();
    assert_eq!((&document["reason"], &document["secret"]["role"]), (&json!("valid"), &json!("previous")));
    world.wait(DAY);
    assert_eq!(world.verify(&secret, &[]), (3, "superseded demo".into()));
}

#[test]
fn the_document_contains_all_keys_whatever_the_answer() {
    let world = World::with_store();
    for scope in ["read", "write", "other"] {
        world.run(&["scopes", "define", scope]).ok();
    }
    world.run(&["scopes", "edit", "write", "--includes", "read"]).ok();
    let secret = world.create("demo", &["-s", "write", "-l", "env=prod", "-l", "a=b", "--owner", "ann"]);
    let document = |secret: &str, args: &[&str]| {
        world.run_with(&[&["verify", "--json"], args].concat(), secret.as_bytes())
    };
    let mut expected = json!({
        "valid": true, "reason": "valid", "missing_scopes": [],
        "token": {
            "id": world.show("demo")["id"], "name": "demo", "owner": "ann", "scopes": ["write"],
            "labels": {"a": "b", "env": "prod"}, "expires_at": "2027-02-20T12:00:00Z",
        },
        "secret": {
            "role": "current", "hint": format!("{}…", &secret[..8]), "expires_at": "2027-02-20T12:00:00Z",
        },
    });
    let all = ["-s", "read,write", "-l", "env=prod", "-l", "a=b"];
    assert_eq!(document(&secret, &all).ok().json(), expected);
    expected["valid"] = json!(false);
    expected["reason"] = json!("scope_missing");
    expected["missing_scopes"] = json!(["other", "nowhere"]);
    assert_eq!(document(&secret, &["-s", "read,other", "-s", "nowhere"]).exit(3).json(), expected);
    expected["reason"] = json!("label_mismatch");
    expected["missing_scopes"] = json!([]);
    for label in ["env=dev", "env=Prod", "ENV=prod", "b=b"] {
        assert_eq!(document(&secret, &["-l", "a=b", "-l", label]).exit(3).json(), expected, "{label}");
    }
    for (presented, reason) in [(UNKNOWN, "unknown"), ("", "malformed")] {
        let expected = json!({
            "valid": false, "reason": reason, "missing_scopes": [], "token": null, "secret": null
        });
        assert_eq!(document(presented, &[]).exit(3).json(), expected);
    }
}

#[test]
fn one_newline_after_the_secret_is_ignored() {
    let world = World::new();
    let secret = world.create("demo", &[]);
    let foreign = "x".repeat(400) + &"0123456789/+".repeat(10)[..112];
    world.run_with(&["adopt", "long"], foreign.as_bytes()).ok();
    for (secret, name) in [(&secret, "demo"), (&foreign, "long")] {
        for end in ["", "\n", "\r\n"] {
            assert_eq!(world.verify(&format!("{secret}{end}"), &[]), (0, format!("valid {name}")), "{end:?}");
        }
        for end in ["\n\n", "\r", "\n\r", "\r\n\n", " ", "\0", "\n "] {
            let text = format!("{secret}{end}");
            assert_eq!(world.verify(&text, &[]), (3, "malformed".into()), "{end:?}");
        }
        for start in ["\n", " ", "\u{feff}"] {
            assert_eq!(world.verify(&format!("{start}{secret}"), &[]).1, "malformed", "{start:?}");
        }
    }
}

#[test]
fn a_malformed_secret_is_reported_even_without_a_store() {
    let world = World::new();
    let mut mistyped = world.create("demo", &[]);
    let last = if mistyped.pop() == Some('0') { '1' } else { '0' };
    mistyped.push(last);
    let nowhere = World::new();
    let inputs: [&[u8]; 10] = [
        b"",
        b"\n",
        b"fifteen-letters",
        b"not a secret but words",
        &[b'x'; 513],
        &vec![b'x'; 10_000_000],
        &[0; 64],
        &[0xff; 64],
        "geheimnisgrößengleichung".as_bytes(),
        mistyped.as_bytes(),
    ];
    for input in inputs {
        for world in [&world, &nowhere] {
            let ran = world.run_with(&["verify"], input).exit(3);
            assert_eq!((&*ran.out, &*ran.err), ("malformed\n", ""));
        }
    }
    assert!(!nowhere.store().exists());
    let ran = nowhere.run_with(&["verify", "--json"], UNKNOWN.as_bytes());
    assert_eq!((ran.code, &ran.failure()["code"]), (6, &json!("store_missing")));
    assert!(!nowhere.store().exists());
}

#[test]
fn the_flag_at_gives_the_answer_for_a_future_instant() {
    let world = World::new();
    let secret = world.create("demo", &["--ttl", "10d", "--not-before", "1d"]);
    for (at, answer) in [
        ("0s", (3, "not_yet_valid demo")),
        ("1d", (0, "valid demo")),
        ("2026-11-23T11:59:59Z", (3, "not_yet_valid demo")),
        ("2026-11-24", (0, "valid demo")),
        ("2026-12-02T11:59:59Z", (0, "valid demo")),
        ("2026-12-02T12:00:00Z", (3, "expired demo")),
        ("1y", (3, "expired demo")),
    ] {
        assert_eq!(world.verify(&secret, &["--at", at]), (answer.0, answer.1.to_owned()), "{at}");
    }
    assert_eq!(last_used(&world, "demo"), Value::Null, "a question about another time is not a use");
    for at in ["2026-11-22T11:59:59Z", "2026-11-21", "", "soon", "-1d", "101y"] {
        assert_eq!(world.verify(&secret, &[&*format!("--at={at}")]), (2, String::new()), "{at}");
    }
    // Only expiries and start times depend on the instant.
    world.run(&["disable", "demo"]).ok();
    assert_eq!(world.verify(&secret, &["--at", "1y"]), (3, "disabled demo".into()));
}

#[test]
fn a_use_is_recorded_once_a_minute_and_only_if_the_secret_is_valid() {
    let world = World::new();
    let secret = world.create("demo", &["-l", "env=prod"]);
    world.create("other", &[]);
    assert_eq!(world.show("demo")["usage_since"], "2026-11-22T12:00:00Z");
    world.wait(HOUR);
    for (refused, args) in [(3, &["-l", "env=dev"][..]), (3, &["-s", "any"]), (0, &["--at", "1d"])] {
        assert_eq!(world.verify(&secret, args).0, refused, "{args:?}");
        assert_eq!(last_used(&world, "demo"), Value::Null, "{args:?}");
    }
    let database = std::fs::read(world.database()).expect("the database can be read");
    for (wait, recorded) in [(0, "13:00:00"), (59, "13:00:00"), (1, "13:01:00"), (HOUR, "14:01:00")] {
        world.wait(wait);
        assert_eq!(world.verify(&secret, &["-q"]).0, 0);
        assert_eq!(last_used(&world, "demo"), format!("2026-11-22T{recorded}Z"));
    }
    assert_eq!(world.show("demo")["secrets"][0]["last_used_at"], "2026-11-22T14:01:00Z");
    assert_eq!(last_used(&world, "other"), Value::Null);
    assert_eq!(
        std::fs::read(world.database()).expect("the database can be read"),
        database,
        "a use does not change the database"
    );

    std::fs::remove_file(world.store().join("usage.secrets")).expect("the file can be removed");
    world.assert_valid(&secret, "demo");
    assert_eq!((last_used(&world, "demo"), &world.show("demo")["usage_since"]), (Value::Null, &Value::Null));
}

#[test]
fn with_quiet_only_errors_are_printed() {
    let world = World::new();
    let secret = world.create("demo", &[]);
    for (presented, code) in [(secret.as_str(), 0), (UNKNOWN, 3), ("", 3)] {
        for args in [&["verify", "-q"][..], &["verify", "-q", "--json"]] {
            let ran = world.run_with(args, presented.as_bytes()).exit(code);
            assert_eq!((&*ran.out, &*ran.err), ("", ""), "{presented}");
        }
    }
    std::fs::remove_file(world.database()).expect("the database can be removed");
    let ran = world.run_with(&["verify", "-q"], secret.as_bytes()).exit(6);
    assert!(ran.out.is_empty() && ran.err.starts_with("error: no store at "), "{}", ran.err);
}

#[test]
fn there_is_no_verdict_if_the_clock_is_wrong() {
    let world = World::new();
    let secret = world.create("demo", &[]);
    let clock = |secret: &str| {
        let ran = world.run_with(&["verify", "--json"], secret.as_bytes());
        (ran.code == 6).then(|| assert_eq!(ran.failure()["code"], "clock"));
        ran.code
    };
    world.wait(-5 * MINUTE);
    assert_eq!(clock(&secret), 0, "small differences between clocks are allowed");
    world.wait(-1);
    assert_eq!((clock(&secret), clock(UNKNOWN), clock("")), (6, 3, 3));
    world.wait(1_577_836_799 - world.now());
    assert_eq!((clock(&secret), clock(UNKNOWN), clock("")), (6, 6, 3), "before 2020");
}

#[test]
fn a_secret_is_read_from_stdin_a_file_or_the_terminal() {
    let mut world = World::new();
    let secret = world.create("demo", &[]);
    let file = world.dir.path().join("secret");
    std::fs::write(&file, format!("{secret}\n")).expect("the file can be written");
    let file = file.to_str().expect("the path is UTF-8");
    assert_eq!(world.verify("", &["--secret-file", file]), (0, "valid demo".into()));
    assert_eq!(world.verify(&secret, &["--secret-file", "-"]), (0, "valid demo".into()));
    for missing in [&*format!("{file}.not"), world.dir.path().to_str().expect("the path is UTF-8")] {
        world.refuses(&["verify", "--secret-file", missing], 1, "io");
    }
    let args = ["verify", &secret];
    world.refuses(&args, 2, "secret_as_argument");
    assert!(!world.run(&args).err.contains(&secret));

    // People paste more than the secret, but programs must pass exactly the secret.
    let pasted = format!(" Bearer {secret} ");
    assert_eq!(world.verify(&pasted, &[]), (3, "malformed".into()));
    world.at_terminal(&[Answer::Type(secret), Answer::Type(pasted), Answer::CtrlC]);
    world.assert_valid("", "demo");
    world.assert_valid("", "demo");
    assert_eq!(world.verify("", &[]).0, 130);
    world.refuses_once(&["verify", "--no-input"], 2, "input_needed");
}

#[test]
fn a_closed_pipe_does_not_change_the_answer() {
    let world = World::new();
    world.create("demo", &[]);
    assert_eq!(world.run_failing(&["verify"], 0, ErrorKind::BrokenPipe).code, 3);
    assert_eq!(world.run_failing(&["verify"], 0, ErrorKind::StorageFull).code, 1);
}

#[test]
fn a_required_scope_that_does_not_exist_also_causes_a_warning() {
    let world = World::with_store();
    world.define(&["read"]);
    let secret = world.create("a", &["-s", "read"]);
    let ran = world.run_with(&["verify", "-s", "raed"], secret.as_bytes()).exit(3);
    assert_eq!(ran.out, "scope_missing a\n");
    assert_eq!(ran.err, "warning: the scope `raed` does not exist in this store\n");
    assert_eq!(world.run_with(&["verify", "-s", "read"], secret.as_bytes()).ok().err, "");
}

#[test]
fn no_secret_is_valid_if_an_index_leads_to_another_secret() {
    let world = World::with_store();
    let [one, two] = ["one", "two"].map(|name| world.create(name, &[]));
    let conn = rusqlite::Connection::open(world.database()).expect("the database can be opened");
    let hash = |row: i64| -> Vec<u8> {
        conn.query_row("SELECT hash FROM secret WHERE row = ?1", [row], |row| row.get(0))
            .expect("the query returns a secret")
    };
    let hashes = [hash(1), hash(2)];
    drop(conn);
    // Swap the hashes of both secrets in the pages of the table, which start with the byte 13. The index is not
    // changed.
    let mut bytes = fs::read(world.database()).expect("the store can be read");
    let place = |hash: &[u8]| {
        let mut places = bytes.windows(32).enumerate().filter(|(_, it)| *it == hash).map(|(at, _)| at);
        places.find(|at| bytes[at / 4096 * 4096] == 13).expect("there is a row")
    };
    let places = [place(&hashes[0]), place(&hashes[1])];
    for (at, other) in places.into_iter().zip([&hashes[1], &hashes[0]]) {
        bytes[at..at + 32].copy_from_slice(other);
    }
    fs::write(world.database(), bytes).expect("the store can be written");
    for secret in [one, two] {
        let answer = world.verify(&secret, &[]);
        assert_eq!((answer.0 > 0, answer.1.contains("valid")), (true, false), "{answer:?}");
        assert_eq!(world.verify(&secret, &["--json"]).0, answer.0);
    }
}

#[test]
fn an_expired_secret_does_not_become_valid_again_if_the_clock_is_set_back() {
    let world = World::new();
    let secret = world.create("demo", &["--ttl", "30d"]);
    let endless = world.create("endless", &["--no-expiry"]);
    world.wait(40 * DAY);
    world.create("other", &[]);
    assert_eq!(world.verify(&secret, &[]), (3, "expired demo".to_owned()));
    world.wait(-20 * DAY);
    let failure = world.refuses_with(&["verify"], secret.as_bytes(), 6, "clock");
    let message = "the clock says 2026-12-12T12:00:00Z, but the last change was made at 2027-01-01T12:00:00Z";
    assert!(failure["message"].as_str().expect("the message is a string").contains(message), "{failure}");
    // Verdicts that do not depend on the clock are still given.
    world.assert_valid(&endless, "endless");
    world.run(&["disable", "demo"]).ok();
    assert_eq!(world.verify(&secret, &[]), (3, "disabled demo".to_owned()));
    // A delivery does not make the wrong clock correct.
    world.refuses(&["rotate", "endless"], 6, "clock");
    world.run(&["enable", "demo", "--accept-clock"]).ok();
    world.assert_valid(&secret, "demo");
}

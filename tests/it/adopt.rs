//! Tests of `adopt`, which stores existing secrets, one at a time or from a file.

use serde_json::{Value, json};

use crate::support::{Answer, DAY, HOUR, World, assert_token_keys};

const SECRET: &str = "Zk3-from.another/System_0815xyz";

#[test]
fn an_adopted_secret_is_valid_and_never_listed() {
    let world = World::with_store();
    let ran = world.run_with(&["adopt", "legacy", "--ttl", "30d"], SECRET.as_bytes()).ok();
    assert_eq!(ran.out, "");
    let shown = world.show("legacy");
    let id = shown["id"].as_str().unwrap();
    assert_eq!(ran.err, format!("adopted `legacy` ({id}), expires 2026-12-22T12:00:00Z (in 30 days)\n"));
    world.assert_valid(SECRET, "legacy");
    assert_eq!(shown["secrets"][0]["hint"], "Zk3-…");
    assert_eq!(shown["secrets"][0]["role"], "current");
    assert_eq!(world.actions(), ["init", "init", "adopt"]);
    for (name, bytes) in world.bytes() {
        assert!(!bytes.windows(SECRET.len()).any(|text| text == SECRET.as_bytes()), "{name:?}");
    }
}

#[test]
fn the_document_is_the_token_and_whether_it_changed() {
    let world = World::with_store();
    let document = world.run_with(&["adopt", "a", "--json", "--owner", "ann"], SECRET.as_bytes()).ok().json();
    assert_token_keys(&document, &["changed"]);
    assert_eq!(document["changed"], true);
    assert_eq!((&document["owner"], &document["ttl"]), (&json!("ann"), &json!(90 * DAY)));
    let again = world.run_with(&["adopt", "a", "--json", "--if-missing"], SECRET.as_bytes()).ok().json();
    assert_token_keys(&again, &["changed"]);
    assert_eq!(again["changed"], false);
}

#[test]
fn text_pasted_around_a_secret_is_ignored() {
    let world = World::with_store();
    let around = ["{}", "{}\n", "{}\r\n", "{}\n\n", "{}\r", " {} ", "{}\n ", "Bearer {}\n"];
    for (around, name) in around.iter().zip(["a", "b", "c", "d", "e", "f", "g", "h"]) {
        let secret = format!("{SECRET}-{name}");
        world.run_with(&["adopt", name], around.replace("{}", &secret).as_bytes()).ok();
        assert_eq!(world.verify(&secret, &[]), (0, format!("valid {name}")), "{around:?}");
    }
    world.refuses_with(&["adopt", "x"], format!("{SECRET} {SECRET}").as_bytes(), 2, "usage");
    world.refuses_with(&["adopt", "x"], format!("Basic {SECRET}").as_bytes(), 2, "usage");
}

#[test]
fn text_that_cannot_be_a_secret_is_refused() {
    let world = World::new();
    let ours = world.create("ours", &[]);
    let typo = format!("{}{}", &ours[..41], if ours.ends_with('a') { 'b' } else { 'a' });
    let other_prefix = format!("zzz{}", &ours[3..]);
    let huge = vec![b'x'; 1 << 20];
    let cases: [(&[u8], i32, &str); 16] = [
        (b"", 2, "usage"),
        (b"\n", 2, "usage"),
        (b"fifteen-chars-x", 2, "usage"),
        (b"has a space in it but is long enough", 2, "usage"),
        (b"nul\x00byte-in-a-long-enough-secret", 2, "usage"),
        (b"not-utf8-\xff\xfe-in-a-long-enough-secret", 2, "usage"),
        ("größer-als-ascii-und-lang-genug".as_bytes(), 2, "usage"),
        (&[0x1b; 40], 2, "usage"),
        (&[b'x'; 513], 2, "usage"),
        (&huge, 2, "usage"),
        (typo.as_bytes(), 2, "usage"),
        (other_prefix.as_bytes(), 2, "usage"),
        (b"0123456789abcdef", 5, "policy"),
        (b"0123456789abcdef0123456789abcde", 5, "policy"),
        (b"01234567890123456789012345678901234567", 5, "policy"),
        (b"abcdefghijklmnopqrstuvwxyz", 5, "policy"),
    ];
    for (input, exit, code) in cases {
        let failure = world.refuses_with(&["adopt", "x"], input, exit, code);
        let text = String::from_utf8_lossy(input);
        assert!(text.len() < 15 || !failure.to_string().contains(&*text), "{failure}");
    }
    world.run_with(&["adopt", "strong"], b"0123456789abcdef0123456789abcdef").ok();
    world.run_with(&["adopt", "longest"], &[b"Ab3".repeat(170), b"Ab\n".to_vec()].concat()).ok();
}

#[test]
fn a_secret_that_is_already_in_the_store_is_refused() {
    let world = World::new();
    let ours = world.create("ours", &[]);
    world.run_with(&["adopt", "legacy"], SECRET.as_bytes()).ok();
    for secret in [&*ours, SECRET] {
        world.refuses_with(&["adopt", "x"], secret.as_bytes(), 5, "policy");
    }
    world.refuses_with(&["adopt", "legacy"], b"another-secret-that-is-strong-1", 5, "name_taken");
    world.run(&["revoke", "ours", "legacy", "-y"]).ok();
    world.wait(100 * DAY);
    for secret in [&*ours, SECRET] {
        world.refuses_with(&["adopt", "x"], secret.as_bytes(), 5, "policy");
    }
    // A secret of another store can be adopted, because its checksum is correct.
    let elsewhere = World::new();
    elsewhere.run_with(&["adopt", "moved"], ours.as_bytes()).ok();
    elsewhere.assert_valid(&ours, "moved");
}

#[test]
fn a_secret_can_be_read_from_a_file() {
    let world = World::with_store();
    let file = world.dir.path().join("secret");
    let path = file.to_str().unwrap();
    world.refuses(&["adopt", "a", "--secret-file", path], 1, "io");
    world.refuses(&["adopt", "a", "--secret-file", world.dir.path().to_str().unwrap()], 1, "io");
    std::fs::write(&file, format!("{SECRET}\r\n")).unwrap();
    world.run_with(&["adopt", "a", "--secret-file", path], b"ignored").ok();
    world.assert_valid(SECRET, "a");
    let piped = "another-secret-that-is-strong-1";
    world.run_with(&["adopt", "b", "--secret-file", "-"], piped.as_bytes()).ok();
    world.assert_valid(piped, "b");
}

#[test]
fn at_a_terminal_the_user_is_prompted_for_the_secret() {
    let mut world = World::with_store();
    world.at_terminal(&[Answer::Type(SECRET.to_owned()), Answer::CtrlC, Answer::Type("short".to_owned())]);
    world.run(&["adopt", "a"]).ok();
    let before = world.bytes();
    world.run(&["adopt", "b"]).exit(130);
    world.run(&["adopt", "b"]).exit(2);
    assert_eq!(*world.asked.borrow(), ["Secret to adopt"; 3]);
    world.refuses_once(&["adopt", "b", "--no-input"], 2, "input_needed");
    assert_eq!(world.asked.borrow().len(), 3);
    assert!(world.bytes() == before);
    world.terminal = crate::support::World::new().terminal;
    world.assert_valid(SECRET, "a");
}

#[test]
fn adopt_applies_the_rules_of_create() {
    let world = World::with_store();
    world.define(&["admin"]);
    world.refuses_with(&["adopt", "a"], SECRET.as_bytes(), 2, "input_needed");
    world.run(&["settings", "max-ttl", "90d"]).ok();
    let cases: [(&[&str], i32, &str); 8] = [
        (&["--no-expiry"], 5, "policy"),
        (&["--ttl", "91d"], 5, "policy"),
        (&["--expires", "2026-01-01"], 2, "usage"),
        (&["--rotate-every", "12h"], 2, "usage"),
        (&["--icon", "ab"], 2, "usage"),
        (&["--owner", "a\nEVIL"], 2, "usage"),
        (&["--out", "file"], 2, "usage"),
        (&["-s", "other"], 4, "not_found"),
    ];
    for (args, exit, code) in cases {
        let scope = if args.contains(&"-s") { &[][..] } else { &["-s", "admin"] };
        world.refuses_with(&[&["adopt", "a"], scope, args].concat(), SECRET.as_bytes(), exit, code);
    }
    world.run_with(&["adopt", "a", "-s", "admin", "--not-before", "1d"], SECRET.as_bytes()).ok();
    assert_eq!(world.verify(SECRET, &["-s", "admin"]), (3, "not_yet_valid a".to_owned()));
}

#[test]
fn the_first_adoption_creates_a_store_only_if_the_secret_is_accepted() {
    let world = World::new();
    world.refuses_with(&["adopt", "a"], b"short", 2, "usage");
    world.refuses_with(&["adopt", "a"], b"0123456789abcdef", 5, "policy");
    world.refuses_with(&["adopt", "a", "--ttl", "0d"], SECRET.as_bytes(), 2, "usage");
    assert!(!world.store().exists());
    let ran = world.run_with(&["adopt", "a", "-q"], SECRET.as_bytes()).ok();
    assert!(
        ran.err.starts_with("warning: created a new store at ") && ran.err.lines().count() == 1,
        "{}",
        ran.err
    );
    assert_ne!(world.show("a")["usage_since"], Value::Null);
}

#[test]
fn a_secret_with_less_than_128_bits_or_few_different_characters_is_refused() {
    let world = World::with_store();
    // Twenty characters from an alphabet of 84 have 127.85 bits.
    let failure = world.refuses_with(&["adopt", "x"], b"aB.cD,eF;gH:iJ-kL_mN", 5, "policy");
    assert_eq!(failure["message"], "the secret has at most 127 bits, fewer than 128");
    for weak in ["a".repeat(28), "aB3".repeat(8), "ab12".repeat(8)] {
        let failure = world.refuses_with(&["adopt", "x"], weak.as_bytes(), 5, "policy");
        let few = "the secret uses too few different characters to be random";
        assert_eq!(failure["message"], few, "{weak}");
    }
    world.run_with(&["adopt", "x"], b"0f3a9c1d7b2e5f8a4c6d0e1b9a7f3c5d").ok();
}

#[test]
fn adopting_a_different_secret_for_an_existing_token_is_an_error() {
    let world = World::with_store();
    let adopt = ["adopt", "legacy", "--if-missing"];
    let first = "sk_live_0123456789abcdefghijklmnopqrstuvwxyz";
    let other = "pk_live_9876543210abcdefghijklmnopqrstuvwxyz";
    world.run_with(&adopt, first.as_bytes()).ok();
    let again = world.run_with(&adopt, first.as_bytes()).ok();
    assert_eq!(again.err, "`legacy` exists; nothing was changed\n");
    let events = world.actions();
    let refused = world.run_with(&adopt, other.as_bytes()).exit(5);
    let message =
        "error: `legacy` exists with another secret\nhint: choose another name, or revoke it first\n";
    assert_eq!((&*refused.out, &*refused.err), ("", message));
    assert_eq!(world.actions(), events);
    // A replaced secret still belongs to the token until its grace period is over.
    world.run(&["rotate", "legacy", "--grace", "1h"]).ok();
    world.run_with(&adopt, first.as_bytes()).ok();
    world.wait(HOUR);
    world.run_with(&adopt, first.as_bytes()).exit(5);
}

/// A secret that is strong enough, with this number in it.
fn strong(n: u32) -> String {
    format!("legacy_{n:04}_Zk3from+another/System0815xyzABCdef")
}

fn csv(world: &World) -> String {
    let text = format!(
        "\u{feff}Name,Secret,owner,scopes,labels,expires,description\r\n\
         ci,{},ann,events:read,env=prod;team=web,2027-06-30,\"builds, and \"\"more\"\"\"\r\n\
         \"ops.eu\",{},bob,\"events:read, admin\",,never,\r\n\
         plain,{},,,,,\r\n",
        strong(1),
        strong(2),
        strong(3)
    );
    world.write("team.csv", &text)
}

#[test]
fn tokens_are_adopted_from_a_table_and_every_client_keeps_working() {
    let world = World::with_store();
    world.define(&["events:read", "admin"]);
    let path = csv(&world);
    let flags = ["-s", "events:read", "--owner", "team", "--ttl", "30d"];
    let before = world.bytes();
    let rehearsed = world.run(&[&["adopt", "--from", &path, "-n"], &flags[..]].concat()).ok();
    assert_eq!(rehearsed.err, "3 would be adopted; nothing was changed\n");
    assert_eq!(world.bytes(), before);
    let ran = world.run(&[&["adopt", "--from", &path], &flags[..]].concat()).ok();
    assert_eq!((&*ran.out, &*ran.err), ("", "adopted `ci`\nadopted `ops.eu`\nadopted `plain`\n"));
    for (n, name) in [(1, "ci"), (2, "ops.eu"), (3, "plain")] {
        world.assert_valid(&strong(n), name);
    }
    let ci = world.show("ci");
    assert_eq!((&ci["owner"], &ci["labels"]), (&json!("ann"), &json!({ "env": "prod", "team": "web" })));
    assert_eq!(
        (&ci["until"], &ci["description"]),
        (&json!("2027-06-30T23:59:59Z"), &json!("builds, and \"more\""))
    );
    let ops = world.show("ops.eu");
    assert_eq!((&ops["scopes"], &ops["expires_at"]), (&json!(["admin", "events:read"]), &Value::Null));
    let plain = world.show("plain");
    assert_eq!((&plain["owner"], &plain["ttl"]), (&json!("team"), &json!(30 * DAY)));
    for (name, bytes) in world.bytes() {
        assert!(!bytes.windows(11).any(|text| text == b"legacy_0001"), "{name:?}");
    }
    assert_eq!(world.actions()[world.actions().len() - 3..], ["adopt", "adopt", "adopt"]);
    let again = world.run(&[&["adopt", "--from", &path, "--if-missing", "--json"], &flags[..]].concat()).ok();
    let document = again.json();
    assert_eq!(document, json!({ "changed": false, "dry_run": false, "count": 0, "tokens": [] }));
    assert_eq!(world.run(&["doctor"]).ok().out, "ok\n");
    world.run(&["audit", "verify"]).ok();
}

#[test]
fn json_lines_and_the_hashes_of_an_export_can_be_adopted() {
    let world = World::with_store();
    world.define(&["events:read"]);
    let moved = world.create("moved", &["-s", "events:read"]);
    let exported = world.run(&["export"]).ok().out;
    let token = exported.lines().find(|line| line.contains("\"type\":\"token\"")).expect("there is a token");
    let token: Value = serde_json::from_str(token).expect("it is JSON");
    let secret = &token["secrets"][0];
    let other = World::new();
    other.define(&["events:read"]);
    let lines = [
        json!({ "name": "a", "secret": strong(1), "scopes": ["events:read"], "labels": { "k": "v=w, x" }, "expires": null }),
        json!({ "name": "b", "hash": secret["hash"], "hint": secret["hint"], "scopes": "events:read", "owner": "ann" }),
        json!({ "name": "c", "hash": "0".repeat(64), "scopes": "events:read" }),
    ];
    let text = lines.map(|line| format!("{line}\n")).join("\n");
    let document =
        other.run_with(&["adopt", "--from", "-", "--no-expiry", "--json"], text.as_bytes()).ok().json();
    assert_eq!((&document["changed"], &document["count"]), (&json!(true), &json!(3)));
    assert_token_keys(&document["tokens"][0], &["changed", "error"]);
    other.assert_valid(&strong(1), "a");
    other.assert_valid(&moved, "b");
    assert_eq!(other.show("a")["labels"], json!({ "k": "v=w, x" }));
    assert_eq!(other.show("b")["secrets"][0]["hint"], secret["hint"]);
    assert_eq!(other.run(&["doctor"]).ok().out, "ok\n");
}

#[test]
fn an_invalid_line_stops_the_adoption_or_is_skipped_and_no_message_contains_a_secret() {
    let world = World::with_store();
    world.run_with(&["adopt", "there", "--no-expiry"], strong(9).as_bytes()).ok();
    world.run_with(&["adopt", "gone", "--no-expiry"], strong(8).as_bytes()).ok();
    world.run(&["revoke", "gone", "--yes"]).ok();
    world.run(&["prune", "--yes"]).ok();
    let good = format!("ok,{}", strong(1));
    let cases = [
        (format!("{},x", strong(2)), 2, "usage", "its `name` is not valid"),
        (format!("a b,{}", strong(2)), 2, "usage", "its `name` is not valid"),
        ("weak,0123456789abcdef".to_owned(), 5, "policy", "fewer than 128"),
        (format!("same,{}", strong(1)), 5, "policy", "is in the store already"),
        (format!("ok,{}", strong(2)), 5, "name_taken", "the name `ok` is taken"),
        (format!("there,{}", strong(2)), 5, "name_taken", "the name `there` is taken"),
        (format!("x,{}", strong(9)), 5, "policy", "is in the store already"),
        (
            format!("x,{}", strong(8)),
            5,
            "policy",
            "this secret was in the store before, and has expired or was revoked",
        ),
        ("x,".to_owned(), 2, "usage", "it has no `secret`, and no `hash`"),
        (format!(",{}", strong(2)), 2, "usage", "it has no `name`"),
        (format!("x,{},y", strong(2)), 2, "usage", "it has 3 fields, and the heading 2"),
        ("x,a secret with blanks in it".to_owned(), 2, "usage", "cannot be a secret"),
    ];
    let before = world.bytes();
    for (bad, exit, code, why) in &cases {
        let text = format!("name,secret\n{good}\n{bad}\n");
        let ran = world.run_with(&["adopt", "--from", "-", "--no-expiry"], text.as_bytes()).exit(*exit);
        assert!(ran.err.contains("error: line 3: ") && ran.err.contains(why), "{bad}: {}", ran.err);
        assert!(ran.err.contains("1 of 2 lines could not be adopted, so none was"), "{}", ran.err);
        assert!(!ran.err.contains("legacy_") && !ran.err.contains("0123456789"), "{}", ran.err);
        let failure =
            world.refuses_with(&["adopt", "--from", "-", "--no-expiry"], text.as_bytes(), *exit, code);
        assert!(!failure.to_string().contains("legacy_"), "{failure}");
        let reasons = "1 of 2 lines could not be adopted, so none was: line 3: ";
        assert!(failure["message"].as_str().unwrap().starts_with(reasons), "{failure}");
        assert_eq!(world.bytes(), before, "{bad}");
    }
    for (heading, hint) in [
        ("name,secrt", "did you mean `secret`?".to_owned()),
        (
            &strong(1),
            "the columns are name, secret, hash, hint, owner, description, scopes, labels, expires"
                .to_owned(),
        ),
        ("name,sha256", "adopt the secrets themselves, or rotate them".to_owned()),
    ] {
        let text = format!("{heading}\nx,{}\n", strong(2));
        let refused = world.refuses_with(&["adopt", "--from", "-"], text.as_bytes(), 2, "usage");
        assert_eq!(refused["hint"], hint);
        assert!(!refused.to_string().contains("legacy_"), "{refused}");
    }
    world.refuses_with(&["adopt", "--from", "-"], b"", 2, "usage");
    world.refuses_with(
        &["adopt", "--from", "-"],
        &[b"name,secret\nx,\"".as_slice(), &vec![b'x'; 1 << 17]].concat(),
        2,
        "usage",
    );
    for (line, why) in [
        ("{\"name\":7}".to_owned(), "`name` has the wrong type"),
        ("{\"nam\":\"x\"}".to_owned(), "the heading has an unknown column"),
        (format!("{{\"name\":\"x\",\"secret\":\"{}\"", strong(2)), "it is not a JSON object"),
        (format!("{{\"name\":\"x\",\"hash\":\"{}\"}}", "0".repeat(63)), "its `hash` is not valid"),
        (
            format!("{{\"name\":\"x\",\"hash\":\"{}\",\"hint\":\"legacy\"}}", "0".repeat(64)),
            "its `hint` is not valid",
        ),
        (format!("{{\"name\":\"x\",\"hash\":\"{}\",\"secret\":\"{}\"}}", "0".repeat(64), strong(2)), "both"),
    ] {
        let ran = world.run_with(&["adopt", "--from", "-"], line.as_bytes()).exit(2);
        assert!(ran.err.contains(why) && !ran.err.contains("legacy_"), "{line}: {}", ran.err);
    }
    let bad = cases.iter().map(|(bad, ..)| format!("{bad}\n")).collect::<Vec<_>>().concat();
    let text = format!("name,secret\n{bad}{good}\n");
    let ran = world.run_with(&["adopt", "--from", "-", "--no-expiry", "--skip-bad"], text.as_bytes()).ok();
    assert_eq!(ran.err.matches("is left out: ").count(), cases.len() - 1, "{}", ran.err);
    assert!(ran.err.contains("warning: line 2 is left out: its `name` is not valid\n"), "{}", ran.err);
    assert!(ran.err.ends_with("adopted `same`\nadopted `ok`\n"), "{}", ran.err);
    world.assert_valid(&strong(1), "same");
    world.assert_valid(&strong(2), "ok");
}

#[test]
fn no_record_is_lost_if_one_ends_exactly_at_the_read_buffer() {
    // A heading of 10 bytes, one record of 118 bytes and 511 records of 128 bytes are 64 KiB together.
    let record = |n: usize, length: usize| format!("{n:0length$},{n:064}\n");
    let records: String = (0..515).map(|n| record(n, if n == 0 { 52 } else { 62 })).collect();
    let world = World::with_store();
    let text = format!("name,hash\n{records}");
    assert!(text[..1 << 16].ends_with('\n'));
    let ran = world.run(&["adopt", "--from", &world.write("secrets", &text), "--json"]).ok();
    assert_eq!(ran.json()["count"], 515);
}

#[test]
fn a_secret_in_the_wrong_column_is_neither_stored_nor_printed() {
    let world = World::with_store();
    let secret = world.create("demo", &[]);
    for text in [
        format!("name,secret,description\na,{},was {secret}\n", strong(1)),
        format!("{{\"name\": \"{secret}\", \"secret\": \"{}\"}}\n", strong(1)),
    ] {
        let ran = world.run(&["adopt", "--from", &world.write("secrets", &text)]).exit(2);
        assert!(ran.err.contains(" contains a secret") && !ran.err.contains(&secret), "{ran:?}");
    }
}

#[test]
fn a_single_secret_cannot_be_combined_with_a_file_of_secrets() {
    let world = World::new();
    for args in [
        &["adopt"][..],
        &["adopt", "x", "--from", "f"],
        &["adopt", "--from", "f", "--secret-file", "g"],
        &["adopt", "x", "--skip-bad"],
        &["adopt", "x", "-n"],
    ] {
        world.refuses(args, 2, "usage");
    }
}

/// Runs each recipe of docs/moving-in.md: the file that it shows and its one command. Every client must keep working.
#[test]
fn the_recipes_for_moving_in_work() {
    if !crate::support::have("jq") {
        return;
    }
    let page = include_str!("../../docs/moving-in.md");
    let block = |after: &str, language: &str| {
        let (_, rest) = page.split_once(after).expect(after);
        let (_, rest) = rest.split_once(&format!("```{language}\n")).expect(language);
        rest.split_once("```").expect("its end").0.to_owned()
    };
    for (title, language, file, expected) in [
        ("## A table of names", "csv", "team.csv", json!({ "billing": ["ann"], "reports": ["bob"] })),
        ("## Unleash", "json", "unleash.json", json!({ "web-frontend": [null], "mobile": [null] })),
        (
            "## Names of a client",
            "csv",
            "legacy.csv",
            json!({ "Acme-Travel.nightly-import": ["Acme Travel"], "Acme-Travel.dashboard": ["Acme Travel"] }),
        ),
    ] {
        let world = World::of_processes();
        let text = block(title, language);
        world.write(file, &text);
        let mut shell = std::process::Command::new("sh");
        shell.env_clear().env("PATH", crate::support::search_path()).env("TOKENCTL_STORE", world.store());
        let ran =
            crate::support::run(shell.args(["-c", &block(title, "sh")]).current_dir(world.dir.path()), b"");
        assert_eq!(ran.code, 0, "{title}: {}", ran.err);
        let listed = world.real(&["list", "--json"], b"").ok().json();
        let listed: serde_json::Map<String, Value> = listed
            .as_array()
            .expect("`tokens` is an array")
            .iter()
            .map(|it| (it["name"].as_str().expect("the name is a string").to_owned(), json!([it["owner"]])))
            .collect();
        assert_eq!(Value::from(listed), expected, "{title}");
        let words: Vec<&str> = text.split(['"', ',', '\n']).filter(|word| word.len() > 30).collect();
        assert_eq!(words.len(), 2, "{words:?}");
        for secret in words {
            let answer = world.real(&["verify"], secret.as_bytes()).ok();
            assert!(answer.out.starts_with("valid "), "{secret}: {answer:?}");
        }
    }
}

//! `adopt`.

use serde_json::{Value, json};

use crate::support::{Answer, DAY, HOUR, World, assert_token_keys};

const SECRET: &str = "Zk3-from.another/System_0815xyz";

#[test]
fn an_adopted_secret_is_good_and_never_listed() {
    let world = World::with_store();
    let ran = world.run_with(&["adopt", "legacy", "--ttl", "30d"], SECRET.as_bytes()).ok();
    assert_eq!(ran.out, "");
    let shown = world.show("legacy");
    let id = shown["id"].as_str().unwrap();
    assert_eq!(ran.err, format!("adopted `legacy` ({id}), expires 2026-12-22T12:00:00Z (in 30 days)\n"));
    world.is_valid(SECRET, "legacy");
    assert_eq!(shown["secrets"][0]["hint"], "Zk3-…");
    assert_eq!(shown["secrets"][0]["role"], "current");
    assert_eq!(world.actions(), ["init", "init", "adopt"]);
    for (name, bytes) in world.bytes() {
        assert!(!bytes.windows(SECRET.len()).any(|text| text == SECRET.as_bytes()), "{name:?}");
    }
}

#[test]
fn the_document_is_a_token_that_changed() {
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
fn what_is_pasted_around_a_secret_is_no_part_of_it() {
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
fn what_cannot_be_a_secret_is_refused() {
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
fn a_secret_that_the_store_knows_is_refused() {
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
    // What another store made can be adopted: its checksum is right.
    let elsewhere = World::new();
    elsewhere.run_with(&["adopt", "moved"], ours.as_bytes()).ok();
    elsewhere.is_valid(&ours, "moved");
}

#[test]
fn a_secret_comes_from_a_file() {
    let world = World::with_store();
    let file = world.dir.path().join("secret");
    let path = file.to_str().unwrap();
    world.refuses(&["adopt", "a", "--secret-file", path], 1, "io");
    world.refuses(&["adopt", "a", "--secret-file", world.dir.path().to_str().unwrap()], 1, "io");
    std::fs::write(&file, format!("{SECRET}\r\n")).unwrap();
    world.run_with(&["adopt", "a", "--secret-file", path], b"ignored").ok();
    world.is_valid(SECRET, "a");
    let piped = "another-secret-that-is-strong-1";
    world.run_with(&["adopt", "b", "--secret-file", "-"], piped.as_bytes()).ok();
    world.is_valid(piped, "b");
}

#[test]
fn a_terminal_is_asked_for_the_secret() {
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
    world.is_valid(SECRET, "a");
}

#[test]
fn it_keeps_the_rules_of_create() {
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
fn the_first_adoption_makes_a_store_only_for_a_good_secret() {
    let world = World::new();
    world.refuses_with(&["adopt", "a"], b"short", 2, "usage");
    world.refuses_with(&["adopt", "a"], b"0123456789abcdef", 5, "policy");
    world.refuses_with(&["adopt", "a", "--ttl", "0d"], SECRET.as_bytes(), 2, "usage");
    assert!(!world.store().exists());
    let ran = world.run_with(&["adopt", "a", "-q"], SECRET.as_bytes()).ok();
    assert!(
        ran.err.starts_with("warning: made a new store at ") && ran.err.lines().count() == 1,
        "{}",
        ran.err
    );
    assert_ne!(world.show("a")["usage_since"], Value::Null);
}

#[test]
fn a_secret_of_less_than_128_bits_or_of_few_different_characters_is_refused() {
    let world = World::with_store();
    // Twenty characters of 84: 127.85 bits.
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
fn a_token_that_exists_with_another_secret_is_a_conflict() {
    let world = World::with_store();
    let adopt = ["adopt", "legacy", "--if-missing"];
    let first = "sk_live_0123456789abcdefghijklmnopqrstuvwxyz";
    let other = "pk_live_9876543210abcdefghijklmnopqrstuvwxyz";
    world.run_with(&adopt, first.as_bytes()).ok();
    let again = world.run_with(&adopt, first.as_bytes()).ok();
    assert_eq!(again.err, "`legacy` exists; nothing was changed\n");
    let events = world.actions();
    let refused = world.run_with(&adopt, other.as_bytes()).exit(5);
    let said = "error: `legacy` exists with another secret\nhint: choose another name, or revoke it first\n";
    assert_eq!((&*refused.out, &*refused.err), ("", said));
    assert_eq!(world.actions(), events);
    // A replaced secret is the token's own until its grace period is over.
    world.run(&["rotate", "legacy", "--grace", "1h"]).ok();
    world.run_with(&adopt, first.as_bytes()).ok();
    world.wait(HOUR);
    world.run_with(&adopt, first.as_bytes()).exit(5);
}

//! Compares the reference of JSON documents with the documents of a store that contains everything.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokenctl::cli::VERBS;

use crate::support::{DAY, MINUTE, Ran, World, pages, run};

/// A key of a document: the name of the table that lists it, and the key.
type Key = (&'static str, &'static str);

/// A row of a table: the key, the words for its type, and its meaning.
#[derive(Clone, Copy, PartialEq)]
struct Row {
    key: Key,
    kind: &'static str,
    meaning: &'static str,
}

/// The rows of every table in the reference, by the name of the document. They include the rows of the document that a
/// document extends.
fn shapes() -> BTreeMap<&'static str, Vec<Row>> {
    let mut shapes = BTreeMap::<&str, Vec<Row>>::new();
    let mut extends = Vec::new();
    for section in pages::section("## JSON documents").split("\n### ").skip(1) {
        let (name, text) = section.split_once('\n').expect("there is a heading");
        let rows = text.lines().filter(|line| line.starts_with("| `")).map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            Row { key: (name, cells[1].trim_matches('`')), kind: cells[2], meaning: cells[3] }
        });
        shapes.insert(name, rows.collect());
        let base = text.split_once("All keys of ").and_then(|(_, rest)| rest.split_once(", and:"));
        extends.extend(base.map(|(base, _)| (name, base)));
    }
    // A document can extend one that itself extends another.
    for _ in 0..2 {
        for (name, base) in &extends {
            let rows = shapes.get(base).unwrap_or_else(|| panic!("no {base}")).clone();
            let own = shapes.get_mut(name).expect("the document");
            let new: Vec<Row> = rows.into_iter().filter(|row| !own.contains(row)).collect();
            own.extend(new);
        }
    }
    shapes
}

/// Compares documents with the tables, and records which keys had values.
struct Reader {
    shapes: BTreeMap<&'static str, Vec<Row>>,
    /// The keys that had a value other than null or an empty list or object.
    seen: BTreeSet<Key>,
    /// The keys that were null or absent.
    missed: BTreeSet<Key>,
}

impl Reader {
    #[track_caller]
    fn object(&mut self, shape: &'static str, value: &Value) {
        let rows = self.shapes.get(shape).unwrap_or_else(|| panic!("the reference has no {shape}")).clone();
        let object = value.as_object().unwrap_or_else(|| panic!("{shape}: {value}"));
        let known: BTreeSet<&str> = rows.iter().map(|row| row.key.1).collect();
        let unknown: Vec<_> = object.keys().filter(|key| !known.contains(key.as_str())).collect();
        assert!(unknown.is_empty(), "the reference of {shape} has no {unknown:?}");
        for Row { key, kind, meaning } in rows {
            let (kind, optional) =
                kind.strip_suffix(", or absent").map_or((kind, false), |kind| (kind, true));
            match object.get(key.1) {
                Some(value) => {
                    self.value(key, kind, value);
                    let words: Vec<&str> = meaning.split('`').skip(1).step_by(2).collect();
                    if let (Some(text), "text", 2..) = (value.as_str(), kind, words.len()) {
                        assert!(words.contains(&text), "{key:?} is `{text}`, and not one of {words:?}");
                    }
                }
                None if optional => _ = self.missed.insert(key),
                None => panic!("{shape} has no {key:?}: {value}"),
            }
        }
    }

    #[track_caller]
    fn value(&mut self, at: Key, kind: &'static str, value: &Value) {
        let is_text = |value: &Value| value.is_string();
        let (kind, nullable) = kind.strip_suffix(" or null").map_or((kind, false), |kind| (kind, true));
        if nullable && value.is_null() {
            self.missed.insert(at);
            return;
        }
        let fits = match kind {
            "text" => is_text(value),
            "number" | "seconds" => value.is_i64(),
            "true or false" => value.is_boolean(),
            "time" => value.as_str().is_some_and(|it| it.len() == 20 && it.ends_with('Z')),
            "anything" => true,
            "list of text" => value.as_array().is_some_and(|all| all.iter().all(is_text)),
            "object of text" => value.as_object().is_some_and(|all| all.values().all(is_text)),
            _ => {
                if let Some(shape) = kind.strip_prefix("list of ") {
                    let all = value.as_array().unwrap_or_else(|| panic!("{at:?}: {value}"));
                    for value in all {
                        self.object(shape, value);
                    }
                } else {
                    self.object(kind, value);
                }
                true
            }
        };
        assert!(fits, "{at:?} is not of type {kind}: {value}");
        let is_empty = value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty);
        if !is_empty && !value.is_null() {
            self.seen.insert(at);
        }
    }

    /// Reads the document of a command, whatever its exit code.
    #[track_caller]
    fn read(&mut self, shape: &'static str, ran: &Ran) -> Value {
        let document = ran.json();
        if let Some(shape) = shape.strip_prefix("list of ") {
            self.value(("", shape), shape_list(shape), &document);
        } else {
            self.object(shape, &document);
        }
        document
    }
}

/// Fails unless a document matches its table in the reference.
#[track_caller]
pub fn assert_is(shape: &'static str, document: &Value) {
    let mut reader = Reader { shapes: shapes(), seen: BTreeSet::new(), missed: BTreeSet::new() };
    reader.object(shape, document);
}

/// The type of a list of these documents.
fn shape_list(shape: &str) -> &'static str {
    match shape {
        "Token" => "list of Token",
        "Scope" => "list of Scope",
        "Event" => "list of Event",
        "Leak" => "list of Leak",
        _ => panic!("no command prints a list of {shape}"),
    }
}

/// Keys that have a value only if an index is damaged, as in `audit::a_row_that_is_missing_from_an_index_is_found`.
const NEVER_A_VALUE: [Key; 1] = [("Audit", "database")];

/// Keys that always have a value on this machine and in this store.
const ALWAYS_A_VALUE: [Key; 6] = [
    ("Actor", "login"),
    ("Actor", "host"),
    ("Destination", "host"),
    ("Error", "hint"),
    ("Token", "usage_since"),
    ("Check finding", "since"),
];

#[test]
fn the_reference_lists_the_document_of_every_command() {
    let (table, _) = pages::section("## JSON documents").split_once("\n### ").expect("the first document");
    let named: BTreeSet<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .flat_map(|row| row.split('`').step_by(2))
        .map(|command| command.split(" -").next().unwrap_or(command).trim_end_matches(" NAME"))
        .collect();
    // These commands print other formats, or have subcommands.
    let others = ["", "completions", "export", "scopes"];
    let missing: Vec<&str> = VERBS
        .iter()
        .map(|verb| verb.path)
        .filter(|path| !named.contains(path) && !others.contains(path))
        .collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_document_has_the_documented_keys_and_types() {
    let mut all = Reader { shapes: shapes(), seen: BTreeSet::new(), missed: BTreeSet::new() };
    let world = World::new();
    make(&world, &mut all);
    let old = use_secrets(&world, &mut all);
    change(&world, &mut all);
    search(&world, &mut all, &old);
    move_about(&world, &mut all);
    damage(&world, &mut all);

    let mut unseen = Vec::new();
    // `Request` is in the log of `serve`, whose tests check it.
    all.shapes.remove("Request");
    for Row { key, kind, .. } in all.shapes.values().flatten() {
        if !all.seen.contains(key) && !NEVER_A_VALUE.contains(key) {
            unseen.push(format!("{key:?} never has a value"));
        }
        let can_be_missing = kind.ends_with(" or null") || kind.ends_with(", or absent");
        if can_be_missing && !all.missed.contains(key) && !ALWAYS_A_VALUE.contains(key) {
            unseen.push(format!("{key:?} always has a value"));
        }
    }
    assert_eq!(unseen, [""; 0]);
}

/// Runs a command with `--json`.
#[track_caller]
fn json(world: &World, line: &str) -> Ran {
    let words: Vec<&str> = line.split(' ').chain(["--json"]).collect();
    world.run(&words)
}

fn make(world: &World, all: &mut Reader) {
    all.read("Store", &json(world, "init"));
    all.read("Store", &json(world, &format!("init --group {}", rustix::process::getgid().as_raw())));
    all.read("Manual pages", &json(world, "man"));
    all.read("Manual pages", &json(world, &format!("man {}", world.path("pages"))));
    all.read("Settings", &json(world, "settings"));
    world.run(&["settings", "url", "https://api.example.org"]).ok();
    world.run(&["settings", "default-ttl", "90d"]).ok();
    all.read("Settings", &json(world, "settings max-ttl 400d"));
    world.run(&["settings", "max-ttl", ""]).ok();
    let described = ["scopes", "define", "read", "--description", "Read events", "--json"];
    all.read("Changed scope", &world.run(&described).ok());
    all.read("Changed scope", &json(world, "scopes define admin --includes read"));
    world.define(&["write"]);

    let env = world.write("app.env", "");
    std::fs::set_permissions(&env, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("the mode can be set");
    let line = format!(
        "create app --owner ann --description All --icon 🔑 --label env=prod --scope admin,write --ttl 90d \
         --not-before 1m --rotate-every 30d --grace 2d --allow-from 10.0.0.0/8 --env-file {env} --env-name KEY --after false"
    );
    all.read("Delivered token", &json(world, &line));
    all.read("Delivered token", &json(world, "create plain --scope read --expires 2027-06-30"));
    world.run(&["create", "endless", "--scope", "read", "--no-expiry", "--exec", "cat"]).ok();
    all.read("Failure", &failure(&json(world, "create plain --scope read")));
    all.read("Failure", &failure(&json(world, "show nobody")));
}

/// The last line on stderr as a document.
fn failure(ran: &Ran) -> Ran {
    Ran { code: ran.code, out: ran.err.lines().last().unwrap_or_default().to_owned(), err: String::new() }
}

/// Verifies secrets so that every kind of answer occurs. Returns a secret that is still valid.
fn use_secrets(world: &World, all: &mut Reader) -> String {
    world.wait(MINUTE + 1);
    let env = std::fs::read_to_string(world.path("app.env")).expect("the env file");
    let secret = env.trim().trim_start_matches("KEY=").to_owned();
    let mut verify = |args: &[&str], input: &str| {
        all.read("Verdict", &world.run_with(&[&["verify", "--json"], args].concat(), input.as_bytes()));
    };
    verify(&["--address", "10.0.0.1"], &secret);
    verify(&["--address", "10.0.0.1", "--scope", "nothing"], &secret);
    verify(&[], "malformed");
    let endless = world.rotate("endless", &["--stdout", "--grace", "0s"]);
    verify(&["--scope", "write"], &endless);
    let request = format!("{{\"secret\":\"{endless}\",\"id\":7}}\n");
    all.read("Answer", &world.run_with(&["verify", "--stream"], request.as_bytes()));
    all.read("Failed answer", &world.run_with(&["verify", "--stream"], b"{\"id\":7}\n"));
    let request = format!("{{\"secret\":\"{endless}\"}}\n");
    all.read("Answer", &world.run_with(&["verify", "--stream"], request.as_bytes()));
    secret
}

fn change(world: &World, all: &mut Reader) {
    all.read("Shown token", &json(world, "show app"));
    all.read("Delivered token", &json(world, "rotate app --grace 0s"));
    all.read("Warning", &failure(&json(world, "rotate endless --stdout")));
    all.read("Several tokens", &json(world, "rotate --due"));
    world.wait(MINUTE);
    all.read("Changed token", &json(world, "rename app app2"));
    all.read("Changed token", &json(world, "rename app2 app"));
    all.read(
        "Changed token",
        &world.run_with(&["adopt", "old", "-s", "read", "--json"], b"legacy-0123456789abcdefghijklm"),
    );
    for line in [
        "scopes edit write --description Write",
        "scopes rename write writing --allow-widen",
        "scopes rename writing write --allow-widen",
    ] {
        all.read("Changed scope", &json(world, line));
    }
    for line in [
        "scopes set old read,write --allow-widen",
        "scopes remove app write",
        "scopes add app write --allow-widen",
    ] {
        all.read("Changed token", &json(world, line));
    }
    all.read("Several tokens", &json(world, "edit app --owner bob"));
    all.read("Several tokens", &json(world, "disable plain"));
    all.read("Several tokens", &json(world, "enable plain"));
    all.read("list of Token", &json(world, "list --all"));
    all.read("Changed scope", &json(world, "scopes retire write --ungrant --yes"));
    all.read("list of Scope", &json(world, "scopes list"));
    all.read("list of Event", &json(world, "audit"));
    all.read("Head", &json(world, "audit head"));
    all.read("Audit", &json(world, "audit verify"));
}

fn search(world: &World, all: &mut Reader, old: &str) {
    world.run_with(&["verify"], old.as_bytes());
    all.read("Shown token", &json(world, "show app"));
    all.read("Report", &json(world, "check"));
    let text = format!(
        "commit {}\n\n    Message {old}\n\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+{old}\n",
        "0123456789".repeat(4)
    );
    all.read("list of Leak", &world.run_with(&["scan", "-", "--json"], text.as_bytes()));
    // The random generators of all worlds generate the same secrets, so one of these ten is that of a token.
    let other = World::with_store();
    let other =
        ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].map(|name| other.create(name, &[]))[9].clone();
    all.read("list of Leak", &world.run_with(&["scan", "-", "--json"], other.as_bytes()));
    all.read("Diagnosis", &json(world, "doctor"));
}

fn move_about(world: &World, all: &mut Reader) {
    let copy = world.path("copy.db");
    all.read("Backup", &json(world, &format!("backup {copy}")));
    world.run(&["revoke", "endless", "--yes"]).ok();
    world.run(&["scopes", "remove", "app", "admin"]).ok();
    world.run(&["create", "new", "--scope", "read"]).ok();
    let restore = format!("restore {copy} --yes --discard-newer --allow-widen --accept-commands");
    all.read("Restoration", &json(world, &restore));
    let export = world.run(&["export", "--tokens"]).ok().out;
    all.read(
        "Several tokens",
        &world
            .run_with(&["import", "-", "--skip-existing", "--accept-commands", "--json"], export.as_bytes()),
    );
    world.wait(DAY);
    all.read("Pruning", &json(world, "prune --older-than 1h --yes"));
    let wanted = world.write(
        "tokens.toml",
        "[scopes.read]\ndescription = \"Other\"\n[tokens.wanted]\nscopes = [\"read\"]\nexec = \"exit 1\"\n",
    );
    all.read("Plan", &json(world, &format!("diff {wanted}")));
    all.read("Plan", &json(world, &format!("apply {wanted} --allow-widen")));
}

fn damage(world: &World, all: &mut Reader) {
    all.read("Settings", &json(world, "settings default-ttl none"));
    world.run(&["revoke", "plain", "--yes", "--reason", "Unused"]).ok();
    // The simulated machine has no sudo user.
    let real = World::new();
    run(real.program().env("SUDO_USER", "ann").args(["scopes", "define", "read"]), b"").ok();
    all.read("list of Event", &real.real(&["audit", "--json"], b""));
    all.read("list of Event", &json(world, "audit"));
    world.sql("UPDATE tokens SET owner = 'eve'");
    all.read("Audit", &json(world, "audit verify"));
    world.sql("UPDATE events SET reason = 'other' WHERE seq = 2");
    all.read("Audit", &json(world, "audit verify"));
    all.read("Diagnosis", &json(world, "doctor"));
}

//! `export`: the store as JSON lines, without secrets.

use serde_json::Value;

use crate::support::World;

fn filled() -> (World, String) {
    let world = World::with_store();
    world.define(&["events:read"]);
    world.run(&["scopes", "define", "admin", "--includes", "events:read"]).ok();
    let secret = world.create("demo", &["-s", "admin", "--owner", "ann", "-l", "env=prod"]);
    world.run(&["settings", "grace", "2h"]).ok();
    world.create("gone", &["-s", "events:read"]);
    world.run(&["revoke", "gone", "--yes"]).ok();
    (world, secret)
}

pub fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn kinds(lines: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<_> =
        lines.iter().map(|line| line["type"].as_str().expect("the type is a string")).collect();
    kinds.dedup();
    kinds
}

#[test]
fn an_export_contains_the_whole_store_but_no_secret() {
    let (world, secret) = filled();
    let head = world.run(&["audit", "head", "--json"]).ok().json();
    let before = world.bytes();
    let out = world.run(&["export"]).ok().out;
    assert_eq!(world.bytes(), before);
    assert!(!out.contains(&secret) && !out.contains(&secret[8..]));
    let all = lines(&out);
    assert_eq!(kinds(&all), ["header", "setting", "scope", "token", "event", "end"]);
    assert_eq!((&all[0]["format"], &all[0]["head"], &all[0]["history"]), (&1.into(), &head, &true.into()));
    assert!(out.starts_with("{\"type\":\"header\","));
    let demo = all.iter().find(|line| line["type"] == "token" && line["name"] == "demo").expect("the token");
    assert_eq!(demo["scopes"], serde_json::json!(["admin"]));
    assert_eq!(demo["labels"], serde_json::json!({"env": "prod"}));
    assert_eq!(demo["secrets"][0]["hash"].as_str().expect("the hash is a string").len(), 64);
    let end = all.last().expect("the end");
    assert_eq!((&end["token"], &end["scope"]), (&2.into(), &2.into()));
    assert_eq!(end["event"], head["seq"]);
}

#[test]
fn only_selected_tokens_are_exported() {
    let (world, _) = filled();
    let names = |args: &[&str]| -> Vec<String> {
        let all = lines(&world.run(args).ok().out);
        assert_eq!(all[0]["history"], false);
        let of_tokens = all.iter().filter(|line| line["type"] == "token");
        of_tokens.map(|line| line["name"].as_str().expect("the name is a string").to_owned()).collect()
    };
    assert_eq!(names(&["export", "--tokens"]), ["demo", "gone"]);
    assert_eq!(names(&["export", "--owner", "ann"]), ["demo"]);
    assert_eq!(names(&["export", "--status", "revoked"]), ["gone"]);
    assert_eq!(
        kinds(&lines(&world.run(&["export", "--tokens"]).ok().out)),
        ["header", "scope", "token", "end"]
    );
    world.refuses(&["export", "--scope", "nonsense"], 4, "not_found");
}

#[test]
fn an_incomplete_export_is_a_failure() {
    let (world, _) = filled();
    let ran = world.run_failing(&["export"], 0, std::io::ErrorKind::BrokenPipe);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("the reader went away before the end"), "{ran:?}");
}

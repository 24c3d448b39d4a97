//! The events that `audit` prints: which of them, in which order and format.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::Value;

use crate::support::{DAY, HOUR, World, run, time};

/// A store with events on three days. One token is created each day at noon, and on the second day the first token is
/// also edited. Events 1 and 2 are from `init`, and each creation makes two events (`create` and `confirm`).
fn world() -> World {
    let world = World::with_store();
    world.create("first", &["--owner", "ann"]);
    world.wait(DAY);
    world.create("second", &[]);
    world.run(&["edit", "first", "--owner", "bob", "--reason", "moved"]).ok();
    world.wait(DAY);
    world.create("third", &[]);
    world.wait(HOUR);
    world
}

/// Returns the number, the action and the token name of each event that `audit` prints with these arguments.
fn shown(world: &World, args: &[&str]) -> Vec<String> {
    let log = world.run(&[&["audit", "--format", "tsv"], args].concat()).ok().out;
    let event = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        format!("{} {} {}", fields[0], fields[2], fields[4])
    };
    log.lines().map(event).collect()
}

#[test]
fn events_are_selected_by_time() {
    let world = world();
    let third = ["8 create third", "9 confirm third"];
    for since in ["today", "2026-11-24", "2026-11-24T12:00:00Z", "1h"] {
        assert_eq!(shown(&world, &["--since", since]), third, "{since}");
    }
    assert_eq!(shown(&world, &["--since", "59m"]), Vec::<String>::new());
    let second = ["5 create second", "6 confirm second", "7 edit first"];
    for args in [["--since", "yesterday", "--until", "yesterday"], ["--since", "25h", "--until", "2h"]] {
        assert_eq!(shown(&world, &args), second, "{args:?}");
    }
    assert_eq!(shown(&world, &["--until", "2026-11-22"]).len(), 4);
    let failure = world.refuses(&["audit", "--since", "tomorrow"], 2, "usage");
    assert!(failure["message"].as_str().unwrap().contains("`tomorrow`"), "{failure}");
}

#[test]
fn events_are_selected_by_action_actor_and_token() {
    let world = world();
    assert_eq!(
        shown(&world, &["--action", "edit,confirm", "--token", "first"]),
        ["4 confirm first", "7 edit first"]
    );
    for actor in ["tester", &world.uid.to_string()] {
        assert_eq!(shown(&world, &["--actor", actor]).len(), 9, "{actor}");
    }
    assert_eq!(shown(&world, &["--actor", "nobody"]), Vec::<String>::new());
    let failure = world.refuses(&["audit", "--action", "revok"], 2, "usage");
    assert_eq!(failure["message"], "`--action`: `revok` is not an action");
    assert_eq!(failure["hint"], "did you mean `revoke`?");
}

#[test]
fn rollback_events_are_also_found_by_their_old_name() {
    let world = World::with_store();
    world.run(&["create", "demo", "--exec", "false"]).exit(7);
    world.run(&["create", "demo", "--exec", "false"]).exit(7);
    world.sql("UPDATE events SET action = 'withdraw' WHERE seq = 4");
    for word in ["rollback", "withdraw"] {
        assert_eq!(shown(&world, &["--action", word]), ["4 withdraw demo", "6 rollback demo"], "{word}");
    }
}

#[test]
fn limit_selects_the_newest_events_in_either_order() {
    let world = world();
    assert_eq!(shown(&world, &["--limit", "2"]), ["8 create third", "9 confirm third"]);
    assert_eq!(shown(&world, &["--limit", "2", "--reverse"]), ["9 confirm third", "8 create third"]);
    assert_eq!(
        shown(&world, &["--token", "first", "--reverse"]),
        ["7 edit first", "4 confirm first", "3 create first"]
    );
    assert_eq!(shown(&world, &["--limit", "0"]), Vec::<String>::new());
    assert_eq!(shown(&world, &["--limit", "99"]).len(), 9);
    let forwards = shown(&world, &[]);
    let backwards: Vec<String> = shown(&world, &["--reverse"]).into_iter().rev().collect();
    assert_eq!(forwards, backwards);
}

#[test]
fn a_log_of_several_database_pages_is_complete_in_either_order() {
    let world = World::with_store();
    world.create("demo", &[]);
    world.sql(
        "WITH RECURSIVE n(i) AS (SELECT 5 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
         INSERT INTO events SELECT i, time, 'edit', subject, name, uid, login, sudo_user, host, reason, digest, hash, format, changes
         FROM n, events WHERE seq = 4",
    );
    let all = shown(&world, &[]);
    assert_eq!((all.len(), &*all[2499]), (2500, "2500 edit demo"));
    let back: Vec<String> = shown(&world, &["--reverse"]).into_iter().rev().collect();
    assert!(all == back);
    assert!(shown(&world, &["--limit", "1500"]) == all[1000..]);
    assert!(shown(&world, &["--token", "demo", "--reverse"]).len() == 2498);
}

#[test]
fn the_table_shows_a_confirmed_delivery_on_one_line() {
    let mut world = world();
    world.rotate("first", &[]);
    world.run(&["create", "failed", "--exec", "false"]).exit(7);
    world.at_terminal(&[]);
    let actions = |args: &[&str]| -> Vec<String> {
        let table = world.run(&[&["audit"], args].concat()).ok().out;
        // Text that does not fit into its column continues on the next line, so only lines that start with a number
        // count.
        let events = table.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
        events.map(|line| line.split_whitespace().nth(2).unwrap().to_owned()).collect()
    };
    let one_line_per_delivery =
        ["init", "init", "create", "create", "edit", "create", "rotate", "create", "rollback"];
    assert_eq!(actions(&[]), one_line_per_delivery);
    assert_eq!(actions(&["--reverse"]), one_line_per_delivery.iter().rev().copied().collect::<Vec<_>>());
    assert_eq!(actions(&["--limit", "3"]), ["rotate", "create", "rollback"]);
    assert_eq!(actions(&["--all", "--limit", "4"]), ["rotate", "confirm", "create", "rollback"]);
    assert_eq!(actions(&["--action", "confirm"]).len(), 4);
    // A `confirm` event that does not match its `create` event (here by another user) has a separate line.
    world.wait(DAY);
    let sql = "UPDATE events SET login = 'other' WHERE action = 'confirm' AND name = 'third'";
    world.sql(sql);
    assert_eq!(actions(&["--token", "third"]), ["create", "confirm"]);
}

#[test]
fn every_format_contains_the_same_events() {
    let world = world();
    let csv = world.run(&["audit", "--format", "csv", "--token", "first"]).ok().out;
    let id = world.show("first")["id"].as_str().unwrap().to_owned();
    let hint = world.show("first")["secrets"][0]["hint"].as_str().unwrap().to_owned();
    let expected = format!(
        "seq,time,action,id,name,actor,reason,changes\r\n\
         3,2026-11-22T12:00:00Z,create,{id},first,tester,,\
         \"name: +first; owner: +ann; expires_at: +2027-02-20T12:00:00Z; ttl: +90d; secrets: +{hint}\"\r\n\
         4,2026-11-22T12:00:00Z,confirm,{id},first,tester,,\r\n\
         7,2026-11-23T12:00:00Z,edit,{id},first,tester,moved,\"owner: ann → bob\"\r\n"
    );
    assert_eq!(csv, expected);
    let json = world.run(&["audit", "--json"]).ok().json();
    let lines = world.run(&["audit", "--format", "jsonl"]).ok().out;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((json.as_array().unwrap(), lines.len()), (&lines, 9));
    assert_eq!(world.run(&["audit", "--format", "json", "--limit", "0"]).ok().out, "[]\n");
    assert_eq!(world.run(&["audit", "--format", "csv", "--limit", "0"]).ok().out.lines().count(), 1);
    world.run(&["audit", "--json", "--format", "tsv"]).exit(2);
}

#[test]
fn the_events_of_a_token_that_no_longer_exists_are_found() {
    let world = world();
    world.run(&["create", "failed", "--exec", "false"]).exit(7);
    world.run(&["show", "failed"]).exit(4);
    assert_eq!(shown(&world, &["--token", "failed"]), ["10 create failed", "11 rollback failed"]);
    world.refuses(&["audit", "--token", "nothing"], 4, "not_found");
}

#[test]
fn a_long_log_is_shown_in_the_pager() {
    let mut world = world();
    world.at_terminal(&[]);
    world.terminal.height = Some(4);
    world.paged = Some(Rc::default());
    let paged = |args: &[&str]| {
        let ran = world.run(&[&["audit"], args].concat()).ok();
        let paged = world.paged.as_ref().map(|paged: &Rc<RefCell<Vec<u8>>>| paged.take()).unwrap();
        let paged = String::from_utf8(paged).unwrap();
        (ran.out.is_empty(), paged.lines().filter(|line| !line.starts_with(' ')).count())
    };
    assert_eq!(paged(&[]), (true, 7));
    assert_eq!(paged(&["--reverse"]), (true, 7));
    assert_eq!(paged(&["--format", "json"]), (false, 0));
}

#[test]
fn one_audit_command_answers_each_question_of_an_auditor() {
    let world = World::new();
    world.at_real_time(0);
    world.define(&["read", "admin"]);
    run(world.program().env("SUDO_USER", "ann").args(["scopes", "define", "billing"]), b"").ok();
    world.create("ci-deploy", &["--owner", "ann", "-s", "read"]);
    world.wait(8 * DAY);
    let now = time(world.now()).as_str().expect("the time is a string").to_owned();
    world.run(&["scopes", "add", "ci-deploy", "admin", "--allow-widen", "--reason", "release"]).ok();
    world.run(&["edit", "ci-deploy", "--owner", "bob"]).ok();
    let hint =
        world.show("ci-deploy")["secrets"][0]["hint"].as_str().expect("the hint is a string").to_owned();
    world.run(&["revoke", "ci-deploy", "--yes", "--reason", "leaked, ticket 7"]).ok();
    // The help of `audit` shows each of these commands as an example.
    let manual = world.run(&["help", "audit"]).ok().out.split_whitespace().collect::<Vec<_>>().join(" ");
    let answer = |command: &str| -> Vec<Vec<String>> {
        assert!(manual.contains(&format!("tokenctl {command}")), "{command}: {manual}");
        let args: Vec<&str> = command.split(' ').collect();
        let args =
            if command.contains("--format") { args } else { [&args[..], &["--format", "tsv"]].concat() };
        let out = world.run(&args).ok().out;
        out.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    };
    // Who granted which scopes?
    let granted = answer("audit --token ci-deploy --action create,scopes.add,scopes.set");
    let [created, added] = &granted[..] else { panic!("{granted:?}") };
    assert!(created[7].contains("owner: +ann; ") && created[7].contains("scopes: +read; "), "{created:?}");
    assert_eq!(
        added[1..],
        [&now, "scopes.add", &added[3], "ci-deploy", "tester", "release", "scopes: +admin"]
    );
    // Who owned the token, and since when?
    let owned = answer("audit --token ci-deploy --action create,edit");
    assert_eq!(owned[1][7], "owner: ann → bob");
    // What happened in the last week?
    let week = answer("audit --since 7d");
    assert_eq!(
        week.iter().map(|event| event[2].as_str()).collect::<Vec<_>>(),
        ["scopes.add", "edit", "revoke"]
    );
    // What did this person do?
    let by_ann = answer("audit --actor ann");
    let [defined] = &by_ann[..] else { panic!("{by_ann:?}") };
    assert_eq!((&*defined[2], &*defined[7]), ("scope.define", "scope: +billing"));
    // Which secrets were revoked, and why?
    let revoked = answer("audit --action revoke --format csv");
    assert_eq!(revoked.len(), 2, "{revoked:?}");
    assert!(revoked[0][0].ends_with(",reason,changes"), "{revoked:?}");
    let fields = &revoked[1][0];
    assert!(
        fields.contains("\"leaked, ticket 7\"") && fields.contains(&format!("revoked_at: +{now}")),
        "{fields}"
    );
    assert!(fields.contains(&hint), "the event names the revoked secret: {fields}");
}

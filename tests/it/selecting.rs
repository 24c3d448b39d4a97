//! How tokens are selected for a change: by names or filters, with dry runs, expected counts and questions.

use std::rc::Rc;

use serde_json::{Value, json};

use crate::support::{Answer, DAY, World};

/// Tokens of two owners. One of them is expired, one is revoked and one is disabled.
fn world() -> World {
    let world = World::with_store();
    world.run(&["scopes", "define", "read"]).ok();
    world.run(&["scopes", "define", "write", "--includes", "read"]).ok();
    for args in [
        &["web", "--owner", "ann", "-l", "env=prod", "-s", "read", "-d", "The Shop"][..],
        &["api", "--owner", "bob", "-l", "env=prod", "-l", "tier=1", "-s", "write", "--ttl", "10d"],
        &["job", "--owner", "ann", "-l", "env=dev", "-s", "write,read", "--no-expiry"],
        &["past", "--owner", "ann", "-s", "read", "--ttl", "1h"],
        &["over", "--owner", "ann", "-s", "read"],
    ] {
        world.run(&[&["create"], args].concat()).ok();
    }
    world.run(&["revoke", "over", "--yes"]).ok();
    world.run(&["disable", "job"]).ok();
    world.wait(DAY);
    world
}

fn names(document: &Value) -> Vec<&str> {
    document["tokens"]
        .as_array()
        .expect("`tokens` is an array")
        .iter()
        .filter_map(|it| it["name"].as_str())
        .collect()
}

fn statuses(world: &World) -> Vec<(String, String)> {
    let all = world.run(&["list", "--all", "--json"]).ok().json();
    let text = |value: &Value| value.as_str().expect("it is a string").to_owned();
    all.as_array()
        .expect("it is an array")
        .iter()
        .map(|it| (text(&it["name"]), text(&it["status"])))
        .collect()
}

#[test]
fn names_and_filters_exclude_each_other_and_must_not_be_empty() {
    let world = world();
    let before = world.bytes();
    for verb in ["disable", "enable", "revoke"] {
        for args in [
            &[][..],
            &["web", "--owner", "ann"],
            &["web", "--never-used"],
            &[""],
            &["web", ""],
            &["--owner", ""],
            &["--owner", "ann", "--owner", " "],
            &["--status", ""],
            &["--status", "live"],
            &["-s", ""],
            &["-l", ""],
            &["-l", "env"],
            &["-l", "env="],
            &["--search", ""],
            &["--expires-within", ""],
            &["--unused-for", ""],
            &["--owner", "ann", "--expect", ""],
        ] {
            let args = [&[verb, "--yes"], args].concat();
            world.refuses(&args, 2, "usage");
        }
    }
    assert_eq!(world.bytes(), before);
}

#[test]
fn a_change_selects_the_tokens_that_list_shows() {
    let world = world();
    for (filter, expected) in [
        (&["--owner", "ann"][..], &["job", "web"][..]),
        (&["--owner", "ann", "--owner", "bob"], &["api", "job", "web"]),
        (&["--status", "expired"], &["past"]),
        (
            &["--status", "expired", "--status", "disabled", "--status", "active"],
            &["api", "job", "past", "web"],
        ),
        (&["-l", "env=prod"], &["api", "web"]),
        (&["-l", "env=prod", "-l", "tier=1"], &["api"]),
        (&["-s", "read"], &["api", "job", "web"]),
        (&["-s", "read", "-s", "write"], &["api", "job"]),
        (&["-s", "read,write", "--owner", "ann"], &["job"]),
        (&["--expires-within", "9d"], &["api"]),
        (&["--expires-within", "8d"], &[]),
        (&["--search", "SHOP"], &["web"]),
        (&["--search", "o"], &["api", "job", "web"]),
        (&["--never-used"], &[]),
    ] {
        assert_eq!(world.names(filter), expected, "{filter:?}");
        let document = world.run(&[&["disable", "--dry-run", "--json"], filter].concat()).ok().json();
        assert_eq!(names(&document), expected, "{filter:?}");
        assert_eq!(document["count"], json!(expected.len()));
    }
}

#[test]
fn filters_by_use_depend_on_recorded_uses() {
    let world = World::with_store();
    let used = world.create("used", &["--no-expiry"]);
    world.create("idle", &["--no-expiry"]);
    world.verify(&used, &[]);
    world.wait(30 * DAY);
    assert_eq!(world.names(&["--never-used"]), [""; 0], "the token is not older than 30 days yet");
    assert_eq!(world.names(&["--unused-for", "30d"]), [""; 0]);
    world.wait(1);
    assert_eq!(world.names(&["--never-used"]), ["idle"]);
    assert_eq!(world.names(&["--unused-for", "30d"]), ["used"]);
    world.run(&["disable", "--never-used", "--expect", "1", "--yes"]).ok();
    assert_eq!(world.show("idle")["status"], "disabled");
    // Without the usage files, no use is known, and no token counts as unused.
    std::fs::remove_file(world.store().join("usage.secrets")).expect("the file can be removed");
    assert_eq!(world.names(&["--never-used"]), [""; 0]);
    assert_eq!(world.names(&["--unused-for", "1s"]), [""; 0]);
}

#[test]
fn if_one_name_is_unknown_nothing_is_changed() {
    let world = world();
    let before = world.bytes();
    for verb in ["disable", "enable", "revoke"] {
        world.refuses(&[verb, "web", "nobody", "--yes"], 4, "not_found");
    }
    let ran = world.run(&["disable", "nobody"]).exit(4);
    assert_eq!(
        ran.err,
        "error: no such token `nobody`\nhint: `tokenctl list --all` shows those that exist\n"
    );
    world.refuses(&["disable", "web", "over"], 5, "revoked");
    assert_eq!(world.bytes(), before);
}

#[test]
fn a_dry_run_shows_the_selection_and_does_not_change_a_byte() {
    let world = world();
    let before = world.bytes();
    let ran = world.run(&["revoke", "--owner", "ann", "--dry-run"]).ok();
    let shown: Vec<&str> =
        ran.out.lines().map(|line| line.split('\t').nth(1).expect("there is a name")).collect();
    assert_eq!(shown, ["job", "web"]);
    let document = world.run(&["revoke", "api", "-n", "--json"]).ok().json();
    assert_eq!((&document["changed"], &document["dry_run"]), (&json!(false), &json!(true)));
    assert_eq!((&document["count"], names(&document)), (&json!(1), vec!["api"]));
    world.refuses(&["revoke", "nobody", "--dry-run"], 4, "not_found");
    assert_eq!(world.bytes(), before);
}

#[test]
fn an_unexpected_count_is_refused() {
    let world = world();
    let before = world.bytes();
    for args in [
        &["--owner", "ann", "--expect", "3"][..],
        &["--owner", "ann", "--expect", "0"],
        &["--owner", "ann", "--expect", "1", "--dry-run"],
        &["--owner", "nobody", "--expect", "1"],
        &["web", "web", "--expect", "2"],
    ] {
        let args = [&["revoke", "--yes"], args].concat();
        world.refuses(&args, 5, "count_differs");
    }
    assert_eq!(world.bytes(), before);
    world.run(&["revoke", "--yes", "--owner", "ann", "--expect", "2"]).ok();
    assert_eq!(world.names(&[]), ["api"]);
}

#[test]
fn filters_and_revoke_need_a_confirmation_but_disable_and_enable_of_a_name_do_not() {
    let mut world = world();
    let asking = [
        &["revoke", "web"][..],
        &["revoke", "--owner", "ann"],
        &["disable", "--owner", "ann"],
        &["enable", "--owner", "ann"],
    ];
    let before = world.bytes();
    for args in asking {
        world.refuses(args, 2, "input_needed");
    }
    world.at_terminal(&[]);
    for args in asking {
        world.answers.borrow_mut().extend([Answer::No, Answer::CtrlC]);
        let (no, stopped) = (world.run(args).exit(130), world.run(args).exit(130));
        assert!(no.err.ends_with("you answered no; nothing was changed\n"), "{}", no.err);
        assert!(stopped.err.ends_with("interrupted\n"), "{}", stopped.err);
        let mute = [args, &["--no-input"]].concat();
        world.refuses_once(&mute, 2, "input_needed");
    }
    assert_eq!(world.bytes(), before);
    assert_eq!(world.asked.borrow().len(), 2 * asking.len());
    assert!(world.asked.borrow()[0].contains("`web`"), "{:?}", world.asked);
    assert!(world.asked.borrow()[2].contains("2 tokens"), "{:?}", world.asked);

    world.asked.borrow_mut().clear();
    for args in [&["disable", "web"][..], &["enable", "web"], &["revoke", "--owner", "bob", "--yes"]] {
        world.run(args).ok();
    }
    assert!(world.asked.borrow().is_empty(), "{:?}", world.asked);
    world.answers.borrow_mut().push_back(Answer::Yes);
    world.run(&["revoke", "--owner", "ann"]).ok();
    assert_eq!(world.names(&[]), [""; 0]);
}

#[test]
fn unneeded_changes_and_empty_selections_change_nothing() {
    let world = world();
    let head = world.run(&["audit", "head"]).ok().out;
    for args in [
        &["disable", "job"][..],
        &["enable", "web", "api"],
        &["revoke", "over", "--yes"],
        &["disable", "--status", "disabled", "--yes"],
    ] {
        let document = world.run(&[args, &["--json"]].concat()).ok().json();
        assert_eq!(document["changed"], json!(false), "{args:?}");
        assert!(
            document["tokens"]
                .as_array()
                .expect("`tokens` is an array")
                .iter()
                .all(|it| it["changed"] == json!(false))
        );
    }
    assert_eq!(
        world.run(&["revoke", "--owner", "nobody", "--json"]).ok().json(),
        json!({"changed": false, "dry_run": false, "count": 0, "tokens": []})
    );
    assert_eq!(world.run(&["audit", "head"]).ok().out, head);
}

#[test]
fn a_token_that_is_given_twice_counts_once_and_only_differing_tokens_are_changed() {
    let world = world();
    let id = world.show("web")["id"].as_str().expect("the id is a string").to_owned();
    let events = world.actions().len();
    let document = world.run(&["disable", "web", &id, "job", "web", &id[..6], "--json"]).ok().json();
    assert_eq!((&document["changed"], &document["count"]), (&json!(true), &json!(2)));
    let changed: Vec<_> = document["tokens"]
        .as_array()
        .expect("`tokens` is an array")
        .iter()
        .map(|it| (&it["name"], &it["changed"]))
        .collect();
    assert_eq!(changed, [(&json!("web"), &json!(true)), (&json!("job"), &json!(false))]);
    assert_eq!(world.actions()[events..], ["disable"]);
}

#[test]
fn a_token_can_be_given_by_name_id_start_of_id_or_hint() {
    let world = World::new();
    let secret = world.create("web", &[]);
    world.create("other", &[]);
    let id = world.show("web")["id"].as_str().expect("the id is a string").to_owned();
    let hint = format!("{}…", &secret[..8]);
    let dots = format!("{}...", &secret[..8]);
    for name in ["web", &id, &id[..6], &id[..11], &hint, &dots] {
        assert_eq!(world.show(name)["name"], "web", "{name}");
    }
    for name in [&id[..5], "we", "WEB", &secret[..8], &hint[1..]] {
        world.refuses(&["show", name], 4, "not_found");
    }
    // A name takes precedence over the start of an id.
    world.run(&["rename", "other", &id[..6]]).ok();
    assert_eq!(world.show(&id[..6])["name"], id[..6]);
    assert_eq!(world.show(&id[..7])["name"], "web");
}

#[test]
fn the_error_about_an_ambiguous_reference_lists_the_ids() {
    let world = World::with_store();
    for (name, start) in [("a", "same"), ("b", "same"), ("c", "else")] {
        let secret = format!("{start}-a-secret-from-elsewhere-{name}");
        world.run_with(&["adopt", name], secret.as_bytes()).ok();
    }
    world.sql("UPDATE tokens SET id = 'abcdef12345' || row WHERE name <> 'c'");
    let before = world.bytes();
    for name in ["abcdef", "abcdef12345", "same…"] {
        let ran = world.run(&["disable", name]).exit(4);
        let expected =
            format!("error: `{name}` means 2 tokens: abcdef123451, abcdef123452\nhint: use one of the ids\n");
        assert_eq!(ran.err, expected);
        world.refuses(&["revoke", "c", name, "--yes"], 4, "ambiguous");
    }
    assert_eq!(world.bytes(), before);
    assert_eq!(world.show("else…")["name"], "c");
}

#[test]
fn a_name_refers_to_the_token_that_is_not_revoked() {
    let world = World::with_store();
    for _ in 0..2 {
        world.create("web", &[]);
        world.run(&["revoke", "web", "--yes"]).ok();
    }
    world.refuses(&["show", "web"], 4, "ambiguous");
    world.create("web", &[]);
    assert_eq!(world.show("web")["status"], "active");
    world.run(&["disable", "web"]).ok();
    let expected = ["disabled", "revoked", "revoked"].map(|status| ("web".to_owned(), status.to_owned()));
    let mut found = statuses(&world);
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_selection_that_changed_during_the_question_needs_another_confirmation() {
    let mut world = world();
    world.at_terminal(&[Answer::Yes, Answer::No]);
    let world = Rc::new(world);
    let other = Rc::clone(&world);
    *world.meanwhile.borrow_mut() = Some(Box::new(move || {
        other.run(&["edit", "web", "-l", "env=dev", "--allow-widen"]).ok();
    }));
    let ran = world.run(&["revoke", "-l", "env=prod"]).exit(130);
    let warning =
        "the selection changed while the command ran (tokens that no longer match: 1); nothing was changed\n";
    assert!(ran.err.contains(warning), "{ran:?}");
    assert_eq!(*world.asked.borrow(), ["revoke 2 tokens?", "revoke `api` (owner: bob, no use recorded)?"]);
    assert!(statuses(&world).contains(&("web".to_owned(), "active".to_owned())), "{:?}", statuses(&world));
}

#[test]
fn tokens_that_were_revoked_or_pruned_during_the_question_are_not_reported_as_changed() {
    let mut world = world();
    world.at_terminal(&[Answer::Yes]);
    let world = Rc::new(world);
    let other = Rc::clone(&world);
    *world.meanwhile.borrow_mut() = Some(Box::new(move || {
        other.run(&["revoke", "web", "api", "--yes"]).ok();
        other.run(&["prune", "api", "--yes"]).ok();
    }));
    let document = world.run(&["revoke", "-l", "env=prod", "--json"]).ok().json();
    assert_eq!(names(&document), ["web"], "{document}");
    assert_eq!((&document["changed"], &document["count"]), (&json!(false), &json!(1)));
    assert_eq!(document["tokens"][0]["changed"], false);
}

#[test]
fn a_rotation_by_filter_skips_tokens_that_no_longer_match() {
    let mut world = world();
    world.run(&["enable", "job"]).ok();
    world.at_terminal(&[Answer::Yes]);
    let world = Rc::new(world);
    let other = Rc::clone(&world);
    *world.meanwhile.borrow_mut() = Some(Box::new(move || {
        other.run(&["edit", "job", "-l", "env=", "--owner", "bob"]).ok();
    }));
    let before = world.show("job")["secrets"].clone();
    let ran = world.run(&["rotate", "-l", "env=dev", "--exec", "cat >/dev/null"]).exit(5);
    assert!(ran.err.contains("`job`: the selection changed while the command ran"), "{ran:?}");
    assert_eq!(world.show("job")["secrets"], before);
}

#[test]
fn a_dry_run_and_expect_count_only_tokens_that_would_change() {
    let world = world();
    let ran = world.run(&["disable", "--owner", "ann", "--dry-run"]).ok();
    assert_eq!(ran.err, "1 would be disabled; nothing was changed\n");
    let failure = world.refuses(&["disable", "--owner", "ann", "--expect", "2", "--yes"], 5, "count_differs");
    assert_eq!(failure["message"], "1 would change, not 2");
    world.run(&["disable", "--owner", "ann", "--expect", "1", "--yes"]).ok();
}

#[test]
fn a_name_that_equals_an_id_is_refused_and_an_existing_one_is_ambiguous() {
    let world = World::with_store();
    world.create("victim", &[]);
    world.create("decoy", &[]);
    let id = |name: &str| world.show(name)["id"].as_str().unwrap().to_owned();
    let (victim, decoy) = (id("victim"), id("decoy"));
    for args in [&["create", &victim][..], &["rename", "decoy", &victim]] {
        let failure = world.refuses(args, 2, "usage");
        let looks = format!("`{victim}` looks like the id of a token");
        assert!(failure["message"].as_str().unwrap().contains(&looks), "{failure}");
    }
    // An earlier version could have stored such a name.
    world.sql(&format!("UPDATE tokens SET name = '{victim}' WHERE name = 'decoy'"));
    let ran = world.run(&["revoke", &victim, "--yes"]).exit(4);
    assert!(ran.err.contains(&victim) && ran.err.contains(&decoy), "{ran:?}");
    world.run(&["show", "victim"]).ok();
}

//! Questions at a terminal: the values that they set or refuse, and that cancelling changes nothing.

mod screens;
mod signals;

use serde_json::json;
use tokenctl::context::{CopyMethod, Terminal};

use crate::support::{Answer, DAY, HOSTILE, World, assert_harmless};
use Answer::{Choose, CtrlC, Enter, No, Pick, Yes};

fn typed(text: &str) -> Answer {
    Answer::Type(text.to_owned())
}

/// The answers that create `ci` and fill in every value, in a store with scopes.
fn all() -> Vec<Answer> {
    vec![
        typed("ci"),
        typed("Deploys the site"),
        typed("ann"),
        typed("🔑"),
        Choose(vec![0, 2]),
        Pick("30d"),
        Pick("Print the secret"),
    ]
}

/// A world without a store, and with a terminal without colours.
fn bare() -> World {
    let mut world = World::new();
    world.env.insert("NO_COLOR".to_owned(), "1".to_owned());
    world
}

fn stored() -> World {
    let world = bare();
    world.run(&["init"]).ok();
    world
}

fn with_scopes() -> World {
    let world = stored();
    world.define(&["read", "write"]);
    world.run(&["scopes", "define", "admin", "-d", "Everything", "--includes", "read,write"]).ok();
    world
}

fn questions(world: &World) -> Vec<String> {
    std::mem::take(&mut *world.asked.borrow_mut())
}

fn offered(world: &World) -> Vec<String> {
    std::mem::take(&mut *world.offered.borrow_mut())
}

#[test]
fn answers_create_the_same_token_as_flags() {
    let (mut world, mut flags) = (with_scopes(), with_scopes());
    // The secret goes to a command, because looking for clipboards would use the random generator.
    let exec = ["--exec", "cat >/dev/null"];
    world.at_terminal(&[&all()[..6], &[Pick("Create it")]].concat());
    let ran = world.run(&[&["create"], &exec[..]].concat()).ok();
    // The overview draws an id that is not used. Do the same here, so that both tokens get the same id.
    flags.at_terminal(&[&all()[..6], &[Pick("Cancel")]].concat());
    flags.run(&[&["create"], &exec[..]].concat()).exit(130);
    let same =
        ["create", "ci", "-d", "Deploys the site", "--owner", "ann", "--icon", "🔑", "-s", "admin,write"];
    let by_flags = flags.run(&[&same[..], &["--ttl", "30d"], &exec].concat()).ok();
    assert!(ran.err.ends_with(&by_flags.err), "{ran:?}");
    assert_eq!(world.show_alike("ci"), flags.show_alike("ci"));
    assert_eq!(
        questions(&world),
        ["Name", "Description", "Owner", "Icon", "Scopes", "Lifetime", "Create `ci`"]
    );
    assert_eq!(world.actions(), flags.actions());
}

#[test]
fn the_overview_shows_what_will_be_created() {
    let mut world = with_scopes();
    let answers = all();
    world.at_terminal(&[&answers[..6], &[Pick("Create it")]].concat());
    world.terminal.width = Some(40);
    let ran = world.run(&["create", "-l", "env=prod", "--rotate-every", "7d", "--exec", "cat >/dev/null"]);
    let overview = "
🔑 ci
  description  Deploys the site
  owner        ann
  labels       env=prod
  scopes       admin, write
  lifetime     30d, expires
               2026-12-22T12:00:00Z (in
               30 days)
  rotation     every 7d
  secret       to the command cat
               >/dev/null

";
    assert!(ran.err.starts_with(overview), "{}", ran.err);
}

#[test]
fn copying_is_offered_only_if_a_clipboard_can_be_reached() {
    for (there, about) in [
        (&[][..], None),
        (&[CopyMethod::Osc52], Some("by asking the terminal, which may ignore it")),
        (&[CopyMethod::Osc52, CopyMethod::Tmux], Some("to the clipboard of tmux, for a short time")),
        (&CopyMethod::ALL, Some("to the clipboard, for a short time")),
    ] {
        let mut world = bare();
        world.clipboards.borrow_mut().there = there.to_vec();
        let choice = if there.is_empty() { "Print the secret" } else { "Copy the secret" };
        world.at_terminal(&[typed("ci"), Enter, Enter, Enter, Enter, Pick(choice)]);
        let ran = world.run(&["create"]).ok();
        let offered = offered(&world);
        let copies = offered.iter().filter_map(|choice| choice.strip_prefix("Copy the secret  "));
        assert_eq!(copies.collect::<Vec<_>>(), Vec::from_iter(about));
        assert_eq!(ran.out.is_empty(), about.is_some(), "{ran:?}");
        let held = world.clipboards.borrow().holds.as_ref().map(|(_, secret, _)| secret.clone());
        let secret = held.unwrap_or(ran.line().to_owned());
        world.terminal = Terminal::default();
        world.assert_valid(&secret, "ci");
    }
}

#[test]
fn optional_answers_can_be_left_empty() {
    let mut world = bare();
    world.at_terminal(&[typed(" ci "), Enter, Enter, Enter, Enter, Pick("Print the secret")]);
    let ran = world.run(&["create"]).ok();
    assert!(ran.err.contains("warning: created a new store"), "{ran:?}");
    world.terminal = Terminal::default();
    world.assert_valid(ran.line(), "ci");
    let token = world.show("ci");
    for key in ["description", "owner", "icon", "not_before", "rotate_every"] {
        assert_eq!(token[key], json!(null), "{key}");
    }
    assert_eq!((&token["ttl"], &token["labels"]), (&(90 * DAY).into(), &json!({})));
}

#[test]
fn a_wrong_answer_repeats_the_question() {
    let mut world = with_scopes();
    world.create("taken", &["-s", "read"]);
    world.at_terminal(&[
        typed("a b"),
        typed("taken"),
        typed("ci"),
        typed("a\u{202e}b"),
        Enter,
        typed("good"),
        typed("o\u{200b}"),
        typed("ann"),
        typed("two"),
        typed("K"),
        Choose(vec![]),
        Choose(vec![1]),
        Pick("other"),
        typed("soon"),
        typed("2026-02-30"),
        typed("2026-01-01"),
        typed("2027-06-30"),
        Pick("Print the secret"),
    ]);
    let ran = world.run(&["create"]).ok();
    let errors: Vec<&str> = ran.err.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    assert_eq!(
        errors,
        [
            "`a b` is not a name",
            "the name `taken` is taken",
            "the text contains the invisible character \\u{202e}",
            "the text contains the invisible character \\u{202e}",
            "the text contains the invisible character \\u{200b}",
            "the icon is not a single character or emoji",
            "no scope is marked",
            "`soon` is not a time: not understood",
            "`2026-02-30` is not a time: no such day",
            "the expiry 2026-01-01T23:59:59Z is in the past",
        ]
    );
    // A wrong answer is offered again, so that it can be corrected.
    assert_eq!(offered(&world)[..4], ["", "a b", "taken", ""]);
    let token = world.show("ci");
    assert_eq!((&token["description"], &token["icon"]), (&json!("good"), &json!("K")));
    assert_eq!(token["until"], "2027-06-30T23:59:59Z");
    assert_harmless(&ran.err);
}

#[test]
fn there_are_no_questions_about_values_given_by_flags() {
    let given: [(&[&str], &str); 6] = [
        (&["-d", "x"], "Description"),
        (&["--owner", "x"], "Owner"),
        (&["--icon", "x"], "Icon"),
        (&["--all-scopes"], "Scopes"),
        (&["-s", "read"], "Scopes"),
        (&["--no-expiry"], "Lifetime"),
    ];
    for (args, question) in given {
        let mut world = with_scopes();
        let answers =
            all().into_iter().zip(["Name", "Description", "Owner", "Icon", "Scopes", "Lifetime", ""]);
        let answers: Vec<Answer> = answers.filter(|(_, name)| *name != question).map(|(it, _)| it).collect();
        world.at_terminal(&answers);
        world.run(&[&["create"], args].concat()).ok();
        let asked = questions(&world);
        assert!(asked.len() == 6 && asked.iter().all(|asked| asked != question), "{args:?}: {asked:?}");
    }
    // If everything is given, only the last question remains, and `--yes` skips it.
    let mut world = with_scopes();
    let everything = ["create", "-dx", "--owner=x", "--icon=x", "--all-scopes", "--ttl=1d"];
    let out = world.dir.path().join("secret");
    let out = out.to_str().expect("the path is UTF-8");
    world.at_terminal(&[typed("a"), Pick("Create it"), typed("b")]);
    assert_eq!(world.run(&[&everything[..], &["--out", out]].concat()).ok().out, "");
    assert_eq!(questions(&world), ["Name", "Create `a`"]);
    world.run(&[&everything[..], &["--yes"]].concat()).ok();
    assert_eq!(questions(&world), ["Name"]);
    assert!(offered(&world).contains(&"Cancel  do not create it".to_owned()));
}

#[test]
fn invalid_flags_are_reported_before_any_question() {
    let mut world = with_scopes();
    world.at_terminal(&[]);
    world.refuses(&["create", "-s", "reed"], 4, "not_found");
    world.refuses(&["create", "-l", "a=1", "-l", "a=2"], 2, "usage");
    world.refuses(&["create", "--ttl", "1h", "--grace", "2h"], 2, "usage");
    world.refuses(&["create", "--expires", "2026-01-01"], 2, "usage");
    world.refuses(&["create", "--out", "/no/such/place"], 7, "delivery_failed");
    assert!(questions(&world).is_empty());
}

#[test]
fn questions_about_required_values_are_repeated_until_they_are_answered() {
    let mut world = stored();
    world.run(&["settings", "require-owner", "true"]).ok();
    world.run(&["settings", "require-description", "true"]).ok();
    let answers = [typed("a"), Enter, typed(" "), typed("x"), Enter, typed("ann"), Enter, Enter, Enter];
    world.at_terminal(&answers);
    let ran = world.run(&["create"]).ok();
    assert_eq!(ran.err.matches("error: this store requires a description for every token\n").count(), 2);
    assert_eq!(ran.err.matches("error: this store requires an owner for every token\n").count(), 1);
    assert_eq!(world.show("a")["owner"], "ann");
    world.at_terminal(&[
        typed(""),
        typed("y"),
        typed(""),
        typed("bob"),
        Enter,
        Enter,
        Enter,
        Enter,
        Enter,
        Yes,
    ]);
    world.run(&["edit", "a"]).ok();
    assert_eq!(world.show("a")["owner"], "bob");
}

#[test]
fn only_allowed_lifetimes_are_offered() {
    let all = "90d  default, until 2027-02-20T12:00:00Z
7d  until 2026-11-29T12:00:00Z
30d  until 2026-12-22T12:00:00Z
365d  until 2027-11-22T12:00:00Z
no expiry  until it is revoked
other  another duration, or a date";
    let short = "30d  default, until 2026-12-22T12:00:00Z
7d  until 2026-11-29T12:00:00Z
other  another duration, or a date";
    let open = "no expiry  default, until it is revoked
7d  until 2026-11-29T12:00:00Z
30d  until 2026-12-22T12:00:00Z
90d  until 2027-02-20T12:00:00Z
365d  until 2027-11-22T12:00:00Z
other  another duration, or a date";
    for (default, max, expected) in [("90d", "", all), ("30d", "30d", short), ("none", "", open)] {
        let mut world = stored();
        world.run(&["settings", "default-ttl", default]).ok();
        world.run(&["settings", "max-ttl", max]).ok();
        let args = ["create", "-dx", "--owner=x", "--icon=x"];
        world.at_terminal(&[typed("a"), Pick("other"), typed("300y"), CtrlC]);
        let ran = world.run(&args).exit(130);
        assert!(ran.err.contains("longer than 100 years"), "{ran:?}");
        assert_eq!(offered(&world)[1..=expected.lines().count()].join("\n"), expected);
        if !max.is_empty() {
            world.at_terminal(&[
                typed("a"),
                Pick("other"),
                typed("31d"),
                typed("2027-01-01"),
                typed("30d"),
                Enter,
            ]);
            let ran = world.run(&args).ok();
            let refusals = ran.err.matches("error: the lifetime is longer than this store allows (30d)");
            assert_eq!(refusals.count(), 2, "{ran:?}");
        }
    }
    // The lifetime must also fit the flags, and otherwise the question is repeated.
    let mut world = stored();
    world.at_terminal(&[typed("a"), Enter, Enter, Enter, Pick("7d"), Pick("30d"), Enter]);
    let ran = world.run(&["create", "--rotate-every", "14d"]).ok();
    assert!(
        ran.err.starts_with("error: the rotation interval (14d) must be shorter than the lifetime (7d)\n"),
        "{ran:?}"
    );
}

#[test]
fn cancelling_any_question_changes_nothing() {
    for count in 0..all().len() {
        for store in [with_scopes as fn() -> World, bare] {
            let mut world = store();
            let before = world.store().exists().then(|| world.bytes());
            let mut answers = all();
            if before.is_none() {
                answers.remove(4);
            }
            answers.truncate(count);
            // The last question can be cancelled before it is answered.
            answers.pop_if(|answer| matches!(answer, Pick("Print the secret")));
            answers.push(CtrlC);
            world.at_terminal(&answers);
            let ran = world.run(&["create"]).exit(130);
            assert_eq!((&*ran.out, questions(&world).len()), ("", answers.len()));
            assert!(ran.err.ends_with("error: interrupted\n"), "{ran:?}");
            assert_eq!(before, world.store().exists().then(|| world.bytes()));
        }
    }
    let mut world = with_scopes();
    world.create("a", &["-s", "read", "-d", "x"]);
    let before = world.bytes();
    let edits = [typed("y"), Enter, Enter, Enter, Enter, Enter, Enter, Yes];
    for count in 0..edits.len() {
        world.at_terminal(&[&edits[..count], &[CtrlC]].concat());
        world.run(&["edit", "a"]).exit(130);
        assert!(world.bytes() == before, "{count}");
    }
    for answers in [vec![CtrlC], vec![Choose(vec![0]), CtrlC], vec![Choose(vec![0]), No]] {
        world.at_terminal(&answers);
        world.run(&["scopes", "set", "a"]).exit(130);
        assert!(world.bytes() == before);
    }
}

#[test]
fn cancelling_the_overview_creates_nothing() {
    let mut world = bare();
    world.at_terminal(&[typed("a"), Enter, Enter, Enter, Enter, Pick("Cancel")]);
    let ran = world.run(&["create", "--reason", "why"]).exit(130);
    assert!(ran.err.ends_with("error: you answered no; nothing was changed\n"), "{ran:?}");
    assert!(!world.store().exists());
}

#[test]
fn without_a_terminal_there_are_no_questions() {
    let mut world = with_scopes();
    world.create("a", &["-s", "read"]);
    let needed = world.refuses(&["create"], 2, "input_needed");
    assert_eq!(needed["hint"], "run `tokenctl create NAME`, or run it on a terminal to be asked");
    world.at_terminal(&[]);
    for input in [false, true] {
        world.terminal.stdin = input;
        let more: &[&str] = if input { &["--no-input"] } else { &[] };
        world.refuses(&[&["create"], more].concat(), 2, "input_needed");
        world.refuses(&[&["scopes", "set", "a"], more].concat(), 2, "input_needed");
        world.refuses(&[&["edit", "a"], more].concat(), 2, "usage");
    }
    world.terminal.stderr = false;
    world.refuses(&["create"], 2, "input_needed");
    assert!(questions(&world).is_empty());
    // If only stdout is redirected, questions can still be asked.
    world.terminal = Terminal { stdin: true, stderr: true, ..Default::default() };
    world.at_terminal(&all());
    world.terminal.stdout = false;
    let ran = world.run(&["create", "--json"]).ok();
    assert_eq!(ran.json()["name"], "ci");
}

#[test]
fn there_are_no_questions_about_several_tokens() {
    let mut world = stored();
    world.create("a", &[]);
    world.create("b", &[]);
    world.at_terminal(&[]);
    world.refuses(&["edit", "a", "b"], 2, "usage");
    assert!(questions(&world).is_empty());
}

#[test]
fn with_if_missing_there_are_no_more_questions_after_an_existing_name() {
    let mut world = stored();
    world.create("a", &[]);
    world.at_terminal(&[typed("a")]);
    let ran = world.run(&["create", "--if-missing"]).ok();
    assert_eq!((&*ran.out, &*ran.err), ("", "`a` exists; nothing was changed\n"));
}

#[test]
fn a_secret_in_an_answer_is_refused_and_not_printed() {
    let mut world = stored();
    let secret = world.create("other", &[]);
    let inside = format!("see {secret}.");
    let answers =
        [typed(&secret), typed("a"), typed(&inside), Enter, typed(&secret), Enter, Enter, Enter, Enter];
    world.at_terminal(&answers);
    let ran = world.run(&["create"]).ok();
    assert!(!ran.err.contains(&secret), "{ran:?}");
    assert_eq!(
        ran.err.matches("error: the answer contains a secret; this secret is now exposed\n").count(),
        3
    );
    // The secret is not offered again.
    assert!(offered(&world).iter().all(|text| !text.contains(&secret)));
    assert_eq!(world.show("a")["description"], json!(null));
}

#[test]
fn an_edit_offers_the_current_values() {
    let mut world = stored();
    let args = ["-d", "Old", "--owner", "ann", "-l", "env=a,b", "-l", "x=\\", "--rotate-every", "30d"];
    world.create("a", &args);
    world.at_terminal(&[Enter, Enter, Enter, Enter, Enter, Enter, Enter]);
    let ran = world.run(&["edit", "a", "--json"]).ok();
    assert_eq!((&ran.json()["changed"], &*ran.err), (&json!(false), ""));
    assert_eq!(
        questions(&world),
        ["Description", "Owner", "Icon", "Labels", "Lifetime", "Rotate every", "Grace"]
    );
    let rows = offered(&world);
    assert_eq!(rows[..4], ["Old", "ann", "", r"env=a\,b, x=\\"]);
    assert_eq!(rows[4], "*keep  90d, expires 2027-02-20T12:00:00Z (in 3 months)");
    assert_eq!(rows[rows.len() - 2..], ["30d", ""]);
}

#[test]
fn an_edit_shows_its_changes_and_needs_a_confirmation() {
    let answers = [
        typed(""),
        typed("bob"),
        typed("K"),
        typed(r"new=a\,b, x=2"),
        Pick("30d"),
        typed("31d"),
        typed("20d"),
        typed("20d"),
        typed("1h"),
    ];
    let world = || {
        let mut world = stored();
        world.create("a", &["-d", "Old", "--owner", "ann", "-l", "env=prod", "--rotate-every", "60d"]);
        world.wait(DAY);
        world.at_terminal(&answers);
        world
    };
    let overview = "
a
  description  Old → none
  owner        ann → bob
  icon         none → K
  labels       env=prod → new=a,b, x=2
  lifetime     90d, expires 2027-02-20T12:00:00Z (in 3 months) → 30d, expires 2026-12-23T12:00:00Z
               (in 30 days)
  rotation     every 60d → every 20d
  grace        none → 1h

";
    let changed = world();
    // Removing a label is also a widening, for verifiers that require its absence, so it is asked about as with flags.
    changed.answers.borrow_mut().extend([Yes, Yes]);
    let ran = changed.run(&["edit", "a", "--reason", "tidy"]).ok();
    let flags = world();
    let same =
        ["edit", "a", "-d", "", "--owner", "bob", "--icon", "K", "-l", "new=a,b", "-l", "x=2", "-l", "env="];
    let more =
        ["--ttl", "30d", "--rotate-every", "20d", "--grace", "1h", "--allow-widen", "--reason", "tidy"];
    flags.run(&[&same[..], &more].concat()).ok();
    assert_eq!(changed.show_alike("a"), flags.show_alike("a"));
    assert!(ran.err.contains(overview), "{}", ran.err);
    let errors: Vec<&str> = ran.err.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(
        errors,
        [
            "error: the rotation interval (31d) must be shorter than the lifetime (30d)",
            "error: the grace period (20d) must be shorter than the rotation interval (20d)"
        ]
    );
    let questions = questions(&changed);
    assert_eq!(questions[9], "change `a`?");
    assert!(questions[10].contains("1 token gains"), "{questions:?}");

    let declined = world();
    let before = declined.bytes();
    declined.answers.borrow_mut().push_back(No);
    declined.run(&["edit", "a"]).exit(130);
    assert!(declined.bytes() == before);
}

#[test]
fn the_question_about_labels_is_repeated_until_they_are_valid() {
    let mut world = stored();
    world.create("a", &["-l", "env=prod"]);
    let wrong = [typed("x"), typed("x="), typed("a=1, a=2"), typed(" a=1,, b=2, ")];
    world.at_terminal(&[&[Enter, Enter, Enter], &wrong[..], &[Enter, Enter, Enter, Yes, Yes]].concat());
    let ran = world.run(&["edit", "a"]).ok();
    assert_eq!(world.show("a")["labels"], json!({"a": "1", "b": "2"}));
    assert_eq!(ran.err.matches("error: ").count(), 3, "{ran:?}");
}

#[test]
fn the_scopes_of_a_token_are_preselected() {
    let mut world = with_scopes();
    world.define(&["old", "gone"]);
    world.create("a", &["-s", "read,old"]);
    world.run(&["scopes", "retire", "old"]).ok();
    world.run(&["scopes", "retire", "gone"]).ok();
    world.at_terminal(&[Enter]);
    let ran = world.run(&["scopes", "set", "a"]).ok();
    assert_eq!(ran.err, "`a` already holds old, read\n");
    let rows = ["admin  includes read, write; Everything", "*old  retired", "*read", "write"];
    assert_eq!(offered(&world), rows);
    world.at_terminal(&[Choose(vec![1, 2, 3]), Yes, Choose(vec![2]), Choose(vec![])]);
    world.run(&["scopes", "set", "a"]).ok();
    assert_eq!(world.show("a")["scopes"], json!(["old", "read", "write"]));
    assert!(questions(&world)[2].contains("1 token gains"));
    // Removing scopes needs no confirmation.
    offered(&world);
    world.run(&["scopes", "set", "a"]).ok();
    let none = "`a` now holds no scopes\n  scopes: -read\n";
    assert_eq!(world.run(&["scopes", "set", "a"]).ok().err, none);
    assert_eq!(world.show("a")["scopes"], json!([]));
    world.run(&["scopes", "retire", "read"]).ok();
    world.run(&["scopes", "retire", "write"]).ok();
    world.run(&["scopes", "retire", "admin"]).ok();
    let none = world.refuses(&["scopes", "set", "a"], 2, "usage");
    assert_eq!(none["message"], "no scope can be granted");
    // `add` and `remove` do not ask for scopes.
    world.refuses(&["scopes", "add", "a"], 2, "usage");
    world.refuses(&["scopes", "remove", "a"], 2, "usage");
    world.run(&["revoke", "a", "--yes"]).ok();
    world.refuses(&["scopes", "set", "a"], 5, "revoked");
    world.refuses(&["edit", "a"], 5, "revoked");
    world.refuses(&["edit", "b"], 4, "not_found");
}

#[test]
fn untrusted_text_is_harmless_in_questions() {
    for text in HOSTILE {
        let mut world = stored();
        world.define(&["read"]);
        world.create("a", &["-s", "read", "-d", "x"]);
        let quoted = text.replace('\'', "''");
        world
            .sql(&format!("UPDATE scope SET description = '{quoted}'; UPDATE tokens SET owner = '{quoted}'"));
        world.at_terminal(&[Enter, typed("ann"), Enter, Enter, Enter, Enter, Enter, Yes, CtrlC]);
        // An edit by hand is noticed only when the change is made, after the values were shown.
        let ran = world.run(&["edit", "a"]).exit(6);
        assert_harmless(&ran.err);
        offered(&world);
        world.run(&["scopes", "set", "a"]).exit(130);
        assert_harmless(&offered(&world).join("\n"));
    }
}

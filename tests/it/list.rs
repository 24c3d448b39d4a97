//! Tests of `list`: which tokens are shown, in which order and format.

mod long;

use std::io::ErrorKind;

use serde_json::Value;

use crate::support::{DAY, HOSTILE, HOUR, MINUTE, World, assert_harmless, assert_token_keys};

/// Two tokens of `ann`, a pending one of `Bob`, a disabled one, an expired one and a revoked one. All are at least an
/// hour old.
fn office() -> World {
    let world = World::with_store();
    world.define(&["events:read", "other"]);
    world.run(&["scopes", "define", "admin", "--includes", "events:read"]).ok();
    let tokens = [
        "revoked --owner ann -s other --ttl 5d",
        "expired --owner bob -s other --ttl 1h",
        "admin --owner ann -s admin -l env=prod -l team=a --ttl 90d -d Größe",
        "reader --owner ann -s events:read -l env=prod --expires 2026-12-01T12:00:00Z",
        "later --owner Bob -s other,events:read --no-expiry --not-before 5d",
        "asleep -s other --ttl 20d -d of-ann",
    ];
    for token in tokens {
        world.run(&[&["create"], &*token.split(' ').collect::<Vec<_>>()].concat()).ok();
        world.wait(MINUTE);
    }
    world.run(&["revoke", "revoked", "-y"]).ok();
    world.run(&["disable", "asleep"]).ok();
    world.wait(HOUR);
    world
}

#[test]
fn different_filters_are_combined_and_repeated_ones_follow_their_own_rule() {
    let world = office();
    let cases: [(&str, &[&str]); 26] = [
        ("", &["admin", "asleep", "later", "reader"]),
        ("--all", &["admin", "asleep", "expired", "later", "reader", "revoked"]),
        ("--status expired", &["expired"]),
        ("--status revoked --status disabled", &["asleep", "revoked"]),
        ("--status revoked,disabled", &["asleep", "revoked"]),
        ("--status active", &["admin", "reader"]),
        ("--status pending --all", &["later"]),
        ("--status provisional", &[]),
        ("--owner ann", &["admin", "reader"]),
        ("--owner ann --all", &["admin", "reader", "revoked"]),
        ("--owner ann --owner bob", &["admin", "reader"]),
        ("--owner ann --status revoked", &["revoked"]),
        ("-s events:read", &["admin", "later", "reader"]),
        ("-s admin", &["admin"]),
        ("-s events:read -s other", &["later"]),
        ("-s events:read,other", &["later"]),
        ("-l env=prod", &["admin", "reader"]),
        ("-l env=prod -l team=a", &["admin"]),
        ("-l env=dev", &[]),
        ("--search ANN", &["admin", "asleep", "reader"]),
        ("--search größe", &["admin"]),
        ("--search ann --owner Bob", &[]),
        ("--expires-within 20d", &["asleep", "reader"]),
        ("--expires-within 20d --owner ann", &["reader"]),
        ("--expires-within 8d", &[]),
        ("--expires-within 1s --all", &["expired"]),
    ];
    for (args, expected) in cases {
        assert_eq!(world.names(&args.split_whitespace().collect::<Vec<_>>()), expected, "{args}");
    }
}

#[test]
fn a_token_that_was_never_used_differs_from_one_without_a_record() {
    let world = World::with_store();
    let [used, once] = ["used", "once"].map(|name| world.create(name, &["--no-expiry"]));
    world.create("never", &["--no-expiry"]);
    world.verify(&once, &[]);
    world.wait(31 * DAY);
    world.create("young", &[]);
    world.verify(&used, &[]);
    assert_eq!(world.names(&["--never-used"]), ["never"]);
    assert_eq!(world.names(&["--unused-for", "30d"]), ["once"]);
    assert_eq!(world.names(&["--unused-for", "31d"]), Vec::<String>::new());
    assert_eq!(world.names(&["--sort", "last-used"])[..2], ["once", "used"]);
    assert_eq!(world.names(&["--sort", "last-used", "--reverse"])[..2], ["used", "once"]);
    let table = || world.run(&["list", "--format", "table", "--columns", "name,last_used_at"]).ok().out;
    assert_eq!(
        table(),
        "NAME   LAST USED\nnever  never\nonce   31 days ago\nused   just now\nyoung  never\n"
    );
    for file in std::fs::read_dir(world.store()).unwrap().map(|entry| entry.unwrap().path()) {
        if file.file_name().unwrap().to_str().unwrap().starts_with("usage.") {
            std::fs::remove_file(file).unwrap();
        }
    }
    assert!(table().contains("never  not recorded\n"), "{}", table());
    assert_eq!(world.names(&["--never-used"]), Vec::<String>::new());
}

#[test]
fn a_list_for_a_future_instant_differs_only_in_status() {
    let world = office();
    let at = |at: &str, args: &[&str]| world.names(&[&["--at", at], args].concat());
    assert_eq!(at("6d", &["--status", "active"]), ["admin", "later", "reader"]);
    assert_eq!(at("2026-12-01T12:00:00Z", &[]), ["admin", "asleep", "later"]);
    assert_eq!(at("2026-12-01T11:59:59Z", &[]), ["admin", "asleep", "later", "reader"]);
    assert_eq!(at("2026-12-01", &["--status", "disabled"]), ["asleep"]);
    assert_eq!(at("2027-01-01", &["--status", "disabled"]), ["asleep"]);
    assert_eq!(at("2027-01-01", &["--expires-within", "60d", "--owner", "ann"]), ["admin"]);
    let ran = world.run(&["list", "--format", "table", "--at", "100d", "--columns", "name,expires_at"]).ok();
    assert_eq!(ran.out, "NAME    EXPIRES\nasleep  3 months ago\nlater   never\n");
    assert_eq!(ran.err, "+4 hidden (revoked or expired), --all shows them\n");
    for past in ["2026-11-22T12:00:00Z", "2026-01-01"] {
        world.refuses(&["list", "--at", past], 2, "usage");
    }
}

#[test]
fn every_sort_order_breaks_ties_by_id_and_puts_missing_values_last() {
    let world = office();
    let cases = [
        ("name", "admin asleep expired later reader revoked", "revoked reader later expired asleep admin"),
        ("created", "revoked expired admin reader later asleep", "asleep later reader admin expired revoked"),
        ("expires", "expired revoked reader asleep admin later", "admin asleep reader revoked expired later"),
    ];
    for (key, forward, backward) in cases {
        assert_eq!(world.names(&["--all", "--sort", key]).join(" "), forward, "{key}");
        assert_eq!(world.names(&["--all", "--sort", key, "--reverse"]).join(" "), backward, "{key}");
    }
    let by_id = |names: &[&'static str]| {
        let mut ids: Vec<_> = names.iter().map(|name| (world.show(name)["id"].to_string(), *name)).collect();
        ids.sort();
        ids.into_iter().map(|(_, name)| name).collect::<Vec<_>>()
    };
    let owned = by_id(&["admin", "reader", "revoked"]);
    let expected = [&["later"], &*owned, &["expired", "asleep"]].concat();
    assert_eq!(world.names(&["--all", "--sort", "owner"]), expected);
    let expected = [&["expired"], &*owned, &["later", "asleep"]].concat();
    assert_eq!(world.names(&["--all", "--sort", "owner", "--reverse"]), expected);
    let active = by_id(&["admin", "reader"]);
    let expected = [&*active, &["later", "asleep", "expired", "revoked"]].concat();
    assert_eq!(world.names(&["--all", "--sort", "status"]), expected);
    let all = by_id(&["admin", "asleep", "expired", "later", "reader", "revoked"]);
    assert_eq!(world.names(&["--all", "--sort", "last-used"]), all);
    assert_eq!(world.names(&["--sort", "expires", "--limit", "2"]), ["reader", "asleep"]);
    assert_eq!(world.names(&["--reverse", "--limit", "1"]), ["reader"]);
    assert_eq!(world.names(&["--limit", "0"]), Vec::<String>::new());
}

#[test]
fn invalid_values_are_usage_errors_and_an_unknown_scope_is_not_found() {
    let world = office();
    for flag in [
        "--status",
        "--owner",
        "-l",
        "-s",
        "--search",
        "--expires-within",
        "--unused-for",
        "--sort",
        "--limit",
        "--columns",
        "--at",
        "--format",
    ] {
        for text in ["", "=", "\u{e9}\u{200b}"].into_iter().chain(HOSTILE) {
            if !(matches!(flag, "--owner" | "--search") && text == "=") {
                world.refuses(&["list", flag, text], 2, "usage");
            }
        }
    }
    let cases: [&[&str]; 10] = [
        &["--status", "Active"],
        &["--limit", "-1"],
        &["--limit", "1.5"],
        &["--expires-within", "2027-01-01"],
        &["-l", "env"],
        &["-l", "env="],
        &["--columns", "name,,id"],
        &["--columns", "secret"],
        &["--columns", "name", "--format", "jsonl"],
        &["admin"],
    ];
    for args in cases {
        world.refuses(&[&["list"], args].concat(), 2, "usage");
    }
    for format in ["table", "tsv", "csv", "jsonl", "names"] {
        world.run(&["list", "--json", "--format", format]).exit(2);
    }
    let failure = world.refuses(&["list", "-s", "event:read"], 4, "not_found");
    assert_eq!(failure["hint"], "did you mean `events:read`?");
}

#[test]
fn formats_for_scripts_have_complete_fields_in_a_fixed_order() {
    let world = World::with_store();
    world.define(&["a", "b"]);
    let args =
        ["-s", "b,a", "-l", "y=2", "-l", "x=1", "--ttl", "1d", "-d", "=SUM(A1), \"x\"", "--owner", "@ann"];
    world.create("demo", &args);
    world.create("plain", &["--no-expiry", "-s", "a"]);
    let [demo, plain] = ["demo", "plain"].map(|name| world.show(name)["id"].as_str().unwrap().to_owned());
    let tsv = format!(
        "{demo}\tdemo\tactive\ta,b\t@ann\t2026-11-23T12:00:00Z\t\t2026-11-22T12:00:00Z\ttester\tx=1,y=2\t=SUM(A1), \"x\"\n\
         {plain}\tplain\tactive\ta\t\t\t\t2026-11-22T12:00:00Z\ttester\t\t\n"
    );
    assert_eq!(world.run(&["list"]).ok().out, tsv);
    assert_eq!(world.run(&["ls", "--format", "tsv"]).ok().out, tsv);
    let csv = format!(
        "id,name,status,scopes,owner,expires_at,last_used_at,created_at,created_by,labels,description\r\n\
         {demo},demo,active,\"a,b\",\"'@ann\",2026-11-23T12:00:00Z,,2026-11-22T12:00:00Z,tester,\"x=1,y=2\",\
         \"'=SUM(A1), \"\"x\"\"\"\r\n\
         {plain},plain,active,a,,,,2026-11-22T12:00:00Z,tester,,\r\n"
    );
    assert_eq!(world.run(&["list", "--format", "csv"]).ok().out, csv);
    assert_eq!(world.run(&["list", "--columns", "status,name"]).ok().out, "active\tdemo\nactive\tplain\n");
    assert_eq!(world.run(&["list", "--format", "names"]).ok().out, "demo\nplain\n");
    let json = world.run(&["list", "--json"]).ok().json();
    assert_eq!(world.run(&["list", "--format", "json"]).ok().json(), json);
    let lines = world.run(&["list", "--format", "jsonl"]).ok().out;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json.as_array(), Some(&lines));
    for token in &lines {
        assert_token_keys(token, &[]);
    }
}

#[test]
fn on_a_terminal_a_list_is_a_table_with_the_number_of_hidden_tokens() {
    let mut world = office();
    world.at_terminal(&[]);
    world.env.insert("NO_COLOR".to_owned(), "1".to_owned());
    let ran = world.run(&["list"]).ok();
    let id = |name: &str| world.show(name)["id"].as_str().unwrap().to_owned();
    let hint = |name: &str| world.show(name)["secrets"][0]["hint"].as_str().unwrap().to_owned();
    let expected = format!(
        "\
NAME    STATUS    EXPIRES      LAST USED  OWNER  SCOPES             ID            SECRET
admin   active    in 3 months  never      ann    admin              {}  {}
asleep  disabled  in 20 days   never      -      other              {}  {}
later   pending   never        never      Bob    events:read,other  {}  {}
reader  active    in 9 days    never      ann    events:read        {}  {}
",
        id("admin"),
        hint("admin"),
        id("asleep"),
        hint("asleep"),
        id("later"),
        hint("later"),
        id("reader"),
        hint("reader")
    );
    assert_eq!(ran.out, expected);
    assert_eq!(ran.err, "+2 hidden (revoked or expired), --all shows them\n");
    assert_eq!(world.run(&["list", "--quiet"]).ok().err, "");
    assert_eq!(world.run(&["list", "--all"]).ok().err, "");
    for (width, columns) in
        [(40, "NAME    STATUS    EXPIRES      LAST USED"), (20, "NAME    STATUS"), (9, "NAME")]
    {
        world.terminal.width = Some(width);
        let ran = world.run(&["list"]).ok();
        assert_eq!(ran.out.lines().next().unwrap().trim_end(), columns);
        let widest = ran.out.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(usize::from(width)), "{}", ran.out);
    }
    world.run(&["edit", "later", "--icon", "🔑", "-d", &"long ".repeat(40)]).ok();
    world.terminal.width = Some(30);
    let ran = world.run(&["list", "--columns", "name,description", "--owner", "Bob"]).ok();
    assert_eq!(ran.out.lines().count(), 2, "{}", ran.out);
    assert!(ran.out.contains("🔑 later"), "{}", ran.out);
}

#[test]
fn on_a_terminal_an_empty_list_explains_why() {
    let mut world = World::with_store();
    for (format, out) in [("table", ""), ("tsv", ""), ("names", ""), ("jsonl", ""), ("json", "[]\n")] {
        assert_eq!(world.run(&["list", "--format", format]).ok().out, out, "{format}");
    }
    assert_eq!(world.run(&["list", "--format", "csv", "--columns", "id,name"]).ok().out, "id,name\r\n");
    assert_eq!(world.run(&["list"]).ok().err, "");
    world.at_terminal(&[]);
    let message = |args: &[&str]| {
        let ran = world.run(&[&["list"], args].concat()).ok();
        assert_eq!(ran.out, "");
        ran.err
    };
    assert_eq!(message(&[]), "no tokens yet; create one with `tokenctl create NAME`\n");
    for name in ["a", "b", "c"] {
        world.create(name, &["--ttl", "10d"]);
    }
    assert_eq!(message(&["--owner", "ann"]), "no token is selected\n");
    assert_eq!(message(&["--at", "10d"]), "3 hidden (revoked or expired), --all shows them\n");
    assert!(!message(&["--limit", "0"]).contains("no tokens yet"));
    world.wait(10 * DAY);
    assert_eq!(message(&[]), "3 hidden (revoked or expired), --all shows them\n");
    assert_eq!(message(&["--quiet"]), "");
    world.terminal = World::new().terminal;
    world.refuses(&["--store", "/nowhere", "list"], 6, "store_missing");
}

#[test]
fn no_stored_text_breaks_a_line_or_moves_the_cursor() {
    let world = World::with_store();
    world.create("demo", &["-d", "x", "--owner", "x"]);
    let text = "=a\tb\nEVIL\r\x1b[2J\u{202e}\\\"',c";
    let conn = rusqlite::Connection::open(world.database()).unwrap();
    conn.execute("UPDATE tokens SET owner = ?1, description = ?1, created_by = ?1", [text]).unwrap();
    crate::seals::seal(&conn).unwrap();
    for (format, lines) in [("table", 2), ("tsv", 1), ("csv", 2), ("json", 1), ("jsonl", 1), ("names", 1)] {
        let ran = world.run(&["list", "--format", format]).ok();
        assert_eq!(ran.out.lines().count(), lines, "{format}: {}", ran.out);
        assert_eq!(ran.out.matches('\n').count(), lines, "{format}: {}", ran.out);
        match format {
            "tsv" => {
                assert_eq!(ran.out.matches('\t').count(), 10);
                assert_harmless(&ran.out.replace('\t', " "));
            }
            "csv" => {
                assert_harmless(&ran.out.replace("\r\n", "\n"));
                assert!(ran.out.contains("\"'=a\\u{9}b\\u{a}EVIL"), "{}", ran.out);
            }
            "json" => {
                // JSON escapes the text, and a program that decodes it gets the original.
                assert_eq!(ran.json()[0]["owner"], text);
                assert!(!ran.out.contains('\x1b'));
            }
            "jsonl" => assert!(!ran.out.contains('\x1b')),
            _ => assert_harmless(&ran.out),
        }
    }
    assert_harmless(&world.run(&["show", "demo"]).ok().out);
}

#[test]
fn a_closed_pipe_is_not_an_error_but_a_full_disk_is() {
    let world = office();
    for args in [&["list"][..], &["list", "--json"], &["list", "--format", "table"], &["show", "admin"]] {
        let gone = world.run_failing(args, 5, ErrorKind::BrokenPipe).ok();
        assert_eq!((gone.out.len(), &*gone.err), (5, ""), "{args:?}");
        let full = world.run_failing(args, 5, ErrorKind::StorageFull).exit(1);
        assert!(full.err.contains("cannot write the output: "), "{}", full.err);
    }
}

#[test]
fn list_show_and_settings_do_not_change_a_byte() {
    let world = office();
    let before = world.bytes();
    for args in [&["list", "--all"][..], &["list", "--sort", "owner"], &["show", "admin"], &["settings"]] {
        world.run(args).ok();
    }
    assert!(world.bytes() == before);
}

#[test]
fn columns_and_sort_keys_can_be_spelled_in_several_ways_and_statuses_can_be_separated_by_commas() {
    let world = World::with_store();
    for name in ["a", "b", "c"] {
        world.create(name, &[]);
    }
    world.run(&["disable", "b"]).ok();
    world.run(&["revoke", "c", "--yes"]).ok();
    let list = |args: &[&str]| world.run(&[&["list"], args].concat()).ok().out;
    for (sort, column) in [
        ("last-used", "last_used_at"),
        ("last_used", "last-used-at"),
        ("last_used_at", "last-used"),
        ("expires_at", "expires"),
        ("created-at", "created"),
    ] {
        list(&["--sort", sort]);
        let exact = format!("{}_at", column.replace('-', "_").trim_end_matches("_at"));
        assert_eq!(list(&["--columns", column]), list(&["--columns", &exact]), "{column}");
    }
    assert_eq!(world.names(&["--status", "disabled,revoked"]), ["b", "c"]);
    assert_eq!(world.names(&["--status", "active", "--status", "revoked"]), ["a", "c"]);
}

#[test]
fn the_value_none_clears_a_value_but_is_not_a_lifetime() {
    let world = World::with_store();
    world.create("a", &["--ttl", "90d", "--rotate-every", "30d", "--grace", "1h", "--not-before", "1d"]);
    let edit = ["edit", "a", "--rotate-every", "none", "--grace", "none", "--not-before", "none"];
    world.run(&edit).ok();
    let shown = world.show("a");
    for key in ["rotate_every", "grace", "not_before"] {
        assert!(shown[key].is_null(), "{key}");
    }
    world.run(&["settings", "url", "https://a.example"]).ok();
    world.run(&["settings", "url", "none"]).ok();
    assert_eq!(world.run(&["settings", "url"]).ok().out, "none\n");
    for flag in ["--ttl", "--expires"] {
        for word in ["none", "never"] {
            let failure = world.refuses(&["create", "b", flag, word], 2, "usage");
            assert_eq!(failure["hint"], "use `--no-expiry` for a token that never expires");
        }
    }
}

//! The help: every verb has one, every example in it works, and a mistyped word gets a suggestion.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use clap::Command as Clap;
use tokenctl::cli::{Example, GROUPS, VERBS, command};
use tokenctl::ui::column::COLUMNS;

use crate::support::{World, have, program, program_path, run};

/// Every command that the help shows. The program itself is the first.
pub fn commands() -> Vec<Clap> {
    let mut root = command();
    root.build();
    let mut open = vec![root];
    let mut all = Vec::new();
    while let Some(command) = open.pop() {
        open.extend(command.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned());
        all.push(command);
    }
    assert!(all.len() > 20);
    all
}

/// The path of a command, such as `scopes add`. It is empty for the program itself.
pub fn path(command: &Clap) -> String {
    let name = command.get_bin_name().unwrap_or_default();
    name.split_once(' ').map_or(String::new(), |(_, path)| path.to_owned())
}

fn args(path: &str) -> Vec<&str> {
    path.split_whitespace().collect()
}

#[test]
fn every_verb_is_documented_with_examples_and_a_group() {
    let there: BTreeSet<String> = commands().iter().map(path).collect();
    let known: BTreeSet<String> = VERBS.iter().map(|verb| verb.path.to_owned()).collect();
    assert_eq!(known, there);
    let grouped = GROUPS.iter().flat_map(|group| group.verbs).map(|&verb| verb.to_owned());
    let grouped: BTreeSet<String> = grouped.collect();
    let top: BTreeSet<String> =
        there.iter().filter(|path| !path.is_empty() && !path.contains(' ')).cloned().collect();
    assert_eq!(grouped, top);
    for verb in &VERBS {
        assert!((1..=4).contains(&verb.examples.len()), "{}", verb.path);
        assert!([0, 1, 2].iter().all(|exit| verb.exits.contains(exit)), "{}", verb.path);
        for text in verb.more.iter().chain(verb.examples.iter().map(|Example(does, _)| does)) {
            assert!(
                !text.ends_with('.') && text.starts_with(|c: char| c.is_uppercase() || c == '`'),
                "{text}"
            );
        }
    }
}

#[test]
fn all_examples_in_the_help_work() {
    let home = tempfile::Builder::new()
        .prefix("tokenctl-test-")
        .tempdir()
        .expect("a temporary directory can be created");
    let made = home.path().join("made");
    fs::create_dir(&made).expect("the directory can be created");
    run(&mut shell(&made, SETUP), b"").ok();
    let there: Vec<String> = commands().iter().map(path).collect();
    for verb in VERBS.iter().filter(|verb| there.iter().any(|path| path == verb.path)) {
        let own = home.path().join(format!("of-{}", verb.path.replace(' ', "-")));
        run(Command::new("cp").arg("-a").args([&made, &own]), b"").ok();
        for Example(_, line) in verb.examples {
            if line.contains("man -l") && !have("man") {
                continue;
            }
            // Directories of the test replace those of the system.
            let line = line
                .replace("/var/lib/", "var/lib/")
                .replace("/etc/", "etc/")
                .replace("www-data", "$(id -gn)")
                // `serve` runs until it gets a signal.
                .replace("tokenctl serve", "timeout --preserve-status 2 tokenctl serve");
            let ran = run(&mut shell(&own, &line), b"");
            assert_eq!(ran.code, 0, "{line}\n{}{}", ran.out, ran.err);
            assert!(!ran.err.contains("error:"), "{line}\n{}", ran.err);
        }
    }
}

/// Creates what the examples require.
const SETUP: &str = r#"
    set -e
    umask 077
    mkdir -p bin etc/service-tokens var/lib .local/share/bash-completion/completions
    printf '#!/bin/sh\nexec "$@"\n' > bin/sudo
    printf '#!/bin/sh\nexec cat > /dev/null\n' > bin/pass
    chmod +x bin/*
    tokenctl init
    tokenctl scopes define events:read
    tokenctl scopes define events:write
    tokenctl scopes define admin --includes events:read,events:write
    tokenctl create ci-deploy --owner ann -l env=prod -l team=web -s events:read --ttl 60d > secret.txt
    tokenctl create backup --owner ann -s events:read --ttl 90d --rotate-every 30d --out backup.key
    tokenctl create app -s events:write > leaked.txt
    echo sk_live_0123456789abcdefghijklmnopqrstuvwxyz > legacy.txt
    echo pk_live_9876543210abcdefghijklmnopqrstuvwxyz > partner.txt
    printf 'name,secret\nbilling,kq7V2mXw9bTfR4sYh8NpJc3ZdGe6LuAa\n' > team.csv
    printf '[tokens.nightly]\nscopes = ["events:read"]\n' > tokens.toml
"#;

fn shell(home: &Path, script: &str) -> Command {
    let bin = program_path().parent().expect("the path has a parent");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{}:{path}", home.join("bin").display(), bin.display());
    let mut command = Command::new("sh");
    command.args(["-c", script]).env_clear().current_dir(home).env("HOME", home).env("PATH", path);
    command
}

#[test]
fn every_help_shows_its_examples_and_fits_the_width_of_the_terminal() {
    let mut world = World::new();
    for command in commands() {
        let path = path(&command);
        let verb = VERBS.iter().find(|verb| verb.path == path).expect("there is an entry");
        for width in [40, 80, 100] {
            world.terminal.width = Some(width);
            let help = world.run(&[&args(&path)[..], &["--help"]].concat()).ok();
            assert_eq!(help.err, "");
            let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            let shown = flat(&help.out);
            for Example(does, line) in verb.examples {
                assert!(shown.contains(&flat(&format!("# {does} {line}"))), "{path}: {}", help.out);
            }
            assert!(verb.more.iter().all(|more| shown.contains(&flat(more))), "{path}: {}", help.out);
            assert!(help.out.lines().all(|line| line == line.trim_end()), "{path}: {}", help.out);
            // Words are not broken, so a line with a single word can be longer.
            let wide = |line: &&str| line.chars().count() > usize::from(width) && line.trim().contains(' ');
            let wide: Vec<&str> = help.out.lines().filter(wide).collect();
            assert!(wide.is_empty() || width == 40, "{path} at {width}: {wide:#?}");
        }
    }
}

#[test]
fn the_help_of_list_lists_the_columns() {
    let help = World::new().run(&["list", "-h"]).ok().out;
    let words = COLUMNS.each_ref().map(|column| column.word);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains(&format!("of the columns {} ", words.join(", "))), "{help}");
}

#[test]
fn the_short_help_lists_the_verbs_by_group_on_one_screen() {
    let world = World::new();
    let short = world.run(&["-h"]).ok().out;
    assert!(short.lines().count() <= 24, "{short}");
    assert!(short.lines().all(|line| line.chars().count() <= 80), "{short}");
    let mut rest = &short[..];
    for group in &GROUPS {
        rest = rest.split_once(&format!("\n{}:", group.name)).expect(group.name).1;
        for verb in group.verbs {
            rest = rest.split_once(&format!(" {verb}")).expect(verb).1;
        }
    }
    let alone = world.run(&[]).exit(2);
    assert_eq!((alone.out, alone.err), (String::new(), short.clone()));
    let long = world.run(&["--help"]).ok().out;
    for part in ["Options:\n", "--store <DIR>", "-V, --version", "Examples:\n", "Exit codes:\n  0 "] {
        assert!(long.contains(part) && !short.contains(part), "{part}");
    }
    assert!(world.run(&["list", "--help"]).ok().out.contains("\nExamples:\n"));
    assert!(!world.run(&["list", "-h"]).ok().out.contains("\nExamples:\n"));
}

#[test]
fn the_global_options_are_at_the_end_of_every_help() {
    let world = World::new();
    for command in commands().iter().filter(|command| !path(command).is_empty()) {
        let help = world.run(&[&args(&path(command))[..], &["-h"]].concat()).ok().out;
        let headings: Vec<&str> =
            help.lines().filter(|line| line.ends_with(':') && !line.starts_with(' ')).collect();
        assert_eq!(headings.last(), Some(&"Global options:"), "{help}");
        assert_eq!(help.matches("--no-input").count(), 1, "{help}");
    }
}

#[test]
fn an_unknown_verb_gets_a_suggestion() {
    let world = World::new();
    let cases = [
        ("creat", "create"),
        ("CREATE", "create"),
        ("delete", "revoke"),
        ("delte", "revoke"),
        ("remove", "revoke"),
        ("rm", "revoke"),
        ("new", "create"),
        ("add", "create"),
        ("regenerate", "rotate"),
        ("roll", "rotate"),
        ("reroll", "rotate"),
        ("whoami", "verify"),
        ("identify", "verify"),
        ("lookup", "verify"),
        ("validate", "verify"),
        ("gate", "serve"),
        ("daemon", "serve"),
        ("get", "show"),
        ("info", "show"),
        ("log", "audit"),
        ("lst", "list"),
        ("config", "settings"),
        ("scopes delete", "scopes retire"),
        ("scopes grant", "scopes add"),
        ("scopes creat", "scopes define"),
        ("audit check", "audit verify"),
    ];
    for (typed, meant) in cases {
        let ran = world.run(&args(typed)).exit(2);
        let expected = format!("error: no such command `{typed}`\nhint: did you mean `tokenctl {meant}`?\n");
        assert_eq!((&*ran.out, ran.err), ("", expected));
        let failure = world.refuses(&args(typed), 2, "usage");
        assert_eq!(failure["hint"], format!("did you mean `tokenctl {meant}`?"));
    }
    let used = "the usage is `tokenctl [OPTIONS] <COMMAND>`; see `tokenctl --help`";
    for typed in ["zzz", ""] {
        let err = world.run(&[typed]).exit(2).err;
        assert_eq!(err, format!("error: no such command `{typed}`\nhint: {used}\n"));
    }
}

#[test]
fn a_word_of_another_program_suggests_exactly_one_verb() {
    for verb in &VERBS {
        let parent =
            |path: &str| path.rsplit_once(' ').map_or(String::new(), |(parent, _)| parent.to_owned());
        let siblings: Vec<_> = VERBS
            .iter()
            .filter(|other| !other.path.is_empty() && parent(other.path) == parent(verb.path))
            .collect();
        for word in verb.also {
            let own = |path: &str| path.rsplit(' ').next() == Some(word);
            assert!(siblings.iter().all(|other| !own(other.path)), "{word}");
            let meant = siblings.iter().filter(|other| other.also.contains(word)).count();
            assert_eq!(meant, 1, "{word}");
        }
    }
}

#[test]
fn a_mistyped_token_name_gets_a_suggestion() {
    let world = World::with_store();
    for name in ["ci-deploy", "backup", "gone"] {
        world.create(name, &[]);
    }
    world.run(&["revoke", "gone", "-y"]).ok();
    let hint = |args: &[&str]| world.refuses(args, 4, "not_found")["hint"].as_str().unwrap().to_owned();
    let meant = "did you mean `ci-deploy`?";
    for verb in ["show", "disable", "enable", "revoke", "rotate"] {
        assert_eq!(hint(&[verb, "ci-deply", "--yes"]), meant);
    }
    assert_eq!(hint(&["rename", "CI-Deploy", "x"]), meant);
    assert_eq!(hint(&["edit", "ci_deploy", "--owner", "x"]), meant);
    assert_eq!(hint(&["scopes", "remove", "ci-deploy2", "read"]), meant);
    assert_eq!(hint(&["audit", "--token", "cideploy"]), meant);
    let none = "`tokenctl list --all` shows those that exist";
    // There is no suggestion for a very different name, the name of a revoked token, or text that is not a name.
    for typed in ["zzz", "gonne", &"ci-deploy".repeat(1000)] {
        assert_eq!(hint(&["show", typed]), none);
    }
}

#[test]
fn suggestions_for_a_name_are_found_among_thousands_of_tokens() {
    let world = World::with_store();
    // More tokens than fit on two pages are inserted directly, because deliveries would take long.
    world.create("t0000", &[]);
    let mut rows = String::from("BEGIN;");
    for n in 1..3000 {
        rows.push_str(&format!(
            "INSERT INTO tokens (id, name, created_at, created_by) VALUES ('{n:012}', 't{n:04}', {0}, 'x');\
             INSERT INTO secret (token, hash, hint, created_at, delivered_at) VALUES (last_insert_rowid(), \
             unhex('{n:064x}'), 'tkn_AbCd…', {0}, {0});",
            world.now()
        ));
    }
    world.sql(&format!("{rows}COMMIT;"));
    for (typed, meant) in [("t2999x", "t2999"), ("t1500x", "t1500"), ("T0700", "t0700")] {
        let failure = world.refuses(&["show", typed], 4, "not_found");
        assert_eq!(failure["hint"], format!("did you mean `{meant}`?"));
    }
}

#[test]
fn a_mistyped_word_of_any_other_kind_gets_a_suggestion() {
    let world = World::with_store();
    world.define(&["events:read", "events:write"]);
    world.create("demo", &["--scope", "events:read"]);
    let cases: [(&[&str], i32, &str); 16] = [
        (&["list", "--revers"], 2, "--reverse"),
        (&["create", "x", "--expire", "2027-01-01"], 2, "--expires"),
        (&["list", "--sort", "nmae"], 2, "name"),
        (&["list", "--sort", "last_usd"], 2, "last-used"),
        (&["list", "--format", "jsno"], 2, "json"),
        (&["list", "--columns", "name,expirs"], 2, "expires_at"),
        (&["list", "--status", "revokd"], 2, "revoked"),
        (&["list", "--color", "allways"], 2, "always"),
        (&["settings", "defalt-ttl", "1d"], 2, "default-ttl"),
        (&["list", "-s", "event:read"], 4, "events:read"),
        (&["create", "x", "-s", "event:read"], 4, "events:read"),
        (&["scopes", "define", "x", "--includes", "event:write"], 4, "events:write"),
        (&["scopes", "edit", "event:read", "-d", "x"], 4, "events:read"),
        (&["scopes", "retire", "event:read"], 4, "events:read"),
        (&["scopes", "rename", "event:read", "x"], 4, "events:read"),
        (&["scopes", "add", "demo", "event:write"], 4, "events:write"),
    ];
    for (args, exit, meant) in cases {
        let code = if exit == 2 { "usage" } else { "not_found" };
        assert_eq!(world.refuses(args, exit, code)["hint"], format!("did you mean `{meant}`?"), "{args:?}");
    }
    let failure = world.refuses(&["list", "--status", "zzz"], 2, "usage");
    assert_eq!(failure["hint"], "use one of active, provisional, pending, disabled, expired, revoked");
}

#[test]
fn the_help_flag_works_at_any_position() {
    let of = |args: &[&str]| run(program().args(args), b"").ok().out;
    let list = of(&["list", "--help"]);
    assert!(list.contains("\nUsage: tokenctl list [OPTIONS]\n"), "{list}");
    assert_eq!(of(&["--store", "create", "--json", "list", "--all", "--help", "show"]), list);
    assert_eq!(of(&["ls", "--help"]), list);
    assert!(
        of(&["scopes", "add", "-h"]).starts_with("Grant scopes to a token\n\nUsage: tokenctl scopes add ")
    );
}

#[test]
fn irreversible_commands_are_suggested_only_for_similar_words() {
    let world = World::new();
    for typed in ["exports", "unrevoke", "undelete"] {
        let err = world.run(&[typed]).exit(2).err;
        assert!(!err.contains("tokenctl revoke"), "{typed}: {err}");
    }
    for typed in ["expire", "delete", "rm", "revoek"] {
        let err = world.run(&[typed]).exit(2).err;
        assert!(err.ends_with("hint: did you mean `tokenctl revoke`?\n"), "{typed}: {err}");
    }
}

#[test]
fn an_unknown_flag_gets_a_suggestion() {
    let world = World::new();
    let cases: [(&[&str], &str); 5] = [
        (&["edit", "a", "--scope", "x"], "`tokenctl scopes set NAME SCOPE` changes the scopes of a token"),
        (&["edit", "a", "--name", "b"], "`tokenctl rename NAME NEW` renames a token"),
        (&["list", "--revoked"], "did you mean `--status revoked`?"),
        (&["create", "a", "--lable", "k=v"], "did you mean `--label`?"),
        (&["create", "a", "--expire", "2027-06-30"], "did you mean `--expires`?"),
    ];
    for (args, hint) in cases {
        assert_eq!(world.refuses(args, 2, "usage")["hint"], *hint, "{args:?}");
    }
}

#[test]
fn help_and_version_also_work_as_commands() {
    let world = World::new();
    let cases: [(&[&str], &[&str]); 4] = [
        (&["help"], &["--help"]),
        (&["help", "rotate"], &["rotate", "--help"]),
        (&["help", "scopes", "add"], &["scopes", "add", "--help"]),
        (&["version"], &["--version"]),
    ];
    for (typed, meant) in cases {
        assert_eq!(world.run(typed).ok().out, world.run(meant).ok().out, "{typed:?}");
    }
    assert!(world.run(&["help", "rotaet"]).exit(2).err.contains("no such command `rotaet`"));
}

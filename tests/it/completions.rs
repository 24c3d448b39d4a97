//! `completions`: the scripts, and the candidates that they request. The module `shells` presses TAB in real shells.

mod shells;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use clap_complete::env::{Elvish, EnvCompleter, Fish, Powershell};
use proptest::prelude::*;

use crate::support::{DAY, HOSTILE, World, assert_harmless, run};

/// Each shell with the file that contains its script.
const SCRIPTS: [(&str, &str); 5] = [
    ("bash", "tokenctl.bash"),
    ("zsh", "_tokenctl"),
    ("fish", "tokenctl.fish"),
    ("elvish", "tokenctl.elv"),
    ("powershell", "_tokenctl.ps1"),
];

fn script(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions").join(file);
    fs::read_to_string(path).expect(file)
}

/// A store with every kind of object. The environment variable of the scripts stays set, even for other commands.
fn filled() -> World {
    let mut world = World::new();
    world.env.insert("TOKENCTL_COMPLETE".to_owned(), "fish".to_owned());
    world.run(&["init"]).ok();
    world.run(&["scopes", "define", "events:read", "-d", "See: events"]).ok();
    world.define(&["events:write", "users:read", "gone"]);
    world.run(&["scopes", "retire", "gone"]).ok();
    for name in ["ci-build", "ci-deploy", "ops@host"] {
        world.create(name, &["-s", "events:read,users:read", "--owner", "ann", "--no-expiry"]);
    }
    world.create("ci-old", &["-s", "events:read", "--owner", "Ann Smith", "-l", "env=test", "--ttl", "1d"]);
    world.create("web", &["-s", "events:read", "-l", "env=prod", "-l", "app/x=a b", "--ttl", "30d"]);
    world.run(&["disable", "ci-build"]).ok();
    world.wait(2 * DAY);
    world
}

/// The answer to a shell that completes the last of these words. It must never contain an error.
#[track_caller]
fn offers(world: &mut World, shell: &str, words: &[&str]) -> String {
    world.env.insert("TOKENCTL_COMPLETE".to_owned(), shell.to_owned());
    let ran = world.run(&[&["--", "tokenctl"], words].concat()).ok();
    assert_eq!(ran.err, "", "{words:?}");
    ran.out
}

/// The candidates without their descriptions.
#[track_caller]
fn offered(world: &mut World, words: &[&str]) -> Vec<String> {
    let answer = offers(world, "fish", words);
    answer.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_script_files_equal_the_printed_scripts() {
    let world = World::new();
    for (shell, file) in SCRIPTS {
        let ran = world.run(&["completions", shell]).ok();
        assert_eq!((ran.out, &*ran.err), (script(file), ""), "{shell}");
    }
    assert!(!world.store().exists());
    world.refuses(&["completions", "tcsh"], 2, "usage");
}

/// This shows when a new release of clap changes the scripts.
#[test]
fn the_scripts_for_fish_elvish_and_powershell_are_generated_by_clap() {
    let theirs: [(&str, &dyn EnvCompleter); 3] =
        [("tokenctl.fish", &Fish), ("tokenctl.elv", &Elvish), ("_tokenctl.ps1", &Powershell)];
    for (file, shell) in theirs {
        let mut text = Vec::new();
        shell
            .write_registration("TOKENCTL_COMPLETE", "tokenctl", "tokenctl", "tokenctl", &mut text)
            .expect(file);
        assert_eq!(script(file).trim(), String::from_utf8_lossy(&text).trim(), "{file}");
    }
}

#[test]
fn completion_offers_the_possible_values_of_each_argument() {
    let mut world = filled();
    let cases: &[(&[&str], &[&str])] = &[
        (&["sh"], &["show"]),
        (&["re"], &["rename", "revoke", "restore"]),
        (&["scopes", "r"], &["rename", "retire", "remove"]),
        (&["show", "--n"], &["--no-input", "--no-pager"]),
        (&["completions", "p"], &["powershell"]),
        (&["show", ""], &["ci-build", "ci-deploy", "ci-old", "ops@host", "web"]),
        (&["show", "ci-d"], &["ci-deploy"]),
        (&["audit", "--token", "ops"], &["ops@host"]),
        (&["revoke", "web", "ci-deploy", ""], &["ci-build", "ci-old", "ops@host"]),
        (&["enable", ""], &["ci-build"]),
        (&["disable", "ci-"], &["ci-deploy", "ci-old"]),
        (&["create", "x", "-s", ""], &["events:read", "events:write", "users:read"]),
        (&["create", "x", "-s", "events:read,"], &["events:read,events:write", "events:read,users:read"]),
        (&["create", "x", "--scope=u"], &["--scope=users:read"]),
        (&["verify", "-s", "g"], &["gone"]),
        (&["verify", "-s", "events:r"], &["events:read"]),
        (&["list", "-s", "users:read", "-s", "u"], &[]),
        (&["scopes", "add", "web", "e"], &["events:read", "events:write"]),
        (&["scopes", "remove", "ops@host", ""], &["events:read", "users:read"]),
        (&["scopes", "retire", "ev"], &["events:read", "events:write"]),
        (
            &["scopes", "edit", "gone", "--includes", "users:read,e"],
            &["users:read,events:read", "users:read,events:write"],
        ),
        (&["scopes", "define", "new", "--includes", "us"], &["users:read"]),
        (&["list", "--owner", ""], &["Ann Smith", "ann"]),
        (&["edit", "web", "--owner", "a"], &["ann"]),
        (&["list", "-l", ""], &["app/x=", "env="]),
        (&["verify", "-l", "env="], &["env=prod", "env=test"]),
        (&["edit", "web", "-l", "env=p"], &["env=prod"]),
        (&["list", "--status", "p"], &["provisional", "pending"]),
        (&["list", "--sort", "last"], &["last-used"]),
        (&["list", "--format", "js"], &["json", "jsonl"]),
        (&["list", "--columns", "id,na"], &["id,name"]),
        (&["list", "--color", "a"], &["auto", "always"]),
        (&["settings", "re"], &["require-owner", "require-description"]),
        (&["nonsense", "x"], &[]),
        (&[], &[]),
    ];
    for (words, expected) in cases {
        assert_eq!(offered(&mut world, words), *expected, "{words:?}");
    }
}

#[test]
fn flags_are_offered_after_a_dash_or_if_nothing_else_is_possible() {
    let mut world = filled();
    assert!(offered(&mut world, &["show", "-"]).contains(&"--json".to_owned()));
    assert!(offered(&mut world, &["create", ""]).contains(&"--owner".to_owned()));
    assert!(offered(&mut world, &["show", ""]).iter().all(|it| !it.starts_with('-')));
}

#[test]
fn tokens_are_offered_with_their_status_and_scopes_with_their_description() {
    let mut world = filled();
    let tokens = "ci-build\tdisabled\nci-deploy\tactive, never expires\nci-old\texpired 24 hours ago\n\
                  ops@host\tactive, never expires\nweb\tactive, expires in 28 days\n";
    assert_eq!(offers(&mut world, "fish", &["show", ""]), tokens);
    let scopes = ["verify", "-s", "events:"];
    assert_eq!(offers(&mut world, "fish", &scopes), "events:read\tSee: events\nevents:write\n");
    assert_eq!(offers(&mut world, "powershell", &scopes), "events:read\tSee: events\nevents:write\n");
    assert_eq!(offers(&mut world, "zsh", &scopes), "events\\:read:See: events\nevents\\:write\n");
    for shell in ["bash", "elvish"] {
        assert_eq!(offers(&mut world, shell, &scopes), "events:read\nevents:write\n");
    }
    for shell in ["tcsh", "0", "/bin/fish"] {
        assert_eq!(offers(&mut world, shell, &scopes), "");
    }
}

#[test]
fn bash_and_zsh_complete_paths_themselves_and_other_shells_are_offered_paths() {
    let mut world = filled();
    fs::create_dir(world.dir.path().join("secrets")).expect("the directory can be created");
    fs::write(world.dir.path().join("see me"), "").expect("the file can be written");
    fs::write(world.dir.path().join("se\nEVIL"), "").expect("the file can be written");
    let start = format!("{}/se", world.dir.path().display());
    let (dir, file) = (format!("{start}crets/\n"), format!("{start}e me\n"));
    for flag in ["--out", "--env-file"] {
        assert_eq!(offers(&mut world, "fish", &["create", "x", flag, &start]), format!("{dir}{file}"));
        // Powershell does not quote candidates, so only safe ones are offered.
        assert_eq!(offers(&mut world, "powershell", &["create", "x", flag, &start]), dir);
        assert_eq!(offers(&mut world, "bash", &["create", "x", flag, &start]), ":files\n");
        assert_eq!(
            offers(&mut world, "zsh", &["create", "x", &format!("{flag}=s")]),
            format!("{flag}=\\:files\n")
        );
    }
    for words in [["--store", ""], ["rotate", "--out-dir="]] {
        assert!(offers(&mut world, "bash", &words).ends_with(":dirs\n"), "{words:?}");
    }
    assert_eq!(offers(&mut world, "elvish", &["verify", "--secret-file", &start]), format!("{dir}{file}"));
    assert_eq!(offers(&mut world, "elvish", &["--store", &start]), dir);
}

#[test]
fn candidates_come_from_the_store_given_on_the_command_line() {
    let (mut world, other) = (filled(), World::with_store());
    other.create("theirs", &[]);
    let store = other.store().display().to_string();
    assert_eq!(offered(&mut world, &["--store", &store, "show", ""]), ["theirs"]);
    assert_eq!(offered(&mut world, &["show", &format!("--store={store}"), ""]), ["theirs"]);
    // Some shells do not expand the word that is being typed, so `~` arrives as it is.
    let mut command = other.program();
    command
        .env("TOKENCTL_STORE", "/nonexistent")
        .env("TOKENCTL_COMPLETE", "bash")
        .env("HOME", other.dir.path());
    let ran = run(command.args(["--", "tokenctl", "--store", "~/store", "show", "t"]), b"").ok();
    assert_eq!((&*ran.out, &*ran.err), ("theirs\n", ""));
}

#[test]
fn at_most_two_hundred_of_ten_thousand_tokens_are_offered() {
    let mut world = filled();
    world.sql(
        "WITH RECURSIVE n (i) AS (VALUES (1000) UNION ALL SELECT i + 1 FROM n WHERE i < 10999)
         INSERT INTO tokens (row, id, name, created_at, created_by, owner)
         SELECT i, 'id' || printf('%010d', i), 't' || i, 1795348800, 'me', 'o' || i FROM n;
         INSERT INTO secret (token, hash, hint, created_at, delivered_at)
         SELECT row, randomblob(32), 'tkn_xxxx…', 1795348800, 1795348800 FROM tokens WHERE row >= 1000;
         INSERT INTO label (token, key, value) SELECT row, 'k' || row, 'v' FROM tokens WHERE row >= 1000;
         INSERT INTO scope (id, name, created_at) SELECT printf('scope%07d', row), 's' || row, 1795348800 FROM tokens WHERE row >= 1000;",
    );
    let whole: [&[&str]; 5] = [
        &["show", "t"],
        &["list", "--owner", ""],
        &["list", "-l", ""],
        &["verify", "-s", ""],
        &["enable", "t"],
    ];
    let counts = whole.map(|words| offered(&mut world, words).len());
    // No token is disabled, and `enable` has no flag that begins with `t`.
    assert_eq!(counts, [200, 200, 200, 200, 0]);
    assert_eq!(offered(&mut world, &["show", "t10998"]), ["t10998"]);
    assert_eq!(offered(&mut world, &["enable", ""]), ["ci-build"]);
}

#[test]
fn a_missing_locked_or_damaged_store_offers_no_candidates() {
    let mut world = World::new();
    let questions: [&[&str]; 4] =
        [&["show", "c"], &["verify", "-s", "e"], &["list", "--owner", "a"], &["list", "-l", "e"]];
    let silent = |world: &mut World| {
        for words in questions {
            assert_eq!(offers(world, "bash", words), "", "{words:?}");
        }
    };
    silent(&mut world);
    assert!(!world.store().exists());

    let mut world = filled();
    let before = world.bytes();
    for words in questions {
        assert_ne!(offers(&mut world, "bash", words), "", "{words:?}");
    }
    assert!(world.bytes() == before);

    // If completion waited as long as other commands do, it would still wait when the lock is released, and answer.
    let (held, holding) = mpsc::channel();
    let (done, answered) = mpsc::channel();
    let database = world.database();
    let holder = std::thread::spawn(move || {
        let conn = rusqlite::Connection::open(database).expect("the database can be opened");
        conn.execute_batch("BEGIN EXCLUSIVE").expect("the lock");
        held.send(()).expect("the test waits");
        let _ = answered.recv_timeout(Duration::from_secs(15));
    });
    holding.recv().expect("the lock is held");
    assert_eq!(offers(&mut world, "bash", questions[0]), "");
    done.send(()).expect("the lock was held until now");
    holder.join().expect("the thread exits");

    let good = fs::read(world.database()).expect("the store can be read");
    for page in (0..good.len()).step_by(4096) {
        let mut bad = good.clone();
        bad[page..page + 4096].fill(0xa5);
        fs::write(world.database(), bad).expect("the store can be written");
        for words in questions {
            offers(&mut world, "zsh", words);
        }
    }
    for bad in [&good[..50], &good[..5000], b"", b"garbage"] {
        fs::write(world.database(), bad).expect("the store can be written");
        silent(&mut world);
    }
}

#[test]
fn no_candidate_contains_characters_that_are_special_to_a_shell() {
    let mut world = filled();
    let hostile = [
        "$(id)", "`id`", "a;id", "a|id", "a&id", "a>b", "'", "\"", "a\\", "~", "*", "-y", "a#b", "!!",
        "{a,b}",
    ];
    for (at, text) in HOSTILE.iter().chain(&hostile).enumerate() {
        let text = text.replace('\'', "''");
        world.sql(&format!(
            "INSERT INTO tokens (id, name, owner, created_at, created_by)
             VALUES ('{at:012}', 'n{at}', '{text}', 1795348800, 'me');
             INSERT INTO secret (token, hash, hint, created_at, delivered_at)
             VALUES (last_insert_rowid(), randomblob(32), 'tkn_xxxx…', 1795348800, 1795348800);
             INSERT INTO label (token, key, value) VALUES ({at} + 100, '{text}', '{text}'), ({at} + 100, 'env', '{text}');
             INSERT INTO scope (id, name, description, created_at) VALUES (printf('scope%07d', {at}), 'x{at}', '{text}', 1795348800);"
        ).replace(&format!("({at} + 100"), "((SELECT max(row) FROM tokens)"));
    }
    for (shell, _) in SCRIPTS {
        for words in
            [&["show", ""][..], &["list", "--owner", ""], &["list", "-l", ""], &["list", "-l", "env="]]
        {
            let answer = offers(&mut world, shell, words);
            for line in answer.lines() {
                let value = line.split('\t').next().unwrap_or_default();
                let value = if shell == "zsh" { value.split(':').next().unwrap_or_default() } else { value };
                let quotes = ["zsh", "fish", "elvish"].contains(&shell);
                let plain = |c: char| c.is_ascii_alphanumeric() || "-@=/".contains(c) || quotes && c == ' ';
                assert!(!value.starts_with('-') && value.chars().all(plain), "{shell}: {line:?}");
            }
        }
        let answer = offers(&mut world, shell, &["verify", "-s", "x"]);
        assert_eq!(answer.lines().count(), HOSTILE.len() + hostile.len(), "{answer}");
        assert_harmless(&answer.replace('\t', " "));
    }
}

#[test]
fn a_command_line_that_contains_a_secret_gets_no_candidates() {
    let mut world = filled();
    let secret = world.create("fresh", &["-s", "events:read"]);
    for words in
        [["show", &secret, "w"], ["verify", "-s", &format!("{secret},ev")], ["list", "--search", &secret]]
    {
        assert_eq!(offers(&mut world, "bash", &words), "");
    }
}

#[test]
fn a_completion_variable_in_the_environment_does_not_change_commands() {
    let world = filled();
    assert_eq!(world.verify("tkn_wrong", &[]).0, 3);
    assert_eq!(world.names(&["-s", "users:read", "--status", "disabled"]), ["ci-build"]);
}

#[test]
fn completion_succeeds_even_if_its_output_is_closed() {
    let world = filled();
    for nowhere in [">&-", ">/dev/full"] {
        let line = format!("TOKENCTL_COMPLETE=bash \"$0\" -- tokenctl show '' {nowhere}");
        let mut sh = std::process::Command::new("sh");
        let sh =
            sh.args(["-c", &line]).arg(crate::support::program_path()).env("TOKENCTL_STORE", world.store());
        let ran = run(sh, b"").ok();
        assert_eq!((&*ran.out, &*ran.err), ("", ""), "{nowhere}");
    }
    let words = ["--", "tokenctl", "show", ""];
    world.run_failing(&words, 0, io::ErrorKind::BrokenPipe).ok();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_command_line_causes_a_panic(
        words in prop::collection::vec(prop_oneof![
            prop::sample::select(vec![
                "settings", "prefix", "--store", "--foo", "--", "-", "-s", "-qs", "--scope", "--owner=", "scopes", "remove",
                "list", "rotate", "-l", "a=", "--out", "é", "", ",", "create", "--columns", "-yx", "--exec", "audit",
            ]).prop_map(str::to_owned),
            ".{0,6}",
        ], 0..8),
        shell in prop::sample::select(SCRIPTS.map(|(shell, _)| shell).to_vec()),
    ) {
        let mut world = World::new();
        offers(&mut world, shell, &["settings", "prefix", "--store", "--foo", ""]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        offers(&mut world, shell, &words);
    }
}

#[test]
fn a_completion_variable_in_the_environment_never_makes_another_command_succeed() {
    let mut world = World::with_store();
    world.env.insert("TOKENCTL_COMPLETE".to_owned(), "bash".to_owned());
    for args in [&["--", "verify"][..], &["--", "verify", "-q"], &["--", "--quiet", "verify"]] {
        assert_ne!(world.run(args).code, 0, "{args:?}");
    }
    assert!(world.run(&["--", "tokenctl", "rev"]).ok().out.contains("revoke"));
}

//! What holds for every verb: the global flags, the output streams, and the format of errors.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use serde_json::json;

use crate::support::{HOSTILE, World, assert_harmless, program, run};

const VERBS: [&str; 15] = [
    "init", "create", "adopt", "list", "show", "rename", "edit", "scopes", "disable", "enable", "revoke",
    "verify", "audit", "doctor", "settings",
];

#[test]
fn help_and_version_go_to_stdout_and_a_missing_command_is_an_error() {
    let world = World::new();
    let alone = world.run(&[]).exit(2);
    assert_eq!(alone.out, "");
    assert!(alone.err.contains("Usage: tokenctl"), "{}", alone.err);
    let version = world.run(&["--version"]).ok();
    assert_eq!((&*version.out, &*version.err), ("tokenctl 0.1.0\n", ""));
    for verb in VERBS {
        let help = world.run(&[verb, "--help"]).ok();
        assert!(help.out.contains(&format!("Usage: tokenctl {verb}")) && help.err.is_empty(), "{}", help.out);
        let stopped = |line: &str| line.starts_with(' ') && line.ends_with('.') && !line.ends_with("...");
        let badly = help.out.lines().find(|line| stopped(line) || line.chars().count() > 100);
        assert_eq!(badly, None, "{verb}");
    }
    assert!(!world.store().exists());
    assert_eq!(world.run_failing(&["--help"], 5, std::io::ErrorKind::BrokenPipe).ok().err, "");
}

#[test]
fn an_invalid_argument_is_reported_in_one_line_of_json() {
    let world = World::new();
    let used = "the usage is `tokenctl show [OPTIONS] <NAME>`; see `tokenctl show --help`";
    let cases: [(&[&str], &str, &str); 18] = [
        (&["creat"], "no such command `creat`", "did you mean `tokenctl create`?"),
        (
            &["--bogus"],
            "unexpected argument `--bogus`",
            "the usage is `tokenctl [OPTIONS] <COMMAND>`; see `tokenctl --help`",
        ),
        (&[], "no command given", "the usage is `tokenctl [OPTIONS] <COMMAND>`; see `tokenctl --help`"),
        (
            &["scopes"],
            "no command given",
            "the usage is `tokenctl [OPTIONS] <COMMAND>`; see `tokenctl --help`",
        ),
        (&["show"], "`<NAME>` is missing", used),
        (
            &["scopes", "add"],
            "`<TOKEN>` and `<SCOPE>...` are missing",
            "the usage is `tokenctl scopes add [OPTIONS] <TOKEN> <SCOPE>...`; see `tokenctl scopes add --help`",
        ),
        (
            &["show", "a", "b"],
            "unexpected argument `b`",
            "the usage is `tokenctl show [OPTIONS] <NAME>`; see `tokenctl show --help`",
        ),
        (&["list", "--limit", "x"], "`--limit`: `x` is not a whole number", "write it as `--limit <N>`"),
        (&["list", "--owner", ""], "`--owner`: the value is empty", "write it as `--owner <WHO>`"),
        (&["list", "--limit"], "`--limit` needs a value", "write it as `--limit <N>`"),
        (
            &["list", "--sort", "zzz"],
            "`zzz` is not a value of `--sort`",
            "use one of name, status, owner, created, expires, due, last-used",
        ),
        (
            &["create", "a", "--ttl", "1d", "--no-expiry"],
            "`--ttl` cannot be used with `--no-expiry`",
            "the usage is `tokenctl create [OPTIONS] [NAME]`; see `tokenctl create --help`",
        ),
        (
            &["create", "a", "--ttl", "1d", "--ttl", "2d"],
            "`--ttl` is given twice",
            "the usage is `tokenctl create [OPTIONS] [NAME]`; see `tokenctl create --help`",
        ),
        (
            &["create", "a", "--env-file", "x"],
            "`--env-name <NAME>` is missing",
            "the usage is `tokenctl create [OPTIONS] [NAME]`; see `tokenctl create --help`",
        ),
        (
            &["audit", "--token", "a", "head"],
            "the subcommand `head` cannot be used with `--token <NAME>`",
            "the usage is `tokenctl audit [OPTIONS]`; see `tokenctl audit --help`",
        ),
        (
            &["create", "a\nEVIL"],
            "`a\\nEVIL` is not a name",
            "use letters, digits and . _ @ -, a letter or digit first, at most 64",
        ),
        (
            &["create", "a", "--expires", "90d"],
            "`--expires`: `90d` is a duration, not a date",
            "use `--ttl 90d` for a lifetime from now",
        ),
        (
            &["edit", "a", "--reason", "a\u{7}"],
            "`--reason`: the text contains the invisible character \\u{7}",
            "use one line of visible characters",
        ),
    ];
    for (args, message, hint) in cases {
        let ran = world.run(&[&["--json"], args].concat()).exit(2);
        let failure = ran.failure();
        assert_eq!((&failure["message"], &failure["hint"]), (&json!(message), &json!(hint)), "{args:?}");
        assert_eq!((&failure["code"], &failure["exit"]), (&json!("usage"), &json!(2)));
        let keys: Vec<_> = failure.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["code", "exit", "hint", "message"]);
        let plain = world.run(args).exit(2);
        if message == "no command given" {
            assert!(plain.err.contains("\nUsage: "), "{}", plain.err);
            continue;
        }
        assert_eq!((&*plain.out, &*plain.err), ("", &*format!("error: {message}\nhint: {hint}\n")));
        assert_eq!(world.run(&[args, &["-q"]].concat()).exit(2).err, plain.err);
    }
    for text in HOSTILE {
        world.refuses(&[text], 2, "usage");
        world.refuses(&[&format!("--{text}")], 2, "usage");
        world.refuses(&["list", text], 2, "usage");
        world.refuses(&["--store", &format!("/nowhere/{text}"), "list"], 6, "store_missing");
    }
    for verb in ["nonsense", "scan", "import", "apply", "backup", "restore", "serve"] {
        world.refuses(&[verb], 2, "usage");
    }
}

#[test]
fn all_errors_have_the_same_format() {
    let world = World::with_store();
    let ours = world.run(&["show", "nobody"]).exit(4);
    let expected = "error: no such token `nobody`\nhint: `tokenctl list --all` shows those that exist\n";
    assert_eq!((&*ours.out, &*ours.err), ("", expected));
    // The hint is printed with `--quiet` too, because it is most useful in the mail of a job.
    assert_eq!(world.run(&["show", "nobody", "-q"]).exit(4).err, expected);
    let claps = world.run(&["show"]).exit(2).err;
    assert_eq!(
        claps,
        "error: `<NAME>` is missing\nhint: the usage is `tokenctl show [OPTIONS] <NAME>`; see `tokenctl show --help`\n"
    );
}

#[test]
fn quiet_suppresses_everything_except_errors_warnings_and_data() {
    let world = World::new();
    let made = world.run(&["create", "demo", "-q"]).ok();
    assert!(
        made.err.starts_with("warning: created a new store") && made.err.lines().count() == 1,
        "{}",
        made.err
    );
    for args in [
        &["edit", "demo", "--owner", "ann"][..],
        &["rename", "demo", "new"],
        &["disable", "new"],
        &["enable", "new"],
        &["settings", "grace", "1h"],
        &["init"],
        &["revoke", "new", "-y"],
    ] {
        let ran = world.run(&[args, &["-q"]].concat()).ok();
        assert_eq!((&*ran.out, &*ran.err), ("", ""), "{args:?}");
    }
    let answer = world.run_with(&["verify", "-q"], made.out.as_bytes()).exit(3);
    assert_eq!((&*answer.out, &*answer.err), ("", ""));
    assert_eq!(world.run(&["list", "--all", "-q", "--columns", "name"]).ok().out, "new\n");
}

#[test]
fn a_secret_in_the_arguments_is_refused_and_not_printed() {
    let world = World::new();
    let secret = world.create("demo", &[]);
    let inside = format!("see https://host/?token={secret}&x=1");
    let path = format!("--store=/nowhere/{secret}");
    let cases: [&[&str]; 9] = [
        &[&secret],
        &["verify", &secret],
        &["adopt", "a", &secret],
        &["show", "--", &secret],
        &["create", "a", "-d", &inside],
        &["edit", "demo", "--reason", &inside],
        &["settings", "url", &inside],
        &[&path, "list"],
        &["--bogus", &secret, "--help"],
    ];
    for args in cases {
        let failure = world.refuses(args, 2, "secret_as_argument");
        assert_eq!(failure["message"], "an argument contains a secret; this secret is now exposed");
        let plain = world.run(args);
        assert!(!plain.err.contains(&secret[4..]) && !failure.to_string().contains(&secret[4..]), "{args:?}");
        let real = world.real(args, b"").exit(2);
        assert_eq!((real.out, real.err), (plain.out, plain.err));
    }
    // A secret with a typing error is like any other text.
    let typo = format!("{}{}", &secret[..41], if secret.ends_with('a') { 'b' } else { 'a' });
    world.refuses(&["show", &typo], 4, "not_found");
    world.assert_valid(&secret, "demo");
}

#[test]
fn colours_are_used_only_on_terminals_that_support_them() {
    let mut world = World::with_store();
    world.create("demo", &[]);
    let list = ["list", "--format", "table"];
    let colours = |world: &World, args: &[&str]| {
        let [out, ours, claps] =
            [&list[..], &["show", "nobody"], &["--bogus"]].map(|verb| world.run(&[args, verb].concat()));
        [out.out, ours.err, claps.err].map(|text| text.contains('\x1b'))
    };
    assert_eq!(colours(&world, &[]), [false; 3]);
    assert_eq!(colours(&world, &["--color", "always"]), [true; 3]);
    world.env.insert("CLICOLOR_FORCE".to_owned(), "1".to_owned());
    assert_eq!(colours(&world, &[]), [true; 3]);
    world.env.insert("CLICOLOR_FORCE".to_owned(), "0".to_owned());
    assert_eq!(colours(&world, &[]), [false; 3]);
    world.at_terminal(&[]);
    assert_eq!(colours(&world, &[]), [true; 3]);
    assert_eq!(colours(&world, &["--color=never"]), [false; 3]);
    for (key, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        world.env.clear();
        world.env.insert(key.to_owned(), value.to_owned());
        assert_eq!(colours(&world, &[]), [false; 3], "{key}");
        assert_eq!(colours(&world, &["--color=always"]), [true; 3], "{key}");
    }
    world.env.clear();
    assert!(world.run(&["--help"]).ok().out.contains('\x1b'));
    assert!(!world.run(&["--color", "never", "--help"]).ok().out.contains('\x1b'));
    assert!(!world.run(&["--json", "show", "nobody"]).exit(4).err.contains('\x1b'));
}

#[test]
fn the_store_is_given_by_the_flag_the_variable_or_the_data_directory() {
    let world = World::new();
    let home = world.dir.path().canonicalize().unwrap();
    let made = |args: &[&str], env: &[(&str, &str)]| {
        let mut command = program();
        command.env("HOME", &home).envs(env.iter().copied()).args(args).args(["init", "--json"]);
        let document = run(&mut command, b"").ok().json();
        document["path"].as_str().unwrap().strip_prefix(home.to_str().unwrap()).unwrap().to_owned()
    };
    let at = |name: &str| home.join(name).display().to_string();
    let (flag, variable, data) = (at("flag"), at("variable"), at("data"));
    let env = [("TOKENCTL_STORE", &*variable), ("XDG_DATA_HOME", &*data)];
    assert_eq!(made(&["--store", &flag], &env), "/flag");
    assert_eq!(made(&[], &env), "/variable");
    assert_eq!(made(&[], &[("TOKENCTL_STORE", ""), ("XDG_DATA_HOME", &data)]), "/data/tokenctl");
    assert_eq!(made(&[], &[("XDG_DATA_HOME", "relative")]), "/.local/share/tokenctl");
}

#[test]
fn the_reason_of_every_change_is_recorded() {
    let world = World::with_store();
    world.create("demo", &[]);
    let changes: [&[&str]; 15] = [
        &["create", "a"],
        &["edit", "a", "--owner", "x"],
        &["rename", "a", "b"],
        &["disable", "b"],
        &["enable", "b"],
        &["settings", "grace", "1h"],
        &["scopes", "define", "read"],
        &["scopes", "edit", "read", "-d", "x"],
        &["scopes", "rename", "read", "write", "--allow-widen"],
        &["scopes", "add", "b", "write", "--allow-widen"],
        &["scopes", "remove", "b", "write"],
        &["scopes", "set", "b", "write", "--allow-widen"],
        &["scopes", "retire", "write"],
        &["revoke", "b", "-y"],
        &["adopt", "c"],
    ];
    for (at, change) in changes.iter().enumerate() {
        let reason = format!("reason {at}");
        let ran =
            world.run_with(&[change, &["--reason", &reason][..]].concat(), b"Strong-enough.secret/0815-x");
        assert_eq!(ran.code, 0, "{change:?}: {}", ran.err);
        let log = world.run(&["audit", "--json"]).ok().json();
        let reasons = log.as_array().unwrap().iter().filter(|event| event["reason"] == json!(reason));
        assert_eq!(reasons.count(), 1, "{change:?}");
        world.refuses(&[change, &["--reason", "a\nEVIL"][..]].concat(), 2, "usage");
    }
}

#[test]
fn arguments_that_are_not_utf8_are_refused() {
    let world = World::with_store();
    let junk = OsStr::from_bytes(b"a\xff\xfe\x1b[2J");
    for verb in VERBS {
        for flag in [&[][..], &["--reason"], &["--owner"], &["--sort"], &["--color"]] {
            let ran = run(world.program().arg(verb).args(flag).arg(junk), b"");
            assert!(matches!(ran.code, 2 | 4), "{verb} {flag:?}: {}", ran.err);
            assert_harmless(&ran.err);
        }
    }
    run(world.program().arg("--store").arg(junk).arg("list"), b"").exit(6);
}

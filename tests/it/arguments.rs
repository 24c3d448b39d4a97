//! No argument makes the program panic or exit in a way that is not documented.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;

use tokenctl::cli::VERBS;

use crate::help::{commands, path};
use crate::support::{World, program, run};

const EXITS: [i32; 9] = [0, 1, 2, 3, 4, 5, 6, 7, 130];
const VECTORS: usize = 300;

const TYPED: [&[&str]; 28] = [
    &["init"],
    &["create"],
    &["adopt"],
    &["list"],
    &["ls"],
    &["show"],
    &["rename"],
    &["edit"],
    &["scopes"],
    &["scopes", "list"],
    &["scopes", "define"],
    &["scopes", "edit"],
    &["scopes", "rename"],
    &["scopes", "retire"],
    &["scopes", "add"],
    &["scopes", "remove"],
    &["scopes", "set"],
    &["disable"],
    &["enable"],
    &["revoke"],
    &["rotate"],
    &["rotate", "--due"],
    &["verify"],
    &["audit"],
    &["audit", "verify"],
    &["doctor"],
    &["settings"],
    &["man"],
];

/// The flags, without `--exec`, because its value would be run as a command.
const FLAGS: [&str; 67] = [
    "--copy",
    "--copy=tmux",
    "--copy-timeout",
    "--store",
    "--json",
    "--no-input",
    "--yes",
    "-y",
    "-q",
    "--color",
    "--reason",
    "--group",
    "-d",
    "--description",
    "--owner",
    "--icon",
    "-l",
    "--label",
    "-s",
    "--scope",
    "--all-scopes",
    "--ttl",
    "--expires",
    "--no-expiry",
    "--not-before",
    "--rotate-every",
    "--grace",
    "--if-missing",
    "--secret-file",
    "--all",
    "--sort",
    "--reverse",
    "--limit",
    "--columns",
    "--at",
    "--format",
    "--status",
    "--expires-within",
    "--unused-for",
    "--never-used",
    "--search",
    "-n",
    "--dry-run",
    "--expect",
    "--previous",
    "--includes",
    "--ungrant",
    "--allow-widen",
    "--accept-clock",
    "--token",
    "--anchor",
    "--repair",
    "--out",
    "--out-dir",
    "--env-file",
    "--env-name",
    "--exec-timeout",
    "--force",
    "--now",
    "--replace-pending",
    "--help",
    "-h",
    "--version",
    "--",
    "-",
    "--no-such-flag",
    "-é",
];

/// Values at and beyond the limits of what arguments accept.
const VALUES: [&[u8]; 62] = [
    b"demo",
    b"other",
    b"",
    b" ",
    b"-1",
    b"0",
    b"1",
    b"18446744073709551615",
    b"18446744073709551616",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"99999999999999999999999999",
    b"1d",
    b"0s",
    b"100y",
    b"101y",
    b"9223372036854775807s",
    b"18446744073709551615y",
    b"1mo",
    b"1M",
    b"\xc2\xb5s",
    b"1\xd9\xa0d",
    b"2020-01-01",
    b"2019-12-31",
    b"9999-12-31",
    b"10000-01-01",
    b"2028-02-29",
    b"2027-02-29",
    b"2027-01-01T00:00:00Z",
    b"9999-12-31T23:59:59-23:59",
    b"2020-01-01T00:00:00+23:59",
    b"2027-06-30T23:59:60Z",
    b"never",
    b"none",
    b"k=v",
    b"k=",
    b"=",
    b"=v",
    b"events:read",
    b"events:read,admin",
    b",",
    b"a:b:c:d:e:f:g:h:i:j:k:l:m:n:o:p:q:r:s:t:u:v:w:x:y:z:a:b:c:d:e:f:g",
    b"active",
    b"json",
    b"table",
    b"name,status,labels",
    b"name",
    b"1:0000000000000000000000000000000000000000000000000000000000000000",
    b"9223372036854775808:00",
    b"1:\xc3\xa9",
    b"grace",
    b"prefix",
    b"max-ttl",
    b"header",
    b"{}",
    b"\xff\xfe\xfd",
    b"\x1b[2J\x1b]0;x\x07",
    b"a\nb\r\nc\td",
    b"\xe2\x80\xae\xe2\x80\x8b\xef\xbb\xbf",
    b"\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7",
    b"tkn_",
    b"%s%n%$(id)`id`'\"\\",
];

/// xorshift64: the same vectors in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).expect("the number is in range"))
            .expect("the number is in range")
    }

    fn one_of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    fn value(&mut self) -> Vec<u8> {
        match self.below(12) {
            0 => self.bytes(),
            1 => self.one_of(&VALUES).repeat(1 + self.below(2_000)),
            2 => [self.one_of(&VALUES), self.one_of(&VALUES)].concat(),
            3 => self.one_of(&FLAGS).as_bytes().to_vec(),
            _ => self.one_of(&VALUES).to_vec(),
        }
    }

    /// Random bytes, except those that would terminate an argument or lead out of the directory.
    fn bytes(&mut self) -> Vec<u8> {
        let byte = |byte: usize| u8::try_from(byte).expect("the number is in range");
        (0..self.below(40)).map(|_| byte(1 + self.below(255))).filter(|byte| *byte != b'/').collect()
    }

    fn vector(&mut self) -> Vec<OsString> {
        let mut args: Vec<OsString> = self.one_of(&TYPED).iter().map(OsString::from).collect();
        for _ in 0..self.below(6) {
            let flag = self.one_of(&FLAGS).as_bytes().to_vec();
            let value = self.value();
            match self.below(4) {
                0 => args.push(OsString::from_vec(value)),
                1 => args.push(OsString::from_vec([flag, b"=".to_vec(), value].concat())),
                2 => args.push(OsString::from_vec(flag)),
                _ => args.extend([flag, value].map(OsString::from_vec)),
            }
        }
        args
    }
}

/// Runs the program in a separate directory, where it can create stores and files. Fails unless it handles the
/// arguments properly.
#[track_caller]
fn survives(world: &World, args: &[OsString], input: &[u8]) -> i32 {
    let ran = run(world.program().current_dir(world.dir.path().join("here")).args(args), input);
    let shown = format!("{args:?}").chars().take(2_000).collect::<String>();
    assert!(EXITS.contains(&ran.code), "{shown} exited with {}: {}", ran.code, ran.err);
    assert!(!ran.err.contains("panicked") && !ran.err.contains("RUST_BACKTRACE"), "{shown}: {}", ran.err);
    assert!(
        ran.code == 0 || ran.code == 3 || !ran.err.is_empty(),
        "{shown} exited with {} without a message",
        ran.code
    );
    let raw = |text: &str| text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r'));
    assert!(!raw(&ran.err), "{shown} moves the cursor: {:?}", ran.err);
    ran.code
}

fn world() -> World {
    let world = World::of_processes();
    fs::create_dir(world.dir.path().join("here")).expect("the directory can be created");
    world.mint("demo");
    world.mint("other");
    world
}

#[test]
fn hostile_arguments_never_cause_a_panic() {
    let world = world();
    let mut dice = Dice(0x7461_6b65_6e63_746c);
    let mut codes = [0_usize; 131];
    for _ in 0..VECTORS {
        let args = dice.vector();
        let code = survives(&world, &args, b"a-secret-of-enough-characters-1234567890-ABCDEF");
        codes[usize::try_from(code).expect("the number is in range")] += 1;
    }
    // Some of the arguments were accepted, so not only the parser was tested.
    assert!(codes[0] > VECTORS / 50 && codes[2] > VECTORS / 10, "{codes:?}");
    assert!(world.real(&["audit", "verify"], b"").code == 0, "the store did not survive");
}

#[test]
fn every_verb_handles_any_flag_with_any_value() {
    let world = world();
    let mut dice = Dice(1);
    for verb in TYPED {
        for _ in 0..4 {
            let flag = dice.one_of(&FLAGS);
            for name in [None, Some("demo")] {
                let mut args: Vec<OsString> = verb.iter().copied().chain(name).map(OsString::from).collect();
                args.extend([OsString::from(flag), OsString::from_vec(dice.value())]);
                assert_documented(verb, survives(&world, &args, b""));
            }
        }
        for names in [&[][..], &["demo"], &["nobody"], &["demo", "events:read"], &["prefix", "x"]] {
            let args: Vec<OsString> = verb.iter().chain(names).map(OsString::from).collect();
            assert_documented(verb, survives(&world, &args, b""));
        }
    }
}

/// Fails unless the manual of a verb documents this exit code.
#[track_caller]
fn assert_documented(verb: &[&str], code: i32) {
    let known = exits(verb);
    assert!(
        known.iter().any(|known| i32::from(*known) == code),
        "{verb:?} exited with {code}, which is not one of {known:?}"
    );
}

/// The exit codes that the manual documents for a verb.
fn exits(verb: &[&str]) -> &'static [u8] {
    let words: Vec<&str> = verb.iter().map(|word| if *word == "ls" { "list" } else { word }).collect();
    let known = |len: usize| VERBS.iter().find(|verb| verb.path == words[..len].join(" "));
    (1..=words.len()).rev().find_map(known).expect("there is an entry").exits
}

#[test]
fn huge_arguments_never_cause_a_panic() {
    let world = world();
    // Linux accepts arguments of up to 128 KiB, but clap would search for a similar word in them for seconds.
    for text in ["x", "\u{1f600}", ",", ":", "9", "-"] {
        let huge = OsString::from(text.repeat(20_000 / text.len()));
        for before in [
            &["create"][..],
            &["create", "new", "-d"],
            &["create", "new", "-l"],
            &["create", "new", "--scope"],
            &["create", "new", "--ttl"],
            &["list", "--search"],
            &["list", "--columns"],
            &["show"],
            &["verify", "--at"],
            &["settings", "header"],
            &["audit", "verify", "--anchor"],
            &["--store"],
            &[],
        ] {
            let args: Vec<OsString> = before.iter().map(OsString::from).chain([huge.clone()]).collect();
            survives(&world, &args, b"");
        }
    }
    let many: Vec<OsString> =
        ["show"].into_iter().chain(std::iter::repeat_n("demo", 20_000)).map(OsString::from).collect();
    assert_eq!(survives(&world, &many, b""), 2);
    let many: Vec<OsString> = ["disable"]
        .into_iter()
        .map(str::to_owned)
        .chain((0..5_000).map(|n| format!("demo{n}")))
        .map(OsString::from)
        .collect();
    assert_eq!(survives(&world, &many, b""), 4);
}

#[test]
fn hostile_input_never_causes_a_panic() {
    let world = world();
    let mut dice = Dice(3);
    for verb in [&["verify"][..], &["adopt", "new"]] {
        let args: Vec<OsString> = verb.iter().map(OsString::from).collect();
        for text in VALUES {
            survives(&world, &args, &text.repeat(20));
        }
        for _ in 0..20 {
            let len = dice.below(600);
            let bytes: Vec<u8> =
                (0..len).map(|_| u8::try_from(dice.below(256)).expect("the number is in range")).collect();
            survives(&world, &args, &bytes);
        }
        for source in ["/dev/zero", "/dev/full", "/dev/null", "/", ".", "/nowhere", "/proc/self/mem"] {
            let args = [args.clone(), vec!["--secret-file".into(), source.into()]].concat();
            survives(&world, &args, b"");
        }
    }
}

#[test]
fn without_any_arguments_the_usage_is_printed() {
    let world = world();
    // The second command does not even get its own name as an argument.
    assert_eq!(survives(&world, &[], b""), 2);
    let ran = run(world.bash("exec -a '' tokenctl").env_remove("TOKENCTL_STORE"), b"");
    assert_eq!(ran.code, 2, "{ran:?}");
}

#[test]
fn the_help_of_a_verb_starts_with_its_line_in_the_list_of_verbs() {
    let list = run(program().arg("--help"), b"").ok().out;
    for verb in commands().iter().map(path).filter(|path| !path.is_empty() && !path.contains(' ')) {
        let help = run(program().args([&verb, "--help"]), b"").ok().out;
        let first = help.lines().next().filter(|line| !line.is_empty()).expect("a line");
        let line =
            list.lines().find(|line| line.ends_with(first)).unwrap_or_else(|| panic!("{first}: {list}"));
        assert!(line.contains(&format!(" {verb}")), "{line}");
    }
}

#[test]
fn the_old_name_of_a_flag_works_but_is_not_in_the_help() {
    let world = World::with_store();
    world.define(&["read"]);
    world.create("a", &["-s", "read"]);
    let head = world.run(&["audit", "head"]).ok().out;
    let cases: [&[&str]; 3] = [
        &["rotate", "a", "--take-over"],
        &["audit", "verify", "--since", head.trim()],
        &["scopes", "retire", "read", "--withdraw", "--yes"],
    ];
    for args in cases {
        world.run(args).ok();
        let verb: Vec<&str> = args.iter().copied().filter(|word| !word.starts_with('-')).collect();
        let depth = if verb[0] == "rotate" { 1 } else { 2 };
        let help = world.run(&[&verb[..depth], &["--help"]].concat()).ok().out;
        let flag = args.iter().find(|word| word.starts_with("--")).expect("there is a flag");
        assert!(!help.contains(flag), "{help}");
    }
}

//! Env files as other programs read them: after a rotation each program finds the new secret and not the old one.

use std::collections::HashMap;
use std::fs;
use std::process::Command;

use crate::support::{World, have, run};

/// A program or library that reads env files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Sh,
    PythonDotenv,
    Dotenvy,
    Systemd,
    Compose,
}
use Reader::{Compose, Dotenvy, PythonDotenv, Sh, Systemd};

const ALL: &[Reader] = &[Sh, PythonDotenv, Dotenvy, Systemd, Compose];

impl Reader {
    fn value(self, path: &str, variable: &str) -> Option<String> {
        let content = || fs::read_to_string(path).expect("the file can be read");
        match self {
            Sh => output_of("sh", &["-c", r#". "$0"; eval "printf %s \"\$$1\"""#, path, variable]),
            PythonDotenv => {
                let script = "import dotenv, sys; print(end=dotenv.dotenv_values(sys.argv[1])[sys.argv[2]])";
                output_of("/usr/bin/python3", &["-c", script, path, variable])
            }
            Dotenvy => dotenvy::from_path_iter(path)
                .expect("a file")
                .filter_map(Result::ok)
                .find(|(name, _)| name == variable)
                .map(|(_, value)| value),
            Systemd => systemd(&content()).remove(variable),
            Compose => compose(&content()).remove(variable),
        }
    }

    fn is_here(self) -> bool {
        self != PythonDotenv || have("python-dotenv")
    }
}

fn output_of(program: &str, args: &[&str]) -> Option<String> {
    let ran = run(Command::new(program).env_clear().args(args), b"");
    (ran.code == 0).then_some(ran.out)
}

/// Parses a file as systemd does, by the rules for `EnvironmentFile=` in systemd.exec(5).
fn systemd(content: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    let mut rest = content;
    while let Some((line, more)) = rest.split_once('\n') {
        rest = more;
        let is_comment = line.trim_start().starts_with(['#', ';']);
        if let Some((name, value)) = line.split_once('=').filter(|_| !is_comment) {
            let value = quoted(value.trim(), &mut rest).unwrap_or_else(|| value.trim().to_owned());
            found.insert(name.trim().to_owned(), value);
        }
    }
    found
}

/// Parses a file as Docker Compose does, by the documented syntax of `.env` files.
fn compose(content: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    let mut rest = content.trim_start_matches('\u{feff}');
    while let Some((line, more)) = rest.split_once('\n') {
        rest = more;
        let line = line.trim_start();
        let exported = line.strip_prefix("export ").unwrap_or(line);
        if let Some((name, value)) = exported.split_once('=').filter(|_| !line.starts_with('#')) {
            let plain = || value.split(" #").next().unwrap_or_default().trim().to_owned();
            let value = quoted(value.trim(), &mut rest).unwrap_or_else(plain);
            found.insert(name.trim().to_owned(), value);
        }
    }
    found
}

/// The text in quotes at the start of a value, or `None` if it does not start with a quote. The quotes can span several
/// lines.
fn quoted(value: &str, rest: &mut &str) -> Option<String> {
    let quote = value.chars().next().filter(|c| "\"'".contains(*c))?;
    if let Some((inner, _)) = value[1..].split_once(quote) {
        return Some(inner.to_owned());
    }
    let (inner, more) = rest.split_once(quote).expect("a closing quote");
    *rest = more.split_once('\n').map_or("", |(_, more)| more);
    Some(format!("{}\n{inner}", &value[1..]))
}

#[test]
fn after_a_rotation_every_reader_finds_the_new_secret() {
    let world = World::new();
    let mut old = world.create("demo", &["--no-expiry"]);
    let multi_line = "CERT=\"-----BEGIN\nAPI_TOKEN=\n-----END\"\nAPI_TOKEN={}\n";
    let no_shell: &[Reader] = &[PythonDotenv, Dotenvy, Systemd, Compose];
    // The content before the rotation, with `{}` for the old secret, and the programs that can read such a file.
    let cases: [(&str, &[Reader]); 17] = [
        ("", ALL),
        ("A=1", ALL),
        ("# it's\nA='x y'\n", ALL),
        ("API_TOKEN={}\n", ALL),
        ("API_TOKEN=\nA=1\n", ALL),
        ("API_TOKEN=\"{}\"\n", ALL),
        ("API_TOKEN={} \t\n", ALL),
        ("API_TOKEN = {}\n", no_shell),
        ("API_TOKEN ={}\n", no_shell),
        ("API_TOKEN= {}\n", no_shell),
        ("export API_TOKEN='{}'\n", &[Sh, PythonDotenv, Dotenvy, Compose]),
        ("API_TOKEN=\"{}\" # ci\n", &[Sh, PythonDotenv, Dotenvy, Compose]),
        ("API_TOKEN=   # paste here\n", &[Sh, PythonDotenv, Dotenvy, Compose]),
        ("API_TOKEN={}; export API_TOKEN\n", &[Sh]),
        ("\u{feff}API_TOKEN={}\n", &[Compose]),
        ("A=1\r\nAPI_TOKEN={}\r\n", no_shell),
        (multi_line, ALL),
    ];
    for (before, readers) in cases {
        let path = world.write("env", &before.replace("{}", &old));
        world.run(&["rotate", "demo", "--now", "--env-file", &path, "--env-name", "API_TOKEN"]).ok();
        let content = fs::read_to_string(&path).expect("the file can be read");
        let new =
            content.split(|c: char| !c.is_alphanumeric() && c != '_').find(|word| word.starts_with("tkn_"));
        let new = new.expect("a secret").to_owned();
        world.assert_valid(&new, "demo");
        assert!(!content.contains(&old), "{content:?}");
        for reader in readers.iter().filter(|reader| reader.is_here()) {
            assert_eq!(reader.value(&path, "API_TOKEN"), Some(new.clone()), "{reader:?} of {content:?}");
        }
        old = new;
    }
}

#[test]
fn a_multi_line_value_is_left_intact() {
    let world = World::new();
    let path = world.write("env", "CERT=\"-----BEGIN\nAPI_TOKEN=\n-----END\"\n");
    world.run(&["create", "demo", "--env-file", &path, "--env-name", "API_TOKEN"]).ok();
    for reader in ALL.iter().filter(|reader| reader.is_here()) {
        let cert = reader.value(&path, "CERT");
        assert_eq!(cert.as_deref(), Some("-----BEGIN\nAPI_TOKEN=\n-----END"), "{reader:?}");
        let secret = reader.value(&path, "API_TOKEN").expect("a secret");
        assert_eq!(world.verify(&secret, &[]).0, 0, "{reader:?}");
    }
}

#[test]
fn a_file_that_might_set_the_variable_elsewhere_is_refused_even_with_force() {
    let world = World::new();
    let secret = world.create("demo", &[]);
    for (content, message) in [
        (
            "declare -x API_TOKEN={}\n",
            "could set API_TOKEN in line 1, for some of the programs that read such files",
        ),
        (
            "A=1\nexport B=1 API_TOKEN={}\n",
            "could set API_TOKEN in line 2, for some of the programs that read such files",
        ),
        (
            "A=1; API_TOKEN={}\n",
            "could set API_TOKEN in line 1, for some of the programs that read such files",
        ),
        ("A='it\n", "opens a quote in line 1 that it never closes"),
        ("A=1\\\n", "ends with a backslash, which joins the next line to it"),
        ("A=\0", "is binary or UTF-16, not an env file"),
    ] {
        let content = content.replace("{}", &secret);
        let path = world.write("env", &content);
        let rotate = ["rotate", "demo", "--env-file", &path, "--env-name", "API_TOKEN"];
        for force in [&[][..], &["--force"]] {
            let failure = world.refuses(&[&rotate, force].concat(), 7, "delivery_failed");
            let text = failure["message"].as_str().expect("it is a string");
            assert!(text.ends_with(&format!("env` {message}; nothing was changed")), "{text}");
        }
        assert_eq!(fs::read_to_string(&path).expect("the file can be read"), content);
    }
}

#[test]
fn an_appended_line_has_the_line_ending_of_the_file() {
    let world = World::new();
    let path = world.write("env", "A=1\r\nB=2");
    world.run(&["create", "demo", "--env-file", &path, "--env-name", "API_TOKEN"]).ok();
    let content = fs::read_to_string(&path).expect("the file can be read");
    assert!(content.starts_with("A=1\r\nB=2\r\nAPI_TOKEN=tkn_") && content.ends_with("\r\n"), "{content:?}");
}

#[test]
fn an_env_file_can_be_written_on_a_file_system_without_locks() {
    if !have("strace") || !have("bash") {
        return;
    }
    for error in ["ENOLCK", "EINVAL", "EBADF", "EOPNOTSUPP"] {
        let world = World::of_processes();
        world.directory("out");
        let args = "create demo --env-file out/env --env-name A";
        let script =
            format!("exec strace -f -o log -e trace=flock -e inject=flock:error={error} tokenctl {args}");
        world.shell(&script).ok();
        let log = fs::read_to_string(world.path("log")).expect("the file can be read");
        assert_eq!(log.matches("(INJECTED)").count(), 1, "{error}: {log}");
        let line = fs::read_to_string(world.path("out/env")).expect("the file can be read");
        let secret = line.trim_end().strip_prefix("A=").expect("there is a line");
        assert_eq!(world.real(&["verify"], secret.as_bytes()).ok().line(), "valid demo");
    }
}

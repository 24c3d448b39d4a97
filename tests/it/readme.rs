//! The README: its examples run, its exit codes are the program's, its promises have their tests.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tokenctl::cli::ENVIRONMENT;
use tokenctl::domain::code::EXITS;

use crate::support::{have, program_path, run, search_path};

const README: &str = include_str!("../../README.md");
/// Where the README says that the reader is at home.
const HOME: &str = "/home/ann";

#[test]
fn the_script_runs_and_leaves_a_revoked_token() {
    let home = home();
    let scripts = blocks("bash");
    assert_eq!(scripts.len(), 1);
    let path = home.path().join("script");
    std::fs::write(&path, &scripts[0]).expect("the script");
    let done = shell(home.path(), "bash").arg(&path).stdin(Stdio::null()).output().expect("bash runs");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    assert_eq!(String::from_utf8_lossy(&done.stdout), "", "no secret escapes the script");
    let list = "tokenctl list --all --columns name,status,scopes; tokenctl scopes list --json | grep -c events:write";
    let left = shell(home.path(), "sh").args(["-c", list]).output().expect("sh runs");
    assert_eq!(String::from_utf8_lossy(&left.stdout), "nightly-export\trevoked\tevents:read\n1\n");
}

/// Read by systemd, not started by it: the tests need no system of their own.
#[test]
fn systemd_accepts_the_units() {
    if !have("systemd-analyze") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let program = program_path();
    let program = program.to_str().expect("UTF-8");
    let mut units = Vec::new();
    for block in blocks("ini") {
        for unit in format!("\n{block}").split("\n# /etc/systemd/system/").skip(1) {
            let (name, text) = unit.split_once('\n').expect("a unit below its name");
            let path = dir.path().join(name);
            let text = text.replace("/usr/local/bin/tokenctl", program).replace("/usr/bin/tokenctl", program);
            std::fs::write(&path, text).expect("a unit");
            units.push(path);
        }
    }
    assert_eq!(units.len(), 3, "{units:?}");
    let ran = run(Command::new("systemd-analyze").arg("verify").args(&units), b"").ok();
    assert_eq!(ran.err, "", "systemd has nothing to say of them");
}

/// All transcripts are one session at one terminal, 79 columns wide. `UPDATE_README=1` puts into the page what it shows.
#[test]
fn the_transcripts_are_what_a_terminal_shows() {
    if !have("script") {
        return;
    }
    let home = home();
    let legacy = "sk_live_0123456789abcdefghijklmnopqrstuvwxyz\n";
    std::fs::write(home.path().join("legacy.txt"), legacy).expect("a secret from elsewhere");
    std::fs::write(home.path().join("tokens.toml"), wanted(home.path())).expect("a file of tokens");
    let expected = blocks("console").concat();
    // In 80 columns it would hang on a second that passes whether a list has room for one more.
    let mut session = String::from("stty cols 79 rows 24\n");
    for line in expected.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            session.push_str(&format!("cat <<'.'\n{line}\n.\n{command}\n"));
        }
    }
    std::fs::write(home.path().join("session"), session).expect("the session");
    // At the end of its input `script` would type a Ctrl-D into the session.
    let mut child = shell(home.path(), "script")
        .args(["-qec", "sh session", "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script runs");
    let mut shown = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut shown).expect("UTF-8");
    child.wait().expect("it ends");
    let shown = as_ann(&shown.replace('\r', "").replace(&*home.path().to_string_lossy(), HOME));
    if lines(&expected) != lines(&shown) && std::env::var_os("UPDATE_README").is_some() {
        return update(&shown);
    }
    let (expected, shown) = (lines(&expected), lines(&shown));
    for (at, line) in expected.iter().enumerate() {
        assert_eq!(shown.get(at), Some(line), "{:#?}", shown.get(at.saturating_sub(6)..=at));
    }
    assert_eq!(shown.len(), expected.len(), "{:#?}", shown.get(expected.len()..));
}

/// The file of wanted tokens that the page shows, in this home.
fn wanted(home: &Path) -> String {
    let (_, rest) = README.split_once("$ cat tokens.toml\n").expect("the file");
    let (text, _) = rest.split_once("\n$ ").expect("its end");
    text.replace(HOME, home.to_str().expect("UTF-8")) + "\n"
}

/// Puts what the terminal showed in place of the transcripts: into each as many commands as it has.
fn update(shown: &str) {
    let mut answers = shown.split_inclusive('\n').peekable();
    let mut page = String::new();
    let mut rest = README;
    while let Some((before, block)) = rest.split_once("\n```console\n") {
        page.push_str(before);
        page.push_str("\n```console\n");
        let (block, after) = block.split_once("\n```\n").expect("the end of the block");
        for _ in block.lines().filter(|line| line.starts_with("$ ")) {
            page.push_str(answers.next().expect("the command"));
            while let Some(line) = answers.next_if(|line| !line.starts_with("$ ")) {
                page.push_str(line);
            }
        }
        page.push_str("```\n");
        rest = after;
    }
    page.push_str(rest);
    std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"), page).expect("the page");
}

#[test]
fn the_exit_codes_are_those_of_the_program() {
    let told = table("## Exit codes", 4);
    for (row, cells) in EXITS.iter().zip(&told) {
        let codes: Vec<String> = row.codes().iter().map(|code| format!("`{code}`")).collect();
        assert_eq!(cells[..], [row.exit.to_string(), row.meaning.to_owned(), codes.join(" ")]);
    }
    assert_eq!(told.len(), EXITS.len());
}

#[test]
fn the_environment_is_that_of_the_manual() {
    let plain = |text: &str| text.replace('`', "");
    let told = table("## Files and environment", 3).into_iter();
    let told: Vec<_> = told.map(|row| (plain(&row[0]), plain(&row[1]))).collect();
    assert_eq!(told, ENVIRONMENT.map(|(names, text)| (names.to_owned(), plain(text))));
}

/// The rows of a section's table, without its heading.
fn table(section: &str, bars: usize) -> Vec<Vec<String>> {
    let (_, rest) = README.split_once(&format!("\n{section}\n")).expect(section);
    let (rest, _) = rest.split_once("\n## ").expect("the next");
    let rows = rest.lines().filter(|line| line.matches('|').count() == bars).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let mut promises = 0;
    for row in README.lines().filter(|line| line.contains("| `tests/it/")) {
        let names: Vec<&str> = row.split('`').collect();
        let [.., file, _, test, _] = names[..] else { panic!("{row}") };
        let source =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap_or_default();
        assert!(source.contains(&format!("fn {test}(")), "there is no `{test}` in {file}");
        promises += 1;
    }
    assert!(promises > 15);
}

/// The blocks of a language, in order.
pub fn blocks(language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = README;
    while let Some((_, after)) = rest.split_once(&format!("\n```{language}\n")) {
        let (block, after) = after.split_once("\n```\n").expect("the end of the block");
        found.push(format!("{block}\n"));
        rest = after;
    }
    assert!(!found.is_empty(), "no {language}");
    found
}

/// The lines to type that a section shows indented.
pub fn commands(section: &str) -> Vec<String> {
    let (_, rest) = README.split_once(&format!("\n{section}\n")).expect(section);
    let (rest, _) = rest.split_once("\n## ").expect("the next");
    rest.lines().filter_map(|line| line.strip_prefix("    ")).map(str::to_owned).collect()
}

fn home() -> TempDir {
    tempfile::Builder::new().prefix("tokenctl-test-").tempdir().expect("a directory")
}

/// A program in a home of its own that finds `tokenctl`.
fn shell(home: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(home).env("HOME", home).env("PATH", search_path());
    command.env("TZ", "UTC").env("LANG", "C.UTF-8").env("TERM", "xterm").env("NO_COLOR", "1");
    command
}

/// What a terminal showed to whoever runs this, as if it had been Ann and a faster machine.
fn as_ann(shown: &str) -> String {
    let login = run(Command::new("id").arg("-un"), b"").ok();
    let words = shown.split_inclusive([' ', '\n']);
    let name = |word: &str| match word.strip_prefix(login.line()) {
        Some(rest) if rest.trim().is_empty() => format!("ann{rest}"),
        _ => word.to_owned(),
    };
    let mut text: String = words.map(name).collect();
    for ago in (1..=60).rev().flat_map(|n| [format!("{n} seconds ago"), format!("{n} second ago")]) {
        text = text.replace(&ago, "just now");
    }
    text
}

/// Lines with what differs from run to run put into classes.
pub fn lines(text: &str) -> Vec<String> {
    text.lines().map(same).collect()
}

fn same(line: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_:-…".contains(c);
    let mut text = String::new();
    for piece in line.split_inclusive(|c| !is_part(c)) {
        let word = piece.trim_end_matches(|c| !is_part(c));
        text.push_str(class(word));
        text.push_str(&piece[word.len()..]);
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    // A use is recorded once a minute: a session that a busy machine draws out records one more.
    words.join(" ").replace("after the rotation", "before the rotation")
}

fn class(word: &str) -> &str {
    let bytes = word.as_bytes();
    let id = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    match bytes.len() {
        12 if bytes.iter().all(id) => "<id>",
        20 if bytes[10] == b'T' && bytes[19] == b'Z' => "<time>",
        _ if word.starts_with("tkn_") && word.ends_with('…') => "<hint>",
        len if len > 64 && word[..len - 64].ends_with(':') => "<head>",
        _ => word,
    }
}

//! Checks the README and the other documents: the examples work, the exit codes are those of the program, and every
//! promise has a test.

pub mod reference;

use std::collections::BTreeSet;
use std::io::Read;
use std::iter::Peekable;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tokenctl::cli::{ENVIRONMENT, FILES};
use tokenctl::domain::code::{Code, EXITS};

use crate::support::pages::{self, PAGES, blocks};
use crate::support::{World, have, program_path, run, search_path};

/// The home directory of the user in the documents.
const HOME: &str = "/home/ann";

#[test]
fn the_script_in_the_documents_works_and_leaves_a_revoked_token() {
    let home = home();
    let scripts = blocks("bash");
    assert_eq!(scripts.len(), 1);
    let path = home.path().join("script");
    std::fs::write(&path, &scripts[0]).expect("the script can be written");
    let done = shell(home.path(), "bash").arg(&path).stdin(Stdio::null()).output().expect("bash runs");
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&done.stdout), "", "the script prints no secret");
    let list = "tokenctl list --all --columns name,status,scopes; tokenctl scopes list --json | grep -c events:write";
    let left = shell(home.path(), "sh").args(["-c", list]).output().expect("sh runs");
    assert_eq!(String::from_utf8_lossy(&left.stdout), "nightly-export\trevoked\tevents:read\n1\n");
}

/// systemd checks the units without starting them, so no separate systemd is needed.
#[test]
fn systemd_accepts_the_units_in_the_documents() {
    if !have("systemd-analyze") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory can be created");
    let program = program_path();
    let program = program.to_str().expect("the path is UTF-8");
    let mut units = Vec::new();
    for block in blocks("ini") {
        for unit in format!("\n{block}").split("\n# /etc/systemd/system/").skip(1) {
            let (name, text) = unit.split_once('\n').expect("a unit below its name");
            let path = dir.path().join(name);
            let text = text.replace("/usr/local/bin/tokenctl", program).replace("/usr/bin/tokenctl", program);
            std::fs::write(&path, text).expect("the file can be written");
            units.push(path);
        }
    }
    assert_eq!(units.len(), 3, "{units:?}");
    let ran = run(Command::new("systemd-analyze").arg("verify").args(&units), b"").ok();
    assert_eq!(ran.err, "", "systemd has no complaints");
}

/// All transcripts are one session in a terminal that is 79 columns wide. `UPDATE_README=1` writes what the terminal
/// shows into the documents.
#[test]
fn the_transcripts_show_the_output_of_a_real_terminal() {
    if !have("script") {
        return;
    }
    let home = home();
    let legacy = "sk_live_0123456789abcdefghijklmnopqrstuvwxyz\n";
    std::fs::write(home.path().join("legacy.txt"), legacy).expect("a secret from elsewhere");
    std::fs::write(home.path().join("tokens.toml"), wanted_tokens(home.path())).expect("a file of tokens");
    let expected = blocks("console").concat();
    // With 80 columns, it would depend on a second whether a list has room for another column.
    let mut session = String::from("stty cols 79 rows 24\n");
    for line in expected.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            session.push_str(&format!("cat <<'.'\n{line}\n.\n{command}\n"));
        }
    }
    std::fs::write(home.path().join("session"), session).expect("the session can be written");
    // `script` would type Ctrl-D into the session if its stdin were closed early.
    let mut child = shell(home.path(), "script")
        .args(["-qec", "sh session", "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script runs");
    let mut shown = String::new();
    child.stdout.take().expect("stdout is a pipe").read_to_string(&mut shown).expect("UTF-8");
    child.wait().expect("script exits");
    let shown = as_ann(&shown.replace('\r', "").replace(&*home.path().to_string_lossy(), HOME));
    let failed = shown.lines().find(|line| line.starts_with("session: "));
    assert_eq!(failed, None, "the shell itself reports an error in a transcript");
    if lines(&expected) != lines(&shown) && std::env::var_os("UPDATE_README").is_some() {
        return update(&shown);
    }
    let (expected, shown) = (lines(&expected), lines(&shown));
    for (at, line) in expected.iter().enumerate() {
        assert_eq!(shown.get(at), Some(line), "{:#?}", shown.get(at.saturating_sub(6)..=at));
    }
    assert_eq!(shown.len(), expected.len(), "{:#?}", shown.get(expected.len()..));
}

/// The file of wanted tokens from docs/wanted.md, with this home directory.
fn wanted_tokens(home: &Path) -> String {
    pages::between("$ cat tokens.toml\n", "\n$ ").replace(HOME, home.to_str().expect("the path is UTF-8"))
        + "\n"
}

/// Replaces the transcripts by what the terminal showed. Each transcript gets as many commands as it had before.
fn update(shown: &str) {
    let mut answers = shown.split_inclusive('\n').peekable();
    for page in &PAGES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page.path);
        std::fs::write(path, updated(page.text, &mut answers)).expect("the page can be written");
    }
}

fn updated<'a>(mut rest: &str, answers: &mut Peekable<impl Iterator<Item = &'a str>>) -> String {
    let mut page = String::new();
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
    page + rest
}

#[test]
fn the_exit_codes_in_the_documents_are_those_of_the_program() {
    let listed = table("## Exit codes", 4);
    for (row, cells) in EXITS.iter().zip(&listed) {
        let codes: Vec<String> = row.codes().iter().map(|code| format!("`{code}`")).collect();
        assert_eq!(cells[..], [row.exit.to_string(), row.meaning.to_owned(), codes.join(" ")]);
    }
    assert_eq!(listed.len(), EXITS.len());
}

#[test]
fn every_error_code_is_documented() {
    let listed: Vec<String> = table("## Error codes", 3).into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(listed, Code::ALL.map(|code| format!("`{}`", code.word())));
}

#[test]
fn the_documented_files_are_those_of_a_store() {
    let world = World::with_store();
    world.define(&["read"]);
    let secret = world.create("app", &["--scope", "read"]);
    world.verify(&secret, &["--scope", "read"]);
    world.run(&["revoke", "app", "--yes"]).ok();
    world.verify(&secret, &[]);
    let there: Vec<String> =
        world.bytes().into_iter().map(|(name, _)| format!("`{}`", name.display())).collect();
    let rows = table("## Files", 3);
    let manual = FILES.map(|(path, text)| {
        let name = path.strip_prefix("~/.local/share/tokenctl/").expect("a file of the default store");
        (format!("`{name}`"), text.split("; `--store`").next().expect("there is a text").to_owned())
    });
    assert_eq!(rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect::<Vec<_>>(), manual);
    let listed: BTreeSet<String> = rows.into_iter().map(|row| row[0].clone()).collect();
    // A migration creates another file, which is tested in `migration`.
    let migrated = ["`tokens.db.v1`".to_owned()];
    assert_eq!(listed, there.into_iter().chain(migrated).collect());
}

#[test]
fn the_documented_environment_variables_are_those_of_the_manual() {
    let plain = |text: &str| text.replace('`', "");
    let rows = table("## Environment", 3).into_iter();
    let listed: Vec<_> = rows.map(|row| (plain(&row[0]), plain(&row[1]))).collect();
    assert_eq!(listed, ENVIRONMENT.map(|(names, text)| (names.to_owned(), plain(text))));
}

/// The rows of the table in a section, without the header.
fn table(section: &str, bars: usize) -> Vec<Vec<String>> {
    let rows = pages::section(section).lines().filter(|line| line.matches('|').count() == bars).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The examples in a language, the documents that contain them (if empty, all documents of the session), and the file
/// and name of the test that runs them.
const TESTED: [(&str, &[&str], &str, &str); 18] = [
    ("console", &[], "readme.rs", "the_transcripts_show_the_output_of_a_real_terminal"),
    (
        "bash",
        &["docs/scripts.md"],
        "readme.rs",
        "the_script_in_the_documents_works_and_leaves_a_revoked_token",
    ),
    ("ini", &[], "readme.rs", "systemd_accepts_the_units_in_the_documents"),
    ("crontab", &["README.md", "docs/cron.md"], "install.rs", "sudo_and_cron_find_a_system_installation"),
    (
        "text",
        &["docs/usage.md"],
        "wizard/screens.rs",
        "the_screen_in_the_documents_is_that_of_a_real_terminal",
    ),
    ("text", &["docs/cron.md"], "cron.rs", "a_failed_job_prints_what_failed_and_why"),
    ("python", &["docs/services.md"], "stream.rs", "the_python_example_works"),
    ("shell", &["docs/services.md"], "stream.rs", "the_shell_example_works"),
    (
        "sh",
        &["docs/services.md", "docs/recipes.md", "docs/postgresql.md"],
        "readme.rs",
        "all_commands_in_the_documents_exist",
    ),
    ("sh", &["docs/cron.md"], "cron.rs", "the_destinations_and_hooks_in_the_documents_work"),
    ("sh", &["docs/leaks.md"], "scan.rs", "the_documented_git_hook_stops_a_commit_that_adds_a_secret"),
    ("toml", &["docs/leaks.md"], "scan.rs", "the_documented_scanner_rule_has_the_pattern_of_the_settings"),
    ("csv", &["docs/moving-in.md"], "adopt.rs", "the_recipes_for_moving_in_work"),
    ("json", &["docs/moving-in.md"], "adopt.rs", "the_recipes_for_moving_in_work"),
    ("sh", &["docs/moving-in.md"], "adopt.rs", "the_recipes_for_moving_in_work"),
    (
        "python",
        &["docs/recipes.md"],
        "serve/recipes.rs",
        "a_service_in_python_distinguishes_refusals_from_failures",
    ),
    (
        "js",
        &["docs/recipes.md"],
        "serve/recipes.rs",
        "a_service_in_node_distinguishes_refusals_from_failures",
    ),
    ("go", &["docs/recipes.md"], "serve/recipes.rs", "a_service_in_go_distinguishes_refusals_from_failures"),
];

/// The path and text of every document in the repository.
fn documents() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths = ["", "docs/"].into_iter().flat_map(|dir| {
        let entries = std::fs::read_dir(root.join(dir)).expect("the directory can be read");
        entries
            .map(move |entry| format!("{dir}{}", entry.expect("the entry can be read").file_name().display()))
    });
    let pages: Vec<_> =
        paths.filter(|path| Path::new(path).extension().is_some_and(|end| end == "md")).collect();
    pages
        .into_iter()
        .map(|path| (path.clone(), std::fs::read_to_string(root.join(path)).expect("the file can be read")))
        .collect()
}

#[test]
fn every_example_has_a_test() {
    let mut used = BTreeSet::new();
    for (path, text) in documents() {
        for language in text.lines().filter_map(|line| line.strip_prefix("```").filter(|it| !it.is_empty())) {
            let in_session = PAGES.iter().any(|page| page.path == path);
            let is_for = |(of, paths, _, _): &(&str, &[&str], _, _)| {
                *of == language && (paths.contains(&&*path) || paths.is_empty() && in_session)
            };
            let row = TESTED.iter().position(is_for);
            used.insert(row.unwrap_or_else(|| panic!("no test runs the {language} of {path}")));
        }
    }
    assert_eq!(used.len(), TESTED.len(), "a row without an example: {used:?}");
    for (_, _, file, test) in TESTED {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(file);
        let source = std::fs::read_to_string(path).unwrap_or_default();
        assert!(source.contains(&format!("fn {test}(")), "`{file}` has no test `{test}`");
    }
}

/// The anchor of a heading.
fn anchor_of(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn every_link_leads_to_an_existing_file_or_heading() {
    let documents = documents();
    let (mut broken, mut links) = (Vec::new(), 0);
    for (path, text) in &documents {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let dir = Path::new(path).parent().expect("the path has a parent");
            let at = if file.is_empty() { path.into() } else { dir.join(file) };
            let headings = |text: &str| {
                let named = text.lines().filter_map(|line| line.strip_prefix('#'));
                named.map(|line| anchor_of(line.trim_start_matches('#').trim())).collect::<Vec<_>>()
            };
            let there = std::fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join(&at));
            let has_anchor = || {
                let text = there.as_ref().ok().and_then(|file| std::fs::read_to_string(file).ok());
                text.is_some_and(|text| headings(&text).iter().any(|it| it == anchor))
            };
            if there.is_err() || !anchor.is_empty() && !has_anchor() {
                broken.push(format!("{path}: {target}"));
            }
            links += 1;
        }
    }
    assert_eq!(broken, [""; 0]);
    assert!(links > 50, "{links}");
}

/// The commands in a document: those in its sentences, and those in lines to be typed, except in transcripts.
fn commands_in(text: &str) -> Vec<&str> {
    let mut fence = None;
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            fence = fence.is_none().then_some(language);
        } else if fence.is_some_and(|language| language != "console") || line.starts_with("    ") {
            let is_before = |word: &str| word == "sudo" || word.chars().all(|c| "0123456789*/".contains(c));
            let at = line.find("tokenctl ").filter(|at| line[..*at].split_whitespace().all(is_before));
            found.extend(at.map(|at| &line[at..]));
        } else if fence.is_none() {
            found.extend(line.split('`').skip(1).step_by(2).filter(|span| span.starts_with("tokenctl ")));
        }
    }
    found
}

/// The words of a command, up to the first character that is special to the shell.
fn words_of(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in command.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            None if "|<>;&".contains(c) => break,
            None if c.is_whitespace() => words.push(String::new()),
            _ => words.last_mut().expect("a word").push(c),
        }
    }
    words.into_iter().skip(1).filter(|word| !word.is_empty()).collect()
}

/// The shell expression that a document uses for the stored anchor.
const KEPT_HEAD: &str = "\"$(cat \"$HOME/backups/head.txt\")\"";

/// With `--help` after all other words, a command only reports words that it does not know.
#[test]
fn all_commands_in_the_documents_exist() {
    let world = World::new();
    let anchor = format!("1:{}", "0".repeat(64));
    let (mut known, mut complaints) = (0, Vec::new());
    for (path, text) in documents() {
        for command in commands_in(&text) {
            let words = words_of(&command.replace("SEQ:HASH", &anchor).replace(KEPT_HEAD, &anchor));
            // The request of a completion script and the heading of the audit format are not commands.
            if words.first().is_some_and(|word| word == "--") || command == "tokenctl audit entry v1" {
                continue;
            }
            let args: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
            let ran = world.run(&args);
            if ran.code == 0 && ran.err.is_empty() {
                known += 1;
            } else {
                complaints.push(format!("{path}: {command}: {}", ran.err));
            }
        }
    }
    assert_eq!(complaints, [""; 0]);
    assert!(known > 50, "{known}");
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let mut promises = 0;
    for row in include_str!("../../docs/promises.md").lines().filter(|line| line.contains("| `tests/it/")) {
        let names: Vec<&str> = row.split('`').collect();
        let [.., file, _, test, _] = names[..] else { panic!("{row}") };
        let source =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap_or_default();
        assert!(source.contains(&format!("fn {test}(")), "`{file}` has no test `{test}`");
        promises += 1;
    }
    assert!(promises > 15);
}

fn home() -> TempDir {
    tempfile::Builder::new().prefix("tokenctl-test-").tempdir().expect("a temporary directory can be created")
}

/// A command in a separate home directory, in which `tokenctl` is found.
fn shell(home: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(home).env("HOME", home).env("PATH", search_path());
    command.env("TZ", "UTC").env("LANG", "C.UTF-8").env("TERM", "xterm").env("NO_COLOR", "1");
    command
}

/// The output of a terminal, as if the user were called Ann and every command were fast.
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

/// Lines in which words that differ between runs are replaced by placeholders.
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
    // If a busy machine slows the session down, one more use is recorded, because uses are recorded once a minute.
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

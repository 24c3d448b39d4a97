//! `man`: a manual page for each command, generated from the same command line and texts as the help.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Command as Clap;
use serde_json::json;
use tokenctl::cli::VERBS;
use tokenctl::domain::code::{EXITS, Exit};

use crate::help::{commands, path};
use crate::support::{World, have, program, run};

/// The sections of every page, in their order. Some pages have more.
const SECTIONS: [&str; 6] = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS"];

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man")
}

fn pages(dir: &Path) -> BTreeMap<String, String> {
    let page = |entry: fs::DirEntry| {
        (
            entry.file_name().into_string().expect("the text is UTF-8"),
            fs::read_to_string(entry.path()).expect("the file can be read"),
        )
    };
    fs::read_dir(dir)
        .expect("the directory can be read")
        .map(|entry| page(entry.expect("the entry can be read")))
        .collect()
}

/// The source of the page for a command, without its escapes.
fn page_of(pages: &BTreeMap<String, String>, command: &Clap) -> String {
    let name = format!("{}.1", ["tokenctl", &path(command)].join(" ").trim().replace(' ', "-"));
    let page = pages.get(&name).unwrap_or_else(|| panic!("{name} is missing"));
    page.replace("\\-", "-")
        .replace("\\*(Aq", "'")
        .replace("\\fB", "")
        .replace("\\fI", "")
        .replace("\\fR", "")
}

fn sections(page: &str) -> Vec<&str> {
    page.lines().filter_map(|line| line.strip_prefix(".SH ")).map(|name| name.trim_matches('"')).collect()
}

#[test]
fn the_pages_in_the_repository_equal_the_generated_ones() {
    let world = World::new();
    let dir = world.dir.path().join("new/pages");
    let ran = world.real(&["man", dir.to_str().unwrap()], b"").ok();
    assert_eq!(fs::metadata(dir.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o755);
    let (written, kept) = (pages(&dir), pages(&kept()));
    let names = |pages: &BTreeMap<String, String>| pages.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&written), names(&kept), "run `tokenctl man man` to update them");
    for (name, page) in &written {
        assert!(kept[name] == *page, "{name} differs; run `tokenctl man man` to update it");
    }
    assert_eq!(ran.err, format!("wrote {} pages to {}\n", written.len(), dir.display()));
    assert_eq!((ran.out, written.len()), (String::new(), commands().len()));
    assert!(!world.store().exists());
}

#[test]
fn without_a_directory_the_page_of_the_program_is_printed() {
    let world = World::new();
    let ran = world.run(&["man"]).ok();
    assert_eq!((ran.out, ran.err), (pages(&kept())["tokenctl.1"].clone(), String::new()));
    assert_eq!(world.run_failing(&["man"], 5, std::io::ErrorKind::BrokenPipe).ok().err, "");
    let full = world.run_failing(&["man"], 5, std::io::ErrorKind::StorageFull).exit(1);
    assert!(full.err.starts_with("error: cannot write the output: "), "{}", full.err);
}

#[test]
fn the_pages_do_not_depend_on_the_environment() {
    let world = World::new();
    let dir = world.dir.path().join("pages");
    let mut command = program();
    command
        .env("COLUMNS", "40")
        .env("LANG", "de_DE.UTF-8")
        .env("TZ", "Asia/Tokyo")
        .env("CLICOLOR_FORCE", "1");
    run(command.args(["--color", "always", "man"]).arg(&dir), b"").ok();
    assert!(pages(&dir) == pages(&kept()));
}

#[test]
fn the_document_lists_the_pages() {
    let world = World::new();
    let dir = world.dir.path().join("pages");
    let names: Vec<String> = pages(&kept()).into_keys().collect();
    for (args, path) in
        [(&["man", "--json"][..], None), (&["man", "--json", dir.to_str().unwrap()], dir.to_str())]
    {
        let document = world.run(args).ok().json();
        let mut listed: Vec<String> = serde_json::from_value(document["pages"].clone()).unwrap();
        assert_eq!((listed[0].as_str(), &document["path"]), ("tokenctl.1", &json!(path)));
        listed.sort();
        assert_eq!(listed, names);
    }
}

#[test]
fn every_page_has_the_expected_sections() {
    let pages = pages(&kept());
    for command in commands() {
        let page = page_of(&pages, &command);
        let mut expected = SECTIONS.to_vec();
        if command.has_subcommands() {
            expected.insert(4, "COMMANDS");
        }
        expected.push("ENVIRONMENT");
        if page.contains("TOKENCTL_STORE, XDG_DATA_HOME") {
            expected.push("FILES");
        }
        expected.push("SEE ALSO");
        assert_eq!(sections(&page), expected, "{}", path(&command));
    }
}

#[test]
fn every_flag_of_every_verb_is_on_its_page() {
    let pages = pages(&kept());
    let mut flags = 0;
    for command in commands() {
        let page = page_of(&pages, &command);
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let name = match (arg.get_short(), arg.get_long()) {
                (Some(short), Some(long)) => format!("\n-{short}, --{long}"),
                (None, Some(long)) => format!("\n--{long}"),
                _ => arg.get_value_names().expect("a name")[0].to_string(),
            };
            let help = arg.get_help().expect("its help").to_string().replace('`', "");
            let at = page.find(&name).unwrap_or_else(|| panic!("{}: {name}", path(&command)));
            assert!(page[at..].contains(&help), "{}: {help}", path(&command));
            flags += 1;
        }
    }
    assert!(flags > 300, "{flags}");
}

#[test]
fn every_page_lists_the_exit_codes_of_its_verb() {
    let pages = pages(&kept());
    for command in commands() {
        let page = page_of(&pages, &command);
        let verb = VERBS.iter().find(|verb| verb.path == path(&command)).expect("there is an entry");
        let (_, exits) = page.split_once(".SH \"EXIT STATUS\"\n").expect("its exits");
        let (exits, _) = exits.split_once(".SH ").expect("its end");
        for row in EXITS {
            let meaning = row.meaning.replace('`', "");
            let is_listed = exits.contains(&format!(".TP\n{}\n{meaning}", row.exit));
            assert_eq!(is_listed, verb.exits.contains(&row.exit), "{} {}", verb.path, row.exit);
        }
    }
    for code in EXITS.iter().flat_map(Exit::codes) {
        assert!(pages["tokenctl.1"].contains(code), "{code}");
    }
}

/// The only complaint that is allowed is that lines are long, because clap writes them that way.
#[test]
fn mandoc_has_no_complaints_about_the_pages() {
    if !have("mandoc") {
        return;
    }
    let mut faults = Vec::new();
    for name in pages(&kept()).keys() {
        let ran = run(Command::new("mandoc").args(["-T", "lint"]).arg(kept().join(name)), b"");
        let found =
            ran.out.lines().filter(|line| !line.contains("STYLE: input text line longer than 80 bytes"));
        faults.extend(found.map(str::to_owned));
    }
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn man_formats_every_page_without_a_warning() {
    if !have("man") {
        return;
    }
    for (name, page) in pages(&kept()) {
        let file = kept().join(&name);
        let ran = run(
            Command::new("man").args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]).arg(&file),
            b"",
        );
        assert_eq!((ran.code, &*ran.err), (0, ""), "{name}");
        let shown =
            run(Command::new("man").env("MANWIDTH", "80").args(["-E", "UTF-8", "-l"]).arg(&file), b"").ok();
        let about = page
            .lines()
            .skip_while(|line| *line != ".SH NAME")
            .nth(1)
            .expect("there is a line")
            .replace("\\-", "-");
        let start: String = about.chars().take(60).collect();
        assert!(shown.out.contains(&start), "{name}: {}", shown.out);
    }
}

#[test]
fn existing_pages_are_replaced_and_other_files_are_left_alone() {
    let world = World::new();
    let dir = world.dir.path().join("pages");
    fs::create_dir(&dir).unwrap();
    let (old, other, linked) = (dir.join("tokenctl.1"), dir.join("other.1"), world.dir.path().join("linked"));
    fs::write(&old, "old").unwrap();
    fs::write(&other, "other").unwrap();
    fs::write(&linked, "linked").unwrap();
    std::os::unix::fs::symlink(&linked, dir.join("tokenctl-list.1")).unwrap();
    world.run(&["man", dir.to_str().unwrap()]).ok();
    let mut written = pages(&dir);
    assert_eq!(written.remove("other.1").as_deref(), Some("other"));
    assert!(written == pages(&kept()));
    assert_eq!(fs::read_to_string(&linked).unwrap(), "linked", "a link is replaced, not followed");
    assert_eq!(fs::metadata(&old).unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn the_error_names_a_directory_that_cannot_be_written() {
    let world = World::new();
    let at = |name: &str| world.dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("file"), "").unwrap();
    fs::create_dir_all(at("taken/tokenctl.1/full")).unwrap();
    let cases = [
        (at("file"), at("file"), "File exists"),
        (at("file/below"), at("file"), "File exists"),
        ("/proc/pages".to_owned(), "/proc/pages".to_owned(), "No such file"),
        (at("taken"), at("taken/tokenctl.1"), "directory"),
    ];
    for (dir, named, why) in cases {
        let failure = world.refuses(&["man", &dir], 1, "io");
        let message = failure["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("cannot write `{named}`: ")), "{message}");
        assert!(message.to_lowercase().contains(&why.to_lowercase()), "{message}");
    }
    assert_eq!(fs::read_dir(at("taken")).unwrap().count(), 1, "a temporary file was left");
}

#[test]
fn a_full_disk_is_reported_and_the_old_page_is_kept() {
    if !have("strace") {
        return;
    }
    let world = World::new();
    let dir = world.dir.path().join("pages");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("tokenctl.1"), "old").unwrap();
    let script =
        "exec strace -f -qq -o /dev/null -e trace=write -e inject=write:error=ENOSPC tokenctl -q man pages";
    let ran = run(world.bash(script).current_dir(world.dir.path()), b"");
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert_eq!(pages(&dir), BTreeMap::from([("tokenctl.1".to_owned(), "old".to_owned())]));
}

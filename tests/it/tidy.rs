//! The rules for the source tree: which room (a top-level module) is allowed to import which, and what no source file
//! must contain.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The other rooms that each room is allowed to import.
const TABLE: &[(&str, &[&str])] = &[
    ("main", &["lib", "host"]),
    ("lib", &["cli", "verifier", "verify", "domain"]),
    ("cli", &["cmd", "app", "store", "ui", "context", "domain", "error"]),
    ("serve", &["verifier", "verify", "clock", "store", "ui", "domain", "error"]),
    ("verifier", &["verify", "store", "clock", "domain"]),
    ("host", &["context", "clock", "ui"]),
    ("cmd", &["app", "deliver", "scan", "serve", "verify", "store", "ui", "context", "domain", "error"]),
    ("app", &["deliver", "store", "ui", "context", "domain", "error"]),
    ("verify", &["store", "domain"]),
    ("error", &["deliver", "store", "domain"]),
    ("deliver", &["store", "context", "domain"]),
    ("scan", &["domain"]),
    ("store", &["domain"]),
    ("ui", &["domain"]),
    ("context", &["domain"]),
    ("clock", &["domain"]),
    ("domain", &[]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A source file: its path below `src`, its text, and the lines of the text without tests and comments.
struct Source {
    path: PathBuf,
    text: String,
    program: Vec<(usize, String)>,
}

impl Source {
    /// The first part of the path: `src/store/open.rs` is in the room `store`, `src/error.rs` in `error`.
    fn room(&self) -> String {
        let first = self.path.iter().next().and_then(|part| part.to_str()).expect("there is a path");
        first.trim_end_matches(".rs").to_owned()
    }

    /// How many modules deep the file is: 1 for `store/mod.rs` and `error.rs`, 2 for `store/open.rs`.
    fn depth(&self) -> usize {
        let parts = self.path.components().count();
        let is_root = matches!(self.path.to_str(), Some("main.rs" | "lib.rs"));
        if is_root { 0 } else { parts - usize::from(self.path.ends_with("mod.rs")) }
    }
}

impl Source {
    /// Its path as a module, such as `store`, `sqlite`, `open`. The path of the crate root is empty.
    fn module(&self) -> Vec<String> {
        let parts = self.path.with_extension("");
        let parts = parts.iter().filter_map(|part| part.to_str()).map(str::to_owned);
        parts.filter(|part| !matches!(&part[..], "mod" | "lib" | "main")).collect()
    }
}

/// Every Rust file below a directory of the repository: its path relative to that directory, and its text.
fn rust(dir: &str) -> Vec<(PathBuf, String)> {
    let dir = root().join(dir);
    let mut open = vec![dir.clone()];
    let mut all = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .expect("the directory can be read")
                    .map(|entry| entry.expect("the entry can be read").path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("the file can be read");
            all.push((path.strip_prefix(&dir).expect("below").to_owned(), text));
        }
    }
    assert!(!all.is_empty(), "no source was found in {}", dir.display());
    all.sort();
    all
}

fn sources() -> Vec<Source> {
    let source = |(path, text): (PathBuf, String)| Source { path, program: program(&text), text };
    rust("src").into_iter().map(source).collect()
}

/// The lines outside comments and outside items under `#[cfg(test)]`, with their line numbers. Such an item lasts until
/// a line closes it at the indentation of its attribute.
fn program(text: &str) -> Vec<(usize, String)> {
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    let mut kept = Vec::new();
    while let Some((number, line)) = lines.next() {
        if line.trim_start().starts_with("#[cfg(test)]") {
            let indent = line.len() - line.trim_start().len();
            for (_, line) in lines.by_ref() {
                let at_indent = line.len() - line.trim_start().len() == indent;
                let ends = line.trim_start().starts_with('}') || line.ends_with(';');
                if at_indent && ends {
                    break;
                }
            }
            continue;
        }
        let code = line.split_once("//").map_or(line, |(code, _)| code);
        kept.push((number, code.to_owned()));
    }
    kept
}

/// The rooms that a source file refers to with `crate::room`, with `tokenctl::room` (in `main`), or with enough
/// `super::` to reach the crate root. `use crate::{a, b}` and `use crate::*` are errors, because this test could not
/// tell what they import.
fn imports(source: &Source) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    for (number, line) in &source.program {
        let mut crates: Vec<&str> = line.split("crate::").skip(1).collect();
        let outside = if source.room() == "main" { "tokenctl::" } else { "\0" };
        crates.extend(line.split(outside).skip(1));
        // Each `super` leads one module up, so as many as the file is deep lead to the crate root.
        let to_top = "super::".repeat(source.depth());
        if source.depth() > 0 {
            crates.extend(
                line.split(&to_top).skip(1).filter(|rest| !rest.is_empty() && !rest.starts_with("super::")),
            );
        }
        for rest in crates {
            let name = word(rest);
            assert!(!name.is_empty(), "{}:{number}: import each room by name: {line}", source.path.display());
            found.insert(name);
        }
    }
    found
}

/// The other rooms that each room imports.
fn graph() -> BTreeMap<String, BTreeSet<String>> {
    let rooms: BTreeSet<&str> = TABLE.iter().map(|(room, _)| *room).collect();
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        let room = source.room();
        assert!(rooms.contains(room.as_str()), "`{room}` is missing in `TABLE`");
        for name in imports(&source) {
            // `main` calls `tokenctl::run`; functions and macros of the crate root belong to `lib`.
            let target = if rooms.contains(name.as_str()) { name } else { "lib".to_owned() };
            if target != room {
                graph.entry(room.clone()).or_default().insert(target);
            }
        }
    }
    graph
}

#[test]
fn imports_point_down() {
    let graph = graph();
    for (room, used) in &graph {
        let allowed = TABLE.iter().find(|(name, _)| name == room).expect("there is a room").1;
        for other in used {
            assert!(
                allowed.contains(&other.as_str()),
                "`{room}` imports `{other}`, but may import only {allowed:?}"
            );
        }
    }
    // These imports exist, so the parser must have found them.
    for (room, other) in
        [("main", "host"), ("cli", "cmd"), ("cmd", "store"), ("deliver", "store"), ("ui", "domain")]
    {
        assert!(
            graph.get(room).is_some_and(|used| used.contains(other)),
            "`{room}` no longer imports `{other}`?"
        );
    }
}

#[test]
fn rooms_have_no_circular_imports() {
    let mut graph = graph();
    // Remove rooms that import no remaining room, until only circles are left.
    loop {
        let done: Vec<String> = TABLE
            .iter()
            .map(|(room, _)| (*room).to_owned())
            .filter(|room| graph.get(room).is_some_and(BTreeSet::is_empty))
            .collect();
        let known: BTreeSet<String> = graph.keys().cloned().collect();
        for used in graph.values_mut() {
            used.retain(|other| known.contains(other) && !done.contains(other));
        }
        graph.retain(|room, _| !done.contains(room));
        if done.is_empty() && graph.values().all(|used| !used.is_empty()) {
            break;
        }
    }
    assert!(graph.is_empty(), "{graph:?}");
}

/// Finds the paths after a prefix such as `crate::`. A single name or a group in braces follows it.
fn leaves(rest: &str, path: &[String], found: &mut Vec<Vec<String>>) {
    let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if let Some(group) = rest.strip_prefix('{') {
        let mut depth = 0;
        let mut member = String::new();
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    leaves(std::mem::take(&mut member).trim(), path, found);
                    continue;
                }
                _ => {}
            }
            member.push(c);
        }
        leaves(member.trim(), path, found);
    } else if !word.is_empty() {
        let path = [path, std::slice::from_ref(&word)].concat();
        match rest[word.len()..].strip_prefix("::") {
            Some(rest) => leaves(rest, &path, found),
            None => found.push(path),
        }
    }
}

/// The paths in this crate that a source file refers to, starting from the crate root.
fn named(source: &Source) -> Vec<Vec<String>> {
    let lines: Vec<&str> = source.program.iter().map(|(_, line)| line.as_str()).collect();
    let text = lines.join("\n");
    let module = source.module();
    let begins = |at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
    let mut found = Vec::new();
    for (at, it) in text.match_indices("crate::").filter(|(at, _)| begins(*at)) {
        leaves(&text[at + it.len()..], &[], &mut found);
    }
    for (at, _) in text.match_indices("super::").filter(|(at, _)| begins(*at)) {
        let (mut rest, mut base) = (&text[at..], &module[..]);
        while let (Some(after), Some((_, above))) = (rest.strip_prefix("super::"), base.split_last()) {
            (rest, base) = (after, above);
        }
        leaves(rest, base, &mut found);
    }
    found
}

/// For each of these files, the others that it imports. A module and its children count as one, so imports between them
/// are ignored.
fn imported(sources: &[Source]) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let modules: BTreeSet<Vec<String>> = sources.iter().map(Source::module).collect();
    let file = |path: &Vec<String>| {
        (1..=path.len()).rev().map(|len| path[..len].to_vec()).find(|path| modules.contains(path))
    };
    let is_family = |one: &[String], other: &[String]| one.starts_with(other) || other.starts_with(one);
    let of = |source: &Source| {
        let own = source.module();
        let others = named(source).iter().filter_map(file).filter(|other| !is_family(&own, other)).collect();
        (own, others)
    };
    sources.iter().map(of).collect()
}

/// Removes the files that cannot be part of a circle, because they import no file that is left or no such file imports
/// them.
fn circles(
    mut left: BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    loop {
        let before = left.len();
        let used: BTreeSet<Vec<String>> = left.values().flatten().cloned().collect();
        left.retain(|file, others| !others.is_empty() && used.contains(file));
        let files: BTreeSet<Vec<String>> = left.keys().cloned().collect();
        for others in left.values_mut() {
            others.retain(|other| files.contains(other));
        }
        if left.len() == before {
            return left;
        }
    }
}

#[test]
fn files_have_no_circular_imports() {
    let imported = imported(&sources());
    let count: usize = imported.values().map(BTreeSet::len).sum();
    assert!(count > 200, "only {count} imports were found");
    let circles = circles(imported);
    let shown: Vec<String> = circles
        .iter()
        .map(|(file, others)| {
            let others: Vec<String> = others.iter().map(|other| other.join("::")).collect();
            format!("{} -> {}", file.join("::"), others.join(", "))
        })
        .collect();
    assert!(shown.is_empty(), "{}", shown.join("\n"));
}

#[test]
fn circular_imports_are_found_in_every_notation() {
    let source =
        |path: &str, text: &str| Source { path: path.into(), text: text.to_owned(), program: program(text) };
    let found = |a: &str, b: &str, c: &str| {
        let sources =
            [source("x/a.rs", a), source("x/b.rs", b), source("y.rs", c), source("x.rs", "mod a; mod b;")];
        circles(imported(&sources)).into_keys().map(|file| file.join("::")).collect::<Vec<_>>()
    };
    assert_eq!(found("use super::b::B;", "use crate::x::a::A;", ""), ["x::a", "x::b"]);
    assert_eq!(
        found("use super::{\n    c, b::{B, C},\n};", "fn f() { super::a::f() }", ""),
        ["x::a", "x::b"]
    );
    assert_eq!(
        found("use super::b::B;", "use crate::y::Y;", "use crate::x::{a::A, X};"),
        ["x::a", "x::b", "y"]
    );
    assert_eq!(found("use super::X;", "use super::a::A;", "use crate::x::a::A;"), [""; 0]);
}

#[test]
fn imports_of_rooms_are_found_in_every_notation() {
    let source =
        |path: &str, text: &str| Source { path: path.into(), text: text.to_owned(), program: program(text) };
    let rooms = |path: &str, text: &str| imports(&source(path, text)).into_iter().collect::<Vec<_>>();
    assert_eq!(rooms("ui/mod.rs", "use crate::store::Store; // crate::cmd"), ["store"]);
    assert_eq!(rooms("ui/mod.rs", "fn f() { crate::error::g(crate::domain::h()) }"), ["domain", "error"]);
    assert_eq!(rooms("ui/mod.rs", "use super::store::Store;"), ["store"]);
    assert_eq!(rooms("ui/page.rs", "use super::Style;\nuse super::super::cmd::App;"), ["cmd"]);
    assert_eq!(rooms("main.rs", "tokenctl::run(&mut tokenctl::host::context())"), ["host", "run"]);
    let tested = "use crate::a::A;\n#[cfg(test)]\nmod tests {\n    use crate::b::B;\n}\nuse crate::c::C;\n";
    assert_eq!(rooms("ui/mod.rs", tested), ["a", "c"]);
    assert_eq!(rooms("ui/mod.rs", "#[cfg(test)]\npub mod tests;\nuse crate::c::C;"), ["c"]);
}

#[test]
fn every_verb_has_a_source_file_and_a_test_file() {
    let cli = sources().into_iter().find(|source| source.path.ends_with("cli/mod.rs")).expect("the verbs");
    let verbs: Vec<String> = cli
        .text
        .lines()
        .skip_while(|line| !line.starts_with("pub enum Verb"))
        .skip(1)
        .take_while(|line| !line.starts_with('}'))
        // `    Init(init::Init),`
        .filter_map(|line| line.split_once('(')?.1.split_once("::"))
        .map(|(module, _)| module.trim_start_matches("Box<").to_owned())
        .collect();
    assert!(verbs.len() >= 15 && verbs.iter().any(|verb| verb == "create"), "{verbs:?}");
    let modules = fs::read_to_string(root().join("tests/it/main.rs")).expect("the tests can be read");
    let missing: Vec<String> = verbs
        .iter()
        .flat_map(|verb| {
            let file = |path: String| (!root().join(&path).is_file()).then_some(path);
            let declared = modules.lines().any(|line| line == format!("mod {verb};"));
            [
                // The code of verbs about the program itself, such as `man`, is in `cli`.
                file(format!("src/cmd/{verb}.rs")).and_then(|_| file(format!("src/cli/{verb}.rs"))),
                file(format!("tests/it/{verb}.rs")),
                (!declared).then(|| format!("`mod {verb};` in tests/it/main.rs")),
            ]
        })
        .flatten()
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_test_file_is_a_module() {
    let modules = fs::read_to_string(root().join("tests/it/main.rs")).expect("the tests can be read");
    let slow = fs::read_to_string(root().join("tests/it/slow.rs")).expect("the slow tests");
    for (dir, modules) in [("tests/it", &modules), ("tests/it/slow", &slow)] {
        for entry in fs::read_dir(root().join(dir)).expect("the directory can be read") {
            let path = entry.expect("the entry can be read").path();
            let name = path.file_stem().and_then(|name| name.to_str()).expect("there is a name");
            let runs = modules.lines().any(|line| line == format!("mod {name};"));
            assert!(name == "main" || runs, "{dir}/{name} never runs");
        }
    }
}

#[test]
fn no_source_file_contains_a_todo() {
    for source in sources() {
        for (at, line) in source.text.lines().enumerate() {
            for word in ["TODO", "FIXME", "XXX", "dbg!", "unimplemented!", "todo!"] {
                // Templates for temporary names contain a row of X; only a separate word counts as a mark.
                let found = line.match_indices(word).any(|(at, _)| {
                    let beside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                    !beside(line[..at].chars().next_back()) && !beside(line[at + word.len()..].chars().next())
                });
                assert!(!found, "{}:{}: {line}", source.path.display(), at + 1);
            }
        }
    }
}

#[test]
fn the_program_never_unwraps() {
    for source in sources() {
        for (number, line) in &source.program {
            // A call of `expect` without a string is a method of ours, for `--expect`.
            for call in
                [".unwrap()", ".expect(\"", ".unwrap_err()", ".expect_err(", "panic!(", "unreachable!("]
            {
                assert!(!line.contains(call), "{}:{number}: {line}", source.path.display());
            }
        }
    }
}

#[test]
fn every_source_file_starts_with_a_module_comment() {
    for (path, text) in ["src", "tests", "benches", "examples"].into_iter().flat_map(rust) {
        assert!(text.starts_with("//! "), "{} does not start with a `//!` comment", path.display());
    }
}

/// The texts in backticks in a document.
fn quoted(paper: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(paper)).expect(paper);
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[test]
fn every_file_named_in_the_architecture_document_exists() {
    let named = quoted("docs/architecture.md");
    let paths: Vec<_> =
        named.iter().filter(|it| it.starts_with("src/") || it.starts_with("tests/")).collect();
    for path in &paths {
        assert!(root().join(path).exists(), "`{path}` does not exist");
    }
    assert!(paths.len() > 10, "{paths:?}");
}

#[test]
fn every_test_named_in_the_list_of_mutants_exists() {
    let tests: String = ["src", "tests/it"].into_iter().flat_map(rust).map(|(_, text)| text).collect();
    let named = quoted("docs/mutants.md");
    let named: Vec<&str> = named.iter().filter_map(|it| it.rsplit_once("::")).map(|(_, name)| name).collect();
    for name in &named {
        assert!(tests.contains(&format!("fn {name}(")), "the test `{name}` does not exist");
    }
    assert!(named.len() > 50, "{named:?}");
}

#[test]
fn only_the_store_knows_sql() {
    for source in sources().iter().filter(|source| source.room() != "store") {
        for (number, line) in &source.program {
            let is_sql =
                ["rusqlite", "SELECT ", "INSERT INTO", "PRAGMA "].iter().any(|word| line.contains(word));
            assert!(!is_sql, "{}:{number}: {line}", source.path.display());
        }
    }
}

/// Code that several verbs share is in `cmd/args`. A verb can import its own submodules.
#[test]
fn no_verb_imports_a_verb() {
    for source in sources().iter().filter(|source| source.path.starts_with("cmd")) {
        let mut parts = source.path.iter().skip(1).filter_map(|part| part.to_str());
        let own = parts.next().expect("a name below `cmd`").trim_end_matches(".rs");
        let to_cmd = "super::".repeat(source.depth() - 1);
        for (number, line) in &source.program {
            let names = line.split("crate::cmd::").skip(1);
            let names = names.chain(line.split(&to_cmd).skip(usize::from(line.contains("use "))));
            for rest in names.filter(|rest| !rest.starts_with("super::")) {
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let is_verb = root().join(format!("src/cmd/{name}.rs")).is_file();
                assert!(!is_verb || name == own, "{}:{number}: {line}", source.path.display());
            }
        }
    }
}

/// The lines of tests do not count.
#[test]
fn no_source_is_long() {
    let mut lengths: Vec<usize> = sources().iter().map(|source| source.program.len()).collect();
    lengths.sort_unstable();
    assert!(lengths[lengths.len() / 2] <= 110, "the median source has {} lines", lengths[lengths.len() / 2]);
    // The help texts are exempt.
    for source in sources().iter().filter(|source| !source.path.ends_with("help/verbs.rs")) {
        let lines = source.program.len();
        assert!(lines <= 400, "{} has {lines} lines without its tests", source.path.display());
    }
}

/// Other rooms use only the names that `store.rs` exports.
#[test]
fn other_rooms_use_only_the_public_interface_of_the_store() {
    for source in sources().iter().filter(|source| source.room() != "store") {
        for (number, line) in &source.program {
            for inner in
                ["store::engine", "store::sqlite", "store::postgres", "store::usage", "store::sharing"]
            {
                assert!(!line.contains(inner), "{}:{number}: {line}", source.path.display());
            }
        }
    }
    let face = sources().into_iter().find(|source| source.path.ends_with("store.rs")).expect("the face");
    let is_closed = face.program.iter().all(|(_, line)| !line.starts_with("pub mod"));
    assert!(is_closed, "a module of the store is public");
}

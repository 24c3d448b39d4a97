//! The documents, and functions that find an example by its content, whichever document contains it.

use std::collections::BTreeSet;

/// A document by its path in the repository.
pub struct Page {
    pub path: &'static str,
    pub text: &'static str,
}

macro_rules! page {
    ($path:literal) => {
        Page { path: $path, text: include_str!(concat!("../../../", $path)) }
    };
}

/// The order in which a reader types their transcripts, because all of the transcripts form one session.
pub const PAGES: [Page; 11] = [
    page!("README.md"),
    page!("docs/leaks.md"),
    page!("docs/usage.md"),
    page!("docs/services.md"),
    page!("docs/cron.md"),
    page!("docs/scripts.md"),
    page!("docs/scopes.md"),
    page!("docs/administrators.md"),
    page!("docs/wanted.md"),
    page!("docs/moving.md"),
    page!("docs/reference.md"),
];

/// The text of a document.
#[track_caller]
pub fn page(path: &str) -> &'static str {
    PAGES.iter().find(|page| page.path == path).unwrap_or_else(|| panic!("no page `{path}`")).text
}

/// The code blocks in a language, in the order of the documents.
#[track_caller]
pub fn blocks(language: &str) -> Vec<String> {
    let start = format!("\n```{language}\n");
    let parts = PAGES.iter().flat_map(|page| page.text.split(&start).skip(1));
    let found: Vec<_> = parts
        .map(|part| part.split_once("\n```\n").expect("the end of the block").0.to_owned() + "\n")
        .collect();
    assert!(!found.is_empty(), "no {language}");
    found
}

/// The line that starts with this text. If there are several such lines, they must be equal.
#[track_caller]
pub fn line(start: &str) -> &'static str {
    let lines = PAGES.iter().flat_map(|page| page.text.lines());
    only(lines.filter(|line| line.starts_with(start)), start)
}

/// The text between these two strings. If the first occurs several times, the text after it must be the same each time.
#[track_caller]
pub fn between(start: &str, end: &str) -> &'static str {
    let rest = PAGES.iter().flat_map(|page| page.text.split(start).skip(1));
    only(
        rest.map(|rest| rest.split_once(end).unwrap_or_else(|| panic!("no `{end}` after `{start}`")).0),
        start,
    )
}

fn only<'a>(found: impl Iterator<Item = &'a str>, searched: &str) -> &'a str {
    let found: BTreeSet<&str> = found.collect();
    assert_eq!(found.len(), 1, "`{searched}`: {found:?}");
    found.into_iter().next().expect("one")
}

/// A section, from its heading to the next one of the same level.
#[track_caller]
pub fn section(heading: &str) -> &'static str {
    let found = PAGES.iter().filter_map(|page| page.text.split_once(&format!("\n{heading}\n")));
    only(found.map(|(_, rest)| rest.split("\n## ").next().unwrap_or(rest)), heading)
}

/// The indented lines of a text, which are commands to type.
pub fn commands(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("    "))
        .map(|line| line.trim_start().to_owned())
        .collect()
}

/// The text of a systemd unit.
#[track_caller]
pub fn unit(name: &str) -> String {
    let block = between(&format!("# /etc/systemd/system/{name}\n"), "\n```");
    block.split("\n# /etc/systemd/system/").next().unwrap_or(block).to_owned() + "\n"
}

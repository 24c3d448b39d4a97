//! The texts of the repository: documents, manual pages, messages, comments and test names.

use std::fs;
use std::path::{Path, PathBuf};

/// The kind of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Comments and documents.
    Prose,
    /// Messages and other string literals.
    Message,
    /// The name of a test, with spaces instead of underscores.
    Name,
}

/// A paragraph, a message or a name, and where it is.
#[derive(Debug)]
pub struct Text {
    pub path: String,
    pub line: usize,
    pub kind: Kind,
    pub content: String,
}

/// Every text below these paths of the repository.
pub fn all() -> Vec<Text> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open: Vec<PathBuf> = PLACES.iter().map(|place| root.join(place)).collect();
    let mut texts = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("the directory can be read");
            open.extend(entries.map(|entry| entry.expect("the entry can be read").path()));
            continue;
        }
        let Ok(content) = fs::read_to_string(&path) else { continue };
        let name = path.strip_prefix(root).expect("below the root").display().to_string();
        let found = match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => source(&content, name.starts_with("src/")),
            Some("md") => document(&content),
            Some("1") => manual(&content),
            _ => notes(&content),
        };
        texts.extend(found.into_iter().map(|(line, kind, content)| Text {
            path: name.clone(),
            line,
            kind,
            content,
        }));
    }
    texts
}

const PLACES: [&str; 15] = [
    "src",
    "tests/it",
    "benches",
    "examples",
    "docs",
    "man",
    "completions",
    "README.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.toml",
    ".clippy.toml",
    ".rustfmt.toml",
    ".ci/run",
];

type Found = Vec<(usize, Kind, String)>;

/// Joins lines into paragraphs.
#[derive(Default)]
struct Paragraphs {
    found: Found,
    start: usize,
    lines: Vec<String>,
}

impl Paragraphs {
    fn add(&mut self, number: usize, line: &str) {
        let bare = line.trim_start();
        let marker =
            ["- ", "* ", "# ", "## ", "### "].into_iter().find_map(|marker| bare.strip_prefix(marker));
        let item =
            marker.or_else(|| bare.split_once(". ").filter(|(n, _)| n.parse::<u8>().is_ok()).map(|it| it.1));
        if bare.is_empty() || item.is_some() {
            self.end();
        }
        let bare = item.unwrap_or(bare);
        if bare.starts_with('|') {
            self.end();
            let cells = bare.split('|').map(str::trim).filter(|cell| !cell.is_empty());
            self.found.extend(cells.map(|cell| (number, Kind::Prose, cell.to_owned())));
        } else if !bare.is_empty() {
            if self.lines.is_empty() {
                self.start = number;
            }
            self.lines.push(bare.trim_end().to_owned());
        }
    }

    fn end(&mut self) {
        if !self.lines.is_empty() {
            self.found.push((self.start, Kind::Prose, std::mem::take(&mut self.lines).join(" ")));
        }
    }
}

/// The paragraphs of a document, without its examples.
fn document(content: &str) -> Found {
    let mut paragraphs = Paragraphs::default();
    let mut is_example = false;
    for (at, line) in content.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_example = !is_example;
            paragraphs.end();
        } else if !is_example && !line.starts_with("    ") {
            paragraphs.add(at + 1, line);
        }
    }
    paragraphs.end();
    paragraphs.found
}

/// The lines of a manual page, without its formatting.
fn manual(content: &str) -> Found {
    let plain =
        |line: &str| line.replace("\\fB", "").replace("\\fI", "").replace("\\fR", "").replace("\\-", "-");
    let lines = content.lines().enumerate().filter(|(_, line)| !line.starts_with('.'));
    lines.map(|(at, line)| (at + 1, Kind::Prose, plain(line))).collect()
}

/// The comments in a script or a configuration file, and its lines with a description.
fn notes(content: &str) -> Found {
    let note = |line: &str| match line.split_once("# ") {
        Some((_, note)) => Some(note.to_owned()),
        None => line.contains("description").then(|| line.to_owned()),
    };
    content.lines().enumerate().filter_map(|(at, line)| Some((at + 1, Kind::Prose, note(line)?))).collect()
}

/// The comments in a source file, the names of its tests and, if it is part of the program, its string literals.
fn source(content: &str, has_messages: bool) -> Found {
    let mut paragraphs = Paragraphs::default();
    let mut is_example = false;
    let mut found = Found::new();
    for (at, line) in content.lines().enumerate() {
        let bare = line.trim_start();
        if let Some(comment) = bare.strip_prefix("//") {
            let comment = comment.strip_prefix(['/', '!']).unwrap_or(comment);
            if comment.trim_start().starts_with("```") {
                is_example = !is_example;
                paragraphs.end();
            } else if !is_example {
                paragraphs.add(at + 1, comment);
            }
            continue;
        }
        paragraphs.end();
        if let Some((code, comment)) =
            line.split_once(" // ").filter(|(code, _)| code.matches('"').count() % 2 == 0)
        {
            let is_code = code.trim_end().ends_with([',', ';', '{', '}', ')']);
            found.extend(is_code.then(|| (at + 1, Kind::Prose, comment.to_owned())));
        }
        if let Some((name, _)) = bare.strip_prefix("fn ").and_then(|rest| rest.split_once("()")) {
            let is_sentence = name.matches('_').count() >= 3;
            found.extend(is_sentence.then(|| (at + 1, Kind::Name, name.replace('_', " "))));
        }
    }
    paragraphs.end();
    found.extend(paragraphs.found);
    if has_messages {
        found.extend(literals(content));
    }
    found
}

/// The string literals in a source file that contain several words.
fn literals(content: &str) -> Found {
    let mut found = Found::new();
    let bytes = content.as_bytes();
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        match bytes[at] {
            b'\n' => line += 1,
            b'/' if content[at..].starts_with("//") => {
                at += content[at..].find('\n').unwrap_or(content.len() - at);
                continue;
            }
            // A character literal. The quote of a lifetime is not followed by another quote within a few characters.
            b'\'' => {
                let mut near = content[at + 1..].char_indices().skip(1).take(9);
                at += near.find(|(_, c)| *c == '\'').map_or(0, |(len, _)| len + 1);
            }
            b'"' => {
                let begin = (at + 1, line);
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += usize::from(bytes[at] == b'\\');
                    line += usize::from(bytes.get(at) == Some(&b'\n'));
                    at += 1;
                }
                let text = &content[begin.0..at.min(content.len())];
                // A backslash at the end of a line continues the text on the next one.
                let parts = text.split("\\\n").enumerate();
                let text: String =
                    parts.map(|(n, part)| if n == 0 { part } else { part.trim_start() }).collect();
                if text.contains(' ') {
                    found.push((begin.1, Kind::Message, text.replace("\\n", ". ").replace("\\\"", "\"")));
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The words of a text in lower case, and its punctuation. `^` is the start of a sentence or the end of the text, and a
/// backtick replaces everything between backticks.
pub fn words(text: &str) -> Vec<String> {
    let mut words = vec!["^".to_owned()];
    let mut word = String::new();
    let mut is_code = false;
    for c in text.chars().chain([' ']) {
        if c == '`' {
            is_code = !is_code;
            if is_code {
                words.push("`".to_owned());
            }
            continue;
        }
        if is_code {
            continue;
        }
        if c.is_alphanumeric() || "_{}'-/".contains(c) {
            word.extend(c.to_lowercase());
            continue;
        }
        if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        match c {
            '?' => words.extend(["?".to_owned(), "^".to_owned()]),
            '.' | '!' => words.push("^".to_owned()),
            ':' | ';' | ',' | '(' | ')' | '=' => words.push(c.to_string()),
            _ => {}
        }
    }
    words.push("^".to_owned());
    words
}

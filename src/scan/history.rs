//! Maps lines of `git log -p`, `git show` or `git diff` to their commit, file and line.

use std::ops::Range;

use memchr::memmem;

use super::position::Position;

/// How a commit and a file begin. No line of a hunk begins like this, since each has a mark.
const COMMIT: &[u8] = b"\ncommit ";
const FILE: &[u8] = b"\ndiff --";

/// Follows a stream line by line. Text that is not output of git is reported with its own lines.
#[derive(Debug, Default)]
pub struct History {
    position: Position,
    started: bool,
    commit: Option<String>,
    old: Side,
    new: Side,
    part: Part,
}

/// A file before or after a commit.
#[derive(Debug, Default)]
struct Side {
    path: Option<Vec<u8>>,
    /// The number of the next line.
    line: u64,
}

/// The part of the output to which the current line belongs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A commit message, or anything else.
    #[default]
    Other,
    /// The names of a file.
    Header,
    /// A hunk, whose lines each begin with as many marks as the commit has parents.
    Hunk { marks: usize, line: Line },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Added,
    Removed,
    Same,
}

/// The position of a secret. Without a path, line and column are those of the stream itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    pub path: Option<Vec<u8>>,
    pub commit: Option<String>,
    pub line: u64,
    pub column: u64,
}

impl History {
    /// Advances to `to`, in a piece that begins at `base` of the stream.
    pub fn advance(&mut self, piece: &[u8], base: u64, to: usize) {
        if !self.started {
            self.started = true;
            self.enter(piece);
        }
        let from = self.position.passed(base).min(to);
        let file = last(piece, from..to, FILE);
        if file.is_some() || self.part == Part::Other {
            // Everything before the last file can be skipped, except for its commit.
            if let Some(commit) = last(piece, from..file.unwrap_or(to), COMMIT) {
                self.enter(&piece[commit + 1..]);
            }
        }
        if file.is_some() || self.part != Part::Other {
            let from = file.unwrap_or(from);
            for end in memchr::memchr_iter(b'\n', &piece[from..to]) {
                self.enter(&piece[from + end + 1..]);
            }
        }
        self.position.advance(piece, base, to);
    }

    /// The position of `at`, up to which the stream was followed. `None` for an unchanged line, and for a removed
    /// line of a bare diff.
    pub fn of(&self, at: u64) -> Option<Place> {
        let (line, column) = self.position.of(at);
        let commit = self.commit.clone();
        let Part::Hunk { marks, line: kind } = self.part else {
            return Some(Place { path: None, commit, line, column });
        };
        let side = match kind {
            Line::Added => &self.new,
            // A removed line is still in the history, but not in the result of a diff.
            Line::Removed if commit.is_some() => &self.old,
            Line::Removed | Line::Same => return None,
        };
        let column = column.saturating_sub(marks as u64);
        Some(Place { path: side.path.clone(), commit, line: side.line.saturating_sub(1), column })
    }

    /// Interprets the beginning of a line.
    fn enter(&mut self, text: &[u8]) {
        if let Part::Hunk { marks, .. } = self.part {
            let head = &text[..text.len().min(marks)];
            if let Some(line) = kind(head) {
                self.old.line += u64::from(line != Line::Added);
                self.new.line += u64::from(line != Line::Removed);
                self.part = Part::Hunk { marks, line };
                return;
            }
            // "\ No newline at end of file" is part of a hunk too.
            if head.first() == Some(&b'\\') {
                self.part = Part::Hunk { marks, line: Line::Same };
                return;
            }
            self.part = Part::Header;
        }
        match text.first() {
            Some(b'c') => self.commit_line(text),
            Some(b'd') if text.starts_with(b"diff --") => {
                self.part = Part::Header;
                (self.old.path, self.new.path) = (None, None);
            }
            Some(b'-' | b'+' | b'@') if self.part == Part::Header => self.header_line(rest_of_line(text)),
            _ => {}
        }
    }

    fn commit_line(&mut self, text: &[u8]) {
        let Some(rest) = text.strip_prefix(b"commit ") else { return };
        let hash: Vec<u8> = rest.iter().copied().take_while(u8::is_ascii_hexdigit).collect();
        if (7..=64).contains(&hash.len()) {
            self.commit = String::from_utf8(hash).ok();
            self.part = Part::Other;
        }
    }

    fn header_line(&mut self, line: &[u8]) {
        if let Some(path) = line.strip_prefix(b"--- ") {
            self.old.path = file(path);
        } else if let Some(path) = line.strip_prefix(b"+++ ") {
            self.new.path = file(path);
        } else if let Some((marks, old, new)) = hunk(line) {
            (self.old.line, self.new.line) = (old, new);
            self.part = Part::Hunk { marks, line: Line::Same };
        }
    }
}

/// The last position at which a line begins with this text. The newline before it must be in the range.
fn last(piece: &[u8], range: Range<usize>, start: &[u8]) -> Option<usize> {
    let text = &piece[range.start..piece.len().min(range.end + start.len() - 1)];
    // If the range has none, searching forwards is fastest.
    memmem::find(text, start)?;
    memmem::rfind(text, start).map(|at| range.start + at)
}

fn rest_of_line(text: &[u8]) -> &[u8] {
    &text[..memchr::memchr(b'\n', text).unwrap_or(text.len())]
}

/// The meaning of the marks at the beginning of a line. `None` if they are not marks.
fn kind(marks: &[u8]) -> Option<Line> {
    if marks.is_empty() || !marks.iter().all(|mark| matches!(mark, b'+' | b'-' | b' ')) {
        return None;
    }
    Some(match () {
        () if marks.contains(&b'-') => Line::Removed,
        () if marks.contains(&b'+') => Line::Added,
        () => Line::Same,
    })
}

/// Parses `@@ -1,2 +3,4 @@`: the number of marks in the lines of the hunk, and the lines at which it begins in
/// both files.
fn hunk(line: &[u8]) -> Option<(usize, u64, u64)> {
    let text = String::from_utf8_lossy(line);
    let marks = text.bytes().take_while(|byte| *byte == b'@').count().checked_sub(1).filter(|n| *n > 0)?;
    let mut words = text.split(' ').skip(1);
    let start = |word: &str, sign| word.strip_prefix(sign)?.split(',').next()?.parse().ok();
    let old = start(words.next()?, '-')?;
    let new = words.find(|word| word.starts_with('+')).and_then(|word| start(word, '+'))?;
    Some((marks, old, new))
}

/// The path after `+++ ` as git writes it: quoted if necessary, and after a letter for the side.
fn file(text: &[u8]) -> Option<Vec<u8>> {
    // Git puts a tab after a path with blanks.
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let text = text.strip_suffix(b"\t").unwrap_or(text);
    let path = match text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")) {
        Some(quoted) => unquoted(quoted),
        None => text.to_owned(),
    };
    match &path[..] {
        b"/dev/null" => None,
        [side, b'/', rest @ ..] if side.is_ascii_lowercase() => Some(rest.to_owned()),
        _ => Some(path),
    }
}

/// Decodes text whose special characters are escaped as in C.
fn unquoted(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, more @ ..] = rest {
        let (byte, after) = match (first, more) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                ((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), after)
            }
            (b'\\', [escaped, after @ ..]) => match escaped {
                b'n' => (b'\n', after),
                b't' => (b'\t', after),
                b'r' => (b'\r', after),
                byte => (*byte, after),
            },
            (byte, after) => (*byte, after),
        };
        out.push(byte);
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The position of each `HERE` in a stream, which does not depend on how the stream is split.
    fn places(stream: &str) -> Vec<String> {
        let all = places_by(stream, usize::MAX);
        for step in [1, 7, 40, 200] {
            assert_eq!(places_by(stream, step), all, "{step}");
        }
        all
    }

    fn places_by(stream: &str, step: usize) -> Vec<String> {
        let text = stream.as_bytes();
        let mut history = History::default();
        let mut places = Vec::new();
        let mut passed = 0;
        for at in memchr::memmem::find_iter(text, "HERE") {
            while at - passed > step {
                passed += step;
                history.advance(text, 0, passed);
            }
            passed = at;
            history.advance(text, 0, at);
            places.push(match history.of(at as u64) {
                None => "none".to_owned(),
                Some(Place { path, commit, line, column }) => format!(
                    "{}:{line}:{column} {}",
                    path.map_or("-".to_owned(), |path| String::from_utf8_lossy(&path).into_owned()),
                    commit.unwrap_or_default()
                ),
            });
        }
        places
    }

    #[test]
    fn a_line_of_a_history_is_a_line_of_its_file_in_its_commit() {
        let log = "commit 0123456789abcdef0123456789abcdef01234567 (HEAD -> main)\nAuthor: a <a@b>\n\n    Say HERE\n\n\
            diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -3,3 +4,3 @@ fn HERE()\n same HERE\n-old HERE\n\
            +++ new HERE\n\\ No newline at end of file\n\n\
            commit fedcba9\n\ndiff --git a/skipped b/skipped\nnew file mode 100644\n\ndiff --git \"a/\\303\\244 b\" \"b/\\303\\244 b\"\nnew file mode 100644\n--- /dev/null\n\
            +++ \"b/\\303\\244 b\"\n@@ -0,0 +1,2 @@\n+one\n+two HERE\n";
        let first = "0123456789abcdef0123456789abcdef01234567";
        let expected = [
            format!("-:4:9 {first}"),
            "none".to_owned(),
            "none".to_owned(),
            format!("x:4:5 {first}"),
            format!("x:5:8 {first}"),
            "ä b:2:5 fedcba9".to_owned(),
        ];
        assert_eq!(places(log), expected);
    }

    #[test]
    fn a_bare_diff_counts_for_what_it_adds() {
        let diff = "diff --git i/x w/x\n--- i/x\n+++ w/x\n@@ -1 +1,2 @@\n-HERE\n+a HERE\n HERE\n";
        assert_eq!(places(diff), ["none", "x:1:3 ", "none"]);
        let merge = "commit 0123456\n\ndiff --cc x\n--- a/x\n+++ b/x\n@@@ -1,1 -1,1 +1,2 @@@\n  a\n++HERE\n";
        assert_eq!(places(merge), ["x:2:1 0123456"]);
    }

    #[test]
    fn text_that_is_not_of_git_has_its_own_lines() {
        assert_eq!(
            places("a\n+HERE\n-HERE HERE\ncommit this HERE\n"),
            ["-:2:2 ", "-:3:2 ", "-:3:7 ", "-:4:13 "]
        );
    }
}

//! The text of an env file.
//!
//! Shells, systemd, docker and the dotenv libraries disagree about blanks, quotes, comments and continued
//! lines. These rules ensure that all of them read the value that tokenctl writes:
//!
//! - A setting is `NAME=value` at the start of a line. A byte order mark, blanks and `export` can precede it.
//! - Text in the quoted value of another variable is not a setting, if a shell and a dotenv library agree
//!   that it is quoted.
//! - A file is refused if any other line could set the variable for one of these programs.

use std::ops::Range;

/// One setting `NAME=value`.
#[derive(Debug, Clone)]
pub struct Setting<'a> {
    pub name: &'a [u8],
    /// The value for programs that read the line up to its comment, then for those that stop at a blank or a
    /// `;`.
    values: [Value<'a>; 2],
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Value<'a> {
    /// The position of the value, with its quotes.
    at: Range<usize>,
    /// The value without its quotes.
    text: &'a [u8],
}

impl Setting<'_> {
    /// The position of the value, if one of its two forms satisfies `is`.
    pub fn value_if(&self, is: impl Fn(&[u8]) -> bool) -> Option<Range<usize>> {
        self.values.iter().find(|value| is(value.text)).map(|value| value.at.clone())
    }
}

/// Where to write the new value of a variable.
#[derive(Debug, PartialEq, Eq)]
pub enum Slot {
    /// On a new line, because nothing sets the variable.
    End,
    /// In place of a value that can be replaced.
    Value(Range<usize>),
    /// In place of a value that is replaced only with `--force`.
    Other(Range<usize>),
}

/// Finds the position for the value of a variable, or explains why the file is refused. `ours` accepts the
/// values that can be replaced.
pub fn find_slot(content: &[u8], variable: &str, ours: impl Fn(&[u8]) -> bool) -> Result<Slot, String> {
    if content.contains(&0) || content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        return Err("is binary or UTF-16, not an env file".to_owned());
    }
    let dotenv = dotenv(content);
    if let Some(at) = dotenv.unclosed {
        return Err(format!("opens a quote in line {} that it never closes", line_number(content, at)));
    }
    let mut settings = dotenv.settings.iter().filter(|setting| setting.name == variable.as_bytes());
    let setting = settings.next();
    if settings.next().is_some() {
        return Err(format!("sets {variable} more than once"));
    }
    let slot = setting.map_or(Slot::End, |setting| match setting.value_if(ours) {
        Some(value) => Slot::Value(value),
        None => Slot::Other(setting.values[0].at.clone()),
    });
    let name = setting.map(|setting| setting.name.as_ptr().addr() - content.as_ptr().addr());
    // If no shell can parse the file, no shell can read it in a different way.
    let shell =
        shell(content).unwrap_or_else(|| Shell { quoted: dotenv.quoted.clone(), comments: Vec::new() });
    for at in words(content, variable.as_bytes()) {
        let (in_dotenv, in_shell) = (within(&dotenv.quoted, at), within(&shell.quoted, at));
        let own = Some(at) == name && !continues(content, at);
        let replaced = matches!(&slot, Slot::Value(value) | Slot::Other(value) if value.contains(&at));
        let comment = (within(&shell.comments, at) || is_comment(content, at)) && !continues(content, at);
        let harmless = own || replaced || in_dotenv || comment || is_use(content, at, variable.len());
        if in_dotenv != in_shell && !replaced || !harmless {
            let line = line_number(content, at);
            return Err(format!(
                "could set {variable} in line {line}, for some of the programs that read such files"
            ));
        }
    }
    if slot == Slot::End && ends_open(content) {
        return Err("ends with a backslash, which joins the next line to it".to_owned());
    }
    Ok(slot)
}

/// Every setting of a file.
pub fn settings(content: &[u8]) -> Vec<Setting<'_>> {
    dotenv(content).settings
}

/// The newline that a file uses: that of its last line.
pub fn line_end(content: &[u8]) -> &'static [u8] {
    let last = content.iter().rposition(|byte| *byte == b'\n');
    if last.is_some_and(|at| content[..at].ends_with(b"\r")) { b"\r\n" } else { b"\n" }
}

/// A file as dotenv libraries read it. Quotes count only at the start of a value.
struct Dotenv<'a> {
    settings: Vec<Setting<'a>>,
    quoted: Vec<Range<usize>>,
    unclosed: Option<usize>,
}

fn dotenv(content: &[u8]) -> Dotenv<'_> {
    let mut parsed = Dotenv { settings: Vec::new(), quoted: Vec::new(), unclosed: None };
    let mut at = if content.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    while at < content.len() {
        let mut end = end_of_line(content, at);
        if let Some((name, start)) = assignment(content, at..end) {
            let quote = content.get(start).filter(|byte| matches!(byte, b'"' | b'\''));
            let close = quote.and_then(|quote| closing(content, start + 1, *quote));
            if let Some(close) = close {
                parsed.quoted.push(start..close + 1);
                end = end_of_line(content, close);
            } else if quote.is_some() {
                parsed.unclosed = parsed.unclosed.or(Some(start));
            }
            parsed.settings.push(Setting { name, values: values(content, start..end, close) });
        }
        at = end + 1;
    }
    parsed
}

/// The name that a line sets, and the position of its value, which follows `=` and blanks.
fn assignment(content: &[u8], line: Range<usize>) -> Option<(&[u8], usize)> {
    let text = content[line.clone()].trim_ascii_start();
    let blank = |rest: &&[u8]| rest.starts_with(b" ") || rest.starts_with(b"\t");
    let text = text.strip_prefix(b"export").filter(blank).unwrap_or(text).trim_ascii_start();
    let equals = text.iter().position(|byte| *byte == b'=')?;
    let name = text[..equals].trim_ascii_end();
    let is_name =
        !name.is_empty() && !name.iter().any(|byte| byte.is_ascii_whitespace() || b"#'\"".contains(byte));
    is_name.then_some((name, line.end - text[equals + 1..].trim_ascii_start().len()))
}

/// The two forms of a value. `rest` is the text after `=` and blanks. If it begins with a quote, `close` is
/// where that quote closes.
fn values(content: &[u8], rest: Range<usize>, close: Option<usize>) -> [Value<'_>; 2] {
    let Range { start, end } = rest;
    let ends_value = |byte: &u8| byte.is_ascii_whitespace() || *byte == b';';
    if let Some(close) = close.filter(|close| content.get(close + 1).is_none_or(ends_value)) {
        let value = Value { at: start..close + 1, text: &content[start + 1..close] };
        return [value.clone(), value];
    }
    let text = &content[rest];
    let follows_blank = content[..start].last() != Some(&b'=');
    if text.is_empty() || text.starts_with(b"#") && follows_blank {
        // Blanks before a comment are kept.
        let at = content[..start].trim_ascii_end().len();
        return [Value { at: at..at, text: b"" }, Value { at: at..at, text: b"" }];
    }
    let comment = text.windows(2).position(|pair| pair[0].is_ascii_whitespace() && pair[1] == b'#');
    let whole = text[..comment.unwrap_or(end - start)].trim_ascii_end();
    let word = &whole[..whole.iter().position(ends_value).unwrap_or(whole.len())];
    [whole, word].map(|text| Value { at: start..start + text.len(), text })
}

/// The position of the quote that closes a quoted text. A backslash escapes the next character.
fn closing(content: &[u8], start: usize, quote: u8) -> Option<usize> {
    let mut at = start;
    while *content.get(at)? != quote {
        at += if content[at] == b'\\' { 2 } else { 1 };
    }
    Some(at)
}

/// A file as a shell reads it.
struct Shell {
    quoted: Vec<Range<usize>>,
    comments: Vec<Range<usize>>,
}

/// Returns `None` if a quote is never closed, so that no shell can parse the file.
fn shell(content: &[u8]) -> Option<Shell> {
    let mut parsed = Shell { quoted: Vec::new(), comments: Vec::new() };
    let mut at = 0;
    while at < content.len() {
        let starts_word = content[..at].last().is_none_or(|before| b" \t\n;&|(".contains(before));
        let end = match content[at] {
            b'\\' => at + 2,
            b'#' if starts_word => end_of_line(content, at),
            b'\'' => at + 2 + content[at + 1..].iter().position(|byte| *byte == b'\'')?,
            b'"' => closing(content, at + 1, b'"')? + 1,
            _ => at + 1,
        };
        match content[at] {
            b'#' if starts_word => parsed.comments.push(at..end),
            b'\'' | b'"' => parsed.quoted.push(at..end),
            _ => {}
        }
        at = end;
    }
    Some(parsed)
}

fn within(ranges: &[Range<usize>], at: usize) -> bool {
    ranges.iter().any(|range| range.contains(&at))
}

/// The positions at which a name is a whole word. Some programs allow dots and dashes in names, so these
/// belong to a word.
fn words<'a>(content: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    content.windows(name.len()).enumerate().filter_map(move |(at, window)| {
        let is_whole_word =
            !content[..at].last().is_some_and(part) && !content.get(at + name.len()).is_some_and(part);
        (window == name && is_whole_word).then_some(at)
    })
}

/// Whether the variable is only used, as in `$NAME`, or exported without a value, as in `export NAME`.
fn is_use(content: &[u8], at: usize, length: usize) -> bool {
    let before = &content[start_of_line(content, at)..at];
    let after = &content[at + length..end_of_line(content, at)];
    if before.ends_with(b"$") || before.ends_with(b"${") {
        return !after.starts_with(b"=") && !after.starts_with(b":=");
    }
    let command = before.strip_suffix(b"export ").map(|rest| rest.trim_ascii_end());
    let follows = after.trim_ascii_start().first();
    command.is_some_and(|rest| rest.last().is_none_or(|byte| *byte == b';'))
        && follows.is_none_or(|byte| b";#".contains(byte))
}

/// Whether the line at this position is a comment. A comment begins with `#`, or with `;` for systemd; other
/// programs do not allow `;` there.
fn is_comment(content: &[u8], at: usize) -> bool {
    let line = content[start_of_line(content, at)..].trim_ascii_start();
    line.starts_with(b"#") || line.starts_with(b";")
}

/// Whether the line at this position continues the previous one.
fn continues(content: &[u8], at: usize) -> bool {
    ends_open(&content[..start_of_line(content, at)])
}

/// Whether the last line ends with an unescaped backslash.
fn ends_open(content: &[u8]) -> bool {
    let line = content.strip_suffix(b"\n").unwrap_or(content);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

fn start_of_line(content: &[u8], at: usize) -> usize {
    content[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

fn end_of_line(content: &[u8], at: usize) -> usize {
    content[at..].iter().position(|byte| *byte == b'\n').map_or(content.len(), |length| at + length)
}

fn line_number(content: &[u8], at: usize) -> usize {
    content[..at].split(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets `A` to `NEW`, where `OWN` or an empty value can be replaced. Returns the new file, or why it is
    /// refused.
    fn set(content: &str) -> Result<String, String> {
        let slot = find_slot(content.as_bytes(), "A", |text| text == b"OWN" || text.is_empty())?;
        let (at, force) = match slot {
            Slot::End => return Ok(format!("{content}+")),
            Slot::Value(at) => (at, ""),
            Slot::Other(at) => (at, "forced: "),
        };
        Ok(format!("{force}{}NEW{}", &content[..at.start], &content[at.end..]))
    }

    #[test]
    fn a_value_is_replaced_and_the_text_around_it_is_kept() {
        for (before, after) in [
            ("A=OWN", "A=NEW"),
            ("A = OWN\n", "A = NEW\n"),
            ("A =OWN\nB=1", "A =NEW\nB=1"),
            ("\u{feff}A=OWN\n", "\u{feff}A=NEW\n"),
            ("  export\tA=OWN\r\n", "  export\tA=NEW\r\n"),
            ("A=\"OWN\" # ci\n", "A=NEW # ci\n"),
            ("A='OWN'\t\n", "A=NEW\t\n"),
            ("A=OWN \t\n", "A=NEW \t\n"),
            ("A=OWN; export A\n", "A=NEW; export A\n"),
            ("A=OWN # A=x\nexport A\n", "A=NEW # A=x\nexport A\n"),
            ("A=   # paste here\n", "A=NEW   # paste here\n"),
            ("A=\r\nB=2\r\n", "A=NEW\r\nB=2\r\n"),
            ("A=''\n", "A=NEW\n"),
            ("A=; export A\n", "A=NEW; export A\n"),
            ("C=\"x\nA=\n\"\nA=OWN\n", "C=\"x\nA=\n\"\nA=NEW\n"),
            ("C=\"x\nA=\ny\" # it's\n", "C=\"x\nA=\ny\" # it's\n+"),
            (
                "# A=x\n;A=x\nC=1 # A=x\nA_=x\n.A=x\nB=$A\nB=${A}\na=x\n",
                "# A=x\n;A=x\nC=1 # A=x\nA_=x\n.A=x\nB=$A\nB=${A}\na=x\n+",
            ),
            ("A=x # y\n", "forced: A=NEW # y\n"),
            ("A=\"x\ny\" # z\nB=1\n", "forced: A=NEW # z\nB=1\n"),
            ("A=#x\n", "forced: A=NEW\n"),
            ("A=\"OWN\"x\n", "forced: A=NEW\n"),
            ("A=<A>\n", "forced: A=NEW\n"),
            ("C=it's\nA=OWN\n", "C=it's\nA=NEW\n"),
            ("C=\"x A\"\n", "C=\"x A\"\n+"),
            ("A=x y\n", "forced: A=NEW\n"),
            // A blank line ends the continuation.
            ("C=x\\\n\nA=OWN\n", "C=x\\\n\nA=NEW\n"),
            // An escaped quote opens nothing, neither for a shell nor for a dotenv library.
            ("C=\\'x\nA=OWN\nD=\\'y\n", "C=\\'x\nA=NEW\nD=\\'y\n"),
        ] {
            assert_eq!(set(before), Ok(after.to_owned()), "{before:?}");
        }
    }

    #[test]
    fn a_file_that_programs_could_read_differently_is_refused() {
        for (content, why) in [
            ("A=OWN\nexport A=OWN\n", "sets A more than once"),
            ("declare -x A=OWN", "line 1,"),
            ("\nexport B=1 A=OWN", "line 2,"),
            ("B=1; A=OWN", "line 1,"),
            ("A=OWN; A=x", "line 1,"),
            ("A+=x", "line 1,"),
            ("A: x", "line 1,"),
            ("'A'=x", "line 1,"),
            ("eval 'A=x'", "line 1,"),
            ("B=${A:=x}", "line 1,"),
            ("B='x #'; A=OWN", "line 1,"),
            ("B=1 \u{feff}A=OWN", "line 1,"),
            // This is a quote for a shell, but not for a dotenv library.
            ("B=it's\nA=OWN\nC=that's", "line 2,"),
            ("if x=\"\nA=OWN\n\"", "line 2,"),
            ("B=x#'\nA=OWN\nC=y'", "line 2,"),
            ("LONG=\\x 'y\nA=OWN\n'", "line 2,"),
            ("B=1234567\nC='x' 'y\nA=OWN\n'", "line 3,"),
            ("C=\"x\" 'y\nA=OWN\n'", "line 2,"),
            ("read A", "line 1,"),
            ("B=1\\\nA=OWN", "line 2,"),
            ("B=1\\\n# A=OWN", "line 2,"),
            ("B=1\\\r\n", "ends with a backslash"),
            ("A=1\nB='x\n", "opens a quote in line 2 that it never closes"),
            ("A=\0", "is binary or UTF-16"),
        ] {
            let refused = set(content).expect_err(content);
            assert!(refused.contains(why), "{content:?}: {refused}");
        }
        // In UTF-16, letters that are not Latin have no zero byte.
        for content in [b"\xff\xfe\x10\x04", b"\xfe\xff\x04\x10"] {
            assert!(
                find_slot(content, "A", |_| true).is_err_and(|why| why.contains("UTF-16")),
                "{content:?}"
            );
        }
    }

    #[test]
    fn a_new_line_ends_like_the_last_one() {
        for (content, end) in [("", "\n"), ("A\nB\r\nC", "\r\n"), ("A\r\nB\n", "\n"), ("A\r", "\n")] {
            assert_eq!(line_end(content.as_bytes()), end.as_bytes(), "{content:?}");
        }
    }
}

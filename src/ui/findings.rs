//! The findings of `check`, written token by token in one of its formats.

use std::io::{self, Write};
use std::str::FromStr;

use super::json::{self, TokenFindingDoc};
use super::{Screen, prometheus};
use crate::domain::Invalid;
use crate::domain::check::{Finding, FindingCode, Severity};
use crate::domain::text::shown;
use crate::domain::token::Token;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
    JsonLines,
    Prometheus,
}

pub const FORMATS: [(&str, Format); 4] = [
    ("text", Format::Text),
    ("json", Format::Json),
    ("jsonl", Format::JsonLines),
    ("prometheus", Format::Prometheus),
];

impl FromStr for Format {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let found = FORMATS.iter().find(|(word, _)| *word == text).map(|(_, format)| *format);
        found.ok_or_else(|| Invalid::no_such("format", text, &FORMATS.map(|(word, _)| word)))
    }
}

/// A report that is being written.
pub struct Report<'a> {
    format: Format,
    screen: Screen,
    /// How often each code was found, in the given order.
    counts: Vec<(FindingCode, usize)>,
    metrics: prometheus::Expiries,
    out: &'a mut dyn Write,
}

impl<'a> Report<'a> {
    pub fn new(format: Format, codes: &[FindingCode], screen: Screen, out: &'a mut dyn Write) -> Self {
        let counts = codes.iter().map(|code| (*code, 0)).collect();
        Self { format, screen, counts, metrics: prometheus::Expiries::default(), out }
    }

    /// How many findings there are so far.
    pub fn count(&self) -> usize {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// Writes the findings about a token.
    pub fn token(&mut self, token: &Token, findings: &[Finding]) -> io::Result<()> {
        let mut text = Vec::new();
        if self.format == Format::Prometheus {
            self.metrics.write(token, &mut text);
        }
        for finding in findings {
            match self.format {
                Format::Text => text.extend_from_slice(self.lines(token, finding).as_bytes()),
                Format::Json => {
                    text.extend_from_slice(if self.count() == 0 { b"{\"findings\":[" } else { b"," });
                    json::append(&mut text, &TokenFindingDoc::new(token, finding));
                }
                Format::JsonLines => {
                    json::append(&mut text, &TokenFindingDoc::new(token, finding));
                    text.push(b'\n');
                }
                Format::Prometheus => {}
            }
            for (_, count) in self.counts.iter_mut().filter(|(code, _)| *code == finding.code) {
                *count += 1;
            }
        }
        self.out.write_all(&text)
    }

    /// Ends the report. The summary comes last, since it is known only now.
    pub fn finish(self) -> io::Result<()> {
        match (self.format, self.count()) {
            (Format::Text | Format::JsonLines, _) => {}
            (Format::Json, 0) => self.out.write_all(b"{\"findings\":[],\"ok\":true}\n")?,
            (Format::Json, _) => self.out.write_all(b"],\"ok\":false}\n")?,
            (Format::Prometheus, _) => self.out.write_all(prometheus::findings(&self.counts).as_bytes())?,
        }
        self.out.flush()
    }

    /// `severity: code: message (owner)`, with the hint below it.
    fn lines(&self, token: &Token, finding: &Finding) -> String {
        let style = self.screen.style;
        let (severity, ink) = match finding.code.severity() {
            Severity::Error => ("error:", style.red("error:")),
            Severity::Warning => ("warning:", style.yellow("warning:")),
        };
        let owner = token.owner.as_ref().map(|owner| format!(" (owner: {owner})")).unwrap_or_default();
        let head = format!("{}: {}{owner}", finding.code.word(), finding.message);
        let lines = self.hang(severity, &ink, &shown(&head).to_string());
        let hint =
            self.hang("  hint:", &format!("  {}", style.green("hint:")), &shown(&finding.hint).to_string());
        format!("{lines}\n{hint}\n")
    }

    /// Wraps a text after its heading. The heading is coloured afterwards, since escape sequences take no columns.
    fn hang(&self, heading: &str, coloured: &str, text: &str) -> String {
        let lines = self.screen.hang(&format!("{heading} {text}"));
        lines.strip_prefix(heading).map_or(lines.clone(), |rest| format!("{coloured}{rest}"))
    }
}

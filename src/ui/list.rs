//! A list of tokens, written page by page in one of its formats.

use std::io::{self, Write};
use std::str::FromStr;

use super::column::Chosen;
use super::json;
use super::table::{Cell, Column, Fill, Table};
use super::{Screen, escape};
use crate::domain::Invalid;
use crate::domain::filter::Times;
use crate::domain::text::shown_icon;
use crate::domain::token::Token;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Table,
    Tsv,
    Csv,
    Json,
    JsonLines,
    Names,
}

pub const FORMATS: [(&str, Format); 6] = [
    ("table", Format::Table),
    ("tsv", Format::Tsv),
    ("csv", Format::Csv),
    ("json", Format::Json),
    ("jsonl", Format::JsonLines),
    ("names", Format::Names),
];

impl FromStr for Format {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let found = FORMATS.iter().find(|(word, _)| *word == text).map(|(_, format)| *format);
        found.ok_or_else(|| Invalid::no_such("format", text, &FORMATS.map(|(word, _)| word)))
    }
}

/// A list that is being written.
pub struct List<'a> {
    pub count: usize,
    format: Format,
    columns: Vec<Chosen>,
    table: Table,
    times: Times,
    /// The current page, whose memory is reused for the next one.
    text: Vec<u8>,
    out: &'a mut dyn Write,
}

impl<'a> List<'a> {
    /// A table shows the requested columns, or as many as fit on the screen.
    pub fn new(
        format: Format,
        columns: Option<Vec<Chosen>>,
        times: Times,
        screen: Screen,
        out: &'a mut dyn Write,
    ) -> Self {
        let drops = columns.is_none();
        let default = || if format == Format::Table { Chosen::table() } else { Chosen::separated() };
        let columns = columns.unwrap_or_else(default);
        let mut table = Table::new(screen, headings(&columns, screen));
        table.drops = drops;
        Self { count: 0, format, columns, table, times, text: Vec::new(), out }
    }

    /// Writes a page of tokens, at once.
    pub fn page(&mut self, tokens: &[Token]) -> io::Result<()> {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        if self.count == 0 {
            self.begin(&mut text);
        }
        match self.format {
            Format::Table => self.table(tokens, &mut text),
            Format::Tsv => self.separated(tokens, b'\t', escape::tsv, &mut text),
            Format::Csv => self.separated(tokens, b',', escape::csv, &mut text),
            Format::Json | Format::JsonLines => self.json(tokens, &mut text),
            Format::Names => {
                for token in tokens {
                    escape::tsv(&token.name, &mut text);
                    text.push(b'\n');
                }
            }
        }
        self.count += tokens.len();
        self.text = text;
        self.out.write_all(&self.text)
    }

    /// Ends the list, which may be empty.
    pub fn finish(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        if self.count == 0 {
            self.begin(&mut text);
        }
        if self.format == Format::Json {
            text.extend_from_slice(b"]\n");
        }
        self.out.write_all(&text)?;
        self.out.flush()
    }

    fn begin(&self, text: &mut Vec<u8>) {
        match self.format {
            Format::Csv => {
                let words: Vec<&str> = self.columns.iter().map(|chosen| chosen.0.word).collect();
                text.extend_from_slice(words.join(",").as_bytes());
                text.extend_from_slice(b"\r\n");
            }
            Format::Json => text.push(b'['),
            Format::Table | Format::Tsv | Format::JsonLines | Format::Names => {}
        }
    }

    fn separated(&self, tokens: &[Token], separator: u8, escape: fn(&str, &mut Vec<u8>), text: &mut Vec<u8>) {
        for token in tokens {
            for (at, chosen) in self.columns.iter().enumerate() {
                if at > 0 {
                    text.push(separator);
                }
                escape(&(chosen.0.plain)(token, &self.times), text);
            }
            text.extend_from_slice(if separator == b',' { b"\r\n" } else { b"\n" });
        }
    }

    fn json(&self, tokens: &[Token], text: &mut Vec<u8>) {
        for (at, token) in tokens.iter().enumerate() {
            if self.format == Format::Json && at + self.count > 0 {
                text.push(b',');
            }
            json::append_token(text, token, &self.times);
            if self.format == Format::JsonLines {
                text.push(b'\n');
            }
        }
    }

    fn table(&mut self, tokens: &[Token], text: &mut Vec<u8>) {
        let rows = tokens.iter().map(|token| {
            let cell = |chosen: &Chosen| {
                let icon = chosen.is_name().then(|| icon(token, self.table.screen));
                icon.into_iter().chain([(chosen.0.human)(token, &self.times)])
            };
            self.columns.iter().flat_map(cell).collect()
        });
        let rows = rows.collect();
        let page = if self.count == 0 { self.table.headed(rows) } else { self.table.rows(rows) };
        text.extend_from_slice(page.as_bytes());
    }
}

/// The columns of the table. Icons have a column before the names, so that names are aligned.
fn headings(columns: &[Chosen], screen: Screen) -> Vec<Column> {
    let column = |chosen: &Chosen| {
        let icon = Column { gap: 1, ..Column::new("", Fill::Whole) };
        let fill = match (chosen.0.fill, screen.width) {
            // A long name gets at least a quarter of the screen.
            (Fill::CutMiddle(least), Some(width)) => Fill::CutMiddle(least.max(width / 4)),
            (fill, _) => fill,
        };
        chosen.is_name().then_some(icon).into_iter().chain([Column::new(chosen.0.heading, fill)])
    };
    columns.iter().flat_map(column).collect()
}

/// On the narrowest screens, a name needs all of the room.
fn icon(token: &Token, screen: Screen) -> Cell {
    let shows = !screen.ascii && screen.width.is_none_or(|width| width >= 20);
    let icon = token.icon.as_deref().filter(|_| shows).unwrap_or_default();
    shown_icon(icon).into()
}

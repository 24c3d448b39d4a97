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

/// A list in the making, page by page.
pub struct List {
    /// How many tokens it has.
    pub count: usize,
    format: Format,
    columns: Vec<Chosen>,
    table: Table,
    times: Times,
    page: Paged,
}

/// What was added to a list since the last page.
#[derive(Default)]
struct Paged {
    count: usize,
    text: Vec<u8>,
    rows: Vec<Vec<Cell>>,
}

impl List {
    /// A table shows the requested columns, or as many as fit on the screen.
    pub fn new(format: Format, columns: Option<Vec<Chosen>>, times: Times, screen: Screen) -> Self {
        let drops = columns.is_none();
        let default = || if format == Format::Table { Chosen::table() } else { Chosen::separated() };
        let columns = columns.unwrap_or_else(default);
        let mut table = Table::new(screen, headings(&columns, screen));
        table.drops = drops;
        Self { count: 0, format, columns, table, times, page: Paged::default() }
    }

    /// Adds a token to the page.
    pub fn add(&mut self, token: &Token) {
        if self.count == 0 {
            self.begin();
        }
        match self.format {
            Format::Table => self.page.rows.push(self.row(token)),
            Format::Tsv => self.separated(token, b'\t', escape::tsv),
            Format::Csv => self.separated(token, b',', escape::csv),
            Format::Json | Format::JsonLines => self.json(token),
            Format::Names => {
                escape::tsv(&token.name, &mut self.page.text);
                self.page.text.push(b'\n');
            }
        }
        self.count += 1;
        self.page.count += 1;
    }

    /// Writes these tokens as a page, at once.
    pub fn page<'t>(
        &mut self,
        tokens: impl IntoIterator<Item = &'t Token>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        tokens.into_iter().for_each(|token| self.add(token));
        let mut text = Vec::new();
        self.end_page(&mut text);
        out.write_all(&text)
    }

    /// Moves the text of the page to `to`, which is empty. Its memory is used for the next page.
    pub fn end_page(&mut self, to: &mut Vec<u8>) {
        if !self.page.rows.is_empty() {
            let is_first = self.count == self.page.count;
            let rows = std::mem::take(&mut self.page.rows);
            let lines = if is_first { self.table.headed(rows) } else { self.table.rows(rows) };
            self.page.text.extend_from_slice(lines.as_bytes());
        }
        std::mem::swap(&mut self.page.text, to);
        self.page.count = 0;
    }

    /// Forgets the tokens of the page.
    pub fn drop_page(&mut self) {
        self.count -= self.page.count;
        self.page = Paged::default();
    }

    /// The end of the list, which may be empty.
    pub fn end(&mut self) -> Vec<u8> {
        if self.count == 0 {
            self.begin();
        }
        if self.format == Format::Json {
            self.page.text.extend_from_slice(b"]\n");
        }
        std::mem::take(&mut self.page.text)
    }

    fn begin(&mut self) {
        let text = &mut self.page.text;
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

    fn separated(&mut self, token: &Token, separator: u8, escape: fn(&str, &mut Vec<u8>)) {
        let text = &mut self.page.text;
        for (at, chosen) in self.columns.iter().enumerate() {
            if at > 0 {
                text.push(separator);
            }
            escape(&(chosen.0.plain)(token, &self.times), text);
        }
        text.extend_from_slice(if separator == b',' { b"\r\n" } else { b"\n" });
    }

    fn json(&mut self, token: &Token) {
        let text = &mut self.page.text;
        if self.format == Format::Json && self.count > 0 {
            text.push(b',');
        }
        json::append_token(text, token, &self.times);
        if self.format == Format::JsonLines {
            text.push(b'\n');
        }
    }

    fn row(&self, token: &Token) -> Vec<Cell> {
        let cells = |chosen: &Chosen| {
            let icon = chosen.is_name().then(|| icon(token, self.table.screen));
            icon.into_iter().chain([(chosen.0.human)(token, &self.times)])
        };
        self.columns.iter().flat_map(cells).collect()
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

//! A list of tokens, written page by page in one of its formats.

use std::io::{self, Write};
use std::str::FromStr;

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table, Width};
use unicode_width::UnicodeWidthStr;

use super::column::Chosen;
use super::json::TokenDoc;
use super::{Style, escape};
use crate::domain::Invalid;
use crate::domain::filter::Times;
use crate::domain::token::{Status, Token};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Table,
    Tsv,
    Csv,
    Json,
    JsonLines,
    Names,
}

const FORMATS: [(&str, Format); 6] = [
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

/// A list under way.
pub struct List<'a> {
    pub format: Format,
    pub columns: Vec<Chosen>,
    /// Whether the columns were asked for, so that none may be dropped.
    pub exact: bool,
    pub times: Times,
    /// Columns of the terminal; none: as wide as it gets.
    pub width: Option<u16>,
    pub style: Style,
    pub out: &'a mut dyn Write,
    pub count: usize,
    /// Of the table: how wide each kept column is, decided by the first page.
    widths: Vec<u16>,
}

impl<'a> List<'a> {
    pub fn new(format: Format, columns: Option<Vec<Chosen>>, times: Times, out: &'a mut dyn Write) -> Self {
        let exact = columns.is_some();
        let default = || if format == Format::Table { Chosen::table() } else { Chosen::separated() };
        let columns = columns.unwrap_or_else(default);
        Self {
            format,
            columns,
            exact,
            times,
            width: None,
            style: Style::default(),
            out,
            count: 0,
            widths: Vec::new(),
        }
    }

    /// Writes a page of tokens, at once.
    pub fn page(&mut self, tokens: &[Token]) -> io::Result<()> {
        let mut text = Vec::new();
        if self.count == 0 {
            self.begin(&mut text);
        }
        match self.format {
            Format::Table => self.table(tokens, &mut text),
            Format::Tsv => self.separated(tokens, b'\t', escape::tsv, &mut text),
            Format::Csv => self.separated(tokens, b',', escape::csv, &mut text),
            Format::Json | Format::JsonLines => self.json(tokens, &mut text)?,
            Format::Names => {
                for token in tokens {
                    escape::tsv(&token.name, &mut text);
                    text.push(b'\n');
                }
            }
        }
        self.count += tokens.len();
        self.out.write_all(&text)
    }

    /// Ends the list, which may have had no page.
    pub fn end(&mut self) -> io::Result<()> {
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

    fn json(&self, tokens: &[Token], text: &mut Vec<u8>) -> io::Result<()> {
        for (at, token) in tokens.iter().enumerate() {
            if self.format == Format::Json && at + self.count > 0 {
                text.push(b',');
            }
            serde_json::to_writer(&mut *text, &TokenDoc::new(token, &self.times))?;
            if self.format == Format::JsonLines {
                text.push(b'\n');
            }
        }
        Ok(())
    }

    fn table(&mut self, tokens: &[Token], text: &mut Vec<u8>) {
        let rows: Vec<Vec<String>> = tokens
            .iter()
            .map(|token| self.columns.iter().map(|chosen| (chosen.0.human)(token, &self.times)).collect())
            .collect();
        let first = self.widths.is_empty();
        if first {
            self.fit(&rows);
        }
        let mut table = Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).force_no_tty();
        if self.style.color {
            table.enforce_styling();
        }
        let kept = self.widths.len();
        if first {
            let headings = self.columns.iter().take(kept);
            table
                .set_header(headings.map(|chosen| Cell::new(chosen.0.heading).add_attribute(Attribute::Dim)));
        }
        for (cells, token) in rows.into_iter().zip(tokens) {
            let status = token.status(self.times.at);
            let cells = cells.into_iter().take(kept).zip(&self.columns).map(|(text, chosen)| {
                let cell = Cell::new(text);
                if chosen.0.word == "status" { tint(cell, status) } else { cell }
            });
            let mut row = comfy_table::Row::from(cells.collect::<Vec<_>>());
            row.max_height(1);
            table.add_row(row);
        }
        table.set_constraints(
            self.widths.iter().map(|width| ColumnConstraint::Absolute(Width::Fixed(*width))),
        );
        table.set_truncation_indicator("…");
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        text.extend_from_slice(table.trim_fmt().as_bytes());
        text.push(b'\n');
    }

    /// Decides which columns stay and how wide: as many of the first as the terminal holds, the last one cut.
    fn fit(&mut self, rows: &[Vec<String>]) {
        const GAP: usize = 2;
        const LEAST: usize = 8;
        let widest = |at: usize| {
            let cells = rows.iter().map(|row| row[at].width()).max().unwrap_or(0);
            cells.max(self.columns[at].0.heading.width())
        };
        let limit = self.width.map_or(usize::from(u16::MAX), usize::from);
        let mut used = 0;
        let mut widths = Vec::new();
        // One long name takes no more than half, or what the next two columns leave.
        let others: usize = (1..self.columns.len().min(3)).map(|at| widest(at) + GAP).sum();
        let most = limit.saturating_sub(others).max(limit / 2).max(LEAST).saturating_sub(GAP);
        for at in 0..self.columns.len() {
            let want = if at == 0 { widest(at).min(most) } else { widest(at) };
            let room = limit.saturating_sub(used);
            let enough = want + GAP <= room || (at == 0 && room >= LEAST);
            if enough || self.exact {
                let width = if self.exact { widest(at) } else { want.min(room.saturating_sub(GAP)) } + GAP;
                widths.push(u16::try_from(width).unwrap_or(u16::MAX));
                used += width;
            } else if room > LEAST * 2 && matches!(self.columns[at].0.word, "scopes" | "description") {
                widths.push(u16::try_from(room).unwrap_or(u16::MAX));
                break;
            } else {
                break;
            }
        }
        self.widths = widths;
    }
}

fn tint(cell: Cell, status: Status) -> Cell {
    match status {
        Status::Active => cell.fg(Color::DarkGreen),
        Status::Revoked | Status::Expired => cell.fg(Color::DarkRed),
        Status::Disabled | Status::Pending | Status::Provisional => cell.fg(Color::DarkYellow),
    }
}

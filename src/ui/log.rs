//! The audit log, written page by page in one of its formats.

use std::io::{self, Write};
use std::str::FromStr;

use super::json::{self, EventDoc};
use super::table::{Cell, Column, Fill, Table};
use super::{Screen, escape};
use crate::domain::Invalid;
use crate::domain::changes::Change;
use crate::domain::event::{Event, Subject};
use crate::domain::text::shown;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Table,
    Tsv,
    Csv,
    Json,
    JsonLines,
}

pub const FORMATS: [(&str, Format); 5] = [
    ("table", Format::Table),
    ("tsv", Format::Tsv),
    ("csv", Format::Csv),
    ("json", Format::Json),
    ("jsonl", Format::JsonLines),
];

impl FromStr for Format {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let found = FORMATS.iter().find(|(word, _)| *word == text).map(|(_, format)| *format);
        found.ok_or_else(|| Invalid::no_such("format", text, &FORMATS.map(|(word, _)| word)))
    }
}

const COLUMNS: [Column; 7] = [
    Column::new("SEQ", Fill::Whole),
    Column::new("TIME", Fill::Whole),
    Column::new("ACTION", Fill::Whole),
    Column::new("ABOUT", Fill::Wrap(16)),
    Column::new("BY", Fill::Wrap(8)),
    Column::new("CHANGES", Fill::Wrap(24)),
    Column::new("REASON", Fill::Wrap(20)),
];

/// The fields of a tab- or comma-separated line, in an order that never changes. New fields go to the end.
const FIELDS: [&str; 8] = ["seq", "time", "action", "id", "name", "actor", "reason", "changes"];

/// A log that is being written.
pub struct Log<'a> {
    format: Format,
    screen: Screen,
    table: Table,
    count: usize,
    out: &'a mut dyn Write,
}

impl<'a> Log<'a> {
    pub fn new(format: Format, screen: Screen, out: &'a mut dyn Write) -> Self {
        Self { format, screen, table: Table::new(screen, COLUMNS), count: 0, out }
    }

    /// Writes a page of events, at once.
    pub fn page(&mut self, events: &[Event]) -> io::Result<()> {
        let mut text = Vec::new();
        if self.count == 0 && !events.is_empty() {
            self.begin(&mut text);
        }
        match self.format {
            Format::Table => {
                let rows: Vec<Vec<Cell>> =
                    events.iter().map(|event| cells(event, self.screen).into()).collect();
                let heads = self.count == 0 && !rows.is_empty();
                let rows = if heads { self.table.headed(rows) } else { self.table.rows(rows) };
                text.extend_from_slice(rows.as_bytes());
            }
            Format::Tsv => {
                for event in events {
                    escape::tsv_line(&fields(event).each_ref().map(String::as_str), &mut text);
                }
            }
            Format::Csv => {
                for event in events {
                    for (at, field) in fields(event).iter().enumerate() {
                        if at > 0 {
                            text.push(b',');
                        }
                        escape::csv(field, &mut text);
                    }
                    text.extend_from_slice(b"\r\n");
                }
            }
            Format::Json | Format::JsonLines => {
                for (at, event) in events.iter().enumerate() {
                    if self.format == Format::Json && at + self.count > 0 {
                        text.push(b',');
                    }
                    json::append(&mut text, &EventDoc::new(event));
                    if self.format == Format::JsonLines {
                        text.push(b'\n');
                    }
                }
            }
        }
        self.count += events.len();
        self.out.write_all(&text)
    }

    /// Ends the log, which may be empty.
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
            Format::Csv => text.extend_from_slice(format!("{}\r\n", FIELDS.join(",")).as_bytes()),
            Format::Json => text.push(b'['),
            Format::Table | Format::Tsv | Format::JsonLines => {}
        }
    }
}

/// The id and the name of an event's object.
fn subject(event: &Event) -> (&str, &str) {
    match &event.subject {
        Subject::Token { id, name } => (id, name),
        Subject::Catalogue => ("", "scopes"),
        Subject::Settings => ("", "settings"),
    }
}

fn fields(event: &Event) -> [String; FIELDS.len()] {
    let (id, name) = subject(event);
    let (seq, time, actor) = (event.seq.to_string(), event.time.to_string(), event.actor.display_name());
    let reason = event.reason.clone().unwrap_or_default();
    let changes = in_words(event.changes.iter());
    [seq, time, event.action.clone(), id.to_owned(), name.to_owned(), actor, reason, changes]
}

fn in_words<'a>(changes: impl Iterator<Item = &'a Change>) -> String {
    changes.map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn cells(event: &Event, screen: Screen) -> [Cell; 7] {
    let [seq, time, action, _, name, actor, reason, _] = fields(event);
    // Fields that repeat the line are left out: the name of a new token, and when it was disabled or revoked.
    let tells = |change: &&Change| match &*change.field {
        "name" => change.from.is_some(),
        "disabled_at" | "revoked_at" => change.to.is_none(),
        _ => true,
    };
    let mut changes = in_words(event.changes.iter().filter(tells));
    if screen.ascii {
        changes = changes.replace('→', "->");
    }
    [seq, time, action, name, actor, changes, reason].map(|text| shown(&text).to_string().into())
}

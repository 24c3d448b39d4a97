//! The columns of a list. Each is declared once, with its word, its heading, and the functions that fill it.

use std::str::FromStr;

use super::table::{Cell, Fill};
use super::{Ink, tint};
use crate::domain::Invalid;
use crate::domain::filter::Times;
use crate::domain::text::shown;
use crate::domain::token::{LastUse, Status, Token};
use crate::domain::when::{Timestamp, relative};

pub struct Column {
    pub word: &'static str,
    pub heading: &'static str,
    pub fill: Fill,
    /// For scripts: exact, never cut, and empty if there is no value.
    pub plain: fn(&Token, &Times) -> String,
    /// For people: with relative times, and `-` if there is no value.
    pub human: fn(&Token, &Times) -> Cell,
}

fn joined(items: impl Iterator<Item = impl ToString>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(",")
}

fn exact(instant: Option<Timestamp>) -> String {
    instant.map(|instant| instant.to_string()).unwrap_or_default()
}

fn labels(token: &Token) -> String {
    token.label_words().join(",")
}

fn dash(text: &str) -> Cell {
    if text.is_empty() { "-".into() } else { shown(text).to_string().into() }
}

fn text(text: Option<&String>) -> String {
    text.cloned().unwrap_or_default()
}

fn destination(token: &Token) -> String {
    token.destination.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// In the order of tab- and comma-separated lists, which never changes. New columns go to the end.
pub const COLUMNS: [Column; 15] = [
    Column {
        word: "id",
        heading: "ID",
        fill: Fill::Whole,
        plain: |t, _| t.id.to_string(),
        human: |t, _| t.id.to_string().into(),
    },
    Column {
        word: "name",
        heading: "NAME",
        fill: Fill::CutMiddle(8),
        plain: |t, _| t.name.to_string(),
        human: |t, _| shown(&t.name).to_string().into(),
    },
    Column {
        word: "status",
        heading: "STATUS",
        fill: Fill::Whole,
        plain: |t, at| t.status(at.at).word().to_owned(),
        human: |t, at| {
            let status = t.status(at.at);
            Cell { text: status.word().to_owned(), ink: Some(tint(status)) }
        },
    },
    Column {
        word: "scopes",
        heading: "SCOPES",
        fill: Fill::Cut(12),
        plain: |t, _| joined(t.scopes()),
        human: |t, _| dash(&joined(t.scopes())),
    },
    Column {
        word: "owner",
        heading: "OWNER",
        fill: Fill::Cut(8),
        plain: |t, _| text(t.owner.as_ref()),
        human: |t, _| dash(&text(t.owner.as_ref())),
    },
    Column {
        word: "expires_at",
        heading: "EXPIRES",
        fill: Fill::Whole,
        plain: |t, _| exact(t.expires_at()),
        human: |t, at| match t.expires_at() {
            _ if t.status(at.at) == Status::Revoked => "-".into(),
            Some(end) => {
                Cell { text: relative(end, at.at), ink: t.expires_soon(at.at).then_some(Ink::Yellow) }
            }
            None => "never".into(),
        },
    },
    Column {
        word: "last_used_at",
        heading: "LAST USED",
        fill: Fill::Whole,
        plain: |t, _| exact(t.last_used_at()),
        human: |t, at| match t.last_use(at.usage_since) {
            LastUse::At(time) => relative(time, at.now).into(),
            LastUse::Never => "never".into(),
            LastUse::NotRecorded => "not recorded".into(),
        },
    },
    Column {
        word: "created_at",
        heading: "CREATED",
        fill: Fill::Whole,
        plain: |t, _| exact(Some(t.created_at)),
        human: |t, at| relative(t.created_at, at.now).into(),
    },
    Column {
        word: "created_by",
        heading: "CREATED BY",
        fill: Fill::Cut(8),
        plain: |t, _| t.created_by.clone(),
        human: |t, _| dash(&t.created_by),
    },
    Column {
        word: "labels",
        heading: "LABELS",
        fill: Fill::Cut(12),
        plain: |t, _| labels(t),
        human: |t, _| dash(&labels(t)),
    },
    Column {
        word: "description",
        heading: "DESCRIPTION",
        fill: Fill::Cut(20),
        plain: |t, _| text(t.description.as_ref()),
        human: |t, _| dash(&text(t.description.as_ref())),
    },
    Column {
        word: "hint",
        heading: "SECRET",
        fill: Fill::Whole,
        plain: |t, _| t.face().map(|secret| secret.hint.clone()).unwrap_or_default(),
        human: |t, _| dash(&t.face().map(|secret| secret.hint.clone()).unwrap_or_default()),
    },
    Column {
        word: "allow_from",
        heading: "ALLOWED FROM",
        fill: Fill::Cut(20),
        plain: |t, _| text(t.allow_from.as_ref().map(ToString::to_string).as_ref()),
        human: |t, _| dash(&text(t.allow_from.as_ref().map(ToString::to_string).as_ref())),
    },
    Column {
        word: "due_at",
        heading: "DUE",
        fill: Fill::Whole,
        plain: |t, _| exact(t.due_at()),
        human: |t, at| match t.due_at() {
            Some(due) => Cell { text: relative(due, at.at), ink: t.is_due(at.at).then_some(Ink::Yellow) },
            None => "-".into(),
        },
    },
    Column {
        word: "destination",
        heading: "DESTINATION",
        fill: Fill::Cut(12),
        plain: |t, _| destination(t),
        human: |t, _| dash(&destination(t)),
    },
];

/// How many of them are in a tab- or comma-separated list.
const SEPARATED: usize = 11;

/// The columns of a table, the most important first. A narrow terminal drops the last ones.
pub const TABLE: [&str; 10] = [
    "name",
    "status",
    "expires_at",
    "last_used_at",
    "owner",
    "scopes",
    "id",
    "hint",
    "created_at",
    "description",
];

/// A column, by its word.
#[derive(Clone, Copy)]
pub struct Chosen(pub &'static Column);

impl Chosen {
    pub fn table() -> Vec<Self> {
        TABLE.iter().filter_map(|word| word.parse().ok()).collect()
    }

    pub fn is_name(self) -> bool {
        self.0.word == "name"
    }

    pub fn separated() -> Vec<Self> {
        COLUMNS.iter().take(SEPARATED).map(Self).collect()
    }
}

impl FromStr for Chosen {
    type Err = Invalid;

    /// Parses its word, or the spelling of `--sort`: `last_used_at` or `last-used`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let typed = text.replace('-', "_");
        let is_meant = |column: &&Column| {
            column.word == typed || column.word.strip_suffix("_at").is_some_and(|word| word == typed)
        };
        let found = COLUMNS.iter().find(is_meant).map(Self);
        found.ok_or_else(|| Invalid::no_such("column", text, &COLUMNS.each_ref().map(|column| column.word)))
    }
}

//! `audit`: what happened, and proof that nobody rewrote it.

use std::io::{self, Write};

use clap::{Args, Subcommand};

use crate::app::{App, Outcome, keep_answer};
use crate::cmd::args::select::Reference;
use crate::cmd::args::takes::Takes;
use crate::domain::event::{Anchor, Event, Subject};
use crate::domain::text::shown;
use crate::error::Error;
use crate::store::{FIRST, Store};
use crate::ui::json::{self, AuditDoc, EventDoc, HeadDoc, NamedDoc, ProblemDoc};
use crate::ui::table::{Cell, Column, Fill, Table};
use crate::ui::{Screen, escape};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Audit {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Show only what happened to this token
    #[arg(long, value_name = "NAME", add = Takes::Token)]
    token: Option<Reference>,
}

#[derive(Subcommand)]
enum Verb {
    /// Print the last entry as SEQ:HASH, to be kept elsewhere
    Head,
    /// Check the whole log and every object against it: exit 0 if all is well, 3 if not
    Verify {
        /// Prove that this head, kept elsewhere, is an ancestor
        #[arg(long, alias = "since", value_name = "SEQ:HASH")]
        anchor: Option<Anchor>,
    },
}

impl Audit {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let store = app.open_to_read()?;
        match &self.verb {
            None => self.log(app, &store),
            Some(Verb::Head) => head(app, &store),
            Some(Verb::Verify { anchor }) => verify(app, &store, anchor.as_ref()),
        }
    }

    /// Streams the entries, page by page.
    fn log(&self, app: &mut App<'_>, store: &Store) -> Result<Outcome, Error> {
        let now = app.ctx.machine.now()?;
        let id = match &self.token {
            Some(name) => Some(store.read(|view| name.resolve(view, now))?.id),
            None => None,
        };
        let events = Events { store, token: id.as_deref() };
        let (json, screen) = (app.json(), app.screen());
        app.paged(!json, |out| {
            if json {
                events.documents(out)
            } else if screen.width.is_some() {
                events.table(screen, out)
            } else {
                events.lines(out)
            }
        })?;
        Ok(Outcome::Done)
    }
}

/// The entries of the log, or those about one token.
struct Events<'a> {
    store: &'a Store,
    token: Option<&'a str>,
}

impl Events<'_> {
    /// Writes what `text` makes of each page, and what ends it.
    fn stream(
        &self,
        out: &mut dyn Write,
        mut text: impl FnMut(&[Event], &mut Vec<u8>) -> io::Result<()>,
    ) -> Result<(), Error> {
        let mut from = FIRST;
        loop {
            let page = self.store.read(|view| view.page_of_events(from, self.token))?;
            let mut bytes = Vec::new();
            text(&page, &mut bytes).and_then(|()| out.write_all(&bytes)).map_err(Error::Output)?;
            match page.last().and_then(|last| last.seq.checked_add(1)) {
                Some(next) => from = next,
                None => return out.flush().map_err(Error::Output),
            }
        }
    }

    fn documents(&self, out: &mut dyn Write) -> Result<(), Error> {
        let mut before: &[u8] = b"[";
        self.stream(out, |page, text| {
            for event in page {
                text.extend_from_slice(before);
                json::append(text, &EventDoc::new(event));
                before = b",";
            }
            if page.is_empty() {
                text.extend_from_slice(if before == b"[" { b"[]\n" } else { b"]\n" });
            }
            Ok(())
        })
    }

    /// For people.
    fn table(&self, screen: Screen, out: &mut dyn Write) -> Result<(), Error> {
        let mut table = Table::new(screen, COLUMNS);
        let mut first = true;
        self.stream(out, |page, text| {
            let rows: Vec<Vec<Cell>> = page.iter().map(|event| cells(event).into()).collect();
            let heads = std::mem::take(&mut first) && !rows.is_empty();
            let rows = if heads { table.headed(rows) } else { table.rows(rows) };
            text.extend_from_slice(rows.as_bytes());
            Ok(())
        })
    }

    /// For scripts: sequence, time, action, id, name, actor, reason.
    fn lines(&self, out: &mut dyn Write) -> Result<(), Error> {
        self.stream(out, |page, text| {
            for event in page {
                let (id, name) = subject(event);
                let (seq, time) = (event.seq.to_string(), event.time.to_string());
                let (actor, reason) = (event.actor.display_name(), event.reason.as_deref());
                let fields = [&seq, &time, &*event.action, id, name, &actor, reason.unwrap_or_default()];
                escape::tsv_line(&fields, text);
            }
            Ok(())
        })
    }
}

const COLUMNS: [Column; 6] = [
    Column::new("SEQ", Fill::Whole),
    Column::new("TIME", Fill::Whole),
    Column::new("ACTION", Fill::Whole),
    Column::new("ABOUT", Fill::Wrap(16)),
    Column::new("BY", Fill::Wrap(8)),
    Column::new("REASON", Fill::Wrap(20)),
];

/// What an event is about: id and name.
fn subject(event: &Event) -> (&str, &str) {
    match &event.subject {
        Subject::Token { id, name } => (id, name),
        Subject::Catalogue => ("", "scopes"),
        Subject::Settings => ("", "settings"),
    }
}

fn cells(event: &Event) -> [Cell; 6] {
    let (_, name) = subject(event);
    let (seq, time, actor) = (event.seq.to_string(), event.time.to_string(), event.actor.display_name());
    [&seq, &time, &*event.action, name, &actor, event.reason.as_deref().unwrap_or_default()]
        .map(|text| shown(text).to_string().into())
}

fn head(app: &mut App<'_>, store: &Store) -> Result<Outcome, Error> {
    let anchor = store.read(|view| view.anchor())?;
    if app.json() {
        app.print_json(&HeadDoc::new(&anchor))?;
    } else {
        app.print(&format!("{anchor}\n"))?;
    }
    Ok(Outcome::Done)
}

fn verify(app: &mut App<'_>, store: &Store, anchor: Option<&Anchor>) -> Result<Outcome, Error> {
    let now = app.ctx.machine.now()?;
    let report = store.audit(anchor, now, &mut |step| app.step(&step))?;
    let printed = if app.json() {
        let problem = report.first_bad.as_ref().map(|bad| ProblemDoc { seq: bad.seq, problem: &bad.problem });
        let named = report.rows.iter().map(|row| NamedDoc { id: row.id.as_deref(), name: &row.name });
        app.print_json(&AuditDoc {
            ok: report.is_ok(),
            events: report.events,
            head: HeadDoc::new(&report.head),
            database: &report.database,
            first_bad: problem,
            rows: named.collect(),
        })
    } else {
        let mut text = String::new();
        for problem in &report.database {
            text.push_str(&format!("database: {}\n", shown(problem)));
        }
        if let Some(bad) = &report.first_bad {
            text.push_str(&format!("entry {}: {}\n", bad.seq, shown(&bad.problem)));
        }
        for row in &report.rows {
            let id = row.id.as_ref().map(|id| format!(" ({})", shown(id))).unwrap_or_default();
            text.push_str(&format!("`{}`{id} is not what its last event says\n", shown(&row.name)));
        }
        if report.is_ok() {
            text.push_str(&format!("ok {}\n", report.head));
        }
        app.print(&text)
    };
    keep_answer(printed)?;
    Ok(if report.is_ok() { Outcome::Done } else { Outcome::No })
}

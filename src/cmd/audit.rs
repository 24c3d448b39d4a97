//! `audit`: what happened, and proof that nobody rewrote it.

use clap::{Args, Subcommand};

use super::select::Reference;
use super::{App, Outcome};
use crate::domain::event::{Anchor, Event, Subject};
use crate::domain::text::shown;
use crate::error::Error;
use crate::store::Store;
use crate::ui::escape;
use crate::ui::json::{AuditDoc, EventDoc, HeadDoc, NamedDoc, ProblemDoc};
use crate::ui::table::{Cell, Column, Fill, Table};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Audit {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Show only what happened to this token
    #[arg(long, value_name = "NAME")]
    token: Option<Reference>,
}

#[derive(Subcommand)]
enum Verb {
    /// Print the last entry as SEQ:HASH, to be kept elsewhere
    Head,
    /// Check the whole log and every object against it: exit 0 if all is well, 3 if not
    Verify {
        /// Prove that this head, kept elsewhere, is an ancestor
        #[arg(long, value_name = "SEQ:HASH")]
        since: Option<Anchor>,
    },
}

impl Audit {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let store = app.open_to_read()?;
        match &self.verb {
            None => self.log(app, &store),
            Some(Verb::Head) => head(app, &store),
            Some(Verb::Verify { since }) => verify(app, &store, since.as_ref()),
        }
    }

    /// Streams the entries, page by page.
    fn log(&self, app: &mut App<'_>, store: &Store) -> Result<Outcome, Error> {
        let now = app.ctx.machine.now()?;
        let id = match &self.token {
            Some(name) => Some(store.read(|view| name.resolve(view, now))?.id),
            None => None,
        };
        let json = app.json();
        let mut table = (app.ctx.terminal.stdout && !json).then(|| Table::new(app.screen(), COLUMNS));
        let mut seq = 0;
        let mut text = if json { b"[".to_vec() } else { Vec::new() };
        loop {
            let page = store.read(|view| view.events_after(seq, id.as_deref()))?;
            let Some(last) = page.last() else { break };
            if let Some(table) = &mut table {
                let rows = page.iter().map(|event| row(event).into()).collect();
                let page = if seq == 0 { table.headed(rows) } else { table.rows(rows) };
                text.extend_from_slice(page.as_bytes());
            }
            for event in page.iter().filter(|_| table.is_none()) {
                if json {
                    if seq > 0 || event.seq != page[0].seq {
                        text.push(b',');
                    }
                    serde_json::to_writer(&mut text, &EventDoc::new(event))
                        .map_err(|err| Error::Output(err.into()))?;
                } else {
                    line(event, &mut text);
                }
            }
            seq = last.seq;
            app.ctx.stdout.write_all(&text).map_err(Error::Output)?;
            text.clear();
        }
        if json {
            text.extend_from_slice(b"]\n");
        }
        app.ctx.stdout.write_all(&text).and_then(|()| app.ctx.stdout.flush()).map_err(Error::Output)?;
        Ok(Outcome::Done)
    }
}

const COLUMNS: [Column; 6] = [
    Column::new("SEQ", Fill::Whole),
    Column::new("TIME", Fill::Whole),
    Column::new("ACTION", Fill::Whole),
    Column::new("OF", Fill::Wrap(16)),
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

/// For people.
fn row(event: &Event) -> [Cell; 6] {
    let (_, name) = subject(event);
    let (seq, time, actor) = (event.seq.to_string(), event.time.to_string(), event.actor.display_name());
    [&seq, &time, event.action.as_str(), name, &actor, event.reason.as_deref().unwrap_or_default()]
        .map(|text| shown(text).to_string().into())
}

/// For scripts: sequence, time, action, id, name, actor, reason.
fn line(event: &Event, text: &mut Vec<u8>) {
    let (id, name) = subject(event);
    let (seq, time, actor) = (event.seq.to_string(), event.time.to_string(), event.actor.display_name());
    let reason = event.reason.as_deref().unwrap_or_default();
    let cells = [&seq, &time, event.action.as_str(), id, name, &actor, reason];
    escape::tsv_line(&cells, text);
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

fn verify(app: &mut App<'_>, store: &Store, since: Option<&Anchor>) -> Result<Outcome, Error> {
    let now = app.ctx.machine.now()?;
    let report = store.audit(since, now)?;
    let printed = if app.json() {
        let problem = report.first_bad.as_ref().map(|bad| ProblemDoc { seq: bad.seq, problem: &bad.problem });
        let named = report.rows.iter().map(|row| NamedDoc { id: row.id.as_deref(), name: &row.name });
        app.print_json(&AuditDoc {
            ok: report.is_ok(),
            events: report.events,
            head: HeadDoc::new(&report.head),
            first_bad: problem,
            rows: named.collect(),
        })
    } else {
        let mut text = String::new();
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
    super::keep_answer(printed)?;
    Ok(if report.is_ok() { Outcome::Done } else { Outcome::No })
}

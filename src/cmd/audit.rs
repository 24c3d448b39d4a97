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
        let (json, terminal) = (app.json(), app.ctx.terminal.stdout);
        let mut seq = 0;
        let mut text = if json { b"[".to_vec() } else { Vec::new() };
        loop {
            let page = store.read(|view| view.events_after(seq, id.as_deref()))?;
            let Some(last) = page.last() else { break };
            for event in &page {
                if json {
                    if seq > 0 || event.seq != page[0].seq {
                        text.push(b',');
                    }
                    serde_json::to_writer(&mut text, &EventDoc::new(event))
                        .map_err(|err| Error::Output(err.into()))?;
                } else {
                    line(event, terminal, &mut text);
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

/// Sequence, time, action, id, name, actor, reason: by tabs for scripts, aligned for people.
fn line(event: &Event, terminal: bool, text: &mut Vec<u8>) {
    let (id, name) = match &event.subject {
        Subject::Token { id, name } => (id.as_str(), name.as_str()),
        Subject::Catalogue => ("", "scopes"),
        Subject::Settings => ("", "settings"),
    };
    let (seq, time, actor) = (event.seq.to_string(), event.time.to_string(), event.actor.display_name());
    let reason = event.reason.as_deref().unwrap_or_default();
    if terminal {
        let (name, actor) = (shown(name).to_string(), shown(&actor).to_string());
        let line = format!(
            "{seq:>6}  {time}  {:<14} {name:<20} {actor:<12} {}",
            shown(&event.action).to_string(),
            shown(reason)
        );
        text.extend_from_slice(line.trim_end().as_bytes());
    } else {
        for (at, cell) in
            [&seq, &time, event.action.as_str(), id, name, &actor, reason].into_iter().enumerate()
        {
            if at > 0 {
                text.push(b'\t');
            }
            escape::tsv(cell, text);
        }
    }
    text.push(b'\n');
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
    let report = store.audit(since, now, &mut |step| app.step(&step))?;
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

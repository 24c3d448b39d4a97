//! `audit`: the log of changes, and proof that nobody rewrote it.

mod log;

use clap::{Args, Subcommand};

use crate::app::{App, Outcome, keep_answer};
use crate::domain::event::Anchor;
use crate::domain::text::shown;
use crate::error::Error;
use crate::store::Store;
use crate::ui::json::{AuditDoc, HeadDoc, NamedDoc, ProblemDoc};
use log::LogArgs;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Audit {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Subcommand)]
enum Verb {
    /// Print the last event as SEQ:HASH, to keep in another place
    Head,
    /// Check the log, and every object against it; exit 3 on a mismatch
    Verify {
        /// Check that the log continues from this head, which was kept in another place
        #[arg(long, alias = "since", value_name = "SEQ:HASH")]
        anchor: Option<Anchor>,
    },
}

impl Audit {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let store = app.open_to_read()?;
        match &self.verb {
            None => self.log.run(app, &store),
            Some(Verb::Head) => head(app, &store),
            Some(Verb::Verify { anchor }) => verify(app, &store, anchor.as_ref()),
        }
    }
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
            text.push_str(&format!("`{}`{id} does not match its last event\n", shown(&row.name)));
        }
        if report.is_ok() {
            text.push_str(&format!("ok {}\n", report.head));
        }
        app.print(&text)
    };
    keep_answer(printed)?;
    Ok(if report.is_ok() { Outcome::Done } else { Outcome::No })
}

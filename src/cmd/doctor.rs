//! `doctor`: checks everything that can be wrong with a store, and repairs what can be repaired without data
//! loss.

use clap::Args;

use crate::app::{App, Outcome, keep_answer};
use crate::cmd::args::change::ChangeArgs;
use crate::deliver::Missing;
use crate::domain::event::Author;
use crate::domain::text::shown;
use crate::error::Error;
use crate::store::{self, Finding, Severity};
use crate::ui::json::{DoctorDoc, FindingDoc};

#[derive(Args)]
pub struct Doctor {
    /// Repair what can be repaired without data loss
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Doctor {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let author = self.change.author(app);
        let found = examine(app, &author)?;
        let repairable = found.iter().filter(|it| it.repairable).count();
        let left = if self.repair && repairable > 0 {
            app.confirm(&format!("repair {repairable} of {} findings?", found.len()))?;
            store::repair(&app.location()?)?;
            // Opening the store for writing rolls back a journal and settles killed deliveries.
            app.open_and_recover(&author, Missing::Gone)?;
            Some(examine(app, &author)?)
        } else {
            None
        };
        let is_left =
            |it: &Finding| left.as_ref().is_none_or(|left| left.iter().any(|other| other.is_same(it)));
        let (printed, ok) = (report(app, &found, is_left), !found.iter().any(is_left));
        keep_answer(printed)?;
        Ok(if ok { Outcome::Done } else { Outcome::No })
    }
}

fn examine(app: &mut App<'_>, author: &Author) -> Result<Vec<Finding>, Error> {
    let (now, location) = (app.ctx.machine.now()?, app.location()?);
    store::examine(&location, author.actor.uid, now, &mut |step| app.step(&step))
}

fn report(app: &mut App<'_>, found: &[Finding], is_left: impl Fn(&Finding) -> bool) -> Result<(), Error> {
    let word = |severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    if app.json() {
        let documents = found.iter().map(|it| FindingDoc {
            code: it.code,
            severity: word(it.severity),
            message: &it.message,
            repairable: it.repairable,
            repaired: !is_left(it),
        });
        return app.print_json(&DoctorDoc { ok: !found.iter().any(&is_left), findings: documents.collect() });
    }
    let mut text = String::new();
    for it in found {
        let severity = if is_left(it) { word(it.severity) } else { "repaired" };
        let line = format!("{severity}: {}: {}", it.code, shown(&it.message));
        text.push_str(&format!("{}\n", app.screen().hang(&line)));
    }
    if found.is_empty() {
        text.push_str("ok\n");
    }
    app.print(&text)
}

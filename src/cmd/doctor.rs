//! `doctor`: everything that can be wrong with a store, looked at.

use clap::Args;

use super::{App, Outcome};
use crate::domain::text::shown;
use crate::error::Error;
use crate::store::{self, Severity};
use crate::ui::json::{DoctorDoc, FindingDoc};

/// Look for damage, unsafe files, leftovers and broken rules: exit 3 if there is any
#[derive(Args)]
pub struct Doctor {}

impl Doctor {
    #[expect(clippy::unused_self, reason = "every verb runs alike")]
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let location = app.location()?;
        let now = app.ctx.machine.now()?;
        let findings = store::examine(&location, app.ctx.machine.actor().uid, now)?;
        let ok = findings.is_empty();
        let word = |severity| match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let printed = if app.json() {
            let documents = findings.iter().map(|it| FindingDoc {
                code: it.code,
                severity: word(it.severity),
                message: &it.message,
                repairable: it.repairable,
                repaired: false,
            });
            app.print_json(&DoctorDoc { ok, findings: documents.collect() })
        } else {
            let mut text = String::new();
            for it in &findings {
                text.push_str(&format!("{}: {}: {}\n", word(it.severity), it.code, shown(&it.message)));
            }
            if ok {
                text.push_str("ok\n");
            }
            app.print(&text)
        };
        super::keep_answer(printed)?;
        Ok(if ok { Outcome::Done } else { Outcome::No })
    }
}

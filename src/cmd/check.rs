//! `check`: reports tokens that need attention.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::app::{App, Outcome, check_replaceable, keep_answer, replace_file};
use crate::cmd::args::select::{FilterArgs, filtered, known_scopes};
use crate::cmd::args::takes::Takes;
use crate::domain::check::{Exam, FindingCode, examine};
use crate::domain::filter::Filter;
use crate::domain::when::{Span, Timestamp};
use crate::error::Error;
use crate::store::Store;
use crate::ui::Screen;
use crate::ui::findings::{Format, Report};

#[derive(Args)]
pub struct Check {
    #[command(flatten)]
    filter: FilterArgs,
    /// Report tokens that expire within this time, once more than half of their lifetime is over
    #[arg(long, value_name = "DURATION", default_value = "14d")]
    window: Span,
    #[arg(long, value_name = "CODE,…", value_delimiter = ',', help = codes(), add = Takes::Finding)]
    only: Vec<FindingCode>,
    /// Leave out findings with these codes
    #[arg(long, value_name = "CODE,…", value_delimiter = ',', add = Takes::Finding)]
    skip: Vec<FindingCode>,
    /// Print text, json, jsonl or prometheus [default: text]
    #[arg(long, value_name = "FORMAT", add = Takes::Format)]
    format: Option<Format>,
    /// Write the report to this file, which is replaced atomically
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
}

fn codes() -> String {
    format!("Report only findings with these codes: {}", FindingCode::ALL.map(FindingCode::word).join(", "))
}

impl Check {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let format = app.format(self.format, Format::Json)?.unwrap_or(Format::Text);
        let store = app.open_to_read()?;
        let now = app.ctx.machine.now()?;
        let (screen, mut found) = (app.screen(), 0);
        match &self.out {
            Some(path) => {
                check_replaceable(path, store.path())?;
                let plain = Screen::default();
                replace_file(path, |out| self.report(&store, now, format, plain, out, &mut found))?;
            }
            None if app.quiet() => {
                self.report(&store, now, format, screen, &mut std::io::sink(), &mut found)?;
            }
            None => {
                let is_text = format == Format::Text;
                let write = |out: &mut dyn Write| self.report(&store, now, format, screen, out, &mut found);
                keep_answer(app.paged(is_text, write))?;
                if found == 0 && is_text && app.ctx.terminal.stdout {
                    app.talk().note("no findings");
                }
            }
        }
        Ok(if found > 0 && format != Format::Prometheus { Outcome::No } else { Outcome::Done })
    }

    /// Examines the tokens page by page. `found` counts the findings, even if their reader stops early.
    fn report(
        &self,
        store: &Store,
        now: Timestamp,
        format: Format,
        screen: Screen,
        out: &mut dyn Write,
        found: &mut usize,
    ) -> Result<(), Error> {
        let codes = self.codes();
        let filter = Filter { all: true, ..self.filter.filter() };
        let catalogue = known_scopes(store, &filter.scopes)?;
        let scopes_since = store.scope_usage_since();
        let exam = Exam { times: store.times(now), window: self.window, scopes_since };
        let mut report = Report::new(format, &codes, screen, out);
        filtered(store, &filter, &catalogue, now, now, |page| {
            for token in page {
                let findings = examine(&token, &exam, &codes);
                *found += findings.len();
                report.token(&token, &findings).map_err(Error::Output)?;
            }
            Ok(())
        })?;
        report.finish().map_err(Error::Output)
    }

    fn codes(&self) -> Vec<FindingCode> {
        let is_wanted = |code: &FindingCode| {
            (self.only.is_empty() || self.only.contains(code)) && !self.skip.contains(code)
        };
        FindingCode::ALL.into_iter().filter(is_wanted).collect()
    }
}

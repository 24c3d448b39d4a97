//! `scan`: finds the store's secrets in files, folders and streams.

mod revoke;
mod search;

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use crate::app::{App, Outcome};
use crate::cmd::args::change::ChangeArgs;
use crate::domain::Invalid;
use crate::error::Error;
use crate::scan::{Finder, Known, Walk};
use crate::store::{FIRST, Store};
use crate::ui::leaks::Format;
use search::Search;

#[derive(Args)]
pub struct Scan {
    /// Files and folders to search; `-` reads standard input
    #[arg(value_name = "PATH", required = true, value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    /// Search hidden files and folders too
    #[arg(long)]
    hidden: bool,
    /// Also search files that are excluded by ignore files
    #[arg(long)]
    no_ignore: bool,
    /// Search binary files in folders too
    #[arg(long)]
    binary: bool,
    /// Print text, json or jsonl [default: text]
    #[arg(long, value_name = "FORMAT", value_enum, hide_possible_values = true)]
    format: Option<Format>,
    /// Revoke the token of each working secret that is found; if the secret is a previous one, only the secret
    #[arg(long)]
    revoke: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Scan {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let format = app.format(self.format, Format::Json)?.unwrap_or(Format::Text);
        if self.revoke && !app.assumes_yes() && !app.can_ask() {
            return Err(Error::InputNeeded(
                Invalid::new("`--revoke` asks before it revokes anything").hint("pass `--yes` to confirm"),
            ));
        }
        let store = app.open_to_read()?;
        let now = app.ctx.machine.now()?;
        let finder = Finder::new(adopted(&store)?);
        let mut search = Search::new(app, &store, &finder, now, format);
        let (streams, paths): (Vec<PathBuf>, Vec<PathBuf>) =
            self.paths.iter().cloned().partition(|path| path == Path::new("-"));
        if !streams.is_empty() {
            search.stream()?;
        }
        let walks = paths.iter().any(|path| path.is_dir());
        search.walk(&Walk { paths, hidden: self.hidden, ignored: self.no_ignore, binary: self.binary })?;
        let found = search.finish()?;
        if walks && !(self.hidden && self.no_ignore) {
            app.talk().note(&self.not_searched());
        }
        drop(store);
        if self.revoke && !found.working.is_empty() {
            revoke::revoke(app, &self.change.author(app), &found.working)?;
        }
        found.outcome(app)
    }

    fn not_searched(&self) -> String {
        let (what, flags) = match (self.hidden, self.no_ignore) {
            (true, _) => ("what ignore files exclude was", "`--no-ignore`"),
            (_, true) => ("hidden files were", "`--hidden`"),
            _ => ("hidden files and what ignore files exclude were", "`--hidden` and `--no-ignore`"),
        };
        format!("{what} not searched; see {flags}")
    }
}

/// The adopted secrets, which cannot be recognized by their form.
fn adopted(store: &Store) -> Result<Vec<Known>, Error> {
    let mut all = Vec::new();
    let mut after = FIRST;
    loop {
        let page = store.read(|view| view.adopted_after(after))?;
        let Some((last, ..)) = page.last() else { return Ok(all) };
        after = *last;
        all.extend(page.into_iter().map(|(_, hash, hint)| Known { hash, hint }));
    }
}

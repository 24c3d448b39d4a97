//! `prune`: removes what has ended for good. The log keeps what happened to it.

use std::collections::BTreeSet;

use clap::Args;

use crate::app::{App, Outcome};
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::select::TargetArgs;
use crate::domain::prune::Pruned;
use crate::domain::token::Token;
use crate::domain::when::{Span, Timestamp};
use crate::error::Error;
use crate::store::{Store, StoreError};
use crate::ui::json::{PruneDoc, PrunedDoc};

#[derive(Args)]
pub struct Prune {
    #[command(flatten)]
    targets: TargetArgs,
    /// Only what ended longer ago than this
    #[arg(long, value_name = "DURATION")]
    older_than: Option<Span>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// A token before it is pruned, and what is left of it.
type Found = (Token, Option<Token>);

impl Prune {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        self.targets.check_optional()?;
        let author = self.change.author(app);
        let rehearsal = &self.targets.rehearsal;
        let store = if rehearsal.dry_run { app.open_to_read()? } else { app.open_to_write(&author)? };
        let now = app.ctx.machine.now()?;
        let found = self.find(&store, now)?;
        rehearsal.expect(found.len())?;
        if rehearsal.dry_run || found.is_empty() {
            return self.answer(app, &found, false, now);
        }
        app.confirm(&format!("{}?", words("remove", &found)))?;
        let size = store.bytes();
        store.write(&*app.ctx.machine, &author, |tx| {
            for (before, after) in &found {
                tx.prune(before, after.as_ref())?;
            }
            Ok::<_, Error>(())
        })?;
        let done = self.answer(app, &found, true, now)?;
        say_size(app, &store, size);
        Ok(done)
    }

    /// What goes, of the tokens that are chosen.
    fn find(&self, store: &Store, now: Timestamp) -> Result<Vec<Found>, Error> {
        let until = self.older_than.map_or(now, |span| now.minus(span));
        let hooked: BTreeSet<i64> = store.read(|view| view.tokens_with_hooks())?;
        let mut found = Vec::new();
        self.targets.each(store, now, |token| {
            if hooked.contains(&token.row) {
                return;
            }
            match token.pruned(until, now) {
                Pruned::Nothing => {}
                Pruned::Secrets(left) => found.push((token, Some(*left))),
                Pruned::Whole => found.push((token, None)),
            }
        })?;
        found.sort_by(|a, b| (&a.0.name, &a.0.id).cmp(&(&b.0.name, &b.0.id)));
        Ok(found)
    }

    fn answer(
        &self,
        app: &mut App<'_>,
        found: &[Found],
        changed: bool,
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        let dry_run = self.targets.rehearsal.dry_run;
        if app.json() {
            let tokens = found.iter().map(|(before, after)| PrunedDoc {
                id: &before.id,
                name: &before.name,
                status: before.status(now).word(),
                removed: after.is_none(),
                secrets: lost(before, after.as_ref()),
            });
            app.print_json(&PruneDoc { changed, dry_run, count: found.len(), tokens: tokens.collect() })?;
            return Ok(Outcome::Done);
        }
        if dry_run {
            for (before, after) in found {
                let secrets = lost(before, after.as_ref());
                let what = if after.is_none() { "the token" } else { "secrets" };
                app.print(&format!(
                    "{}\t{}\t{}\t{what}\t{secrets}\n",
                    before.id,
                    before.name,
                    before.status(now).word()
                ))?;
            }
        }
        app.talk().note(&match (found.is_empty(), changed) {
            (true, _) => "nothing is left to be removed; nothing was changed".to_owned(),
            (false, true) => words("removed", found),
            (false, false) => format!("{}; nothing was changed", words("it would remove", found)),
        });
        Ok(Outcome::Done)
    }
}

/// Gives room back to the file system, and says why where the file is no smaller than it was.
fn say_size(app: &mut App<'_>, store: &Store, before: u64) {
    let why = match store.shrink() {
        Ok(()) if store.bytes() < before => return,
        Ok(()) => "the log keeps the events of what was removed".to_owned(),
        // What such an error says of the store is true of its size alone.
        Err(StoreError::Io { what, .. }) => what,
        Err(err) => err.to_string(),
    };
    app.talk().note(&format!("the file has not become smaller: {why}"));
}

/// How many secrets go.
fn lost(before: &Token, after: Option<&Token>) -> usize {
    before.secrets.len() - after.map_or(0, |after| after.secrets.len())
}

fn words(verb: &str, found: &[Found]) -> String {
    let tokens = found.iter().filter(|(_, after)| after.is_none()).count();
    let secrets: usize =
        found.iter().filter_map(|(before, after)| Some(lost(before, Some(after.as_ref()?)))).sum();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    format!("{verb} {} and {} of others", plural(tokens, "token"), plural(secrets, "ended secret"))
}

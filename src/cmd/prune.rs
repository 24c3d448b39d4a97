//! `prune`: removes revoked and expired tokens and superseded secrets. The log keeps their events.

use std::collections::BTreeSet;

use clap::Args;

use crate::app::{App, Outcome};
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::select::TargetArgs;
use crate::domain::digest::{Digest, Form};
use crate::domain::name::{Name, TokenId};
use crate::domain::prune::Pruned;
use crate::domain::when::{Span, Timestamp};
use crate::error::Error;
use crate::store::{Store, StoreError};
use crate::ui::json::{PruneDoc, PrunedDoc};

#[derive(Args)]
pub struct Prune {
    #[command(flatten)]
    targets: TargetArgs,
    /// Remove only what was revoked or expired longer ago than this
    #[arg(long, value_name = "DURATION")]
    older_than: Option<Span>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// A token of which something is removed. There may be very many, so each takes little memory.
struct Found {
    row: i64,
    /// The digest of the token when it was examined.
    digest: Digest,
    id: TokenId,
    name: Name,
    status: &'static str,
    whole: bool,
    /// How many secrets are removed.
    secrets: usize,
}

impl Prune {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        self.targets.check_optional()?;
        let author = self.change.author(app);
        let rehearsal = &self.targets.rehearsal;
        let store = if rehearsal.dry_run { app.open_to_read()? } else { app.open_to_write(&author)? };
        let now = app.ctx.machine.now()?;
        let until = self.older_than.map_or(now, |span| now.minus(span));
        let found = self.find(&store, until, now)?;
        rehearsal.expect(found.len())?;
        if rehearsal.dry_run || found.is_empty() {
            return self.answer(app, &found, false);
        }
        app.confirm(&format!("{}?", words("remove", &found)))?;
        let size = store.bytes();
        store.keep_pages()?;
        store.write(&*app.ctx.machine, &author, |tx| {
            found.iter().try_for_each(|it| tx.prune(it.row, &it.digest, until, now))
        })?;
        let done = self.answer(app, &found, true)?;
        say_size(app, &store, size);
        Ok(done)
    }

    /// What is removed of the selected tokens.
    fn find(&self, store: &Store, until: Timestamp, now: Timestamp) -> Result<Vec<Found>, Error> {
        let hooked: BTreeSet<i64> = store.read(|view| view.tokens_with_hooks())?;
        let mut found = Vec::new();
        self.targets.each(store, now, |token| {
            let left = match token.pruned(until, now) {
                _ if hooked.contains(&token.row) => return,
                Pruned::Nothing => return,
                Pruned::Secrets(left) => Some(left),
                Pruned::Whole => None,
            };
            found.push(Found {
                row: token.row,
                digest: Form::Two.token(&token),
                status: token.status(now).word(),
                whole: left.is_none(),
                secrets: token.secrets.len() - left.map_or(0, |left| left.secrets.len()),
                id: token.id,
                name: token.name,
            });
        })?;
        found.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(found)
    }

    fn answer(&self, app: &mut App<'_>, found: &[Found], changed: bool) -> Result<Outcome, Error> {
        let dry_run = self.targets.rehearsal.dry_run;
        if app.json() {
            let tokens = found.iter().map(|it| PrunedDoc {
                id: &it.id,
                name: &it.name,
                status: it.status,
                removed: it.whole,
                secrets: it.secrets,
            });
            app.print_json(&PruneDoc { changed, dry_run, count: found.len(), tokens: tokens.collect() })?;
            return Ok(Outcome::Done);
        }
        if dry_run {
            for it in found {
                let what = if it.whole { "the token" } else { "secrets" };
                app.print(&format!("{}\t{}\t{}\t{what}\t{}\n", it.id, it.name, it.status, it.secrets))?;
            }
        }
        app.talk().note(&match (found.is_empty(), changed) {
            (true, _) => "there is nothing to remove; nothing was changed".to_owned(),
            (false, true) => words("removed", found),
            (false, false) => format!("{}; nothing was changed", words("it would remove", found)),
        });
        Ok(Outcome::Done)
    }
}

/// Returns free space to the file system, and warns if the file has not become smaller.
fn say_size(app: &mut App<'_>, store: &Store, before: u64) {
    let why = match store.shrink() {
        Ok(()) if store.bytes() < before => return,
        Ok(()) => "the log keeps the events of what was removed".to_owned(),
        // Such an error concerns only the size of the file.
        Err(StoreError::Io { what, .. }) => what,
        Err(err) => err.to_string(),
    };
    app.talk().note(&format!("the file has not become smaller: {why}"));
}

fn words(verb: &str, found: &[Found]) -> String {
    let tokens = found.iter().filter(|it| it.whole).count();
    let secrets: usize = found.iter().filter(|it| !it.whole).map(|it| it.secrets).sum();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    format!("{verb} {} and {} of others", plural(tokens, "token"), plural(secrets, "ended secret"))
}

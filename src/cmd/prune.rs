//! `prune`: removes revoked and expired tokens and superseded secrets. The log keeps their events.

use std::collections::BTreeSet;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::app::{App, Outcome};
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::select::TargetArgs;
use crate::domain::digest::{Digest, Form};
use crate::domain::prune::Pruned;
use crate::domain::token::Token;
use crate::domain::when::{Span, Timestamp};
use crate::error::Error;
use crate::store::{Listed, OneListed, Order, Store, StoreError};
use crate::ui::json::{self, ManyWriter, PrunedDoc};

#[derive(Args)]
pub struct Prune {
    #[command(flatten)]
    targets: TargetArgs,
    /// Remove only tokens and secrets that were revoked or expired longer ago than this
    #[arg(long, value_name = "DURATION")]
    older_than: Option<Span>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// What of a token is removed, and the digest of the token when it was examined.
#[derive(Serialize, Deserialize)]
struct Note {
    digest: String,
    status: String,
    whole: bool,
    secrets: usize,
}

/// The tokens of which something is removed. There may be very many.
struct Removals {
    list: Listed,
    whole: usize,
    /// Superseded secrets of tokens that stay.
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
        let removals = self.find(&store, until, now)?;
        rehearsal.expect(removals.list.count)?;
        if rehearsal.dry_run || removals.list.count == 0 {
            return self.report(app, &removals, false);
        }
        app.confirm(&format!("{}?", removals.words("remove")))?;
        let size = store.bytes();
        store.keep_pages()?;
        store.write(&*app.ctx.machine, &author, |tx| {
            removals.each(|it, note| {
                let digest = Digest::from_hex(&note.digest).map_err(|_| StoreError::Changed)?;
                Ok(tx.prune(it.row, &digest, until, now)?)
            })
        })?;
        let done = self.report(app, &removals, true)?;
        shrink(app, &store, size);
        Ok(done)
    }

    /// What is removed of the selected tokens.
    fn find(&self, store: &Store, until: Timestamp, now: Timestamp) -> Result<Removals, Error> {
        let hooked: BTreeSet<i64> = store.read(|view| view.tokens_with_hooks())?;
        let mut removals = Removals { list: Listed::new(Order::Name)?, whole: 0, secrets: 0 };
        self.targets.each(store, now, |token| {
            let left = match token.pruned(until, now) {
                _ if hooked.contains(&token.row) => return Ok(()),
                Pruned::Nothing => return Ok(()),
                Pruned::Secrets(left) => Some(left),
                Pruned::Whole => None,
            };
            let note = Note {
                digest: Form::Two.token(&token).to_hex().to_string(),
                status: token.status(now).word().to_owned(),
                whole: left.is_none(),
                secrets: token.secrets.len() - left.map_or(0, |left| left.secrets.len()),
            };
            Ok(removals.add(&token, &note)?)
        })?;
        Ok(removals)
    }

    fn report(&self, app: &mut App<'_>, removals: &Removals, changed: bool) -> Result<Outcome, Error> {
        let dry_run = self.targets.rehearsal.dry_run;
        if app.json() {
            let mut out = ManyWriter::begin(&mut *app.ctx.stdout, changed, dry_run, removals.list.count)
                .map_err(Error::Output)?;
            removals.each(|it, note| {
                out.token(&PrunedDoc {
                    id: &it.id,
                    name: &it.name,
                    status: &note.status,
                    removed: note.whole,
                    secrets: note.secrets,
                })
                .map_err(Error::Output)
            })?;
            return out.finish().map(|()| Outcome::Done).map_err(Error::Output);
        }
        if dry_run {
            removals.each(|it, note| {
                let what = if note.whole { "the token" } else { "secrets" };
                app.print(&format!("{}\t{}\t{}\t{what}\t{}\n", it.id, it.name, note.status, note.secrets))
            })?;
        }
        app.talk().note(&match (removals.list.count == 0, changed) {
            (true, _) => "there is nothing to remove; nothing was changed".to_owned(),
            (false, true) => removals.words("removed"),
            (false, false) => format!("{}; nothing was changed", removals.words("it would remove")),
        });
        Ok(Outcome::Done)
    }
}

impl Removals {
    fn add(&mut self, token: &Token, note: &Note) -> Result<(), StoreError> {
        self.whole += usize::from(note.whole);
        self.secrets += if note.whole { 0 } else { note.secrets };
        self.list.add(token, &json::text(note))
    }

    fn each(&self, mut take: impl FnMut(&OneListed, Note) -> Result<(), Error>) -> Result<(), Error> {
        self.list.each(|page| {
            page.iter().try_for_each(|it| {
                take(it, serde_json::from_str(&it.note).map_err(|err| Error::Output(err.into()))?)
            })
        })
    }

    fn words(&self, verb: &str) -> String {
        let plural =
            |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        format!(
            "{verb} {} and {} of others",
            plural(self.whole, "token"),
            plural(self.secrets, "superseded secret")
        )
    }
}

/// Returns free space to the file system, and warns if the file has not become smaller.
fn shrink(app: &mut App<'_>, store: &Store, before: u64) {
    let why = match store.shrink() {
        Ok(()) if store.bytes() < before => return,
        Ok(()) => "the log keeps the events of what was removed".to_owned(),
        // Such an error concerns only the size of the file.
        Err(StoreError::Io { what, .. }) => what,
        Err(err) => err.to_string(),
    };
    app.talk().note(&format!("the file has not become smaller: {why}"));
}

//! Several tokens, each rotated in separate transactions.

use super::Rotate;
use crate::app::{App, Outcome};
use crate::cmd::args::describe::Halt;
use crate::cmd::args::hooks;
use crate::cmd::args::many::{self, Done};
use crate::context::Machine;
use crate::deliver;
use crate::domain::Invalid;
use crate::domain::code::Code;
use crate::domain::destination::Destination;
use crate::domain::event::{Action, Author};
use crate::domain::text::shown;
use crate::domain::token::Token;
use crate::domain::when::Timestamp;
use crate::error::Error;
use crate::store::{Step, Store};

impl Rotate {
    pub fn several(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let rehearsal = &self.targets.rehearsal;
        if !(self.due && self.targets.is_empty()) {
            self.targets.check()?;
        }
        let is_one_place = !self.destination.is_stdout() && self.destination.to.exec.is_none();
        if !self.is_single() && (self.stdout || is_one_place) {
            let bad = Invalid::new("each of several secrets needs a separate destination")
                .hint("pass `--out-dir DIR` or `--exec COMMAND` for tokens without a stored destination");
            return Err(bad.into());
        }
        if self.destination.force && self.destination.to.exec.is_some() {
            return Err(Invalid::new("`--force` without a file to replace").hint("`--out-dir DIR`").into());
        }
        if let Some(dir) = &self.out_dir {
            // A mistyped directory is reported at the first run, not only when something is due.
            deliver::check_directory(dir, &app.location()?.shown()).map_err(deliver::DeliverError::from)?;
        }
        let author = self.change.author(app);
        let store = if rehearsal.dry_run { app.open_to_read()? } else { app.open_to_write(&author)? };
        let now = app.ctx.machine.now()?;
        let mut selection = self.targets.select_due(&store, now, self.due)?;
        let mut left = Vec::new();
        if self.due {
            let uid = author.actor.uid;
            left.extend(selection.tokens.iter().filter(|it| it.has_hook_of(uid)).cloned());
            selection.tokens.retain(|token| token.is_due(now));
        }
        if rehearsal.dry_run || rehearsal.expect.is_some() {
            let tokens = selection.tokens.clone();
            let would = self.rehearse(&store, &author, tokens, now, &*app.ctx.machine)?;
            rehearsal.expect(would.iter().filter(|one| one.changed).count())?;
            if rehearsal.dry_run {
                let would = with_hooks(app, would, left);
                many::show(app, &store, &would, "rotated", now)?;
                return many::fail_with(app, would, "rotated").map(|()| Outcome::Done);
            }
        }
        if selection.is_by_filter && !self.due && !selection.tokens.is_empty() {
            many::ask(app, &store, Action::Rotate, &selection, now)?;
        }
        let of = selection.tokens.len();
        let has_commands = self.destination.to.exec.is_some() || selection.tokens.iter().any(has_command);
        let mut done = Vec::with_capacity(of);
        let mut cut = None;
        let mut interrupted = false;
        for token in selection.tokens {
            let one = if interrupted {
                Done { token, changed: false, error: None }
            } else if let Err(err) = step(app, has_commands, done.len(), of) {
                Done { token, changed: false, error: Some(err) }
            } else {
                self.one_of_several(app, &store, &author, token)
            };
            interrupted |= one.error.as_ref().is_some_and(|err| err.code() == Code::Interrupted);
            if one.changed && self.names_what_it_did(app) {
                // The rotation is done even if its report cannot be written, so the others go on.
                cut = app.print(&format!("{}\n", shown(&one.token.name))).err().or(cut);
            }
            done.push(one);
        }
        if !interrupted {
            left.retain(|token| !done.iter().any(|one| one.changed && one.token.row == token.row));
            hooks::run_all(app, &store, &author, self.memory.after(), &mut done, left);
        }
        many::report_each(app, &store, done, "rotated")?;
        cut.map_or(Ok(Outcome::Done), Err)
    }

    /// Whether names go to stdout, for a script that uses what was delivered. If each token has a destination and a
    /// hook, a script has nothing left to do, and a quiet line of a crontab stays silent.
    fn names_what_it_did(&self, app: &App<'_>) -> bool {
        let is_for_a_script = self.out_dir.is_some() || self.destination.to.exec.is_some() || !app.quiet();
        self.due && self.targets.names_none() && !app.json() && is_for_a_script
    }

    /// The result that each token would have, as far as it can be known without rotating.
    fn rehearse(
        &self,
        store: &Store,
        author: &Author,
        tokens: Vec<Token>,
        now: Timestamp,
        machine: &dyn Machine,
    ) -> Result<Vec<Done>, Error> {
        let settings = store.read(|view| view.settings())?;
        let one = |token: Token| {
            let admitted = match &token.delivery {
                Some(delivery) if !self.may_replace_delivery(&token, delivery, now) => {
                    Err(Error::under_way(&token, delivery).into())
                }
                _ => self.begin(&token, &settings, now, machine),
            };
            let admitted = admitted.and_then(|_| self.flags().route(store, author, &token));
            let rotated = admitted.map(|_| token.clone());
            self.done(token, rotated, now)
        };
        Ok(tokens.into_iter().map(one).collect())
    }

    fn one_of_several(&self, app: &mut App<'_>, store: &Store, author: &Author, token: Token) -> Done {
        let now = match app.ctx.machine.now() {
            Ok(now) => now,
            Err(wrong) => return Done { token, changed: false, error: Some(wrong.into()) },
        };
        let rotated = self
            .flags()
            .route(store, author, &token)
            .and_then(|route| self.rotate(app, store, author, &token, &route));
        self.done(token, rotated.map(|delivered| delivered.token), now)
    }

    /// The result for one of several tokens.
    fn done(&self, seen: Token, rotated: Result<Token, Halt>, now: Timestamp) -> Done {
        match rotated {
            Ok(token) => Done { token, changed: true, error: None },
            // If two runs overlap, each rotates what the other does not. A delivery past its deadline is reported, since it
            // is not under way and only another user can settle it.
            Err(Halt::Already(token)) => Done { token: *token, changed: false, error: None },
            Err(Halt::Error(Error::UnderWay { deadline, .. })) if self.due && now < deadline => {
                Done { token: seen, changed: false, error: None }
            }
            Err(Halt::Error(error)) => Done { token: seen, changed: false, error: Some(error) },
        }
    }
}

/// A command that gets a secret may use the terminal.
fn step(app: &mut App<'_>, has_commands: bool, done: usize, of: usize) -> Result<(), Error> {
    if has_commands { Ok(()) } else { app.step(&Step::new("rotating tokens", done, of)) }
}

/// Adds the tokens whose pending hooks would run again.
fn with_hooks(app: &mut App<'_>, mut would: Vec<Done>, left: Vec<Token>) -> Vec<Done> {
    for token in left {
        match would.iter().find(|one| one.token.row == token.row) {
            // Its rotation would replace this hook.
            Some(one) if one.changed => continue,
            _ => app.talk().note(&format!("the hook of `{}` would be run again", token.name)),
        }
        if would.iter().all(|one| one.token.row != token.row) {
            would.push(Done { token, changed: false, error: None });
        }
    }
    would
}

fn has_command(token: &Token) -> bool {
    matches!(token.destination.as_ref().map(|it| &it.destination), Some(Destination::Command { .. }))
}

//! A change of several tokens, which are selected, shown and confirmed, and then changed in one transaction.

use std::io::{self, Write as _};

use super::change::ChangeArgs;
use super::choice::{Choice, Differs};
use super::select::{RehearsalArgs, Selection};
use crate::app::present::say_changed;
use crate::app::{App, Outcome};
use crate::domain::event::Action;
use crate::domain::token::Token;
use crate::domain::when::{Timestamp, relative};
use crate::domain::widening::some_of;
use crate::error::Error;
use crate::store::{PAGE, Store, StoreError, Write};
use crate::ui::json::{ChangedDoc, ErrorDoc, ManyDoc, ManyWriter, OneOfManyDoc, TokenDoc};
use crate::ui::list::{Format, List};

/// A change to make of each token.
pub struct Many<'a> {
    pub action: Action,
    /// In the past tense, for people.
    pub done: &'static str,
    pub asks_for_names: bool,
    /// The part of a token that is changed, for people, if it is not the whole token.
    pub part: &'a dyn Fn(&Token) -> Option<&'static str>,
    /// Changes a token. Returns whether that made a difference.
    pub apply: &'a dyn Fn(&mut Token, Timestamp) -> Result<bool, Error>,
}

/// The result for one of several tokens.
pub struct Done {
    pub token: Token,
    pub changed: bool,
    pub error: Option<Error>,
}

impl Many<'_> {
    pub fn run(
        &self,
        app: &mut App<'_>,
        change: &ChangeArgs,
        rehearsal: &RehearsalArgs,
        choose: impl Fn(&Store, Timestamp, Differs<'_>) -> Result<Choice, Error>,
    ) -> Result<Outcome, Error> {
        let author = change.author(app);
        // A dry run only reads.
        let store = if rehearsal.dry_run { app.open_to_read()? } else { app.open_to_write(&author)? };
        if self.action.only_removes_access() {
            store.accept_broken_seals();
        }
        loop {
            let now = app.ctx.machine.now()?;
            let choice = choose(&store, now, &|token| (self.apply)(&mut token.clone(), now))?;
            rehearsal.expect(choice.changes)?;
            if rehearsal.dry_run {
                return self.show(app, &store, &choice, now);
            }
            if choice.changes == 0 {
                return self.report(app, &store, &choice, false, now);
            }
            if choice.is_by_filter() || self.asks_for_names {
                self.ask(app, &store, &choice, now)?;
            }
            match store.write(&*app.ctx.machine, &author, |tx| self.change(tx, &choice)) {
                // A person is shown the new selection and asked again.
                Err(err @ Error::SelectionChanged { .. }) if app.can_ask() && !app.assumes_yes() => {
                    app.talk().warn(&err.to_string());
                }
                changed => {
                    let changed = changed?;
                    return self.report(app, &store, &choice, changed, now).map_err(unread);
                }
            }
        }
    }

    /// Changes the chosen tokens, unless some of them no longer match. Tokens that no longer need the change do not count.
    /// Returns whether anything was changed.
    fn change(&self, tx: &Write<'_>, choice: &Choice) -> Result<bool, Error> {
        let meant = choice.meant(tx, tx.now)?;
        let (mut lost, mut changed) = (0, false);
        choice.change(tx, tx.now, |before| {
            let mut after = before.clone();
            let differs = (self.apply)(&mut after, tx.now)?;
            if differs {
                lost += usize::from(!meant.has(&before));
                tx.update(&before, &after, self.action)?;
                changed = true;
            }
            Ok(differs)
        })?;
        if lost == 0 { Ok(changed) } else { Err(Error::SelectionChanged { lost }) }
    }

    fn part(&self, choice: &Choice) -> Option<&'static str> {
        choice.first.as_ref().and_then(self.part)
    }

    fn ask(&self, app: &mut App<'_>, store: &Store, choice: &Choice, now: Timestamp) -> Result<(), Error> {
        let mut names = Vec::new();
        if !choice.is_by_filter() {
            choice.each_name(|name, _| names.push(name.to_owned()))?;
        }
        let only = choice.first.as_ref().filter(|_| choice.count() == 1);
        let about = (choice.count(), only, names);
        let question = question(self.action, self.part(choice), about, now);
        if choice.is_by_filter() && app.can_ask() && !app.assumes_yes() {
            list_to_ask(app, store, now, |list, out| {
                choice.each(store, now, |page| {
                    list.page(page.iter().map(|(_, token)| token), out).map_err(Error::Output)
                })
            })?;
        }
        app.confirm(&question)
    }

    /// Prints the result of a dry run: the table of tokens that would change, or the document.
    fn show(
        &self,
        app: &mut App<'_>,
        store: &Store,
        choice: &Choice,
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        if app.json() {
            return document_of(app, store, choice, (false, true), now);
        }
        if choice.changes > 0 {
            list_to_show(app, store, now, |list, out| {
                choice.each(store, now, |page| {
                    let changed = page.iter().filter(|(differs, _)| *differs).map(|(_, token)| token);
                    list.page(changed, out).map_err(Error::Output)
                })
            })?;
        }
        app.talk().note(&format!("{} would be {}; nothing was changed", choice.changes, self.done));
        Ok(Outcome::Done)
    }

    fn report(
        &self,
        app: &mut App<'_>,
        store: &Store,
        choice: &Choice,
        changed: bool,
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        if app.json() {
            return document_of(app, store, choice, (changed, false), now);
        }
        if choice.count() == 0 {
            app.talk().note("no token is selected; nothing was changed");
        }
        let part = self.part(choice);
        choice.each_name(|name, differs| match (part, differs) {
            (None, _) => say_changed(app, name, differs, self.done),
            (Some(part), true) => app.talk().note(&format!("{} {part} of `{name}`", self.done)),
            (Some(_), false) => app.talk().note(&format!("`{name}` had nothing left to be {}", self.done)),
        })?;
        Ok(Outcome::Done)
    }
}

/// The document of a change of many.
fn document_of(
    app: &mut App<'_>,
    store: &Store,
    choice: &Choice,
    (changed, dry_run): (bool, bool),
    now: Timestamp,
) -> Result<Outcome, Error> {
    let (times, mut count) = (store.times(now), 0);
    choice.each_name(|_, _| count += 1)?;
    let begun = ManyWriter::begin(&mut *app.ctx.stdout, changed, dry_run, count);
    let mut out = begun.map_err(Error::Output)?;
    choice.each(store, now, |page| {
        page.iter().try_for_each(|(changed, token)| {
            let token = ChangedDoc { token: TokenDoc::new(token, &times), changed: *changed };
            out.token(&OneOfManyDoc { token, error: None }).map_err(Error::Output)
        })
    })?;
    out.finish().map(|()| Outcome::Done).map_err(Error::Output)
}

/// The error for a change that was made, but could not be read back.
fn unread(err: Error) -> Error {
    match err {
        Error::Store(StoreError::Io { what, .. }) => {
            Error::Output(io::Error::other(format!("the change was made, but cannot be shown: {what}")))
        }
        err => err,
    }
}

/// Applies a change within a transaction to each of these tokens that still exists. Returns for each whether it
/// made a difference.
pub fn change_all(
    tx: &Write<'_>,
    selected: &[Token],
    action: Action,
    mut apply: impl FnMut(&mut Token, Timestamp) -> Result<bool, Error>,
) -> Result<Vec<Done>, Error> {
    let mut done = Vec::with_capacity(selected.len());
    for page in selected.chunks(PAGE) {
        let rows: Vec<i64> = page.iter().map(|token| token.row).collect();
        let same = |token: &Token| page.iter().any(|seen| seen.row == token.row && seen.id == token.id);
        for before in tx.tokens(&rows, tx.now)?.into_iter().filter(same) {
            let mut after = before.clone();
            let changed = apply(&mut after, tx.now)?;
            let token = if changed { tx.update(&before, &after, action)? } else { before };
            done.push(Done { token, changed, error: None });
        }
    }
    Ok(done)
}

/// Shows a selection to a person and asks for confirmation.
pub fn ask(
    app: &mut App<'_>,
    store: &Store,
    action: Action,
    selection: &Selection,
    now: Timestamp,
) -> Result<(), Error> {
    let tokens = &selection.tokens[..];
    let only = if let [one] = tokens { Some(one) } else { None };
    let question = question(action, None, (tokens.len(), only, Vec::new()), now);
    if app.can_ask() && !app.assumes_yes() {
        list_to_ask(app, store, now, |list, out| list.page(tokens, out).map_err(Error::Output))?;
    }
    app.confirm(&question)
}

/// How many tokens there are, the only one, and their names where they were named.
type About<'a> = (usize, Option<&'a Token>, Vec<String>);

fn question(action: Action, part: Option<&str>, (count, only, names): About<'_>, now: Timestamp) -> String {
    let what = match only {
        Some(one) => format!("`{}`", one.name),
        None if names.is_empty() => format!("{count} tokens"),
        None => format!("{count} tokens ({})", some_of(names.into_iter())),
    };
    let about = match (only, action, part) {
        (Some(one), Action::Revoke, None) => format!(" ({})", owner_and_use(one, now)),
        _ => String::new(),
    };
    let of = part.map(|part| format!("{part} of ")).unwrap_or_default();
    format!("{} {of}{what}{about}?", action.word())
}

/// What a person is shown before a question.
fn list_to_ask(
    app: &mut App<'_>,
    store: &Store,
    now: Timestamp,
    fill: impl FnOnce(&mut List, &mut dyn io::Write) -> Result<(), Error>,
) -> Result<(), Error> {
    let (times, screen) = (store.times(now), app.talk_screen());
    let mut list = List::new(Format::Table, None, times, screen);
    fill(&mut list, &mut *app.ctx.stderr)?;
    app.ctx.stderr.flush().map_err(Error::Output)
}

/// What a rehearsal prints.
fn list_to_show(
    app: &mut App<'_>,
    store: &Store,
    now: Timestamp,
    fill: impl FnOnce(&mut List, &mut dyn io::Write) -> Result<(), Error>,
) -> Result<(), Error> {
    let (times, screen) = (store.times(now), app.screen());
    let format = if app.ctx.terminal.stdout { Format::Table } else { Format::Tsv };
    let mut list = List::new(format, None, times, screen);
    fill(&mut list, &mut *app.ctx.stdout)?;
    app.ctx.stdout.flush().map_err(Error::Output)
}

/// The last use of a token, by which a person can tell whether somebody still needs it.
fn owner_and_use(token: &Token, now: Timestamp) -> String {
    let owner = token.owner.as_ref().map_or("no owner".to_owned(), |owner| format!("owner: {owner}"));
    let used = token.last_used_at().map(|used| format!("last used {}", relative(used, now)));
    format!("{owner}, {}", used.unwrap_or_else(|| "no use recorded".to_owned()))
}

/// The output of a dry run: the table of what would change, or the document.
pub fn show(
    app: &mut App<'_>,
    store: &Store,
    tokens: &[Done],
    done: &str,
    now: Timestamp,
) -> Result<Outcome, Error> {
    if app.json() {
        return document(app, store, tokens, now, true);
    }
    let would: Vec<Token> = tokens.iter().filter(|one| one.changed).map(|one| one.token.clone()).collect();
    let count = would.len();
    if count > 0 {
        list_to_show(app, store, now, |list, out| list.page(&would, out).map_err(Error::Output))?;
    }
    app.talk().note(&format!("{count} would be {done}; nothing was changed"));
    Ok(Outcome::Done)
}

/// Reports the result for each token.
pub fn report_all(
    app: &mut App<'_>,
    store: &Store,
    tokens: &[Done],
    done: &'static str,
    now: Timestamp,
) -> Result<Outcome, Error> {
    if app.json() {
        return document(app, store, tokens, now, false);
    }
    if tokens.is_empty() {
        app.talk().note("no token is selected; nothing was changed");
    }
    for one in tokens {
        say_changed(app, &one.token.name, one.changed, done);
    }
    Ok(Outcome::Done)
}

/// Reports tokens that were changed in a transaction each, some of which may have failed.
pub fn report_each(
    app: &mut App<'_>,
    store: &Store,
    tokens: Vec<Done>,
    done: &'static str,
) -> Result<(), Error> {
    if app.json() {
        let now = app.ctx.machine.now()?;
        document(app, store, &tokens, now, false)?;
    } else {
        for one in tokens.iter().filter(|one| one.changed) {
            say_changed(app, &one.token.name, true, done);
        }
    }
    fail_with(app, tokens, done)
}

/// Reports why tokens could not be changed. Fails with the first of these reasons.
pub fn fail_with(app: &mut App<'_>, tokens: Vec<Done>, done: &'static str) -> Result<(), Error> {
    let all = tokens.len();
    if !app.json() {
        for (name, err) in tokens.iter().filter_map(|one| Some((&one.token.name, one.error.as_ref()?))) {
            let message = format!("`{name}`: {err}");
            app.talk().error(err.code(), &message, err.hint().as_deref());
        }
    }
    let is_hook = |one: &Done| matches!(one.error, Some(Error::HookFailed { .. }));
    let done = if tokens.iter().any(is_hook) { "finished" } else { done };
    let mut errors = tokens.into_iter().filter_map(|one| one.error);
    let Some(first) = errors.next() else { return Ok(()) };
    Err(Error::Some {
        failed: 1 + errors.count(),
        all,
        of: "tokens",
        done: done.into(),
        first: Box::new(first),
    })
}

fn document(
    app: &mut App<'_>,
    store: &Store,
    tokens: &[Done],
    now: Timestamp,
    dry_run: bool,
) -> Result<Outcome, Error> {
    let times = store.times(now);
    let texts: Vec<_> = tokens
        .iter()
        .map(|one| one.error.as_ref().map(|err| (err.code(), err.to_string(), err.hint())))
        .collect();
    let documents = tokens.iter().zip(&texts).map(|(one, text)| OneOfManyDoc {
        token: ChangedDoc { token: TokenDoc::new(&one.token, &times), changed: one.changed },
        error: text.as_ref().map(|(code, message, hint)| ErrorDoc::new(*code, message, hint.as_deref())),
    });
    let changed = !dry_run && tokens.iter().any(|one| one.changed);
    app.print_json(&ManyDoc { changed, dry_run, count: tokens.len(), tokens: documents.collect() })?;
    Ok(Outcome::Done)
}

//! One change of several tokens: selected, shown, asked about, then made in one transaction.

use super::change::ChangeArgs;
use super::select::{RehearsalArgs, Selection};
use crate::app::present::say_changed;
use crate::app::{App, Outcome};
use crate::domain::event::Action;
use crate::domain::token::Token;
use crate::domain::when::{Timestamp, relative};
use crate::domain::widening::some_of;
use crate::error::Error;
use crate::store::{PAGE, Store, Write};
use crate::ui::json::{ChangedDoc, ErrorDoc, ManyDoc, OneOfManyDoc, TokenDoc};
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
        select: impl Fn(&Store, Timestamp) -> Result<Selection, Error>,
    ) -> Result<Outcome, Error> {
        let author = change.author(app);
        // A dry run only reads.
        let store = if rehearsal.dry_run { app.open_to_read()? } else { app.open_to_write(&author)? };
        if self.action.only_ends_access() {
            store.accept_broken_seals();
        }
        loop {
            let now = app.ctx.machine.now()?;
            let selection = select(&store, now)?;
            let rehearsed = self.rehearse(&selection.tokens, now)?;
            let changes = rehearsed.iter().filter(|one| one.changed).count();
            rehearsal.expect(changes)?;
            if rehearsal.dry_run {
                return show(app, &store, &rehearsed, self.done, now);
            }
            if changes == 0 {
                return self.answer(app, &store, &rehearsed, now);
            }
            if selection.is_by_filter() || self.asks_for_names {
                let part = selection.tokens.first().and_then(self.part);
                ask(app, &store, self.action, part, &selection, now)?;
            }
            match store.write(&*app.ctx.machine, &author, |tx| self.change(tx, &selection)) {
                // A person is shown the new selection and asked again.
                Err(err @ Error::SelectionChanged { .. }) if app.can_ask() && !app.says_yes() => {
                    app.talk().warn(&err.to_string());
                }
                done => return self.answer(app, &store, &done?, now),
            }
        }
    }

    /// Changes the selected tokens, unless some of them no longer match. Tokens that no longer need the change do
    /// not count.
    fn change(&self, tx: &Write<'_>, selection: &Selection) -> Result<Vec<Done>, Error> {
        let ids = selection.ids_now(tx, tx.now)?;
        let mut lost = 0;
        let done = change_all(tx, &selection.tokens, self.action, |token, now| {
            let changes = (self.apply)(token, now)?;
            lost += usize::from(changes && !ids.contains(&token.id));
            Ok(changes)
        })?;
        if lost == 0 { Ok(done) } else { Err(Error::SelectionChanged { lost }) }
    }

    fn answer(
        &self,
        app: &mut App<'_>,
        store: &Store,
        tokens: &[Done],
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        let parts: Option<Vec<_>> = tokens.iter().map(|one| (self.part)(&one.token)).collect();
        let Some(parts) = parts.filter(|parts| !parts.is_empty() && !app.json()) else {
            return answer(app, store, tokens, self.done, now);
        };
        for (one, part) in tokens.iter().zip(parts) {
            let name = &one.token.name;
            app.talk().note(&if one.changed {
                format!("{} {part} of `{name}`", self.done)
            } else {
                format!("nothing of `{name}` was left to be {}", self.done)
            });
        }
        Ok(Outcome::Done)
    }

    fn rehearse(&self, tokens: &[Token], now: Timestamp) -> Result<Vec<Done>, Error> {
        // A dry run shows the tokens as they are.
        let one = |token: &Token| {
            let changed = (self.apply)(&mut token.clone(), now)?;
            Ok(Done { token: token.clone(), changed, error: None })
        };
        tokens.iter().map(one).collect()
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
    part: Option<&str>,
    selection: &Selection,
    now: Timestamp,
) -> Result<(), Error> {
    let what = match &selection.tokens[..] {
        [one] => format!("`{}`", one.name),
        many if selection.is_by_filter() => format!("{} tokens", many.len()),
        many => {
            let names = some_of(many.iter().map(|token| token.name.to_string()));
            format!("{} tokens ({names})", many.len())
        }
    };
    let about = match (&selection.tokens[..], action, part) {
        ([one], Action::Revoke, None) => format!(" ({})", owner_and_use(one, now)),
        _ => String::new(),
    };
    let of = part.map(|part| format!("{part} of ")).unwrap_or_default();
    let question = format!("{} {of}{what}{about}?", action.word());
    if selection.is_by_filter() && app.can_ask() && !app.says_yes() {
        let times = store.times(now);
        let screen = app.talk_screen();
        let mut list = List::new(Format::Table, None, times, screen, &mut *app.ctx.stderr);
        list.page(&selection.tokens).and_then(|()| list.end()).map_err(Error::Output)?;
    }
    app.confirm(&question)
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
    let times = store.times(now);
    let would: Vec<Token> = tokens.iter().filter(|one| one.changed).map(|one| one.token.clone()).collect();
    let screen = app.screen();
    let format = if app.ctx.terminal.stdout { Format::Table } else { Format::Tsv };
    let count = would.len();
    if count > 0 {
        let mut list = List::new(format, None, times, screen, &mut *app.ctx.stdout);
        list.page(&would).and_then(|()| list.end()).map_err(Error::Output)?;
    }
    app.talk().note(&format!("{count} would be {done}; nothing was changed"));
    Ok(Outcome::Done)
}

/// Reports the result for each token.
pub fn answer(
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
        say_changed(app, &one.token, one.changed, done);
    }
    Ok(Outcome::Done)
}

/// Reports tokens that were changed in a transaction each, some of which may have failed.
pub fn answer_each(
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
            say_changed(app, &one.token, true, done);
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

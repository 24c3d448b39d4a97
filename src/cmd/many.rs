//! One change of several tokens: selected, shown, asked about, then made in one transaction.

use super::change::ChangeArgs;
use super::present::{present, say_changed};
use super::select::{RehearsalArgs, Selection};
use super::{App, Outcome};
use crate::domain::event::{Action, Author};
use crate::domain::filter::Times;
use crate::domain::token::Token;
use crate::domain::when::Timestamp;
use crate::error::Error;
use crate::store::{PAGE, Store, Write};
use crate::ui::json::{ChangedDoc, ManyDoc, OneOfManyDoc, TokenDoc};
use crate::ui::list::{Format, List};

/// A change to make of each token.
pub struct Many<'a> {
    pub action: Action,
    /// In the past tense, for people.
    pub done: &'static str,
    pub asks_for_names: bool,
    /// Changes a token; whether that makes a difference.
    pub apply: &'a dyn Fn(&mut Token, Timestamp) -> Result<bool, Error>,
}

impl Many<'_> {
    pub fn run(
        &self,
        app: &mut App<'_>,
        change: &ChangeArgs,
        rehearsal: &RehearsalArgs,
        select: impl FnOnce(&Store, Timestamp) -> Result<Selection, Error>,
    ) -> Result<Outcome, Error> {
        let author = change.author(app);
        // A rehearsal only looks.
        let store = if rehearsal.dry_run { app.open_to_read()? } else { app.open_to_write(&author)? };
        let now = app.ctx.machine.now()?;
        let selection = select(&store, now)?;
        let found = selection.tokens.len();
        if let Some(expected) = rehearsal.expect.filter(|expected| *expected != found) {
            return Err(Error::CountDiffers { expected, found });
        }
        let rehearsed = self.rehearse(&selection.tokens, now)?;
        if rehearsal.dry_run {
            return self.show(app, &store, rehearsed, now);
        }
        let would_change = rehearsed.iter().filter(|(_, changes)| *changes).count();
        if would_change > 0 && (selection.by_filter || self.asks_for_names) {
            self.ask(app, &store, &selection, now)?;
        }
        let rows: Vec<i64> = selection.tokens.iter().map(|token| token.row).collect();
        let done = if would_change > 0 { self.make(app, &store, &author, &rows)? } else { rehearsed };
        answer(app, &store, &done, self.done, now)
    }

    fn rehearse(&self, tokens: &[Token], now: Timestamp) -> Result<Vec<(Token, bool)>, Error> {
        let one = |token: &Token| {
            let mut after = token.clone();
            (self.apply)(&mut after, now).map(|changes| (after, changes))
        };
        tokens.iter().map(one).collect()
    }

    fn ask(
        &self,
        app: &mut App<'_>,
        store: &Store,
        selection: &Selection,
        now: Timestamp,
    ) -> Result<(), Error> {
        let question = match &selection.tokens[..] {
            [one] => format!("{} `{}`?", self.action.word(), one.name),
            many => format!("{} {} tokens?", self.action.word(), many.len()),
        };
        if selection.by_filter && app.can_ask() && !app.global.yes {
            let times = present(store, now)?;
            let style = app.look().style;
            let mut list = List::new(Format::Table, None, times, &mut *app.ctx.stderr);
            (list.width, list.style) = (app.ctx.terminal.width, style);
            list.page(&selection.tokens).and_then(|()| list.end()).map_err(Error::Output)?;
        }
        app.confirm(&question)
    }

    fn make(
        &self,
        app: &App<'_>,
        store: &Store,
        author: &Author,
        rows: &[i64],
    ) -> Result<Vec<(Token, bool)>, Error> {
        store.write(&*app.ctx.machine, author, |tx| change_all(tx, rows, self.action, self.apply))
    }

    /// What a rehearsal found: the table of what would change, or the document.
    fn show(
        &self,
        app: &mut App<'_>,
        store: &Store,
        tokens: Vec<(Token, bool)>,
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        let times = present(store, now)?;
        if app.json() {
            return document(app, &tokens, &times, true);
        }
        let changed: Vec<Token> =
            tokens.into_iter().filter(|(_, changes)| *changes).map(|(token, _)| token).collect();
        let (terminal, style) = (app.ctx.terminal, app.out_style());
        let format = if terminal.stdout { Format::Table } else { Format::Tsv };
        let count = changed.len();
        let mut list = List::new(format, None, times, &mut *app.ctx.stdout);
        (list.width, list.style) = (terminal.width, style);
        if count > 0 {
            list.page(&changed).and_then(|()| list.end()).map_err(Error::Output)?;
        }
        app.talk().note(&format!("{count} would be {}; nothing was changed", self.done));
        Ok(Outcome::Done)
    }
}

/// Applies a change to each of these tokens within a transaction. Tells of each whether it made a difference.
pub fn change_all(
    tx: &Write<'_>,
    rows: &[i64],
    action: Action,
    mut apply: impl FnMut(&mut Token, Timestamp) -> Result<bool, Error>,
) -> Result<Vec<(Token, bool)>, Error> {
    let mut done = Vec::with_capacity(rows.len());
    for before in
        rows.chunks(PAGE).map(|rows| tx.tokens(rows, tx.now)).collect::<Result<Vec<_>, _>>()?.concat()
    {
        let mut after = before.clone();
        let changes = apply(&mut after, tx.now)?;
        let token = if changes { tx.update(&before, &after, action)? } else { before };
        done.push((token, changes));
    }
    Ok(done)
}

/// Says what became of each token.
pub fn answer(
    app: &mut App<'_>,
    store: &Store,
    tokens: &[(Token, bool)],
    done: &str,
    now: Timestamp,
) -> Result<Outcome, Error> {
    if app.json() {
        let times = present(store, now)?;
        return document(app, tokens, &times, false);
    }
    if tokens.is_empty() {
        app.talk().note("no token is selected; nothing was changed");
    }
    for (token, changed) in tokens {
        say_changed(app, token, *changed, done);
    }
    Ok(Outcome::Done)
}

fn document(
    app: &mut App<'_>,
    tokens: &[(Token, bool)],
    times: &Times,
    dry_run: bool,
) -> Result<Outcome, Error> {
    let documents = tokens.iter().map(|(token, changed)| OneOfManyDoc {
        token: ChangedDoc { token: TokenDoc::new(token, times), changed: *changed },
        error: None,
    });
    let changed = !dry_run && tokens.iter().any(|(_, changed)| *changed);
    app.print_json(&ManyDoc { changed, dry_run, count: tokens.len(), tokens: documents.collect() })?;
    Ok(Outcome::Done)
}

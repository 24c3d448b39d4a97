//! Many tokens that are inserted in one transaction: their store, and the output, which is read back page by
//! page.

use std::io::{self, BufWriter, Write};

use crate::app::present::say_changed;
use crate::app::{App, Outcome};
use crate::domain::event::Author;
use crate::domain::token::Token;
use crate::domain::when::Timestamp;
use crate::error::Error;
use crate::store::{Store, StoreError};
use crate::ui::json::{ChangedDoc, OneOfManyDoc, TokenDoc, append};

/// The inserted tokens, by their rows.
#[derive(Default)]
pub struct Arrivals {
    pub count: usize,
    first: Option<i64>,
    last: i64,
}

impl Arrivals {
    pub fn add(&mut self, token: &Token) {
        self.count += 1;
        self.first.get_or_insert(token.row);
        self.last = token.row;
    }
}

/// The store for them. A new one, and that of a dry run, is private until [`settle`] puts it in place.
pub fn store(app: &mut App<'_>, author: &Author, rehearses: bool) -> Result<Store, Error> {
    let machine = &*app.ctx.machine;
    Ok(match (app.location()?.exists(), rehearses) {
        (true, false) => app.open_to_write(author)?,
        (true, true) => app.open_to_read()?.private_copy(machine, author)?,
        (false, _) => Store::new_private(machine, author)?,
    })
}

/// Puts a new store in place, once all tokens are in it. Returns the store with the tokens.
pub fn settle(app: &mut App<'_>, author: &Author, store: Store) -> Result<Store, Error> {
    if !store.is_copy() {
        return Ok(store);
    }
    store.put_in_place(&app.location()?, &*app.ctx.machine)?;
    let store = Store::open_to_write(&app.location()?, &*app.ctx.machine, author).map_err(unread)?;
    app.warn_of_new_store(&store);
    Ok(store)
}

/// Reports the inserted tokens.
pub fn answer(
    app: &mut App<'_>,
    store: &Store,
    entered: &Arrivals,
    done: &str,
    rehearsed: bool,
) -> Result<Outcome, Error> {
    let now = app.ctx.machine.now()?;
    if app.json() {
        let changed = !rehearsed && entered.count > 0;
        let times = store.times(now);
        let mut out = BufWriter::new(&mut *app.ctx.stdout);
        let head =
            format!(r#"{{"changed":{changed},"dry_run":{rehearsed},"count":{},"tokens":["#, entered.count);
        out.write_all(head.as_bytes()).map_err(Error::Output)?;
        let mut text = Vec::new();
        let mut first = true;
        entered.each(store, now, |token| {
            text.clear();
            text.extend((!first).then_some(b','));
            first = false;
            let token = ChangedDoc { token: TokenDoc::new(token, &times), changed: true };
            append(&mut text, &OneOfManyDoc { token, error: None });
            out.write_all(&text).map_err(Error::Output)
        })?;
        out.write_all(b"]}\n").and_then(|()| out.flush()).map_err(Error::Output)?;
        return Ok(Outcome::Done);
    }
    if rehearsed {
        entered.each(store, now, |token| app.print(&format!("{}\t{}\n", token.id, token.name)))?;
        app.talk().note(&format!("{} would be {done}; nothing was changed", entered.count));
    } else if entered.count == 0 {
        app.talk().note("there was no token to insert; nothing was changed");
    } else {
        entered.each(store, now, |token| {
            say_changed(app, token, true, done);
            Ok(())
        })?;
    }
    Ok(Outcome::Done)
}

impl Arrivals {
    fn each(
        &self,
        store: &Store,
        now: Timestamp,
        mut take: impl FnMut(&Token) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut from = self.first;
        while let Some(start) = from.filter(|start| *start <= self.last) {
            let read = store.read(|view| {
                let rows = view.rows_from(start)?;
                Ok::<_, StoreError>((rows.clone(), view.tokens(&rows, now)?))
            });
            let (rows, tokens) = read.map_err(unread)?;
            tokens.iter().filter(|token| token.row <= self.last).try_for_each(&mut take)?;
            from = rows.last().and_then(|last| last.checked_add(1));
        }
        Ok(())
    }
}

/// The tokens were inserted, although an error of the store may say that nothing was changed.
fn unread(err: StoreError) -> Error {
    let why = match err {
        StoreError::Io { what, .. } => what,
        err => err.to_string(),
    };
    Error::Output(io::Error::other(format!("the tokens were inserted, but cannot be read back: {why}")))
}

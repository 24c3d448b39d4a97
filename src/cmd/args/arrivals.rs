//! Many tokens that are inserted in one transaction: their store, and the output, which is read back page by
//! page.

use std::io;

use crate::app::present::say_changed;
use crate::app::{App, Outcome};
use crate::domain::event::Author;
use crate::domain::token::Token;
use crate::domain::when::Timestamp;
use crate::error::Error;
use crate::store::{Store, StoreError, View};
use crate::ui::json::{ChangedDoc, ManyWriter, OneOfManyDoc, TokenDoc};

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

/// The store for the tokens. A new store, or the store of a dry run, is private until [`settle`] puts it in place.
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
pub fn report(
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
        let begun = ManyWriter::begin(&mut *app.ctx.stdout, changed, rehearsed, entered.count);
        let mut out = begun.map_err(Error::Output)?;
        entered.each(store, now, |token| {
            let token = ChangedDoc { token: TokenDoc::new(token, &times), changed: true };
            out.token(&OneOfManyDoc { token, error: None }).map_err(Error::Output)
        })?;
        out.finish().map_err(Error::Output)?;
        return Ok(Outcome::Done);
    }
    if rehearsed {
        entered.each_name(store, |id, name| app.print(&format!("{id}\t{name}\n")))?;
        app.talk().note(&format!("{} would be {done}; nothing was changed", entered.count));
    } else if entered.count == 0 {
        app.talk().note("there was no token to insert; nothing was changed");
    } else if !app.quiet() {
        entered.each_name(store, |_, name| {
            say_changed(app, name, true, done);
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
        self.pages(
            store,
            |view, from| view.tokens(&view.rows_from(from)?, now),
            |token| token.row,
            |token| take(&token),
        )
    }

    fn each_name(
        &self,
        store: &Store,
        mut take: impl FnMut(&str, &str) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.pages(store, |view, from| view.names_from(from), |it| it.0, |(_, id, name)| take(&id, &name))
    }

    /// Reads page by page, from a row on, and passes the tokens on.
    fn pages<T>(
        &self,
        store: &Store,
        read: impl Fn(&View<'_>, i64) -> Result<Vec<T>, StoreError>,
        row: impl Fn(&T) -> i64,
        mut take: impl FnMut(T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut from = self.first;
        while let Some(start) = from.filter(|start| *start <= self.last) {
            let page = store.read(|view| read(view, start)).map_err(unread)?;
            from = page.last().and_then(|last| row(last).checked_add(1));
            page.into_iter().filter(|it| row(it) <= self.last).try_for_each(&mut take)?;
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

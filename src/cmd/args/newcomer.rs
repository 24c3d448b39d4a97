//! What `create` and `adopt` have in common: the store for a new token, and the answers about it.

use super::describe::{Halt, Rules, TokenArgs, new_id};
use crate::app::{App, Outcome};
use crate::domain::event::Author;
use crate::domain::name::Name;
use crate::domain::token::Token;
use crate::error::Error;
use crate::store::Store;
use crate::ui::json::{ChangedDoc, NoSecretDoc, TokenDoc};

/// Opens the store for a new token. What can be refused without a store is refused before one is made.
pub fn open_or_make(
    app: &mut App<'_>,
    author: &Author,
    name: &Name,
    args: &TokenArgs,
    check: impl FnOnce(&mut App<'_>) -> Result<(), Error>,
) -> Result<Store, Halt> {
    let location = app.location()?;
    if location.exists() {
        let store = app.open_to_write(author)?;
        let now = app.ctx.machine.now()?;
        store.read(|view| args.look_up(view, name, now))?;
        check(app)?;
        return Ok(store);
    }
    check(app)?;
    let now = app.ctx.machine.now()?;
    let rules = Rules::default();
    let new = args.describe(name, &rules.catalogue, now, &*app.ctx.machine)?;
    new.admit(new_id(&*app.ctx.machine)?, &rules.settings, "", now)?;
    Ok(app.open_or_make(author)?)
}

/// The answer of `--if-missing` when it is not.
pub fn existing(
    app: &mut App<'_>,
    args: &TokenArgs,
    token: &Token,
    with_secret: bool,
) -> Result<Outcome, Error> {
    let now = app.ctx.machine.now()?;
    let store = app.open_to_read()?;
    args.warn_of_differences(app, &store, token, now)?;
    if app.json() {
        let document = ChangedDoc { token: TokenDoc::new(token, &store.times(now)), changed: false };
        if with_secret {
            app.print_json(&NoSecretDoc { token: document, secret: None })?;
        } else {
            app.print_json(&document)?;
        }
    } else {
        app.talk().note(&format!("`{}` exists; nothing was changed", token.name));
    }
    Ok(Outcome::Done)
}

/// Says that the store's default lifetime applies.
pub fn default_lifetime(token: &Token) -> String {
    let ttl = token.lifetime.ttl().map(|ttl| ttl.to_string()).unwrap_or_default();
    format!("the lifetime is the default, {ttl}; --ttl, --expires or --no-expiry set another")
}

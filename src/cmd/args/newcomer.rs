//! What `create` and `adopt` have in common: the store for a new token, and the messages about it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::describe::{Halt, Rules, TokenArgs, token_named};
use crate::app::{App, Outcome};
use crate::domain::event::Author;
use crate::domain::name::{Name, TokenId};
use crate::domain::token::Token;
use crate::domain::when::Timestamp;
use crate::error::Error;
use crate::store::Store;
use crate::ui::json::{ChangedDoc, NoSecretDoc, TokenDoc};

/// Opens the store for a new token. Errors that need no store are found before one is made. `check` gets whether
/// there is a store.
pub fn open_or_make(
    app: &mut App<'_>,
    author: &Author,
    name: &Name,
    args: &TokenArgs,
    check: impl FnOnce(&mut App<'_>, bool) -> Result<(), Error>,
) -> Result<Store, Halt> {
    if let Some(store) = app.open_if_there(author)? {
        let now = app.ctx.machine.now()?;
        store.read(|view| args.look_up(view, name, now))?;
        check(app, true)?;
        return Ok(store);
    }
    check(app, false)?;
    let now = app.ctx.machine.now()?;
    let rules = Rules::default();
    let new = args.describe(name, &rules.catalogue, now, &*app.ctx.machine)?;
    new.plan(TokenId::planned(), &rules.settings, "", now)?;
    Ok(app.open_or_make(author)?)
}

/// How often `--if-missing` checks whether another delivery is over.
const LOOK: Duration = Duration::from_millis(100);

/// If `err` is a delivery that is under way, `--if-missing` waits until it is over, so that the verb can try
/// again. Other errors are returned, and so is a delivery that has passed its deadline.
pub fn wait(app: &mut App<'_>, args: &TokenArgs, name: &Name, err: Error) -> Result<(), Error> {
    let now = app.ctx.machine.now()?;
    let (pid, started_at, deadline) = match err {
        Error::UnderWay { pid, started_at, deadline, .. } if args.if_missing && now < deadline => {
            (pid, started_at, deadline)
        }
        err => return Err(err),
    };
    wait_out(app, name, (pid, started_at), deadline)
}

/// Waits until the delivery that process `pid` began then is over, at most until its deadline.
pub fn wait_out(
    app: &mut App<'_>,
    name: &Name,
    (pid, started_at): (u32, Timestamp),
    deadline: Timestamp,
) -> Result<(), Error> {
    app.talk().note(&format!("waiting for the delivery of `{name}` by pid {pid}, until {deadline} at most"));
    loop {
        app.ctx.machine.pause(LOOK);
        let now = app.ctx.machine.now()?;
        // The store is opened each time: after a killed writer, a copy of it is read, which would never change.
        let holder = app.open_to_read()?.read(|view| token_named(view, name, now))?;
        let delivery = holder.and_then(|token| token.delivery);
        if now >= deadline || delivery.is_none_or(|it| it.started_at != started_at || it.pid != pid) {
            return Ok(());
        }
    }
}

/// Warns of each missing file that should hold the token's secret, since `--if-missing` does not restore it.
/// `named` is the file of the command line.
pub fn warn_of_missing_files(app: &mut App<'_>, token: &Token, named: Option<&Path>) {
    let remembered = token.destination.as_ref().and_then(|it| it.destination.path()).map(PathBuf::from);
    let named =
        named.and_then(|path| std::path::absolute(path).ok()).filter(|it| Some(it) != remembered.as_ref());
    let name = &token.name;
    if let Some(path) = remembered.filter(|path| is_missing(path)) {
        let path = path.display();
        app.talk().warn(&format!(
            "`{path}`, where `{name}` has its secret, is missing; `tokenctl rotate {name}` delivers a new one there"
        ));
    }
    if let Some(path) = named.filter(|path| is_missing(path)) {
        let path = path.display();
        app.talk().warn(&format!(
            "`{path}` is missing, and nothing was put there; `tokenctl rotate {name}` with the same flags does that"
        ));
    }
}

fn is_missing(path: &Path) -> bool {
    path.try_exists().is_ok_and(|exists| !exists)
}

/// The answer of `--if-missing` when the token exists.
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
            app.print_json(&NoSecretDoc { token: document, secret: None, error: None })?;
        } else {
            app.print_json(&document)?;
        }
    } else {
        app.talk().note(&format!("`{}` exists; nothing was changed", token.name));
    }
    Ok(Outcome::Done)
}

/// Reports that the store's default lifetime applies.
pub fn default_lifetime(token: &Token) -> String {
    let ttl = token.lifetime.ttl().map(|ttl| ttl.to_string()).unwrap_or_default();
    format!("the lifetime is the default, {ttl}; set another with --ttl, --expires or --no-expiry")
}

//! `create`: a new token, and its first secret handed over.

mod ask;

use clap::Args;

use crate::app::present::present;
use crate::app::{App, Outcome};
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::describe::{Halt, Rules, TokenArgs, end_in_words};
use crate::cmd::args::grants;
use crate::cmd::args::sink::{self, Delivered, SinkArgs, delivered_at};
use crate::context::Machine;
use crate::domain::event::{Action, Author};
use crate::domain::lifetime::Lifetime;
use crate::domain::name::{Name, NewName};
use crate::domain::token::Token;
use crate::error::Error;
use crate::store::{self, Store};
use crate::ui::json::{ChangedDoc, NoSecretDoc, TokenDoc};

#[derive(Args)]
pub struct Create {
    /// The name: letters, digits and . _ @ -; without one a terminal is asked
    #[arg(value_name = "NAME")]
    name: Option<NewName>,
    #[command(flatten)]
    token: TokenArgs,
    #[command(flatten)]
    sink: SinkArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Create {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let author = self.change.author(app);
        let (token, sink) = (self.token.clone(), self.sink.clone());
        let order = match &self.name {
            Some(NewName(name)) => Order { name: name.clone(), token, sink },
            None => ask::ask(app, &author, token, sink)?,
        };
        order.run(app, &author)
    }
}

/// All that is said of a token to be made.
pub struct Order {
    pub name: Name,
    pub token: TokenArgs,
    pub sink: SinkArgs,
}

impl Order {
    fn run(mut self, app: &mut App<'_>, author: &Author) -> Result<Outcome, Error> {
        let (store, delivered) = match self.make(app, author) {
            Ok(made) => made,
            Err(Halt::Already(token)) => return existing(app, &self.token, &token, true),
            Err(Halt::Error(err)) => return Err(err),
        };
        let token = &delivered.token;
        let end = end_in_words(token.expires_at(), delivered_at(token));
        let mut said = vec![format!("created `{}` ({}), {end}", token.name, token.id)];
        if self.token.by_default() && token.lifetime != Lifetime::Endless {
            said.push(default_lifetime(token));
        }
        sink::answer(app, &store, &self.sink, &delivered, &said)?;
        Ok(Outcome::Done)
    }

    fn make(&mut self, app: &mut App<'_>, author: &Author) -> Result<(Store, Delivered), Halt> {
        let store = open_or_make(app, author, &self.name, &self.token, |app| self.sink.check(app, &[]))?;
        let catalogue = store.read(|view| view.catalogue())?;
        grants::grant(app, &mut self.token, &catalogue)?;
        let enter = |tx: &store::Write<'_>, machine: &dyn Machine| self.token.enter(tx, &self.name, machine);
        let delivered = sink::hand_over(app, &store, author, Action::Create, &self.sink, &[], enter)?;
        Ok((store, delivered))
    }
}

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
    args.plan(name, &Rules::default(), author, now, &*app.ctx.machine)?;
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
    args.warn_of_differences(app, token, now)?;
    if app.json() {
        let store = app.open_to_read()?;
        let times = present(&store, now)?;
        let document = ChangedDoc { token: TokenDoc::new(token, &times), changed: false };
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

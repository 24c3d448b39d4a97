//! `create`: makes a token and delivers its first secret.

mod ask;
mod revive;

use clap::Args;

use crate::app::{App, Outcome};
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::delivery::{self, Delivered, delivered_at};
use crate::cmd::args::describe::{Halt, TokenArgs, expiry_in_words};
use crate::cmd::args::destination::DestinationArgs;
use crate::cmd::args::grants;
use crate::cmd::args::memory::{MemoryArgs, check_destination};
use crate::cmd::args::newcomer::{default_lifetime, existing, open_or_make, wait, warn_of_missing_files};
use crate::cmd::args::select::Reference;
use crate::cmd::args::takes::Takes;
use crate::context::Machine;
use crate::domain::destination::Destination;
use crate::domain::event::{Action, Author};
use crate::domain::lifetime::Lifetime;
use crate::domain::name::{Name, NewName};
use crate::domain::token::Token;
use crate::error::Error;
use crate::store::{self, Store};

#[derive(Args)]
pub struct Create {
    /// The name: letters, digits and . _ @ -; without one, you are asked on a terminal
    #[arg(value_name = "NAME")]
    name: Option<NewName>,
    /// Copy from this token what no flag sets; the token may be revoked
    #[arg(long, value_name = "TOKEN", add = Takes::Token)]
    like: Option<Reference>,
    #[command(flatten)]
    token: TokenArgs,
    /// With `--if-missing`, rotate the token if it exists and has expired; it keeps its id
    #[arg(long, requires = "if_missing")]
    revive: bool,
    #[command(flatten)]
    destination: DestinationArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Create {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let author = self.change.author(app);
        let (destination, memory) = (self.destination.clone(), self.memory.clone());
        let mut token = self.token.clone();
        token.revives = Some(self.revive);
        if let Some(like) = &self.like {
            let (store, now) = (app.open_to_read()?, app.ctx.machine.now()?);
            token = token.like(&store.read(|view| like.resolve(view, now))?);
        }
        let order = match &self.name {
            Some(NewName(name)) => Order { name: name.clone(), token, destination, memory },
            None => ask::ask(app, &author, token, destination, memory)?,
        };
        order.run(app, &author)
    }
}

/// Everything that is known about a token to create.
pub struct Order {
    pub name: Name,
    pub token: TokenArgs,
    pub destination: DestinationArgs,
    pub memory: MemoryArgs,
}

impl Order {
    fn run(mut self, app: &mut App<'_>, author: &Author) -> Result<Outcome, Error> {
        let (store, delivered) = loop {
            let halt = match self.make(app, author) {
                Ok(made) => break made,
                Err(Halt::Already(token))
                    if self.token.revives == Some(true) && token.has_expired(app.ctx.machine.now()?) =>
                {
                    match self.revive(app, author, &token) {
                        Ok(()) => return Ok(Outcome::Done),
                        Err(halt) => halt,
                    }
                }
                Err(halt) => halt,
            };
            match halt {
                Halt::Already(token) => {
                    self.warn_of_other_destination(app, &token);
                    warn_of_missing_files(app, &token, self.destination.to.path());
                    return existing(app, &self.token, &token, true);
                }
                Halt::Error(err) => wait(app, &self.token, &self.name, err)?,
            }
        };
        let token = &delivered.token;
        let end = expiry_in_words(token.expires_at(), delivered_at(token));
        let mut notes = vec![format!("created `{}` ({}), {end}", token.name, token.id)];
        if self.token.by_default() && token.lifetime != Lifetime::Endless {
            notes.push(default_lifetime(token));
        }
        delivery::document(app, &store, &self.destination, token, None)?;
        delivery::report(app, &store, &self.destination, &delivered, &notes);
        if token.destination.is_some() {
            app.talk().note("later rotations deliver there too; use `--no-remember` to prevent that");
        }
        Ok(Outcome::Done)
    }

    /// Warns if the existing token does not have the destination or hook of the flags.
    fn warn_of_other_destination(&self, app: &mut App<'_>, token: &Token) {
        let (to, after) = (&self.destination.to, self.memory.after());
        let has = token.destination.as_ref().is_some_and(|it| to.name(&it.destination));
        let same = [
            ("--out, --env-file, --exec", has || !to.is_given() || self.memory.no_remember),
            ("--after", after.is_none() || after == token.hook.as_deref()),
        ];
        for (flag, _) in same.iter().filter(|(_, same)| !same) {
            app.talk().warn(&format!("`{}` exists and differs from {flag}; it was not changed", token.name));
        }
    }

    fn make(&mut self, app: &mut App<'_>, author: &Author) -> Result<(Store, Delivered), Halt> {
        let store = open_or_make(app, author, &self.name, &self.token, |app, has_store| {
            // If there is a store, the delivery makes this check itself before it changes anything.
            if has_store { Ok(()) } else { self.destination.check(app, &[]) }
        })?;
        let catalogue = store.read(|view| view.catalogue())?;
        grants::grant(app, &mut self.token, &catalogue)?;
        let remembers = self.remembers(app, &store)?;
        let enter = |tx: &store::Write<'_>, machine: &dyn Machine, destination: Option<&Destination>| {
            let mut begun = self.token.enter(tx, &self.name, machine)?;
            begun.token.hook = self.memory.after().map(str::to_owned);
            if let Some(destination) = destination.filter(|_| remembers) {
                check_destination(tx, &begun.token, destination, &tx.author.actor, tx.now)?;
                begun.memory.remember = true;
            }
            Ok(begun)
        };
        let order = delivery::Order {
            action: Action::Create,
            args: &self.destination,
            ours: &[],
            keeps_variable: false,
        };
        let delivered = delivery::deliver(app, &store, author, &order, enter)?;
        Ok((store, delivered))
    }

    /// Whether the token remembers its destination. It does not if others can write the store.
    fn remembers(&self, app: &mut App<'_>, store: &Store) -> Result<bool, Error> {
        let wanted = !self.memory.no_remember && self.destination.to.is_given();
        if !wanted && self.memory.after().is_none() {
            return Ok(false);
        }
        let runs = self.destination.to.exec.is_some() || self.memory.after().is_some();
        match store.check_commands(runs) {
            Ok(()) => Ok(wanted),
            Err(err) if self.memory.after().is_some() => Err(err.into()),
            Err(err) => {
                app.talk().warn(&format!("the destination is not remembered: {err}"));
                Ok(false)
            }
        }
    }
}

//! `create`: a new token, and its first secret delivered.

mod ask;

use clap::Args;

use crate::app::{App, Outcome};
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::delivery::{self, Delivered, delivered_at};
use crate::cmd::args::describe::{Halt, TokenArgs, end_in_words};
use crate::cmd::args::destination::DestinationArgs;
use crate::cmd::args::grants;
use crate::cmd::args::memory::{MemoryArgs, check_receiver};
use crate::cmd::args::newcomer::{default_lifetime, existing, open_or_make};
use crate::cmd::args::select::Reference;
use crate::cmd::args::takes::Takes;
use crate::context::Machine;
use crate::domain::destination::Receiver;
use crate::domain::event::{Action, Author};
use crate::domain::lifetime::Lifetime;
use crate::domain::name::{Name, NewName};
use crate::error::Error;
use crate::store::{self, Store};

#[derive(Args)]
pub struct Create {
    /// The name: letters, digits and . _ @ -; without one a terminal is asked
    #[arg(value_name = "NAME")]
    name: Option<NewName>,
    /// Copy what no flag says from this token, which may be revoked: all but its name and its secret
    #[arg(long, value_name = "TOKEN", add = Takes::Token)]
    like: Option<Reference>,
    #[command(flatten)]
    token: TokenArgs,
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
        let token = match &self.like {
            Some(like) => {
                let (store, now) = (app.open_to_read()?, app.ctx.machine.now()?);
                self.token.clone().like(&store.read(|view| like.resolve(view, now))?)
            }
            None => self.token.clone(),
        };
        let order = match &self.name {
            Some(NewName(name)) => Order { name: name.clone(), token, destination, memory },
            None => ask::ask(app, &author, token, destination, memory)?,
        };
        order.run(app, &author)
    }
}

/// All that is said of a token to be made.
pub struct Order {
    pub name: Name,
    pub token: TokenArgs,
    pub destination: DestinationArgs,
    pub memory: MemoryArgs,
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
        if token.destination.is_some() {
            said.push("later rotations go there too; `--no-remember` delivers once".to_owned());
        }
        delivery::answer(app, &store, &self.destination, &delivered, &said)?;
        Ok(Outcome::Done)
    }

    fn make(&mut self, app: &mut App<'_>, author: &Author) -> Result<(Store, Delivered), Halt> {
        let store =
            open_or_make(app, author, &self.name, &self.token, |app| self.destination.check(app, &[]))?;
        let catalogue = store.read(|view| view.catalogue())?;
        grants::grant(app, &mut self.token, &catalogue)?;
        let remembers = self.remembers(app, &store)?;
        let enter = |tx: &store::Write<'_>, machine: &dyn Machine, receiver: Option<&Receiver>| {
            let mut begun = self.token.enter(tx, &self.name, machine)?;
            begun.token.hook = self.memory.after().map(str::to_owned);
            if let Some(receiver) = receiver.filter(|_| remembers) {
                check_receiver(tx, &begun.token, receiver, tx.now)?;
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

    /// Whether the token is to remember its destination, which a store that others can write must not make it do.
    fn remembers(&self, app: &mut App<'_>, store: &Store) -> Result<bool, Error> {
        let wanted = !self.memory.no_remember && self.destination.to.is_given();
        if !wanted && self.memory.after().is_none() {
            return Ok(false);
        }
        match store.check_commands() {
            Ok(()) => Ok(wanted),
            Err(err) if self.memory.after().is_some() => Err(err.into()),
            Err(err) => {
                app.talk().warn(&format!("the destination is not remembered: {err}"));
                Ok(false)
            }
        }
    }
}

//! The destination of a rotation, from its flags or remembered by the token.

use std::path::Path;

use super::delivery::Delivered;
use super::describe::Halt;
use super::destination::DestinationArgs;
use super::memory::{MemoryArgs, check_destination};
use crate::app::App;
use crate::domain::Invalid;
use crate::domain::destination::{Destination, RememberedDestination};
use crate::domain::event::Author;
use crate::domain::token::{Memory, Remember, Token};
use crate::error::Error;
use crate::store::{Store, Write};

/// Where a token's new secret goes, and what the token remembers.
pub struct Route {
    pub args: DestinationArgs,
    /// Whether the destination is the remembered one, since no flag names another.
    from_memory: Option<RememberedDestination>,
    after: Option<String>,
    remember: Remember,
}

/// The destination flags of the command line.
pub struct Flags<'a> {
    pub args: &'a DestinationArgs,
    pub memory: &'a MemoryArgs,
    /// Whether a destination is named, possibly standard output.
    pub named: bool,
    /// Whether a single named token is rotated. Then flags override its destination.
    pub single: bool,
    /// Whether only tokens that are due are rotated.
    pub due: bool,
    pub remember: bool,
    /// The directory for files of several tokens.
    pub dir: Option<&'a Path>,
}

impl Flags<'_> {
    /// [`Halt::Already`] if another user rotates the token.
    pub fn route(&self, store: &Store, author: &Author, token: &Token) -> Result<Route, Halt> {
        let uid = author.actor.uid;
        let after = self.memory.after().filter(|_| !self.due || token.hook.is_none()).map(str::to_owned);
        let to = |args, remember| Route { args, from_memory: None, after: after.clone(), remember };
        match &token.destination {
            Some(it) if !(self.named && self.single) => {
                let elsewhere = store.spans_hosts() && it.host != author.actor.host;
                if (it.uid != uid || elsewhere) && self.due && !self.single {
                    return Err(Halt::Already(Box::new(token.clone())));
                }
                check_own(token, it, uid)?;
                if elsewhere {
                    let (place, host) =
                        (it.destination.in_words(), it.host.as_deref().unwrap_or("another host"));
                    return Err(no_destination(token, format!("goes to {place} on {host}")).into());
                }
                store.check_commands(it.destination.command().is_some())?;
                let args = self.args.with(&it.destination);
                Ok(Route { from_memory: Some(it.clone()), ..to(args, self.remembers(store, false)?) })
            }
            _ if self.single => Ok(to(self.args.clone(), self.remembers(store, true)?)),
            _ if self.named || self.dir.is_some() => {
                Ok(to(self.args.within(self.dir, &token.name), self.remembers(store, false)?))
            }
            _ => Err(no_destination(token, "has no destination".to_owned()).into()),
        }
    }

    /// `first`: whether a first destination is remembered without `--remember`.
    fn remembers(&self, store: &Store, first: bool) -> Result<Remember, Error> {
        let runs = self.args.to.exec.is_some() || self.memory.after().is_some();
        if self.remember {
            store.check_commands(runs)?;
            return Ok(Remember::Always);
        }
        let may = first && !self.memory.no_remember && store.check_commands(runs).is_ok();
        Ok(if may { Remember::First } else { Remember::Never })
    }
}

fn check_own(token: &Token, destination: &RememberedDestination, uid: u32) -> Result<(), Error> {
    if destination.uid == uid {
        return Ok(());
    }
    let place = destination.destination.in_words();
    Err(no_destination(token, format!("goes to {place}, which belongs to uid {}", destination.uid)))
}

fn no_destination(token: &Token, why: String) -> Error {
    let hint = "name one, or set one that stays with `tokenctl edit NAME --out FILE`";
    Error::NoDestination { name: token.name.to_string(), why, hint }
}

impl Route {
    /// What the delivery consists of, for the token as it is in the first transaction.
    pub fn memory(
        &self,
        tx: &Write<'_>,
        token: &Token,
        destination: Option<&Destination>,
    ) -> Result<Memory, Error> {
        if self.from_memory.is_some() && self.from_memory != token.destination {
            let moved =
                format!("the destination of `{}` was changed meanwhile; nothing was changed", token.name);
            return Err(Error::Policy(Invalid::new(moved).hint("run the command again")));
        }
        let mut memory = token.memory_of(destination, self.after.as_deref(), self.remember);
        if tx.spans_hosts() {
            // The store's own is never run.
            memory.hook.clone_from(&self.after);
        }
        if let Some(destination) = destination.filter(|_| memory.remember) {
            check_destination(tx, token, destination, &tx.author.actor, tx.now)?;
        }
        Ok(memory)
    }

    /// Warns if somebody may look for the secret in the wrong place.
    pub fn report(&self, app: &mut App<'_>, before: &Token, delivered: &Delivered) {
        let (token, name) = (&delivered.token, &before.name);
        let Some(it) = &before.destination else { return };
        let place = it.destination.in_words();
        if self.from_memory.is_some() {
            if !app.ctx.terminal.stdout {
                app.talk().warn(&format!("the secret is in {place}, not here; print it with `--stdout`"));
            }
        } else if !before.remembers(delivered.destination.as_ref()) && token.destination == before.destination
        {
            let end = token.previous_expiry();
            let end = end.map_or("has expired".to_owned(), |end| format!("stops working at {end}"));
            app.talk().warn(&format!(
                "`{name}` remembers {place}, which now holds a secret that {end}; move it with `--remember`"
            ));
        }
        let moved = token.destination.as_ref().is_some_and(|moved| moved.destination != it.destination);
        if moved && it.destination.path().is_some() {
            app.talk().warn(&format!("{place} stays as it was and holds a superseded secret"));
        }
    }
}

/// What the token remembers from now on, if that changes.
pub fn newly_remembered(before: &Token, after: &Token) -> Option<String> {
    let now = after.destination.as_ref().filter(|_| before.destination != after.destination)?;
    Some(format!("from now on rotations deliver to {}", now.destination.in_words()))
}

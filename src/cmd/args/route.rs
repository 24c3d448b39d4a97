//! Decides where a rotation delivers the new secret: to the destination that the flags name, or to the one that is
//! stored with the token.

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

/// Where the new secret of a token goes, and what the rotation stores with the token.
pub struct DeliveryRoute {
    pub args: DestinationArgs,
    /// The stored destination, if it is used because no flag names another one.
    from_memory: Option<RememberedDestination>,
    /// The hook of `--after`, if it applies to this rotation.
    hook: Option<String>,
    remember: Remember,
}

/// The flags that decide about the destination, and what follows from them.
pub struct Flags<'a> {
    pub args: &'a DestinationArgs,
    pub memory: &'a MemoryArgs,
    /// Whether a flag names a destination. Standard output counts as one.
    pub named: bool,
    /// Whether the command rotates exactly one token, given by name. Only then do flags override its stored
    /// destination.
    pub single: bool,
    /// Whether only tokens that are due are rotated.
    pub due: bool,
    pub remember: bool,
    /// The directory of `--out-dir`, which gets a file for each token.
    pub dir: Option<&'a Path>,
}

impl Flags<'_> {
    /// Returns [`Halt::Already`] if the stored destination belongs to another user or host, whose own `rotate --due`
    /// rotates the token.
    pub fn route(&self, store: &Store, author: &Author, token: &Token) -> Result<DeliveryRoute, Halt> {
        let uid = author.actor.uid;
        let hook = self.memory.after().filter(|_| !self.due || token.hook.is_none()).map(str::to_owned);
        let route = |args, remember| DeliveryRoute { args, from_memory: None, hook: hook.clone(), remember };
        match &token.destination {
            Some(it) if !(self.named && self.single) => {
                let elsewhere = store.spans_hosts() && it.host != author.actor.host;
                if (it.uid != uid || elsewhere) && self.due && !self.single {
                    return Err(Halt::Already(Box::new(token.clone())));
                }
                check_owner(token, it, uid)?;
                if elsewhere {
                    let (place, host) =
                        (it.destination.in_words(), it.host.as_deref().unwrap_or("another host"));
                    return Err(
                        no_destination(token, format!("has its destination, {place}, on {host}")).into()
                    );
                }
                store.check_commands(it.destination.command().is_some())?;
                let args = self.args.with(&it.destination);
                Ok(DeliveryRoute {
                    from_memory: Some(it.clone()),
                    ..route(args, self.what_to_remember(store, false)?)
                })
            }
            _ if self.single => Ok(route(self.args.clone(), self.what_to_remember(store, true)?)),
            _ if self.named || self.dir.is_some() => {
                Ok(route(self.args.within(self.dir, &token.name), self.what_to_remember(store, false)?))
            }
            _ => Err(no_destination(token, "has no destination".to_owned()).into()),
        }
    }

    /// What to store with the token. With `first`, a token without a stored destination gets this one even without
    /// `--remember`.
    fn what_to_remember(&self, store: &Store, first: bool) -> Result<Remember, Error> {
        let runs = self.args.to.exec.is_some() || self.memory.after().is_some();
        if self.remember {
            store.check_commands(runs)?;
            return Ok(Remember::Always);
        }
        let may = first && !self.memory.no_remember && store.check_commands(runs).is_ok();
        Ok(if may { Remember::First } else { Remember::Never })
    }
}

fn check_owner(token: &Token, destination: &RememberedDestination, uid: u32) -> Result<(), Error> {
    if destination.uid == uid {
        return Ok(());
    }
    let place = destination.destination.in_words();
    Err(no_destination(
        token,
        format!("has the destination {place}, which belongs to uid {}", destination.uid),
    ))
}

fn no_destination(token: &Token, why: String) -> Error {
    let hint = "name one, like `--out FILE`, or store one with `tokenctl edit NAME --out FILE`";
    Error::NoDestination { name: token.name.to_string(), why, hint }
}

impl DeliveryRoute {
    /// Returns what this delivery stores with the token. Fails if the token's destination has changed since the route
    /// was chosen.
    pub fn to_store(
        &self,
        tx: &Write<'_>,
        token: &Token,
        destination: Option<&Destination>,
    ) -> Result<Memory, Error> {
        if self.from_memory.is_some() && self.from_memory != token.destination {
            let moved = format!(
                "another command has just changed the destination of `{}`, so this one did nothing",
                token.name
            );
            return Err(Error::Policy(Invalid::new(moved).hint("run the command again")));
        }
        let mut memory = token.memory_of(destination, self.hook.as_deref(), self.remember);
        if tx.spans_hosts() {
            // The hook that a shared store has is never run, so only `--after` of this command counts.
            memory.hook.clone_from(&self.hook);
        }
        if let Some(destination) = destination.filter(|_| memory.remember) {
            check_destination(tx, token, destination, &tx.author.actor, tx.now)?;
        }
        Ok(memory)
    }

    /// Warns if the user might expect the secret in another place.
    pub fn warn_of_other_places(&self, app: &mut App<'_>, before: &Token, delivered: &Delivered) {
        let (token, name) = (&delivered.token, &before.name);
        let Some(it) = &before.destination else { return };
        let place = it.destination.in_words();
        if self.from_memory.is_some() {
            if !app.ctx.terminal.stdout {
                app.talk().warn(&format!("the secret went to {place}; to print it, pass `--stdout`"));
            }
        } else if !before.remembers(delivered.destination.as_ref()) && token.destination == before.destination
        {
            let end = token.previous_expiry();
            let end = end.map_or("has expired".to_owned(), |end| format!("stops working at {end}"));
            app.talk().warn(&format!(
                "later rotations of `{name}` still deliver to {place}, whose secret {end}; to change that, pass `--remember`"
            ));
        }
        let moved = token.destination.as_ref().is_some_and(|moved| moved.destination != it.destination);
        if moved && it.destination.path().is_some() {
            app.talk().warn(&format!("{place} was not changed, and still contains the superseded secret"));
        }
    }
}

/// The destination of later rotations, if this one has changed it.
pub fn newly_remembered(before: &Token, after: &Token) -> Option<String> {
    let now = after.destination.as_ref().filter(|_| before.destination != after.destination)?;
    Some(format!("later rotations will deliver to {}", now.destination.in_words()))
}

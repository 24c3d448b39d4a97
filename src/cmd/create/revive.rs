//! `create --if-missing --revive`: an expired token of the name gets a new secret and keeps its id.

use super::Order;
use crate::app::App;
use crate::cmd::args::delivery::{self, rotated_in_words};
use crate::cmd::args::describe::Halt;
use crate::cmd::args::hooks;
use crate::cmd::args::route::{Flags, newly_remembered};
use crate::deliver::Begun;
use crate::domain::event::{Action, Author};
use crate::domain::policy::{Replacement, Rotation};
use crate::domain::token::{Memory, Token};
use crate::error::{Error, Subject};
use crate::store::Write;

impl Order {
    /// Rotates `seen`, which has expired, to the destination of the flags, or else to the one it remembers.
    /// [`Halt::Already`] if another run has rotated it meanwhile.
    pub fn revive(&self, app: &mut App<'_>, author: &Author, seen: &Token) -> Result<(), Halt> {
        let store = app.open_to_write(author)?;
        let now = app.ctx.machine.now()?;
        self.token.warn_of_differences(app, &store, seen, now)?;
        let flags = Flags {
            args: &self.destination,
            memory: &self.memory,
            named: !self.destination.is_stdout(),
            single: true,
            due: false,
            remember: false,
            dir: None,
        };
        let route = flags.route(&store, author, seen)?;
        let order = delivery::Order {
            action: Action::Rotate,
            args: &route.args,
            ours: &seen.secret_hashes(),
            keeps_variable: seen.destination.is_some(),
        };
        let delivered = delivery::deliver(app, &store, author, &order, |tx, _, destination| {
            let begun = begin(tx, seen)?;
            let memory = route.to_store(tx, &begun.token, destination)?;
            Ok(Begun { memory, ..begun })
        })?;
        if let Some(end) = seen.expires_at() {
            delivery::warn_of_revival(app, seen, end);
        }
        let mut notes = rotated_in_words(&delivered.token).to_vec();
        notes.extend(newly_remembered(seen, &delivered.token));
        route.warn_of_other_places(app, seen, &delivered);
        Ok(hooks::report_and_run(app, &store, author, self.memory.after(), &route.args, delivered, &notes)?)
    }
}

/// Plans the rotation, if the token is still the expired one.
fn begin(tx: &Write<'_>, seen: &Token) -> Result<Begun, Halt> {
    let gone = || Error::NotFound { what: Subject::Token, name: seen.name.to_string(), nearest: None };
    let token = tx.tokens(&[seen.row], tx.now)?.pop().filter(|token| token.id == seen.id).ok_or_else(gone)?;
    if let Some(delivery) = &token.delivery {
        return Err(Error::under_way(&token, delivery).into());
    }
    let rotation = Rotation { revives: true, ..Rotation::default() };
    let Replacement { expires_at, grace } = rotation.check(&token, &tx.settings()?, tx.now)?;
    if !token.has_expired(tx.now) {
        return Err(Halt::Already(Box::new(token)));
    }
    Ok(Begun { token, is_new: false, expires_at, grace, memory: Memory::default() })
}

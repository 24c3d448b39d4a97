//! What a token remembers of a delivery, and the command that runs after one: their flags and checks.

use std::str::FromStr;

use clap::Args;

use super::destination::HEADING;
use crate::domain::Invalid;
use crate::domain::destination::Destination;
use crate::domain::event::Actor;
use crate::domain::token::Token;
use crate::domain::when::Timestamp;
use crate::error::Error;
use crate::store::View;

#[derive(Args, Clone)]
pub struct MemoryArgs {
    /// Do not store the destination for later rotations
    #[arg(long, help_heading = HEADING)]
    pub no_remember: bool,
    /// Run this hook with `sh -c` after each rotation that delivers to the stored destination
    #[arg(long, value_name = "COMMAND", help_heading = HEADING)]
    after: Option<HookCommand>,
}

impl MemoryArgs {
    pub fn after(&self) -> Option<&str> {
        self.after.as_ref().map(|HookCommand(command)| command.as_str())
    }
}

/// A command, which must not be blank.
#[derive(Clone)]
pub struct HookCommand(pub String);

impl FromStr for HookCommand {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.trim().is_empty() {
            return Err(Invalid::new("the command is empty"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Fails if another token already has this destination.
pub fn check_destination(
    view: &View<'_>,
    token: &Token,
    destination: &Destination,
    actor: &Actor,
    now: Timestamp,
) -> Result<(), Error> {
    Ok(token.check_destination(destination, &view.sharing_file(destination, actor, now)?)?)
}

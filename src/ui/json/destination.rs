//! The documents of a token's destination and its hook.

use serde::Serialize;

use crate::domain::destination::RememberedDestination;
use crate::domain::token::Token;
use crate::domain::when::Timestamp;

#[derive(Serialize)]
pub struct DestinationDoc<'a> {
    kind: &'static str,
    path: Option<&'a str>,
    variable: Option<&'a str>,
    command: Option<&'a str>,
    host: Option<&'a str>,
    uid: u32,
}

impl<'a> DestinationDoc<'a> {
    pub fn new(it: &'a RememberedDestination) -> Self {
        Self {
            kind: it.destination.word(),
            path: it.destination.path(),
            variable: it.destination.variable(),
            command: it.destination.command(),
            host: it.host.as_deref(),
            uid: it.uid,
        }
    }
}

#[derive(Serialize)]
pub struct HookDoc<'a> {
    command: &'a str,
    pending_since: Option<Timestamp>,
}

impl<'a> HookDoc<'a> {
    /// The stored hook of a token, or a pending hook that was given for a single rotation.
    pub fn of(token: &'a Token) -> Option<Self> {
        let pending = token.pending_hook.as_ref();
        let command = token.hook.as_deref().or(pending.map(|hook| hook.command.as_str()))?;
        Some(Self { command, pending_since: pending.map(|hook| hook.created_at) })
    }
}

//! The documents of `audit`, and the events, which `show` has too.

use serde::Serialize;

use super::NamedDoc;
use crate::domain::changes::Change;
use crate::domain::event::{Anchor, Event, Subject};
use crate::domain::when::Timestamp;

/// An event.
#[derive(Serialize)]
pub struct EventDoc<'a> {
    seq: i64,
    time: Timestamp,
    action: &'a str,
    token: Option<NamedDoc<'a>>,
    actor: ActorDoc<'a>,
    reason: Option<&'a str>,
    changes: &'a [Change],
    row_digest: Option<String>,
    hash: String,
}

#[derive(Serialize)]
struct ActorDoc<'a> {
    uid: u32,
    login: Option<&'a str>,
    sudo_user: Option<&'a str>,
    host: Option<&'a str>,
}

impl<'a> EventDoc<'a> {
    pub fn new(event: &'a Event) -> Self {
        Self {
            seq: event.seq,
            time: event.time,
            action: &event.action,
            token: match &event.subject {
                Subject::Token { id, name } => Some(NamedDoc { id: Some(id), name }),
                Subject::Catalogue | Subject::Settings => None,
            },
            actor: ActorDoc {
                uid: event.actor.uid,
                login: event.actor.login.as_deref(),
                sudo_user: event.actor.sudo_user.as_deref(),
                host: event.actor.host.as_deref(),
            },
            reason: event.reason.as_deref(),
            changes: &event.changes,
            row_digest: event.row_digest.map(|digest| digest.to_hex().to_string()),
            hash: event.hash.to_hex().to_string(),
        }
    }
}

/// The document of `audit head`.
#[derive(Serialize)]
pub struct HeadDoc {
    seq: i64,
    hash: String,
}

impl HeadDoc {
    pub fn new(anchor: &Anchor) -> Self {
        Self { seq: anchor.seq, hash: anchor.hash.to_hex().to_string() }
    }
}

/// The document of `audit verify`.
#[derive(Serialize)]
pub struct AuditDoc<'a> {
    pub ok: bool,
    pub events: i64,
    pub head: HeadDoc,
    pub database: &'a [String],
    pub first_bad: Option<ProblemDoc<'a>>,
    pub rows: Vec<NamedDoc<'a>>,
}

#[derive(Serialize)]
pub struct ProblemDoc<'a> {
    pub seq: i64,
    pub problem: &'a str,
}

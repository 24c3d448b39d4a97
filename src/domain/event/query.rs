//! Selects events of the audit log.

use super::{Action, Event, Subject};
use crate::domain::when::Timestamp;

/// An event must meet all conditions. It must have one of `actions`.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// The id of a token.
    pub token: Option<String>,
    /// The first and the last time, both included.
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub actions: Vec<Action>,
    /// A login, a `SUDO_USER`, a uid, or the displayed name of the actor.
    pub actor: Option<String>,
}

impl Query {
    pub fn meets(&self, event: &Event) -> bool {
        let by_token =
            |id: &String| matches!(&event.subject, Subject::Token { id: found, .. } if found == id);
        self.token.as_ref().is_none_or(by_token)
            && self.since.is_none_or(|since| since <= event.time)
            && self.until.is_none_or(|until| event.time <= until)
            && (self.actions.is_empty() || self.actions.iter().any(|action| action.names(&event.action)))
            && self.actor.as_ref().is_none_or(|actor| is_by(event, actor))
    }
}

fn is_by(event: &Event, wanted: &str) -> bool {
    let actor = &event.actor;
    let claims = [actor.login.as_deref(), actor.sudo_user.as_deref()];
    claims.contains(&Some(wanted)) || actor.uid.to_string() == wanted || actor.display_name() == wanted
}

//! The destination and the hook that a delivery stores with its token, and the hook that runs after a
//! rotation.

use super::{Delivery, DestinationKind, Token};
use crate::domain::Invalid;
use crate::domain::destination::{Destination, RememberedDestination};
use crate::domain::hook::PendingHook;
use crate::domain::policy::Refused;
use crate::domain::when::Timestamp;

/// When a delivery stores its destination with the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remember {
    Never,
    /// Only if no destination is stored with the token yet.
    First,
    Always,
}

/// The effects of a delivery besides the new secret. They are applied when the secret is confirmed, by this
/// process or by recovery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// Whether the destination and the hook are stored with the token.
    pub remember: bool,
    /// The command to run after the confirmation.
    pub hook: Option<String>,
}

impl Delivery {
    /// The destination, if it can be remembered.
    pub fn rememberable(&self) -> Option<Destination> {
        let (target, variable) = (self.target.clone(), self.variable.clone());
        match self.destination {
            DestinationKind::File => Some(Destination::File { path: target? }),
            DestinationKind::EnvFile => Some(Destination::EnvFile { path: target?, variable: variable? }),
            DestinationKind::Command => Some(Destination::Command { command: self.command.clone()? }),
            DestinationKind::Stdout | DestinationKind::Clipboard => None,
        }
    }
}

impl Token {
    /// Whether this destination is stored with the token.
    pub fn remembers(&self, destination: Option<&Destination>) -> bool {
        self.destination.as_ref().is_some_and(|it| Some(&it.destination) == destination)
    }

    /// Whether a hook of this user is pending.
    pub fn has_hook_of(&self, uid: u32) -> bool {
        self.pending_hook.as_ref().is_some_and(|hook| hook.uid == uid)
    }

    /// The effects of a rotation that delivers to `destination`. `after` is the command that was given for
    /// this rotation.
    pub fn memory_of(
        &self,
        destination: Option<&Destination>,
        after: Option<&str>,
        remember: Remember,
    ) -> Memory {
        let replaces_hook = after.is_some() && self.hook.as_deref().is_some_and(|hook| Some(hook) != after);
        let remember = match remember {
            Remember::Never => false,
            Remember::First => destination.is_some() && self.destination.is_none() && !replaces_hook,
            Remember::Always => true,
        };
        let is_remembered = self.remembers(destination) || remember && destination.is_some();
        let own = self.hook.as_deref().filter(|_| is_remembered);
        Memory { remember, hook: after.or(own).map(str::to_owned) }
    }

    /// Fails if one of the other tokens has this destination, or gets it when its delivery is confirmed.
    pub fn check_destination(&self, destination: &Destination, others: &[Token]) -> Result<(), Refused> {
        let has = |other: &&Token| {
            let under_way = other.delivery.as_ref().filter(|it| it.remember).and_then(Delivery::rememberable);
            let own = other.destination.as_ref().map(|it| &it.destination);
            other.id != self.id && own.into_iter().chain(&under_way).any(|it| it.collides_with(destination))
        };
        let Some(other) = others.iter().find(has) else { return Ok(()) };
        let taken =
            Invalid::new(format!("{} is the destination of `{}`", destination.in_words(), other.name));
        Err(Refused::Forbidden(taken.hint("choose another file or variable; two tokens cannot share one")))
    }

    /// Applies the effects of a confirmed delivery.
    pub(super) fn apply_memory(
        &mut self,
        delivery: &Delivery,
        previous_expires_at: Option<Timestamp>,
        now: Timestamp,
    ) {
        let destination = delivery.rememberable();
        let owner_of_hook = self
            .destination
            .as_ref()
            .filter(|it| Some(&it.destination) == destination.as_ref() && self.hook == delivery.hook)
            .map_or((delivery.uid, delivery.host.clone()), |it| (it.uid, it.host.clone()));
        if let Some(command) = &delivery.hook {
            self.pending_hook = Some(PendingHook {
                secret: delivery.secret,
                command: command.clone(),
                destination: destination
                    .as_ref()
                    .map(|it| it.path().or(it.command()).unwrap_or_default().to_owned()),
                previous_expires_at,
                uid: owner_of_hook.0,
                host: owner_of_hook.1,
                claim: None,
                failed_at: None,
                created_at: now,
            });
        }
        if !delivery.remember {
            return;
        }
        if let Some(destination) = destination {
            self.destination =
                Some(RememberedDestination { destination, host: delivery.host.clone(), uid: delivery.uid });
        }
        if delivery.hook.is_some() {
            self.hook.clone_from(&delivery.hook);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::tests::{at, delivery, secret, token};

    fn file(path: &str) -> Destination {
        Destination::File { path: path.to_owned() }
    }

    /// A token with the stored destination `/a` and the hook `reload`, both of user 7 on the host `old`.
    fn remembering() -> Token {
        Token {
            destination: Some(RememberedDestination {
                destination: file("/a"),
                host: Some("old".to_owned()),
                uid: 7,
            }),
            hook: Some("reload".to_owned()),
            ..token(vec![secret(1, 0)])
        }
    }

    #[test]
    fn the_first_destination_is_stored_unless_another_hook_would_be_replaced() {
        let (a, b) = (file("/a"), file("/b"));
        let memory = |it: &Token, receiver, after| {
            let memory = it.memory_of(receiver, after, Remember::First);
            (memory.remember, memory.hook)
        };
        let (run, reload) = (|| Some("run".to_owned()), || Some("reload".to_owned()));
        let new = token(vec![secret(1, 0)]);
        assert_eq!(memory(&new, Some(&a), Some("run")), (true, run()));
        assert_eq!(memory(&new, None, Some("run")), (false, run()));
        let hooked = Token { destination: None, ..remembering() };
        assert_eq!(memory(&hooked, Some(&a), None), (true, reload()));
        assert_eq!(memory(&hooked, Some(&a), Some("reload")), (true, reload()));
        assert_eq!(memory(&hooked, Some(&a), Some("run")), (false, run()));
        assert_eq!(memory(&hooked, None, None), (false, None), "stdout");
        assert_eq!(memory(&remembering(), Some(&a), None), (false, reload()));
        assert_eq!(memory(&remembering(), Some(&b), None), (false, None), "elsewhere once");
    }

    #[test]
    fn a_stored_hook_belongs_to_its_owner_and_any_other_hook_to_the_user_who_delivered() {
        let owner = |path: &str, hook: &str| {
            let mut it = remembering();
            let (target, hook) = (Some(path.to_owned()), Some(hook.to_owned()));
            let host = Some("new".to_owned());
            let delivery =
                Delivery { destination: DestinationKind::File, target, hook, host, uid: 8, ..delivery(1) };
            it.apply_memory(&delivery, None, at(5));
            let pending = it.pending_hook.clone().expect("a hook");
            assert_eq!((it.has_hook_of(pending.uid), it.has_hook_of(9)), (true, false));
            (pending.uid, pending.host.expect("a host"))
        };
        assert_eq!(owner("/a", "reload"), (7, "old".to_owned()));
        assert_eq!(owner("/a", "run"), (8, "new".to_owned()));
        assert_eq!(owner("/b", "reload"), (8, "new".to_owned()));
    }
}

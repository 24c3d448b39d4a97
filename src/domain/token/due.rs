//! When a token's policy asks for a new secret, and whether that would bring an expired token back to life.

use super::{Status, Token};
use crate::domain::when::Timestamp;

/// What a rotation does to a token that may have expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revival {
    /// The token has not expired.
    None,
    /// Its policy should have replaced the secret before it expired, and catches up at most one interval late.
    CaughtUp,
    /// Clients have been refused for longer than that, or no policy covers it: somebody must decide.
    Deliberate,
}

impl Token {
    /// When the policy asks for the next secret: one interval after the delivery of the current one. `None` without a
    /// policy, without a current secret, and where no later secret can exist.
    pub fn due_at(&self) -> Option<Timestamp> {
        let current = self.current().filter(|current| current.revoked_at.is_none())?;
        let due = current.delivered_at?.plus(self.rotate_every?)?;
        let ends_first = self.lifetime.until().is_some_and(|until| until <= due);
        (self.revoked_at.is_none() && !ends_first).then_some(due)
    }

    /// Whether the policy asks for a new secret now. An expired token is due, unless a new secret could not outlive
    /// its fixed expiry.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let past_until = self.lifetime.until().is_some_and(|until| until <= now);
        let is_paused = matches!(self.status(now), Status::Disabled | Status::Pending);
        self.due_at().is_some_and(|due| due <= now) && !past_until && !is_paused
    }

    /// Whether the secret that the token is judged by is past its expiry, whatever else its status is.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.face().is_some_and(|secret| secret.is_past_end(now))
    }

    /// What a rotation now would do to it; `by_policy` says that the policy asked for it.
    pub fn revival(&self, now: Timestamp, by_policy: bool) -> Revival {
        let Some(end) = self.expires_at().filter(|_| self.has_expired(now)) else { return Revival::None };
        let is_in_time = |every| end.plus(every).is_some_and(|last| now <= last);
        if by_policy && self.rotate_every.is_some_and(is_in_time) {
            Revival::CaughtUp
        } else {
            Revival::Deliberate
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lifetime::Lifetime;
    use crate::domain::token::StoredSecret;
    use crate::domain::token::tests::{at, secret, token};
    use crate::domain::when::Span;

    const DAY: i64 = 86_400;

    /// A token of 31 days that is due every 30.
    fn policy() -> Token {
        let current = StoredSecret { expires_at: Some(at(31 * DAY)), ..secret(1, 0) };
        Token {
            rotate_every: Some(Span::days(30)),
            lifetime: Lifetime::Ttl(Span::days(31)),
            ..token(vec![current])
        }
    }

    #[test]
    fn a_token_is_due_one_interval_after_its_delivery() {
        let it = policy();
        assert_eq!(it.due_at(), Some(at(30 * DAY)));
        assert!(!it.is_due(at(30 * DAY - 1)) && it.is_due(at(30 * DAY)) && it.is_due(at(40 * DAY)));
    }

    #[test]
    fn nothing_is_due_without_a_policy_or_where_no_later_secret_can_exist() {
        assert_eq!(Token { rotate_every: None, ..policy() }.due_at(), None);
        assert_eq!(Token { revoked_at: Some(at(1)), ..policy() }.due_at(), None);
        let fixed = |end| Token { lifetime: Lifetime::Until(at(end)), ..policy() };
        assert_eq!(fixed(30 * DAY).due_at(), None);
        assert_eq!(fixed(30 * DAY + 1).due_at(), Some(at(30 * DAY)));
        assert!(!fixed(31 * DAY).is_due(at(31 * DAY)));
        let disabled = Token { disabled_at: Some(at(1)), ..policy() };
        assert!(disabled.due_at().is_some() && !disabled.is_due(at(30 * DAY)));
    }

    #[test]
    fn a_policy_catches_up_for_one_interval_after_the_expiry() {
        let it = policy();
        assert_eq!(it.revival(at(31 * DAY - 1), true), Revival::None);
        assert_eq!(it.revival(at(31 * DAY), true), Revival::CaughtUp);
        assert_eq!(it.revival(at(61 * DAY), true), Revival::CaughtUp);
        assert_eq!(it.revival(at(61 * DAY + 1), true), Revival::Deliberate);
        assert_eq!(it.revival(at(31 * DAY), false), Revival::Deliberate);
    }
}

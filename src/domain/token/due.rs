//! When a token is due for rotation, and whether a rotation would revive it.

use super::{Status, Token};
use crate::domain::when::Timestamp;

/// How a rotation would affect a token that might have expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revival {
    /// The token has not expired.
    None,
    /// The token expired before its policy replaced the secret, but not more than one interval ago. The
    /// policy is allowed to catch up.
    CaughtUp,
    /// Clients have been refused for more than one interval, or there is no policy. An administrator must
    /// decide.
    Deliberate,
}

impl Token {
    /// When the next rotation is due: one interval after the delivery of the current secret. `None` without a
    /// policy or a current secret, and if no later secret can exist.
    pub fn due_at(&self) -> Option<Timestamp> {
        let current = self.current().filter(|current| current.revoked_at.is_none())?;
        let due = current.delivered_at?.plus(self.rotate_every?)?;
        let expires_first = self.lifetime.until().is_some_and(|until| until <= due);
        (self.revoked_at.is_none() && !expires_first).then_some(due)
    }

    /// Whether a rotation is due now. An expired token is due, unless its fixed expiry has passed. A disabled
    /// or pending token is not.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let past_until = self.lifetime.until().is_some_and(|until| until <= now);
        let is_paused = matches!(self.status(now), Status::Disabled | Status::Pending);
        self.due_at().is_some_and(|due| due <= now) && !past_until && !is_paused
    }

    /// Whether the effective secret has expired, even if another status of the token comes first.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.face().is_some_and(|secret| secret.has_expired(now))
    }

    /// The effect of a rotation now. `by_policy` means that the rotation policy caused it.
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

    /// A token whose secrets are valid for 31 days and replaced every 30 days.
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
    fn no_rotation_is_due_without_a_policy_or_if_no_later_secret_can_exist() {
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
    fn rotate_due_rotates_an_expired_token_for_one_more_interval() {
        let it = policy();
        assert_eq!(it.revival(at(31 * DAY - 1), true), Revival::None);
        assert_eq!(it.revival(at(31 * DAY), true), Revival::CaughtUp);
        assert_eq!(it.revival(at(61 * DAY), true), Revival::CaughtUp);
        assert_eq!(it.revival(at(61 * DAY + 1), true), Revival::Deliberate);
        assert_eq!(it.revival(at(31 * DAY), false), Revival::Deliberate);
    }
}

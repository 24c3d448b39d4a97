//! What pruning removes: a revoked or expired token as a whole, and the superseded secrets of other tokens.

use super::token::{Role, Status, StoredSecret, Token};
use super::when::Timestamp;

/// The effect of pruning on a token.
#[derive(Debug, PartialEq, Eq)]
pub enum Pruned {
    Nothing,
    /// Some secrets are removed. This is the token without them.
    Secrets(Box<Token>),
    Whole,
}

impl Token {
    /// Removes what was revoked or expired at `until` or before. A token that a rotation could still renew,
    /// and a token with an unfinished delivery, are left unchanged.
    pub fn pruned(&self, until: Timestamp, now: Timestamp) -> Pruned {
        if self.delivery.is_some() || self.is_due(now) {
            return Pruned::Nothing;
        }
        if matches!(self.status(now), Status::Revoked | Status::Expired) || self.has_expired(now) {
            let ended = self.revoked_at.or_else(|| self.face().and_then(StoredSecret::ended_at));
            return if ended.is_none_or(|end| end <= until) { Pruned::Whole } else { Pruned::Nothing };
        }
        let is_removed = |secret: &StoredSecret| {
            secret.role() == Role::Previous
                && secret.is_over(now)
                && secret.ended_at().is_some_and(|end| end <= until)
        };
        if !self.secrets.iter().any(is_removed) {
            return Pruned::Nothing;
        }
        let secrets = self.secrets.iter().filter(|secret| !is_removed(secret)).cloned().collect();
        Pruned::Secrets(Box::new(Token { secrets, ..self.clone() }))
    }
}

impl StoredSecret {
    /// The time at which the secret stops working, by revocation or expiry.
    fn ended_at(&self) -> Option<Timestamp> {
        self.revoked_at.into_iter().chain(self.expires_at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lifetime::Lifetime;
    use crate::domain::token::tests::{at, secret, token};
    use crate::domain::when::Span;

    #[test]
    fn only_old_revocations_and_expiries_are_removed() {
        let previous = StoredSecret { superseded_at: Some(at(1)), expires_at: Some(at(10)), ..secret(1, 0) };
        let live = token(vec![previous, secret(2, 1)]);
        assert_eq!(live.pruned(at(9), at(20)), Pruned::Nothing);
        let left = Token { secrets: vec![secret(2, 1)], ..live.clone() };
        assert_eq!(live.pruned(at(10), at(20)), Pruned::Secrets(Box::new(left)));
        let revoked = Token { revoked_at: Some(at(15)), ..live };
        assert_eq!(revoked.pruned(at(14), at(20)), Pruned::Nothing);
        assert_eq!(revoked.pruned(at(15), at(20)), Pruned::Whole);
        let expired = token(vec![StoredSecret { expires_at: Some(at(15)), ..secret(1, 0) }]);
        assert_eq!(expired.pruned(at(15), at(14)), Pruned::Nothing);
        assert_eq!(expired.pruned(at(15), at(15)), Pruned::Whole);
    }

    #[test]
    fn a_token_that_is_due_for_rotation_is_not_pruned() {
        let expired = token(vec![StoredSecret { expires_at: Some(at(15)), ..secret(1, 0) }]);
        let due = Token {
            lifetime: Lifetime::Ttl(Span::hours(1)),
            rotate_every: Some(Span::from_secs(5).unwrap()),
            ..expired
        };
        assert_eq!(due.pruned(at(20), at(20)), Pruned::Nothing);
    }
}

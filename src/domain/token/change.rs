//! Changes to a token: revocation, disabling and enabling, a new lifetime, and the replacement of its secrets.

use super::{Role, Token};
use crate::domain::lifetime::Lifetime;
use crate::domain::secret::SecretHash;
use crate::domain::when::Timestamp;

impl Token {
    /// Revokes the token, and removes its unfinished delivery and pending hook. Returns whether this changes
    /// anything.
    pub fn revoke(&mut self, now: Timestamp) -> bool {
        if self.revoked_at.is_some() {
            return false;
        }
        self.revoked_at = Some(now);
        self.pending_hook = None;
        self.remove_provisional();
        true
    }

    /// Disables the token. Returns whether this changes anything.
    pub fn disable(&mut self, now: Timestamp) -> bool {
        let changes = self.disabled_at.is_none();
        self.disabled_at.get_or_insert(now);
        changes
    }

    /// Enables the token. Returns whether this changes anything.
    pub fn enable(&mut self) -> bool {
        self.disabled_at.take().is_some()
    }

    /// Sets the lifetime of the token and the resulting expiry, `end`, of its current secret. Previous
    /// secrets expire no later than that. A provisional secret keeps the expiry that it was given, unless a
    /// fixed expiry is earlier.
    pub fn set_lifetime(&mut self, lifetime: Lifetime, end: Option<Timestamp>) {
        self.lifetime = lifetime;
        let capped = |expiry: Option<Timestamp>| expiry.into_iter().chain(lifetime.until()).min();
        for secret in self.secrets.iter_mut().filter(|secret| secret.revoked_at.is_none()) {
            match secret.role() {
                Role::Current => secret.expires_at = end,
                Role::Previous => secret.expires_at = secret.expires_at.into_iter().chain(end).min(),
                Role::Provisional => secret.expires_at = capped(secret.expires_at),
            }
        }
        if let Some(delivery) = &mut self.delivery {
            delivery.expires_at = capped(delivery.expires_at);
        }
    }

    /// Confirms the provisional secret. It becomes the current one and gets its real expiry, and the grace
    /// period of the previous one starts. The other effects of the delivery are applied as well.
    pub fn confirm(&mut self, now: Timestamp) {
        let Some(delivery) = self.delivery.take() else { return };
        // The earliest of a secret's expiry, the end of its grace period, and the expiry of the new secret.
        let bounded = |expiry: Option<Timestamp>, grace_end: Option<Timestamp>| {
            [expiry, grace_end, delivery.expires_at].into_iter().flatten().min()
        };
        let current = self.current().map(|secret| secret.row);
        for secret in &mut self.secrets {
            match secret.role() {
                Role::Provisional => {
                    secret.expires_at = delivery.expires_at;
                    secret.delivered_at = Some(now);
                }
                Role::Current | Role::Previous if secret.is_over(now) => {
                    secret.superseded_at.get_or_insert(now);
                }
                role @ (Role::Current | Role::Previous) => {
                    secret.superseded_at.get_or_insert(now);
                    match delivery.grace {
                        None => secret.expires_at = Some(now),
                        Some(grace) if role == Role::Current => {
                            secret.expires_at = bounded(secret.expires_at, now.plus(grace));
                        }
                        Some(_) => secret.expires_at = bounded(secret.expires_at, None),
                    }
                }
            }
        }
        let previous = self.secrets.iter().find(|secret| Some(secret.row) == current);
        self.apply_memory(&delivery, previous.and_then(|secret| secret.expires_at), now);
    }

    /// Removes the provisional secret and its delivery record.
    pub fn remove_provisional(&mut self) {
        self.delivery = None;
        self.secrets.retain(|secret| secret.role() != Role::Provisional);
    }

    /// Revokes the previous secrets that still work. Returns whether this changes anything.
    pub fn revoke_previous(&mut self, now: Timestamp) -> bool {
        let mut changes = false;
        for secret in
            self.secrets.iter_mut().filter(|secret| secret.role() == Role::Previous && !secret.is_over(now))
        {
            secret.revoked_at = Some(now);
            changes = true;
        }
        changes
    }

    /// Revokes the token of a leaked secret, or only the secret if it is a previous one. Returns whether this
    /// changes anything.
    pub fn revoke_leaked(&mut self, hash: &SecretHash, now: Timestamp) -> bool {
        let Some(leaked) = self.secrets.iter_mut().find(|secret| secret.hash == *hash) else { return false };
        if self.revoked_at.is_some() || leaked.is_over(now) {
            return false;
        }
        if leaked.role() == Role::Previous {
            leaked.revoked_at = Some(now);
            return true;
        }
        self.revoke(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::tests::{at, delivery, secret, token};
    use crate::domain::token::{Delivery, StoredSecret};
    use crate::domain::when::Span;

    #[test]
    fn a_new_lifetime_does_not_change_a_revoked_secret() {
        let revoked = StoredSecret {
            superseded_at: Some(at(5)),
            expires_at: Some(at(50)),
            revoked_at: Some(at(6)),
            ..secret(1, 0)
        };
        let mut it = token(vec![revoked.clone(), secret(2, 5)]);
        it.set_lifetime(Lifetime::Until(at(20)), Some(at(20)));
        assert_eq!((&it.secrets[0], it.secrets[1].expires_at), (&revoked, Some(at(20))));
    }

    /// When each secret of a token expires after its provisional secret was confirmed with this grace period.
    fn ends(secrets: Vec<StoredSecret>, grace: Option<Span>) -> Vec<Option<i64>> {
        let provisional = StoredSecret { delivered_at: None, ..secret(9, 10) };
        let mut it = token(secrets.into_iter().chain([provisional]).collect());
        it.delivery = Some(Delivery { grace, ..delivery(9) });
        it.confirm(at(10));
        it.secrets.iter().map(|secret| secret.expires_at.map(|end| end.since(at(0)))).collect()
    }

    #[test]
    fn an_expired_secret_keeps_its_expiry_when_another_one_is_confirmed() {
        let over = |row| StoredSecret { expires_at: Some(at(5)), ..secret(row, 0) };
        let previous = StoredSecret { superseded_at: Some(at(2)), ..over(1) };
        assert_eq!(ends(vec![previous, over(2)], None), [Some(5), Some(5), None]);
    }

    #[test]
    fn a_later_and_shorter_grace_period_does_not_shorten_an_earlier_one() {
        let previous =
            StoredSecret { superseded_at: Some(at(5)), expires_at: Some(at(90_000)), ..secret(1, 0) };
        let ends = ends(vec![previous, secret(2, 5)], Some(Span::hours(1)));
        assert_eq!(ends, [Some(90_000), Some(3_610), None]);
    }
}

//! The state of a token after a backup is restored. It is as in the backup, but everything that has been
//! revoked or has expired since then stays so.

use super::scope::Catalogue;
use super::token::{Grant, StoredSecret, Token};
use super::when::Timestamp;

/// A token of a backup, merged with the existing token of the store.
pub struct Restored {
    pub token: Token,
    /// Whether something that works in the backup stays disabled, revoked or expired.
    pub kept_ended: bool,
}

impl Token {
    /// Returns this token of a backup in place of the existing one. Only secrets that were delivered in the
    /// backup and still exist in the store are restored. `None` if there are none.
    pub fn restored_over(&self, existing: &Token, now: Timestamp) -> Option<Restored> {
        let mut ended = self.disabled_at.is_none() && existing.disabled_at.is_some()
            || self.revoked_at.is_none() && existing.revoked_at.is_some();
        let mut secrets = Vec::new();
        for secret in self.secrets.iter().filter(|secret| secret.delivered_at.is_some()) {
            let Some(counterpart) =
                existing.secrets.iter().find(|counterpart| counterpart.hash == secret.hash)
            else {
                ended |= !secret.is_over(now);
                continue;
            };
            let after = StoredSecret { row: counterpart.row, ..secret.restricted_as(counterpart, now) };
            ended |= !secret.is_over(now) && after.is_over(now);
            secrets.push(after);
        }
        if secrets.is_empty() {
            return None;
        }
        let token = Token {
            row: existing.row,
            disabled_at: self.disabled_at.or(existing.disabled_at),
            revoked_at: self.revoked_at.or(existing.revoked_at),
            secrets,
            delivery: None,
            ..self.clone()
        };
        Some(Restored { token, kept_ended: ended })
    }

    /// Applies to this token of a backup what another store has disabled, revoked or let expire. Keeps all
    /// secrets.
    #[must_use]
    pub fn restricted_as(&self, other: &Token, now: Timestamp) -> Self {
        let mut token = self.clone();
        token.disabled_at = token.disabled_at.or(other.disabled_at);
        token.revoked_at = token.revoked_at.or(other.revoked_at);
        for secret in token.secrets.iter_mut().filter(|secret| secret.delivered_at.is_some()) {
            if let Some(other) = other.secrets.iter().find(|other| other.hash == secret.hash) {
                *secret = secret.restricted_as(other, now);
            }
        }
        token
    }

    /// Returns the token with grants that refer to this catalogue. A scope that is not in the catalogue is
    /// not granted.
    #[must_use]
    pub fn granted_in(mut self, catalogue: &Catalogue) -> Self {
        let regrant = |grant: Grant| {
            let entry = catalogue.iter().find(|entry| entry.id == grant.scope_id)?;
            Some((entry.row, Grant { scope: entry.name.clone(), ..grant }))
        };
        self.grants = self.grants.into_values().filter_map(regrant).collect();
        self
    }

    /// Whether a client can use the token now, or could use it if it were enabled.
    pub fn has_working_secret(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.secrets.iter().any(|secret| !secret.is_over(now))
    }
}

impl StoredSecret {
    fn restricted_as(&self, other: &Self, now: Timestamp) -> Self {
        let earlier = if other.has_expired(now) { other.expires_at } else { None };
        Self {
            revoked_at: self.revoked_at.or(other.revoked_at),
            expires_at: self.expires_at.into_iter().chain(earlier).min(),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::scope::Entry;
    use crate::domain::token::tests::{at, delivery, secret, token};

    #[test]
    fn revocations_and_expiries_since_the_backup_are_kept() {
        let backup = token(vec![secret(1, 0), StoredSecret { superseded_at: Some(at(1)), ..secret(2, 0) }]);
        let mut present = backup.clone();
        assert!(!backup.restored_over(&present, at(9)).unwrap().kept_ended);
        present.secrets[0].expires_at = Some(at(5));
        let restored = backup.restored_over(&present, at(9)).unwrap();
        assert_eq!((restored.token.secrets[0].expires_at, restored.kept_ended), (Some(at(5)), true));
        // An expiry in the future does not count.
        present.secrets[0].expires_at = Some(at(10));
        assert_eq!(backup.restored_over(&present, at(9)).unwrap().token, backup);
        for end in
            [|it: &mut Token| it.revoked_at = Some(at(3)), |it: &mut Token| it.disabled_at = Some(at(3))]
        {
            let mut present = backup.clone();
            end(&mut present);
            let restored = backup.restored_over(&present, at(9)).unwrap();
            assert!(restored.kept_ended && restored.token == present);
        }
        present.secrets.remove(0);
        assert_eq!(backup.restored_over(&present, at(9)).unwrap().token.secrets.len(), 1);
        present.secrets.clear();
        assert!(backup.restored_over(&present, at(9)).is_none(), "no secret is left of it");
    }

    #[test]
    fn a_secret_that_was_not_delivered_in_the_backup_is_not_restored() {
        let provisional = StoredSecret { delivered_at: None, ..secret(2, 1) };
        let backup = token(vec![secret(1, 0), provisional]);
        let restored = backup.restored_over(&backup, at(9)).unwrap();
        assert_eq!(restored.token.secrets, [secret(1, 0)]);
    }

    #[test]
    fn a_restored_token_keeps_the_existing_row_numbers_and_no_delivery() {
        let backup = Token { row: 8, delivery: Some(delivery(1)), ..token(vec![secret(1, 0)]) };
        let moved = StoredSecret { row: 5, ..secret(1, 0) };
        let present = token(vec![moved.clone()]);
        let restored = backup.restored_over(&present, at(9)).unwrap().token;
        assert_eq!(restored, Token { row: 1, ..token(vec![moved]) });
    }

    #[test]
    fn a_working_secret_of_the_backup_that_no_longer_exists_is_reported() {
        let over = StoredSecret { expires_at: Some(at(3)), ..secret(2, 0) };
        let kept_ended = |now| {
            let backup = token(vec![secret(1, 0), over.clone()]);
            backup.restored_over(&token(vec![secret(1, 0)]), at(now)).unwrap().kept_ended
        };
        assert!(kept_ended(2));
        assert!(!kept_ended(3));
    }

    #[test]
    fn revocations_of_another_store_are_applied_and_every_secret_is_kept() {
        let backup = token(vec![secret(1, 0), secret(2, 0)]);
        let mut other = token(vec![StoredSecret { revoked_at: Some(at(4)), ..secret(2, 0) }]);
        other.disabled_at = Some(at(5));
        let mut expected = backup.clone();
        expected.secrets[1].revoked_at = Some(at(4));
        expected.disabled_at = Some(at(5));
        assert_eq!(backup.restricted_as(&other, at(9)), expected);
    }

    #[test]
    fn grants_refer_to_the_same_scopes_in_another_catalogue() {
        let entry = |row, id: &str, name: &str| Entry {
            row,
            id: id.to_owned(),
            name: name.parse().unwrap(),
            description: None,
            includes: BTreeSet::new(),
            created_at: at(0),
            retired_at: None,
        };
        let grant = |row, id: &str, name: &str| {
            (
                row,
                Grant { row, scope_id: id.to_owned(), scope: name.parse().unwrap(), last_required_at: None },
            )
        };
        let mut it = token(vec![secret(1, 0)]);
        it.grants = [grant(1, "a", "read"), grant(2, "b", "write")].into();
        let grants = it.granted_in(&Catalogue::new([entry(3, "a", "see"), entry(4, "c", "write")])).grants;
        let shown: Vec<_> = grants.iter().map(|(row, it)| (*row, &*it.scope_id, it.scope.as_str())).collect();
        assert_eq!(shown, [(3, "a", "see")]);
    }

    #[test]
    fn a_token_works_unless_it_is_revoked_or_all_its_secrets_are_over() {
        let over = StoredSecret { expires_at: Some(at(3)), ..secret(1, 0) };
        assert!(token(vec![over.clone(), secret(2, 0)]).has_working_secret(at(9)));
        assert!(!token(vec![over]).has_working_secret(at(9)));
        let revoked = Token { revoked_at: Some(at(1)), ..token(vec![secret(1, 0)]) };
        assert!(!revoked.has_working_secret(at(9)));
    }
}

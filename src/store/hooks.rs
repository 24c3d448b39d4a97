//! Pending hooks: finding, claiming and completing them.
//!
//! A claim is not a change to a token, so it records no event. It is still a transaction, so that only one of
//! two concurrent runs gets it.

use rusqlite::params;

use super::engine::Purpose;
use super::{Store, StoreError, View, Write};
use crate::domain::destination::Destination;
use crate::domain::event::{Action, Actor, Author};
use crate::domain::hook::{Claim, PendingHook};
use crate::domain::token::Token;
use crate::domain::when::{Clock, Timestamp};

/// The tokens that have, or will have, a path on a host as their destination.
const SHARING: &str = "SELECT row FROM tokens WHERE destination_path = ?1 AND revoked_at IS NULL
     AND (CAST(?2 AS text) IS NULL OR destination_host = ?2)
     UNION SELECT s.token FROM delivery d JOIN secret s ON s.row = d.secret WHERE d.target = ?1 AND d.remember = 1
     AND (CAST(?2 AS text) IS NULL OR d.host = ?2)";

impl View<'_> {
    /// The unrevoked tokens whose destination is in the same file, or will be once their delivery is
    /// confirmed. The same path on another host is another file.
    pub fn sharing_file(
        &self,
        destination: &Destination,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Vec<Token>, StoreError> {
        let Some(path) = destination.path() else { return Ok(Vec::new()) };
        let host = actor.host.as_deref().filter(|_| self.spans_hosts());
        self.tokens(&self.column(SHARING, params![path, host])?, now)
    }
}

impl Store {
    /// Claims the pending hook of a token for this process. `None` if another process is running it, if it is
    /// done, or if another rotation has replaced it.
    pub fn claim_hook(
        &self,
        clock: &dyn Clock,
        token: &Token,
        pid: u32,
    ) -> Result<Option<PendingHook>, StoreError> {
        self.change_without_event(clock, |view, now| {
            let same = view.tokens(&[token.row], now)?.pop().filter(|found| found.id == token.id);
            let is_same_hook = |hook: &PendingHook| {
                let expected =
                    token.pending_hook.as_ref().map(|expected| (expected.secret, &expected.command));
                expected == Some((hook.secret, &hook.command)) && !hook.is_claimed(now)
            };
            let Some(hook) = same.and_then(|token| token.pending_hook).filter(is_same_hook) else {
                return Ok(None);
            };
            let sql = "UPDATE hook SET claimed_at = ?2, claimed_pid = ?3 WHERE secret = ?1";
            view.run(sql, params![hook.secret, now, pid])?;
            Ok(Some(PendingHook { claim: Some(Claim { at: now, pid }), ..hook }))
        })
    }

    /// Releases a hook that this process has claimed and that has failed, so that the next run tries it again.
    pub fn release_hook(&self, clock: &dyn Clock, hook: &PendingHook) -> Result<(), StoreError> {
        self.change_without_event(clock, |view, now| {
            let sql = "UPDATE hook SET claimed_at = NULL, claimed_pid = NULL, failed_at = ?4
                 WHERE secret = ?1 AND claimed_at = ?2 AND claimed_pid = ?3";
            let (at, pid) = (hook.claim.map(|claim| claim.at), hook.claim.map(|claim| claim.pid));
            view.run(sql, params![hook.secret, at, pid, now]).map(drop)
        })
    }

    /// Removes a hook that this process has claimed and that has succeeded. If a later rotation has replaced
    /// the hook in the meantime, the new one stays pending. Returns the token.
    pub fn finish_hook(
        &self,
        clock: &dyn Clock,
        author: &Author,
        token: &Token,
        hook: &PendingHook,
    ) -> Result<Option<Token>, StoreError> {
        self.write(clock, author, |tx| {
            let found = tx.tokens(&[token.row], tx.now)?.pop().filter(|found| found.id == token.id);
            let same = found.filter(|token| token.pending_hook.as_ref() == Some(hook));
            let Some(before) = same else { return Ok(None) };
            let after = Token { pending_hook: None, ..before.clone() };
            tx.update(&before, &after, Action::Hook).map(Some)
        })
    }

    /// Runs a transaction on rows whose changes have no events.
    fn change_without_event<T>(
        &self,
        clock: &dyn Clock,
        f: impl FnOnce(&View<'_>, Timestamp) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let tx = self.begin(Purpose::Change)?;
        self.is_of_today()?;
        let out = f(&View::of(self), clock.now().map_err(StoreError::Clock)?)?;
        tx.commit().map_err(|err| self.failed(&err))?;
        Ok(out)
    }
}

impl Write<'_> {
    /// Makes this the only pending hook of a token. `None` removes it.
    pub(super) fn save_hook(&self, token: i64, hook: Option<&PendingHook>) -> Result<(), StoreError> {
        let sql = "DELETE FROM hook WHERE secret IN (SELECT row FROM secret WHERE token = ?1)";
        self.run(sql, params![token])?;
        let Some(hook) = hook else { return Ok(()) };
        let sql =
            "INSERT INTO hook (secret, command, destination, previous_expires_at, host, uid, claimed_at,
             claimed_pid, failed_at, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let values = params![
            hook.secret,
            hook.command,
            hook.destination,
            hook.previous_expires_at,
            hook.host,
            hook.uid,
            hook.claim.map(|claim| claim.at),
            hook.claim.map(|claim| claim.pid),
            hook.failed_at,
            hook.created_at
        ];
        self.run(sql, values).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::schema;

    #[test]
    fn the_tokens_of_a_file_are_found_without_reading_all_tokens() {
        let steps = schema::plan(SHARING, params!["/etc/api.key", None::<&str>]);
        assert!(
            steps.contains(&"SEARCH tokens USING INDEX token_destination (destination_path=?)".to_owned()),
            "{steps:?}"
        );
        assert!(
            !steps.iter().any(|step| step.starts_with("SCAN tokens") || step.starts_with("SCAN s")),
            "{steps:?}"
        );
    }
}

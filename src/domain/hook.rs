//! A command that must run after a rotation has delivered its secret.

use super::when::{Span, Timestamp};

/// The longest time that a hook is allowed to run.
pub const LIMIT: Span = Span::minutes(5);
/// How long a claim on a hook lasts. After that, another process can claim it.
const CLAIM: Span = Span::minutes(6);

/// A pending hook. It is removed when it has succeeded, a later rotation replaces it, or its token is
/// revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingHook {
    /// The row of the secret after whose delivery the hook runs.
    pub secret: i64,
    /// The argument of `sh -c`.
    pub command: String,
    /// The path or command to which the secret was delivered. `None` for stdout and a clipboard.
    pub destination: Option<String>,
    /// When the previous secret stops working.
    pub previous_expires_at: Option<Timestamp>,
    /// The host and the user to which the command belongs. Nobody else runs it.
    pub host: Option<String>,
    pub uid: u32,
    pub claim: Option<Claim>,
    pub failed_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// The process that is running a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub at: Timestamp,
    pub pid: u32,
}

impl PendingHook {
    /// Whether a process is running the hook. A claim that is dated in the future does not count, because it
    /// was made before the clock went back.
    pub fn is_claimed(&self, now: Timestamp) -> bool {
        self.claim.is_some_and(|claim| claim.at <= now && now.since(claim.at) < CLAIM.secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::tests::at;

    #[test]
    fn a_claim_lasts_six_minutes_and_never_counts_if_dated_in_the_future() {
        let claimed = PendingHook {
            secret: 1,
            command: "true".to_owned(),
            destination: None,
            previous_expires_at: None,
            host: None,
            uid: 0,
            claim: Some(Claim { at: at(100), pid: 1 }),
            failed_at: None,
            created_at: at(90),
        };
        let is_claimed = |now| claimed.is_claimed(at(now));
        assert!(is_claimed(100) && is_claimed(459) && !is_claimed(460) && !is_claimed(99));
        assert!(!PendingHook { claim: None, ..claimed.clone() }.is_claimed(at(100)));
    }
}

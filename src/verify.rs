//! The verification that all commands and the library share, from a presented text to a verdict.
//!
//! - Requests that arrive together are answered in one read transaction, with one reading of the clock after the
//!   lock is taken. The transaction ends before the first answer is returned. So an answer takes into account
//!   every revocation that returned before its request was made.
//! - An error is never a positive answer.
//! - A use is recorded for a valid secret, and a refusal for a revoked or expired one, unless the request is for
//!   a future instant.

#[cfg(feature = "cli")]
pub mod pairs;

use std::net::IpAddr;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::domain::scope::{Catalogue, Scope};
use crate::domain::secret::{INPUT_MAX, Secret, SecretHash};
use crate::domain::token::{Role, StoredSecret, Token};
use crate::domain::verdict::{Reason, Requirements, judge};
use crate::domain::when::{Clock, ClockWrong, Timestamp};
use crate::store::{Parts, Presented, Store, StoreError, View};

/// The hash of a presented secret, and the requirements.
pub struct Request<'a> {
    /// `None` for a text that cannot be a secret.
    presented: Option<SecretHash>,
    requirements: &'a Requirements,
    address: Option<IpAddr>,
}

impl<'a> Request<'a> {
    /// Reads a presented text. One newline after it is ignored.
    pub fn new(presented: &[u8], requirements: &'a Requirements) -> Self {
        // Longer text cannot be a secret, so it is not copied.
        let text = (presented.len() <= INPUT_MAX).then(|| Zeroizing::new(presented.to_vec()));
        Self::of_secret(text.and_then(Secret::read).as_ref(), requirements)
    }

    /// The request for a secret that was read already. `None` stands for a text that cannot be one.
    pub fn of_secret(secret: Option<&Secret>, requirements: &'a Requirements) -> Self {
        Self { presented: secret.map(Secret::hash), requirements, address: requirements.address }
    }

    /// Sets the address of the request, which replaces that of the requirements.
    #[must_use]
    pub fn from(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
    }

    /// Whether the text cannot be a secret, so that the answer needs no store.
    pub fn is_malformed(&self) -> bool {
        self.presented.is_none()
    }
}

/// Options for answering requests.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// The time in the future to check for, instead of now.
    pub at: Option<Timestamp>,
    /// Whether the verdict includes all labels and scopes of the token.
    pub describe: bool,
}

/// Whether a presented secret meets the requirements, and its token.
#[derive(Debug)]
pub struct Verdict {
    reason: Reason,
    missing_scopes: Vec<Scope>,
    undefined_scopes: Vec<Scope>,
    found: Option<Arc<Presented>>,
}

impl Verdict {
    pub fn is_valid(&self) -> bool {
        self.reason == Reason::Valid
    }

    /// The first reason that applies.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The required scopes that the token does not have. The list is empty unless that is the reason.
    pub fn missing_scopes(&self) -> &[Scope] {
        &self.missing_scopes
    }

    /// The required scopes that do not exist in the store, perhaps by a typing error.
    pub fn undefined_scopes(&self) -> &[Scope] {
        &self.undefined_scopes
    }

    /// The token, without its times of use. `None` for a malformed or unknown secret. If the presented secret is the
    /// current one, the token has only that one.
    pub fn token(&self) -> Option<&Token> {
        self.found.as_ref().map(|found| &found.token)
    }

    /// The presented secret as the store keeps it.
    pub fn secret(&self) -> Option<&StoredSecret> {
        self.found.as_ref().map(|found| found.secret())
    }

    /// Whether this is a valid secret that a rotation replaced, within its grace period.
    pub fn is_previous(&self) -> bool {
        self.is_valid() && self.secret().is_some_and(|secret| secret.role() == Role::Previous)
    }

    /// The verdict on a text that cannot be a secret.
    pub fn malformed() -> Self {
        let (missing_scopes, undefined_scopes) = (Vec::new(), Vec::new());
        Self { reason: Reason::Malformed, missing_scopes, undefined_scopes, found: None }
    }

    fn unknown() -> Self {
        Self { reason: Reason::Unknown, ..Self::malformed() }
    }
}

/// The answer to one request.
pub fn one(
    store: &Store,
    clock: &dyn Clock,
    request: Request<'_>,
    manner: Manner,
) -> Result<Verdict, StoreError> {
    verdicts(store, clock, &[request], manner)?.pop().unwrap_or_else(|| Ok(Verdict::malformed()))
}

/// The answers to several requests, in their order. An error that concerns one of them does not affect the
/// others.
pub fn verdicts(
    store: &Store,
    clock: &dyn Clock,
    requests: &[Request<'_>],
    manner: Manner,
) -> Result<Vec<Result<Verdict, StoreError>>, StoreError> {
    if requests.iter().all(Request::is_malformed) {
        return Ok(requests.iter().map(|_| Ok(Verdict::malformed())).collect());
    }
    let needs_catalogue = requests.iter().any(|request| !request.requirements.scopes.is_empty());
    let (answers, catalogue, now) = store.read_fresh(clock, |view, now| {
        let catalogue = if needs_catalogue { view.known_catalogue()? } else { Arc::default() };
        #[cfg(feature = "postgres")]
        view.expect(requests.iter().filter_map(|request| request.presented), now);
        let answer = |request: &Request<'_>| verdict(view, &catalogue, now, request, manner);
        let answers: Vec<_> = requests.iter().map(answer).collect();
        Ok::<_, StoreError>((answers, catalogue, now))
    })?;
    if manner.at.is_none() {
        for (request, answer) in requests.iter().zip(&answers) {
            let Ok(Verdict { reason, found: Some(found), .. }) = answer else { continue };
            match reason {
                Reason::Valid => store.record_use(found, &request.requirements.scopes, &catalogue, now),
                Reason::Revoked | Reason::Disabled | Reason::Superseded | Reason::Expired => {
                    store.record_refusal(found.secret(), now);
                }
                _ => {}
            }
        }
        store.send_uses();
    }
    Ok(answers)
}

fn verdict(
    view: &View<'_>,
    catalogue: &Catalogue,
    now: Timestamp,
    request: &Request<'_>,
    Manner { at, describe }: Manner,
) -> Result<Verdict, StoreError> {
    let Request { presented: Some(hash), requirements, address } = request else {
        return Ok(Verdict::malformed());
    };
    // Rows on which the answer does not depend are not read.
    let parts = Parts {
        labels: describe || !requirements.labels.is_empty(),
        grants: describe || !requirements.scopes.is_empty(),
        rest: false,
    };
    let Some(found) = view.known(hash, now, parts)? else { return Ok(Verdict::unknown()) };
    let created = found.secret().created_at;
    if created.since(now) > ClockWrong::TOLERANCE {
        let wrong = format!("the clock says {now}, but this secret was created at {created}");
        return Err(ClockWrong(wrong).into());
    }
    let (reason, missing) =
        judge(&found.token, found.secret(), requirements, *address, catalogue, at.unwrap_or(now));
    if reason == Reason::Unknown {
        return Ok(Verdict::unknown());
    }
    // A clock that went back would make an expired secret valid again.
    if reason == Reason::Valid && found.secret().expires_at.is_some() {
        ClockWrong::check(now, found.last_change)?;
    }
    let undefined = requirements.scopes.iter().filter(|scope| catalogue.get(scope).is_none());
    Ok(Verdict {
        reason,
        missing_scopes: missing.into_iter().cloned().collect(),
        undefined_scopes: undefined.cloned().collect(),
        found: Some(found),
    })
}

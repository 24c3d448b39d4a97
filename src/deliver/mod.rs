//! Handing a secret over so that it is never lost and never orphaned, whatever dies in between.
//!
//! 1. One transaction enters the heir, valid at once, and a delivery with a deadline.
//! 2. The sink takes the secret; no lock is held.
//! 3. One conditional transaction confirms the heir: it gets its real end, and the secret before it its grace.
//!
//! What fails is withdrawn in a transaction of its own; what was killed is withdrawn by the next change after the
//! deadline, and is dead by itself from then on.

mod recover;
mod stdout;

use std::time::Duration;

use thiserror::Error;

use crate::context::Clock;
use crate::domain::event::{Action, Author, Subject};
use crate::domain::secret::Secret;
use crate::domain::token::{Delivery, SinkKind, StoredSecret, Token};
use crate::domain::when::{Span, Timestamp};
use crate::store::{Store, StoreError, Write};

pub use recover::{recover, withdraw_dead};
pub use stdout::{Form, Stdout};

/// An heir that is not confirmed by then never will be.
const DEADLINE: Span = Span::minutes(10);
/// Confirming stops waiting for the lock this long before the deadline.
const MARGIN: Span = Span::minutes(1);

#[derive(Debug, Error)]
pub enum DeliverError {
    /// The heir is gone for good.
    #[error("{0}; nothing was changed")]
    Failed(String),
    /// The heir could not be withdrawn.
    #[error("{why}, and it could not be withdrawn; the secret may work until {until}")]
    Uncertain { why: String, until: Timestamp },
    /// The secret is delivered and valid, the rest of the output is not.
    #[error("the secret is delivered and valid, but the output was cut: {0}")]
    Cut(String),
}

impl DeliverError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Failed(_) => {
                Some("give the secret somewhere to go: a terminal, a pipe or a file".to_owned())
            }
            Self::Uncertain { .. } => {
                Some("revoke the token if somebody may have seen the secret".to_owned())
            }
            Self::Cut(_) => None,
        }
    }
}

/// A receiver of one secret.
pub trait Sink {
    fn kind(&self) -> SinkKind;

    /// Whether it could take a secret at all; asked before anything is changed.
    fn check(&mut self) -> Result<(), String>;

    /// Hands the secret of `token` over, whose state is that after the confirmation.
    fn deliver(&mut self, secret: &Secret, token: &Token) -> Result<(), String>;

    /// What is held back until the secret is confirmed.
    fn finish(&mut self) -> Result<(), DeliverError>;
}

/// The token that gets the secret, as the first transaction made or found it.
pub struct Begun {
    pub token: i64,
    /// The real end of the secret.
    pub expires_at: Option<Timestamp>,
}

/// Who hands over, by which clock.
pub struct Handover<'a> {
    pub store: &'a Store,
    pub clock: &'a dyn Clock,
    pub author: &'a Author,
    pub pid: u32,
    pub action: Action,
}

impl Handover<'_> {
    /// Runs the protocol. `prepare` makes or checks the token within the first transaction. Returns the token as it is
    /// after the confirmation.
    pub fn run<E: From<StoreError> + From<DeliverError>>(
        &self,
        secret: &Secret,
        sink: &mut dyn Sink,
        prepare: impl FnOnce(&Write<'_>) -> Result<Begun, E>,
    ) -> Result<Token, E> {
        let token = self.store.write(self.clock, self.author, |tx| {
            let begun = prepare(tx)?;
            self.enter_heir(tx, secret, sink, &begun).map_err(E::from)
        })?;
        let heir = Heir::of(&token)?;
        let mut confirmed = token.clone();
        confirmed.confirm(heir.started_at);
        if let Err(why) = sink.deliver(secret, &confirmed) {
            return Err(self.give_up(&heir, why).into());
        }
        match self.confirm(&heir) {
            Ok(token) => {
                sink.finish()?;
                Ok(token)
            }
            Err(why) => Err(self.give_up(&heir, why).into()),
        }
    }

    fn enter_heir(
        &self,
        tx: &Write<'_>,
        secret: &Secret,
        sink: &dyn Sink,
        begun: &Begun,
    ) -> Result<Token, StoreError> {
        let now = tx.now;
        let deadline = now.plus(DEADLINE).unwrap_or(Timestamp::MAX);
        let row = tx.insert_secret(
            begun.token,
            &StoredSecret {
                row: 0,
                hash: secret.hash(),
                hint: secret.hint(),
                created_at: now,
                expires_at: Some(begun.expires_at.map_or(deadline, |end| end.min(deadline))),
                delivered_at: None,
                superseded_at: None,
                revoked_at: None,
                last_used_at: None,
            },
        )?;
        tx.insert_delivery(&Delivery {
            secret: row,
            sink: sink.kind(),
            target: None,
            uid: self.author.actor.uid,
            pid: self.pid,
            started_at: now,
            deadline,
            expires_at: begun.expires_at,
        })?;
        tx.record_token(self.action, begun.token)?;
        tx.token(begun.token, now)
    }

    /// The second transaction; the error says why the heir cannot be confirmed.
    fn confirm(&self, heir: &Heir) -> Result<Token, String> {
        let now = self.clock.now().map_err(|wrong| wrong.0)?;
        let left = heir.deadline.since(now) - MARGIN.secs();
        let patience = Duration::from_secs(u64::try_from(left).unwrap_or(0));
        self.store.set_patience(patience).map_err(|err| err.to_string())?;
        // Nothing here may be refused for a clock that went back: the receiver holds the secret already.
        let author = Author { accept_clock: true, reason: None, ..self.author.clone() };
        let done = self.store.write(self.clock, &author, |tx| {
            let Some(token) = heir.find(tx)? else { return Ok(Err("it was revoked meanwhile")) };
            if token.heir().is_none_or(|heir| heir.is_past_end(tx.now)) {
                return Ok(Err("the hand-over took too long"));
            }
            let mut confirmed = token.clone();
            confirmed.confirm(tx.now);
            tx.update(&token, &confirmed, Action::Confirm).map(Ok)
        });
        match done {
            Ok(Ok(token)) => Ok(token),
            Ok(Err(why)) => Err(why.to_owned()),
            Err(err) => Err(StoreError::to_string(&err)),
        }
    }

    /// Withdraws the heir after a failure that is known.
    fn give_up(&self, heir: &Heir, why: String) -> DeliverError {
        let withdrawn = self.store.write(self.clock, self.author, |tx| match heir.find(tx)? {
            Some(token) => withdraw(tx, &token),
            None => Ok(()),
        });
        match withdrawn {
            Ok(()) => DeliverError::Failed(why),
            Err(_) => DeliverError::Uncertain { why, until: heir.expires_at },
        }
    }
}

/// The heir of a token, as the first transaction left it.
struct Heir {
    token: i64,
    id: String,
    secret: i64,
    started_at: Timestamp,
    deadline: Timestamp,
    expires_at: Timestamp,
}

impl Heir {
    fn of(token: &Token) -> Result<Self, StoreError> {
        let found = token.heir().zip(token.delivery.as_ref()).map(|(heir, delivery)| Self {
            token: token.row,
            id: token.id.clone(),
            secret: heir.row,
            started_at: delivery.started_at,
            deadline: delivery.deadline,
            expires_at: heir.expires_at.unwrap_or(delivery.deadline),
        });
        found.ok_or_else(|| StoreError::Damaged("an heir was not kept".to_owned()))
    }

    /// The token, if it still is the one, unrevoked, and the heir is still its heir. Rows may have been used again.
    fn find(&self, tx: &Write<'_>) -> Result<Option<Token>, StoreError> {
        let token = tx.tokens(&[self.token], tx.now)?.pop();
        Ok(token.filter(|token| {
            let same = token
                .delivery
                .as_ref()
                .is_some_and(|it| it.secret == self.secret && it.started_at == self.started_at);
            token.id == self.id && token.revoked_at.is_none() && same
        }))
    }
}

/// Takes the heir away as if it had never been, and with it a token that never had another secret.
fn withdraw(tx: &Write<'_>, token: &Token) -> Result<(), StoreError> {
    let mut without = token.clone();
    without.delivery = None;
    without.secrets.retain(|secret| secret.delivered_at.is_some());
    if !without.secrets.is_empty() {
        return tx.update(token, &without, Action::Withdraw).map(drop);
    }
    tx.delete_token(token)?;
    let subject = Subject::Token { id: token.id.clone(), name: token.name.clone() };
    tx.record(Action::Withdraw, subject, None)
}

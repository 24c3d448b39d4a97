//! The steps of a delivery, as the documentation of the folder lists them.

use std::time::Duration;

use crate::context::Clock;
use crate::domain::destination::Destination;
use crate::domain::event::{Action, Author};
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::token::{Delivery, Memory, StoredSecret, Token};
use crate::domain::when::{Span, Timestamp};
use crate::store::{NewSecret, PATIENCE, Store, StoreError, Write};

use super::{Accepted, DeliverError, OpenDestination, Refusal};

/// The time after which a provisional secret can no longer be confirmed.
const DEADLINE: Span = Span::minutes(10);
/// How long before the deadline a confirmation stops waiting for the lock.
const MARGIN: Span = Span::minutes(1);

/// The token that gets the secret: a new one, which the first transaction inserts, or an existing one.
pub struct Begun {
    pub token: Token,
    pub is_new: bool,
    /// The real expiry of the secret.
    pub expires_at: Option<Timestamp>,
    /// How long the previous secret keeps working. `None` means that all other secrets expire at once.
    pub grace: Option<Span>,
    pub memory: Memory,
}

/// What a delivery needs to change the store and to record who changed it.
pub struct Protocol<'a> {
    pub store: &'a Store,
    pub clock: &'a dyn Clock,
    pub author: &'a Author,
    pub pid: u32,
    pub action: Action,
}

impl Protocol<'_> {
    /// Runs the protocol. `prepare` creates or checks the token within the first transaction. Returns the
    /// token after the confirmation.
    pub fn run<E: From<StoreError> + From<DeliverError>>(
        &self,
        secret: &Secret,
        destination: &mut dyn OpenDestination,
        prepare: impl FnOnce(&Write<'_>) -> Result<Begun, E>,
    ) -> Result<Token, E> {
        destination
            .reserve(secret, self.clock.now().map_err(StoreError::Clock)?)
            .map_err(DeliverError::from)?;
        let token = self.store.write(self.clock, self.author, |tx| {
            let begun = prepare(tx)?;
            self.insert_provisional(tx, secret, destination, &begun).map_err(E::from)
        })?;
        let provisional = Pending::of(&token)?;
        let mut confirmed = token.clone();
        confirmed.confirm(provisional.started_at);
        match destination.deliver(secret, &confirmed) {
            Ok(Accepted::Whole) => {}
            // After a power cut, the file might contain the old secret again. So both secrets must work until
            // recovery has read the file.
            Ok(Accepted::NotDurable(why)) => return Err(DeliverError::Unconfirmed(why).into()),
            Err(refusal) => return Err(self.give_up(&provisional, refusal).into()),
        }
        match (self.confirm(&provisional), destination.kind().keeps()) {
            (Ok(token), _) => {
                destination.finish()?;
                Ok(token)
            }
            // Once the secret is in a file, nothing is rolled back, because recovery will find the secret
            // there.
            (Err(Unconfirmed::Gone), true) => Err(DeliverError::Dead(path_of(&*destination)).into()),
            (Err(Unconfirmed::Gone), false) => Err(DeliverError::from(Refusal::from(GONE.to_owned())).into()),
            (Err(Unconfirmed::Unknown(why)), true) => Err(DeliverError::Unconfirmed(why).into()),
            (Err(Unconfirmed::Unknown(why)), false) => Err(self.give_up(&provisional, why.into()).into()),
        }
    }

    fn insert_provisional(
        &self,
        tx: &Write<'_>,
        secret: &Secret,
        destination: &dyn OpenDestination,
        begun: &Begun,
    ) -> Result<Token, StoreError> {
        let now = tx.now;
        let deadline = now.plus(DEADLINE).unwrap_or(Timestamp::MAX);
        let capped = Some(begun.expires_at.map_or(deadline, |end| end.min(deadline)));
        // A secret in a file must not expire early. At other destinations it must, because recovery cannot
        // look for it there.
        let expires_at = if destination.kind().keeps() { begun.expires_at } else { capped };
        let secret = StoredSecret::new(secret, now, expires_at);
        let rememberable = destination.rememberable();
        let text = |text: Option<&str>| text.map(str::to_owned);
        let delivery = Some(Delivery {
            secret: 0,
            destination: destination.kind(),
            target: text(rememberable.as_ref().and_then(Destination::path)),
            variable: text(rememberable.as_ref().and_then(Destination::variable)),
            command: text(rememberable.as_ref().and_then(Destination::command)),
            hook: begun.memory.hook.clone(),
            remember: begun.memory.remember,
            host: self.author.actor.host.clone(),
            uid: self.author.actor.uid,
            pid: self.pid,
            started_at: now,
            deadline,
            expires_at: begun.expires_at,
            grace: begun.grace,
        });
        let new = NewSecret { secret, delivery };
        if begun.is_new {
            tx.insert_token(&begun.token, &new, self.action)
        } else {
            tx.insert_secret(&begun.token, &new, self.action)
        }
    }

    /// Runs the second transaction.
    fn confirm(&self, provisional: &Pending) -> Result<Token, Unconfirmed> {
        // The caller reports the state of the secret, so the error contains only the reason.
        let unknown = |err: StoreError| {
            Unconfirmed::Unknown(match err {
                StoreError::Io { what, .. } => what,
                err => err.to_string(),
            })
        };
        let now = self.clock.now().map_err(|wrong| unknown(wrong.into()))?;
        let left = provisional.deadline.since(now) - MARGIN.secs();
        self.store.set_patience(Duration::from_secs(u64::try_from(left).unwrap_or(0)));
        let confirmed = self.store.write(self.clock, &without_reason(self.author), |tx| {
            let Some(token) = provisional.find(tx)? else {
                return provisional.find_confirmed(tx).map(Confirmed::from);
            };
            if token.provisional().is_none_or(|provisional| provisional.has_expired(tx.now)) {
                return Ok(Confirmed::TooLate);
            }
            let mut confirmed = token.clone();
            confirmed.confirm(tx.now);
            tx.update(&token, &confirmed, Action::Confirm).map(|token| Confirmed::Yes(Box::new(token)))
        });
        // Later steps wait for the lock as long as any other change does.
        self.store.set_patience(PATIENCE);
        match confirmed.map_err(unknown)? {
            Confirmed::Yes(token) => Ok(*token),
            Confirmed::TooLate => Err(Unconfirmed::Unknown("the delivery took too long".to_owned())),
            Confirmed::Gone => Err(Unconfirmed::Gone),
        }
    }

    /// Rolls back the provisional secret after a failure.
    fn give_up(&self, provisional: &Pending, refusal: Refusal) -> DeliverError {
        let rolled_back =
            self.store.write(self.clock, &without_reason(self.author), |tx| match provisional.find(tx)? {
                Some(token) => roll_back(tx, &token),
                None => Ok(()),
            });
        match (rolled_back, refusal) {
            (Ok(()), refusal) => refusal.into(),
            (Err(_), refusal) => {
                let why = match refusal {
                    Refusal::Failed(why) => why.message,
                    Refusal::NotReplaced(why) | Refusal::NoClipboard(why) => why,
                    Refusal::Interrupted => "interrupted".to_owned(),
                };
                DeliverError::Uncertain { why, until: provisional.expires_at }
            }
        }
    }
}

fn path_of(destination: &dyn OpenDestination) -> String {
    destination.rememberable().as_ref().and_then(Destination::path).unwrap_or_default().to_owned()
}

const GONE: &str = "the secret was revoked or taken over before it was confirmed";

/// The result of the second transaction.
enum Confirmed {
    Yes(Box<Token>),
    TooLate,
    Gone,
}

impl From<Option<Token>> for Confirmed {
    fn from(token: Option<Token>) -> Self {
        token.map_or(Self::Gone, |token| Self::Yes(Box::new(token)))
    }
}

/// Why a provisional secret was not confirmed.
enum Unconfirmed {
    /// It no longer exists.
    Gone,
    /// It might still exist.
    Unknown(String),
}

/// The author without the reason, for an event that only follows from another one.
pub fn without_reason(author: &Author) -> Author {
    Author { reason: None, ..author.clone() }
}

/// The provisional secret of a token after the first transaction.
struct Pending {
    token: i64,
    hash: SecretHash,
    started_at: Timestamp,
    deadline: Timestamp,
    expires_at: Timestamp,
}

impl Pending {
    fn of(token: &Token) -> Result<Self, StoreError> {
        let found = token.provisional().zip(token.delivery.as_ref()).map(|(provisional, delivery)| Self {
            token: token.row,
            hash: provisional.hash,
            started_at: delivery.started_at,
            deadline: delivery.deadline,
            expires_at: provisional.expires_at.unwrap_or(delivery.deadline),
        });
        found.ok_or_else(|| StoreError::Damaged("a provisional secret was not kept".to_owned()))
    }

    /// Returns the token if recovery or another rotation has already confirmed the secret.
    fn find_confirmed(&self, tx: &Write<'_>) -> Result<Option<Token>, StoreError> {
        let token = tx.tokens(&[self.token], tx.now)?.pop();
        let is_ours = |secret: &StoredSecret| {
            secret.hash == self.hash
                && secret.delivered_at.is_some()
                && secret.revoked_at.is_none()
                && !secret.has_expired(tx.now)
        };
        Ok(token.filter(|token| token.revoked_at.is_none() && token.secrets.iter().any(is_ours)))
    }

    /// Returns the token if its provisional secret is still this one. The row number might have been reused,
    /// and a revoked token has no provisional secret.
    fn find(&self, tx: &Write<'_>) -> Result<Option<Token>, StoreError> {
        let token = tx.tokens(&[self.token], tx.now)?.pop();
        Ok(token.filter(|token| token.provisional().is_some_and(|secret| secret.hash == self.hash)))
    }
}

/// Removes the provisional secret and its delivery. A token that never had another secret is removed as well.
pub fn roll_back(tx: &Write<'_>, token: &Token) -> Result<(), StoreError> {
    let mut without = token.clone();
    without.remove_provisional();
    if !without.secrets.is_empty() {
        return tx.update(token, &without, Action::RollBack).map(drop);
    }
    tx.delete_token(token, Action::RollBack)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;
    use crate::domain::event::Actor;
    use crate::domain::token::DestinationKind;
    use crate::domain::token::tests::token;
    use crate::store::{Location, Sharing, make};

    /// A clock that records at each reading how long the store would wait for its lock.
    struct Watching<'a> {
        store: Option<&'a Store>,
        now: Cell<i64>,
        seen: RefCell<Vec<u64>>,
    }

    fn watching(store: Option<&Store>) -> Watching<'_> {
        Watching { store, now: Cell::new(1_800_000_000), seen: RefCell::default() }
    }

    impl crate::domain::when::Clock for Watching<'_> {
        fn unix(&self) -> i64 {
            self.seen.borrow_mut().extend(self.store.map(|store| store.patience().as_secs()));
            self.now.get()
        }
    }

    /// A destination that needs this many seconds.
    struct Slow<'a>(&'a Cell<i64>, i64);

    impl OpenDestination for Slow<'_> {
        fn kind(&self) -> DestinationKind {
            DestinationKind::Stdout
        }

        fn check(&mut self, _: &[SecretHash]) -> Result<(), Refusal> {
            Ok(())
        }

        fn deliver(&mut self, _: &Secret, _: &Token) -> Result<Accepted, Refusal> {
            self.0.set(self.0.get() + self.1);
            Ok(Accepted::Whole)
        }
    }

    fn author() -> Author {
        let actor = Actor { uid: 0, login: None, sudo_user: None, host: None };
        Author { actor, reason: None, accept_clock: false }
    }

    fn secret() -> Secret {
        let mut fill = |bytes: &mut [u8]| {
            bytes.fill(7);
            Ok::<_, std::io::Error>(())
        };
        Secret::mint(&"tkn".parse().expect("a prefix"), &mut fill).expect("a secret")
    }

    fn begun() -> Begun {
        let token = token(Vec::new());
        Begun { token, is_new: true, expires_at: None, grace: None, memory: Memory::default() }
    }

    fn new_store(dir: &tempfile::TempDir) -> (Location, Store) {
        let location = Location::named(dir.path().join("store"));
        let (clock, author) = (watching(None), author());
        make(&location, Sharing::Private, &clock, &author).expect("a store");
        let store = Store::open_to_write(&location, &clock, &author).expect("the store");
        (location, store)
    }

    fn deliver(
        store: &Store,
        clock: &Watching<'_>,
        destination: &mut dyn OpenDestination,
    ) -> Result<Token, TestError> {
        let author = author();
        let protocol = Protocol { store, clock, author: &author, pid: 1, action: Action::Create };
        protocol.run(&secret(), destination, |_| Ok(begun()))
    }

    #[test]
    fn a_secret_that_expired_before_its_confirmation_is_not_delivered() {
        for (takes, in_time) in [(DEADLINE.secs() - 1, true), (DEADLINE.secs(), false)] {
            let dir = tempfile::tempdir().expect("a temporary directory can be created");
            let (_, store) = new_store(&dir);
            let clock = watching(None);
            let made = deliver(&store, &clock, &mut Slow(&clock.now, takes));
            let why = made.err().map(|err| err.to_string());
            assert_eq!(why.is_none(), in_time, "{why:?}");
            assert!(why.is_none_or(|why| why.contains("took too long")));
        }
    }

    #[test]
    fn a_confirmation_waits_for_the_lock_until_a_minute_before_the_deadline_and_nothing_else_does() {
        let usual = PATIENCE.as_secs();
        for (takes, left) in [(0, 540), (100, 440), (570, 0)] {
            let dir = tempfile::tempdir().expect("a temporary directory can be created");
            let (_, store) = new_store(&dir);
            let clock = watching(Some(&store));
            let made = deliver(&store, &clock, &mut Slow(&clock.now, takes));
            assert!(made.is_ok_and(|token| token.delivery.is_none()));
            // The clock is read when the delivery is prepared, inserted, about to be confirmed, and
            // confirmed.
            assert_eq!(*clock.seen.borrow(), [usual, usual, usual, left], "{takes}");
            assert_eq!(store.patience(), PATIENCE, "later steps wait as before");
        }
    }

    /// A destination that needs some time, while another process changes the token.
    struct Meanwhile<'a>(&'a dyn Fn(&mut Token));

    impl OpenDestination for (&Location, Meanwhile<'_>) {
        fn kind(&self) -> DestinationKind {
            DestinationKind::Stdout
        }

        fn check(&mut self, _: &[SecretHash]) -> Result<(), Refusal> {
            Ok(())
        }

        fn deliver(&mut self, _: &Secret, _: &Token) -> Result<Accepted, Refusal> {
            let clock = watching(None);
            let other = Store::open_to_write(self.0, &clock, &author()).expect("the store");
            let change = other.write::<_, StoreError>(&clock, &author(), |tx| {
                let token = tx.tokens(&[1], tx.now)?.pop().expect("the token");
                let mut changed = token.clone();
                self.1.0(&mut changed);
                tx.update(&token, &changed, Action::Confirm).map(drop)
            });
            change.expect("changed");
            Ok(Accepted::Whole)
        }
    }

    #[test]
    fn a_secret_that_was_confirmed_elsewhere_is_delivered_unless_it_stopped_working_since() {
        let delivered = |meanwhile: &dyn Fn(&mut Token)| {
            let dir = tempfile::tempdir().expect("a directory");
            let (location, store) = new_store(&dir);
            deliver(&store, &watching(None), &mut (&location, Meanwhile(meanwhile))).is_ok()
        };
        let now = watching(None).now().expect("a time");
        assert!(delivered(&|token| token.confirm(now)));
        assert!(!delivered(&|token| {
            token.confirm(now);
            token.secrets[0].expires_at = Some(now);
        }));
        assert!(!delivered(&|token| {
            token.confirm(now);
            token.secrets[0].revoked_at = Some(now);
        }));
        assert!(!delivered(&|token| {
            token.confirm(now);
            token.revoked_at = Some(now);
        }));
    }

    #[derive(Debug, thiserror::Error)]
    enum TestError {
        #[error(transparent)]
        Store(#[from] StoreError),
        #[error(transparent)]
        Deliver(#[from] DeliverError),
    }
}

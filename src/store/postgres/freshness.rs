//! How old an answer of a replica may be.
//!
//! The primary's clock is written down again and again, and a replica repeats that. A verdict of a replica counts only if
//! this process has seen the heartbeat change within `--max-lag`, by a clock that only goes forward, and if the heartbeat
//! that belongs to the data is at most that old by the clock of the host. The first alone would believe a replica that
//! goes on at a constant distance, the second alone a clock that has stopped.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::values::get;
use super::{Postgres, Relay};
use crate::domain::when::Clock;
use crate::store::StoreError;
use crate::store::engine::Fault;

/// The rules for answers of replicas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lag {
    /// The oldest that their data may be; none if only the primary may answer.
    pub most: Option<Duration>,
    /// Whether a question waits for a heartbeat that this process has not yet seen change.
    pub waits: bool,
    /// Where uses go that a replica cannot record.
    pub uses: Option<Relay>,
}

/// What a transaction has found of the replica that it looks at.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Before it was asked.
    asked: Instant,
    /// When the server was started, which tells it from others, in microseconds.
    server: i64,
    beat: i64,
}

/// What this process has seen of the heartbeat of a server.
struct Seen {
    beat: i64,
    since: Instant,
    /// When it was last looked at.
    last: Instant,
    /// The last look at the previous heartbeat. The change is later.
    before: Option<Instant>,
}

/// By server, whatever connection leads to it.
static SEEN: Mutex<BTreeMap<i64, Seen>> = Mutex::new(BTreeMap::new());

/// The first statement of a transaction that verifies: what tells one state of the data from another, and of a replica its
/// heartbeat.
const STATE: &str = "SELECT (SELECT hash FROM events ORDER BY seq DESC LIMIT 1),
  CASE WHEN pg_catalog.pg_is_in_recovery() THEN coalesce((SELECT max(at) FROM beat), 0) END,
  CASE WHEN pg_catalog.pg_is_in_recovery()
       THEN CAST(extract(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000000 AS bigint) END";

impl Seen {
    fn first(look: Look) -> Self {
        Self { beat: look.beat, since: Instant::now(), last: look.asked, before: None }
    }

    fn note(&mut self, look: Look) {
        if look.beat > self.beat {
            *self = Self { before: Some(self.last), ..Self::first(look) };
        } else if look.beat < self.beat && look.asked > self.last {
            // Another primary, whose clock is behind that of the one before.
            *self = Self::first(look);
        } else if look.beat == self.beat {
            self.last = self.last.max(look.asked);
        }
    }
}

impl Postgres {
    pub fn state(&self) -> Result<i64, Fault> {
        let asked = Instant::now();
        let mut found = self.prepare(STATE).query(&[])?;
        let Some(row) = found.next() else { return Ok(0) };
        let hash: Option<[u8; 32]> = get(row, 0)?;
        let (beat, server): (Option<i64>, Option<i64>) = (get(row, 1)?, get(row, 2)?);
        self.look.set(beat.zip(server).map(|(beat, server)| Look { asked, server, beat }));
        let first = hash.as_ref().and_then(|hash| hash.first_chunk::<8>()).copied();
        Ok(first.map_or(0, i64::from_le_bytes))
    }

    /// Whether it was a replica when it was last looked at.
    pub fn is_replica(&self) -> bool {
        self.look.get().is_some()
    }

    /// Fails unless what the transaction under way sees is new enough for a verdict.
    pub fn check_freshness(&self, clock: &dyn Clock) -> Result<(), StoreError> {
        let Some(look) = self.look.get() else { return Ok(()) };
        let Some(most) = self.address.lag.most else { return Err(StoreError::Replica(self.address.url())) };
        let stale =
            |why: String, may_change| Err(StoreError::Stale { server: self.address.url(), why, may_change });
        let mut all = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = all.entry(look.server).or_insert_with(|| Seen::first(look));
        seen.note(look);
        if seen.before.is_none_or(|before| before.elapsed() > most) {
            let may_change = seen.since.elapsed() < most;
            return stale("its heartbeat has not been seen to change".to_owned(), may_change);
        }
        drop(all);
        let age = clock.micros().saturating_sub(look.beat);
        if u128::from(age.unsigned_abs()) > most.as_micros() {
            let (secs, side) = (age.unsigned_abs() / 1_000_000, if age < 0 { "ahead of" } else { "behind" });
            return stale(format!("its heartbeat is {secs} s {side} the clock of this host"), false);
        }
        Ok(())
    }

    /// What `look` finds, once a replica that this process does not know yet has shown that it goes on: at most as long as
    /// an answer may be old.
    pub fn when_fresh<T>(&self, mut look: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let most = self.address.lag.most.filter(|_| self.address.lag.waits).unwrap_or_default();
        let began = Instant::now();
        loop {
            match look() {
                Err(StoreError::Stale { may_change: true, .. }) if began.elapsed() < most => {
                    thread::sleep((most / 50).clamp(Duration::from_millis(5), Duration::from_millis(200)));
                }
                done => return done,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_has_changed_after_the_last_look_at_the_one_before() {
        let start = Instant::now();
        let look = |beat, ms| Look { asked: start + Duration::from_millis(ms), server: 1, beat };
        let mut seen = Seen::first(look(10, 0));
        assert!(seen.before.is_none(), "one look shows no change");
        seen.note(look(10, 5));
        seen.note(look(20, 9));
        assert_eq!(seen.before, Some(start + Duration::from_millis(5)));
        // A transaction that began before, and is slower, shows no change.
        seen.note(look(10, 7));
        assert_eq!((seen.beat, seen.before), (20, Some(start + Duration::from_millis(5))));
        seen.note(look(20, 11));
        seen.note(look(15, 12));
        assert!(seen.before.is_none(), "a clock that went back");
    }
}

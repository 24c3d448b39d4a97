//! Transactions, and the outcome of a COMMIT whose answer never arrived.

use std::thread;
use std::time::{Duration, Instant};

use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;

use super::connect::patience;
use super::values::get;
use super::{Failure, Postgres};
use crate::domain::digest::Digest;
use crate::domain::event::Anchor;
use crate::domain::when::{ClockWrong, Timestamp};
use crate::store::StoreError;
use crate::store::engine::{Fault, Purpose};
use crate::store::sqlite::PATIENCE;

/// The beginning of a transaction that only reads, which goes with its first statement.
pub const LOOK: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Synchronous standbys see every change before it is acknowledged. Revocations need that, and for others it is
/// not slower.
const CHANGE: &str = "BEGIN; SET LOCAL synchronous_commit = remote_apply";
const LOCK: &str = "SELECT one FROM head FOR UPDATE; SELECT clock()";
/// How often a transaction is repeated that the server aborted in favour of another one.
const TRIES: usize = 10;
/// How far a host's clock may be from that of the server, in seconds.
const DRIFT: i64 = 150;

/// A transaction that is rolled back unless it is committed.
pub struct Open<'a> {
    engine: &'a Postgres,
    purpose: Purpose,
    /// The time of the server's clock after the lock was taken. `None` if it is not compared.
    pub server_time: Option<i64>,
    ended: bool,
}

impl Postgres {
    pub fn begin(&self, purpose: Purpose, patience: Duration) -> Result<Open<'_>, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            self.broken.set(false);
            self.forget_uses();
            let err = match self.begin_once(purpose, patience) {
                Ok(server_time) => return Ok(Open { engine: self, purpose, server_time, ended: false }),
                Err(err) => err,
            };
            let Fault::Postgres(cause) = &err else { return Err(self.failed(&err)) };
            let again = match cause.code() {
                // No statement has run yet, so a lost connection can be replaced.
                _ if cause.is_end() => tries == 1 && self.reconnect().is_ok(),
                Some(&(SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED)) => {
                    tries < TRIES
                }
                _ => false,
            };
            if !again {
                let _ = self.batch("ROLLBACK");
                return Err(self.failed(&err));
            }
            let _ = self.batch("ROLLBACK");
            self.broken.set(false);
        }
    }

    fn begin_once(&self, purpose: Purpose, limit: Duration) -> Result<Option<i64>, Fault> {
        if purpose == Purpose::Look {
            self.pending.set(true);
            return Ok(None);
        }
        let longest = limit.max(PATIENCE);
        let sql = format!(
            "{CHANGE}; SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {}; {LOCK}",
            limit.as_millis().max(1),
            longest.as_millis()
        );
        let found = self.client.borrow_mut().simple_query_within(patience(longest), &sql);
        let found = found.map_err(|err| self.note(err))?;
        let last = found.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(last.and_then(|row| row.get(0)).and_then(|text| text.parse().ok()))
    }

    /// After an error of COMMIT, tells whether the log has this entry. Fails if that cannot be known yet.
    pub fn keeps(&self, err: &Fault, expected: &Anchor) -> Result<bool, StoreError> {
        match err {
            Fault::Postgres(err) if says_that_it_failed(err) => return Ok(false),
            Fault::Postgres(_) => {}
            Fault::Sqlite(_) => return Ok(false),
            Fault::Unconfirmed => return Err(self.failed(err)),
        }
        let began = Instant::now();
        loop {
            match self.look_for(expected) {
                Err(StoreError::Unreachable { .. }) if began.elapsed() < PATIENCE => {
                    thread::sleep(Duration::from_millis(200));
                }
                found => return found,
            }
        }
    }

    /// Whether the log has an entry, once no commit is in doubt.
    fn look_for(&self, expected: &Anchor) -> Result<bool, StoreError> {
        self.reconnect()?;
        let open = self.begin(Purpose::Change, PATIENCE)?;
        let found = self.prepare("SELECT hash FROM events WHERE seq = ?1").query(&[&expected.seq]);
        let mut found = found.map_err(|err| self.failed(&err))?;
        let hash = found.next().map(|row| get::<[u8; 32]>(row, 0)).transpose();
        drop(open);
        let hash = hash.map_err(|err| self.failed(&err.into()))?;
        Ok(hash.map(Digest::from_bytes) == Some(expected.hash))
    }
}

/// Whether the server itself reported the error, so that it has rolled back. A server that shuts down reports
/// the end of the connection, not of the transaction.
fn says_that_it_failed(err: &Failure) -> bool {
    err.code()
        .is_some_and(|code| !["08", "57", "58", "XX"].iter().any(|class| code.code().starts_with(class)))
}

impl Open<'_> {
    /// The time of a change, which is the host's unless it is far from the server's. Then only changes that end
    /// access are allowed, at the server's time.
    pub fn time(&self, host: Timestamp) -> (Timestamp, Option<ClockWrong>) {
        let Some(server) = self.server_time.and_then(Timestamp::from_unix) else { return (host, None) };
        if host.since(server).abs() <= DRIFT {
            return (host, None);
        }
        (server, Some(ClockWrong(format!("the clock says {host}, but that of the server says {server}"))))
    }

    pub fn commit(mut self) -> Result<(), Fault> {
        self.ended = true;
        let engine = self.engine;
        if engine.broken.get() {
            engine.batch("ROLLBACK")?;
            let why = "a statement of the change failed";
            return Err(Fault::Sqlite(rusqlite::Error::ToSqlConversionFailure(why.into())));
        }
        let mut client = engine.client.borrow_mut();
        if self.purpose == Purpose::Look {
            if !engine.pending.take() {
                client.send("COMMIT");
            }
            return Ok(());
        }
        client.warned = false;
        let done = client.commit(PATIENCE);
        let warned = client.warned;
        drop(client);
        done.map_err(|err| engine.note(err))?;
        if warned { Err(Fault::Unconfirmed) } else { Ok(()) }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        // Nobody waits for the end of a transaction that has changed nothing.
        if !self.ended && !self.engine.pending.take() {
            self.engine.client.borrow_mut().send("ROLLBACK");
        }
    }
}

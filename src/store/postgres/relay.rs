//! Uses that a replica cannot record, on their way to the primary. No verdict waits for them, and what cannot be sent is
//! lost.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::uses::Tag;
use super::{Access, Address, Postgres};
use crate::domain::when::Timestamp;
use crate::store::usage::Kind;

/// The uses that wait at most.
const WAITING: usize = 8_192;
/// After the primary could not be reached.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the end waits for what was not sent yet.
const END: Duration = Duration::from_secs(2);

enum Message {
    Use(Kind, i64, Tag, Timestamp),
    /// Dropped when all before it is done.
    End(#[expect(dead_code, reason = "its end is the answer")] Sender<()>),
}

/// The way to the primary, which all connections to a replica share.
#[derive(Clone)]
pub struct Relay(Arc<SyncSender<Message>>);

impl Relay {
    /// Starts the thread that sends.
    pub fn start(primary: Address) -> io::Result<Self> {
        let (queue, uses) = sync_channel(WAITING);
        thread::Builder::new().name("uses".to_owned()).spawn(move || work(&primary, &uses))?;
        Ok(Self(Arc::new(queue)))
    }

    pub fn send(&self, kind: Kind, row: i64, tag: Tag, at: Timestamp) {
        let _ = self.0.try_send(Message::Use(kind, row, tag, at));
    }

    /// Waits a moment for what was not sent yet.
    pub fn finish(&self) {
        let (end, ended) = channel();
        if self.0.try_send(Message::End(end)).is_ok() {
            let (Ok(()) | Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout)) =
                ended.recv_timeout(END);
        }
    }
}

fn work(primary: &Address, uses: &Receiver<Message>) {
    let mut connection: Option<Postgres> = None;
    let mut failed: Option<Instant> = None;
    for message in uses {
        let Message::Use(kind, row, tag, at) = message else { continue };
        if connection.as_ref().is_none_or(Postgres::is_lost) {
            if failed.is_some_and(|at| at.elapsed() < PAUSE) {
                continue;
            }
            connection = Postgres::connect(primary, Access::Read).ok();
            failed = connection.is_none().then(Instant::now);
        }
        if let Some(connection) = &connection {
            connection.record(kind, row, tag, at);
            connection.send_uses();
        }
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Relay")
    }
}

impl PartialEq for Relay {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Relay {}

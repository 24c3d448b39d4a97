//! The log: one line of JSON for each request, without secrets, paths and queries.
//!
//! A thread writes it, so that a slow reader of stderr does not delay requests. If the queue is full, lines are
//! dropped, and the next one counts them.

use std::cell::Cell;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::Serialize;

use super::reply::Reply;
use crate::clock::SystemClock;
use crate::domain::when::{Clock, Timestamp};
use crate::ui::json;

/// How many lines may wait.
const WAITING: usize = 4_096;
/// How long the server waits for unwritten lines when it stops.
const END: Duration = Duration::from_millis(500);

pub struct Log {
    lines: SyncSender<String>,
    dropped: Cell<u64>,
    writer: JoinHandle<()>,
}

#[derive(Clone, Copy, Serialize)]
pub struct Line<'a> {
    time: Option<Timestamp>,
    method: &'a str,
    route: &'a str,
    status: u16,
    result: &'a str,
    token_id: Option<&'a str>,
    token: Option<&'a str>,
    hint: Option<&'a str>,
    error: Option<&'a str>,
    micros: u128,
    /// How many lines were dropped since the previous one.
    dropped: u64,
}

impl<'a> Line<'a> {
    pub fn new(method: &'a str, route: &'a str, reply: &'a Reply, took: Duration) -> Self {
        let found = reply.verdict.as_ref().and_then(|verdict| verdict.token().zip(verdict.secret()));
        Self {
            time: SystemClock.now().ok(),
            method,
            route,
            status: reply.response.status.code(),
            result: reply.result,
            token_id: found.map(|(token, _)| &*token.id),
            token: found.map(|(token, _)| &*token.name),
            hint: found.map(|(_, secret)| &*secret.hint),
            error: reply.failure.as_ref().map(|failure| &*failure.message),
            micros: took.as_micros(),
            dropped: 0,
        }
    }
}

impl Log {
    /// Starts the thread that writes to stderr.
    pub fn start() -> io::Result<Self> {
        let (lines, waiting) = sync_channel(WAITING);
        let writer = thread::Builder::new().name("log".to_owned()).spawn(move || write_all(&waiting))?;
        Ok(Self { lines, dropped: Cell::new(0), writer })
    }

    pub fn write(&self, line: Line<'_>) {
        let dropped = self.dropped.take();
        let mut text = json::text(&Line { dropped, ..line });
        text.push('\n');
        if self.lines.try_send(text).is_err() {
            self.dropped.set(dropped + 1);
        }
    }

    pub fn finish(self) {
        drop(self.lines);
        let step = Duration::from_millis(5);
        let mut waited = Duration::ZERO;
        while !self.writer.is_finished() && waited < END {
            thread::sleep(step);
            waited += step;
        }
    }
}

fn write_all(lines: &Receiver<String>) {
    while let Ok(line) = lines.recv() {
        // If stderr is closed, this cannot be reported.
        let _ = io::stderr().write_all(line.as_bytes());
    }
}

//! All connections of a gate, which one thread polls.
//!
//! Each round reads the bytes that have arrived on all connections. Then it answers all complete requests in one
//! read transaction, which begins after they arrived.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::admin::Load;
use super::connection::{Connection, Next};
use super::engine::{AT_ONCE, Answer, Failure, Question, SHORT, Ticket};
use super::gate::{Gate, Pending};
use super::http::date;
use super::listen::Listener;
use super::poll::{Interest, Poll};
use super::turn::{Role, Turn};
use crate::clock::SystemClock;
use crate::domain::when::Clock;

/// The numbers of descriptors: signals, the verifying thread, the listening sockets, the connections.
pub const SIGNALS: std::ops::Range<u64> = 0..2;
const ANSWERS: u64 = 2;
const LISTENERS: u64 = 3;
const CONNECTIONS: u64 = 1 << 32;

/// The pause after a failed accept, for instance because no descriptor is free.
const PAUSE: Duration = Duration::from_millis(50);

pub struct Server<'a> {
    gate: &'a Gate,
    poll: Poll,
    listening: Vec<Listening>,
    connections: Vec<Option<Box<Connection>>>,
    /// Free slots among them.
    free: Vec<usize>,
    /// The number of open connections of each role.
    open: [usize; 2],
    batch: Batch,
    /// Connections that have sent further requests in advance. They take part in the next batch.
    again: Vec<usize>,
    /// Whether the last round found nothing to do.
    pub is_quiet: bool,
    tickets: u64,
    now: Instant,
    /// The current second, also in the form of the header `Date`.
    date: (i64, String),
    /// No connection times out before this.
    next_deadline: Option<Instant>,
    /// No connection is accepted before this.
    accepts_from: Option<Instant>,
    /// Whether every answer is the last one of its connection.
    is_ending: bool,
}

struct Listening {
    listener: Listener,
    role: Role,
    /// How many connections of this role may be open at once. Further ones wait in the backlog of the socket.
    most: usize,
    waits_for: Interest,
}

/// The requests of a batch, and their questions one after the other.
#[derive(Default)]
struct Batch {
    questions: Vec<Question>,
    requests: Vec<(usize, Pending)>,
}

impl<'a> Server<'a> {
    pub fn new(gate: &'a Gate) -> io::Result<Self> {
        let poll = Poll::new()?;
        poll.add(gate.engine.bell(), ANSWERS, Interest::Read)?;
        Ok(Self {
            gate,
            poll,
            listening: Vec::new(),
            connections: Vec::new(),
            free: Vec::new(),
            open: [0; 2],
            batch: Batch::default(),
            again: Vec::new(),
            is_quiet: true,
            tickets: 0,
            now: Instant::now(),
            date: (0, String::new()),
            next_deadline: None,
            accepts_from: None,
            is_ending: false,
        })
    }

    /// Accepts connections, but no more than `most` at once of this role.
    pub fn listen(&mut self, listeners: Vec<Listener>, role: Role, most: usize) -> io::Result<()> {
        for listener in listeners {
            self.poll.add(&listener, LISTENERS + self.listening.len() as u64, Interest::Read)?;
            self.listening.push(Listening { listener, role, most, waits_for: Interest::Read });
        }
        Ok(())
    }

    /// Stops accepting connections and further requests on a connection. Socket files are removed.
    pub fn stop(&mut self) {
        for (at, it) in self.listening.iter().enumerate() {
            // A socket that systemd passed stays open in systemd, and would be reported forever.
            let _ = self.poll.change(&it.listener, LISTENERS + at as u64, Interest::Nothing);
        }
        self.listening.clear();
        self.is_ending = true;
    }

    /// Reports when this descriptor, one of the [`SIGNALS`], can be read.
    pub fn watch(&self, descriptor: impl AsFd, number: u64) -> io::Result<()> {
        self.poll.add(descriptor, number, Interest::Read)
    }

    /// Waits at most `patience` for events, and answers requests. Returns which of the [`SIGNALS`] arrived.
    pub fn look(&mut self, patience: Option<Duration>) -> io::Result<Option<u64>> {
        let wake = [self.next_deadline, self.accepts_from].into_iter().flatten().min();
        let wake = wake.map(|wake| wake.saturating_duration_since(Instant::now()));
        let hurry = (!self.again.is_empty()).then_some(Duration::ZERO);
        let ready: Vec<_> = self.poll.wait(wake.into_iter().chain(patience).chain(hurry).min())?.collect();
        self.is_quiet = ready.is_empty() && self.again.is_empty();
        if self.gate.engine.is_broken() {
            return Err(io::Error::other("the verifying thread ended because of a fault in the program"));
        }
        self.now = Instant::now();
        self.update_date();
        let (mut signal, mut accepts) = (None, self.accepts_from.is_some_and(|from| from <= self.now));
        for ready in ready {
            match ready.number {
                number if SIGNALS.contains(&number) => signal = Some(number),
                ANSWERS => self.deliver_answers(),
                LISTENERS..CONNECTIONS => accepts = true,
                number => {
                    let slot = usize::try_from(number - CONNECTIONS).unwrap_or(usize::MAX);
                    self.with(slot, |connection, turn| {
                        let lost = ready.gone && connection.waits_for == Interest::Nothing;
                        if lost || connection.waits_for == Interest::Read && connection.fill().is_err() {
                            return Next::End;
                        }
                        connection.drive(turn)
                    });
                }
            }
        }
        for slot in std::mem::take(&mut self.again) {
            self.with(slot, Connection::drive);
        }
        let seen = self.now;
        self.verify_all();
        // Until all events have been reported, a connection without one may still have sent its request in time.
        if self.poll.has_seen_all {
            self.handle_timeouts(seen);
        }
        // New connections come after the events, whose numbers refer to the previous connections.
        if accepts {
            self.accept();
        }
        self.listen_again()?;
        Ok(signal)
    }

    /// Whether any connection has a request that has been read but not yet answered.
    pub fn is_busy(&self) -> bool {
        self.connections.iter().flatten().any(|connection| connection.is_under_way())
    }

    /// Closes the connections on which no byte of a request has arrived. Returns whether any is left.
    pub fn close_idle(&mut self) -> bool {
        for slot in 0..self.connections.len() {
            self.with(slot, |connection, _| if connection.is_idle() { Next::End } else { Next::Client });
        }
        self.connections.iter().any(Option::is_some)
    }

    /// Calls a function with a connection, and keeps it unless it is closed.
    fn with(&mut self, slot: usize, f: impl FnOnce(&mut Connection, &mut Turn<'_>) -> Next) {
        let Some(mut connection) = self.connections.get_mut(slot).and_then(Option::take) else { return };
        let mut turn = Turn {
            gate: self.gate,
            now: self.now,
            date: &self.date.1,
            load: Load { arrived: self.batch.requests.len(), connections: self.open.iter().sum() },
            questions: &mut self.batch.questions,
            is_last: self.is_ending,
        };
        let next = f(&mut connection, &mut turn);
        let interest = connection.interest();
        let failed = interest != connection.waits_for
            && self.poll.change(&connection.stream, CONNECTIONS + slot as u64, interest).is_err();
        connection.waits_for = interest;
        if matches!(next, Next::End) || failed {
            self.open[connection.role as usize] -= 1;
            self.free.push(slot);
            return;
        }
        self.next_deadline = [self.next_deadline, Some(connection.deadline)].into_iter().flatten().min();
        self.connections[slot] = Some(connection);
        match next {
            Next::Verdicts(pending) if pending.questions > AT_ONCE || pending.weight > SHORT => {
                let questions =
                    self.batch.questions.split_off(self.batch.questions.len() - pending.questions);
                self.leave(slot, pending, questions);
            }
            Next::Verdicts(pending) => self.batch.requests.push((slot, pending)),
            Next::Client | Next::End => {}
        }
    }

    /// Answers all requests that are complete.
    fn verify_all(&mut self) {
        let Batch { mut questions, requests } = std::mem::take(&mut self.batch);
        if requests.is_empty() {
            return;
        }
        let answers = self.gate.engine.at_once(&questions);
        self.now = Instant::now();
        match answers.map(Vec::into_iter) {
            Some(mut answers) => {
                for (slot, pending) in requests {
                    let own = answers.by_ref().take(pending.questions).collect();
                    self.respond(slot, &pending, Ok(own));
                }
            }
            None => {
                for (slot, pending) in requests {
                    let own = questions.drain(..pending.questions).collect();
                    self.leave(slot, pending, own);
                }
            }
        }
    }

    /// Passes a request to the verifying thread, which is allowed to block.
    fn leave(&mut self, slot: usize, pending: Pending, questions: Vec<Question>) {
        self.tickets += 1;
        let ticket = Ticket::new(slot, self.tickets);
        match self.gate.engine.later(ticket, questions, pending.weight) {
            Err(failure) => self.respond(slot, &pending, Err(failure)),
            Ok(()) => self.with(slot, |connection, _| {
                connection.wait_for(ticket, pending, Instant::now());
                Next::Client
            }),
        }
    }

    fn deliver_answers(&mut self) {
        for (ticket, answers) in self.gate.engine.take_answers() {
            self.with(ticket.slot, |connection, turn| {
                // The request may already have been answered, without these answers.
                let Some(pending) = connection.claim(ticket) else { return Next::Client };
                connection.respond(&turn.gate.response(&pending, Ok(answers), turn.now), turn);
                connection.drive(turn)
            });
        }
    }

    fn respond(&mut self, slot: usize, pending: &Pending, answers: Result<Vec<Answer>, Failure>) {
        self.with(slot, |connection, turn| {
            connection.respond(&turn.gate.response(pending, answers, turn.now), turn);
            // Further requests of this client wait until other clients have been served.
            if connection.has_more() { connection.write_on(turn) } else { connection.drive(turn) }
        });
        let connection = self.connections.get(slot).and_then(Option::as_ref);
        self.again.extend(connection.is_some_and(|it| it.has_more()).then_some(slot));
    }

    /// Handles timeouts.
    fn handle_timeouts(&mut self, now: Instant) {
        if self.next_deadline.is_none_or(|next| now < next) {
            return;
        }
        self.next_deadline = None;
        for slot in 0..self.connections.len() {
            self.with(slot, |connection, turn| {
                if connection.deadline <= now { connection.handle_timeout(turn) } else { Next::Client }
            });
        }
        self.verify_all();
    }

    /// Accepts waiting connections, as far as the limits allow.
    fn accept(&mut self) {
        self.accepts_from = None;
        for at in 0..self.listening.len() {
            while self.listening[at].has_room(self.open) {
                match self.listening[at].listener.accept() {
                    Ok((stream, peer)) => {
                        let role = self.listening[at].role;
                        self.open(Connection::new(stream, role, peer, self.now));
                    }
                    Err(err) if err.kind() == ErrorKind::WouldBlock => break,
                    Err(err) if err.kind() == ErrorKind::Interrupted => {}
                    Err(_) => {
                        self.accepts_from = Some(self.now + PAUSE);
                        break;
                    }
                }
            }
        }
    }

    fn open(&mut self, connection: Connection) {
        let slot = self.free.pop().unwrap_or(self.connections.len());
        if self.poll.add(&connection.stream, CONNECTIONS + slot as u64, Interest::Read).is_err() {
            self.free.extend(self.connections.get(slot).is_some().then_some(slot));
            return;
        }
        self.open[connection.role as usize] += 1;
        self.next_deadline = [self.next_deadline, Some(connection.deadline)].into_iter().flatten().min();
        if slot == self.connections.len() {
            self.connections.push(None);
        }
        self.connections[slot] = Some(Box::new(connection));
    }

    /// Waits for further connections where there is room for them.
    fn listen_again(&mut self) -> io::Result<()> {
        for (at, it) in self.listening.iter_mut().enumerate() {
            let accepts = self.accepts_from.is_none() && it.has_room(self.open);
            let interest = if accepts { Interest::Read } else { Interest::Nothing };
            if interest != it.waits_for {
                self.poll.change(&it.listener, LISTENERS + at as u64, interest)?;
                it.waits_for = interest;
            }
        }
        Ok(())
    }

    fn update_date(&mut self) {
        // Without a clock, the last date is used.
        let Ok(now) = SystemClock.now() else { return };
        if self.date.0 != now.unix() {
            self.date = (now.unix(), date(now));
        }
    }
}

impl Listening {
    fn has_room(&self, open: [usize; 2]) -> bool {
        open[self.role as usize] < self.most
    }
}

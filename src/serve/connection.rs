//! A connection: handles one request after another, with their limits, until the client or the gate closes it.

use std::io;
use std::net::{IpAddr, Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use zeroize::Zeroizing;

use super::engine::{Failure, PATIENCE, Ticket};
use super::gate::{Pending, Step};
use super::http::{
    Body, CONTINUE, Exchange, Framing, Parsed, Response, SPACE, Status, consume, parse, reserve,
};
use super::poll::Interest;
use super::turn::{Role, Turn};

/// How long a head may take, and how long a connection may be idle.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long receiving a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How long a client may leave an answer unread.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// How long a connection is still read after its last answer. If it were closed with unread bytes, the answer
/// could be lost.
const LINGER_TIME: Duration = Duration::from_secs(1);
/// How many bytes are read at once: of heads, and of long bodies.
const READ: usize = 4 << 10;
const READ_LONG: usize = 64 << 10;

pub enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

impl Stream {
    fn close_output(&self) {
        // A client that has gone away need not be notified.
        let _ = match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
        };
    }
}

pub struct Connection {
    pub stream: Stream,
    pub role: Role,
    /// The address at its other end.
    peer: Option<IpAddr>,
    /// Bytes that were read but not used yet. They contain secrets.
    input: Zeroizing<Vec<u8>>,
    /// Bytes that are not written yet.
    output: Vec<u8>,
    state: State,
    /// The properties of the request on which the form of its answer depends.
    exchange: Exchange,
    /// Whether the client has stopped sending. It may still read.
    is_read: bool,
    /// When the present state times out.
    pub deadline: Instant,
    /// The events for which it is registered.
    pub waits_for: Interest,
}

enum State {
    /// Waiting for the next request, or for the rest of it.
    Head,
    Body(Body, Pending),
    /// The request waits for verdicts, of the next batch or of this ticket.
    Asked(Option<(Ticket, Pending)>),
    /// The last answer is being written. The flag tells whether there may be unread bytes.
    Last {
        unread: bool,
    },
    /// The last answer is written.
    Lingers,
}

/// What a connection waits for.
pub enum Next {
    Client,
    Verdicts(Pending),
    /// Nothing, since it is closed.
    End,
}

impl Connection {
    pub fn new(stream: Stream, role: Role, peer: Option<IpAddr>, now: Instant) -> Self {
        Self {
            stream,
            role,
            peer,
            input: Zeroizing::default(),
            output: Vec::new(),
            state: State::Head,
            exchange: Exchange::default(),
            is_read: false,
            deadline: now + HEAD_TIME,
            waits_for: Interest::Read,
        }
    }

    /// Reads some of what the client has sent.
    pub fn fill(&mut self) -> io::Result<()> {
        reserve(&mut self.input, if matches!(self.state, State::Body(..)) { READ_LONG } else { READ });
        match recv(&self.stream, spare_capacity(&mut *self.input), RecvFlags::empty()) {
            Ok((length, _)) => self.is_read = length == 0,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(err) => return Err(err.into()),
        }
        Ok(())
    }

    /// Continues as far as possible without further bytes from the client.
    pub fn drive(&mut self, turn: &mut Turn<'_>) -> Next {
        loop {
            match self.write(turn.now) {
                Err(_) => return Next::End,
                Ok(()) if !self.output.is_empty() => return Next::Client,
                Ok(()) => {}
            }
            let step = match std::mem::replace(&mut self.state, State::Head) {
                State::Head => self.head(turn),
                State::Body(body, pending) => self.body(body, pending, turn),
                State::Last { unread } if !unread || self.is_read => return Next::End,
                State::Last { .. } => {
                    self.stream.close_output();
                    self.state = State::Lingers;
                    self.deadline = turn.now + LINGER_TIME;
                    None
                }
                State::Lingers => {
                    self.input.clear();
                    self.state = State::Lingers;
                    None
                }
                waits @ State::Asked(_) => {
                    self.state = waits;
                    return Next::Client;
                }
            };
            match step {
                None if self.is_read => return Next::End,
                None => return Next::Client,
                Some(Step::Done(response)) => self.respond(&response, turn),
                Some(Step::Asks(pending)) => {
                    self.state = State::Asked(None);
                    return Next::Verdicts(pending);
                }
                Some(Step::Reads(pending)) => self.expect_body(pending, turn),
            }
        }
    }

    /// Begins the next request, if it is complete.
    fn head(&mut self, turn: &mut Turn<'_>) -> Option<Step> {
        let mut space = SPACE;
        let (head, length) = match parse(&self.input, &mut space) {
            Parsed::Partial => return None,
            Parsed::Refused(status) => {
                self.exchange = Exchange { unread: true, ..Exchange::default() };
                return Some(Step::Done(turn.refuse_head(self.role, status)));
            }
            Parsed::Whole(head, length) => (head, length),
        };
        self.exchange = head.exchange;
        let step = turn.begin(self.role, &head, self.peer);
        if matches!(step, Step::Reads(_)) {
            self.exchange.unread = false;
        }
        consume(&mut self.input, length);
        Some(step)
    }

    /// Waits for the body of a request.
    fn expect_body(&mut self, pending: Pending, turn: &mut Turn<'_>) {
        match Body::new(self.exchange.framing) {
            Ok(body) => {
                if self.exchange.expects && self.exchange.framing != Framing::Empty && self.input.is_empty() {
                    self.output.extend_from_slice(CONTINUE);
                }
                self.state = State::Body(body, pending);
                self.deadline = turn.now + BODY_TIME;
            }
            Err(status) => self.respond(&turn.refuse(&pending, status), turn),
        }
    }

    fn body(&mut self, mut body: Body, pending: Pending, turn: &mut Turn<'_>) -> Option<Step> {
        match body.take(&mut self.input) {
            Ok(true) => Some(turn.read(pending, body.data())),
            Ok(false) => {
                self.state = State::Body(body, pending);
                None
            }
            Err(status) => Some(Step::Done(turn.refuse(&pending, status))),
        }
    }

    /// Queues the answer to the current request.
    pub fn respond(&mut self, response: &Response, turn: &Turn<'_>) {
        let closes = response.closes || !self.exchange.keeps || self.exchange.unread || turn.is_last;
        response.write(&mut self.output, &self.exchange, closes, turn.date);
        let unread = response.closes || self.exchange.unread || !self.input.is_empty();
        self.state = if closes { State::Last { unread } } else { State::Head };
        // The memory of a long body is not kept.
        if self.input.is_empty() && self.input.capacity() >= READ_LONG {
            self.input = Zeroizing::default();
        }
        self.deadline = turn.now + WRITE_TIME;
    }

    fn write(&mut self, now: Instant) -> io::Result<()> {
        while !self.output.is_empty() {
            match send(&self.stream, &self.output, SendFlags::NOSIGNAL) {
                Ok(length) => {
                    self.output.drain(..length);
                    if self.output.is_empty() && self.output.capacity() >= READ_LONG {
                        self.output = Vec::new();
                    }
                    self.deadline = now + if self.output.is_empty() { HEAD_TIME } else { WRITE_TIME };
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(err) => return Err(err.into()),
            }
        }
        Ok(())
    }

    /// Waits for the thread instead of the batch.
    pub fn wait_for(&mut self, ticket: Ticket, pending: Pending, now: Instant) {
        self.state = State::Asked(Some((ticket, pending)));
        self.deadline = now + PATIENCE;
    }

    /// The request of this ticket, unless it has been answered.
    pub fn claim(&mut self, ticket: Ticket) -> Option<Pending> {
        match std::mem::replace(&mut self.state, State::Head) {
            State::Asked(Some((waits, pending))) if waits == ticket => {
                self.state = State::Asked(None);
                Some(pending)
            }
            other => {
                self.state = other;
                None
            }
        }
    }

    /// Handles a timeout.
    pub fn handle_timeout(&mut self, turn: &mut Turn<'_>) -> Next {
        if !self.output.is_empty() {
            return Next::End;
        }
        let response = match std::mem::replace(&mut self.state, State::Head) {
            State::Body(_, pending) => turn.refuse(&pending, Status::Timeout),
            State::Asked(Some((_, pending))) => {
                let late = Failure::late("the store did not answer in time");
                turn.gate.response(&pending, Err(late), turn.now)
            }
            _ => return Next::End,
        };
        self.respond(&response, turn);
        self.drive(turn)
    }

    /// The events for which it waits now.
    pub fn interest(&self) -> Interest {
        match self.state {
            _ if !self.output.is_empty() => Interest::Write,
            // The batch is answered before the next poll.
            State::Asked(None) => self.waits_for,
            State::Asked(Some(_)) => Interest::Nothing,
            _ if self.is_read => Interest::Nothing,
            _ => Interest::Read,
        }
    }

    /// Whether the client has sent more than the request that was answered last.
    pub fn has_more(&self) -> bool {
        matches!(self.state, State::Head) && !self.input.is_empty()
    }

    /// Writes what can be written, and begins no further request.
    pub fn write_on(&mut self, turn: &Turn<'_>) -> Next {
        if self.write(turn.now).is_ok() { Next::Client } else { Next::End }
    }

    /// Whether a request was read that is not answered.
    pub fn is_under_way(&self) -> bool {
        !self.output.is_empty() || matches!(self.state, State::Body(..) | State::Asked(_))
    }

    /// Whether no byte of a request has arrived.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Head) && self.input.is_empty() && self.output.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::super::admin::Load;
    use super::super::engine::Question;
    use super::super::{Gate, Manners, Origin, Routes, Source};
    use super::*;
    use crate::clock::SystemClock;
    use crate::domain::event::{Actor, Author};
    use crate::store::{self, Location, Sharing};

    /// A gate with a connection, whose time and bytes come from the test.
    struct Line {
        _dir: tempfile::TempDir,
        gate: Gate,
        connection: Connection,
        client: UnixStream,
        now: Instant,
        questions: Vec<Question>,
        is_last: bool,
    }

    impl Line {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            let location = Location::named(dir.path().join("store"));
            let author = Author { actor: Actor::default(), reason: None, accept_clock: false };
            store::make(&location, Sharing::Private, &SystemClock, &author).expect("a store");
            let manners = Manners {
                sources: vec![Source::Bearer],
                origin: Origin::Peer,
                realm: "r".to_owned(),
                explain: false,
            };
            let routes = Routes::new(Vec::new()).expect("no routes");
            let gate = Gate::open(location, routes, manners, None).expect("a gate");
            let (client, stream) = UnixStream::pair().expect("a connection");
            for end in [&client, &stream] {
                end.set_nonblocking(true).expect("it does not block");
            }
            let now = Instant::now();
            let connection = Connection::new(Stream::Unix(stream), Role::Gate, None, now);
            Self { _dir: dir, gate, connection, client, now, questions: Vec::new(), is_last: false }
        }

        fn with<T>(&mut self, f: impl FnOnce(&mut Connection, &mut Turn<'_>) -> T) -> T {
            let mut turn = Turn {
                gate: &self.gate,
                now: self.now,
                date: "D",
                questions: &mut self.questions,
                load: Load { arrived: 0, connections: 1 },
                is_last: self.is_last,
            };
            f(&mut self.connection, &mut turn)
        }

        fn send(&mut self, bytes: &[u8]) -> Next {
            self.client.write_all(bytes).expect("it is sent");
            self.with(|connection, turn| {
                connection.fill().expect("it is read");
                connection.drive(turn)
            })
        }

        /// Lets this much time pass. Returns whether a timeout occurred.
        fn wait(&mut self, time: Duration) -> Option<Next> {
            self.now += time;
            self.with(|connection, turn| {
                (connection.deadline <= turn.now).then(|| connection.handle_timeout(turn))
            })
        }

        /// Sends a request whose verdict the thread has to find.
        fn asks(&mut self, request: &str, ticket: Ticket) {
            let Next::Verdicts(pending) = self.send(request.as_bytes()) else { panic!("it asks") };
            self.connection.wait_for(ticket, pending, self.now);
        }

        /// Some of what the client gets.
        fn text(&mut self) -> String {
            let mut bytes = [0; 4096];
            let length = self.client.read(&mut bytes).unwrap_or_default();
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        }

        /// The first line of it.
        fn answer(&mut self) -> String {
            self.text().lines().next().unwrap_or_default().to_owned()
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_head_that_does_not_come_whole_in_time_ends_its_connection() {
        let mut line = Line::new();
        for part in ["GET /ver", "ify HTTP/1.1\r\n", "Host: g\r\n"] {
            assert!(matches!(line.send(part.as_bytes()), Next::Client));
            assert!(line.wait(3 * SECOND).is_none());
        }
        assert!(matches!(line.wait(SECOND), Some(Next::End)));
    }

    #[test]
    fn an_answer_gives_its_connection_time_for_the_next_request() {
        let mut line = Line::new();
        for _ in 0..3 {
            line.wait(6 * SECOND);
            assert!(matches!(line.send(b"GET /nowhere HTTP/1.1\r\n\r\n"), Next::Client));
            assert_eq!(line.answer(), "HTTP/1.1 404 Not Found");
        }
        assert!(matches!(line.wait(10 * SECOND), Some(Next::End)));
    }

    #[test]
    fn a_body_that_does_not_come_in_time_is_refused() {
        let mut line = Line::new();
        line.send(b"POST /api/verify HTTP/1.1\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(line.answer(), "HTTP/1.1 100 Continue");
        assert!(line.wait(9 * SECOND).is_none());
        assert!(matches!(line.send(b"{"), Next::Client));
        assert!(matches!(line.wait(SECOND), Some(Next::Client)));
        assert_eq!(line.answer(), "HTTP/1.1 408 Request Timeout");
        // Further bytes are read, so that the answer is not lost, but not forever.
        assert!(matches!(line.send(b"}"), Next::Client));
        assert!(matches!(line.wait(SECOND), Some(Next::End)));
    }

    #[test]
    fn a_client_that_reads_no_answers_is_given_up() {
        let mut line = Line::new();
        let requests = b"GET /nowhere HTTP/1.1\r\n\r\n".repeat(100);
        while line.connection.interest() != Interest::Write {
            line.send(&requests);
        }
        assert!(line.wait(9 * SECOND).is_none());
        assert!(matches!(line.wait(SECOND), Some(Next::End)));
    }

    #[test]
    fn a_client_that_reads_a_long_answer_slowly_gets_it() {
        let mut line = Line::new();
        line.connection.output = vec![b'x'; 2 << 20];
        for _ in 0..3 {
            assert!(matches!(line.with(Connection::drive), Next::Client));
            assert_eq!(line.connection.interest(), Interest::Write);
            assert!(line.wait(9 * SECOND).is_none());
            // As much as it takes until the other end can write again.
            for _ in 0..100 {
                line.text();
            }
        }
    }

    #[test]
    fn a_connection_ends_with_the_answer_that_says_so() {
        for (request, is_last, ends) in [
            ("GET /nowhere HTTP/1.1\r\n\r\n", false, false),
            ("GET /nowhere HTTP/1.1\r\n\r\n", true, true),
            ("GET /nowhere HTTP/1.1\r\nConnection: close\r\n\r\n", false, true),
            ("GET /nowhere HTTP/1.0\r\n\r\n", false, true),
        ] {
            let mut line = Line { is_last, ..Line::new() };
            assert_eq!(matches!(line.send(request.as_bytes()), Next::End), ends, "{request} {is_last}");
            assert_eq!(line.text().contains("connection: close"), ends, "{request} {is_last}");
        }
    }

    #[test]
    fn verdicts_that_do_not_come_in_time_are_errors() {
        let mut line = Line::new();
        let secret = "legacy-secret-0123456789";
        let request = format!("GET /verify HTTP/1.1\r\nAuthorization: Bearer {secret}\r\n\r\n");
        let [first, second] = [1, 2].map(|number| Ticket::new(0, number));
        line.asks(&request, first);
        assert_eq!(line.connection.interest(), Interest::Nothing);
        assert!(line.wait(PATIENCE / 2).is_none());
        assert!(matches!(line.wait(PATIENCE / 2), Some(Next::Client)));
        assert_eq!(line.answer(), "HTTP/1.1 503 Service Unavailable");
        // The thread answers too late, while the next request waits already.
        line.asks(&request, second);
        assert!(line.connection.claim(first).is_none(), "it is the answer to another request");
        assert!(line.connection.claim(second).is_some());
    }
}

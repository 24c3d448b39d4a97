//! Sends requests from a single thread over many connections, with one request in flight on each.

use std::io::{Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

/// The address at which a server listens.
#[derive(Clone)]
pub enum Target {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

enum Connection {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Connection {
    fn open(target: &Target) -> Result<Self> {
        match target {
            Target::Unix(path) => UnixStream::connect(path).map(Self::Unix),
            Target::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
        }
    }

    fn send(&mut self, request: &[u8]) {
        let sent = match self {
            Self::Unix(stream) => stream.write_all(request),
            Self::Tcp(stream) => stream.write_all(request),
        };
        sent.expect("the server reads");
    }

    /// Reads an answer that has no body and arrives in one piece.
    fn is_answered(&mut self, status: &str) {
        let mut bytes = [0; 2048];
        let length = match self {
            Self::Unix(stream) => stream.read(&mut bytes),
            Self::Tcp(stream) => stream.read(&mut bytes),
        };
        let answer = String::from_utf8_lossy(&bytes[..length.expect("an answer")]);
        assert!(answer.starts_with(status) && answer.ends_with("\r\n\r\n"), "{answer}");
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

/// Whether a server listens.
pub fn is_up(target: &Target) -> bool {
    Connection::open(target).is_ok()
}

/// Sends these requests in turn for this long. Each connection gets its next request when it has returned this status
/// for the one before. Returns how many requests were answered.
pub fn drive(target: &Target, connections: usize, requests: &[String], status: &str, long: Duration) -> u32 {
    let mut all: Vec<Connection> =
        (0..connections).map(|_| Connection::open(target).expect("the database can be opened")).collect();
    let mut next = requests.iter().cycle();
    let mut send =
        |connection: &mut Connection| connection.send(next.next().expect("there is a request").as_bytes());
    all.iter_mut().for_each(&mut send);
    let (start, mut answered) = (Instant::now(), 0);
    loop {
        let goes_on = start.elapsed() < long;
        let mut waiting: Vec<PollFd<'_>> =
            all.iter().map(|it| PollFd::from_borrowed_fd(it.descriptor(), PollFlags::IN)).collect();
        poll(&mut waiting, None).expect("it waits");
        let ready: Vec<bool> = waiting.iter().map(|it| !it.revents().is_empty()).collect();
        for (connection, _) in all.iter_mut().zip(&ready).filter(|(_, ready)| **ready) {
            connection.is_answered(status);
            answered += 1;
            if goes_on {
                send(connection);
            }
        }
        if !goes_on {
            return answered;
        }
    }
}

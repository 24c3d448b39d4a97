//! A link between a client and a server, which tests can pause and cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// The state of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    Open,
    /// Nothing is passed on, but connections stay open.
    Held,
    /// Existing connections are closed, and so are new ones.
    Cut,
}

/// Passes connections from a local port on to a server, until the process exits.
pub struct Link {
    pub port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    link: AtomicU8,
    /// How many connections there have been. The first `stranded` of them pass nothing on any more.
    count: AtomicUsize,
    stranded: AtomicUsize,
}

impl Link {
    pub fn to(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("the address is known").port();
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = UnixStream::connect(&socket) else { continue };
                let (from, to) = (
                    client.try_clone().expect("the descriptor can be duplicated"),
                    server.try_clone().expect("the descriptor can be duplicated"),
                );
                let nth = shared.count.fetch_add(1, Ordering::SeqCst);
                let (there, back) = (Arc::clone(&shared), Arc::clone(&shared));
                thread::spawn(move || pass(from, to, &there, nth));
                thread::spawn(move || pass(server, client, &back, nth));
            }
        });
        Self { port, state }
    }

    pub fn set(&self, link: LinkState) {
        self.state.link.store(link as u8, Ordering::SeqCst);
    }

    /// From now on the existing connections pass nothing on, but stay open. New connections work.
    pub fn strand(&self) {
        self.state.stranded.store(self.count(), Ordering::SeqCst);
    }

    /// Returns how many connections there have been.
    pub fn count(&self) -> usize {
        self.state.count.load(Ordering::SeqCst)
    }
}

trait Socket: Read + Write {
    fn shut_down(&self);
    fn wake_often(&self);
}

impl Socket for TcpStream {
    fn shut_down(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
    fn wake_often(&self) {
        self.set_read_timeout(Some(Duration::from_millis(50))).expect("the timeout can be set");
    }
}

impl Socket for UnixStream {
    fn shut_down(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
    fn wake_often(&self) {
        self.set_read_timeout(Some(Duration::from_millis(50))).expect("the timeout can be set");
    }
}

fn pass(mut from: impl Socket, mut to: impl Socket, state: &State, nth: usize) {
    let is = |link: LinkState| state.link.load(Ordering::SeqCst) == link as u8;
    from.wake_often();
    let mut buffer = [0; 16_384];
    loop {
        let len = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => len,
            Err(err)
                if matches!(err.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
            {
                0
            }
            Err(_) => break,
        };
        while is(LinkState::Held) || nth < state.stranded.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
        if is(LinkState::Cut) || to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    from.shut_down();
    to.shut_down();
}

//! A connection to a server that a test can hold up or cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

/// The state of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    Open,
    /// It waits, and so do connections.
    Held,
    /// Connections are ended, and new ones too.
    Cut,
}

/// Passes on what comes to a port of this machine, until the process ends.
pub struct Link {
    pub port: u16,
    state: Arc<AtomicU8>,
}

impl Link {
    pub fn to(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(AtomicU8::new(LinkState::Open as u8));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = UnixStream::connect(&socket) else { continue };
                let (from, to) =
                    (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
                let (there, back) = (Arc::clone(&shared), Arc::clone(&shared));
                thread::spawn(move || pass(from, to, &there));
                thread::spawn(move || pass(server, client, &back));
            }
        });
        Self { port, state }
    }

    pub fn set(&self, state: LinkState) {
        self.state.store(state as u8, Ordering::SeqCst);
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
        self.set_read_timeout(Some(Duration::from_millis(50))).expect("a socket");
    }
}

impl Socket for UnixStream {
    fn shut_down(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
    fn wake_often(&self) {
        self.set_read_timeout(Some(Duration::from_millis(50))).expect("a socket");
    }
}

fn pass(mut from: impl Socket, mut to: impl Socket, state: &AtomicU8) {
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
        while state.load(Ordering::SeqCst) == LinkState::Held as u8 {
            thread::sleep(Duration::from_millis(5));
        }
        if state.load(Ordering::SeqCst) == LinkState::Cut as u8 || to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    from.shut_down();
    to.shut_down();
}

//! Tests that cut the connection before, during or after each request to the server, including COMMIT.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::run;

use super::{Fixture, socket};

/// When a connection is cut, relative to one request of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The server receives nothing of the request.
    Before,
    /// The server receives the first half of the request.
    Within,
    /// The server answers the request, but the client does not receive the answer.
    After,
}

/// Passes connections on to a server, and cuts one of them at a request. The requests of all connections are counted. A
/// request is everything that the client sends before it waits for an answer: one query, or messages up to a Sync.
pub struct Proxy {
    pub port: u16,
    /// How many requests have arrived so far.
    pub seen: Arc<AtomicUsize>,
}

impl Proxy {
    /// Starts a proxy that cuts a connection at request `at`. Only requests that contain `only` are counted.
    pub fn start(socket: PathBuf, cut: Cut, only: &'static str, at: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the port is free");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&seen);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = UnixStream::connect(&socket) else { continue };
                let count = Arc::clone(&count);
                thread::spawn(move || pass(client, server, cut, only, at, &count));
            }
        });
        Self { port, seen }
    }
}

/// Reads one message of the client, including its type and length. Returns `None` at the end of the stream.
fn message(from: &mut impl Read, is_first: bool) -> Option<Vec<u8>> {
    let head = if is_first { 4 } else { 5 };
    let mut bytes = vec![0; head];
    from.read_exact(&mut bytes).ok()?;
    let len = u32::from_be_bytes(bytes[head - 4..].try_into().ok()?) as usize;
    let mut rest = vec![0; len - 4];
    from.read_exact(&mut rest).ok()?;
    bytes.extend(rest);
    Some(bytes)
}

fn pass(mut client: TcpStream, mut server: UnixStream, cut: Cut, only: &str, at: usize, seen: &AtomicUsize) {
    let (mut to_client, mut from_server) = (
        client.try_clone().expect("the descriptor can be duplicated"),
        server.try_clone().expect("the descriptor can be duplicated"),
    );
    let mute = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_mute = Arc::clone(&mute);
    let (answered, wait) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 8_192];
        while let Ok(len) = from_server.read(&mut buffer) {
            if len == 0 {
                break;
            }
            if is_mute.load(Ordering::SeqCst) {
                let _ = answered.send(());
            } else if to_client.write_all(&buffer[..len]).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(std::net::Shutdown::Both);
    });
    let mut is_first = true;
    let (mut request, mut kinds) = (Vec::new(), Vec::new());
    while let Some(bytes) = message(&mut client, is_first) {
        let ends = is_first || matches!(bytes[0], b'Q' | b'S' | b'p' | b'X');
        kinds.push(if is_first { b'Q' } else { bytes[0] });
        is_first = false;
        request.extend(bytes);
        if !ends {
            continue;
        }
        // The request that closes the statements at the end is not counted, because nothing depends on it.
        let asks = kinds.iter().any(|kind| !matches!(kind, b'C' | b'S' | b'X'));
        kinds.clear();
        let is_counted =
            asks && (only.is_empty() || request.windows(only.len()).any(|part| part == only.as_bytes()));
        let here = is_counted && seen.fetch_add(1, Ordering::SeqCst) == at;
        match cut {
            Cut::Before if here => break,
            Cut::Within if here => {
                let _ = server.write_all(&request[..request.len() / 2]);
                break;
            }
            Cut::After if here => {
                mute.store(true, Ordering::SeqCst);
                let _ = server.write_all(&request);
                let _ = wait.recv_timeout(std::time::Duration::from_secs(5));
                break;
            }
            Cut::Before | Cut::Within | Cut::After => {}
        }
        if server.write_all(&request).is_err() {
            break;
        }
        request.clear();
    }
    let _ = client.shutdown(std::net::Shutdown::Both);
    let _ = server.shutdown(std::net::Shutdown::Both);
}

/// If a client has received a secret, it is valid. If it has not, no token remains in the store.
#[test]
fn a_connection_cut_at_any_request_neither_loses_nor_orphans_a_secret() {
    if !crate::support::server::have() {
        return;
    }
    let done = thread::scope(|scope| {
        // Cut at some of all requests, and at each COMMIT.
        let kinds = [("", super::every(7)), ("COMMIT", 1)];
        let each = kinds.into_iter().flat_map(|(only, step)| {
            [Cut::Before, Cut::Within, Cut::After]
                .map(|cut| scope.spawn(move || cut_everywhere(cut, only, step)))
        });
        let each: Vec<_> = each.collect();
        each.into_iter().map(|it| it.join().expect("the thread does not panic")).collect::<Vec<_>>()
    });
    let [tried, made, in_doubt] = [0, 1, 2].map(|at| done.iter().map(|counts| counts[at]).sum::<usize>());
    println!("{tried} cuts: {made} tokens made, {in_doubt} of them by recovery");
    assert!(tried > 20 && made > 0 && made < tried, "{tried} cuts, {made} tokens");
}

/// Returns how many connections were cut, how many tokens were created nevertheless, and how many of these by recovery.
fn cut_everywhere(cut: Cut, only: &'static str, step: usize) -> [usize; 3] {
    let dir = tempfile::tempdir_in("/dev/shm").expect("a temporary directory can be created");
    let (mut tried, mut made, mut in_doubt) = (0, 0, 0);
    for at in (usize::from(only.is_empty())..5_000).step_by(step) {
        // Each creation has a new store, because in a shared one each would have more to recover than the one before.
        let store = Fixture::new();
        let proxy = Proxy::start(socket(), cut, only, at);
        let name = format!("{cut:?}-{only}{at}").to_lowercase();
        let file = dir.path().join(&name);
        let args = ["create", &name, "--out", file.to_str().expect("the path is UTF-8"), "--no-remember"];
        let ran = run(store.through(proxy.port).args(args), b"");
        if proxy.seen.load(Ordering::SeqCst) <= at {
            // All requests of the command were passed on.
            ran.ok();
            break;
        }
        tried += 1;
        assert!(matches!(ran.code, 0 | 1 | 6), "{cut:?} at {only} {at}: {ran:?}");
        if ran.code != 0 {
            // The deadline of an interrupted delivery has passed, so the next change finishes or undoes it.
            store.sql("UPDATE tokenctl.delivery SET deadline = 1600000000");
            let _ = store.run(&["revoke", "nobody", "--yes"]);
        }
        if let Ok(secret) = std::fs::read(&file) {
            assert_eq!(store.verify(&secret), format!("valid {name}\n"), "{cut:?} at {only} {at}: {ran:?}");
            made += 1;
            in_doubt += usize::from(ran.code != 0);
        } else {
            assert_ne!(ran.code, 0, "{cut:?} at {only} {at}: the command succeeded without a file");
            let sql =
                format!("SELECT count(*) FROM tokenctl.tokens WHERE name = '{name}' AND revoked_at IS NULL");
            assert_eq!(
                store.sql(&sql),
                "0",
                "{cut:?} at {only} {at}: the store still has the token: {ran:?}"
            );
        }
    }
    [tried, made, in_doubt]
}

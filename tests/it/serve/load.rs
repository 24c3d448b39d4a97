//! Many simultaneous clients while tokens are created, rotated and revoked: no response is wrong, and memory does not
//! grow.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use super::{Gate, read_answer};
use crate::support::World;

const CLIENTS: usize = 64;
/// How many tokens there are.
const TOKENS: usize = 16;
/// By how much the number of file descriptors is allowed to grow, for another database connection and the usage files.
const DESCRIPTORS: usize = 8;
const KIB: usize = 8 << 10;

const VALID: u8 = 0;
const CHANGING: u8 = 1;
const ENDED: u8 = 2;

/// A secret and its state, as far as it is known.
struct Known {
    secret: String,
    state: AtomicU8,
}

impl Known {
    fn new(secret: String) -> Arc<Self> {
        Arc::new(Self { secret, state: AtomicU8::new(VALID) })
    }

    /// Runs a command that makes the secret invalid.
    fn end<T>(&self, command: impl FnOnce() -> T) -> T {
        self.state.store(CHANGING, Ordering::SeqCst);
        let done = command();
        self.state.store(ENDED, Ordering::SeqCst);
        done
    }

    fn state(&self) -> u8 {
        self.state.load(Ordering::SeqCst)
    }
}

/// The state that all clients share.
struct Load {
    socket: PathBuf,
    tcp: SocketAddr,
    secrets: RwLock<Vec<Arc<Known>>>,
    /// The number of responses with status 200, 401 and 503.
    answers: [AtomicUsize; 3],
    /// All clients have stopped, and all clients have sent their last request.
    stopped: Barrier,
    sent: Barrier,
    stops: AtomicU8,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Load {
    fn connect(&self, client: usize) -> Box<dyn Stream> {
        let patience = Some(Duration::from_secs(60));
        if client.is_multiple_of(2) {
            let stream = UnixStream::connect(&self.socket).unwrap();
            stream.set_read_timeout(patience).unwrap();
            Box::new(stream)
        } else {
            let stream = TcpStream::connect(self.tcp).unwrap();
            stream.set_read_timeout(patience).unwrap();
            Box::new(stream)
        }
    }

    fn client(&self, client: usize) {
        let mut stream = self.connect(client);
        let mut turn = client;
        while self.stops.load(Ordering::SeqCst) == 0 {
            let known = {
                let secrets = self.secrets.read().unwrap();
                Arc::clone(&secrets[turn % secrets.len()])
            };
            turn += 7;
            let before = known.state();
            send(&mut *stream, &known.secret);
            let status = read_answer(&mut stream).status;
            let kind = match (status, before, known.state()) {
                (200, VALID | CHANGING, _) => 0,
                (401, _, CHANGING | ENDED) => 1,
                (503, _, _) => 2,
                wrong => panic!("{wrong:?}: the status, and the state before and after"),
            };
            self.answers[kind].fetch_add(1, Ordering::Relaxed);
        }
        self.stopped.wait();
        let secret = self.secrets.read().unwrap()[0].secret.clone();
        // The gate is paused here, so the next requests are unread in its sockets when it gets the signal.
        self.stopped.wait();
        send(&mut *stream, &secret);
        self.sent.wait();
        assert!(matches!(read_answer(&mut stream).status, 200 | 401), "client {client}");
    }

    fn answered(&self) -> usize {
        self.answers.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

fn send(stream: &mut dyn Stream, secret: &str) {
    // The request is written in one piece, because over TCP a second write would wait for the acknowledgement of the
    // first.
    let request = format!("GET /verify HTTP/1.1\r\nHost: g\r\nX-Api-Key: {secret}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
}

/// The number of open file descriptors of a process, and its memory in KiB.
fn taken(gate: &Gate) -> (usize, usize) {
    let proc = format!("/proc/{}", gate.child.id());
    let status = fs::read_to_string(format!("{proc}/status")).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let memory = memory.trim().trim_end_matches(" kB").parse().unwrap();
    (fs::read_dir(format!("{proc}/fd")).unwrap().count(), memory)
}

/// Creates, rotates and revokes tokens at least this often and at least this long, while clients send requests.
fn load(least: usize, long: Duration) {
    let world = World::of_processes();
    let run = |args: &[&str]| world.real(&[&["--yes"], args].concat(), b"").ok().out.trim().to_owned();
    let secrets = (0..TOKENS).map(|n| Known::new(run(&["create", &format!("t{n}")]))).collect();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut gate = Gate::start(&world, &["--listen", &tcp.to_string()]);
    let idle = taken(&gate);
    let load = Load {
        socket: gate.socket.clone(),
        tcp,
        secrets: RwLock::new(secrets),
        answers: Default::default(),
        stopped: Barrier::new(CLIENTS + 1),
        sent: Barrier::new(CLIENTS + 1),
        stops: AtomicU8::new(0),
    };
    let took = thread::scope(|scope| {
        for client in 0..CLIENTS {
            let load = &load;
            scope.spawn(move || load.client(client));
        }
        while load.answered() < 20 * CLIENTS {
            thread::yield_now();
        }
        let (start, early, mut changes) = (Instant::now(), taken(&gate), 0);
        while changes < least || start.elapsed() < long {
            let of = |n: usize| Arc::clone(&load.secrets.read().unwrap()[n]);
            let (turn, name) = (changes % TOKENS, format!("t{}", changes % TOKENS));
            // A third of the tokens are revoked and created again, and the others are rotated.
            let secret = of(turn).end(|| {
                if changes % 3 == 0 {
                    run(&["revoke", &name]);
                    None
                } else {
                    Some(run(&["rotate", &name, "--grace", "0s"]))
                }
            });
            let secret = secret.unwrap_or_else(|| run(&["create", &name]));
            load.secrets.write().unwrap()[turn] = Known::new(secret);
            changes += 1;
        }
        let (late, answers) = (taken(&gate), load.answers.each_ref().map(|it| it.load(Ordering::Relaxed)));
        println!(
            "{:.0} s, {changes} changes, {answers:?} answers of 200, 401, 503; descriptors and KiB: idle {idle:?}, \
             early {early:?}, late {late:?}",
            start.elapsed().as_secs_f64()
        );
        assert!(late.0 <= early.0 + DESCRIPTORS, "descriptors: {early:?}, {late:?}");
        assert!(late.1 <= early.1 + KIB, "KiB: {early:?}, {late:?}");
        assert!(answers[0] > 0 && answers[1] > 0, "{answers:?}");
        load.stops.store(1, Ordering::SeqCst);
        load.stopped.wait();
        gate.signal("-STOP");
        load.stopped.wait();
        load.sent.wait();
        gate.signal("-TERM");
        gate.signal("-CONT");
        let start = Instant::now();
        assert_eq!(gate.stop().0, Some(0));
        start.elapsed()
    });
    println!("the gate stopped after {} ms, in which it answered {CLIENTS} requests", took.as_millis());
}

#[test]
fn under_load_no_response_is_wrong_and_memory_does_not_grow() {
    load(12, Duration::ZERO);
}

#[test]
#[ignore = "a minute; run it with `--ignored --nocapture` for its figures"]
fn under_load_for_a_minute_no_response_is_wrong_and_memory_does_not_grow() {
    load(12, Duration::from_secs(60));
}

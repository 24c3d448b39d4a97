//! The life of a gate: it accepts connections until a signal ends it, and then answers what was accepted.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use super::gate::Gate;
use super::listen::Listener;
use super::notify;
use super::server::{SIGNALS, Server};
use super::turn::Role;

/// Connections to the administrative sockets, beside those to the gate.
const ADMINS: usize = 32;
/// How long requests are still read after the end was announced: what a client sent before is answered, even if it lies
/// unread in the socket.
const LAST_LOOK: Duration = Duration::from_millis(20);
/// How long the end waits for answers. A request waits no longer for its own.
const END: Duration = Duration::from_millis(950);
/// How long nothing may be under way before idle connections are left.
const QUIET: Duration = Duration::from_millis(100);

pub struct Limits {
    pub connections: usize,
}

/// What ended a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Terminated,
    CtrlC,
}

/// The signals that end a gate. From when this is made they end nothing else: make it before the sockets, whose files the
/// end removes.
pub struct Signals([(OwnedFd, End); 2]);

impl Signals {
    pub fn new() -> io::Result<Self> {
        let signal = |signal, end| {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
            pipe::register(signal, writer)?;
            Ok::<_, io::Error>((reader, end))
        };
        Ok(Self([signal(SIGTERM, End::Terminated)?, signal(SIGINT, End::CtrlC)?]))
    }

    /// Has the server report them.
    fn watch(&self, server: &Server<'_>) -> io::Result<()> {
        self.0.iter().zip(SIGNALS).try_for_each(|((pipe, _), number)| server.watch(pipe, number))
    }

    /// What it means that this one has come. It is reported once.
    fn end(&self, number: u64) -> Option<End> {
        let (pipe, end) = self.0.get(usize::try_from(number).ok()?)?;
        rustix::io::read(pipe, &mut [0; 64]).is_ok().then_some(*end)
    }
}

/// Serves until a signal comes. Systemd's socket is told when connections are accepted, and when they no longer are.
pub fn run(
    signals: &Signals,
    gate: Gate,
    listeners: Vec<Listener>,
    admins: Vec<Listener>,
    limits: &Limits,
    notify: Option<&OsStr>,
) -> io::Result<End> {
    make_room(limits.connections);
    let mut server = Server::new(&gate)?;
    signals.watch(&server)?;
    server.listen(listeners, Role::Gate, limits.connections)?;
    server.listen(admins, Role::Admin, ADMINS)?;
    notify::tell(notify, "READY=1");
    let end = loop {
        let signal = server.look(None)?;
        if let Some(end) = signal.and_then(|number| signals.end(number)) {
            break end;
        }
    };
    notify::tell(notify, "STOPPING=1");
    let finished = finish(&mut server, signals);
    drop(server);
    gate.finish();
    finished.map(|()| end)
}

/// Answers every request that was sent before the end. Connections that only listen are left.
fn finish(server: &mut Server<'_>, signals: &Signals) -> io::Result<()> {
    let step = Some(Duration::from_millis(5));
    // A second signal changes nothing any more.
    let look =
        |server: &mut Server<'_>| Ok::<_, io::Error>(server.look(step)?.map(|number| signals.end(number)));
    let began = Instant::now();
    while began.elapsed() < LAST_LOOK {
        look(server)?;
    }
    server.stop();
    let mut quiet_since = Instant::now();
    while server.close_idle() && began.elapsed() < END && quiet_since.elapsed() < QUIET {
        look(server)?;
        if server.is_busy() {
            quiet_since = Instant::now();
        }
    }
    Ok(())
}

/// Raises the limit on descriptors towards what the connections need.
fn make_room(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let needed = u64::try_from(connections + ADMINS + 64).unwrap_or(u64::MAX);
    if limit.current.is_some_and(|current| current < needed) {
        let current = limit.maximum.map_or(needed, |maximum| needed.min(maximum));
        // With fewer, connections wait until others are closed.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: limit.maximum });
    }
}

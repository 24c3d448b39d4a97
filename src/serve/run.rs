//! Runs a gate: accepts connections until a signal arrives, and then answers the accepted requests.

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

/// How many connections to the administrative sockets are allowed, besides those to the gate.
const ADMINS: usize = 32;
/// How long requests are still read after the stop was announced, so that requests which are unread in the
/// socket are answered.
const LAST_LOOK: Duration = Duration::from_millis(20);
/// How long a stopping server waits for answers. A request waits no longer for its own.
const END: Duration = Duration::from_millis(950);
/// How long a stopping server must have no open request before it leaves idle connections.
const QUIET: Duration = Duration::from_millis(100);

pub struct Limits {
    pub connections: usize,
}

/// Why a gate stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    Terminated,
    CtrlC,
}

/// The signals that stop a gate. Once this exists, they no longer kill the process. Make it before the sockets,
/// so that their files are always removed.
pub struct Signals([(OwnedFd, StopReason); 2]);

impl Signals {
    pub fn new() -> io::Result<Self> {
        let signal = |signal, end| {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
            pipe::register(signal, writer)?;
            Ok::<_, io::Error>((reader, end))
        };
        Ok(Self([signal(SIGTERM, StopReason::Terminated)?, signal(SIGINT, StopReason::CtrlC)?]))
    }

    /// Registers them with the server.
    fn watch(&self, server: &Server<'_>) -> io::Result<()> {
        self.0.iter().zip(SIGNALS).try_for_each(|((pipe, _), number)| server.watch(pipe, number))
    }

    /// The meaning of this signal, which is reported once.
    fn reason(&self, number: u64) -> Option<StopReason> {
        let (pipe, end) = self.0.get(usize::try_from(number).ok()?)?;
        rustix::io::read(pipe, &mut [0; 64]).is_ok().then_some(*end)
    }
}

/// Serves until a signal arrives. Systemd is notified when the server accepts connections, and when it stops.
pub fn run(
    signals: &Signals,
    gate: Gate,
    listeners: Vec<Listener>,
    admins: Vec<Listener>,
    limits: &Limits,
    notify: Option<&OsStr>,
) -> io::Result<StopReason> {
    make_room(limits.connections);
    let mut server = Server::new(&gate)?;
    signals.watch(&server)?;
    server.listen(listeners, Role::Gate, limits.connections)?;
    server.listen(admins, Role::Admin, ADMINS)?;
    notify::send(notify, "READY=1");
    let end = loop {
        let signal = server.look(None)?;
        if let Some(end) = signal.and_then(|number| signals.reason(number)) {
            break end;
        }
    };
    notify::send(notify, "STOPPING=1");
    let finished = finish(&mut server, signals);
    drop(server);
    gate.finish();
    finished.map(|()| end)
}

/// Answers every request that was sent before the stop. Idle connections are left.
fn finish(server: &mut Server<'_>, signals: &Signals) -> io::Result<()> {
    let step = Some(Duration::from_millis(5));
    // A second signal has no effect.
    let look =
        |server: &mut Server<'_>| Ok::<_, io::Error>(server.look(step)?.map(|number| signals.reason(number)));
    let began = Instant::now();
    while began.elapsed() < LAST_LOOK || !server.is_quiet && began.elapsed() < END {
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

/// Raises the limit on descriptors to what the connections need, if possible.
fn make_room(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let needed = u64::try_from(connections + ADMINS + 64).unwrap_or(u64::MAX);
    if limit.current.is_some_and(|current| current < needed) {
        let current = limit.maximum.map_or(needed, |maximum| needed.min(maximum));
        // With fewer descriptors, connections wait until others are closed.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: limit.maximum });
    }
}

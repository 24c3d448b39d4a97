//! Runs a gate: accepts connections until a signal arrives, and then answers the accepted requests.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, sleep};

use super::connection::LAST_LOOK;
use super::gate::Gate;
use super::listen::{Listener, Socket};
use super::{admin, connection, notify};

/// How many connections to the administrative sockets are allowed, besides those to the gate.
const ADMINS: usize = 32;
/// How long a stopping server waits for answers. A request waits no longer for its own.
const END: Duration = Duration::from_millis(950);
/// How long a stopping server must have no open request before it leaves idle connections.
const QUIET: Duration = Duration::from_millis(100);
/// The pause after a failed accept, for instance without free descriptors.
const PAUSE: Duration = Duration::from_millis(50);

pub struct Limits {
    pub connections: usize,
}

/// Why a gate stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Terminated,
    CtrlC,
}

/// The signals that stop a gate. Once this exists, they no longer kill the process. Make it before the sockets,
/// so that their files are always removed.
pub struct Signals {
    runtime: LocalRuntime,
    terminated: Signal,
    interrupted: Signal,
}

impl Signals {
    pub fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
        let entered = runtime.enter();
        let (terminated, interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        drop(entered);
        Ok(Self { runtime, terminated, interrupted })
    }
}

/// Serves until a signal arrives. Systemd is notified when the server accepts connections, and when it stops.
pub fn run(
    signals: Signals,
    gate: Gate,
    listeners: Vec<Listener>,
    admins: Vec<Listener>,
    limits: &Limits,
    notify: Option<&OsStr>,
) -> io::Result<End> {
    make_room(limits.connections);
    let Signals { runtime, mut terminated, mut interrupted } = signals;
    let (stopping, stop) = watch::channel(false);
    let house = Rc::new(House { gate, open: Cell::new(0), stop });
    let end = runtime.block_on(async {
        let engine = Rc::clone(&house);
        let mut engine = spawn_local(async move { engine.gate.run().await });
        let mut accepting = house.accept_all(&listeners, limits.connections, Role::Gate)?;
        accepting.extend(house.accept_all(&admins, ADMINS, Role::Admin)?);
        notify::tell(notify, "READY=1");
        let end = tokio::select! {
            _ = terminated.recv() => End::Terminated,
            _ = interrupted.recv() => End::CtrlC,
            // A gate that answers nothing must not appear to be running.
            _ = &mut engine => return Err(io::Error::other("the verification stopped because of a bug in the program")),
        };
        notify::tell(notify, "STOPPING=1");
        let _ = stopping.send(true);
        // Clients that have connected before the stop are accepted.
        sleep(LAST_LOOK).await;
        for task in accepting {
            task.abort();
        }
        drop((listeners, admins));
        house.wait_for_answers().await;
        Ok(end)
    });
    house.gate.finish();
    end
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Gate,
    Admin,
}

struct House {
    gate: Gate,
    /// Open connections.
    open: Cell<usize>,
    stop: watch::Receiver<bool>,
}

impl House {
    /// Starts to accept connections, at most this many at once.
    fn accept_all(
        self: &Rc<Self>,
        listeners: &[Listener],
        most: usize,
        role: Role,
    ) -> io::Result<Vec<JoinHandle<()>>> {
        let slots = Arc::new(Semaphore::new(most));
        let start = |listener: &Listener| {
            let (house, slots) = (Rc::clone(self), Arc::clone(&slots));
            Ok(match &listener.socket {
                Socket::Unix(socket) => {
                    let socket = UnixListener::from_std(socket.try_clone()?)?;
                    spawn_local(house.accept(socket, slots, role))
                }
                Socket::Tcp(socket) => {
                    let socket = TcpListener::from_std(socket.try_clone()?)?;
                    spawn_local(house.accept(socket, slots, role))
                }
            })
        };
        listeners.iter().map(start).collect()
    }

    /// While all slots are taken, further connections wait in the backlog of the socket.
    async fn accept<L: Accept>(self: Rc<Self>, socket: L, slots: Arc<Semaphore>, role: Role) {
        while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
            let Ok((stream, peer)) = socket.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let house = Rc::clone(&self);
            spawn_local(async move {
                house.open.set(house.open.get() + 1);
                house.serve(stream, peer, role).await;
                house.open.set(house.open.get() - 1);
                drop(slot);
            });
        }
    }

    async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
        peer: Option<IpAddr>,
        role: Role,
    ) {
        let stop = self.stop.clone();
        match role {
            Role::Gate => connection::serve(stream, |request| self.gate.answer(request, peer), stop).await,
            Role::Admin => {
                let answer = |request| admin::answer(&self.gate, self.open.get(), request);
                connection::serve(stream, answer, stop).await;
            }
        }
    }

    /// Waits until every request that was read is answered. Idle connections are left.
    async fn wait_for_answers(&self) {
        let began = Instant::now();
        let mut quiet_since = began;
        while self.open.get() > 0 && began.elapsed() < END && quiet_since.elapsed() < QUIET {
            if self.gate.under_way() > 0 {
                quiet_since = Instant::now();
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A socket that is waiting for its next connection.
trait Accept: 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;

    /// The connection, and the address at its other end.
    async fn accept(&self) -> io::Result<(Self::Stream, Option<IpAddr>)>;
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Option<IpAddr>)> {
        self.accept().await.map(|(stream, _)| (stream, None))
    }
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Option<IpAddr>)> {
        let (stream, peer) = self.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, Some(peer.ip().to_canonical())))
    }
}

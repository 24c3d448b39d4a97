//! Listening sockets: those that are made here, and those that systemd passes.

use std::fmt;
use std::fs::{self, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use listenfd::ListenFd;

use super::connection::Stream;
use crate::domain::Invalid;

/// A typed address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    Tcp(SocketAddr),
    /// The sockets that systemd passes.
    Passed,
}

impl FromStr for Address {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.strip_prefix("unix:") {
            Some(path) if !path.is_empty() => return Ok(Self::Unix(path.into())),
            None if text == "fd://" => return Ok(Self::Passed),
            _ => {}
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            Invalid::new(format!("`{}` is not an address to listen on", text.escape_debug()))
                .hint("use `unix:PATH`, an address with a port like `127.0.0.1:8787`, or `fd://`")
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Passed => f.write_str("fd://"),
        }
    }
}

/// The permissions of a socket file, in octal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketMode(u32);

impl FromStr for SocketMode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
        mode.map(Self).ok_or_else(|| {
            Invalid::new(format!("`{}` is not a mode", text.escape_debug()))
                .hint("use three octal digits, like `660`")
        })
    }
}

/// Why an address cannot be used.
#[derive(Debug)]
pub enum ListenError {
    /// Another process listens there, or the path is not a socket.
    Taken(String),
    Failed(io::Error),
}

impl From<io::Error> for ListenError {
    fn from(err: io::Error) -> Self {
        if err.kind() == ErrorKind::AddrInUse {
            return Self::Taken("another process listens there".to_owned());
        }
        Self::Failed(err)
    }
}

/// A listening socket. Dropping it removes a socket file that was made here.
pub struct Listener {
    socket: Socket,
    file: Option<(PathBuf, (u64, u64))>,
}

enum Socket {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    pub fn bind(address: &Address, mode: SocketMode, passed: &mut Passed) -> Result<Vec<Self>, ListenError> {
        match address {
            Address::Unix(path) => Ok(vec![Self::unix(path, mode)?]),
            Address::Tcp(address) => Ok(vec![Self::tcp(TcpListener::bind(address)?)?]),
            Address::Passed => passed.take(),
        }
    }

    fn unix(path: &Path, mode: SocketMode) -> Result<Self, ListenError> {
        remove_dead(path)?;
        // Until its mode is set, the umask of the program restricts the file to its owner.
        let socket = UnixListener::bind(path)?;
        let file = Some((path.to_owned(), id(&fs::symlink_metadata(path)?)));
        fs::set_permissions(path, Permissions::from_mode(mode.0))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket: Socket::Unix(socket), file })
    }

    fn tcp(socket: TcpListener) -> Result<Self, ListenError> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket: Socket::Tcp(socket), file: None })
    }

    /// Accepts the next connection, with its remote address.
    pub fn accept(&self) -> io::Result<(Stream, Option<IpAddr>)> {
        match &self.socket {
            Socket::Unix(socket) => {
                let (stream, _) = socket.accept()?;
                stream.set_nonblocking(true)?;
                Ok((Stream::Unix(stream), None))
            }
            Socket::Tcp(socket) => {
                let (stream, peer) = socket.accept()?;
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Some(peer.ip().to_canonical())))
            }
        }
    }

    /// Its address, if the socket reports one.
    pub fn address(&self) -> String {
        match &self.socket {
            Socket::Tcp(socket) => socket.local_addr().map_or_else(|_| "tcp".to_owned(), |it| it.to_string()),
            Socket::Unix(socket) => {
                let address = socket.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                path.map_or_else(|| "unix".to_owned(), |path| format!("unix:{}", path.display()))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Another process may have replaced it by its own socket.
        let is_ours = |(path, made): &&(PathBuf, (u64, u64))| {
            fs::symlink_metadata(path).is_ok_and(|meta| id(&meta) == *made)
        };
        if let Some((path, _)) = self.file.as_ref().filter(is_ours) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Removes a socket file on which nobody listens.
fn remove_dead(path: &Path) -> Result<(), ListenError> {
    let meta = match fs::symlink_metadata(path) {
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(()),
        meta => meta?,
    };
    if !meta.file_type().is_socket() {
        return Err(ListenError::Taken("there is a file that is not a socket".to_owned()));
    }
    match UnixStream::connect(path) {
        Err(err) if err.kind() == ErrorKind::ConnectionRefused => Ok(fs::remove_file(path)?),
        Err(err) if err.kind() == ErrorKind::NotFound => Ok(()),
        // A socket with a full backlog, or that another user may not access, is in use too.
        _ => Err(ListenError::Taken("another process listens there".to_owned())),
    }
}

fn id(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Unix(socket) => socket.as_fd(),
            Socket::Tcp(socket) => socket.as_fd(),
        }
    }
}

/// The sockets that systemd passed to this process, until they are taken.
pub struct Passed(ListenFd);

impl Passed {
    /// Reads the environment. It must be called once, before anything else opens files.
    pub fn from_environment() -> Self {
        Self(ListenFd::from_env())
    }

    fn take(&mut self) -> Result<Vec<Listener>, ListenError> {
        let mut all = Vec::new();
        for index in 0..self.0.len() {
            // This fails for a socket of another kind.
            if let Ok(Some(socket)) = self.0.take_unix_listener(index) {
                socket.set_nonblocking(true)?;
                all.push(Listener { socket: Socket::Unix(socket), file: None });
            } else if let Some(socket) = self.0.take_tcp_listener(index)? {
                all.push(Listener::tcp(socket)?);
            }
        }
        if all.is_empty() {
            return Err(ListenError::Failed(io::Error::other("no sockets were passed")));
        }
        Ok(all)
    }
}

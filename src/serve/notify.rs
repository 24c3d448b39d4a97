//! Reports the state of the service to systemd: `sd_notify(3)`.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends a state to the socket of `NOTIFY_SOCKET`, if there is one. Errors are ignored.
pub fn send(socket: Option<&OsStr>, state: &str) {
    let Some(socket) = socket else { return };
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(socket),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    let _ = sent;
}

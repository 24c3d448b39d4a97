//! HTTP/1, as far as this server needs it.
//!
//! - The `httparse` crate parses heads and the sizes of chunks. Everything that RFC 9112 allows a server to
//!   refuse is refused, so that no other program can interpret the same bytes as a different request.
//! - This module does not read or write sockets, so it is tested with bytes alone.

mod body;
mod head;
mod response;
mod wiped;

pub use body::Body;
pub use head::{Exchange, Framing, HEAD, Head, Headers, Parsed, SPACE, parse};
pub use response::{CONTINUE, Response, Status, date};
pub use wiped::{consume, reserve};

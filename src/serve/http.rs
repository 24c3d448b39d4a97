//! HTTP/1 as this server reads and writes it.
//!
//! - The `httparse` crate reads heads and the sizes of chunks. What RFC 9112 lets a server refuse is refused, so that no
//!   other program can read the same bytes as another request.
//! - Nothing here reads or writes a socket, so all of it is tested with bytes.

mod body;
mod head;
mod response;

pub use body::Body;
pub use head::{Exchange, Framing, HEAD, Head, Headers, Parsed, SPACE, parse};
pub use response::{CONTINUE, Response, Status, date};

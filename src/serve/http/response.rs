//! Responses, which are complete before the first byte is written.

use chrono::DateTime;

use super::head::{Exchange, Version};
use crate::domain::when::Timestamp;

/// The permission to send a body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The statuses that this server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Ok,
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Timeout,
    BodyTooLarge,
    HeadTooLarge,
    Unavailable,
}

impl Status {
    pub fn code(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Timeout => 408,
            Self::BodyTooLarge => 413,
            Self::HeadTooLarge => 431,
            Self::Unavailable => 503,
        }
    }

    fn line(self) -> &'static str {
        match self {
            Self::Ok => "HTTP/1.1 200 OK\r\n",
            Self::BadRequest => "HTTP/1.1 400 Bad Request\r\n",
            Self::Unauthorized => "HTTP/1.1 401 Unauthorized\r\n",
            Self::Forbidden => "HTTP/1.1 403 Forbidden\r\n",
            Self::NotFound => "HTTP/1.1 404 Not Found\r\n",
            Self::MethodNotAllowed => "HTTP/1.1 405 Method Not Allowed\r\n",
            Self::Timeout => "HTTP/1.1 408 Request Timeout\r\n",
            Self::BodyTooLarge => "HTTP/1.1 413 Content Too Large\r\n",
            Self::HeadTooLarge => "HTTP/1.1 431 Request Header Fields Too Large\r\n",
            Self::Unavailable => "HTTP/1.1 503 Service Unavailable\r\n",
        }
    }
}

/// Room for the headers of most responses, in bytes.
const HEADERS: usize = 512;

pub struct Response {
    pub status: Status,
    /// The lines of its headers.
    headers: Vec<u8>,
    body: String,
    /// Whether the connection is closed after it, whatever the client requests.
    pub closes: bool,
}

impl Response {
    pub fn new(status: Status) -> Self {
        Self { status, headers: Vec::with_capacity(HEADERS), body: String::new(), closes: false }
    }

    /// A response with a body of this media type.
    pub fn text(status: Status, kind: &str, body: String) -> Self {
        Self { body, ..Self::new(status) }.header("content-type", kind)
    }

    /// The store could not be read.
    pub fn unavailable() -> Self {
        Self::new(Status::Unavailable).header("retry-after", "1")
    }

    #[must_use]
    pub fn body(self, body: String) -> Self {
        Self { body, ..self }
    }

    /// The same response as the last one of its connection.
    #[must_use]
    pub fn closing(self) -> Self {
        Self { closes: true, ..self }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.add(name, value);
        self
    }

    pub fn add(&mut self, name: &str, value: &str) {
        self.add_with(name, |out| out.extend_from_slice(value.as_bytes()));
    }

    /// Adds a header with the value that `write` appends. A value that could be read as something else is left
    /// empty.
    pub fn add_with(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let headers = &mut self.headers;
        headers.extend_from_slice(name.as_bytes());
        headers.extend_from_slice(b": ");
        let start = headers.len();
        write(headers);
        if !headers[start..].iter().all(|byte| matches!(byte, b' '..=b'~')) {
            headers.truncate(start);
        }
        headers.extend_from_slice(b"\r\n");
    }

    /// Appends the response.
    pub fn write(&self, out: &mut Vec<u8>, exchange: &Exchange, closes: bool, date: &str) {
        let mut part = |bytes: &[u8]| out.extend_from_slice(bytes);
        part(self.status.line().as_bytes());
        part(&self.headers);
        match (exchange.version, closes) {
            (Version::Http11, false) => {}
            (Version::Http10, false) => part(b"connection: keep-alive\r\n"),
            (_, true) => part(b"connection: close\r\n"),
        }
        if self.body.is_empty() {
            part(b"content-length: 0\r\ndate: ");
        } else {
            part(format!("content-length: {}\r\ndate: ", self.body.len()).as_bytes());
        }
        part(date.as_bytes());
        part(b"\r\n\r\n");
        if !exchange.is_head {
            part(self.body.as_bytes());
        }
    }
}

/// Formats an instant for the header `Date` (RFC 9110, section 5.6.7).
pub fn date(now: Timestamp) -> String {
    let instant = DateTime::from_timestamp(now.unix(), 0).unwrap_or_default();
    instant.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(response: &Response, version: Version, method: &str, closes: bool) -> String {
        let mut out = Vec::new();
        let exchange = Exchange { version, is_head: method == "HEAD", ..Exchange::default() };
        response.write(&mut out, &exchange, closes, "D");
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn a_response_is_written_as_a_whole() {
        let empty = Response::new(Status::Ok).header("x-a", "b").header("x-c", "");
        assert_eq!(
            text(&empty, Version::Http11, "GET", false),
            "HTTP/1.1 200 OK\r\nx-a: b\r\nx-c: \r\ncontent-length: 0\r\ndate: D\r\n\r\n"
        );
        let body = Response::text(Status::NotFound, "text/plain", "no\n".to_owned());
        let head = "HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\nconnection: close\r\n\
                    content-length: 3\r\ndate: D\r\n\r\n";
        assert_eq!(text(&body, Version::Http11, "GET", true), format!("{head}no\n"));
        assert_eq!(text(&body, Version::Http10, "HEAD", true), head);
        assert!(text(&empty, Version::Http10, "GET", false).contains("\r\nconnection: keep-alive\r\n"));
    }

    #[test]
    fn a_header_never_becomes_two() {
        let response = Response::new(Status::Ok).header("x-a", "b\r\nx-admin: 1").header("x-b", "é");
        let text = text(&response, Version::Http11, "GET", false);
        assert!(text.contains("\r\nx-a: \r\nx-b: \r\n") && !text.contains("admin"), "{text}");
    }

    #[test]
    fn a_date_is_that_of_http() {
        let then = Timestamp::from_unix(1_800_000_000).expect("an instant");
        assert_eq!(date(then), "Fri, 15 Jan 2027 08:00:00 GMT");
    }
}

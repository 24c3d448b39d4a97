//! The head of a request: its line and its headers.

use httparse::{EMPTY_HEADER, Error, Header, Request};

use super::Status;

/// The longest head, in bytes.
pub const HEAD: usize = 16 << 10;
/// The most headers of a head.
const HEADERS: usize = 100;
/// Memory for the parsed headers of a head.
pub const SPACE: [Header<'static>; HEADERS] = [EMPTY_HEADER; HEADERS];

/// The beginning of the bytes that were read.
pub enum Parsed<'h, 'b> {
    /// An incomplete head.
    Partial,
    /// A head of this many bytes.
    Whole(Head<'h, 'b>, usize),
    /// Something else, with the status of the refusal.
    Refused(Status),
}

pub struct Head<'h, 'b> {
    pub method: &'b str,
    pub path: &'b str,
    pub query: Option<&'b str>,
    pub headers: Headers<'h, 'b>,
    pub exchange: Exchange,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Http10,
    Http11,
}

/// The properties of a request on which the form of its answer depends.
#[derive(Debug, Clone, Copy)]
pub struct Exchange {
    pub version: Version,
    pub is_head: bool,
    /// Whether the client wants to send further requests over this connection.
    pub keeps: bool,
    /// Whether the client waits for permission before it sends the body.
    pub expects: bool,
    pub framing: Framing,
    /// Whether there is a body that is not read. It must not be parsed as the next request.
    pub unread: bool,
}

impl Default for Exchange {
    /// The form for input that is not HTTP.
    fn default() -> Self {
        let (version, framing) = (Version::Http11, Framing::Empty);
        Self { version, is_head: false, keeps: false, expects: false, framing, unread: false }
    }
}

/// How the length of a body is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    Empty,
    Length(u64),
    Chunked,
}

/// The headers in their order. Names are compared ignoring case.
#[derive(Clone, Copy)]
pub struct Headers<'h, 'b>(&'h [Header<'b>]);

impl<'b> Headers<'_, 'b> {
    /// The values of all headers of this name.
    pub fn all(self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.0.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    }

    /// Whether a list of words, such as `Connection`, contains this one.
    fn lists(self, name: &str, word: &str) -> bool {
        let words = |value: &'b [u8]| value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        self.all(name).flat_map(words).any(|it| it.eq_ignore_ascii_case(word.as_bytes()))
    }
}

#[cfg(test)]
impl<'h> Headers<'h, 'h> {
    /// For tests of code that reads headers.
    pub fn of(headers: &'h [Header<'h>]) -> Self {
        Self(headers)
    }
}

/// Parses the head at the beginning of these bytes.
pub fn parse<'h, 'b>(bytes: &'b [u8], space: &'h mut [Header<'b>]) -> Parsed<'h, 'b> {
    let mut request = Request::new(space);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD => return Parsed::Partial,
        Ok(_) | Err(Error::TooManyHeaders) => return Parsed::Refused(Status::HeadTooLarge),
        Err(_) => return Parsed::Refused(Status::BadRequest),
    };
    let Request { method: Some(method), path: Some(target), version: Some(minor), headers } = request else {
        return Parsed::Refused(Status::BadRequest);
    };
    let headers = Headers(headers);
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    let (Some((path, query)), Some(framing)) = (parts(target), framing(headers, version)) else {
        return Parsed::Refused(Status::BadRequest);
    };
    let keeps = match version {
        Version::Http10 => headers.lists("connection", "keep-alive"),
        Version::Http11 => true,
    };
    let exchange = Exchange {
        version,
        is_head: method == "HEAD",
        keeps: keeps && !headers.lists("connection", "close"),
        expects: version == Version::Http11 && headers.lists("expect", "100-continue"),
        framing,
        unread: framing != Framing::Empty,
    };
    Parsed::Whole(Head { method, path, query, headers, exchange }, length)
}

/// The path and the query of a target, which may be a whole URL (RFC 9112, section 3.2). A fragment is never sent.
fn parts(target: &str) -> Option<(&str, Option<&str>)> {
    if target.contains('#') {
        return None;
    }
    let url = ["http://", "https://"].iter().find_map(|scheme| target.strip_prefix(scheme));
    let target = match url {
        None => target,
        Some(url) => url.find(['/', '?']).map_or("/", |at| &url[at..]),
    };
    Some(match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    })
}

/// `None` if two programs could disagree about the end of the body (RFC 9112, section 6.3).
fn framing(headers: Headers<'_, '_>, version: Version) -> Option<Framing> {
    let (mut codings, mut lengths) = (headers.all("transfer-encoding"), headers.all("content-length"));
    match (codings.next(), lengths.next()) {
        (None, None) => Some(Framing::Empty),
        (None, Some(length)) => {
            let same = lengths.all(|other| other == length);
            let digits = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
            let length = std::str::from_utf8(length).ok().filter(|_| same && digits)?.parse().ok()?;
            Some(if length == 0 { Framing::Empty } else { Framing::Length(length) })
        }
        (Some(coding), None) => {
            let chunked = coding.eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
            (chunked && version == Version::Http11).then_some(Framing::Chunked)
        }
        (Some(_), Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content of a head, or the status that refuses it.
    fn of(text: &str) -> String {
        let mut space = SPACE;
        match parse(text.as_bytes(), &mut space) {
            Parsed::Partial => "partial".to_owned(),
            Parsed::Refused(status) => status.code().to_string(),
            Parsed::Whole(head, length) => {
                let Head { method, path, query, exchange, .. } = head;
                let Exchange { framing, keeps, expects, .. } = exchange;
                let rest = text.len() - length;
                format!("{method} {path} {query:?} {framing:?} {keeps} {expects} {rest}")
            }
        }
    }

    #[test]
    fn a_head_is_read_whole_or_not_at_all() {
        let text = "GET /verify?scope=a HTTP/1.1\r\nHost: g\r\n\r\nrest";
        assert_eq!(of(text), "GET /verify Some(\"scope=a\") Empty true false 4");
        for end in 1..text.len() - 4 {
            assert_eq!(of(&text[..end]), "partial", "{end}");
        }
        assert_eq!(
            of("GET http://gate/verify?a HTTP/1.1\r\n\r\n"),
            "GET /verify Some(\"a\") Empty true false 0"
        );
        assert_eq!(of("GET http://gate HTTP/1.1\r\n\r\n"), "GET / None Empty true false 0");
        assert_eq!(of("GET /a#b HTTP/1.1\r\n\r\n"), "400");
        assert_eq!(of("GET /a HTTP/2.0\r\n\r\n"), "400");
    }

    #[test]
    fn a_connection_stays_as_its_version_and_its_header_say() {
        for (version, header, keeps) in [
            ("1.1", "", true),
            ("1.1", "Connection: close\r\n", false),
            ("1.1", "Connection: TE, Close\r\n", false),
            ("1.0", "", false),
            ("1.0", "Connection: Keep-Alive\r\n", true),
            ("1.0", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ] {
            let said = of(&format!("GET / HTTP/{version}\r\n{header}\r\n"));
            assert_eq!(said, format!("GET / None Empty {keeps} false 0"), "{version} {header}");
        }
    }

    #[test]
    fn a_length_that_can_be_read_in_two_ways_is_refused() {
        for (headers, framing) in [
            ("Content-Length: 5", "Length(5)"),
            ("Content-Length: 0", "Empty"),
            ("Content-Length: 5\r\nContent-Length: 5", "Length(5)"),
            ("Transfer-Encoding: Chunked", "Chunked"),
        ] {
            let said = of(&format!("POST / HTTP/1.1\r\n{headers}\r\n\r\n"));
            assert_eq!(said, format!("POST / None {framing} true false 0"), "{headers}");
        }
        for headers in [
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: 5, 5",
            "Content-Length: +5",
            "Content-Length:",
            "Content-Length: 18446744073709551616",
            "Content-Length : 5",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding:",
        ] {
            assert_eq!(of(&format!("POST / HTTP/1.1\r\n{headers}\r\n\r\n")), "400", "{headers}");
        }
        assert_eq!(of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), "400");
    }

    #[test]
    fn a_head_has_limits() {
        let with = |length: usize| {
            let head = "GET / HTTP/1.1\r\nX: \r\n\r\n";
            format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(length - head.len()))
        };
        assert_eq!(of(&with(HEAD)), "GET / None Empty true false 0");
        assert_eq!(of(&with(HEAD + 1)), "431");
        assert_eq!(of(&with(2 * HEAD)[..HEAD]), "431");
        assert_eq!(of(&format!("GET / HTTP/1.1\r\n{}\r\n", "X: 1\r\n".repeat(HEADERS + 1))), "431");
    }
}

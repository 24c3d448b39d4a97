//! HTTP answers: the status and headers of a verdict, which proxies understand, and bodies.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};

use crate::domain::token::{StoredSecret, Token};
use crate::domain::verdict::Reason;
use crate::verify::Verdict;

/// The headers of a positive answer. A proxy must overwrite all of them, since clients may send them.
pub const IDENTITY: [&str; 7] = [
    "x-token-id",
    "x-token-name",
    "x-token-owner",
    "x-token-scopes",
    "x-token-labels",
    "x-token-role",
    "x-token-expires",
];

/// A complete body in memory.
pub struct Text(Option<Bytes>);

impl Body for Text {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Some(text.into()))
    }
}

pub fn empty(status: StatusCode) -> Response<Text> {
    let mut response = Response::new(Text(None));
    *response.status_mut() = status;
    response
}

pub fn text(status: StatusCode, kind: &'static str, text: String) -> Response<Text> {
    let mut response = empty(status);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    *response.body_mut() = text.into();
    response
}

/// The store could not be read.
pub fn unavailable() -> Response<Text> {
    let mut response = empty(StatusCode::SERVICE_UNAVAILABLE);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The form of refusals.
pub struct Challenge<'a> {
    pub realm: &'a str,
    /// Whether to send the reason.
    pub explain: bool,
}

impl Challenge<'_> {
    /// The request presents no secret.
    pub fn nothing(&self) -> Response<Text> {
        self.refusal(StatusCode::UNAUTHORIZED, None, "")
    }

    /// The request presents different secrets.
    pub fn several(&self) -> Response<Text> {
        self.refusal(StatusCode::BAD_REQUEST, Some("invalid_request"), "two different secrets")
    }

    pub fn verdict(&self, verdict: &Verdict) -> Response<Text> {
        match verdict.reason() {
            Reason::Valid => identity(verdict),
            reason @ (Reason::SourceNotAllowed | Reason::ScopeMissing | Reason::LabelMismatch) => {
                self.refusal(StatusCode::FORBIDDEN, Some("insufficient_scope"), reason.word())
            }
            reason @ (Reason::Malformed
            | Reason::Unknown
            | Reason::Revoked
            | Reason::Disabled
            | Reason::Superseded
            | Reason::Expired
            | Reason::NotYetValid) => {
                self.refusal(StatusCode::UNAUTHORIZED, Some("invalid_token"), reason.word())
            }
        }
    }

    fn refusal(&self, status: StatusCode, error: Option<&str>, why: &str) -> Response<Text> {
        let mut value = format!("Bearer realm=\"{}\"", self.realm);
        if let Some(error) = error {
            value.push_str(&format!(", error=\"{error}\""));
            if self.explain {
                value.push_str(&format!(", error_description=\"{why}\""));
            }
        }
        let mut response = empty(status);
        response.headers_mut().insert(WWW_AUTHENTICATE, header(&value));
        response
    }
}

/// A positive answer. It has all identity headers, even empty ones, since a proxy might pass on a missing one
/// from the client.
fn identity(verdict: &Verdict) -> Response<Text> {
    let mut response = empty(StatusCode::OK);
    let values = verdict.token().zip(verdict.secret()).map(|(token, secret)| values(token, secret));
    for (name, value) in IDENTITY.into_iter().zip(values.unwrap_or_default()) {
        response.headers_mut().insert(HeaderName::from_static(name), header(&value));
    }
    response
}

/// In the order of [`IDENTITY`].
fn values(token: &Token, secret: &StoredSecret) -> [String; 7] {
    let scopes: Vec<&str> = token.scopes().map(|scope| scope.as_str()).collect();
    let labels: Vec<String> =
        token.labels.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
    let expires = secret.expires_at.map(|at| String::from_utf8_lossy(&at.rfc3339()).into_owned());
    [
        token.id.to_string(),
        encoded(&token.name),
        encoded(token.owner.as_deref().unwrap_or_default()),
        scopes.join(","),
        labels.join(","),
        secret.role().word().to_owned(),
        expires.unwrap_or_default(),
    ]
}

/// Keeps visible ASCII and spaces, and percent-encodes everything else, including commas, which separate values.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' && byte != b',' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn a_header_holds_any_text_without_doubt() {
        assert_eq!(encoded("Ann Smith"), "Ann Smith");
        assert_eq!(encoded("é, 100%\r\n"), "%C3%A9%2C 100%25%0D%0A");
    }
}

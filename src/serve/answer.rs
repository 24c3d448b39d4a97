//! The status and headers of a verdict, which proxies understand.

use super::http::{Response, Status};
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

/// The form of refusals.
pub struct Challenge<'a> {
    pub realm: &'a str,
    /// Whether to send the reason.
    pub explain: bool,
}

impl Challenge<'_> {
    /// The request presents no secret.
    pub fn nothing(&self) -> Response {
        self.refusal(Status::Unauthorized, None, "")
    }

    /// The request presents different secrets.
    pub fn several(&self) -> Response {
        self.refusal(Status::BadRequest, Some("invalid_request"), "two different secrets")
    }

    pub fn verdict(&self, verdict: &Verdict) -> Response {
        match verdict.reason() {
            Reason::Valid => identity(verdict),
            reason @ (Reason::SourceNotAllowed | Reason::ScopeMissing | Reason::LabelMismatch) => {
                self.refusal(Status::Forbidden, Some("insufficient_scope"), reason.word())
            }
            reason @ (Reason::Malformed
            | Reason::Unknown
            | Reason::Revoked
            | Reason::Disabled
            | Reason::Superseded
            | Reason::Expired
            | Reason::NotYetValid) => {
                self.refusal(Status::Unauthorized, Some("invalid_token"), reason.word())
            }
        }
    }

    fn refusal(&self, status: Status, error: Option<&str>, why: &str) -> Response {
        let mut value = format!("Bearer realm=\"{}\"", self.realm);
        if let Some(error) = error {
            value.push_str(&format!(", error=\"{error}\""));
            if self.explain {
                value.push_str(&format!(", error_description=\"{why}\""));
            }
        }
        Response::new(status).header("www-authenticate", &value)
    }
}

/// A positive answer. It has all identity headers, even empty ones, since a proxy might pass on a missing one
/// from the client.
fn identity(verdict: &Verdict) -> Response {
    let mut response = Response::new(Status::Ok);
    let Some((token, secret)) = verdict.token().zip(verdict.secret()) else {
        for name in IDENTITY {
            response.add(name, "");
        }
        return response;
    };
    let [id, name, owner, scopes, labels, role, expires] = IDENTITY;
    response.add(id, &token.id);
    response.add_with(name, |out| encode(&token.name, out));
    response.add_with(owner, |out| encode(token.owner.as_deref().unwrap_or_default(), out));
    response.add_with(scopes, |out| {
        for (at, scope) in token.scopes().enumerate() {
            out.extend((at > 0).then_some(b','));
            out.extend_from_slice(scope.as_str().as_bytes());
        }
    });
    response.add_with(labels, |out| {
        for (at, (key, value)) in token.labels.iter().enumerate() {
            out.extend((at > 0).then_some(b','));
            out.extend_from_slice(key.as_bytes());
            out.push(b'=');
            encode(value, out);
        }
    });
    response.add(role, secret.role().word());
    response.add_with(expires, |out| out.extend(secret.expires_at.iter().flat_map(|at| at.rfc3339())));
    response
}

/// Keeps visible ASCII and spaces, and percent-encodes everything else, including commas, which separate values.
fn encode(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' && byte != b',' => out.push(byte),
            _ => out.extend(format!("%{byte:02X}").bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn a_header_holds_any_text_without_doubt() {
        let encoded = |text: &str| {
            let mut out = Vec::new();
            encode(text, &mut out);
            String::from_utf8_lossy(&out).into_owned()
        };
        assert_eq!(encoded("Ann Smith"), "Ann Smith");
        assert_eq!(encoded("é, 100%\r\n"), "%C3%A9%2C 100%25%0D%0A");
    }
}

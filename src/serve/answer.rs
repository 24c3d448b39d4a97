//! What proxies understand of a verdict.

use std::borrow::Cow;

use super::http::{Response, Status};
use crate::domain::token::{StoredSecret, Token};
use crate::domain::verdict::Reason;
use crate::verify::Verdict;

/// The headers of a yes; a proxy must overwrite every one of them that a client sends.
pub const IDENTITY: [&str; 7] = [
    "x-token-id",
    "x-token-name",
    "x-token-owner",
    "x-token-scopes",
    "x-token-labels",
    "x-token-role",
    "x-token-expires",
];

/// How a refusal is put.
pub struct Challenge<'a> {
    pub realm: &'a str,
    /// Whether the reason is told.
    pub explain: bool,
}

impl Challenge<'_> {
    /// Nothing was presented.
    pub fn nothing(&self) -> Response {
        self.refusal(Status::Unauthorized, None, "")
    }

    /// Secrets that differ.
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

/// A yes, with all the identity headers even where they are empty: what is missing a proxy might take from the client.
fn identity(verdict: &Verdict) -> Response {
    let mut response = Response::new(Status::Ok);
    let values = verdict.token().zip(verdict.secret()).map(|(token, secret)| values(token, secret));
    for (name, value) in IDENTITY.into_iter().zip(values.unwrap_or_default()) {
        response.add(name, &value);
    }
    response
}

/// In the order of [`IDENTITY`].
fn values<'a>(token: &'a Token, secret: &StoredSecret) -> [Cow<'a, str>; 7] {
    let scopes: Vec<&str> = token.scopes().map(|scope| scope.as_str()).collect();
    let labels: Vec<String> =
        token.labels.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
    let expires = secret.expires_at.map(|at| String::from_utf8_lossy(&at.rfc3339()).into_owned());
    [
        Cow::Borrowed(&*token.id),
        encoded(&token.name),
        encoded(token.owner.as_deref().unwrap_or_default()),
        scopes.join(",").into(),
        labels.join(",").into(),
        secret.role().word().into(),
        expires.unwrap_or_default().into(),
    ]
}

/// Visible ASCII and spaces as they are, all else percent-encoded; commas too, because they join.
fn encoded(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'%' && byte != b',';
    if text.bytes().all(plain) {
        return text.into();
    }
    let encode = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect::<String>().into()
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

//! The document of a token in a list, written without serde, which would be slower for a list of a million
//! tokens. A test makes sure that it equals [`TokenDoc`](super::TokenDoc).

use std::io::Write;

use super::destination::HookDoc;
use super::writer::append;
use crate::domain::destination::RememberedDestination;
use crate::domain::filter::Times;
use crate::domain::token::{StoredSecret, Token};
use crate::domain::when::{Span, Timestamp};

/// Appends the same as `append` does for a `TokenDoc` with the secrets that are not revoked or expired.
pub fn append_token(text: &mut Vec<u8>, token: &Token, times: &Times) {
    let mut out = Out(text);
    out.text(r#"{"id":"#, &token.id);
    out.text(r#","name":"#, &token.name);
    out.optional(r#","description":"#, token.description.as_deref());
    out.optional(r#","owner":"#, token.owner.as_deref());
    out.optional(r#","icon":"#, token.icon.as_deref());
    out.raw(r#","labels":"#);
    if token.labels.is_empty() {
        out.raw("{}");
    } else {
        append(out.0, &token.labels);
    }
    out.raw(r#","scopes":"#);
    let scopes = || token.scopes().collect::<std::collections::BTreeSet<_>>();
    if token.grants.is_empty() {
        out.raw("[]");
    } else {
        append(out.0, &scopes());
    }
    out.text(r#","status":"#, token.status(times.at).word());
    out.time(r#","created_at":"#, Some(token.created_at));
    out.text(r#","created_by":"#, &token.created_by);
    out.time(r#","expires_at":"#, token.expires_at());
    out.time(r#","not_before":"#, token.not_before);
    out.span(r#","ttl":"#, token.lifetime.ttl());
    out.time(r#","until":"#, token.lifetime.until());
    out.span(r#","rotate_every":"#, token.rotate_every);
    out.span(r#","grace":"#, token.grace);
    out.raw(r#","allow_from":"#);
    match token.networks() {
        [] => out.raw("[]"),
        networks => append(out.0, &networks),
    }
    out.time(r#","rotated_at":"#, token.rotated_at());
    out.time(r#","due_at":"#, token.due_at());
    match &token.destination {
        Some(destination) => out.destination(destination),
        None => out.null(r#","destination":"#),
    }
    match HookDoc::of(token) {
        Some(hook) => {
            out.raw(r#","hook":"#);
            append(out.0, &hook);
        }
        None => out.null(r#","hook":"#),
    }
    out.time(r#","last_used_at":"#, token.last_used_at());
    out.time(r#","usage_since":"#, times.usage_since);
    out.raw(r#","secrets":["#);
    let shown = |secret: &&StoredSecret| token.revoked_at.is_none() && !secret.is_over(times.at);
    for (at, secret) in token.secrets.iter().filter(shown).enumerate() {
        out.raw(if at > 0 { "," } else { "" });
        out.secret(token, secret, times);
    }
    out.raw("]}");
}

struct Out<'a>(&'a mut Vec<u8>);

impl Out<'_> {
    fn secret(&mut self, token: &Token, secret: &StoredSecret, times: &Times) {
        self.text(r#"{"hint":"#, &secret.hint);
        self.text(r#","role":"#, secret.role().word());
        self.text(r#","status":"#, token.secret_status(secret, times.at).word());
        self.time(r#","created_at":"#, Some(secret.created_at));
        self.time(r#","expires_at":"#, secret.expires_at);
        self.time(r#","last_used_at":"#, secret.last_used_at);
        self.time(r#","refused_at":"#, secret.refused_at);
        self.raw("}");
    }

    #[inline]
    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn text(&mut self, key: &str, value: &str) {
        self.raw(key);
        let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        // The hint of every secret ends like this.
        let start = value.strip_suffix('…').unwrap_or(value);
        // Without an early exit, many bytes are compared at once.
        if start.bytes().fold(true, |all, byte| all & plain(byte)) {
            self.raw("\"");
            self.raw(value);
            self.raw("\"");
        } else {
            append(self.0, &value);
        }
    }

    fn optional(&mut self, key: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(key, value),
            None => self.null(key),
        }
    }

    fn time(&mut self, key: &str, value: Option<Timestamp>) {
        let Some(time) = value else { return self.null(key) };
        self.raw(key);
        self.raw("\"");
        self.0.extend_from_slice(&time.rfc3339());
        self.raw("\"");
    }

    fn span(&mut self, key: &str, value: Option<Span>) {
        let Some(span) = value else { return self.null(key) };
        self.raw(key);
        // Writing to memory does not fail.
        let _ = write!(self.0, "{}", span.secs());
    }

    fn destination(&mut self, it: &RememberedDestination) {
        let RememberedDestination { destination, host, uid } = it;
        self.text(r#","destination":{"kind":"#, destination.word());
        self.optional(r#","path":"#, destination.path());
        self.optional(r#","variable":"#, destination.variable());
        self.optional(r#","command":"#, destination.command());
        self.optional(r#","host":"#, host.as_deref());
        let _ = write!(self.0, r#","uid":{uid}}}"#);
    }

    fn null(&mut self, key: &str) {
        self.raw(key);
        self.raw("null");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::destination::Destination;
    use crate::domain::lifetime::Lifetime;
    use crate::domain::token::Grant;
    use crate::domain::token::tests::{at, secret, token};
    use crate::ui::json::{self, TokenDoc};

    #[test]
    fn a_line_is_the_document_of_the_token() {
        let bare = token(vec![secret(1, 0)]);
        let ended = StoredSecret { expires_at: Some(at(9)), superseded_at: Some(at(5)), ..secret(1, 0) };
        let used = StoredSecret {
            last_used_at: Some(at(8)),
            refused_at: Some(at(9)),
            expires_at: Some(at(99)),
            ..secret(2, 4)
        };
        let scopes = ["b", "a"].map(|scope| scope.parse().unwrap());
        let grant =
            |(row, scope)| (row, Grant { row, scope, scope_id: String::new(), last_required_at: None });
        let mut full = token(vec![ended, used, StoredSecret { delivered_at: None, ..secret(3, 6) }]);
        full.description = Some("a \"text\" with é, \\ and \u{202e}".to_owned());
        full.owner = Some(String::new());
        full.icon = Some("🔑".to_owned());
        full.labels.insert("key".to_owned(), "a\tvalue".to_owned());
        full.grants = (1..).zip(scopes).map(grant).collect();
        full.lifetime = Lifetime::Ttl(Span::days(90));
        full.rotate_every = Some(Span::days(30));
        full.grace = Some(Span::hours(0));
        full.not_before = Some(at(3));
        let destination = Destination::File { path: "/a".to_owned() };
        full.destination = Some(RememberedDestination { destination, host: None, uid: 7 });
        full.hook = Some("true".to_owned());
        let until = Token { lifetime: Lifetime::Until(at(500)), ..bare.clone() };
        let revoked = Token { revoked_at: Some(at(2)), ..full.clone() };
        for token in [bare, full, until, revoked] {
            for usage_since in [None, Some(at(1))] {
                let times = Times { now: at(10), at: at(10), usage_since };
                let mut line = Vec::new();
                append_token(&mut line, &token, &times);
                assert_eq!(String::from_utf8(line).unwrap(), json::text(&TokenDoc::new(&token, &times)));
            }
        }
    }
}

//! A hash over a whole object, which changes if any bit of the object changes. Each field is preceded by its
//! length. Other objects are identified by their ids and hashes, never by row numbers of the database.
//! docs/audit-format.md specifies the format.

mod v1;

use std::collections::BTreeSet;

use super::scope::Catalogue;
use super::settings::Settings;
use super::token::Token;
use super::when::{Span, Timestamp};

/// The version of the encoding. It is the second byte of the hashed data.
const VERSION: u8 = 2;

pub type Digest = blake3::Hash;

/// Encodes fields for hashing. Different sequences of fields give different bytes.
pub struct Encoder(Vec<u8>);

impl Encoder {
    /// Starts an encoding in the current form: the letter `t`, the version, then the kind of the object.
    pub fn new(context: &str) -> Self {
        let mut encoder = Self::empty();
        encoder.0.extend([b't', VERSION]);
        encoder.text(context);
        encoder
    }

    /// Starts an encoding in the form of version 1, which begins with the kind of the object.
    pub fn plain(context: &str) -> Self {
        let mut encoder = Self::empty();
        encoder.text(context);
        encoder
    }

    /// Collects the fields to hash them all at once, which is faster than hashing them one by one.
    fn empty() -> Self {
        Self(Vec::with_capacity(1 << 10))
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub fn int(&mut self, value: i64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    pub fn opt_bytes(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        match bytes {
            Some(bytes) => self.int(1).bytes(bytes),
            None => self.int(0),
        }
    }

    pub fn opt_text(&mut self, text: Option<&str>) -> &mut Self {
        self.opt_bytes(text.map(str::as_bytes))
    }

    pub fn opt_int(&mut self, value: Option<i64>) -> &mut Self {
        self.opt_bytes(value.map(i64::to_le_bytes).as_ref().map(|bytes| &bytes[..]))
    }

    fn instant(&mut self, instant: Option<Timestamp>) -> &mut Self {
        self.opt_int(instant.map(Timestamp::unix))
    }

    fn span(&mut self, span: Option<Span>) -> &mut Self {
        self.opt_int(span.map(Span::secs))
    }

    pub fn len(&mut self, len: usize) -> &mut Self {
        self.int(i64::try_from(len).unwrap_or(i64::MAX))
    }

    pub fn finish(&self) -> Digest {
        blake3::hash(&self.0)
    }
}

/// The form in which objects and log entries are hashed. Entries keep the form in which they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    One,
    Two,
}

impl Form {
    pub fn number(self) -> i64 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// The digest of a token with its labels, grants, secrets and unfinished delivery. It does not cover
    /// uses, which are stored elsewhere.
    pub fn token(self, of: &Token) -> Digest {
        match self {
            Self::One => v1::token(of),
            Self::Two => token(of),
        }
    }

    /// The digest of the whole catalogue.
    pub fn catalogue(self, of: &Catalogue) -> Digest {
        match self {
            Self::One => v1::catalogue(of),
            Self::Two => catalogue(of),
        }
    }

    /// The digest of all settings that have a value, and of the facts about the store.
    pub fn settings(self, of: &Settings) -> Digest {
        match self {
            Self::One => v1::settings(of),
            Self::Two => settings(of),
        }
    }
}

fn token(token: &Token) -> Digest {
    let mut e = Encoder::new("token");
    e.text(&token.id).text(&token.name).opt_text(token.description.as_deref());
    e.opt_text(token.owner.as_deref()).opt_text(token.icon.as_deref());
    e.opt_int(token.lifetime.ttl().map(Span::secs)).instant(token.lifetime.until());
    e.instant(token.not_before).span(token.rotate_every).span(token.grace);
    e.instant(Some(token.created_at)).text(&token.created_by);
    e.instant(token.disabled_at).instant(token.revoked_at);
    let destination = token.destination.as_ref();
    e.opt_text(destination.map(|remembered| remembered.destination.word()));
    e.opt_text(destination.and_then(|remembered| remembered.destination.path()));
    e.opt_text(destination.and_then(|remembered| remembered.destination.variable()));
    e.opt_text(destination.and_then(|remembered| remembered.destination.command()));
    e.opt_text(destination.and_then(|remembered| remembered.host.as_deref()));
    e.opt_int(destination.map(|remembered| i64::from(remembered.uid)));
    e.opt_text(token.hook.as_deref()).opt_text(token.allow_from.as_ref().map(ToString::to_string).as_deref());
    e.len(token.labels.len());
    for (key, value) in &token.labels {
        e.text(key).text(value);
    }
    let scopes: BTreeSet<&str> = token.grants.values().map(|grant| grant.scope_id.as_str()).collect();
    e.len(scopes.len());
    for id in scopes {
        e.text(id);
    }
    let mut secrets: Vec<_> = token.secrets.iter().collect();
    secrets.sort_unstable_by_key(|secret| (secret.created_at, *secret.hash.as_bytes()));
    e.len(secrets.len());
    for secret in secrets {
        e.bytes(secret.hash.as_bytes()).text(&secret.hint).instant(Some(secret.created_at));
        e.instant(secret.expires_at).instant(secret.delivered_at);
        e.instant(secret.superseded_at).instant(secret.revoked_at);
    }
    e.len(usize::from(token.delivery.is_some()));
    if let Some(delivery) = &token.delivery {
        let secret = token.secrets.iter().find(|secret| secret.row == delivery.secret);
        e.opt_bytes(secret.map(|secret| &secret.hash.as_bytes()[..]));
        e.text(delivery.destination.word()).opt_text(delivery.target.as_deref());
        e.opt_text(delivery.variable.as_deref()).opt_text(delivery.command.as_deref());
        e.opt_text(delivery.hook.as_deref()).int(i64::from(delivery.remember));
        e.opt_text(delivery.host.as_deref()).int(i64::from(delivery.uid)).int(i64::from(delivery.pid));
        e.instant(Some(delivery.started_at)).instant(Some(delivery.deadline));
        e.instant(delivery.expires_at).span(delivery.grace);
    }
    e.finish()
}

fn catalogue(catalogue: &Catalogue) -> Digest {
    let mut e = Encoder::new("scopes");
    let mut entries: Vec<_> = catalogue.iter().collect();
    entries.sort_unstable_by_key(|entry| &entry.id);
    e.len(entries.len());
    for entry in entries {
        e.text(&entry.id).text(entry.name.as_str()).opt_text(entry.description.as_deref());
        e.instant(Some(entry.created_at)).instant(entry.retired_at).len(entry.includes.len());
        let included = entry.includes.iter().filter_map(|name| catalogue.get(name));
        for id in included.map(|entry| &entry.id).collect::<BTreeSet<_>>() {
            e.text(id);
        }
    }
    e.finish()
}

fn settings(settings: &Settings) -> Digest {
    let mut e = Encoder::new("settings");
    let rows = settings.rows();
    e.len(rows.len());
    for (key, value) in rows {
        e.text(key).text(&value);
    }
    e.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::tests::{self as tokens, delivery, secret};

    #[test]
    fn the_boundaries_of_fields_are_hashed() {
        let of = |fields: &[&str]| {
            let mut encoder = Encoder::new("t");
            for field in fields {
                encoder.text(field);
            }
            encoder.finish()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a", ""]), of(&["a"]));
        let mut none = Encoder::new("t");
        let mut empty = Encoder::new("t");
        assert_ne!(none.opt_text(None).finish(), empty.opt_text(Some("")).finish());
    }

    #[test]
    fn a_delivery_is_hashed_with_its_secret_whatever_the_order() {
        let mut it = tokens::token(vec![secret(1, 0), secret(2, 0), secret(3, 0)]);
        it.delivery = Some(delivery(2));
        let digest = Form::Two.token(&it);
        it.secrets.reverse();
        assert_eq!(Form::Two.token(&it), digest);
    }
}

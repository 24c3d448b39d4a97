//! One hash over a whole object, so that any changed bit of it shows. Each field is length-prefixed.

use super::lifetime::Lifetime;
use super::scope::Catalogue;
use super::settings::{Key, Settings};
use super::token::Token;
use super::when::{Span, Timestamp};

pub type Digest = blake3::Hash;

/// Feeds fields to a hash so that no two sequences of fields feed it the same bytes.
pub struct Encoder(blake3::Hasher);

impl Encoder {
    pub fn new(context: &str) -> Self {
        let mut encoder = Self(blake3::Hasher::new());
        encoder.text(context);
        encoder
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
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

    fn len(&mut self, len: usize) -> &mut Self {
        self.int(i64::try_from(len).unwrap_or(i64::MAX))
    }

    pub fn finish(&self) -> Digest {
        self.0.finalize()
    }
}

/// Over a token with its labels, grants, secrets and open delivery. Not over use, which lives elsewhere.
pub fn token(token: &Token) -> Digest {
    let mut e = Encoder::new("tokenctl token v1");
    e.int(token.row).text(&token.id).text(&token.name).opt_text(token.description.as_deref());
    e.opt_text(token.owner.as_deref()).opt_text(token.icon.as_deref());
    let (ttl, until) = (token.lifetime.ttl(), token.lifetime.until());
    e.opt_int(ttl.map(Span::secs)).instant(until).int(i64::from(token.lifetime == Lifetime::Endless));
    e.instant(token.not_before)
        .opt_int(token.rotate_every.map(Span::secs))
        .opt_int(token.grace.map(Span::secs));
    e.instant(Some(token.created_at)).text(&token.created_by);
    e.instant(token.disabled_at).instant(token.revoked_at);
    e.len(token.labels.len());
    for (key, value) in &token.labels {
        e.text(key).text(value);
    }
    e.len(token.grants.len());
    for (scope, grant) in &token.grants {
        e.int(*scope).int(grant.row);
    }
    e.len(token.secrets.len());
    for secret in &token.secrets {
        e.int(secret.row).bytes(secret.hash.as_bytes()).text(&secret.hint).instant(Some(secret.created_at));
        e.instant(secret.expires_at).instant(secret.delivered_at);
        e.instant(secret.superseded_at).instant(secret.revoked_at);
    }
    e.len(usize::from(token.delivery.is_some()));
    if let Some(delivery) = &token.delivery {
        e.int(delivery.secret).text(delivery.destination.word()).opt_text(delivery.target.as_deref());
        e.int(i64::from(delivery.uid)).int(i64::from(delivery.pid)).instant(Some(delivery.started_at));
        e.instant(Some(delivery.deadline))
            .instant(delivery.expires_at)
            .opt_int(delivery.grace.map(Span::secs));
    }
    e.finish()
}

/// Over the whole catalogue.
pub fn catalogue(catalogue: &Catalogue) -> Digest {
    let mut e = Encoder::new("tokenctl scopes v1");
    for entry in catalogue.iter() {
        e.int(entry.row).text(entry.name.as_str()).opt_text(entry.description.as_deref());
        e.instant(Some(entry.created_at)).instant(entry.retired_at).len(entry.includes.len());
        for included in &entry.includes {
            e.text(included.as_str());
        }
    }
    e.finish()
}

/// Over all settings.
pub fn settings(settings: &Settings) -> Digest {
    let mut e = Encoder::new("tokenctl settings v1");
    for key in Key::ALL {
        e.text(key.word()).text(&settings.get(key));
    }
    e.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_together() {
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
}

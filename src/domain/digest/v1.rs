//! The digests of version 1, which hash row numbers of the database. They check the entries of that version.

use super::Encoder;
use crate::domain::lifetime::Lifetime;
use crate::domain::scope::Catalogue;
use crate::domain::settings::{Key, Settings};
use crate::domain::token::Token;
use crate::domain::when::Span;

use super::Digest;

/// The digest of a token with its labels, grants, secrets and unfinished delivery. It does not cover uses,
/// which are stored elsewhere.
pub fn token(token: &Token) -> Digest {
    let mut e = Encoder::plain("tokenctl token v1");
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

/// The digest of the whole catalogue.
pub fn catalogue(catalogue: &Catalogue) -> Digest {
    let mut e = Encoder::plain("tokenctl scopes v1");
    for entry in catalogue.iter() {
        e.int(entry.row).text(entry.name.as_str()).opt_text(entry.description.as_deref());
        e.instant(Some(entry.created_at)).instant(entry.retired_at).len(entry.includes.len());
        for included in &entry.includes {
            e.text(included.as_str());
        }
    }
    e.finish()
}

/// The digest of all settings.
pub fn settings(settings: &Settings) -> Digest {
    let mut e = Encoder::plain("tokenctl settings v1");
    for key in Key::ALL {
        e.text(key.word()).text(&settings.get(key));
    }
    e.finish()
}

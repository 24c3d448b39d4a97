//! The documents of `--json`. Keys are stable and always present, times are RFC 3339 in UTC, durations are whole
//! seconds.
//!
//! They are separate from the domain's structs, so that renaming a field there breaks no script.

mod destination;
mod finding;
mod leak;
mod line;
mod log;
mod many;
mod moving;
mod plan;
mod verdict;
mod writer;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};

use crate::domain::address::Network;
use crate::domain::code::Code;
use crate::domain::filter::Times;
use crate::domain::scope::{Entry, Scope};
use crate::domain::settings::Settings;
use crate::domain::token::{StoredSecret, Token};
use crate::domain::when::{Span, Timestamp};
use destination::{DestinationDoc, HookDoc};
pub use finding::TokenFindingDoc;
pub use leak::{Leak, LeakDoc, UNKNOWN};
pub use line::append_token;
pub use log::{AuditDoc, EventDoc, HeadDoc, ProblemDoc};
pub use many::ManyWriter;
pub use moving::{BackupDoc, PrunedDoc, RestoreDoc};
pub use plan::{ItemDoc, PlanDoc};
pub use verdict::{AnswerDoc, NoAnswerDoc, VerdictDoc};
pub use writer::{append, text};

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.rfc3339()).unwrap_or_default())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.secs())
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[derive(Serialize)]
pub struct TokenDoc<'a> {
    id: &'a str,
    name: &'a str,
    description: Option<&'a str>,
    owner: Option<&'a str>,
    icon: Option<&'a str>,
    labels: &'a BTreeMap<String, String>,
    scopes: BTreeSet<&'a Scope>,
    status: &'static str,
    created_at: Timestamp,
    created_by: &'a str,
    expires_at: Option<Timestamp>,
    not_before: Option<Timestamp>,
    ttl: Option<Span>,
    until: Option<Timestamp>,
    rotate_every: Option<Span>,
    grace: Option<Span>,
    allow_from: &'a [Network],
    rotated_at: Option<Timestamp>,
    due_at: Option<Timestamp>,
    destination: Option<DestinationDoc<'a>>,
    hook: Option<HookDoc<'a>>,
    last_used_at: Option<Timestamp>,
    usage_since: Option<Timestamp>,
    secrets: Vec<SecretDoc<'a>>,
}

#[derive(Serialize)]
struct SecretDoc<'a> {
    hint: &'a str,
    role: &'static str,
    status: &'static str,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    refused_at: Option<Timestamp>,
}

impl<'a> TokenDoc<'a> {
    /// The document with the secrets that are not revoked or expired.
    pub fn new(token: &'a Token, times: &Times) -> Self {
        Self::with(token, times, |secret| token.revoked_at.is_none() && !secret.is_over(times.at))
    }

    /// The document with all secrets.
    pub fn whole(token: &'a Token, times: &Times) -> Self {
        Self::with(token, times, |_| true)
    }

    fn with(token: &'a Token, times: &Times, shown: impl Fn(&StoredSecret) -> bool) -> Self {
        let secrets = token.secrets.iter().filter(|secret| shown(secret));
        Self {
            id: &token.id,
            name: &token.name,
            description: token.description.as_deref(),
            owner: token.owner.as_deref(),
            icon: token.icon.as_deref(),
            labels: &token.labels,
            scopes: token.scopes().collect(),
            status: token.status(times.at).word(),
            created_at: token.created_at,
            created_by: &token.created_by,
            expires_at: token.expires_at(),
            not_before: token.not_before,
            ttl: token.lifetime.ttl(),
            until: token.lifetime.until(),
            rotate_every: token.rotate_every,
            grace: token.grace,
            allow_from: token.networks(),
            rotated_at: token.rotated_at(),
            due_at: token.due_at(),
            destination: token.destination.as_ref().map(DestinationDoc::new),
            hook: HookDoc::of(token),
            last_used_at: token.last_used_at(),
            usage_since: times.usage_since,
            secrets: secrets
                .map(|secret| SecretDoc {
                    hint: &secret.hint,
                    role: secret.role().word(),
                    status: token.secret_status(secret, times.at).word(),
                    created_at: secret.created_at,
                    expires_at: secret.expires_at,
                    last_used_at: secret.last_used_at,
                    refused_at: secret.refused_at,
                })
                .collect(),
        }
    }
}

/// All keys of a token, and `changed`.
#[derive(Serialize)]
pub struct ChangedDoc<'a> {
    #[serde(flatten)]
    pub token: TokenDoc<'a>,
    pub changed: bool,
}

/// All keys of a changed token, and a `secret` that is null.
#[derive(Serialize)]
pub struct NoSecretDoc<'a> {
    #[serde(flatten)]
    pub token: ChangedDoc<'a>,
    pub secret: Option<()>,
    /// The failure that followed a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorDoc<'a>>,
}

/// All keys of a token, and `events`.
#[derive(Serialize)]
pub struct ShowDoc<'a> {
    #[serde(flatten)]
    pub token: TokenDoc<'a>,
    pub events: Vec<EventDoc<'a>>,
}

/// The answer to a change of several tokens.
#[derive(Serialize)]
pub struct ManyDoc<'a> {
    pub changed: bool,
    pub dry_run: bool,
    pub count: usize,
    pub tokens: Vec<OneOfManyDoc<'a>>,
}

#[derive(Serialize)]
pub struct OneOfManyDoc<'a> {
    #[serde(flatten)]
    pub token: ChangedDoc<'a>,
    pub error: Option<ErrorDoc<'a>>,
}

#[derive(Serialize)]
pub struct ErrorDoc<'a> {
    pub code: &'a str,
    pub message: &'a str,
    pub hint: Option<&'a str>,
    pub exit: u8,
}

impl<'a> ErrorDoc<'a> {
    pub fn new(code: Code, message: &'a str, hint: Option<&'a str>) -> Self {
        Self { code: code.word(), message, hint, exit: code.exit() }
    }
}

/// A failure: one line on stderr.
#[derive(Serialize)]
pub struct Failure<'a> {
    error: ErrorDoc<'a>,
}

impl<'a> Failure<'a> {
    pub fn new(code: Code, message: &'a str, hint: Option<&'a str>) -> Self {
        Self { error: ErrorDoc::new(code, message, hint) }
    }
}

#[derive(Serialize)]
pub struct NamedDoc<'a> {
    pub id: Option<&'a str>,
    pub name: &'a str,
}

/// A token by its id and name, with its owner.
#[derive(Serialize)]
pub struct OwnedTokenDoc<'a> {
    id: &'a str,
    name: &'a str,
    owner: Option<&'a str>,
}

impl<'a> OwnedTokenDoc<'a> {
    pub fn new(token: &'a Token) -> Self {
        Self { id: &token.id, name: &token.name, owner: token.owner.as_deref() }
    }
}

/// A scope.
#[derive(Serialize)]
pub struct ScopeDoc<'a> {
    name: &'a Scope,
    description: Option<&'a str>,
    includes: &'a BTreeSet<Scope>,
    created_at: Timestamp,
    retired_at: Option<Timestamp>,
    tokens: i64,
}

impl<'a> ScopeDoc<'a> {
    /// `tokens` is the number of unrevoked tokens that have it directly.
    pub fn new(entry: &'a Entry, tokens: i64) -> Self {
        Self {
            name: &entry.name,
            description: entry.description.as_deref(),
            includes: &entry.includes,
            created_at: entry.created_at,
            retired_at: entry.retired_at,
            tokens,
        }
    }
}

/// All keys of a scope, `changed`, and the tokens and scopes that lost it.
#[derive(Serialize)]
pub struct ChangedScopeDoc<'a> {
    #[serde(flatten)]
    pub scope: ScopeDoc<'a>,
    pub changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn_from: Option<Vec<NamedDoc<'a>>>,
}

/// The document of `settings`.
#[derive(Serialize)]
pub struct SettingsDoc<'a> {
    path: &'a str,
    schema_version: i64,
    prefix: &'a str,
    pattern: String,
    default_ttl: Option<Span>,
    max_ttl: Option<Span>,
    grace: Span,
    url: Option<&'a str>,
    header: &'a str,
    require_owner: bool,
    require_description: bool,
    changed: bool,
}

impl<'a> SettingsDoc<'a> {
    pub fn new(settings: &'a Settings, path: &'a str, schema_version: i64, changed: bool) -> Self {
        Self {
            path,
            schema_version,
            prefix: settings.prefix.as_str(),
            pattern: settings.prefix.pattern(),
            default_ttl: settings.default_ttl,
            max_ttl: settings.max_ttl,
            grace: settings.grace,
            url: settings.url.as_deref(),
            header: &settings.header,
            require_owner: settings.require_owner,
            require_description: settings.require_description,
            changed,
        }
    }
}

/// The document of `init`.
#[derive(Serialize)]
pub struct InitDoc<'a> {
    pub path: &'a str,
    pub group: Option<&'a str>,
    pub changed: bool,
}

/// The document of `man`.
#[derive(Serialize)]
pub struct ManDoc<'a> {
    pub path: Option<&'a str>,
    pub pages: Vec<&'a str>,
}

/// The document of `doctor`.
#[derive(Serialize)]
pub struct DoctorDoc<'a> {
    pub ok: bool,
    pub findings: Vec<FindingDoc<'a>>,
}

#[derive(Serialize)]
pub struct FindingDoc<'a> {
    pub code: &'a str,
    pub severity: &'static str,
    pub message: &'a str,
    pub repairable: bool,
    pub repaired: bool,
}

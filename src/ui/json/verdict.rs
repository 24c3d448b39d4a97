//! The documents of `verify`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::value::RawValue;

use super::ErrorDoc;
use crate::domain::scope::Scope;
use crate::domain::token::{StoredSecret, Token};
use crate::domain::verdict::Reason;
use crate::domain::when::Timestamp;

/// The document of `verify`.
#[derive(Serialize)]
pub struct VerdictDoc<'a> {
    valid: bool,
    reason: &'static str,
    missing_scopes: &'a [Scope],
    token: Option<VerdictToken<'a>>,
    secret: Option<VerdictSecret<'a>>,
}

#[derive(Serialize)]
struct VerdictToken<'a> {
    id: &'a str,
    name: &'a str,
    owner: Option<&'a str>,
    scopes: BTreeSet<&'a Scope>,
    labels: &'a BTreeMap<String, String>,
    expires_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct VerdictSecret<'a> {
    role: &'static str,
    hint: &'a str,
    expires_at: Option<Timestamp>,
}

impl<'a> VerdictDoc<'a> {
    /// `of` is the token that was found, with the presented secret.
    pub fn new(
        reason: Reason,
        missing_scopes: &'a [Scope],
        of: Option<(&'a Token, &'a StoredSecret)>,
    ) -> Self {
        Self {
            valid: reason == Reason::Valid,
            reason: reason.word(),
            missing_scopes,
            token: of.map(|(token, _)| VerdictToken {
                id: &token.id,
                name: &token.name,
                owner: token.owner.as_deref(),
                scopes: token.scopes().collect(),
                labels: &token.labels,
                expires_at: token.expires_at(),
            }),
            secret: of.map(|(_, secret)| VerdictSecret {
                role: secret.role().word(),
                hint: &secret.hint,
                expires_at: secret.expires_at,
            }),
        }
    }
}

/// An answer of `verify --stream`.
#[derive(Serialize)]
pub struct AnswerDoc<'a> {
    #[serde(flatten)]
    pub verdict: VerdictDoc<'a>,
    /// The `id` of the request, unchanged.
    pub id: Option<&'a RawValue>,
}

/// An answer without a verdict.
#[derive(Serialize)]
pub struct NoAnswerDoc<'a> {
    pub error: ErrorDoc<'a>,
    pub id: Option<&'a RawValue>,
}

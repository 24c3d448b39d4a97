//! The document of `check`.

use serde::Serialize;

use super::OwnedTokenDoc;
use crate::domain::check::Finding;
use crate::domain::token::Token;
use crate::domain::when::Timestamp;

/// A finding about a token.
#[derive(Serialize)]
pub struct TokenFindingDoc<'a> {
    code: &'static str,
    severity: &'static str,
    token: OwnedTokenDoc<'a>,
    since: Option<Timestamp>,
    message: &'a str,
    hint: &'a str,
}

impl<'a> TokenFindingDoc<'a> {
    pub fn new(token: &'a Token, finding: &'a Finding) -> Self {
        Self {
            code: finding.code.word(),
            severity: finding.code.severity().word(),
            token: OwnedTokenDoc::new(token),
            since: finding.since,
            message: &finding.message,
            hint: &finding.hint,
        }
    }
}

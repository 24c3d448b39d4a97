//! The rules for verification, as simple as possible and without any code of the program.

use std::collections::{BTreeMap, BTreeSet};

/// A token with one secret. Scopes are numbers here.
#[derive(Debug)]
pub struct Token {
    pub id: String,
    pub secret: String,
    pub revoked: bool,
    pub disabled: bool,
    pub start: Option<i64>,
    pub end: Option<i64>,
    /// The value of the label `env`.
    pub label: Option<u8>,
    pub scopes: BTreeSet<usize>,
}

#[derive(Debug, Default)]
pub struct Model {
    pub tokens: Vec<Token>,
    pub includes: BTreeMap<usize, BTreeSet<usize>>,
    pub retired: BTreeSet<usize>,
}

impl Model {
    /// These scopes and all scopes that they include, directly or indirectly.
    pub fn reach(&self, from: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut all = from.clone();
        loop {
            let more: BTreeSet<usize> =
                all.iter().filter_map(|it| self.includes.get(it)).flatten().copied().collect();
            if more.is_subset(&all) {
                return all;
            }
            all.extend(more);
        }
    }

    pub fn grantable(&self, scopes: &BTreeSet<usize>) -> bool {
        scopes.is_disjoint(&self.retired)
    }

    /// The required scopes that the token does not have.
    pub fn missing(&self, token: &Token, required: &BTreeSet<usize>) -> BTreeSet<usize> {
        required - &self.reach(&token.scopes)
    }

    /// The reason that `verify` must give at an instant.
    pub fn reason(
        &self,
        token: &Token,
        at: i64,
        required: &BTreeSet<usize>,
        label: Option<u8>,
    ) -> &'static str {
        if token.revoked {
            "revoked"
        } else if token.disabled {
            "disabled"
        } else if token.end.is_some_and(|end| at >= end) {
            "expired"
        } else if token.start.is_some_and(|start| at < start) {
            "not_yet_valid"
        } else if !self.missing(token, required).is_empty() {
            "scope_missing"
        } else if label.is_some_and(|label| token.label != Some(label)) {
            "label_mismatch"
        } else {
            "valid"
        }
    }

    /// Every future instant at which an answer can change.
    pub fn boundaries(&self, now: i64) -> Vec<i64> {
        let all = self.tokens.iter().flat_map(|token| [token.start, token.end]).flatten();
        all.filter(|it| *it > now).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

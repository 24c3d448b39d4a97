//! The document of `scan`.

use serde::Serialize;

use super::OwnedTokenDoc;
use crate::domain::token::{Status, Token};

/// A secret that was found outside of the store.
#[derive(Serialize)]
pub struct LeakDoc<'a> {
    path: &'a str,
    line: u64,
    column: u64,
    commit: Option<&'a str>,
    hint: &'a str,
    status: &'static str,
    token: Option<OwnedTokenDoc<'a>>,
}

/// The status of a secret that is not in the store.
pub const UNKNOWN: &str = "unknown";

/// A secret that was found outside of the store, and where.
pub struct Leak<'a> {
    pub path: &'a str,
    pub line: u64,
    pub column: u64,
    pub commit: Option<&'a str>,
    pub hint: &'a str,
    /// `None` for a secret that is not in the store.
    pub known: Option<(&'a Token, Status)>,
}

impl<'a> LeakDoc<'a> {
    pub fn new(leak: &Leak<'a>) -> Self {
        Self {
            path: leak.path,
            line: leak.line,
            column: leak.column,
            commit: leak.commit,
            hint: leak.hint,
            status: leak.known.map_or(UNKNOWN, |(_, status)| status.word()),
            token: leak.known.map(|(token, _)| OwnedTokenDoc::new(token)),
        }
    }
}

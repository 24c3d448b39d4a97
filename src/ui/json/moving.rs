//! The documents of the verbs that move a store.

use serde::Serialize;

use super::{HeadDoc, NamedDoc};

/// The document of `backup`.
#[derive(Serialize)]
pub struct BackupDoc<'a> {
    pub path: &'a str,
    pub bytes: u64,
    pub head: HeadDoc,
}

/// The document of `restore`.
#[derive(Serialize)]
pub struct RestoreDoc<'a> {
    pub changed: bool,
    pub dry_run: bool,
    pub backup_head: HeadDoc,
    pub head: HeadDoc,
    pub kept_ended: Vec<NamedDoc<'a>>,
    pub discarded: Vec<NamedDoc<'a>>,
    pub widened: Vec<NamedDoc<'a>>,
}

/// The removed parts of a token: the whole token, or this many of its secrets.
#[derive(Serialize)]
pub struct PrunedDoc<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub status: &'a str,
    pub removed: bool,
    pub secrets: usize,
}

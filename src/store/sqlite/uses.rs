//! Records in the usage files beside the database when secrets were last used.

use std::os::unix::fs::MetadataExt;

use super::Sqlite;
use super::found::Found;
use crate::domain::token::{Grant, Token};
use crate::domain::when::Timestamp;
use crate::store::usage::{Beside, Kind, Tag, scope_tag};

impl Sqlite {
    pub fn record(&self, kind: Kind, row: i64, tag: Tag, created: Timestamp, now: Timestamp) {
        let recorder = &mut self.recorders.borrow_mut()[kind as usize];
        recorder.record(beside(&self.found), &self.found.database, row, tag, created, now);
    }

    pub fn record_requirement(&self, token: &Token, grant: &Grant, now: Timestamp) {
        self.record(Kind::Asks, grant.row, scope_tag(&token.id, grant), token.created_at, now);
    }
}

pub fn beside(found: &Found) -> Beside<'_> {
    Beside { dir: &found.dir, owner: found.meta.uid(), len: found.meta.len() }
}

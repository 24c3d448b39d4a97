//! The usage file of a long-running verifier. It stays open, and the uses of the last minute are cached, so
//! that a busy secret needs no system call.

use std::fs;
use std::path::Path;

use super::usage::{Beside, RESOLUTION, Tag, Usage};
use crate::domain::when::Timestamp;

/// How many records are cached. They take at most 8 MiB, of which the system provides only what is used.
const CACHED: usize = 1 << 20;

/// One usage file. It is opened again once a minute, because it might have been replaced, and the database
/// might have grown.
pub struct Recorder {
    name: &'static str,
    open: Option<(Usage, Timestamp)>,
    /// The tag of a row and the time of its last use in seconds, at the row number modulo the length.
    recent: Vec<(u32, u32)>,
}

impl Recorder {
    pub const fn new(name: &'static str) -> Self {
        Self { name, open: None, recent: Vec::new() }
    }

    /// Records a use now, unless one was recorded within the last minute.
    pub fn record(
        &mut self,
        beside: Beside<'_>,
        database: &Path,
        row: i64,
        tag: Tag,
        created: Timestamp,
        now: Timestamp,
    ) {
        let is_stale = |opened: Timestamp| !(0..RESOLUTION).contains(&now.since(opened));
        let is_first = self.open.is_none();
        if self.open.as_ref().is_none_or(|(_, opened)| is_stale(*opened)) {
            let len = fs::metadata(database).map_or(beside.len, |meta| meta.len());
            self.open = Some((Usage::to_record(Beside { len, ..beside }, self.name), now));
        }
        let Some((usage, _)) = &self.open else { return };
        if is_first {
            // Most processes record a single use and need no memory.
            return usage.record(row, tag, created, now);
        }
        if self.recent.is_empty() {
            self.recent = vec![(0, 0); CACHED];
        }
        let index = usize::try_from(row).unwrap_or(0) % CACHED;
        let (tag_number, secs) = (u32::from_le_bytes(tag), now.since(Timestamp::MIN));
        let (last_tag, last) = self.recent[index];
        if last_tag == tag_number && (0..RESOLUTION).contains(&(secs - i64::from(last))) {
            return;
        }
        usage.record(row, tag, created, now);
        self.recent[index] = (tag_number, u32::try_from(secs).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::domain::token::tests::at;
    use crate::store::sharing::Sharing;
    use crate::store::usage::{self, SECRETS};

    #[test]
    fn a_use_is_written_once_a_minute_and_a_replaced_file_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let owner = dir.path().metadata().unwrap().uid();
        let beside = Beside { dir: dir.path(), owner, len: 10_000 };
        let make = || usage::make(dir.path(), owner, Sharing::Private, at(0)).unwrap();
        let last = |row| Usage::to_read(beside, SECRETS).last(row, [1; 4], at(0), at(9_999));
        let mut recorder = Recorder::new(SECRETS);
        let mut record =
            |row, secs| recorder.record(beside, Path::new("missing"), row, [1; 4], at(0), at(secs));
        make();
        for (row, secs) in [(1, 100), (2, 100), (1, 130), (2, 159), (1, 159)] {
            record(row, secs);
        }
        assert_eq!((last(1), last(2)), (Some(at(100)), Some(at(100))));
        // A cached use is not looked up in the file.
        std::fs::remove_file(dir.path().join(SECRETS)).unwrap();
        make();
        record(2, 159);
        assert_eq!(last(2), None);
        record(2, 160);
        assert_eq!(last(2), Some(at(160)), "the new file was not found");
    }
}

//! Usage files: when a secret was last used or refused, and when a granted scope was last required. They are
//! separate files with fixed records, because a second database would double the cost of a look-up and make
//! verifiers wait for each other.
//!
//! A file has a header of 16 bytes: 8 magic bytes, and the time since which uses are recorded, as 8 bytes of
//! Unix seconds. Each row number has a record of 8 bytes: a tag of 4 bytes, and the time as 4 bytes of
//! seconds since 2020. Numbers are little-endian. A record does not count if its tag is wrong, or if its time
//! is before the creation or in the future. A use takes one read and at most one write a minute, without lock
//! and sync, so the files can be lost. A file is ignored if it is not regular, has several links, or does not
//! belong to the owner of the store.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, fchown};
use std::path::{Path, PathBuf};

use super::files;
use super::sharing::Sharing;
use crate::domain::secret::SecretHash;
use crate::domain::token::{Grant, Token};
use crate::domain::when::Timestamp;

pub const SECRETS: &str = "usage.secrets";
pub const SCOPES: &str = "usage.scopes";
/// When a revoked or expired secret was last presented. It has the rows and tags of [`SECRETS`].
pub const REFUSED: &str = "usage.refused";
pub const FILES: [&str; 3] = [SECRETS, SCOPES, REFUSED];

/// What is recorded: uses of secrets, requirements of granted scopes, and presentations of revoked or expired
/// secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Uses,
    Asks,
    Refusals,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Self::Uses, Self::Asks, Self::Refusals];

    pub fn file(self) -> &'static str {
        FILES[self as usize]
    }
}

/// The name of a usage file under construction.
pub const TEMPORARY: &str = "usage.new-";
const MAGIC: &[u8; 8] = b"tkncuse1";
const HEADER_LEN: u64 = 16;
const RECORD_LEN: u64 = 8;
/// How many bytes are read at once, a multiple of the length of a record.
const BLOCK_LEN: u64 = 4096;
/// A use within this many seconds after the recorded one is not written.
pub const RESOLUTION: i64 = 60;

pub type Tag = [u8; 4];

/// The tag of a secret's record.
pub fn secret_tag(hash: &SecretHash) -> Tag {
    let mut tag = Tag::default();
    tag.copy_from_slice(&hash.as_bytes()[..4]);
    tag
}

/// The tag of a granted scope's record. It is computed from the scope's id, so that a rename keeps the record.
pub fn scope_tag(token_id: &str, grant: &Grant) -> Tag {
    // In a store of version 1, scopes have no ids.
    let id = Some(&*grant.scope_id).filter(|id| !id.is_empty());
    scope_tag_of(token_id, id.unwrap_or(grant.scope.as_str()))
}

/// The tag from the name of a scope, in a record that was written while the store had version 1.
pub fn scope_tag_v1(token_id: &str, grant: &Grant) -> Tag {
    scope_tag_of(token_id, grant.scope.as_str())
}

fn scope_tag_of(token_id: &str, scope: &str) -> Tag {
    let mut hasher = blake3::Hasher::new();
    hasher.update(token_id.as_bytes()).update(b"\0").update(scope.as_bytes());
    let mut tag = Tag::default();
    tag.copy_from_slice(&hasher.finalize().as_bytes()[..4]);
    tag
}

/// The database to which the usage files belong.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'a> {
    pub dir: &'a Path,
    /// The owner of the database, who also owns the usage files.
    pub owner: u32,
    /// The size of the database in bytes.
    pub len: u64,
}

/// One open usage file. `None` if it is missing or must not be opened.
pub struct Usage {
    file: Option<File>,
    /// The highest row number that the database can have. It prevents an edited row from making a file of
    /// terabytes.
    max_row: u64,
}

impl Usage {
    fn open(database: Beside<'_>, name: &str, write: bool) -> Self {
        let opened = files::open(&database.dir.join(name), write).ok();
        let ours = opened.filter(|opened| files::problem(&opened.meta, database.owner).is_none());
        // A row and its event take more than one byte of the database, so its size is such a limit.
        Self { file: ours.map(|opened| opened.file), max_row: database.len }
    }

    pub fn to_read(database: Beside<'_>, name: &str) -> Self {
        Self::open(database, name, false)
    }

    pub fn to_record(database: Beside<'_>, name: &str) -> Self {
        Self::open(database, name, true)
    }

    /// The time since which uses have been recorded. `None` if they are not recorded.
    pub fn since(&self) -> Option<Timestamp> {
        let mut header = [0u8; 16];
        self.file.as_ref()?.read_exact_at(&mut header, 0).ok()?;
        let (magic, since) = header.split_at(8);
        (magic == MAGIC)
            .then(|| since.try_into().map(i64::from_le_bytes).ok().and_then(Timestamp::from_unix))?
    }

    /// The recorded time, if it is plausible: not before `created`, and not after `now`.
    pub fn last(&self, row: i64, tag: Tag, created: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let mut record = [0u8; 8];
        self.file.as_ref()?.read_exact_at(&mut record, offset(row)?).ok()?;
        credible(record, tag, created, now)
    }

    /// Like [`Self::last`], for many rows. Neighbouring rows are read together.
    pub fn last_in(
        &self,
        block: &mut Block,
        row: i64,
        tag: Tag,
        created: Timestamp,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let offset = offset(row)?;
        let start = offset - offset % BLOCK_LEN;
        if block.start != Some(start) {
            block.bytes.resize(usize::try_from(BLOCK_LEN).ok()?, 0);
            let len = self.file.as_ref()?.read_at(&mut block.bytes, start).ok()?;
            block.bytes.truncate(len);
            block.start = Some(start);
        }
        let at = usize::try_from(offset - start).ok()?;
        credible(block.bytes.get(at..at + 8)?.try_into().ok()?, tag, created, now)
    }

    /// Records a use now. Errors are ignored, since no verdict depends on it.
    pub fn record(&self, row: i64, tag: Tag, created: Timestamp, now: Timestamp) {
        let recent = || self.last(row, tag, created, now).is_some_and(|last| now.since(last) < RESOLUTION);
        let (Some(file), Some(offset)) = (&self.file, offset(row)) else { return };
        if row.unsigned_abs() > self.max_row || self.since().is_none() || recent() {
            return;
        }
        let secs = u32::try_from(now.since(Timestamp::MIN)).unwrap_or(u32::MAX);
        let mut record = [0u8; 8];
        record[..4].copy_from_slice(&tag);
        record[4..].copy_from_slice(&secs.to_le_bytes());
        let _ = file.write_all_at(&record, offset);
    }
}

/// The usage files of a database. Each is opened when it is first needed, because most verdicts do not need
/// them.
pub struct Usages {
    dir: PathBuf,
    owner: u32,
    len: u64,
    open: [OnceCell<Usage>; 3],
}

impl Usages {
    pub fn new(Beside { dir, owner, len }: Beside<'_>) -> Self {
        Self { dir: dir.to_owned(), owner, len, open: Default::default() }
    }

    /// Opens the same files again, for another thread.
    #[cfg(feature = "cli")]
    pub fn fresh(&self) -> Self {
        Self::new(self.beside())
    }

    fn beside(&self) -> Beside<'_> {
        Beside { dir: &self.dir, owner: self.owner, len: self.len }
    }

    pub fn of(&self, kind: Kind) -> &Usage {
        self.open[kind as usize].get_or_init(|| Usage::to_read(self.beside(), kind.file()))
    }

    /// When a granted scope was last required.
    pub fn last_required(&self, token: &Token, grant: &Grant, now: Timestamp) -> Option<Timestamp> {
        let asked = |tag| self.of(Kind::Asks).last(grant.row, tag, token.created_at, now);
        asked(scope_tag(&token.id, grant)).or_else(|| asked(scope_tag_v1(&token.id, grant)))
    }
}

/// Bytes of a usage file that were read together.
#[derive(Default)]
pub struct Block {
    start: Option<u64>,
    bytes: Vec<u8>,
}

fn credible(record: [u8; 8], tag: Tag, created: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let secs = u32::from_le_bytes([record[4], record[5], record[6], record[7]]);
    let time = Timestamp::from_unix(Timestamp::MIN.unix() + i64::from(secs))?;
    (record[..4] == tag && (created..=now).contains(&time)).then_some(time)
}

fn offset(row: i64) -> Option<u64> {
    u64::try_from(row).ok()?.checked_sub(1)?.checked_mul(RECORD_LEN)?.checked_add(HEADER_LEN)
}

/// Whether one of the usage files does not exist.
pub fn is_missing(dir: &Path) -> bool {
    FILES.iter().any(|name| matches!(files::look(&dir.join(name)), Ok(None)))
}

/// Creates the missing usage files, for the owner of the database.
pub fn make(dir: &Path, owner: u32, sharing: Sharing, now: Timestamp) -> io::Result<()> {
    for name in FILES {
        let path = dir.join(name);
        if files::look(&path)?.is_some() {
            continue;
        }
        let mut new = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(dir)?;
        new.write_all(MAGIC)?;
        new.write_all(&now.unix().to_le_bytes())?;
        if new.as_file().metadata()?.uid() != owner {
            fchown(new.as_file(), Some(owner), None)?;
        }
        sharing.apply(new.as_file(), sharing.usage_mode())?;
        match new.persist_noclobber(path) {
            Err(err) if err.error.kind() != io::ErrorKind::AlreadyExists => return Err(err.error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::tests::at;

    fn beside(dir: &Path) -> Beside<'_> {
        Beside { dir, owner: dir.metadata().unwrap().uid(), len: 10_000 }
    }

    fn make_in(dir: &Path) {
        make(dir, beside(dir).owner, Sharing::Private, at(5)).unwrap();
    }

    #[test]
    fn a_use_is_recorded_once_a_minute_and_checked_against_its_secret() {
        let dir = tempfile::tempdir().unwrap();
        make_in(dir.path());
        let usage = Usage::to_record(beside(dir.path()), SECRETS);
        let tag = [1, 2, 3, 4];
        assert_eq!(usage.since(), Some(at(5)));
        assert_eq!(usage.last(7, tag, at(0), at(100)), None);
        usage.record(7, tag, at(0), at(100));
        usage.record(7, tag, at(0), at(159));
        assert_eq!(usage.last(7, tag, at(0), at(200)), Some(at(100)));
        usage.record(7, tag, at(0), at(160));
        assert_eq!(usage.last(7, tag, at(0), at(200)), Some(at(160)));
        assert_eq!(usage.last(7, [0; 4], at(0), at(200)), None, "another secret's record");
        assert_eq!(usage.last(7, tag, at(161), at(200)), None, "before the creation");
        assert_eq!(usage.last(7, tag, at(0), at(159)), None, "in the future");
        assert_eq!(usage.last(6, tag, at(0), at(200)), None);
        assert_eq!(usage.last(i64::MAX, tag, at(0), at(200)), None);
        assert_eq!(usage.last(-1, tag, at(0), at(200)), None);
    }

    #[test]
    fn a_missing_or_foreign_file_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let missing = Usage::to_record(beside(dir.path()), SECRETS);
        missing.record(1, [1; 4], at(0), at(9));
        assert_eq!((missing.since(), missing.last(1, [1; 4], at(0), at(9))), (None, None));
        std::fs::write(dir.path().join(SECRETS), "garbage").unwrap();
        assert_eq!(Usage::to_read(beside(dir.path()), SECRETS).since(), None);
    }

    #[test]
    fn a_row_that_the_database_cannot_hold_is_not_recorded() {
        let dir = tempfile::tempdir().unwrap();
        make_in(dir.path());
        let usage = Usage::to_record(beside(dir.path()), SECRETS);
        usage.record(10_001, [1; 4], at(0), at(100));
        usage.record(1 << 40, [1; 4], at(0), at(100));
        assert_eq!(dir.path().join(SECRETS).metadata().unwrap().len(), HEADER_LEN);
        usage.record(10_000, [1; 4], at(0), at(100));
        assert_eq!(usage.last(10_000, [1; 4], at(0), at(200)), Some(at(100)));
    }

    #[test]
    fn a_file_with_wrong_magic_two_links_or_another_owner_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let (file, twin) = (dir.path().join(SECRETS), dir.path().join("twin"));
        std::fs::write(&file, [b'x'; 64]).unwrap();
        let record = |database| Usage::to_record(database, SECRETS).record(1, [1; 4], at(0), at(100));
        record(beside(dir.path()));
        assert_eq!(std::fs::read(&file).unwrap(), [b'x'; 64]);
        std::fs::remove_file(&file).unwrap();
        make_in(dir.path());
        let fresh = std::fs::read(&file).unwrap();
        record(Beside { owner: beside(dir.path()).owner + 1, ..beside(dir.path()) });
        assert_eq!(std::fs::read(&file).unwrap(), fresh);
        std::fs::hard_link(&file, &twin).unwrap();
        record(beside(dir.path()));
        assert_eq!(std::fs::read(&file).unwrap(), fresh);
        std::fs::remove_file(&twin).unwrap();
        record(beside(dir.path()));
        assert!(std::fs::read(&file).unwrap() != fresh);
    }

    #[test]
    fn a_record_beyond_the_first_block_is_found() {
        let dir = tempfile::tempdir().unwrap();
        make_in(dir.path());
        let usage = Usage::to_record(beside(dir.path()), SECRETS);
        let rows = [1, 511, 512, 1_000, 1_001];
        for row in rows {
            usage.record(row, [1; 4], at(0), at(100 + row));
        }
        let mut block = Block::default();
        for row in rows {
            let found = usage.last_in(&mut block, row, [1; 4], at(0), at(2_000));
            assert_eq!(found, Some(at(100 + row)), "{row}");
        }
        assert_eq!(usage.last_in(&mut block, 999, [1; 4], at(0), at(2_000)), None);
    }

    #[test]
    fn every_secret_and_every_granted_scope_has_its_own_tag() {
        let tag = |byte| secret_tag(&SecretHash::from_bytes([byte; 32]));
        assert_ne!(tag(1), tag(2));
        let grant = |id: &str, scope: &str| Grant {
            row: 1,
            scope_id: id.to_owned(),
            scope: scope.parse().unwrap(),
            last_required_at: None,
        };
        let read = scope_tag("one", &grant("id", "read"));
        assert_eq!(read, scope_tag("one", &grant("id", "renamed")));
        assert_ne!(read, scope_tag("one", &grant("other", "read")));
        assert_ne!(read, scope_tag("two", &grant("id", "read")));
        // A store of version 1 has no scope ids.
        assert_eq!(scope_tag("one", &grant("", "read")), scope_tag_v1("one", &grant("id", "read")));
        assert_ne!(scope_tag_v1("one", &grant("id", "read")), scope_tag_v1("one", &grant("id", "write")));
    }
}

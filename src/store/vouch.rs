//! Checks that the log of a store which this process has just built matches every object in it. The digests
//! of the tokens were computed while they were inserted, so that nothing is read twice.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

use rusqlite::params;

use super::audit::Chain;
use super::{FIRST, PAGE, Step, Store, StoreError, View, Watch};
use crate::domain::digest::{Digest, Form};
use crate::domain::event::{Anchor, GENESIS};
use crate::domain::when::Timestamp;

/// The digests of tokens, in the order of their rows. They are in a temporary file, so they take no memory.
pub struct Digests(BufWriter<File>);

impl Digests {
    pub fn new() -> Result<Self, StoreError> {
        Ok(Self(BufWriter::with_capacity(1 << 16, tempfile::tempfile().map_err(|err| failed(&err))?)))
    }

    /// Adds the digest of the next token. `None` means that the token must be read from the store.
    pub fn add(&mut self, digest: Option<Digest>) -> Result<(), StoreError> {
        self.0.write_all(digest.unwrap_or(GENESIS).as_bytes()).map_err(|err| failed(&err))
    }

    fn into_reader(self) -> Result<BufReader<File>, StoreError> {
        let rewound = self.0.into_inner().map_err(io::IntoInnerError::into_error).and_then(|mut file| {
            file.rewind()?;
            Ok(BufReader::with_capacity(1 << 16, file))
        });
        rewound.map_err(|err| failed(&err))
    }
}

fn failed(err: &io::Error) -> StoreError {
    StoreError::io("keep digests in", &std::env::temp_dir(), err)
}

impl Store {
    /// Whether each object matches its last entry, if the whole log is intact.
    pub(super) fn vouched<E: From<StoreError>>(
        &self,
        end: Anchor,
        digests: Digests,
        now: Timestamp,
        watch: Watch<'_, E>,
    ) -> Result<bool, E> {
        let (chain, mut digests) = (Chain::at_end(end), digests.into_reader()?);
        if !self.read(|view| view.changed_wholes(&chain))?.is_empty() {
            return Ok(false);
        }
        let (mut from, mut done, total) = (Some(FIRST), 0, self.count());
        while let Some(start) = from {
            watch(Step::new("checking tokens", done, total))?;
            let page = self.read(|view| view.vouched(start, &mut digests, &chain, now))?;
            let Some((count, last)) = page else { return Ok(false) };
            done += count;
            from = last.and_then(|last| last.checked_add(1));
        }
        self.read(|view| Ok(view.has_no_others(done, &chain)?))
    }
}

impl View<'_> {
    /// Checks a page of tokens. Returns how many there are, and the last row if there might be more. `None`
    /// if a token does not match its last entry.
    fn vouched(
        &self,
        from: i64,
        digests: &mut impl Read,
        chain: &Chain,
        now: Timestamp,
    ) -> Result<Option<(i64, Option<i64>)>, StoreError> {
        let sql = "SELECT row, id FROM tokens WHERE row >= ?1 ORDER BY row LIMIT ?2";
        let page = || {
            let args = params![from, super::audit::page()];
            self.prepare(sql)?.all::<(i64, String), Vec<_>>(args, |row| Ok((row.get(0)?, row.get(1)?)))
        };
        let page = self.ok(page())?;
        for (row, id) in &page {
            let mut digest = [0; 32];
            digests.read_exact(&mut digest).map_err(|err| failed(&err))?;
            let found = Digest::from_bytes(digest);
            let is_vouched = match self.last_digest(id, i64::MAX)? {
                Some((Form::Two, last)) if found != GENESIS => last == found,
                _ => self.changed_tokens(&[*row], now, chain)?.is_empty(),
            };
            if !is_vouched {
                return Ok(None);
            }
        }
        let last = page.last().filter(|_| page.len() == PAGE).map(|(row, _)| *row);
        Ok(Some((i64::try_from(page.len()).unwrap_or(i64::MAX), last)))
    }

    /// Whether the log has no other tokens that should exist.
    fn has_no_others(&self, tokens: i64, chain: &Chain) -> Result<bool, StoreError> {
        let sql = "SELECT count(*) FROM (SELECT DISTINCT subject FROM events WHERE subject NOT GLOB '[*]*')";
        let (mut missing, mut after) = (Vec::new(), Some(0));
        if self.column::<i64>(sql, &[])? != [tokens] {
            while let Some(seq) = after {
                after = self.missing(chain, seq, &mut missing)?;
            }
        }
        Ok(missing.is_empty())
    }
}

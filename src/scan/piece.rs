//! Searches a stream piece by piece, in constant memory.

use std::io::{self, ErrorKind, Read};

use memchr::memchr;
use zeroize::Zeroizing;

use super::finder::{AFTER, BEFORE, Candidate, Finder};
use super::history::{History, Place};
use super::kind::{self, Skipped};
use super::position::Position;
use super::utf16::{Utf16, byte_order};
use crate::domain::secret::SecretHash;

/// How much is searched at once.
const PIECE: usize = 256 * 1024;

/// A possible secret of the store, and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    pub hash: SecretHash,
    pub hint: String,
    /// Both begin at 1. The column counts bytes of the line in UTF-8.
    pub line: u64,
    pub column: u64,
    /// The file within a history. `None` if the file itself is searched.
    pub path: Option<Vec<u8>>,
    pub commit: Option<String>,
}

/// The buffer into which streams are read, one after the other. It is wiped at the end.
pub struct Buffer(Zeroizing<Vec<u8>>);

impl Default for Buffer {
    fn default() -> Self {
        Self(Zeroizing::new(vec![0; PIECE]))
    }
}

/// How to search a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Up to a zero byte, for files in a folder.
    Text,
    /// To its end.
    Any,
    /// To its end; it may be the output of git.
    Stream,
}

/// The positions of hits: lines of the stream, or of the files in a history.
enum Locator {
    Lines(Position),
    History(Box<History>),
}

impl Locator {
    fn advance(&mut self, piece: &[u8], base: u64, to: usize) {
        match self {
            Self::Lines(position) => position.advance(piece, base, to),
            Self::History(history) => history.advance(piece, base, to),
        }
    }

    fn of(&self, at: u64) -> Option<Place> {
        match self {
            Self::Lines(position) => {
                let (line, column) = position.of(at);
                Some(Place { path: None, commit: None, line, column })
            }
            Self::History(history) => history.of(at),
        }
    }
}

impl Source {
    /// Searches to the end, or until a hit is not taken. Returns what was left out.
    pub fn search(
        self,
        mut read: &mut dyn Read,
        finder: &Finder,
        buffer: &mut Buffer,
        take: &mut dyn FnMut(Hit) -> bool,
    ) -> io::Result<Option<Skipped>> {
        let buffer = &mut buffer.0;
        let mut len = fill(read, buffer)?;
        if let Some(big_endian) = byte_order(&buffer[..len]) {
            let rest = io::Cursor::new(Zeroizing::new(buffer[2..len].to_vec()));
            let mut decoded = Utf16::new(rest.chain(&mut *read), big_endian);
            len = fill(&mut decoded, buffer)?;
            return self.search_filled(&mut decoded, finder, buffer, len, take);
        }
        if let Some(skipped) = kind::packed_by(&buffer[..len]) {
            return Ok(Some(skipped));
        }
        self.search_filled(&mut read, finder, buffer, len, take)
    }

    /// Searches the buffer, which is full unless this is the end of the stream.
    fn search_filled(
        self,
        read: &mut dyn Read,
        finder: &Finder,
        buffer: &mut [u8],
        mut len: usize,
        take: &mut dyn FnMut(Hit) -> bool,
    ) -> io::Result<Option<Skipped>> {
        let mut places = match self {
            Self::Text | Self::Any => Locator::Lines(Position::default()),
            Self::Stream => Locator::History(Box::default()),
        };
        let head = buffer[..len.min(512)].to_vec();
        let head = Zeroizing::new(head);
        // The position of the buffer in the stream, and the position in the buffer from which secrets may begin.
        let (mut base, mut from) = (0, 0);
        loop {
            let zero = if self == Self::Text { memchr(0, &buffer[from..len]) } else { None };
            let end = zero.map_or(len, |zero| from + zero);
            let is_last = zero.is_some() || len < buffer.len();
            let to = if is_last { end } else { end - AFTER };
            let piece = &buffer[..end];
            let mut is_taken = true;
            finder.find(piece, from..to, &mut |found: Candidate| {
                places.advance(piece, base, found.range.start);
                if let Some(place) = places.of(base + found.range.start as u64).filter(|_| is_taken) {
                    let Place { path, commit, line, column } = place;
                    is_taken = take(Hit { hash: found.hash, hint: found.hint, line, column, path, commit });
                }
            });
            if is_last || !is_taken {
                return Ok(zero.map(|_| kind::binary(&head)));
            }
            let kept = to - BEFORE;
            places.advance(piece, base, kept);
            buffer.copy_within(kept..len, 0);
            base += kept as u64;
            from = BEFORE;
            len -= kept;
            len += fill(read, &mut buffer[len..])?;
        }
    }
}

/// Reads until the buffer is full or the stream ends.
fn fill(read: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match read.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(err) if err.kind() == ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(len)
}

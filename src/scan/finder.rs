//! Finds text that could be a secret, by its shape and checksum, or by the first characters of an adopted one.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use aho_corasick::{AhoCorasick, Input};

use crate::domain::secret::{FOREIGN_LEN, SecretHash, find_secret, foreign_head, hint};

/// How much text the search needs before the start and after the end of its range.
pub const BEFORE: usize = 16;
pub const AFTER: usize = 4096;
/// The length of the text after the underscore of a secret that this program made.
const BODY_LEN: usize = 38;
/// How many ends of words after its first characters are tried for an adopted secret.
const ENDS: usize = 64;

/// The position of a possible secret, with its hash and hint instead of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub range: Range<usize>,
    pub hash: SecretHash,
    pub hint: String,
}

/// An adopted secret as the store keeps it.
#[derive(Debug, Clone)]
pub struct Known {
    pub hash: SecretHash,
    pub hint: String,
}

/// Searches text for secrets of this program's shape, and for these adopted ones.
#[derive(Debug, Default)]
pub struct Finder {
    /// The first characters of adopted secrets.
    heads: Option<AhoCorasick>,
    /// The first eight bytes of their hashes.
    tags: HashSet<u64>,
}

impl Finder {
    pub fn new(adopted: impl IntoIterator<Item = Known>) -> Self {
        let mut heads = BTreeSet::new();
        let mut tags = HashSet::new();
        for known in adopted {
            if let Some(head) = foreign_head(&known.hint) {
                heads.insert(head.to_owned());
                tags.insert(tag(&known.hash));
            }
        }
        // With patterns of four characters, the automaton stays far below its limits.
        let heads = if heads.is_empty() { None } else { AhoCorasick::new(heads).ok() };
        Self { heads, tags }
    }

    /// Passes everything that begins in a range of `text` to `take`, in order.
    pub fn find(&self, text: &[u8], range: Range<usize>, take: &mut dyn FnMut(Candidate)) {
        let mut made = made(text, range.clone()).peekable();
        for adopted in self.adopted(text, range) {
            while let Some(found) = made.next_if(|made| made.range.start <= adopted.range.start) {
                take(found);
            }
            take(adopted);
        }
        made.for_each(take);
    }

    fn adopted(&self, text: &[u8], range: Range<usize>) -> impl Iterator<Item = Candidate> {
        let mut from = range.start;
        let seen = text.len().min(range.end + HEAD_REST);
        let starts = std::iter::from_fn(move || {
            let heads = self.heads.as_ref()?;
            let start = heads.find(Input::new(text).span(from.min(seen)..seen))?.start();
            from = start + 1;
            Some(start)
        });
        starts.flat_map(move |start| ends(text, start).map(move |end| start..end)).filter_map(move |range| {
            let hash = SecretHash::of(&text[range.clone()]);
            self.tags.contains(&tag(&hash)).then(|| Candidate {
                hint: hint(&text[range.clone()]),
                hash,
                range,
            })
        })
    }

    /// Text with every secret in it replaced by its hint.
    pub fn masked(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        let mut from = 0;
        self.find(text, 0..text.len(), &mut |found| {
            if found.range.end > from {
                out.extend_from_slice(&text[from.min(found.range.start)..found.range.start]);
                out.extend_from_slice(found.hint.as_bytes());
                from = found.range.end;
            }
        });
        out.extend_from_slice(&text[from..]);
        out
    }
}

/// The characters of a hint after the first one.
const HEAD_REST: usize = 3;

impl Candidate {
    fn of(text: &[u8], range: Range<usize>) -> Self {
        let secret = &text[range.clone()];
        Self { hash: SecretHash::of(secret), hint: hint(secret), range }
    }
}

/// Secrets whose underscore is in the range. Their prefix may begin before it.
fn made(text: &[u8], range: Range<usize>) -> impl Iterator<Item = Candidate> {
    let text = &text[..text.len().min(range.end + BODY_LEN)];
    let mut from = range.start;
    std::iter::from_fn(move || {
        let found = find_secret(text, from)?;
        from = found.end;
        Some(Candidate::of(text, found))
    })
}

fn tag(hash: &SecretHash) -> u64 {
    let mut tag = [0; 8];
    tag.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(tag)
}

/// The possible ends of an adopted secret that begins at `start`: the end of its printable characters, and
/// before each one that is neither a letter nor a digit.
fn ends(text: &[u8], start: usize) -> impl Iterator<Item = usize> {
    let (least, most) = (*FOREIGN_LEN.start(), *FOREIGN_LEN.end());
    let text = &text[start..text.len().min(start + most)];
    let len = text.iter().position(|byte| !byte.is_ascii_graphic()).unwrap_or(text.len());
    let ends = (least..=len).filter(move |end| *end == len || !text[*end].is_ascii_alphanumeric());
    ends.take(ENDS).map(move |end| start + end)
}

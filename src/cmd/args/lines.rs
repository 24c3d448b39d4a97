//! Reads the lines of an export. Each is JSON. The first describes the export, and the last counts its lines.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::ops::Range;

use crate::domain::Invalid;
use crate::domain::event::Anchor;
use crate::error::Error;
use crate::store::{EXPORT_FORMAT, Fields, Item};

/// The longest line, in bytes.
const LONGEST: u64 = 16 << 20;

/// About how many bytes are read at once.
const CHUNK: usize = 1 << 18;

pub struct Lines {
    input: BufReader<Box<dyn Read>>,
    number: usize,
}

/// Some lines, with their numbers.
#[derive(Default)]
pub struct Chunk {
    pub text: Vec<u8>,
    pub lines: Vec<(usize, Range<usize>)>,
}

/// The number of lines so far, by type, and whether the end was read.
#[derive(Default)]
pub struct Tally {
    counts: BTreeMap<String, u64>,
    ended: bool,
}

impl Lines {
    /// Reads the first line. Returns the head of the log if the history follows.
    pub fn open(input: Box<dyn Read>) -> Result<(Self, Option<Anchor>), Error> {
        let mut lines = Self { input: BufReader::with_capacity(1 << 16, input), number: 0 };
        let mut text = Vec::new();
        if !lines.read(&mut text)? {
            return Err(lines.bad("there is nothing to import"));
        }
        let (kind, fields) = Fields::of_line(&text).map_err(|why| lines.bad(why))?;
        if kind != "header" {
            return Err(lines.bad("it is not the heading of an export"));
        }
        if fields.get("format").and_then(Item::as_i64) != Some(EXPORT_FORMAT) {
            let invalid = Invalid::new("the export has another format than this tokenctl reads");
            return Err(invalid.hint("use the tokenctl that wrote it, or a newer one").into());
        }
        let head = lines.head(&fields)?;
        Ok((lines, Some(head).filter(|_| fields.get("history") == Some(&Item::Bool(true)))))
    }

    fn head(&self, fields: &Fields<'_>) -> Result<Anchor, Error> {
        let head = match fields.get("head") {
            Some(Item::Object(head)) => head.get("seq").and_then(Item::as_i64).zip(Some(head.text("hash"))),
            _ => None,
        };
        let head = head.and_then(|(seq, hash)| format!("{seq}:{hash}").parse().ok());
        head.ok_or_else(|| self.bad("its `head` is missing, or not one"))
    }

    /// The number of the last line that was read.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Returns some of the next lines, and none at the end.
    pub fn chunk(&mut self) -> Result<Chunk, Error> {
        let mut chunk = Chunk { text: Vec::with_capacity(CHUNK + CHUNK / 4), lines: Vec::new() };
        let mut from = 0;
        while from < CHUNK && self.read(&mut chunk.text)? {
            chunk.lines.push((self.number, from..chunk.text.len()));
            from = chunk.text.len();
        }
        Ok(chunk)
    }

    /// Appends a line to the buffer. Returns whether there was one.
    fn read(&mut self, text: &mut Vec<u8>) -> Result<bool, Error> {
        let read = (&mut self.input).take(LONGEST).read_until(b'\n', text);
        if read.map_err(|err| Error::Input { what: "the export".to_owned(), err })? == 0 {
            return Ok(false);
        }
        self.number += 1;
        if text.last() != Some(&b'\n') {
            return Err(self.bad("it has no end: the export was cut short"));
        }
        Ok(true)
    }

    fn bad(&self, why: &str) -> Error {
        bad(self.number, why)
    }
}

impl Chunk {
    /// Passes each line of content on, in order.
    pub fn each<'a>(
        &'a self,
        tally: &mut Tally,
        mut take: impl FnMut(usize, &str, Fields<'a>, &'a [u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for (number, range) in &self.lines {
            let text = &self.text[range.clone()];
            let (kind, fields) = Fields::of_line(text).map_err(|why| bad(*number, why))?;
            if tally.add(*number, &kind, &fields)? {
                take(*number, &kind, fields, text)?;
            }
        }
        Ok(())
    }
}

impl Tally {
    /// Counts a line. Returns whether it is content. The end is not, and its counts must be those of the lines
    /// before it.
    fn add(&mut self, number: usize, kind: &str, fields: &Fields<'_>) -> Result<bool, Error> {
        if self.ended {
            return Err(bad(number, "it follows the end"));
        }
        if kind != "end" {
            match self.counts.get_mut(kind) {
                Some(count) => *count += 1,
                None => drop(self.counts.insert(kind.to_owned(), 1)),
            }
            return Ok(true);
        }
        for (kind, count) in fields.iter() {
            let found = self.counts.get(kind).copied().unwrap_or(0);
            if count.as_i64().and_then(|count| u64::try_from(count).ok()) != Some(found) {
                let why = format!("it counts {count} lines of type `{kind}`, but there are {found}");
                return Err(bad(number, &why));
            }
        }
        self.ended = true;
        Ok(false)
    }

    /// Fails unless the end was read. `number` is that of the last line.
    pub fn finish(&self, number: usize) -> Result<(), Error> {
        let cut = "it is the last one and does not say `end`: the export was cut short";
        if self.ended { Ok(()) } else { Err(bad(number, cut)) }
    }
}

/// The error of a line.
pub fn bad(number: usize, why: &str) -> Error {
    let hint = "nothing was imported; `tokenctl export` writes such lines";
    Invalid::new(format!("line {number}: {why}")).hint(hint).into()
}

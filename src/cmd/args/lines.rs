//! Reads the lines of an export. Each is JSON. The first describes the export, and the last counts its lines.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

use serde_json::{Map, Value};

use crate::domain::Invalid;
use crate::domain::event::Anchor;
use crate::error::Error;
use crate::store::EXPORT_FORMAT;

/// The longest line, in bytes.
const LONGEST: u64 = 16 << 20;

/// The type of a line and the rest of it.
pub type Line = (String, Map<String, Value>);

pub struct Lines {
    input: BufReader<Box<dyn Read>>,
    text: Vec<u8>,
    number: usize,
    tally: Tally,
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
        let input = BufReader::with_capacity(1 << 16, input);
        let mut lines = Self { input, text: Vec::new(), number: 0, tally: Tally::default() };
        if !lines.read()? {
            return Err(lines.bad("there is nothing to import"));
        }
        let (kind, fields) = parse(&lines.text).map_err(|why| lines.bad(why))?;
        if kind != "header" {
            return Err(lines.bad("it is not the heading of an export"));
        }
        if fields.get("format").and_then(Value::as_i64) != Some(EXPORT_FORMAT) {
            let invalid = Invalid::new("the export has another format than this tokenctl reads");
            return Err(invalid.hint("use the tokenctl that wrote it, or a newer one").into());
        }
        let head = lines.head(&fields)?;
        let history = fields.get("history").and_then(Value::as_bool) == Some(true);
        Ok((lines, head.filter(|_| history)))
    }

    fn head(&self, fields: &Map<String, Value>) -> Result<Option<Anchor>, Error> {
        let head = fields
            .get("head")
            .and_then(|head| format!("{}:{}", head["seq"].as_i64()?, head["hash"].as_str()?).parse().ok());
        head.map(Some).ok_or_else(|| self.bad("its `head` is missing, or not one"))
    }

    /// The number of the last line that was read.
    pub fn number(&self) -> usize {
        self.number
    }

    /// The text of that line, with its newline.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The next line between the heading and the end; `None` after the end.
    pub fn next(&mut self) -> Result<Option<Line>, Error> {
        while self.read()? {
            let (kind, fields) = parse(&self.text).map_err(|why| self.bad(why))?;
            if self.tally.add(self.number, &kind, &fields)? {
                return Ok(Some((kind, fields)));
            }
        }
        self.tally.finish(self.number).map(|()| None)
    }

    /// Up to this many of the next lines, unparsed, with their numbers. The caller parses and counts them.
    pub fn batch(&mut self, most: usize) -> Result<Vec<(usize, Vec<u8>)>, Error> {
        let mut all = Vec::new();
        while all.len() < most && self.read()? {
            all.push((self.number, std::mem::take(&mut self.text)));
        }
        Ok(all)
    }

    /// Reads a line. Returns whether there was one.
    fn read(&mut self) -> Result<bool, Error> {
        self.text.clear();
        let read = (&mut self.input).take(LONGEST).read_until(b'\n', &mut self.text);
        if read.map_err(|err| Error::Input { what: "the export".to_owned(), err })? == 0 {
            return Ok(false);
        }
        self.number += 1;
        if self.text.last() != Some(&b'\n') {
            return Err(self.bad("it has no end: the export was cut short"));
        }
        Ok(true)
    }

    fn bad(&self, why: &str) -> Error {
        bad(&self.number.to_string(), why)
    }
}

impl Tally {
    /// Counts a line. Returns whether it is content. The end is not, and its counts must be those of the lines
    /// before it.
    pub fn add(&mut self, number: usize, kind: &str, fields: &Map<String, Value>) -> Result<bool, Error> {
        let bad = |why: &str| Err(bad(&number.to_string(), why));
        if self.ended {
            return bad("it follows the end");
        }
        if kind != "end" {
            *self.counts.entry(kind.to_owned()).or_default() += 1;
            return Ok(true);
        }
        for (kind, count) in fields {
            let found = self.counts.get(kind).copied().unwrap_or(0);
            if count.as_u64() != Some(found) {
                return bad(&format!("it counts {count} lines of type `{kind}`, but {found} came"));
            }
        }
        self.ended = true;
        Ok(false)
    }

    /// Fails unless the end was read. `number` is that of the last line.
    pub fn finish(&self, number: usize) -> Result<(), Error> {
        let cut = "it is the last one and does not say `end`: the export was cut short";
        if self.ended { Ok(()) } else { Err(bad(&number.to_string(), cut)) }
    }
}

/// Parses a line. The error is what is wrong with it.
pub fn parse(text: &[u8]) -> Result<Line, &'static str> {
    let parsed = serde_json::from_slice(text).map_err(|_| "it is not JSON")?;
    let Value::Object(mut fields) = parsed else { return Err("it is not a JSON object") };
    match fields.remove("type") {
        Some(Value::String(kind)) => Ok((kind, fields)),
        _ => Err("it does not say its `type`"),
    }
}

/// The error of a line.
pub fn bad(number: &str, why: &str) -> Error {
    let hint = "nothing was imported; `tokenctl export` writes such lines";
    Invalid::new(format!("line {number}: {why}")).hint(hint).into()
}

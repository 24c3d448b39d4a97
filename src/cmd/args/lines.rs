//! The lines of an export as they are read: each is JSON, the first says what follows, and the last that all is there.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

use serde_json::{Map, Value};

use crate::domain::Invalid;
use crate::domain::event::Anchor;
use crate::error::Error;
use crate::store::EXPORT_FORMAT;

/// No line is longer.
const LONGEST: u64 = 16 << 20;

/// The type of a line and the rest of it.
type Line = (String, Map<String, Value>);

pub struct Lines {
    input: BufReader<Box<dyn Read>>,
    text: Vec<u8>,
    number: usize,
    counts: BTreeMap<String, u64>,
    ended: bool,
}

impl Lines {
    /// Reads the first line. Returns the head of the log, where the history follows.
    pub fn open(input: Box<dyn Read>) -> Result<(Self, Option<Anchor>), Error> {
        let input = BufReader::with_capacity(1 << 16, input);
        let mut lines = Self { input, text: Vec::new(), number: 0, counts: BTreeMap::new(), ended: false };
        let Some((kind, fields)) = lines.read()? else { return Err(lines.bad("there is nothing to import")) };
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

    /// The text of that line, with its end.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The next line that is neither the heading nor the end; none once the end was there.
    pub fn next(&mut self) -> Result<Option<Line>, Error> {
        let Some((kind, fields)) = self.read()? else {
            return if self.ended {
                Ok(None)
            } else {
                Err(self.bad("it is the last one and does not say `end`: the export was cut short"))
            };
        };
        if self.ended {
            return Err(self.bad("it follows the end"));
        }
        if kind == "end" {
            self.check_counts(&fields)?;
            self.ended = true;
            return self.next();
        }
        *self.counts.entry(kind.clone()).or_default() += 1;
        Ok(Some((kind, fields)))
    }

    fn check_counts(&self, fields: &Map<String, Value>) -> Result<(), Error> {
        for (kind, count) in fields {
            let found = self.counts.get(kind).copied().unwrap_or(0);
            if count.as_u64() != Some(found) {
                return Err(self.bad(&format!("it counts {count} lines of type `{kind}`, but {found} came")));
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<Option<Line>, Error> {
        self.text.clear();
        let read = (&mut self.input).take(LONGEST).read_until(b'\n', &mut self.text);
        if read.map_err(|err| Error::Input { what: "the export".to_owned(), err })? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.text.last() != Some(&b'\n') {
            return Err(self.bad("it has no end: the export was cut short"));
        }
        let parsed = serde_json::from_slice(&self.text).map_err(|_| self.bad("it is not JSON"))?;
        let Value::Object(mut fields) = parsed else { return Err(self.bad("it is not a JSON object")) };
        match fields.remove("type") {
            Some(Value::String(kind)) => Ok(Some((kind, fields))),
            _ => Err(self.bad("it does not say its `type`")),
        }
    }

    fn bad(&self, why: &str) -> Error {
        bad(&self.number.to_string(), why)
    }
}

/// What is wrong with a line.
pub fn bad(number: &str, why: &str) -> Error {
    let hint = "nothing was imported; `tokenctl export` writes such lines";
    Invalid::new(format!("line {number}: {why}")).hint(hint).into()
}

//! The records of a file of secrets: CSV with a heading, or JSON lines. Both are parsed in buffers that are
//! wiped, and only the hash of a secret is kept.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};

use csv_core::{ReadRecordResult, Reader};
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::domain::Invalid;
use crate::domain::secret::contains_secret;
use crate::domain::text::nearest;
use crate::error::Error;

/// The longest record, in bytes.
const LONGEST: usize = 1 << 16;
/// The columns, which are the keys of JSON lines too.
pub const COLUMNS: [&str; 9] =
    ["name", "secret", "hash", "hint", "owner", "description", "scopes", "labels", "expires"];
/// Names that other systems use for their hashes.
const FOREIGN: [&str; 6] = ["sha256", "sha512", "sha1", "md5", "bcrypt", "argon2"];

/// A value of a record.
pub enum Value<'a> {
    Text(Cow<'a, str>),
    List(Vec<String>),
    Pairs(BTreeMap<String, String>),
}

/// The values of a record by their columns; those that are empty are left out.
pub type Record<'a> = Vec<(&'static str, Value<'a>)>;

/// The input, and the part of it that is not parsed yet.
struct Input<'a> {
    source: &'a mut dyn Read,
    buffer: Zeroizing<Vec<u8>>,
    from: usize,
    to: usize,
}

/// Passes each record to `take`, with the number of the line on which it begins. `take` gets the errors of
/// records too; an error of the input or its heading is returned.
pub fn each(
    source: &mut dyn Read,
    mut take: impl FnMut(u64, Result<Record<'_>, Invalid>) -> Result<(), Error>,
) -> Result<(), Error> {
    let buffer = Zeroizing::new(vec![0; LONGEST]);
    let mut input = Input { source, buffer, from: 0, to: 0 };
    while input.from == input.to && input.fill()? {}
    // A byte order mark of UTF-8, as spreadsheets write it.
    if input.rest().starts_with("\u{feff}".as_bytes()) {
        input.from += 3;
    }
    match input.rest().first() {
        None => Err(Invalid::new("there is nothing to adopt").into()),
        Some(b'{') => of_json(&mut input, &mut take),
        Some(_) => of_csv(&mut input, &mut take),
    }
}

impl Input<'_> {
    fn rest(&self) -> &[u8] {
        &self.buffer[self.from..self.to]
    }

    /// Reads more input. Returns whether there was any.
    fn fill(&mut self) -> Result<bool, Error> {
        self.buffer.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, self.to - self.from);
        loop {
            let to = self.to;
            match self.source.read(&mut self.buffer[to..]) {
                Ok(more) => {
                    self.to += more;
                    return Ok(more > 0);
                }
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                Err(err) => return Err(Error::Input { what: "the secrets".to_owned(), err }),
            }
        }
    }
}

type Take<'t> = &'t mut dyn FnMut(u64, Result<Record<'_>, Invalid>) -> Result<(), Error>;

fn of_json(input: &mut Input<'_>, take: Take<'_>) -> Result<(), Error> {
    let (mut number, mut goes_on) = (0, true);
    loop {
        let end = memchr::memchr(b'\n', input.rest());
        let len = match end {
            Some(end) => end + 1,
            None if goes_on && input.rest().len() < LONGEST => {
                goes_on = input.fill()?;
                continue;
            }
            None if input.rest().is_empty() => return Ok(()),
            None => input.rest().len(),
        };
        number += 1;
        if end.is_none() && goes_on {
            return Err(Invalid::new(format!("line {number} is longer than {LONGEST} bytes")).into());
        }
        let line = &input.buffer[input.from..input.from + len];
        if !line.trim_ascii().is_empty() {
            take(number, json_record(line))?;
        }
        input.from += len;
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn json_record(line: &[u8]) -> Result<Record<'_>, Invalid> {
    let wrong = || Invalid::new("it is not a JSON object");
    let fields: BTreeMap<Text<'_>, &RawValue> = serde_json::from_slice(line).map_err(|_| wrong())?;
    let mut record = Record::new();
    for (Text(key), value) in fields {
        let column = column(&key)?;
        let text = value.get();
        let bad = || Invalid::new(format!("`{column}` has the wrong type"));
        let value = match text.bytes().next() {
            _ if text == "null" => continue,
            Some(b'"') => serde_json::from_str(text).map(|Text(text)| Value::Text(text)),
            Some(b'[') if column == "scopes" => serde_json::from_str(text).map(Value::List),
            Some(b'{') if column == "labels" => serde_json::from_str(text).map(Value::Pairs),
            _ => return Err(bad().hint("use a string; `scopes` can also be a list, and `labels` an object")),
        };
        push(&mut record, column, value.map_err(|_| bad())?)?;
    }
    Ok(record)
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Text<'_> {}

impl PartialOrd for Text<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

fn push<'a>(record: &mut Record<'a>, column: &'static str, value: Value<'a>) -> Result<(), Invalid> {
    let Value::Text(text) = &value else {
        record.push((column, value));
        return Ok(());
    };
    if column != "secret" && contains_secret(text.as_bytes()) {
        return Err(Invalid::new(format!("its `{column}` contains a secret"))
            .hint("secrets belong in `secret` alone"));
    }
    if !text.trim().is_empty() {
        record.push((column, value));
    }
    Ok(())
}

/// The column of a heading. If the heading is missing, its text may be a secret, so it is not repeated.
fn column(heading: &str) -> Result<&'static str, Invalid> {
    let heading = heading.trim().to_lowercase();
    if let Some(column) = COLUMNS.into_iter().find(|column| *column == heading) {
        return Ok(column);
    }
    if FOREIGN.into_iter().any(|kind| heading.contains(kind)) {
        let why = "hashes of other systems cannot be adopted, since the store could not look up a presented secret by \
                   them";
        return Err(Invalid::new(why).hint("adopt the secrets themselves, or rotate them"));
    }
    let hint = match nearest(&heading, COLUMNS) {
        Some(column) => format!("did you mean `{column}`?"),
        None => format!("the columns are {}", COLUMNS.join(", ")),
    };
    Err(Invalid::new("the heading has an unknown column").hint(hint))
}

fn of_csv(input: &mut Input<'_>, take: Take<'_>) -> Result<(), Error> {
    let mut csv = Csv {
        reader: Reader::new(),
        text: Zeroizing::new(vec![0; LONGEST]),
        ends: vec![0; 64],
        columns: Vec::new(),
    };
    let Some((_, count)) = csv.next(input)? else {
        return Err(Invalid::new("there is nothing to adopt").into());
    };
    let headings = csv.fields(count).map(|field| field.and_then(column));
    csv.columns = headings
        .collect::<Result<_, _>>()
        .map_err(|invalid| Invalid { message: format!("the heading: {}", invalid.message), ..invalid })?;
    while let Some((number, count)) = csv.next(input)? {
        take(number, csv.record(count))?;
    }
    Ok(())
}

struct Csv {
    reader: Reader,
    text: Zeroizing<Vec<u8>>,
    ends: Vec<usize>,
    columns: Vec<&'static str>,
}

impl Csv {
    /// Reads a record. Returns its line and the number of its fields.
    fn next(&mut self, input: &mut Input<'_>) -> Result<Option<(u64, usize)>, Error> {
        let (mut len, mut count) = (0, 0);
        let number = self.reader.line();
        loop {
            // An empty input tells the reader that it ends.
            if input.rest().is_empty() {
                input.fill()?;
            }
            let (result, taken, written, ends) = self.reader.read_record(
                &input.buffer[input.from..input.to],
                &mut self.text[len..],
                &mut self.ends[count..],
            );
            input.from += taken;
            (len, count) = (len + written, count + ends);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    return Err(Invalid::new(format!("line {number} is too long"))
                        .hint(
                            "a record has at most 64 columns and 64 KiB; look for a quote that is not closed",
                        )
                        .into());
                }
                ReadRecordResult::Record => return Ok(Some((number, count))),
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    fn fields(&self, count: usize) -> impl Iterator<Item = Result<&str, Invalid>> {
        let starts = std::iter::once(0).chain(self.ends[..count].iter().copied());
        let text = |(start, end): (usize, &usize)| {
            std::str::from_utf8(&self.text[start..*end]).map_err(|_| Invalid::new("it is not UTF-8"))
        };
        starts.zip(&self.ends[..count]).map(text)
    }

    fn record(&self, count: usize) -> Result<Record<'_>, Invalid> {
        if count != self.columns.len() {
            return Err(Invalid::new(format!(
                "it has {count} fields, and the heading {}",
                self.columns.len()
            )));
        }
        let mut record = Record::new();
        for (column, field) in self.columns.iter().zip(self.fields(count)) {
            push(&mut record, column, Value::Text(Cow::Borrowed(field?)))?;
        }
        Ok(record)
    }
}

//! The document about a change of many tokens. It is written token by token, so that it needs little memory.

use std::io::{self, BufWriter, Write};

use serde::Serialize;

use super::append;

pub struct ManyWriter<'a> {
    out: BufWriter<&'a mut dyn Write>,
    text: Vec<u8>,
    written: usize,
}

impl<'a> ManyWriter<'a> {
    pub fn begin(out: &'a mut dyn Write, changed: bool, dry_run: bool, count: usize) -> io::Result<Self> {
        let mut out = BufWriter::new(out);
        write!(out, r#"{{"changed":{changed},"dry_run":{dry_run},"count":{count},"tokens":["#)?;
        Ok(Self { out, text: Vec::new(), written: 0 })
    }

    pub fn token(&mut self, document: &impl Serialize) -> io::Result<()> {
        self.text.clear();
        self.text.extend((self.written > 0).then_some(b','));
        self.written += 1;
        append(&mut self.text, document);
        self.out.write_all(&self.text)
    }

    pub fn finish(mut self) -> io::Result<()> {
        self.out.write_all(b"]}\n")?;
        self.out.flush()
    }
}

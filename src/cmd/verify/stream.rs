//! `verify --stream`: one request per line, one answer per line, in order, until the end of input.
//!
//! - An answer is never older than its request. Requests that arrive together are answered from one read
//!   transaction, which begins after they arrived and ends before the answers are written.
//! - No line and no error of the store ends the stream, and an error is never a positive answer.
//! - The memory that it uses does not grow.

use std::io::Write;

use super::lines::{Line, Lines};
use super::question::{LineRequest, Wrong};
use super::words;
use crate::app::{App, Outcome};
use crate::context::{Clock, Context};
use crate::domain::Invalid;
use crate::domain::verdict::Requirements;
use crate::error::Error;
use crate::store::{Location, SharedStore, StoreError};
use crate::ui::json::{AnswerDoc, ErrorDoc, NoAnswerDoc, VerdictDoc, append};
use crate::verify::{Manner, Request, Verdict, verdicts};

/// Answers are written when they have reached this many bytes.
const WRITTEN_AT: usize = 64 * 1024;

pub fn run(app: &mut App<'_>, location: Location, flags: &Requirements) -> Result<Outcome, Error> {
    if app.quiet() {
        return Err(Invalid::new("`--stream` answers on stdout, and `--quiet` would leave nothing")
            .hint("use only one of them")
            .into());
    }
    let json = app.json();
    let store = SharedStore::open(location.clone())?;
    app.clear();
    let Context { machine, stdin, stdout, .. } = &mut *app.ctx;
    machine.keep_memory_private();
    let stream = Stream { store, location, clock: &**machine, flags, json };
    let mut lines = Lines::new(&mut **stdin);
    let mut text = Vec::new();
    loop {
        let goes_on = lines.wait().map_err(|err| Error::Input { what: "stdin".to_owned(), err })?;
        loop {
            let (batch, used) = lines.batch(goes_on);
            if batch.is_empty() {
                break;
            }
            stream.write_answers(&batch, &mut text, stdout).map_err(Error::Output)?;
            lines.take(used);
        }
        stdout.write_all(&text).and_then(|()| stdout.flush()).map_err(Error::Output)?;
        text.clear();
        if !goes_on {
            stream.location.finish_uses();
            return Ok(Outcome::Done);
        }
    }
}

struct Stream<'a> {
    store: SharedStore,
    location: Location,
    clock: &'a dyn Clock,
    flags: &'a Requirements,
    /// Whether bare secrets are answered with documents too.
    json: bool,
}

impl Stream<'_> {
    fn write_answers(
        &self,
        lines: &[Line<'_>],
        text: &mut Vec<u8>,
        out: &mut dyn Write,
    ) -> std::io::Result<()> {
        let questions: Vec<_> = lines.iter().map(|line| LineRequest::read(*line, self.flags)).collect();
        let requests: Vec<_> = questions.iter().map(|question| self.request(question)).collect();
        let describe = self.json || questions.iter().any(|question| question.is_json);
        let manner = Manner { at: None, describe };
        let mut answers = match self.store.read(|store| verdicts(store, self.clock, &requests, manner)) {
            Ok(answers) => Ok(answers.into_iter()),
            Err(err) => Err(self.error(err)),
        };
        for (question, request) in questions.iter().zip(&requests) {
            let is_json = self.json || question.is_json;
            let mut reply = Reply { is_json, question, text };
            let verdict = match &mut answers {
                Ok(answers) => answers.next().unwrap_or_else(|| Ok(Verdict::malformed())),
                Err(_) if request.is_malformed() => Ok(Verdict::malformed()),
                Err(err) => {
                    reply.error(err);
                    continue;
                }
            };
            match (&question.presented, verdict) {
                (Err(Wrong::Invalid(why)), _) => reply.error(&Error::Usage(why.clone())),
                (_, Ok(verdict)) => reply.verdict(&verdict),
                (_, Err(err)) => reply.error(&self.error(err)),
            }
            if text.len() >= WRITTEN_AT {
                out.write_all(text)?;
                text.clear();
            }
        }
        Ok(())
    }

    fn request<'q>(&'q self, question: &'q LineRequest<'_>) -> Request<'q> {
        match &question.presented {
            Ok(presented) => {
                Request::new(&presented.secret, presented.requirements.as_ref().unwrap_or(self.flags))
            }
            Err(_) => Request::of_secret(None, self.flags),
        }
    }

    fn error(&self, err: StoreError) -> Error {
        Error::Store(err).of_store(&self.location.shown())
    }
}

struct Reply<'a> {
    is_json: bool,
    question: &'a LineRequest<'a>,
    text: &'a mut Vec<u8>,
}

impl Reply<'_> {
    fn verdict(&mut self, verdict: &Verdict) {
        if self.is_json {
            let verdict = VerdictDoc::new(
                verdict.reason(),
                verdict.missing_scopes(),
                verdict.token().zip(verdict.secret()),
            );
            self.document(&AnswerDoc { verdict, id: self.question.id });
        } else {
            self.text.extend_from_slice(words(verdict).as_bytes());
            self.text.push(b'\n');
        }
    }

    fn error(&mut self, err: &Error) {
        if self.is_json {
            let (message, hint) = (err.to_string(), err.hint());
            let code = err.code();
            let (word, exit) = (code.word(), code.exit());
            let error = ErrorDoc { code: word, message: &message, hint: hint.as_deref(), exit };
            self.document(&NoAnswerDoc { error, id: self.question.id });
        } else {
            self.text.extend_from_slice(format!("error {}\n", err.code().word()).as_bytes());
        }
    }

    fn document(&mut self, document: &impl serde::Serialize) {
        append(self.text, document);
        self.text.push(b'\n');
    }
}

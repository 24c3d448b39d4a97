//! Imports single tokens into a store that has others, all of them or none.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};

use serde_json::{Map, Value};

use super::{Import, step};
use crate::app::{App, Outcome};
use crate::cmd::args::arrivals::{self, Arrivals};
use crate::cmd::args::lines::{Lines, bad};
use crate::domain::Invalid;
use crate::domain::event::Author;
use crate::domain::text::shown;
use crate::error::{Error, Subject};
use crate::store::{BadLine, Brought, Conflict, Write as Transaction};

/// How many tokens are in memory at once.
const PAGE: usize = 500;

type Fields = Map<String, Value>;

impl Import {
    /// Inserts single tokens. All lines are read before the lock is taken, since a pipe may be slow.
    pub(super) fn tokens(
        &self,
        app: &mut App<'_>,
        lines: &mut Lines,
        author: &Author,
    ) -> Result<Outcome, Error> {
        let mut spool = Spool::new()?;
        let mut brought = Vec::new();
        while let Some((kind, fields)) = lines.next()? {
            if kind == "token" {
                brought.extend(commands(&fields));
                spool.keep(lines)?;
            }
            step(app, lines.number())?;
        }
        let mut store = arrivals::store(app, author, self.dry_run)?;
        if !self.dry_run {
            self.commands.admit(app, "the file", &brought)?;
        }
        store.keep_pages()?;
        let entered = store.write(&*app.ctx.machine, author, |tx| self.enter(tx, spool))?;
        if !self.dry_run {
            store = arrivals::settle(app, author, store)?;
        }
        arrivals::answer(app, &store, &entered, "imported", self.dry_run)
    }

    fn enter(&self, tx: &Transaction<'_>, spool: Spool) -> Result<Arrivals, Error> {
        let catalogue = tx.catalogue()?;
        let (mut entered, mut conflicts) = (Arrivals::default(), Vec::new());
        let mut first = None;
        spool.each(|numbers, lines| {
            let names: Vec<String> = lines.iter().map(name).collect();
            let page = tx.import_tokens(lines, &catalogue);
            for (name, one) in names.iter().zip(page.map_err(|(at, err)| refused(&numbers[at], err))?) {
                match one {
                    Ok(token) => entered.add(&token),
                    Err(Conflict::Name | Conflict::Known) if self.skip_existing => {}
                    Err(conflict) => {
                        conflicts.push(name.clone());
                        first.get_or_insert_with(|| conflict_error(name, conflict));
                    }
                }
            }
            Ok(())
        })?;
        first.map_or(Ok(entered), |err| Err(with_others(err, &conflicts)))
    }
}

/// How many conflicting tokens a message names.
const NAMED: usize = 100;

/// The lines of tokens, in a temporary file.
struct Spool(BufWriter<File>);

impl Spool {
    fn new() -> Result<Self, Error> {
        Ok(Self(BufWriter::new(tempfile::tempfile().map_err(spooling)?)))
    }

    /// Stores the last line, with its number.
    fn keep(&mut self, lines: &Lines) -> Result<(), Error> {
        let written = write!(self.0, "{} ", lines.number()).and_then(|()| self.0.write_all(lines.text()));
        written.map_err(spooling)
    }

    /// Passes the lines on in pages, with their numbers.
    fn each(self, mut take: impl FnMut(Vec<String>, Vec<Fields>) -> Result<(), Error>) -> Result<(), Error> {
        let mut file = self.0.into_inner().map_err(|err| spooling(err.into_error()))?;
        file.rewind().map_err(spooling)?;
        let mut lines = BufReader::with_capacity(1 << 16, file).lines();
        loop {
            let (mut numbers, mut all) = (Vec::with_capacity(PAGE), Vec::with_capacity(PAGE));
            for line in lines.by_ref().take(PAGE) {
                let line = line.map_err(spooling)?;
                let (number, text) = line.split_once(' ').unwrap_or_default();
                let mut fields: Fields = serde_json::from_str(text).map_err(|err| spooling(err.into()))?;
                fields.remove("type");
                numbers.push(number.to_owned());
                all.push(fields);
            }
            if all.is_empty() {
                return Ok(());
            }
            take(numbers, all)?;
        }
    }
}

fn spooling(err: io::Error) -> Error {
    Error::Input { what: "the lines, which are kept in a temporary file".to_owned(), err }
}

fn name(fields: &Fields) -> String {
    fields.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The commands that rotations of a token would run.
fn commands(fields: &Fields) -> Vec<Brought> {
    let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let all = ["destination_command", "hook"].map(text).into_iter().filter(|command| !command.is_empty());
    all.map(|command| Brought { name: text("name"), id: text("id"), command }).collect()
}

/// The error of the line with this number.
pub fn refused(number: &str, err: BadLine) -> Error {
    match err {
        BadLine::Content(why) => bad(number, &why),
        BadLine::Store(err) => err.into(),
    }
}

fn conflict_error(name: &str, conflict: Conflict) -> Error {
    let hint = "nothing was imported; `--skip-existing` skips what the store has already";
    let policy = |why: String, hint: &str| Error::Policy(Invalid::new(why).hint(hint));
    match conflict {
        Conflict::Name => policy(format!("the name `{name}` is taken"), hint),
        Conflict::Known => policy(format!("the store has `{name}` already, or one of its secrets"), hint),
        Conflict::Pruned => policy(
            format!("a secret of `{name}` was in the store before, and has expired or was revoked"),
            "nothing was imported; take the token out of the file",
        ),
        Conflict::Undelivered => policy(
            format!("no secret of `{name}` was delivered when it was exported"),
            "nothing was imported; take the token out of the file",
        ),
        Conflict::NoScope(scope) => {
            Error::NotFound { what: Subject::Scope, name: scope.to_string(), nearest: None }
        }
    }
}

/// The error for the first of several conflicts. It names the tokens of the others.
fn with_others(err: Error, names: &[String]) -> Error {
    match err {
        Error::Policy(invalid) if names.len() > 1 => {
            let others: Vec<String> =
                names[1..].iter().take(NAMED).map(|name| format!("`{}`", shown(name))).collect();
            let rest = names.len() - 1 - others.len();
            let rest = if rest == 0 { String::new() } else { format!(" and {rest} more") };
            let others = others.join(", ");
            let message =
                format!("{}, and {} more tokens conflict: {others}{rest}", invalid.message, names.len() - 1);
            Error::Policy(Invalid { message, ..invalid })
        }
        err => err,
    }
}

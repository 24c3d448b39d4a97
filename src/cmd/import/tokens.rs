//! Imports single tokens into a store that has others, all of them or none.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};

use super::{Import, ahead, step};
use crate::app::{App, Outcome};
use crate::cmd::args::arrivals::{self, Arrivals};
use crate::cmd::args::lines::{Chunk, Lines, Tally, bad};
use crate::domain::Invalid;
use crate::domain::event::Author;
use crate::domain::text::shown;
use crate::error::{Error, Subject};
use crate::store::{BadLine, Batch, Conflict, Fields, Joins, TokenCommand, Write as Transaction};

impl Import {
    /// Inserts single tokens. All lines are read before the lock is taken, since a pipe may be slow.
    pub(super) fn tokens(
        &self,
        app: &mut App<'_>,
        lines: &mut Lines,
        author: &Author,
    ) -> Result<Outcome, Error> {
        let (mut spool, mut tally, mut brought) = (Spool::new()?, Tally::default(), Vec::new());
        let look = |chunk: &Chunk| {
            let (mut text, mut found) = (Vec::with_capacity(chunk.text.len()), Vec::new());
            chunk.each(&mut tally, |number, kind, fields, line| {
                if kind == "token" {
                    found.extend(commands(&fields));
                    text.extend_from_slice(format!("{number} ").as_bytes());
                    text.extend_from_slice(line);
                }
                Ok(())
            })?;
            Ok::<_, Error>((text, found))
        };
        ahead::each(
            || lines.chunk(),
            look,
            |chunk, looked| {
                let (text, found) = looked?;
                spool.0.write_all(&text).map_err(spooling)?;
                brought.extend(found);
                step(app, &chunk)
            },
        )?;
        tally.finish(lines.number())?;
        let mut store = arrivals::store(app, author, self.dry_run)?;
        if !self.dry_run {
            self.commands.confirm(app, "the file", &brought)?;
        }
        store.keep_pages()?;
        let entered = store.write(&*app.ctx.machine, author, |tx| self.enter(tx, spool))?;
        if !self.dry_run {
            store = arrivals::settle(app, author, store)?;
        }
        arrivals::report(app, &store, &entered, "imported", self.dry_run)
    }

    fn enter(&self, tx: &Transaction<'_>, spool: Spool) -> Result<Arrivals, Error> {
        let (mut joins, mut joiner) = Joins::new(tx, &tx.catalogue()?)?;
        let (mut entered, mut conflicts, mut first) = (Arrivals::default(), Vec::new(), None);
        let (mut kept, mut tally) = (spool.rewound()?, Tally::default());
        let rows = |chunk: &Chunk| {
            let (mut batch, mut newcomers) = (Batch::default(), Vec::new());
            let done = chunk.each(&mut tally, |number, _, fields, _| {
                newcomers.push(joiner.line(number, fields, &mut batch).map_err(|err| refused(number, err))?);
                Ok(())
            });
            (batch, newcomers, done)
        };
        ahead::each(
            || spooled(&mut kept),
            rows,
            |_, (batch, newcomers, done)| {
                for mut it in newcomers {
                    match joins.enter(&batch, &mut it).map_err(|err| refused(it.line(), err))? {
                        Ok(()) => entered.add(&it.token),
                        Err(Conflict::Name | Conflict::Known) if self.skip_existing => {}
                        Err(conflict) => {
                            first.get_or_insert_with(|| conflict_error(&it.token.name, conflict));
                            conflicts.push(it.token.name.to_string());
                        }
                    }
                }
                done
            },
        )?;
        joins.finish()?;
        first.map_or(Ok(entered), |err| Err(with_others(err, &conflicts)))
    }
}

/// How many tokens are parsed at once.
const AT_ONCE: usize = 200;
/// How many conflicting tokens a message names.
const NAMED: usize = 100;

/// The lines of tokens with their numbers, in a temporary file.
struct Spool(BufWriter<File>);

impl Spool {
    fn new() -> Result<Self, Error> {
        Ok(Self(BufWriter::new(tempfile::tempfile().map_err(spooling)?)))
    }

    fn rewound(self) -> Result<BufReader<File>, Error> {
        let mut file = self.0.into_inner().map_err(|err| spooling(err.into_error()))?;
        file.rewind().map_err(spooling)?;
        Ok(BufReader::with_capacity(1 << 16, file))
    }
}

/// Some of the lines; none of them at the end.
fn spooled(kept: &mut BufReader<File>) -> Result<Chunk, Error> {
    let mut chunk = Chunk::default();
    while chunk.lines.len() < AT_ONCE {
        let from = chunk.text.len();
        kept.read_until(b'\n', &mut chunk.text).map_err(spooling)?;
        let line = &chunk.text[from..];
        let Some(blank) = line.iter().position(|byte| *byte == b' ') else { break };
        let number = std::str::from_utf8(&line[..blank]).ok().and_then(|number| number.parse().ok());
        chunk.lines.push((number.unwrap_or_default(), from + blank..chunk.text.len()));
    }
    Ok(chunk)
}

fn spooling(err: io::Error) -> Error {
    Error::Input { what: "the lines, which are kept in a temporary file".to_owned(), err }
}

/// The commands that rotations of a token would run.
fn commands(fields: &Fields<'_>) -> Vec<TokenCommand> {
    let text = |key: &str| fields.text(key).to_owned();
    let all = ["destination_command", "hook"].map(text).into_iter().filter(|command| !command.is_empty());
    all.map(|command| TokenCommand { name: text("name"), id: text("id"), command }).collect()
}

/// The error of the line with this number.
pub fn refused(number: usize, err: BadLine) -> Error {
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

//! `import`: a store, or tokens, from what `export` wrote.

use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use serde_json::Value;

use crate::app::{App, Outcome};
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::commands::CommandsArgs;
use crate::cmd::args::lines::{Lines, bad};
use crate::cmd::args::many::{self, Done};
use crate::domain::Invalid;
use crate::domain::event::Author;
use crate::error::{Error, Subject};
use crate::store::{self, BadLine, Brought, Conflict, Importer, Live, StoreError};
use crate::ui::json::ManyDoc;

#[derive(Args)]
pub struct Import {
    /// What `tokenctl export` wrote; `-` reads it from stdin
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Leave out tokens whose name, id or secret the store has
    #[arg(long)]
    skip_existing: bool,
    #[command(flatten)]
    commands: CommandsArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Import {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let author = self.change.author(app);
        let (mut lines, head) = Lines::open(self.input(app)?)?;
        let unused = store::unused(&app.location()?)?;
        match (head, unused) {
            (Some(head), Some(live)) => {
                let mut importer = Importer::new(&*app.ctx.machine, &author)?;
                while let Some((kind, fields)) = lines.next()? {
                    importer.line(&kind, fields).map_err(|err| refused(&lines, err))?;
                }
                let finished = importer.finish::<Error>(head, live, &*app.ctx.machine, &mut |_| Ok(()));
                let whole = finished.map_err(|err| self.not_sound(err))?;
                self.commands.admit(app, "the file", &whole.commands)?;
                let made = whole.live == Live::Missing;
                whole.install(&app.location()?, &*app.ctx.machine)?;
                answer_whole(app, usize::try_from(whole.tokens()).unwrap_or(0), made)
            }
            _ => self.tokens(app, &mut lines, &author),
        }
    }

    fn input(&self, app: &mut App<'_>) -> Result<Box<dyn Read>, Error> {
        if self.file == Path::new("-") {
            return Ok(std::mem::replace(&mut app.ctx.stdin, Box::new(io::empty())));
        }
        let failed = |err| Error::Input { what: format!("`{}`", self.file.display()), err };
        app.ctx.machine.open(&self.file).map_err(failed)
    }

    /// That each line is one, but all of them together are no store.
    fn not_sound(&self, err: Error) -> Error {
        match err {
            Error::Store(StoreError::Damaged(why)) => {
                let hint = "nothing was changed; it is not what `tokenctl export` wrote";
                Invalid::new(format!("`{}` cannot be imported: {why}", self.file.display())).hint(hint).into()
            }
            err => err,
        }
    }

    /// Enters single tokens. All lines are read before the lock is taken, since a pipe may be slow.
    fn tokens(&self, app: &mut App<'_>, lines: &mut Lines, author: &Author) -> Result<Outcome, Error> {
        let spooling =
            |err| Error::Input { what: "the lines, which are kept in a temporary file".to_owned(), err };
        let mut spool = tempfile::tempfile().map_err(spooling)?;
        let mut brought = Vec::new();
        while let Some((kind, fields)) = lines.next()? {
            if kind == "token" {
                brought.extend(commands(&fields));
                writeln!(spool, "{} {}", lines.number(), Value::from(fields)).map_err(spooling)?;
            }
        }
        spool.rewind().map_err(spooling)?;
        self.commands.admit(app, "the file", &brought)?;
        let store = app.open_or_make(author)?;
        let entered = store.write(&*app.ctx.machine, author, |tx| {
            let catalogue = tx.catalogue()?;
            let mut done = Vec::new();
            let mut first = None;
            for line in BufReader::new(&spool).lines() {
                let line = line.map_err(spooling)?;
                let (number, text) = line.split_once(' ').unwrap_or_default();
                let Ok(Value::Object(fields)) = serde_json::from_str(text) else { continue };
                let name = fields.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                match tx.import_token(fields, &catalogue).map_err(|err| at(number, err))? {
                    Ok(token) => done.push(Done { token, changed: true, error: None }),
                    Err(Conflict::Name | Conflict::Known) if self.skip_existing => {}
                    Err(conflict) => {
                        let err = conflict_error(&name, conflict);
                        first = Some(first.map_or_else(|| (err, 1), |(it, count)| (it, count + 1)));
                    }
                }
            }
            first.map_or(Ok(done), |(err, count)| Err(with_others(err, count)))
        })?;
        let now = app.ctx.machine.now()?;
        many::answer(app, &store, &entered, "imported", now)
    }
}

fn answer_whole(app: &mut App<'_>, count: usize, made: bool) -> Result<Outcome, Error> {
    if app.json() {
        app.print_json(&ManyDoc { changed: true, dry_run: false, count, tokens: Vec::new() })?;
    } else {
        let what = if made { "made a store" } else { "filled the store" };
        app.talk().note(&format!("{what} with {count} tokens and their history"));
    }
    Ok(Outcome::Done)
}

/// The commands that rotations of a token would run.
fn commands(fields: &serde_json::Map<String, Value>) -> Vec<Brought> {
    let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let all = ["destination_command", "hook"].map(text).into_iter().filter(|command| !command.is_empty());
    all.map(|command| Brought { name: text("name"), id: text("id"), command }).collect()
}

fn refused(lines: &Lines, err: BadLine) -> Error {
    at(&lines.number().to_string(), err)
}

fn at(number: &str, err: BadLine) -> Error {
    match err {
        BadLine::Content(why) => bad(number, &why),
        BadLine::Store(err) => err.into(),
    }
}

fn conflict_error(name: &str, conflict: Conflict) -> Error {
    let hint = "nothing was imported; `--skip-existing` leaves out what the store has";
    let policy = |why: String, hint: &str| Error::Policy(Invalid::new(why).hint(hint));
    match conflict {
        Conflict::Name => policy(format!("the name `{name}` is taken"), hint),
        Conflict::Known => policy(format!("the store has `{name}` already, or one of its secrets"), hint),
        Conflict::Pruned => policy(
            format!("the store had a secret of `{name}`, and it ended"),
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

/// The first of several conflicts, which says how many there are.
fn with_others(err: Error, count: usize) -> Error {
    match err {
        Error::Policy(invalid) if count > 1 => {
            let message = format!("{}, and {} more tokens conflict", invalid.message, count - 1);
            Error::Policy(Invalid { message, ..invalid })
        }
        err => err,
    }
}

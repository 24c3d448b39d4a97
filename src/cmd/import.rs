//! `import`: reads a store, or single tokens, from an export.

mod ahead;
mod tokens;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use crate::app::{App, Outcome};
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::commands::CommandsArgs;
use crate::cmd::args::lines::{Chunk, Lines, Tally};
use crate::domain::Invalid;
use crate::error::Error;
use crate::store::{self, Batch, Importer, Live, Step, StoreError, Taker};
use crate::ui::json::ManyDoc;

#[derive(Args)]
pub struct Import {
    /// The file that `tokenctl export` wrote; `-` reads stdin
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Skip tokens whose name, id or secret is in the store already
    #[arg(long)]
    skip_existing: bool,
    /// Check every line, show what would be imported, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
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
                let (mut taker, mut tally) = (Taker::new()?, Tally::default());
                let rows = |chunk: &Chunk| {
                    let mut batch = Batch::default();
                    let done = chunk.each(&mut tally, |number, kind, fields, _| {
                        taker
                            .line(number, kind, fields, &mut batch)
                            .map_err(|err| tokens::refused(number, err))
                    });
                    (batch, done)
                };
                ahead::each(
                    || lines.chunk(),
                    rows,
                    |chunk, (batch, done)| {
                        importer.enter(&batch).map_err(|(number, err)| tokens::refused(number, err))?;
                        step(app, &chunk)?;
                        done
                    },
                )?;
                tally.finish(lines.number())?;
                let now = app.ctx.machine.now()?;
                let finished = importer.finish::<Error>(taker, head, live, now, &mut |step| app.step(&step));
                let whole = finished.map_err(|err| self.not_sound(err))?;
                if !self.dry_run {
                    self.commands.confirm(app, "the file", &whole.commands)?;
                    whole.install(&app.location()?, &*app.ctx.machine)?;
                }
                self.report_whole(app, usize::try_from(whole.tokens()).unwrap_or(0), &whole.live)
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

    /// The error if every line is valid, but the lines together are not a store.
    fn not_sound(&self, err: Error) -> Error {
        match err {
            Error::Store(StoreError::Damaged(why)) => {
                let hint = "nothing was changed; it is not what `tokenctl export` wrote";
                Invalid::new(format!("`{}` cannot be imported: {why}", self.file.display())).hint(hint).into()
            }
            err => err,
        }
    }

    fn report_whole(&self, app: &mut App<'_>, count: usize, live: &Live) -> Result<Outcome, Error> {
        if app.json() {
            let (changed, dry_run) = (!self.dry_run, self.dry_run);
            app.print_json(&ManyDoc { changed, dry_run, count, tokens: Vec::new() })?;
            return Ok(Outcome::Done);
        }
        let what = match (live, self.dry_run) {
            (Live::Missing, false) => "created a store",
            (Live::Missing, true) => "it would create a store",
            (_, false) => "filled the store",
            (_, true) => "it would fill the store",
        };
        let end = if self.dry_run { "; nothing was changed" } else { "" };
        app.talk().note(&format!("{what} with {count} tokens and their history{end}"));
        Ok(Outcome::Done)
    }
}

/// Shows from time to time how many lines were read.
fn step(app: &mut App<'_>, chunk: &Chunk) -> Result<(), Error> {
    chunk.lines.last().map_or(Ok(()), |(number, _)| app.step(&Step::new("reading lines", *number, 0)))
}

//! `export`: the store as JSON lines, without secrets.

use std::io::{self, BufWriter, Write};

use clap::Args;

use crate::app::{App, Outcome};
use crate::cmd::args::select::{FilterArgs, known_scopes};
use crate::domain::event::Author;
use crate::domain::filter::Filter;
use crate::domain::token::Token;
use crate::error::Error;
use crate::store::Extent;

#[derive(Args)]
pub struct Export {
    /// Leave out settings and history: tokens and scopes only
    #[arg(long)]
    tokens: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

impl Export {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let author = Author { actor: app.ctx.machine.actor(), reason: None, accept_clock: false };
        let store = app.open_to_read()?;
        let now = app.ctx.machine.now()?;
        let chosen = self.filter.filter();
        let history = !self.tokens && chosen.is_empty();
        let filter = Filter { all: chosen.is_empty(), ..chosen };
        let catalogue = known_scopes(&store, &filter.scopes)?;
        let times = store.times(now);
        let includes = |token: &Token| history || filter.meets(token, &times, &catalogue);
        let extent = Extent { history, includes: &includes };
        let (machine, stdout) = (&*app.ctx.machine, &mut app.ctx.stdout);
        let mut out = BufWriter::with_capacity(1 << 16, stdout);
        store.export(
            &extent,
            machine,
            &author,
            &mut |line| writeln!(out, "{line}").map_err(failed),
            &mut |_| Ok(()),
        )?;
        out.flush().map_err(failed)?;
        Ok(Outcome::Done)
    }
}

/// Half an export is none, so that a reader that goes away is a failure here.
fn failed(err: io::Error) -> Error {
    match err.kind() {
        io::ErrorKind::BrokenPipe => Error::Output(io::Error::other("the reader went away before the end")),
        _ => Error::Output(err),
    }
}

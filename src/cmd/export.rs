//! `export`: the store as JSON lines, without secrets.

use std::cell::RefCell;
use std::io::{BufWriter, Write};

use clap::Args;

use crate::app::{App, Outcome, check_kept, cut_short};
use crate::cmd::args::select::{FilterArgs, filtered, known_scopes};
use crate::domain::Invalid;
use crate::domain::event::Author;
use crate::domain::filter::Filter;
use crate::domain::token::Token;
use crate::error::Error;
use crate::store::{Extent, Store};
use crate::ui::toml;

/// How many bytes are written at once.
const BUFFER: usize = 1 << 16;

#[derive(Args)]
pub struct Export {
    /// Write only tokens and scopes, without settings and history
    #[arg(long)]
    tokens: bool,
    /// Write settings, scopes and working tokens as a TOML file for `tokenctl apply`
    #[arg(long, conflicts_with = "tokens")]
    toml: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

impl Export {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let author = Author { actor: app.ctx.machine.actor(), reason: None, accept_clock: false };
        if self.toml && app.json() {
            return Err(Invalid::new("`--json` cannot be combined with TOML on stdout")
                .hint("use only one of them")
                .into());
        }
        check_kept(&*app.ctx.stdout)?;
        let store = app.open_to_read()?;
        if self.toml {
            return self.write_wanted(app, &store);
        }
        let now = app.ctx.machine.now()?;
        let chosen = self.filter.filter();
        let history = !self.tokens && chosen.is_empty();
        let filter = Filter { all: chosen.is_empty(), ..chosen };
        let catalogue = known_scopes(&store, &filter.scopes)?;
        let times = store.times(now);
        let includes = |token: &Token| history || filter.meets(token, &times, &catalogue);
        let extent = Extent { history, includes: &includes };
        // The progress and the export may go to the same terminal.
        let (app, mut text) = (RefCell::new(app), Vec::with_capacity(BUFFER));
        let flush = |text: &mut Vec<u8>| {
            let mut app = app.borrow_mut();
            app.clear();
            let written = app.ctx.stdout.write_all(text).and_then(|()| app.ctx.stdout.flush());
            text.clear();
            written.map_err(cut_short)
        };
        store.export(
            &extent,
            &now,
            &author,
            &mut |line| {
                text.extend_from_slice(line.as_bytes());
                text.push(b'\n');
                if text.len() < BUFFER { Ok(()) } else { flush(&mut text) }
            },
            &mut |step| app.borrow_mut().step(&step),
        )?;
        flush(&mut text)?;
        Ok(Outcome::Done)
    }
}

impl Export {
    /// Writes the store as a file of wanted tokens. Revoked and expired tokens are left out.
    fn write_wanted(&self, app: &mut App<'_>, store: &Store) -> Result<Outcome, Error> {
        let now = app.ctx.machine.now()?;
        let (settings, catalogue) =
            store.read(|view| Ok::<_, Error>((view.settings()?, view.catalogue()?)))?;
        let filter = self.filter.filter();
        let required = known_scopes(store, &filter.scopes)?;
        let mut out = BufWriter::with_capacity(BUFFER, &mut *app.ctx.stdout);
        let mut put = |text: &str| out.write_all(text.as_bytes()).map_err(cut_short);
        put(&toml::settings(&settings))?;
        catalogue.iter().try_for_each(|entry| put(&toml::scope(entry)))?;
        let has_scopes = !catalogue.is_empty();
        let mut left_out = 0;
        filtered(store, &Filter { all: true, ..filter }, &required, now, now, |page| {
            for token in page {
                if token.status(now).is_over() || token.has_expired(now) || token.current().is_none() {
                    left_out += 1;
                } else {
                    put(&toml::token(&token, has_scopes))?;
                }
            }
            Ok(())
        })?;
        out.flush().map_err(cut_short)?;
        drop(out);
        if left_out > 0 {
            app.talk().note(&format!(
                "left out, since they are revoked, expired or were never delivered: {left_out}"
            ));
        }
        Ok(Outcome::Done)
    }
}

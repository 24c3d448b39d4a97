//! `show`: everything about one token.

use clap::Args;

use crate::app::{App, Outcome};
use crate::cmd::args::select::Reference;
use crate::cmd::args::takes::Takes;
use crate::error::Error;
use crate::ui::json::{EventDoc, ShowDoc, TokenDoc};
use crate::ui::page;

/// How many of the last events are shown.
const EVENTS: i64 = 10;

#[derive(Args)]
pub struct Show {
    /// The token, by name or id
    #[arg(value_name = "NAME", add = Takes::Token)]
    name: Reference,
}

impl Show {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let store = app.open_to_read()?;
        let now = app.ctx.machine.now()?;
        let (token, events) = store.read(|view| {
            let token = self.name.resolve(view, now)?;
            let events = view.last_events(&token.id, EVENTS)?;
            Ok::<_, Error>((token, events))
        })?;
        let times = store.times(now);
        if app.json() {
            let events = events.iter().map(EventDoc::new).collect();
            app.print_json(&ShowDoc { token: TokenDoc::whole(&token, &times), events })?;
        } else {
            app.print_paged(&page::token(&token, &events, &times, app.screen()))?;
        }
        Ok(Outcome::Done)
    }
}

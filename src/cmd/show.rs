//! `show`: everything about one token.

use clap::Args;

use crate::app::{App, Outcome};
use crate::cmd::args::fold::confirmed_by;
use crate::cmd::args::select::Reference;
use crate::cmd::args::takes::Takes;
use crate::domain::event::Event;
use crate::error::Error;
use crate::store::View;
use crate::ui::json::{EventDoc, ShowDoc, TokenDoc};
use crate::ui::page;

/// How many of the last events are shown.
const SHOWN: usize = 10;
/// How many of the last events JSON contains. For text, twice as many are read.
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
            let events =
                if app.json() { view.last_events(&token.id, EVENTS)? } else { folded(view, &token.id)? };
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

/// The last events of a token, without confirmations.
fn folded(view: &View<'_>, id: &str) -> Result<Vec<Event>, Error> {
    let mut kept = Vec::new();
    // At least half of the events are kept, so twice as many are enough.
    for event in view.last_events(id, 2 * EVENTS)?.into_iter().rev() {
        if kept.len() < SHOWN && confirmed_by(view, &event)?.is_none() {
            kept.push(event);
        }
    }
    kept.reverse();
    Ok(kept)
}

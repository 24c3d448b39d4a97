//! Selects the events of the log, shortens them for people, and orders them.

use std::io::Write;

use clap::Args;

use crate::app::{App, Outcome};
use crate::cmd::args::fold::confirmed_by;
use crate::cmd::args::select::Reference;
use crate::cmd::args::takes::Takes;
use crate::domain::event::{Action, Event, Query};
use crate::domain::when::{Edge, Past};
use crate::error::Error;
use crate::store::{FIRST, PAGE, Store, View};
use crate::ui::Screen;
use crate::ui::log::{Format, Log as Writer};

#[derive(Args)]
pub struct LogArgs {
    /// Show only events of this token
    #[arg(long, value_name = "NAME", add = Takes::Token)]
    token: Option<Reference>,
    /// Show only events since a date, an RFC 3339 time, `today`, `yesterday`, or a time ago like `7d`
    #[arg(long, value_name = "WHEN")]
    since: Option<Past>,
    /// Show only events until this time, given in the same way
    #[arg(long, value_name = "WHEN")]
    until: Option<Past>,
    /// Show only these actions, like `create` or `revoke`
    #[arg(long = "action", value_name = "A,B", value_delimiter = ',', add = Takes::Action)]
    actions: Vec<Action>,
    /// Show only events of this user: a login, the user who ran sudo, or a uid
    #[arg(long, value_name = "LOGIN")]
    actor: Option<String>,
    /// Show the newest first
    #[arg(long)]
    reverse: bool,
    /// Show only the newest N
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Show confirmations as separate lines of the table
    #[arg(long)]
    all: bool,
    /// Print table, tsv, csv, json or jsonl [default: table on a terminal, else tsv]
    #[arg(long, value_name = "FORMAT", add = Takes::Format)]
    format: Option<Format>,
}

impl LogArgs {
    pub fn run(&self, app: &mut App<'_>, store: &Store) -> Result<Outcome, Error> {
        let usual = if app.ctx.terminal.stdout { Format::Table } else { Format::Tsv };
        let format = app.format(self.format, Format::Json)?.unwrap_or(usual);
        let query = self.query(app, store)?;
        let is_table = format == Format::Table;
        let folds = is_table && !self.all && !self.actions.contains(&Action::Confirm);
        let (log, screen) = (Log { store, query, folds }, app.screen());
        let write = |out: &mut dyn Write| self.write(&log, format, screen, out);
        if is_table && !self.reverse { app.paged_from_end(write) } else { app.paged(is_table, write) }?;
        Ok(Outcome::Done)
    }

    fn query(&self, app: &App<'_>, store: &Store) -> Result<Query, Error> {
        let machine = &*app.ctx.machine;
        let now = machine.now()?;
        let at = |when: Option<Past>, edge| when.map(|when| when.resolve(now, machine, edge)).transpose();
        let token = match &self.token {
            Some(name) => Some(store.read(|view| name.resolve_logged(view, now))?),
            None => None,
        };
        Ok(Query {
            token,
            since: at(self.since, Edge::Start)?,
            until: at(self.until, Edge::End)?,
            actions: self.actions.clone(),
            actor: self.actor.clone(),
        })
    }

    fn write(&self, log: &Log<'_>, format: Format, screen: Screen, out: &mut dyn Write) -> Result<(), Error> {
        let mut writer = Writer::new(format, screen, out);
        let mut left = self.limit.unwrap_or(usize::MAX);
        if self.limit.is_none() || self.reverse {
            log.walk(self.reverse, |mut page| {
                page.truncate(left);
                left -= page.len();
                writer.page(&page).map_err(Error::Output)?;
                Ok(left > 0)
            })?;
        } else {
            // The newest events are read from the end, and then reversed.
            let mut newest = Vec::new();
            log.walk(true, |page| {
                newest.extend(page);
                newest.truncate(left);
                Ok(newest.len() < left)
            })?;
            newest.reverse();
            for page in newest.chunks(PAGE) {
                writer.page(page).map_err(Error::Output)?;
            }
        }
        writer.finish().map_err(Error::Output)
    }
}

/// The selected events, read from a store.
struct Log<'a> {
    store: &'a Store,
    query: Query,
    /// Leaves out a confirmation whose creation or rotation is selected too.
    folds: bool,
}

impl Log<'_> {
    /// Reads page after page, until the end or until `take` stops it.
    fn walk(
        &self,
        reverse: bool,
        mut take: impl FnMut(Vec<Event>) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let token = self.query.token.as_deref();
        let mut from = if reverse { i64::MAX } else { FIRST };
        loop {
            let (next, page) = self.store.read(|view| {
                let page = if reverse {
                    view.page_of_events_back(from, token)?
                } else {
                    view.page_of_events(from, token)?
                };
                let last = page.last().map(|last| last.seq);
                let next = last.and_then(|last| last.checked_add(if reverse { -1 } else { 1 }));
                let mut kept = Vec::new();
                for event in page {
                    if self.query.meets(&event) && !self.is_folded(view, &event)? {
                        kept.push(event);
                    }
                }
                Ok::<_, Error>((next, kept))
            })?;
            match next {
                Some(next) if take(page)? => from = next,
                _ => return Ok(()),
            }
        }
    }

    /// Whether an event confirms a delivery that the same actor began, and whose first event is selected too.
    fn is_folded(&self, view: &View<'_>, event: &Event) -> Result<bool, Error> {
        Ok(self.folds && confirmed_by(view, event)?.is_some_and(|begun| self.query.meets(&begun)))
    }
}

//! `list`: the tokens, filtered and sorted, in one of the formats.

mod stream;

use std::io::Write;

use clap::Args;

use crate::app::{App, Outcome};
use crate::cmd::args::at::future;
use crate::cmd::args::select::{FILTERS, FilterArgs, filtered, known_scopes};
use crate::cmd::args::takes::Takes;
use crate::domain::Invalid;
use crate::domain::filter::{Filter, Times};
use crate::domain::scope::Catalogue;
use crate::domain::token::{Status, Token};
use crate::domain::when::{Timestamp, When};
use crate::error::Error;
use crate::store::{PAGE, Store};
use crate::ui::column::{COLUMNS, Chosen};
use crate::ui::list::{Format, List as Writer};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Sort {
    Name,
    Status,
    Owner,
    #[value(aliases = ["created_at", "created-at"])]
    Created,
    #[value(aliases = ["expires_at", "expires-at"])]
    Expires,
    #[value(aliases = ["due_at", "due-at"])]
    Due,
    #[value(aliases = ["last_used", "last_used_at", "last-used-at"])]
    LastUsed,
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    filter: FilterArgs,
    /// List revoked and expired tokens too
    #[arg(long, help_heading = FILTERS)]
    all: bool,
    /// Sort by name, status, owner, created, expires, due or last-used; tokens without a value come last
    #[arg(
        long,
        value_name = "KEY",
        value_enum,
        default_value = "name",
        hide_possible_values = true,
        hide_default_value = true
    )]
    sort: Sort,
    /// Reverse the order
    #[arg(long)]
    reverse: bool,
    /// List at most this many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[arg(long, value_name = "A,B", value_delimiter = ',', help = columns(), add = Takes::Column)]
    columns: Option<Vec<Chosen>>,
    /// Show the tokens as they will be at this instant if nothing changes until then
    #[arg(long, value_name = "WHEN")]
    at: Option<When>,
    /// Print table, tsv, csv, json, jsonl or names [default: table on a terminal, else tsv]
    #[arg(long, value_name = "FORMAT", add = Takes::Format)]
    format: Option<Format>,
}

fn columns() -> String {
    format!("Show these of the columns {}", COLUMNS.each_ref().map(|column| column.word).join(", "))
}

impl List {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let format = self.format(app)?;
        let at = future(self.at, &*app.ctx.machine)?;
        let mut store = app.open_to_read()?;
        let now = app.ctx.machine.now()?;
        let filter = Filter { all: self.all, ..self.filter.filter() };
        let catalogue = known_scopes(&store, &filter.scopes)?;
        let times = Times { at: at.unwrap_or(now), ..store.times(now) };

        let screen = app.screen();
        let count = app.paged(format == Format::Table, |out| {
            let mut list = Writer::new(format, self.columns.clone(), times, screen);
            if self.sort == Sort::Name && filter.hides_what_is_over() {
                self.stream(&mut store, (&filter, &catalogue), times, &mut list, out)?;
            } else {
                self.sorted(&store, (&filter, &catalogue), times, &mut list, out)?;
            }
            let end = list.end();
            if list.count > 0 || format != Format::Table {
                out.write_all(&end).and_then(|()| out.flush()).map_err(Error::Output)?;
            }
            Ok(list.count)
        })?;
        let hides = filter.hides_what_is_over() && filter.is_empty() && self.limit != Some(0);
        if format == Format::Table && count == 0 {
            app.talk().note(&empty(&store, hides, times.at)?);
        } else if format == Format::Table && hides {
            let hidden = store.read(|view| view.count_over(times.at))?;
            if hidden > 0 {
                app.talk().note(&format!("+{hidden} hidden (revoked or expired), --all shows them"));
            }
        }
        Ok(Outcome::Done)
    }

    fn format(&self, app: &App<'_>) -> Result<Format, Error> {
        let usual = if app.ctx.terminal.stdout { Format::Table } else { Format::Tsv };
        let format = app.format(self.format, Format::Json)?.unwrap_or(usual);
        if self.columns.is_some() && !matches!(format, Format::Table | Format::Tsv | Format::Csv) {
            return Err(Invalid::new("`--columns` has no meaning in this format")
                .hint("use table, tsv or csv")
                .into());
        }
        Ok(format)
    }

    /// Sorts the keys first and then reads the tokens, so that only the keys are all in memory.
    fn sorted(
        &self,
        store: &Store,
        (filter, catalogue): (&Filter, &Catalogue),
        times: Times,
        list: &mut Writer,
        out: &mut dyn Write,
    ) -> Result<(), Error> {
        let mut keys = Vec::new();
        filtered(store, filter, catalogue, times.now, times.at, |page| {
            let key = |token: Token| (self.key(&token, times.at), token.name, token.id, token.row);
            keys.extend(page.into_iter().map(key));
            Ok(())
        })?;
        // Tokens without a value are last in both directions. Ties are broken by name if that is the key, else by id.
        keys.sort_by(|a, b| {
            let by_key = match (&a.0, &b.0) {
                (Key::None, Key::None) => std::cmp::Ordering::Equal,
                (Key::None, _) => return std::cmp::Ordering::Greater,
                (_, Key::None) => return std::cmp::Ordering::Less,
                (left, right) if self.reverse => right.cmp(left),
                (left, right) => left.cmp(right),
            };
            by_key.then_with(|| a.2.cmp(&b.2))
        });
        keys.truncate(self.limit.unwrap_or(usize::MAX));
        let rows: Vec<i64> = keys.into_iter().map(|(.., row)| row).collect();
        for rows in rows.chunks(PAGE) {
            let page = store.read(|view| view.tokens(rows, times.now))?;
            list.page(&page, out).map_err(Error::Output)?;
        }
        Ok(())
    }

    fn key(&self, token: &Token, at: Timestamp) -> Key {
        let time = |time: Option<Timestamp>| time.map_or(Key::None, |time| Key::Number(time.unix()));
        match self.sort {
            Sort::Name => Key::Text(token.name.to_string()),
            Sort::Owner => token.owner.clone().map_or(Key::None, Key::Text),
            Sort::Status => {
                let status = token.status(at);
                let rank = Status::ALL.iter().position(|other| *other == status).unwrap_or(0);
                Key::Number(i64::try_from(rank).unwrap_or(0))
            }
            Sort::Created => time(Some(token.created_at)),
            Sort::Expires => time(token.expires_at()),
            Sort::Due => time(token.due_at()),
            Sort::LastUsed => time(token.last_used_at()),
        }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    None,
    Number(i64),
    Text(String),
}

/// Why a list is empty, and what to do about it.
fn empty(store: &Store, hides: bool, at: Timestamp) -> Result<String, Error> {
    let hidden = store.read(|view| view.count_over(at))?;
    Ok(match hidden {
        0 if hides => "no tokens yet; create one with `tokenctl create NAME`".to_owned(),
        hidden if hides => format!("{hidden} hidden (revoked or expired), --all shows them"),
        _ => "no token is selected".to_owned(),
    })
}

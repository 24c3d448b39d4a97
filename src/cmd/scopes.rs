//! `scopes`: the catalogue of scopes, and the scopes of tokens.

mod ask;
mod catalogue;
mod grants;

use clap::{Args, Subcommand};

use crate::app::{App, Outcome};
use crate::domain::event::Action;
use crate::domain::scope::{Entry, Scope};
use crate::domain::text::shown;
use crate::domain::when::{Timestamp, relative};
use crate::error::Error;
use crate::store::StoreError;
use crate::ui::json::ScopeDoc;
use crate::ui::table::{Column, Fill, Table};
use crate::ui::{Screen, escape};
use catalogue::{Define, EditScope, RenameScope, Retire};
use grants::Grants;

#[derive(Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Scopes {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List the scopes that exist
    #[command(visible_alias = "ls")]
    List,
    /// Define a new scope, or bring back a retired one
    Define(Define),
    /// Change the description of a scope, or what it includes
    Edit(EditScope),
    /// Give a scope another name
    Rename(RenameScope),
    /// Retire a scope, so that it can no longer be granted
    Retire(Retire),
    /// Grant scopes to a token
    Add(Grants),
    /// Remove scopes from a token
    Remove(Grants),
    /// Replace the scopes of a token; on a terminal, it asks for them
    #[command(mut_arg("scopes", |arg| arg.required(false)))]
    Set(Grants),
}

impl Scopes {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        match &self.verb {
            Verb::List => list(app),
            Verb::Define(it) => it.run(app),
            Verb::Edit(it) => it.run(app),
            Verb::Rename(it) => it.run(app),
            Verb::Retire(it) => it.run(app),
            Verb::Add(it) => it.run(app, Action::ScopesAdd),
            Verb::Remove(it) => it.run(app, Action::ScopesRemove),
            Verb::Set(it) => it.run(app, Action::ScopesSet),
        }
    }
}

fn list(app: &mut App<'_>) -> Result<Outcome, Error> {
    let store = app.open_to_read()?;
    let (catalogue, counts) =
        store.read(|view| Ok::<_, StoreError>((view.catalogue()?, view.token_counts_by_scope()?)))?;
    let held = |entry: &Entry| counts.get(&entry.row).copied().unwrap_or(0);
    if app.json() {
        let all: Vec<ScopeDoc<'_>> =
            catalogue.iter().map(|entry| ScopeDoc::new(entry, held(entry))).collect();
        app.print_json(&all)?;
        return Ok(Outcome::Done);
    }
    if catalogue.is_empty() {
        app.talk().note("no scopes yet; define one with `tokenctl scopes define SCOPE`");
        return Ok(Outcome::Done);
    }
    let now = app.ctx.machine.now()?;
    let terminal = app.ctx.terminal.stdout;
    let rows = catalogue.iter().map(|entry| {
        let includes: Vec<&str> = entry.includes.iter().map(Scope::as_str).collect();
        let since = |time: Timestamp| if terminal { relative(time, now) } else { time.to_string() };
        let retired = entry.retired_at.map(since).unwrap_or_default();
        let description = entry.description.clone().unwrap_or_default();
        [entry.name.to_string(), includes.join(","), held(entry).to_string(), retired, description]
    });
    let text = if terminal { table(rows, app.screen()) } else { separated(rows) };
    app.print_paged(&text)?;
    Ok(Outcome::Done)
}

fn separated(rows: impl Iterator<Item = [String; 5]>) -> String {
    let mut text = Vec::new();
    for row in rows {
        escape::tsv_line(&row.each_ref().map(String::as_str), &mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn table(rows: impl Iterator<Item = [String; 5]>, screen: Screen) -> String {
    let columns = [
        Column::new("SCOPE", Fill::Wrap(20)),
        Column::new("INCLUDES", Fill::Wrap(16)),
        Column::new("TOKENS", Fill::Whole),
        Column::new("RETIRED", Fill::Whole),
        Column::new("DESCRIPTION", Fill::Wrap(20)),
    ];
    let rows = rows.map(|row| row.map(|text| shown(&text).to_string().into()).into());
    Table::new(screen, columns).headed(rows.collect())
}

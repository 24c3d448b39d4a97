//! `scopes`: the catalogue of those that exist, and which of them a token holds.

mod catalogue;
mod grants;

use clap::{Args, Subcommand};

use super::{App, Outcome};
use crate::domain::event::Action;
use crate::domain::scope::{Entry, Scope};
use crate::domain::text::shown;
use crate::error::Error;
use crate::store::StoreError;
use crate::ui::escape;
use crate::ui::json::ScopeDoc;
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
    /// Add a scope to those that exist, or reopen a retired one
    Define(Define),
    /// Change the description of a scope, or what it includes
    Edit(EditScope),
    /// Give a scope another name
    Rename(RenameScope),
    /// Let a scope be granted no more
    Retire(Retire),
    /// Grant scopes to a token
    Add(Grants),
    /// Take scopes from a token
    Remove(Grants),
    /// Let a token hold exactly these scopes; on a terminal asks which
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
    let (catalogue, holders) =
        store.read(|view| Ok::<_, StoreError>((view.catalogue()?, view.holders_by_scope()?)))?;
    let held = |entry: &Entry| holders.get(&entry.row).copied().unwrap_or(0);
    if app.json() {
        let all: Vec<ScopeDoc<'_>> =
            catalogue.iter().map(|entry| ScopeDoc::new(entry, held(entry))).collect();
        app.print_json(&all)?;
        return Ok(Outcome::Done);
    }
    if catalogue.is_empty() {
        app.talk().note("no scopes yet; `tokenctl scopes define SCOPE` makes one");
        return Ok(Outcome::Done);
    }
    let rows = catalogue.iter().map(|entry| {
        let includes: Vec<&str> = entry.includes.iter().map(Scope::as_str).collect();
        let retired = entry.retired_at.map(|time| time.to_string()).unwrap_or_default();
        let description = entry.description.clone().unwrap_or_default();
        [entry.name.to_string(), includes.join(","), held(entry).to_string(), retired, description]
    });
    let text = if app.ctx.terminal.stdout { aligned(rows, app) } else { separated(rows) };
    app.print(&text)?;
    Ok(Outcome::Done)
}

fn separated(rows: impl Iterator<Item = [String; 5]>) -> String {
    let mut text = Vec::new();
    for row in rows {
        for (at, cell) in row.iter().enumerate() {
            if at > 0 {
                text.push(b'\t');
            }
            escape::tsv(cell, &mut text);
        }
        text.push(b'\n');
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn aligned(rows: impl Iterator<Item = [String; 5]>, app: &App<'_>) -> String {
    use unicode_width::UnicodeWidthStr;
    let heading = ["SCOPE", "INCLUDES", "TOKENS", "RETIRED", "DESCRIPTION"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(heading)
        .chain(rows.map(|row| {
            row.map(|cell| if cell.is_empty() { "-".to_owned() } else { shown(&cell).to_string() })
        }))
        .collect();
    let style = app.out_style();
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
            line.push_str(cell);
            line.push_str(&" ".repeat(width - cell.width() + 2));
        }
        let line = line.trim_end();
        text.push_str(&if at == 0 { style.dim(line) } else { line.to_owned() });
        text.push('\n');
    }
    text
}

//! The questions about scopes: a list of those that exist, with their descriptions and includes.

use std::collections::BTreeSet;

use super::describe::TokenArgs;
use crate::app::prompt::{choice, refuse};
use crate::app::{App, asking};
use crate::context::Question;
use crate::domain::Invalid;
use crate::domain::scope::{Catalogue, Entry, Scope};
use crate::error::Error;

/// Asks on a terminal what a new token is granted, unless a flag says so. If there are scopes, at least one is
/// required.
pub fn grant(app: &mut App<'_>, token: &mut TokenArgs, catalogue: &Catalogue) -> Result<(), Error> {
    if token.grants_something() || catalogue.open().next().is_none() || !app.can_ask() {
        return Ok(());
    }
    loop {
        token.scopes = ask(app, catalogue, &BTreeSet::new())?;
        if !token.scopes.is_empty() {
            return Ok(());
        }
        refuse(
            app,
            Invalid::new("no scope is marked").hint("mark the one under the cursor with space").into(),
        )?;
    }
}

/// Asks which scopes to grant, starting from those that are held now.
pub fn ask(app: &App<'_>, catalogue: &Catalogue, held: &BTreeSet<&Scope>) -> Result<Vec<Scope>, Error> {
    let offered: Vec<&Entry> =
        catalogue.iter().filter(|entry| entry.retired_at.is_none() || held.contains(&entry.name)).collect();
    if offered.is_empty() {
        let none = Invalid::new("no scope can be granted");
        return Err(none.hint("define one with `tokenctl scopes define SCOPE`").into());
    }
    let choices: Vec<_> = offered
        .iter()
        .map(|entry| choice(entry.name.as_str(), &about(entry), held.contains(&entry.name)))
        .collect();
    let hint = "space to mark, a for all, enter to go on";
    let question = Question { text: "Scopes", hint, color: app.look().style.color };
    let marked = app.ctx.machine.choose(&question, &choices).map_err(asking)?;
    Ok(marked.into_iter().filter_map(|at| offered.get(at)).map(|entry| entry.name.clone()).collect())
}

fn about(entry: &Entry) -> String {
    let includes: Vec<&str> = entry.includes.iter().map(Scope::as_str).collect();
    let parts = [
        entry.retired_at.map(|_| "retired".to_owned()),
        (!includes.is_empty()).then(|| format!("includes {}", includes.join(", "))),
        entry.description.clone(),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

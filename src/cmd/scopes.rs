//! `scopes`: the catalogue of those that exist, and which of them a token holds.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};

use super::change::ChangeArgs;
use super::present;
use super::select::{Reference, scope_rows, unknown_scope};
use super::widen::{self, WidenArgs};
use super::{App, Outcome};
use crate::domain::Invalid;
use crate::domain::event::{Action, Author};
use crate::domain::scope::{Catalogue, Entry, Scope};
use crate::domain::text::{Line, shown};
use crate::domain::token::{Grant, Token};
use crate::domain::when::{Clock, Timestamp};
use crate::error::Error;
use crate::store::{Store, StoreError, Write};
use crate::ui::escape;
use crate::ui::json::{ChangedScopeDoc, NamedDoc, ScopeDoc};

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
    /// Let a token hold exactly these scopes
    Set(Grants),
}

#[derive(Args)]
struct Define {
    #[arg(value_name = "SCOPE")]
    scope: Scope,
    /// Say what it allows
    #[arg(short, long, value_name = "TEXT")]
    description: Option<Line>,
    /// Let it allow all that these allow
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    includes: Option<Vec<Scope>>,
    #[command(flatten)]
    widen: WidenArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Args)]
struct EditScope {
    #[arg(value_name = "SCOPE")]
    scope: Scope,
    /// Say what it allows; empty clears it
    #[arg(short, long, value_name = "TEXT")]
    description: Option<Line>,
    /// Let it allow all that these allow, and no others; empty for none
    #[arg(long, value_name = "A,B")]
    includes: Option<Includes>,
    #[command(flatten)]
    widen: WidenArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Scopes joined by commas, or nothing.
#[derive(Debug, Clone)]
struct Includes(Vec<Scope>);

impl std::str::FromStr for Includes {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

#[derive(Args)]
struct RenameScope {
    #[arg(value_name = "SCOPE")]
    scope: Scope,
    #[arg(value_name = "NEW")]
    new: Scope,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Args)]
struct Retire {
    #[arg(value_name = "SCOPE")]
    scope: Scope,
    /// Take it from every token, and from the scopes that include it
    #[arg(long)]
    withdraw: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Args)]
struct Grants {
    /// The token, by name or id
    #[arg(value_name = "TOKEN")]
    token: Reference,
    #[arg(value_name = "SCOPE", required = true, value_delimiter = ',')]
    scopes: Vec<Scope>,
    #[command(flatten)]
    widen: WidenArgs,
    #[command(flatten)]
    change: ChangeArgs,
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

fn entry<'a>(catalogue: &'a Catalogue, scope: &Scope) -> Result<&'a Entry, Error> {
    catalogue.get(scope).ok_or_else(|| unknown_scope(scope, catalogue))
}

/// The unrevoked tokens that may do more, or less, once the catalogue is the other one.
fn affected(
    tx: &Write<'_>,
    before: &Catalogue,
    after: &Catalogue,
    differs: impl Fn(&BTreeSet<&Scope>, &BTreeSet<&Scope>) -> bool,
) -> Result<Vec<Token>, StoreError> {
    let every: Vec<i64> = before.iter().map(|entry| entry.row).collect();
    let holders = tx.holders(&every)?;
    let mut tokens = Vec::new();
    for rows in holders.chunks(crate::store::PAGE) {
        tokens.extend(tx.tokens(rows, tx.now)?.into_iter().filter(|token| {
            let held = |catalogue: &Catalogue| -> BTreeSet<Scope> {
                catalogue
                    .closure(token.grants.values().map(|grant| &grant.scope))
                    .into_iter()
                    .cloned()
                    .collect()
            };
            let (had, has) = (held(before), held(after));
            differs(&had.iter().collect(), &has.iter().collect())
        }));
    }
    Ok(tokens)
}

fn includable(scopes: &[Scope], of: &Scope, catalogue: &Catalogue) -> Result<BTreeSet<Scope>, Error> {
    scope_rows(scopes, catalogue, true)?;
    if catalogue.would_circle(of, scopes) {
        return Err(Invalid::new(format!("`{of}` would include itself"))
            .hint("includes must not run in a circle")
            .into());
    }
    Ok(scopes.iter().cloned().collect())
}

/// A change of the catalogue: the entry as it now is, and whether anything changed.
type Changed = (Entry, bool);

fn change(
    app: &mut App<'_>,
    args: &ChangeArgs,
    widen: &WidenArgs,
    f: impl Fn(&Write<'_>, &Catalogue, bool) -> Result<Changed, Error>,
) -> Result<(Store, Changed), Error> {
    let author = args.author(app);
    let store = app.open_to_write(&author)?;
    let changed = widen.run(app, |app, approved| {
        store.write(&*app.ctx.machine, &author, |tx| f(tx, &tx.catalogue()?, approved))
    })?;
    Ok((store, changed))
}

fn answer(
    app: &mut App<'_>,
    store: &Store,
    entry: &Entry,
    changed: bool,
    from: Option<&[Token]>,
    note: &str,
) -> Result<Outcome, Error> {
    if !app.json() {
        app.talk().note(note);
        return Ok(Outcome::Done);
    }
    let holders = store.read(|view| view.holders_by_scope())?;
    let scope = ScopeDoc::new(entry, holders.get(&entry.row).copied().unwrap_or(0));
    let withdrawn_from =
        from.map(|tokens| tokens.iter().map(|it| NamedDoc { id: Some(&it.id), name: &it.name }).collect());
    app.print_json(&ChangedScopeDoc { scope, changed, withdrawn_from })?;
    Ok(Outcome::Done)
}

impl Define {
    fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let (store, (entry, changed)) = change(app, &self.change, &self.widen, |tx, catalogue, approved| {
            match catalogue.get(&self.scope) {
                None => self.add(tx, catalogue),
                Some(known) if known.retired_at.is_some() => {
                    // Whoever still holds it may be granted it anew: said aloud although nobody gains at once.
                    widen::check(
                        approved,
                        &format!("reopening `{}`", self.scope),
                        tx.holders(&[known.row])?.len().max(1),
                    )?;
                    self.reopen(tx, catalogue, known)
                }
                Some(known) => self.same(known),
            }
        })?;
        let note = if changed { "defined" } else { "nothing changed:" };
        answer(app, &store, &entry, changed, None, &format!("{note} `{}`", entry.name))
    }

    fn wanted(&self, catalogue: &Catalogue) -> Result<BTreeSet<Scope>, Error> {
        includable(self.includes.as_deref().unwrap_or_default(), &self.scope, catalogue)
    }

    fn add(&self, tx: &Write<'_>, catalogue: &Catalogue) -> Result<Changed, Error> {
        let includes = self.wanted(catalogue)?;
        let description = self.description.clone().and_then(Line::into_option);
        let row = tx.insert_scope(&self.scope, description.as_deref())?;
        let name = self.scope.clone();
        let entry = Entry { row, name, description, includes, created_at: tx.now, retired_at: None };
        tx.save_scope(&entry)?;
        tx.record_catalogue(Action::CatalogueDefine)?;
        Ok((entry, true))
    }

    fn reopen(&self, tx: &Write<'_>, catalogue: &Catalogue, known: &Entry) -> Result<Changed, Error> {
        let mut entry = Entry { retired_at: None, ..known.clone() };
        if let Some(text) = &self.description {
            entry.description = text.clone().into_option();
        }
        if self.includes.is_some() {
            entry.includes = self.wanted(catalogue)?;
        }
        tx.save_scope(&entry)?;
        tx.record_catalogue(Action::CatalogueDefine)?;
        Ok((entry, true))
    }

    fn same(&self, known: &Entry) -> Result<Changed, Error> {
        let same_text =
            self.description.as_ref().is_none_or(|text| text.clone().into_option() == known.description);
        let wanted =
            |scopes: &Vec<Scope>| scopes.iter().collect::<BTreeSet<_>>() == known.includes.iter().collect();
        if same_text && self.includes.as_ref().is_none_or(wanted) {
            return Ok((known.clone(), false));
        }
        Err(Error::NameTaken { what: "scope", name: self.scope.to_string() })
    }
}

impl EditScope {
    fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        if self.description.is_none() && self.includes.is_none() {
            return Err(Invalid::new("nothing to change is given")
                .hint("`--description TEXT` or `--includes A,B`")
                .into());
        }
        let (store, (entry, changed)) = change(app, &self.change, &self.widen, |tx, catalogue, approved| {
            let before = entry(catalogue, &self.scope)?;
            let mut after = before.clone();
            if let Some(text) = &self.description {
                after.description = text.clone().into_option();
            }
            if let Some(Includes(scopes)) = &self.includes {
                let kept: Vec<Scope> =
                    scopes.iter().filter(|scope| !before.includes.contains(scope)).cloned().collect();
                includable(&kept, &self.scope, catalogue)?;
                after.includes = scopes.iter().cloned().collect();
            }
            if after == *before {
                return Ok((after, false));
            }
            let wider = catalogue.with_includes(&self.scope, after.includes.clone());
            let gaining = affected(tx, catalogue, &wider, |had, has| !has.is_subset(had))?.len();
            widen::check(approved, &format!("what `{}` includes", self.scope), gaining)?;
            tx.save_scope(&after)?;
            tx.record_catalogue(Action::CatalogueEdit)?;
            Ok((after, true))
        })?;
        let note = if changed { "edited" } else { "nothing changed:" };
        answer(app, &store, &entry, changed, None, &format!("{note} `{}`", entry.name))
    }
}

impl RenameScope {
    fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let never = WidenArgs { allow_widen: true };
        let (store, (entry, changed)) = change(app, &self.change, &never, |tx, catalogue, _| {
            let mut entry = entry(catalogue, &self.scope)?.clone();
            if self.new == self.scope {
                return Ok((entry, false));
            }
            if catalogue.get(&self.new).is_some() {
                return Err(Error::NameTaken { what: "scope", name: self.new.to_string() });
            }
            entry.name = self.new.clone();
            tx.save_scope(&entry)?;
            tx.record_catalogue(Action::CatalogueRename)?;
            Ok((entry, true))
        })?;
        let note = if changed {
            format!("renamed `{}` to `{}`", self.scope, self.new)
        } else {
            "the name is the same".to_owned()
        };
        answer(app, &store, &entry, changed, None, &note)
    }
}

impl Retire {
    fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let author = self.change.author(app);
        let store = app.open_to_write(&author)?;
        if self.withdraw {
            let now = app.ctx.machine.now()?;
            let holders = store.read(|view| {
                let catalogue = view.catalogue()?;
                let holders = view.holders(&[entry(&catalogue, &self.scope)?.row])?;
                Ok::<_, Error>(view.tokens(&holders, now)?.len())
            })?;
            app.confirm(&format!("withdraw `{}` from {holders} tokens that hold it?", self.scope))?;
        }
        let (entry, changed, from) = self.make(app, &store, &author)?;
        let note = match (changed, from.len()) {
            (false, _) => format!("`{}` already is retired", self.scope),
            (true, 0) => format!("retired `{}`", self.scope),
            (true, 1) => format!("retired `{}`, withdrawn from 1 token", self.scope),
            (true, tokens) => format!("retired `{}`, withdrawn from {tokens} tokens", self.scope),
        };
        answer(app, &store, &entry, changed, Some(&from), &note)
    }

    fn make(
        &self,
        app: &App<'_>,
        store: &Store,
        author: &Author,
    ) -> Result<(Entry, bool, Vec<Token>), Error> {
        store.write(&*app.ctx.machine as &dyn Clock, author, |tx| {
            let catalogue = tx.catalogue()?;
            let before = entry(&catalogue, &self.scope)?;
            let mut after = before.clone();
            after.retired_at.get_or_insert(tx.now);
            let mut changed = before.retired_at.is_none();
            let mut from = Vec::new();
            if self.withdraw {
                from = self.withdraw(tx, &catalogue, before)?;
                changed |=
                    !from.is_empty() || catalogue.iter().any(|other| other.includes.contains(&self.scope));
            }
            if changed {
                tx.save_scope(&after)?;
                tx.record_catalogue(Action::CatalogueRetire)?;
            }
            Ok((after, changed, from))
        })
    }

    /// Takes the scope out of the includes of others and from every token. Returns who loses it.
    fn withdraw(&self, tx: &Write<'_>, catalogue: &Catalogue, retired: &Entry) -> Result<Vec<Token>, Error> {
        let without =
            Catalogue::new(catalogue.iter().filter(|other| other.name != self.scope).map(|other| {
                let mut other = other.clone();
                other.includes.remove(&self.scope);
                other
            }));
        let loses = |had: &BTreeSet<&Scope>, _: &BTreeSet<&Scope>| had.contains(&self.scope);
        let from = affected(tx, catalogue, &without, loses)?;
        for other in without.iter().filter(|other| catalogue.get(&other.name) != Some(other)) {
            tx.save_scope(other)?;
        }
        for row in tx.holders(&[retired.row])? {
            let before = tx.token(row, tx.now)?;
            let mut after = before.clone();
            after.grants.remove(&retired.row);
            tx.update(&before, &after, Action::ScopesRemove)?;
        }
        Ok(from)
    }
}

impl Grants {
    fn run(&self, app: &mut App<'_>, action: Action) -> Result<Outcome, Error> {
        let author = self.change.author(app);
        let store = app.open_to_write(&author)?;
        let (token, changed, now) = self.widen.run(app, |app, approved| {
            store.write(&*app.ctx.machine, &author, |tx| self.make(tx, action, approved))
        })?;
        let held: Vec<String> = token.scopes().map(ToString::to_string).collect();
        let held = if held.is_empty() { "no scopes".to_owned() } else { held.join(", ") };
        let already = if changed { "" } else { "already " };
        present::one(app, &store, &token, changed, now, &format!("`{}` {already}holds {held}", token.name))
    }

    fn make(
        &self,
        tx: &Write<'_>,
        action: Action,
        approved: bool,
    ) -> Result<(Token, bool, Timestamp), Error> {
        let catalogue = tx.catalogue()?;
        let before = self.token.resolve(tx, tx.now)?;
        if before.revoked_at.is_some() {
            return Err(Error::Revoked(before.name));
        }
        // Those held already need not be open to grants.
        let new: Vec<Scope> = match action {
            Action::ScopesRemove => Vec::new(),
            _ => self
                .scopes
                .iter()
                .filter(|scope| before.scopes().all(|held| held != *scope))
                .cloned()
                .collect(),
        };
        scope_rows(&self.scopes, &catalogue, false)?;
        let new = scope_rows(&new, &catalogue, true)?;
        let mut after = before.clone();
        match action {
            Action::ScopesRemove => after.grants.retain(|_, grant| !self.scopes.contains(&grant.scope)),
            Action::ScopesSet => after.grants.retain(|_, grant| self.scopes.contains(&grant.scope)),
            _ => {}
        }
        after
            .grants
            .extend(new.into_iter().map(|(row, scope)| (row, Grant { row: 0, scope, last_asked_at: None })));
        if after == before {
            return Ok((before, false, tx.now));
        }
        let gains = widen::gains((&before, &catalogue), (&after, &catalogue));
        widen::check(approved, &format!("granting `{}` more scopes", before.name), usize::from(gains))?;
        Ok((tx.update(&before, &after, action)?, true, tx.now))
    }
}

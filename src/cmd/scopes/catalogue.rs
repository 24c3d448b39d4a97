//! Changes of the catalogue: defines, edits, renames and retires scopes.

use std::collections::BTreeSet;

use clap::Args;

use crate::app::present::say_changes;
use crate::app::{App, Outcome};
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::select::{scope_rows, unknown_scope};
use crate::cmd::args::takes::Takes;
use crate::cmd::args::widen::{self, WidenArgs};
use crate::domain::Invalid;
use crate::domain::changes::{self, Change};
use crate::domain::event::{Action, Author};
use crate::domain::scope::{Catalogue, Entry, Scope};
use crate::domain::text::Line;
use crate::domain::token::Token;
use crate::domain::when::{Clock, is_none};
use crate::domain::widening::{Approval, Widening, some_of};
use crate::error::{Error, Subject};
use crate::store::{Store, Write};
use crate::ui::json::{ChangedScopeDoc, NamedDoc, ScopeDoc};

#[derive(Args)]
pub struct Define {
    /// The scope: lower-case words joined by `:`
    #[arg(value_name = "SCOPE")]
    scope: Scope,
    /// Describe what the scope allows
    #[arg(short, long, value_name = "TEXT")]
    description: Option<Line>,
    /// Include these scopes
    #[arg(long, value_name = "A,B", value_delimiter = ',', add = Takes::OpenScope)]
    includes: Option<Vec<Scope>>,
    #[command(flatten)]
    widen: WidenArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Args)]
pub struct EditScope {
    /// The scope
    #[arg(value_name = "SCOPE", add = Takes::Scope)]
    scope: Scope,
    /// Describe what the scope allows; empty clears it
    #[arg(short, long, value_name = "TEXT")]
    description: Option<Line>,
    /// Include exactly these scopes; `none` clears them
    #[arg(long, value_name = "A,B", add = Takes::OpenScope)]
    includes: Option<Includes>,
    #[command(flatten)]
    widen: WidenArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

/// A comma-separated list of scopes, possibly empty.
#[derive(Debug, Clone)]
struct Includes(Vec<Scope>);

impl std::str::FromStr for Includes {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if is_none(text) {
            return Ok(Self(Vec::new()));
        }
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

#[derive(Args)]
pub struct RenameScope {
    /// The scope
    #[arg(value_name = "SCOPE", add = Takes::Scope)]
    scope: Scope,
    /// The new name
    #[arg(value_name = "NEW")]
    new: Scope,
    #[command(flatten)]
    widen: WidenArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Args)]
pub struct Retire {
    /// The scope
    #[arg(value_name = "SCOPE", add = Takes::Scope)]
    scope: Scope,
    /// Remove it from all tokens, and from scopes that include it
    #[arg(long, alias = "withdraw")]
    ungrant: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

fn entry<'a>(catalogue: &'a Catalogue, scope: &Scope) -> Result<&'a Entry, Error> {
    catalogue.get(scope).ok_or_else(|| unknown_scope(scope, catalogue))
}

fn includable(scopes: &[Scope], of: &Scope, catalogue: &Catalogue) -> Result<BTreeSet<Scope>, Error> {
    scope_rows(scopes, catalogue, true)?;
    if catalogue.would_circle(of, scopes) {
        return Err(Invalid::new(format!("`{of}` would include itself"))
            .hint("scopes must not include each other in a circle")
            .into());
    }
    Ok(scopes.iter().cloned().collect())
}

/// Changes the catalogue. Returns the entry as it is now, and whether anything changed.
type Changed = (Entry, bool);

/// [`App::open_to_write`], or [`App::open_or_make`].
type Open = fn(&mut App<'_>, &Author) -> Result<Store, Error>;

fn change(
    app: &mut App<'_>,
    args: &ChangeArgs,
    widen: &WidenArgs,
    open: Open,
    f: impl Fn(&Write<'_>, &Catalogue, &Approval) -> Result<Changed, Error>,
) -> Result<(Store, Changed, Vec<Change>), Error> {
    let author = args.author(app);
    let store = open(app, &author)?;
    let (changed, differences) = widen.run(app, |app, approval| {
        store.write(&*app.ctx.machine, &author, |tx| {
            let before = tx.catalogue()?;
            let changed = f(tx, &before, approval)?;
            let differences = changes::of_catalogue(&before, &before.with(&changed.0));
            Ok::<_, Error>((changed, differences))
        })
    })?;
    Ok((store, changed, differences))
}

fn report(
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
    let counts = store.read(|view| view.token_counts_by_scope())?;
    let scope = ScopeDoc::new(entry, counts.get(&entry.row).copied().unwrap_or(0));
    let withdrawn_from =
        from.map(|tokens| tokens.iter().map(|it| NamedDoc { id: Some(&it.id), name: &it.name }).collect());
    app.print_json(&ChangedScopeDoc { scope, changed, withdrawn_from })?;
    Ok(Outcome::Done)
}

impl Define {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        if !app.location()?.exists() {
            // Errors that need no store are found before one is made.
            self.included(&Catalogue::default())?;
        }
        let define =
            |tx: &Write<'_>, catalogue: &Catalogue, approval: &Approval| match catalogue.get(&self.scope) {
                None => self.add(tx, catalogue),
                Some(known) if known.retired_at.is_some() => self.reopen(tx, catalogue, known, approval),
                Some(known) => self.same(known),
            };
        let (store, (entry, changed), _) =
            change(app, &self.change, &self.widen, |app, author| app.open_or_make(author), define)?;
        let note = if changed { "defined" } else { "nothing changed:" };
        report(app, &store, &entry, changed, None, &format!("{note} `{}`", entry.name))
    }

    fn included(&self, catalogue: &Catalogue) -> Result<BTreeSet<Scope>, Error> {
        includable(self.includes.as_deref().unwrap_or_default(), &self.scope, catalogue)
    }

    fn add(&self, tx: &Write<'_>, catalogue: &Catalogue) -> Result<Changed, Error> {
        let includes = self.included(catalogue)?;
        let description = self.description.clone().and_then(Line::into_option);
        let name = self.scope.clone();
        let (row, id) = (0, String::new());
        let entry = Entry { row, id, name, description, includes, created_at: tx.now, retired_at: None };
        Ok((tx.insert_scope(&entry, Action::CatalogueDefine)?, true))
    }

    fn reopen(
        &self,
        tx: &Write<'_>,
        catalogue: &Catalogue,
        known: &Entry,
        approval: &Approval,
    ) -> Result<Changed, Error> {
        let mut entry = Entry { retired_at: None, ..known.clone() };
        if let Some(text) = &self.description {
            entry.description = text.clone().into_option();
        }
        if self.includes.is_some() {
            entry.includes = self.included(catalogue)?;
        }
        // Tokens that kept the scope while it was retired gain what it includes from now on.
        let gain = widen::of_catalogue(tx, tx.now, catalogue, &catalogue.with(&entry))?;
        let gain = gain.and(Widening::of_reopened(&self.scope));
        widen::check(approval, &format!("reopening `{}`", self.scope), gain)?;
        tx.save_scopes(std::slice::from_ref(&entry), Action::CatalogueDefine)?;
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
        Err(Error::NameTaken { what: Subject::Scope, name: self.scope.to_string() })
    }
}

impl EditScope {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        if self.description.is_none() && self.includes.is_none() {
            return Err(Invalid::new("nothing to change is given")
                .hint("pass `--description TEXT` or `--includes A,B`")
                .into());
        }
        let (store, (entry, changed), differences) = change(
            app,
            &self.change,
            &self.widen,
            |app, author| app.open_to_write(author),
            |tx, catalogue, approval| {
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
                let gain = widen::of_catalogue(tx, tx.now, catalogue, &catalogue.with(&after))?;
                widen::check(approval, &format!("changing what `{}` includes", self.scope), gain)?;
                tx.save_scopes(std::slice::from_ref(&after), Action::CatalogueEdit)?;
                Ok((after, true))
            },
        )?;
        let note = if changed { "edited" } else { "nothing changed:" };
        let done = report(app, &store, &entry, changed, None, &format!("{note} `{}`", entry.name))?;
        say_changes(app, &differences);
        Ok(done)
    }
}

impl RenameScope {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let (store, (entry, changed), _) = change(
            app,
            &self.change,
            &self.widen,
            |app, author| app.open_to_write(author),
            |tx, catalogue, approval| {
                let mut entry = entry(catalogue, &self.scope)?.clone();
                if self.new == self.scope {
                    return Ok((entry, false));
                }
                if catalogue.get(&self.new).is_some() {
                    return Err(Error::NameTaken { what: Subject::Scope, name: self.new.to_string() });
                }
                entry.name = self.new.clone();
                // A verifier that requires the new name refused these tokens before.
                let gain = widen::of_catalogue(tx, tx.now, catalogue, &catalogue.with(&entry))?;
                widen::check(approval, &format!("renaming `{}`", self.scope), gain)?;
                tx.save_scopes(std::slice::from_ref(&entry), Action::CatalogueRename)?;
                Ok((entry, true))
            },
        )?;
        let note = if changed {
            format!("renamed `{}` to `{}`", self.scope, self.new)
        } else {
            "the name is the same".to_owned()
        };
        report(app, &store, &entry, changed, None, &note)
    }
}

impl Retire {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let author = self.change.author(app);
        let store = app.open_to_write(&author)?;
        if self.ungrant {
            let now = app.ctx.machine.now()?;
            let holders = store.read(|view| {
                let catalogue = view.catalogue()?;
                let holders = view.tokens_with_scopes(&[entry(&catalogue, &self.scope)?.row])?;
                Ok::<_, Error>(view.tokens(&holders, now)?)
            })?;
            let names = some_of(holders.iter().map(|token| token.name.to_string()));
            let names = if holders.is_empty() { names } else { format!(" ({names})") };
            let count = holders.len();
            app.confirm(&format!("remove `{}` from {count} tokens that hold it{names}?", self.scope))?;
        }
        let (entry, changed, from) = self.make(app, &store, &author)?;
        let note = match (changed, from.len()) {
            (false, _) => format!("`{}` is already retired", self.scope),
            (true, 0) => format!("retired `{}`", self.scope),
            (true, 1) => format!("retired `{}` and removed it from 1 token", self.scope),
            (true, tokens) => format!("retired `{}` and removed it from {tokens} tokens", self.scope),
        };
        report(app, &store, &entry, changed, Some(&from), &note)
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
            let (mut from, mut entries) = (Vec::new(), vec![after.clone()]);
            if self.ungrant {
                let without = self.without(&catalogue);
                from = self.ungrant_from_all(tx, &catalogue, before)?;
                entries.extend(without.iter().filter(|it| catalogue.get(&it.name) != Some(it)).cloned());
                changed |= !from.is_empty() || entries.len() > 1;
            }
            if changed {
                tx.save_scopes(&entries, Action::CatalogueRetire)?;
            }
            Ok((after, changed, from))
        })
    }

    /// The other scopes, none of which includes this one.
    fn without(&self, catalogue: &Catalogue) -> Catalogue {
        Catalogue::new(catalogue.iter().filter(|other| other.name != self.scope).map(|other| {
            let mut other = other.clone();
            other.includes.remove(&self.scope);
            other
        }))
    }

    /// Removes the scope from every token. Returns the tokens that lost it.
    fn ungrant_from_all(
        &self,
        tx: &Write<'_>,
        catalogue: &Catalogue,
        retired: &Entry,
    ) -> Result<Vec<Token>, Error> {
        let mut from = Vec::new();
        widen::each_token_with_scopes(tx, tx.now, catalogue, |token| {
            let holds = token.held_scopes(catalogue).contains(&self.scope);
            from.extend(holds.then_some(token));
        })?;
        for row in tx.tokens_with_scopes(&[retired.row])? {
            let before = tx.token(row, tx.now)?;
            let mut after = before.clone();
            after.grants.remove(&retired.row);
            tx.update(&before, &after, Action::ScopesRemove)?;
        }
        Ok(from)
    }
}

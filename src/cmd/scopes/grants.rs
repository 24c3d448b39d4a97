//! Changes the scopes that a token holds directly.

use clap::Args;

use super::ask;
use crate::app::{App, Outcome, present};
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::select::{Reference, scope_rows};
use crate::cmd::args::takes::Takes;
use crate::cmd::args::widen::{self, WidenArgs};
use crate::domain::changes::{self, Change};
use crate::domain::event::Action;
use crate::domain::scope::Scope;
use crate::domain::token::{Grant, Token};
use crate::domain::when::Timestamp;
use crate::domain::widening::{Approval, Widening};
use crate::error::Error;
use crate::store::Write;

#[derive(Args, Clone)]
pub struct Grants {
    /// The token, by name or id
    #[arg(value_name = "TOKEN", add = Takes::Token)]
    token: Reference,
    /// The scopes
    #[arg(value_name = "SCOPE", required = true, value_delimiter = ',', add = Takes::OpenScope)]
    scopes: Vec<Scope>,
    #[command(flatten)]
    widen: WidenArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Grants {
    pub fn run(&self, app: &mut App<'_>, action: Action) -> Result<Outcome, Error> {
        if self.scopes.is_empty() {
            let scopes = ask::of_token(app, &self.token)?;
            return Self { scopes, ..self.clone() }.change(app, action);
        }
        self.change(app, action)
    }

    fn change(&self, app: &mut App<'_>, action: Action) -> Result<Outcome, Error> {
        let author = self.change.author(app);
        let store = app.open_to_write(&author)?;
        let (token, differences, now) = self.widen.run(app, |app, approval| {
            store.write(&*app.ctx.machine, &author, |tx| self.make(tx, action, approval))
        })?;
        let held: Vec<String> = token.scopes().map(ToString::to_string).collect();
        let held = if held.is_empty() { "no scopes".to_owned() } else { held.join(", ") };
        let changed = !differences.is_empty();
        let how = if changed { "now holds" } else { "already holds" };
        let note = format!("`{}` {how} {held}", token.name);
        let done = present::one(app, &store, &token, changed, now, &note)?;
        present::say_changes(app, &differences);
        Ok(done)
    }

    fn make(
        &self,
        tx: &Write<'_>,
        action: Action,
        approval: &Approval,
    ) -> Result<(Token, Vec<Change>, Timestamp), Error> {
        let catalogue = tx.catalogue()?;
        let before = self.token.resolve(tx, tx.now)?;
        if before.revoked_at.is_some() {
            return Err(Error::Revoked(before.name.to_string()));
        }
        // Scopes that are held already may be retired.
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
        after.grants.extend(new.into_iter().map(|(row, scope)| {
            (row, Grant { row: 0, scope_id: String::new(), scope, last_required_at: None })
        }));
        if after == before {
            return Ok((before, Vec::new(), tx.now));
        }
        let widening = Widening::of_token((&before, &catalogue), (&after, &catalogue));
        widen::check(approval, &format!("granting `{}` more scopes", before.name), widening)?;
        let differences = changes::of_token(Some(&before), Some(&after));
        Ok((tx.update(&before, &after, action)?, differences, tx.now))
    }
}

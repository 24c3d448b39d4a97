//! `rename`: gives a token another name.

use clap::Args;

use crate::app::{App, Outcome, present};
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::describe::vacate;
use crate::cmd::args::select::Reference;
use crate::cmd::args::takes::Takes;
use crate::domain::event::Action;
use crate::domain::name::NewName;
use crate::error::{Error, Subject};

#[derive(Args)]
pub struct Rename {
    /// The token, by name or id
    #[arg(value_name = "NAME", add = Takes::Token)]
    name: Reference,
    /// The new name
    #[arg(value_name = "NEW")]
    new: NewName,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Rename {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let NewName(new) = &self.new;
        let author = self.change.author(app);
        let store = app.open_to_write(&author)?;
        let (old, token, now) = store.write(&*app.ctx.machine, &author, |tx| {
            let before = self.name.resolve(tx, tx.now)?;
            if before.revoked_at.is_some() {
                return Err(Error::Revoked(before.name.to_string()));
            }
            if before.name == *new {
                return Ok((None, before, tx.now));
            }
            if let Some(other) = vacate(tx, new)? {
                return Err(Error::NameTaken { what: Subject::Token, name: other.name.to_string() });
            }
            let mut after = before.clone();
            after.name = new.clone();
            Ok((Some(before.name.clone()), tx.update(&before, &after, Action::Rename)?, tx.now))
        })?;
        let note = match &old {
            Some(old) => format!("renamed `{old}` to `{}`", token.name),
            None => format!("`{}` has that name already", token.name),
        };
        present::one(app, &store, &token, old.is_some(), now, &note)
    }
}

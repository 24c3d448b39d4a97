//! `enable`: lets disabled tokens work again.

use clap::Args;

use crate::app::{App, Outcome};
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::choice::Choice;
use crate::cmd::args::many::Many;
use crate::cmd::args::select::TargetArgs;
use crate::domain::event::Action;
use crate::error::Error;

#[derive(Args)]
pub struct Enable {
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Enable {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        self.targets.check()?;
        let many = Many {
            action: Action::Enable,
            done: "enabled",
            asks_for_names: false,
            part: &|_| None,
            apply: &|token, _| match token.revoked_at {
                Some(_) => Err(Error::Revoked(token.name.to_string())),
                None => Ok(token.enable()),
            },
        };
        many.run(app, &self.change, &self.targets.rehearsal, |store, now, differs| {
            Choice::of(&self.targets, store, now, differs)
        })
    }
}

//! `disable`: pauses tokens until `enable`.

use clap::Args;

use crate::app::{App, Outcome};
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::choice::Choice;
use crate::cmd::args::many::Many;
use crate::cmd::args::select::TargetArgs;
use crate::domain::event::Action;
use crate::error::Error;

#[derive(Args)]
pub struct Disable {
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Disable {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        self.targets.check()?;
        let many = Many {
            action: Action::Disable,
            done: "disabled",
            asks_for_names: false,
            part: &|_| None,
            apply: &|token, now| match token.revoked_at {
                Some(_) => Err(Error::Revoked(token.name.to_string())),
                None => Ok(token.disable(now)),
            },
        };
        many.run(app, &self.change, &self.targets.rehearsal, |store, now, differs| {
            Choice::of(&self.targets, store, now, differs)
        })
    }
}

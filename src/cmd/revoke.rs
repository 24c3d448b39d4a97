//! `revoke`: the end of tokens, for good and at once.

use clap::Args;

use super::change::ChangeArgs;
use super::many::Many;
use super::select::TargetArgs;
use super::{App, Outcome};
use crate::domain::event::Action;
use crate::error::Error;

/// End tokens for good, at once
#[derive(Args)]
pub struct Revoke {
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Revoke {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let many = Many {
            action: Action::Revoke,
            done: "revoked",
            asks_for_names: true,
            apply: &|token, now| Ok(token.revoke(now)),
        };
        many.run(app, &self.change, &self.targets.rehearsal, |store, now| self.targets.select(store, now))
    }
}

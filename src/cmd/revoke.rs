//! `revoke`: revokes tokens or single secrets, at once and finally.

use std::path::PathBuf;

use clap::Args;

use crate::app::{App, Outcome};
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::choice::Choice;
use crate::cmd::args::many::Many;
use crate::cmd::args::secret;
use crate::cmd::args::select::TargetArgs;
use crate::domain::Invalid;
use crate::domain::event::Action;
use crate::domain::secret::Secret;
use crate::error::Error;

#[derive(Args)]
pub struct Revoke {
    #[command(flatten)]
    targets: TargetArgs,
    /// Revoke only the previous secrets
    #[arg(long)]
    previous: bool,
    /// Revoke the token of the leaked secret in this file; `-` reads stdin
    #[arg(long, value_name = "FILE", conflicts_with = "previous")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Revoke {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let many = Many {
            action: Action::Revoke,
            done: "revoked",
            asks_for_names: true,
            part: &|_| self.previous.then_some("the previous secrets"),
            apply: &|token, now| {
                Ok(if self.previous { token.revoke_previous(now) } else { token.revoke(now) })
            },
        };
        let rehearsal = &self.targets.rehearsal;
        let Some(path) = &self.secret_file else {
            self.targets.check()?;
            return many.run(app, &self.change, rehearsal, |store, now, differs| {
                Choice::of(&self.targets, store, now, differs)
            });
        };
        if !self.targets.is_empty() {
            return Err(Invalid::new("a secret cannot be combined with names or filters")
                .hint("use only one of them")
                .into());
        }
        let input = secret::read_secret(app, Some(path), "Leaked secret")?;
        let secret =
            Secret::read_pasted(&input).ok_or_else(|| Invalid::new("what was read cannot be a secret"))?;
        let hash = secret.hash();
        let many = Many {
            part: &|token| token.is_previous(&hash).then_some("a previous secret"),
            apply: &|token, now| Ok(token.revoke_leaked(&hash, now)),
            ..many
        };
        many.run(app, &self.change, rehearsal, |store, now, differs| {
            Choice::of_secret(&hash, store, now, differs)
        })
    }
}

//! `verify`: checks whether a secret is valid and meets the requirements.

mod lines;
mod question;
mod stream;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use crate::app::{App, Outcome, keep_answer};
use crate::cmd::args::rare::Rare;
use crate::cmd::args::replica::Replica;
use crate::cmd::args::takes::Takes;
use crate::cmd::args::{at, secret};
use crate::domain::address;
use crate::domain::scope::Scope;
use crate::domain::secret::Secret;
use crate::domain::text::SetLabel;
use crate::domain::token::Role;
use crate::domain::verdict::Requirements;
use crate::domain::when::When;
use crate::error::Error;
use crate::store::Store;
use crate::ui::json::{self, VerdictDoc};
use crate::verify::{self, Manner, Request, Verdict};

#[derive(Args)]
pub struct Verify {
    #[command(flatten)]
    source: Rare<Source>,
    /// Require these scopes
    #[arg(short, long = "scope", value_name = "A,B", value_delimiter = ',', add = Takes::Scope)]
    scopes: Vec<Scope>,
    #[command(flatten)]
    more: Rare<MoreRequirements>,
    #[command(flatten)]
    replica: Rare<Replica>,
}

// A doc comment of these two would replace the description of the verb.
#[derive(Args, Default)]
struct Source {
    /// Read the secret from this file instead of stdin
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Answer every line of stdin, a secret or a JSON request
    #[arg(long, conflicts_with = "secret_file")]
    stream: bool,
}

#[derive(Args, Default)]
struct MoreRequirements {
    /// Require this label
    #[arg(short, long = "label", value_name = "KEY=VALUE", add = Takes::Label)]
    labels: Vec<SetLabel>,
    /// The address of the client, which tokens with `--allow-from` require
    #[arg(long, value_name = "ADDR", value_parser = address::address)]
    address: Option<IpAddr>,
    /// Check whether it will be valid at this time in the future
    #[arg(long, value_name = "WHEN", conflicts_with = "stream")]
    at: Option<When>,
}

impl Verify {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let requirements = Requirements {
            scopes: self.scopes.clone(),
            labels: self.more.labels.iter().map(|label| label.0.clone()).collect(),
            address: self.more.address,
        };
        if self.source.stream {
            return stream::run(app, self.replica.location(app, true)?, &requirements);
        }
        let at = at::future(self.more.at, &*app.ctx.machine)?;
        let input = secret::read_secret(app, self.source.secret_file.as_deref(), "Secret to verify")?;
        let typed = secret::is_prompt(app, self.source.secret_file.as_deref());
        // The input of a program is not trimmed.
        let secret = if typed { Secret::read_pasted(&input) } else { Secret::read(input) };
        let request = Request::of_secret(secret.as_ref(), &requirements);
        if request.is_malformed() {
            return report(app, &Verdict::malformed());
        }
        let location = self.replica.location(app, true)?;
        let store = Store::open_to_verify_once(&location)?;
        let manner = Manner { at, describe: app.json() };
        let verdict = verify::one(&store, &*app.ctx.machine, request, manner)?;
        // A private copy of a store must be deleted, not only closed.
        if !store.is_copy() {
            app.ctx.machine.leave_to_exit(Box::new(store));
        }
        for scope in verdict.undefined_scopes() {
            app.talk().warn(&format!("the scope `{scope}` does not exist in this store"));
        }
        let outcome = report(app, &verdict);
        location.finish_uses();
        outcome
    }
}

fn report(app: &mut App<'_>, verdict: &Verdict) -> Result<Outcome, Error> {
    let text = if app.json() {
        json::text(&VerdictDoc::new(
            verdict.reason(),
            verdict.missing_scopes(),
            verdict.token().zip(verdict.secret()),
        ))
    } else {
        words(verdict)
    };
    if !app.quiet() {
        keep_answer(app.print(&format!("{text}\n")))?;
    }
    Ok(if verdict.is_valid() { Outcome::Done } else { Outcome::No })
}

/// The plain line, without a newline. The characters of a name are safe on every terminal.
fn words(verdict: &Verdict) -> String {
    let mut words = verdict.reason().word().to_owned();
    let previous = verdict.is_previous().then_some(Role::Previous.word());
    for word in verdict.token().map(|token| token.name.as_str()).into_iter().chain(previous) {
        words.push(' ');
        words.push_str(word);
    }
    words
}

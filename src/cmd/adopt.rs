//! `adopt` creates a token for a secret that exists already.

mod from;
mod records;
mod rule;

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::app::{App, Outcome, present};
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::describe::{Halt, TokenArgs, expiry_in_words};
use crate::cmd::args::grants;
use crate::cmd::args::newcomer::{default_lifetime, existing, open_or_make, wait, warn_of_missing_files};
use crate::cmd::args::secret;
use crate::context::Machine;
use crate::domain::Invalid;
use crate::domain::event::{Action, Author};
use crate::domain::lifetime::Lifetime;
use crate::domain::name::{Name, NewName};
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::token::{StoredSecret, Token};
use crate::domain::when::Clock;
use crate::error::Error;
use crate::store::{NewSecret, Parts, Store, StoreError, Write};

/// The heading of the flags for adopting many secrets.
const MANY: &str = "Many at once";

#[derive(Args)]
pub struct Adopt {
    /// The name: letters, digits and . _ @ -
    #[arg(value_name = "NAME", required_unless_present = "from", conflicts_with = "from")]
    name: Option<NewName>,
    #[command(flatten)]
    token: TokenArgs,
    /// Read the secret from this file instead of stdin
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    secret_file: Option<PathBuf>,
    /// Adopt every secret of this file of CSV with a heading or JSON lines; `-` reads stdin
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = MANY)]
    from: Option<PathBuf>,
    /// Skip lines that cannot be adopted, with a warning for each
    #[arg(long, requires = "from", help_heading = MANY)]
    skip_bad: bool,
    /// Check every line, show what would be adopted, and change nothing
    #[arg(short = 'n', long, requires = "from", help_heading = MANY)]
    dry_run: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Adopt {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        match (&self.from, &self.name) {
            (Some(file), _) => self.many(app, file),
            (None, Some(NewName(name))) => self.one(app, name),
            (None, None) => Err(Invalid::new("no token is named").into()),
        }
    }

    fn one(&self, app: &mut App<'_>, name: &Name) -> Result<Outcome, Error> {
        let author = self.change.author(app);
        let mut secret = None;
        let (store, token) = loop {
            match self.make(app, name, &author, &mut secret) {
                Ok(made) => break made,
                Err(Halt::Already(token)) => return self.already(app, &token, secret),
                Err(Halt::Error(err)) => wait(app, &self.token, name, err)?,
            }
        };
        let now = token.created_at;
        let note =
            format!("adopted `{}` ({}), {}", token.name, token.id, expiry_in_words(token.expires_at(), now));
        let done = present::one(app, &store, &token, true, now, &note)?;
        if self.token.by_default() && token.lifetime != Lifetime::Endless {
            app.talk().note(&default_lifetime(&token));
        }
        Ok(done)
    }

    /// Reads the secret, once it is known that the name is free, and creates the token.
    fn make(
        &self,
        app: &mut App<'_>,
        name: &Name,
        author: &Author,
        secret: &mut Option<Secret>,
    ) -> Result<(Store, Token), Halt> {
        let store = open_or_make(app, author, name, &self.token, |app, _| {
            if secret.is_none() {
                *secret = Some(self.secret(app)?);
            }
            Ok(())
        })?;
        let secret = secret.as_ref().ok_or_else(|| Invalid::new("no secret was read"))?;
        let token = self.enter(app, &store, name, author, secret)?;
        Ok((store, token))
    }

    /// The answer of `--if-missing` when the token exists. If it has this secret, nothing is left to do.
    fn already(&self, app: &mut App<'_>, token: &Token, secret: Option<Secret>) -> Result<Outcome, Error> {
        let hash = secret.map_or_else(|| self.secret(app), Ok)?.hash();
        let now = app.ctx.machine.now()?;
        if token.secrets.iter().any(|known| known.hash == hash && !known.is_over(now)) {
            warn_of_missing_files(app, token, None);
            return existing(app, &self.token, token, false);
        }
        let other = Invalid::new(format!("`{}` exists with another secret", token.name));
        Err(Error::Policy(other.hint("choose another name, or revoke it first")))
    }

    fn secret(&self, app: &mut App<'_>) -> Result<Secret, Error> {
        rule::secret(&secret::read_secret(app, self.secret_file.as_deref(), "Secret to adopt")?)
    }

    fn enter(
        &self,
        app: &mut App<'_>,
        store: &Store,
        name: &Name,
        author: &Author,
        secret: &Secret,
    ) -> Result<Token, Halt> {
        let mut args = self.token.clone();
        let catalogue = store.read(|view| view.catalogue())?;
        grants::grant(app, &mut args, &catalogue)?;
        let machine = &*app.ctx.machine;
        store.write(machine as &dyn Clock, author, |tx| {
            adopt_secret(tx, &args, name, (secret.hash(), &secret.hint()), machine)
        })
    }
}

/// Inserts a token with a secret that exists already.
fn adopt_secret(
    tx: &Write<'_>,
    args: &TokenArgs,
    name: &Name,
    (hash, hint): (SecretHash, &str),
    machine: &dyn Machine,
) -> Result<Token, Halt> {
    // The name comes first: with `--if-missing`, its token may be the one that has this secret.
    let begun = args.enter(tx, name, machine)?;
    if tx.is_pruned(&hash)? {
        let ended = Invalid::new("this secret was in the store before, and has expired or was revoked")
            .hint("it cannot be used again; create a new secret");
        return Err(Error::Policy(ended).into());
    }
    if tx.presented(&hash, tx.now, Parts::ALL)?.is_some() {
        let known =
            Invalid::new("this secret is in the store already").hint("`tokenctl verify` names its token");
        return Err(Error::Policy(known).into());
    }
    let secret = StoredSecret {
        delivered_at: Some(tx.now),
        ..StoredSecret::of(hash, hint.to_owned(), tx.now, begun.expires_at)
    };
    let first = NewSecret { secret, delivery: None };
    tx.insert_token(&begun.token, &first, Action::Adopt).map_err(|err: StoreError| err.into())
}

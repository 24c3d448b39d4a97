//! `adopt`: a token for a secret that exists already.

use std::path::PathBuf;

use clap::Args;

use crate::app::{App, Outcome, present};
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::describe::{Halt, TokenArgs, end_in_words};
use crate::cmd::args::grants;
use crate::cmd::args::newcomer::{default_lifetime, existing, open_or_make, wait, warn_of_missing_files};
use crate::cmd::args::secret;
use crate::domain::Invalid;
use crate::domain::event::{Action, Author};
use crate::domain::lifetime::Lifetime;
use crate::domain::name::NewName;
use crate::domain::secret::Secret;
use crate::domain::token::{StoredSecret, Token};
use crate::domain::when::Clock;
use crate::error::Error;
use crate::store::{NewSecret, Parts, Store, StoreError};

/// The fewest bits that a secret made elsewhere may have.
const LEAST_BITS: f64 = 128.0;
/// The fewest by its different characters alone. Lower, since a random key repeats some: 32 hexadecimal digits use
/// only seven of them about once in ten million keys.
const LEAST_DISTINCT_BITS: f64 = 96.0;

#[derive(Args)]
pub struct Adopt {
    /// The name: letters, digits and . _ @ -
    #[arg(value_name = "NAME")]
    name: NewName,
    #[command(flatten)]
    token: TokenArgs,
    /// Read the secret from this file, not from stdin
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Adopt {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let author = self.change.author(app);
        let mut secret = None;
        let (store, token) = loop {
            match self.make(app, &author, &mut secret) {
                Ok(made) => break made,
                Err(Halt::Already(token)) => return self.already(app, &token, secret),
                Err(Halt::Error(err)) => wait(app, &self.token, &self.name.0, err)?,
            }
        };
        let now = token.created_at;
        let note =
            format!("adopted `{}` ({}), {}", token.name, token.id, end_in_words(token.expires_at(), now));
        let done = present::one(app, &store, &token, true, now, &note)?;
        if self.token.by_default() && token.lifetime != Lifetime::Endless {
            app.talk().note(&default_lifetime(&token));
        }
        Ok(done)
    }

    /// Reads the secret, once it is known that the name is free, and makes the token.
    fn make(
        &self,
        app: &mut App<'_>,
        author: &Author,
        secret: &mut Option<Secret>,
    ) -> Result<(Store, Token), Halt> {
        let store = open_or_make(app, author, &self.name.0, &self.token, |app| {
            if secret.is_none() {
                *secret = Some(self.secret(app)?);
            }
            Ok(())
        })?;
        let secret = secret.as_ref().ok_or_else(|| Invalid::new("no secret was read"))?;
        let token = self.enter(app, &store, author, secret)?;
        Ok((store, token))
    }

    /// The answer of `--if-missing` when the token exists: with this secret nothing is left to do.
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
        let malformed = || {
            Invalid::new("what was read cannot be a secret")
                .hint("16 to 512 printable ASCII characters without a space, and with its checksum if it is one of ours")
        };
        let input = secret::input(app, self.secret_file.as_deref(), "Secret to adopt")?;
        let secret = Secret::read_pasted(&input).ok_or_else(malformed)?;
        let bits = secret.nominal_bits();
        let weak = if bits < LEAST_BITS {
            // Rounded down: `127.9` must not read as enough.
            format!("the secret has at most {:.0} bits, fewer than {LEAST_BITS}", bits.floor())
        } else if secret.distinct_bits() < LEAST_DISTINCT_BITS {
            "the secret uses too few different characters to be random".to_owned()
        } else {
            return Ok(secret);
        };
        Err(Error::Policy(Invalid::new(weak).hint("`tokenctl create` makes one of 190 bits")))
    }

    fn enter(
        &self,
        app: &mut App<'_>,
        store: &Store,
        author: &Author,
        secret: &Secret,
    ) -> Result<Token, Halt> {
        let mut args = self.token.clone();
        let catalogue = store.read(|view| view.catalogue())?;
        grants::grant(app, &mut args, &catalogue)?;
        let machine = &*app.ctx.machine;
        store.write(machine as &dyn Clock, author, |tx| {
            // First the name: with `--if-missing` its token may be the one that has this secret.
            let begun = args.enter(tx, &self.name.0, machine)?;
            if tx.is_pruned(&secret.hash())? {
                let ended = Invalid::new("the store had this secret, and it ended")
                    .hint("a secret does not come back; create a new one");
                return Err(Error::Policy(ended).into());
            }
            if tx.presented(&secret.hash(), tx.now, Parts::ALL)?.is_some() {
                let known = Invalid::new("the store knows this secret already")
                    .hint("`tokenctl verify` says whose it is");
                return Err(Error::Policy(known).into());
            }
            let secret = StoredSecret {
                delivered_at: Some(tx.now),
                ..StoredSecret::new(secret, tx.now, begun.expires_at)
            };
            let first = NewSecret { secret, delivery: None };
            tx.insert_token(&begun.token, &first, Action::Adopt).map_err(|err: StoreError| err.into())
        })
    }
}

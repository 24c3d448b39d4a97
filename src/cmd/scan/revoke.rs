//! `--revoke`: revokes working secrets that were found, by the rule of `revoke --secret-file`.

use std::collections::{BTreeMap, BTreeSet};

use crate::app::App;
use crate::cmd::args::many::change_all;
use crate::domain::event::{Action, Author};
use crate::domain::secret::SecretHash;
use crate::domain::token::{Role, StoredSecret, Token};
use crate::domain::when::Timestamp;
use crate::error::Error;
use crate::store::{PAGE, Parts, Store, StoreError};

/// The hashes of leaked secrets.
type Leaked = BTreeSet<[u8; 32]>;

/// Asks, then revokes the tokens of these secrets; a previous secret is revoked alone.
pub fn revoke(app: &mut App<'_>, author: &Author, leaked: &Leaked) -> Result<(), Error> {
    let store = app.open_to_write(author)?;
    store.accept_broken_seals();
    let now = app.ctx.machine.now()?;
    let mut tokens = owners(&store, leaked, now)?;
    tokens.retain(|token| revoke_leaked(&mut token.clone(), leaked, now));
    if tokens.is_empty() {
        return Ok(());
    }
    app.confirm(&question(&tokens, leaked))?;
    let done = store.write(&*app.ctx.machine, author, |tx| {
        change_all(tx, &tokens, Action::Revoke, |token, now| Ok(revoke_leaked(token, leaked, now)))
    })?;
    for one in done.iter().filter(|one| one.changed) {
        let name = &one.token.name;
        let of = if one.token.revoked_at.is_some() { "" } else { "a previous secret of " };
        app.talk().note(&format!("revoked {of}`{name}`"));
    }
    Ok(())
}

/// The tokens that these secrets belong to, by name.
fn owners(store: &Store, leaked: &Leaked, now: Timestamp) -> Result<Vec<Token>, Error> {
    let mut tokens = BTreeMap::new();
    for page in leaked.iter().collect::<Vec<_>>().chunks(PAGE) {
        store.read(|view| {
            for hash in page {
                if let Some(found) = view.presented(&SecretHash::from_bytes(**hash), now, Parts::ALL)? {
                    let token = found.token;
                    tokens.insert((token.name.clone(), token.id.clone()), token);
                }
            }
            Ok::<_, StoreError>(())
        })?;
    }
    Ok(tokens.into_values().collect())
}

fn leaked_secrets<'a>(token: &'a Token, leaked: &'a Leaked) -> impl Iterator<Item = &'a StoredSecret> {
    token.secrets.iter().filter(|secret| leaked.contains(secret.hash.as_bytes()))
}

/// Whether that changes anything.
fn revoke_leaked(token: &mut Token, leaked: &Leaked, now: Timestamp) -> bool {
    let hashes: Vec<SecretHash> = leaked_secrets(token, leaked).map(|secret| secret.hash).collect();
    let changes: Vec<bool> = hashes.iter().map(|hash| token.revoke_leaked(hash, now)).collect();
    changes.contains(&true)
}

fn question(tokens: &[Token], leaked: &Leaked) -> String {
    let previous =
        |token: &&Token| leaked_secrets(token, leaked).all(|secret| secret.role() == Role::Previous);
    let (secrets, whole): (Vec<&Token>, Vec<&Token>) = tokens.iter().partition(previous);
    let named = |tokens: &[&Token]| match tokens {
        [one] => format!("`{}`", one.name),
        many => format!("{} tokens", many.len()),
    };
    let mut parts = Vec::new();
    if !whole.is_empty() {
        parts.push(named(&whole));
    }
    if !secrets.is_empty() {
        parts.push(format!("previous secrets of {}", named(&secrets)));
    }
    format!("revoke {}?", parts.join(" and "))
}

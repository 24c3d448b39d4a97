//! What a killed hand-over left: finished or withdrawn by the next change of the same user after its deadline.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::env_text::settings;
use super::target::{hash_of, read, temporary};
use super::{posthumous, withdraw};
use crate::context::Clock;
use crate::domain::event::{Action, Author};
use crate::domain::secret::SecretHash;
use crate::domain::token::Token;
use crate::domain::when::Timestamp;
use crate::store::{Store, StoreError, Write};

/// What is to become of an heir whose hand-over is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its target holds it.
    Confirm,
    Withdraw,
}

/// Finishes the deliveries of this user past their deadline. Part of every change, before its own work. Returns what
/// damage in the store kept from being finished, which must not be in the way of the change.
pub fn recover(store: &Store, clock: &dyn Clock, author: &Author) -> Result<Vec<StoreError>, StoreError> {
    let now = clock.now()?;
    let mut left = Vec::new();
    let rows = match store.read(|view| view.overdue(author.actor.uid, now)) {
        Err(damaged @ StoreError::Damaged(_)) => return Ok(vec![damaged]),
        rows => rows?,
    };
    for row in rows {
        match finish(store, clock, author, row, now) {
            Err(damaged @ StoreError::Damaged(_)) => left.push(damaged),
            finished => finished?,
        }
    }
    Ok(left)
}

fn finish(
    store: &Store,
    clock: &dyn Clock,
    author: &Author,
    row: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(token) = store.read(|view| view.tokens(&[row], now))?.pop() else { return Ok(()) };
    // The target is read before the lock is taken: reading it may block.
    let fate = fate(&token);
    store.write(clock, &posthumous(author), |tx| {
        let still = tx.tokens(&[row], tx.now)?.pop().filter(|is| is.delivery == token.delivery);
        still.map_or(Ok(()), |is| settle(tx, &is, fate))
    })?;
    clear(&token);
    Ok(())
}

/// Looks at the target of a token's open delivery.
pub fn fate(token: &Token) -> Fate {
    let found = token.delivery.as_ref().filter(|delivery| delivery.sink.keeps()).and_then(|delivery| {
        let content = read(Path::new(delivery.target.as_deref()?)).ok()?;
        let heir = token.heir()?.hash;
        Some(holds(&content, &heir))
    });
    if found == Some(true) { Fate::Confirm } else { Fate::Withdraw }
}

/// Whether a file is this secret, or sets a variable to it.
fn holds(content: &[u8], heir: &SecretHash) -> bool {
    let is_heir = |text: &[u8]| hash_of(text).is_some_and(|hash| hash == *heir);
    is_heir(content) || settings(content).iter().any(|setting| setting.value_if(is_heir).is_some())
}

fn settle(tx: &Write<'_>, token: &Token, fate: Fate) -> Result<(), StoreError> {
    let past_end = token.heir().is_none_or(|heir| heir.is_past_end(tx.now));
    match fate {
        Fate::Confirm if !past_end => {
            let mut confirmed = token.clone();
            confirmed.confirm(tx.now, true);
            tx.update(token, &confirmed, Action::Confirm).map(drop)
        }
        Fate::Confirm | Fate::Withdraw => withdraw(tx, token),
    }
}

/// Finishes a delivery without waiting for its deadline: a creation that died, or a rotation taken over.
pub fn abandon(tx: &Write<'_>, token: &Token, fate: Fate) -> Result<(), StoreError> {
    settle(tx, token, fate)
}

/// Removes the temporary that a token's delivery left beside its target, if it is a regular file of ours with one link.
pub fn clear(token: &Token) {
    let Some(target) = token.delivery.as_ref().and_then(|delivery| delivery.target.as_deref()) else {
        return;
    };
    let (Some(dir), Some(heir)) = (Path::new(target).parent(), token.heir()) else { return };
    let path = temporary(dir, &heir.hash);
    let ours = fs::symlink_metadata(&path).is_ok_and(|meta| {
        meta.is_file() && meta.nlink() == 1 && meta.uid() == rustix::process::geteuid().as_raw()
    });
    if ours {
        // Left there it is a dead secret in a private file; the next look does no better.
        let _ = fs::remove_file(&path);
    }
}

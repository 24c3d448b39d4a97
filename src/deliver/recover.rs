//! Recovery of killed deliveries. The next change after the deadline confirms the secret or rolls it back. The
//! delivery stays open as long as it is unknown which of the two is right.

use std::fs::File;
use std::path::Path;

use rustix::fs::Dir;

use super::content::{AtPath, read};
use super::env_file::holds;
use super::target::sync;
use super::{Temporary, posthumous, roll_back};
use crate::context::Clock;
use crate::domain::event::{Action, Author};
use crate::domain::token::Token;
use crate::domain::when::Timestamp;
use crate::store::{PAGE, Store, StoreError, Write};

/// What to do with the provisional secret of a delivery that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Confirm it, since its file holds it.
    Confirm,
    /// Roll it back, since nothing holds it and nothing ever will.
    RollBack,
    /// Leave it, since its file could not be read or made durable, for this reason.
    Open(String),
}

/// The meaning of a file that is missing from an empty directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Its file system may not be mounted, so the delivery stays open.
    Unmounted,
    /// A person has confirmed that the file is gone.
    Gone,
}

/// Settles the deliveries that are past their deadline: those of this user, or all of them for the owner of the
/// store. Every change begins with this. Returns why some were left alone, since even damage must not prevent
/// the change.
pub fn recover(
    store: &Store,
    clock: &dyn Clock,
    author: &Author,
    missing: Missing,
) -> Result<Vec<String>, StoreError> {
    let damaged = |err: StoreError| {
        format!("an interrupted delivery could not be settled: {err}; see `tokenctl doctor`")
    };
    let now = clock.now()?;
    let uid = author.actor.uid;
    let whose = (!store.belongs_to(uid)).then_some(uid);
    // On another host a file of this name is another file.
    let host = author.actor.host.as_deref().filter(|_| store.spans_hosts());
    let rows = match store.read(|view| view.overdue(whose, host, now)) {
        Err(err @ StoreError::Damaged(_)) => return Ok(vec![damaged(err)]),
        rows => rows?,
    };
    let mut left = Vec::new();
    for page in rows.chunks(PAGE) {
        for token in tokens(store, page, now)? {
            match token.and_then(|token| finish(store, clock, author, &token, missing)) {
                Err(err @ StoreError::Damaged(_)) => left.push(damaged(err)),
                finished => left.extend(finished?),
            }
        }
    }
    Ok(left)
}

/// The tokens of these rows, from one transaction, since deliveries that stay open are read for every change. If one of
/// them is damaged, each is read alone.
fn tokens(store: &Store, rows: &[i64], now: Timestamp) -> Result<Vec<Result<Token, StoreError>>, StoreError> {
    let read = |rows: &[i64]| store.read(|view| view.tokens(rows, now));
    match read(rows) {
        Err(StoreError::Damaged(_)) => {
            let each = rows.iter().map(|row| read(&[*row]).map(|mut found| found.pop()));
            Ok(each.filter_map(Result::transpose).collect())
        }
        found => Ok(found?.into_iter().map(Ok).collect()),
    }
}

fn finish(
    store: &Store,
    clock: &dyn Clock,
    author: &Author,
    token: &Token,
    missing: Missing,
) -> Result<Option<String>, StoreError> {
    // The file is read before the lock is taken: reading it may block.
    let fate = fate(token, missing);
    if let Fate::Open(why) = &fate {
        return Ok(Some(format!("the delivery of `{}` stays open: {why}", token.name)));
    }
    store.write(clock, &posthumous(author), |tx| {
        let still = tx.tokens(&[token.row], tx.now)?.pop().filter(|is| is.delivery == token.delivery);
        still.map_or(Ok(()), |is| settle(tx, &is, &fate))
    })?;
    Ok(None)
}

/// Reads the file of a token's open delivery, after making sure that the delivery can no longer change it.
pub fn fate(token: &Token, missing: Missing) -> Fate {
    let delivery = token.delivery.as_ref().filter(|delivery| delivery.destination.keeps());
    let target = delivery.and_then(|delivery| delivery.target.as_deref());
    let (Some(target), Some(provisional)) = (target.map(Path::new), token.provisional()) else {
        return Fate::RollBack;
    };
    let open = |what: &str| Fate::Open(format!("`{}` {what}", target.display()));
    let removed = match Temporary::remove(target, &provisional.hash) {
        Ok(removed) => removed,
        Err(err) => return open(&format!("could still be replaced: {err}")),
    };
    match read(target) {
        Ok(AtPath::File(file, content)) if holds(&content, &provisional.hash) => {
            match sync_again(&file, target) {
                Ok(()) => Fate::Confirm,
                Err(err) => open(&format!("could not be synced: {err}")),
            }
        }
        Ok(AtPath::File(..) | AtPath::Other) => Fate::RollBack,
        Ok(AtPath::Absent) if removed || missing == Missing::Gone => Fate::RollBack,
        Ok(AtPath::Absent) => match is_empty(target.parent().unwrap_or(target)) {
            Ok(false) => Fate::RollBack,
            // There was a temporary file in it. Only a rename or another file system mounted there can have emptied it.
            Ok(true) => open(
                "is missing in an empty directory, as if its file system were not mounted; \
                 `tokenctl doctor --repair` takes it for gone",
            ),
            Err(err) => open(&format!("could not be looked for: {err}")),
        },
        Err(err) => open(&format!("could not be read: {err}")),
    }
}

fn is_empty(dir: &Path) -> std::io::Result<bool> {
    for entry in Dir::read_from(File::open(dir)?)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn sync_again(file: &File, target: &Path) -> std::io::Result<()> {
    sync(file)?;
    sync(&File::open(target.parent().unwrap_or(target))?)
}

fn settle(tx: &Write<'_>, token: &Token, fate: &Fate) -> Result<(), StoreError> {
    let past_end = token.provisional().is_none_or(|provisional| provisional.has_expired(tx.now));
    match fate {
        Fate::Confirm | Fate::Open(_) if !past_end => {
            let mut confirmed = token.clone();
            confirmed.confirm(tx.now);
            tx.update(token, &confirmed, Action::Confirm).map(drop)
        }
        Fate::Confirm | Fate::Open(_) | Fate::RollBack => roll_back(tx, token),
    }
}

/// Settles a delivery without waiting for its deadline, for a killed creation or a rotation that is taken over.
/// A secret whose file could not be read may be in use, so it is confirmed.
pub fn abandon(tx: &Write<'_>, token: &Token, fate: &Fate) -> Result<(), StoreError> {
    settle(tx, token, fate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_whose_directory_is_gone_is_not_synced() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        let file = File::create_new(&target).unwrap();
        assert!(sync_again(&file, &target).is_ok());
        std::fs::remove_dir_all(dir.path()).unwrap();
        assert!(sync_again(&file, &target).is_err());
    }
}

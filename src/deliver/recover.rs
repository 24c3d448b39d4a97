//! Recovery of interrupted deliveries. The next change after the deadline confirms the secret or rolls it
//! back. The delivery stays unfinished as long as it is unknown which of the two is right.

use std::fs::File;
use std::path::Path;

use rustix::fs::Dir;

use super::content::{AtPath, read};
use super::env_file::holds;
use super::target::sync;
use super::{Temporary, roll_back, without_reason};
use crate::context::Clock;
use crate::domain::event::{Action, Author};
use crate::domain::token::Token;
use crate::domain::when::Timestamp;
use crate::store::{PAGE, Store, StoreError, Write};

/// What to do with the provisional secret of an interrupted delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Confirm it, because its file contains it.
    Confirm,
    /// Roll it back, because it is not at its destination and can no longer get there.
    RollBack,
    /// Leave it, because its file could not be read or made durable, for this reason.
    Open(String),
}

/// What it means if the file is missing and its directory is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Its file system might not be mounted, so the delivery stays unfinished.
    Unmounted,
    /// A person has confirmed that the file is gone.
    Gone,
}

/// Finishes the deliveries that are past their deadline: those of this user, or all of them for the owner of
/// the store. Every change begins with this. Returns why some of them stay unfinished, since even damage must
/// not prevent the change.
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
    // On another host, the same path is a different file.
    let host = author.actor.host.as_deref().filter(|_| store.spans_hosts());
    let rows = match store.read(|view| view.overdue(whose, host, now)) {
        Err(err @ StoreError::Damaged(_)) => return Ok(vec![damaged(err)]),
        rows => rows?,
    };
    let mut unfinished = Vec::new();
    for page in rows.chunks(PAGE) {
        for token in tokens(store, page, now)? {
            match token.and_then(|token| finish(store, clock, author, &token, missing)) {
                Err(err @ StoreError::Damaged(_)) => unfinished.push(damaged(err)),
                finished => unfinished.extend(finished?),
            }
        }
    }
    Ok(unfinished)
}

/// Reads the tokens in these rows in one transaction, because every change reads the deliveries that stay
/// unfinished. If one of the tokens is damaged, each is read separately.
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
    if token.delivery.is_none() {
        // Another process has finished it meanwhile.
        return Ok(None);
    }
    // The file is read before the lock is taken, because reading can block.
    let fate = fate(token, missing);
    if let Fate::Open(why) = &fate {
        return Ok(Some(format!("the delivery of `{}` stays open: {why}", token.name)));
    }
    store.write(clock, &without_reason(author), |tx| {
        let unchanged =
            tx.tokens(&[token.row], tx.now)?.pop().filter(|found| found.delivery == token.delivery);
        unchanged.map_or(Ok(()), |found| apply_fate(tx, &found, &fate))
    })?;
    Ok(None)
}

/// Reads the file of a token's unfinished delivery, after ensuring that the delivery can no longer change it.
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
            // The temporary file was in this directory. Only a rename, or another file system that is mounted
            // there, can have emptied it.
            Ok(true) => open(
                "is missing in an empty directory, as if its file system were not mounted; \
                 `tokenctl doctor --repair` treats it as deleted",
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

fn apply_fate(tx: &Write<'_>, token: &Token, fate: &Fate) -> Result<(), StoreError> {
    let has_expired = token.provisional().is_none_or(|provisional| provisional.has_expired(tx.now));
    match fate {
        Fate::Confirm | Fate::Open(_) if !has_expired => {
            let mut confirmed = token.clone();
            confirmed.confirm(tx.now);
            tx.update(token, &confirmed, Action::Confirm).map(drop)
        }
        Fate::Confirm | Fate::Open(_) | Fate::RollBack => roll_back(tx, token),
    }
}

/// Finishes a delivery without waiting for its deadline, for a killed creation or a rotation that another one
/// takes over. If the file could not be read, the secret might be in use, so it is confirmed.
pub fn abandon(tx: &Write<'_>, token: &Token, fate: &Fate) -> Result<(), StoreError> {
    apply_fate(tx, token, fate)
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

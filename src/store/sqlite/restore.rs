//! Builds and checks the result of a restore in a private copy of the store. Nothing here changes the store
//! itself.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use super::location::Directory;
use super::{AuditReport, FIRST, Step, Store, StoreError, View, Watch, Write};
use crate::domain::digest::Form;
use crate::domain::event::{Action, Anchor, Author, Subject};
use crate::domain::name::{Name, TokenId};
use crate::domain::scope::Catalogue;
use crate::domain::settings::{Fact, Settings};
use crate::domain::token::Token;
use crate::domain::when::{Clock, Timestamp};
use crate::domain::widening::Widening;
use crate::store::engine::Row;

/// The present store that a restore would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Live {
    Missing,
    /// Its log, which has this head, contains the head of the backup.
    SameHistory(Anchor),
    /// It is readable, but has another history.
    OtherHistory(Anchor),
    /// It is damaged in this way. The head of its log, if readable.
    Unusable(String, Option<Anchor>),
}

/// A checked result, which [`Restoration::install`] puts in place of the store.
pub struct Restoration {
    pub(in crate::store) result: Store,
    pub live: Live,
    pub backup_head: Anchor,
    pub head: Anchor,
    pub changed: bool,
    /// Tokens, by id and name, that stay revoked or expired in part although they work in the backup.
    pub kept_ended: Vec<(TokenId, Name)>,
    /// Tokens that would be removed, lose a secret or an unfinished delivery, or have no working secret left.
    pub discarded: Vec<(TokenId, Name)>,
    pub widening: Widening,
    pub commands: Vec<Brought>,
}

/// A command that rotations of a token would run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Brought {
    pub name: String,
    pub id: String,
    pub command: String,
}

/// Opens a private copy of a backup in the present version, if all of it is sound. The file itself is not
/// changed.
pub fn open_backup<E: From<StoreError>>(
    file: &Path,
    clock: &dyn Clock,
    author: &Author,
    watch: Watch<'_, E>,
) -> Result<Store, E> {
    let unreadable = |why: String| StoreError::Unreadable { path: file.to_owned(), why };
    let copy = |mut to: File| {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let mut from = File::options().read(true).custom_flags(flags).open(file)?;
        if !from.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        io::copy(&mut from, &mut to).map(drop)
    };
    let store = Store::private(clock, author, |_, to| copy(to).map_err(|err| unreadable(err.to_string())))
        .map_err(|err| err.of_file(file))?;
    let now = clock.now().map_err(StoreError::Clock)?;
    check(&store, now, watch)?;
    Ok(store)
}

/// Fails unless the database, its log and every object in it are sound.
pub(super) fn check<E: From<StoreError>>(
    store: &Store,
    now: Timestamp,
    watch: Watch<'_, E>,
) -> Result<(), E> {
    damage(store, now, watch)?.map_or(Ok(()), |why| Err(StoreError::Damaged(why).into()))
}

/// The same for a database that this process has just built, whose structure needs no check.
#[cfg(feature = "cli")]
pub(super) fn check_built<E: From<StoreError>>(
    store: &Store,
    now: Timestamp,
    watch: Watch<'_, E>,
) -> Result<(), E> {
    let wrong = first_of(store.audit_history(None, now, true, watch)?);
    wrong.map_or(Ok(()), |why| Err(StoreError::Damaged(why).into()))
}

/// The first problem of a store.
fn damage<E: From<StoreError>>(
    store: &Store,
    now: Timestamp,
    watch: Watch<'_, E>,
) -> Result<Option<String>, E> {
    Ok(first_of(store.audit(None, now, watch)?))
}

fn first_of(report: AuditReport) -> Option<String> {
    let database = report.database.into_iter();
    database
        .chain(report.first_bad.map(|bad| format!("entry {} of its log: {}", bad.seq, bad.problem)))
        .chain(report.rows.into_iter().map(|row| format!("`{}` does not match its last event", row.name)))
        .next()
}

/// Builds the result of restoring a backup.
pub fn plan<E: From<StoreError>>(
    location: &Directory,
    backup: &Store,
    clock: &dyn Clock,
    author: &Author,
    watch: Watch<'_, E>,
) -> Result<Restoration, E> {
    let now = clock.now().map_err(StoreError::Clock)?;
    let backup_head = backup.read(|view| view.anchor())?;
    let (mut live, present) = meet(location, &backup_head)?;
    let mut result = None;
    if let (Live::SameHistory(head), Some(present)) = (&live, &present) {
        let copy = present.private_copy(clock, author)?;
        match damage(&copy, now, watch)? {
            None => result = Some(copy),
            Some(why) => live = Live::Unusable(why, Some(*head)),
        }
    }
    let result = result.map_or_else(|| backup.private_copy(clock, author), Ok)?;
    let mut built = Built::default();
    let changed = match (&live, &present) {
        (Live::SameHistory(_), _) => {
            built.known = result.read(|view| view.commands())?;
            result.write(clock, author, |tx| tx.merge(backup, &mut built))?
        }
        (_, Some(present)) => {
            present.accept_broken_seals();
            result.write(clock, author, |tx| tx.revoke_as(present, &mut built))?;
            true
        }
        _ => true,
    };
    watch(Step::new("checking the result", 0, 0))?;
    check(&result, now, watch)?;
    let (head, commands) = result.read(|view| Ok::<_, StoreError>((view.anchor()?, view.commands()?)))?;
    let commands = commands.into_iter().filter(|it| !built.knows(it)).collect();
    Ok(Restoration {
        result,
        live,
        backup_head,
        head,
        changed,
        kept_ended: built.kept_ended,
        discarded: built.discarded,
        widening: built.widening,
        commands,
    })
}

fn meet(location: &Directory, backup_head: &Anchor) -> Result<(Live, Option<Store>), StoreError> {
    if !location.exists() {
        return Ok((Live::Missing, None));
    }
    let store = match Store::file_to_read(location) {
        Err(err @ (StoreError::Damaged(_) | StoreError::Foreign { .. })) => {
            return Ok((Live::Unusable(err.to_string(), None), None));
        }
        store => store?,
    };
    let read = store.read(|view| {
        let found = view.ok(store.anchor_hash(backup_head.seq))?;
        Ok((view.anchor()?, found == Some(backup_head.hash)))
    });
    Ok(match read {
        Ok((head, true)) => (Live::SameHistory(head), Some(store)),
        Ok((head, false)) => (Live::OtherHistory(head), Some(store)),
        Err(StoreError::Damaged(why)) => (Live::Unusable(why, None), Some(store)),
        Err(err) => return Err(err),
    })
}

/// Findings that are collected while the result is built.
#[derive(Default)]
struct Built {
    kept_ended: Vec<(TokenId, Name)>,
    discarded: Vec<(TokenId, Name)>,
    widening: Widening,
    known: BTreeSet<Brought>,
}

impl Built {
    /// Whether the present store has this command of this token.
    fn knows(&self, it: &Brought) -> bool {
        self.known.iter().any(|known| (&known.id, &known.command) == (&it.id, &it.command))
    }
}

fn named(token: &Token) -> (TokenId, Name) {
    (token.id.clone(), token.name.clone())
}

impl View<'_> {
    /// The commands that rotations would run.
    pub fn commands(&self) -> Result<BTreeSet<Brought>, StoreError> {
        let sql = "SELECT name, id, destination_command FROM tokens WHERE destination_command IS NOT NULL
             UNION SELECT name, id, hook FROM tokens WHERE hook IS NOT NULL
             UNION SELECT t.name, t.id, d.command FROM delivery d JOIN secret s ON s.row = d.secret
               JOIN tokens t ON t.row = s.token WHERE d.command IS NOT NULL
             UNION SELECT t.name, t.id, d.hook FROM delivery d JOIN secret s ON s.row = d.secret
               JOIN tokens t ON t.row = s.token WHERE d.hook IS NOT NULL
             UNION SELECT t.name, t.id, h.command FROM hook h JOIN secret s ON s.row = h.secret
               JOIN tokens t ON t.row = s.token";
        let run = || {
            let read =
                |row: &Row<'_>| Ok(Brought { name: row.get(0)?, id: row.get(1)?, command: row.get(2)? });
            self.prepare(sql)?.all(&[], read)
        };
        self.ok(run())
    }

    fn token_of_id(&self, id: &str, now: Timestamp) -> Result<Option<Token>, StoreError> {
        self.row_of_id(id)?.map(|row| self.token(row, now)).transpose()
    }
}

impl Write<'_> {
    /// Applies the backup to this copy of the present store, except for what was revoked or has expired since.
    fn merge(&self, backup: &Store, built: &mut Built) -> Result<bool, StoreError> {
        let before = self.anchor()?;
        let (catalogue, settings) =
            backup.read(|view| Ok::<_, StoreError>((view.catalogue()?, view.settings()?)))?;
        let was = self.catalogue()?;
        self.restore_catalogue(&catalogue)?;
        let is = self.catalogue()?;
        self.restore_settings(settings)?;
        // Tokens may exchange their names.
        self.free_names(true)?;
        self.each_page(|page| {
            for present in page {
                let old = backup.read(|view| view.token_of_id(&present.id, self.now))?;
                self.merge_token(&present, old.as_ref(), (&was, &is), built)?;
            }
            Ok(())
        })?;
        self.free_names(false)?;
        self.note_missing(backup, built)?;
        Ok(self.head.borrow().as_ref().is_some_and(|head| head.anchor != before))
    }

    fn merge_token(
        &self,
        present: &Token,
        old: Option<&Token>,
        (was, is): (&Catalogue, &Catalogue),
        built: &mut Built,
    ) -> Result<(), StoreError> {
        let restored = old.and_then(|old| old.restored_over(present, self.now));
        let Some(mut restored) = restored else {
            // Tokens that were created since the backup and are revoked or expired stay, since nothing is lost by that.
            if present.revoked_at.is_none() {
                built.discarded.push(named(present));
                self.replace(Action::Restore, present, None)?;
            }
            return Ok(());
        };
        restored.token = restored.token.granted_in(is);
        let after = &restored.token;
        let newer = present.secrets.iter().filter(|secret| !secret.is_over(self.now));
        let lost = newer.clone().any(|it| after.secrets.iter().all(|kept| kept.hash != it.hash));
        let was_usable = present.has_working_secret(self.now);
        if present.revoked_at.is_none() && lost || was_usable && !after.has_working_secret(self.now) {
            built.discarded.push(named(present));
        }
        if restored.kept_ended {
            built.kept_ended.push(named(present));
        }
        let gain = Widening::of_token((present, was), (after, is));
        built.widening = std::mem::take(&mut built.widening).and(gain);
        if Form::Two.token(present) == Form::Two.token(after) {
            return Ok(());
        }
        self.replace(Action::Restore, present, Some(after))
    }

    /// Tokens of the backup that were pruned from the present store stay gone.
    fn note_missing(&self, backup: &Store, built: &mut Built) -> Result<(), StoreError> {
        let mut from = Some(FIRST);
        while let Some(start) = from {
            let (last, page) = backup.read(|view| {
                let rows = view.rows_from(start)?;
                Ok::<_, StoreError>((rows.last().copied(), view.tokens(&rows, self.now)?))
            })?;
            for token in page.iter().filter(|token| token.has_working_secret(self.now)) {
                if self.row_of_id(&token.id)?.is_none() && token.current().is_some() {
                    built.kept_ended.push(named(token));
                }
            }
            from = last.and_then(|last| last.checked_add(1));
        }
        Ok(())
    }

    /// Revokes in this copy of a backup what another store, as far as it is readable, has revoked.
    fn revoke_as(&self, other: &Store, built: &mut Built) -> Result<(), StoreError> {
        self.each_page(|page| {
            for before in page {
                let found = other.read(|view| view.token_of_id(&before.id, self.now)).ok().flatten();
                let Some(found) = found else { continue };
                let after = before.ended_as(&found, self.now);
                if after != before {
                    built.kept_ended.push(named(&before));
                    self.update(&before, &after, Action::Restore)?;
                }
            }
            Ok(())
        })
    }

    fn each_page(
        &self,
        mut take: impl FnMut(Vec<Token>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut from = Some(FIRST);
        while let Some(start) = from {
            let rows = self.rows_from(start)?;
            take(self.tokens(&rows, self.now)?)?;
            from = rows.last().and_then(|last| last.checked_add(1));
        }
        Ok(())
    }

    fn restore_settings(&self, backup: Settings) -> Result<(), StoreError> {
        let before = self.settings()?;
        let mut after = backup;
        // The group that may read the files is a fact of the present store.
        after.facts.remove(&Fact::Sharing);
        after.facts.extend(before.facts.get_key_value(&Fact::Sharing).map(|(fact, it)| (*fact, it.clone())));
        if before == after {
            return Ok(());
        }
        let matched = self.compare(Action::Restore, &Subject::Settings, |form| form.settings(&before))?;
        self.write_settings(Action::Restore, &before, &after, matched)
    }

    /// Drops the rule that names are unique, or restores it.
    fn free_names(&self, free: bool) -> Result<(), StoreError> {
        let sql = if free { "DROP INDEX token_name" } else { super::schema::TOKEN_NAME };
        self.run(sql, &[]).map(drop)
    }
}

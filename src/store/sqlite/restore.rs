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

/// The state of the existing store that a restore would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Live {
    Missing,
    /// Its log contains the head of the backup. The value is the head of its log.
    SameHistory(Anchor),
    /// It can be read, but its log does not contain the head of the backup. The value is the head of its log.
    OtherHistory(Anchor),
    /// It is damaged. The values describe the damage, and are the head of its log if that can be read.
    Unusable(String, Option<Anchor>),
}

/// A result that was checked. [`Restoration::install`] puts it in place of the store.
pub struct Restoration {
    pub(in crate::store) result: Store,
    pub live: Live,
    pub backup_head: Anchor,
    pub head: Anchor,
    pub changed: bool,
    /// Tokens, by id and name, that work in the backup but stay revoked or expired, at least in part.
    pub kept_ended: Vec<(TokenId, Name)>,
    /// Tokens that would be removed, or would lose a secret, an unfinished delivery, or their last working
    /// secret.
    pub discarded: Vec<(TokenId, Name)>,
    pub widening: Widening,
    pub commands: Vec<TokenCommand>,
}

/// A command that is run when a token is rotated.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenCommand {
    pub name: String,
    pub id: String,
    pub command: String,
}

/// Copies a backup to a private file, migrates the copy to the current version, and checks it. The backup
/// itself is not changed.
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
    first_problem(store, now, watch)?.map_or(Ok(()), |why| Err(StoreError::Damaged(why).into()))
}

/// Like [`check`], but without the structure of the database, which this process has just built.
#[cfg(feature = "cli")]
pub(super) fn check_built<E: From<StoreError>>(
    store: &Store,
    now: Timestamp,
    watch: Watch<'_, E>,
) -> Result<(), E> {
    let wrong = first_problem_in(store.audit_history(None, now, true, watch)?);
    wrong.map_or(Ok(()), |why| Err(StoreError::Damaged(why).into()))
}

/// Returns the first problem of a store.
fn first_problem<E: From<StoreError>>(
    store: &Store,
    now: Timestamp,
    watch: Watch<'_, E>,
) -> Result<Option<String>, E> {
    Ok(first_problem_in(store.audit(None, now, watch)?))
}

fn first_problem_in(report: AuditReport) -> Option<String> {
    let database = report.database.into_iter();
    database
        .chain(report.first_bad.map(|bad| format!("entry {} of its log: {}", bad.seq, bad.problem)))
        .chain(report.rows.into_iter().map(|row| format!("`{}` does not match its last event", row.name)))
        .next()
}

/// Builds the result of restoring a backup.
pub fn build<E: From<StoreError>>(
    location: &Directory,
    backup: &Store,
    clock: &dyn Clock,
    author: &Author,
    watch: Watch<'_, E>,
) -> Result<Restoration, E> {
    let now = clock.now().map_err(StoreError::Clock)?;
    let backup_head = backup.read(|view| view.anchor())?;
    let (mut live, existing) = compare_with_existing(location, &backup_head)?;
    let mut result = None;
    if let (Live::SameHistory(head), Some(existing)) = (&live, &existing) {
        let copy = existing.private_copy(clock, author)?;
        match first_problem(&copy, now, watch)? {
            None => result = Some(copy),
            Some(why) => live = Live::Unusable(why, Some(*head)),
        }
    }
    let result = result.map_or_else(|| backup.private_copy(clock, author), Ok)?;
    let mut findings = Findings::default();
    let changed = match (&live, &existing) {
        (Live::SameHistory(_), _) => {
            findings.known = result.read(|view| view.commands())?;
            result.write(clock, author, |tx| tx.merge(backup, &mut findings))?
        }
        (_, Some(existing)) => {
            existing.accept_broken_seals();
            result.write(clock, author, |tx| tx.apply_revocations_of(existing, &mut findings))?;
            true
        }
        _ => true,
    };
    watch(Step::new("checking the result", 0, 0))?;
    check(&result, now, watch)?;
    let (head, commands) = result.read(|view| Ok::<_, StoreError>((view.anchor()?, view.commands()?)))?;
    let commands = commands.into_iter().filter(|it| !findings.knows(it)).collect();
    Ok(Restoration {
        result,
        live,
        backup_head,
        head,
        changed,
        kept_ended: findings.kept_ended,
        discarded: findings.discarded,
        widening: findings.widening,
        commands,
    })
}

fn compare_with_existing(
    location: &Directory,
    backup_head: &Anchor,
) -> Result<(Live, Option<Store>), StoreError> {
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

/// What is found while the result is built.
#[derive(Default)]
struct Findings {
    kept_ended: Vec<(TokenId, Name)>,
    discarded: Vec<(TokenId, Name)>,
    widening: Widening,
    known: BTreeSet<TokenCommand>,
}

impl Findings {
    /// Whether the existing store already has this command for this token.
    fn knows(&self, command: &TokenCommand) -> bool {
        self.known.iter().any(|known| (&known.id, &known.command) == (&command.id, &command.command))
    }
}

fn named(token: &Token) -> (TokenId, Name) {
    (token.id.clone(), token.name.clone())
}

impl View<'_> {
    /// All commands that rotations can run: those of tokens, unfinished deliveries and pending hooks.
    pub fn commands(&self) -> Result<BTreeSet<TokenCommand>, StoreError> {
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
                |row: &Row<'_>| Ok(TokenCommand { name: row.get(0)?, id: row.get(1)?, command: row.get(2)? });
            self.prepare(sql)?.all(&[], read)
        };
        self.ok(run())
    }

    fn token_of_id(&self, id: &str, now: Timestamp) -> Result<Option<Token>, StoreError> {
        self.row_of_id(id)?.map(|row| self.token(row, now)).transpose()
    }
}

impl Write<'_> {
    /// Applies the backup to this copy of the existing store, but keeps what was revoked or has expired since
    /// the backup.
    fn merge(&self, backup: &Store, findings: &mut Findings) -> Result<bool, StoreError> {
        let before = self.anchor()?;
        let (catalogue, settings) =
            backup.read(|view| Ok::<_, StoreError>((view.catalogue()?, view.settings()?)))?;
        let old_catalogue = self.catalogue()?;
        self.restore_catalogue(&catalogue)?;
        let new_catalogue = self.catalogue()?;
        self.restore_settings(settings)?;
        // Two tokens might have swapped their names since the backup, so names need not be unique during the
        // merge.
        self.run("DROP INDEX token_name", &[])?;
        self.each_page(|page| {
            for existing in page {
                let old = backup.read(|view| view.token_of_id(&existing.id, self.now))?;
                self.merge_token(&existing, old.as_ref(), (&old_catalogue, &new_catalogue), findings)?;
            }
            Ok(())
        })?;
        self.run(super::schema::TOKEN_NAME, &[])?;
        self.note_missing(backup, findings)?;
        Ok(self.head.borrow().as_ref().is_some_and(|head| head.anchor != before))
    }

    fn merge_token(
        &self,
        existing: &Token,
        old: Option<&Token>,
        (old_catalogue, new_catalogue): (&Catalogue, &Catalogue),
        findings: &mut Findings,
    ) -> Result<(), StoreError> {
        let restored = old.and_then(|old| old.restored_over(existing, self.now));
        let Some(mut restored) = restored else {
            // A token that was created after the backup is removed, unless it is revoked. A revoked token
            // does no harm.
            if existing.revoked_at.is_none() {
                findings.discarded.push(named(existing));
                self.replace(Action::Restore, existing, None)?;
            }
            return Ok(());
        };
        restored.token = restored.token.granted_in(new_catalogue);
        let after = &restored.token;
        let working = existing.secrets.iter().filter(|secret| !secret.is_over(self.now));
        let lost = working.clone().any(|it| after.secrets.iter().all(|kept| kept.hash != it.hash));
        let was_usable = existing.has_working_secret(self.now);
        if existing.revoked_at.is_none() && lost || was_usable && !after.has_working_secret(self.now) {
            findings.discarded.push(named(existing));
        }
        if restored.kept_ended {
            findings.kept_ended.push(named(existing));
        }
        let gain = Widening::of_token((existing, old_catalogue), (after, new_catalogue));
        findings.widening = std::mem::take(&mut findings.widening).and(gain);
        if Form::Two.token(existing) == Form::Two.token(after) {
            return Ok(());
        }
        self.replace(Action::Restore, existing, Some(after))
    }

    /// Notes the tokens of the backup that were pruned since. They are not restored.
    fn note_missing(&self, backup: &Store, findings: &mut Findings) -> Result<(), StoreError> {
        let mut from = Some(FIRST);
        while let Some(start) = from {
            let (last, page) = backup.read(|view| {
                let rows = view.rows_from(start)?;
                Ok::<_, StoreError>((rows.last().copied(), view.tokens(&rows, self.now)?))
            })?;
            for token in page.iter().filter(|token| token.has_working_secret(self.now)) {
                if self.row_of_id(&token.id)?.is_none() && token.current().is_some() {
                    findings.kept_ended.push(named(token));
                }
            }
            from = last.and_then(|last| last.checked_add(1));
        }
        Ok(())
    }

    /// Applies the revocations of another store to this copy of a backup. Tokens that cannot be read there
    /// are skipped.
    fn apply_revocations_of(&self, other: &Store, findings: &mut Findings) -> Result<(), StoreError> {
        self.each_page(|page| {
            for before in page {
                let found = other.read(|view| view.token_of_id(&before.id, self.now)).ok().flatten();
                let Some(found) = found else { continue };
                let after = before.restricted_as(&found, self.now);
                if after != before {
                    findings.kept_ended.push(named(&before));
                    self.update(&before, &after, Action::Restore)?;
                }
            }
            Ok(())
        })
    }

    fn each_page(
        &self,
        mut handle: impl FnMut(Vec<Token>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut from = Some(FIRST);
        while let Some(start) = from {
            let rows = self.rows_from(start)?;
            handle(self.tokens(&rows, self.now)?)?;
            from = rows.last().and_then(|last| last.checked_add(1));
        }
        Ok(())
    }

    fn restore_settings(&self, backup: Settings) -> Result<(), StoreError> {
        let before = self.settings()?;
        let mut after = backup;
        // The sharing describes the existing files, so it is not taken from the backup.
        after.facts.remove(&Fact::Sharing);
        after.facts.extend(before.facts.get_key_value(&Fact::Sharing).map(|(fact, it)| (*fact, it.clone())));
        if before == after {
            return Ok(());
        }
        let matched = self.compare(Action::Restore, &Subject::Settings, |form| form.settings(&before))?;
        self.write_settings(Action::Restore, &before, &after, matched)
    }
}

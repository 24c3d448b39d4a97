//! Finds problems of a store that can be opened.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::build::unsafe_to_change;
use super::found::{Found, journal};
use super::location::{Directory, Unsafe};
use super::open::Access;
use super::opening::Opening;
use super::share::database_mode;
use super::uses::beside;
use super::{FIRST, PAGE, Sqlite, Step, Store, Watch, build, hot};
use crate::domain::settings::Settings;
use crate::domain::text::shown;
use crate::domain::token::{Status, Token};
use crate::domain::when::Timestamp;
use crate::store::error::StoreError;
use crate::store::sharing::Sharing;
use crate::store::{files, usage};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

#[derive(Debug)]
pub struct Finding {
    pub code: &'static str,
    pub severity: Severity,
    pub message: String,
    /// Whether it can be repaired without data loss.
    pub repairable: bool,
}

impl Finding {
    pub fn is_same(&self, other: &Finding) -> bool {
        (self.code, &self.message) == (other.code, &other.message)
    }
}

fn error(code: &'static str, message: impl Into<String>) -> Finding {
    Finding { code, severity: Severity::Error, message: message.into(), repairable: false }
}

pub fn warning(code: &'static str, message: impl Into<String>) -> Finding {
    Finding { severity: Severity::Warning, ..error(code, message) }
}

/// Checks the whole store without changing it. Fails if the store cannot even be opened for reading.
pub fn examine<E: From<StoreError>>(
    location: &Directory,
    uid: u32,
    now: Timestamp,
    watch: Watch<'_, E>,
) -> Result<Vec<Finding>, E> {
    let found = location.find()?;
    let problems = location.unsafe_files(&found)?;
    let recorded = recorded(location, is_open(&problems));
    // SQLite would roll back such a journal, or wait for a FIFO.
    let has_unsafe_journal = problems.iter().any(|problem| problem.path == journal(&found.database));
    let mut all: Vec<Finding> = problems
        .into_iter()
        .map(|problem| Finding {
            repairable: problem.by_mode && problem.path.starts_with(&found.dir),
            ..error("permissions", format!("`{}`: {}; {}", problem.path.display(), problem.why, problem.fix))
        })
        .collect();
    match found.version() {
        Err(StoreError::Wal { .. }) => {
            all.push(wal());
            return Ok(all);
        }
        version => version?,
    };
    all.extend(beside_database(&found));
    if has_unsafe_journal {
        return Ok(all);
    }
    all.extend(mode(location, &found, recorded));
    let store = match Sqlite::connect(&found, Access::Read) {
        Ok(store) => Store::from(store),
        Err(Opening::HotJournal) => {
            let dir = found.dir.clone();
            Store::file_to_read(&Directory { dir, named: true, trusts_group: location.trusts_group })?
        }
        Err(Opening::Failed(StoreError::Wal { .. })) => {
            all.push(wal());
            return Ok(all);
        }
        Err(Opening::Failed(StoreError::Damaged(why))) => {
            all.push(error("schema", why));
            return Ok(all);
        }
        Err(Opening::Failed(err)) => return Err(err.into()),
    };
    if store.is_copy() {
        all.push(Finding {
            repairable: true,
            ..warning("leftover", "a killed writer left its journal; the next change rolls it back")
        });
    }
    watch(Step::new("checking the database", 0, 0))?;
    let database = store.files()?.check_integrity()?;
    let sound = database.is_empty();
    all.extend(database.into_iter().map(|problem| error("integrity", problem)));
    if sound {
        all.extend(content(&store, uid, now, watch)?);
    }
    Ok(all)
}

fn wal() -> Finding {
    let message = "another program has set WAL mode or keeps tables in the store; stop it before the repair";
    Finding { repairable: true, ..error("wal", message) }
}

/// Whether other users could write the store.
fn is_open(problems: &[Unsafe]) -> bool {
    problems.iter().any(|problem| problem.by_mode)
}

/// The recorded sharing. The store counts as private if other users could have written the record.
fn recorded(location: &Directory, was_open: bool) -> Option<Sharing> {
    if was_open {
        return Some(Sharing::Private);
    }
    Store::file_to_read(location).ok()?.sharing()
}

/// Checks the usage files, and leftovers of killed commands.
fn beside_database(found: &Found) -> Vec<Finding> {
    let mut all = Vec::new();
    for name in usage::FILES {
        if usage::Usage::to_read(beside(found), name).since().is_none() {
            let message = format!("`{name}` is missing or cannot be used, so nothing is recorded in it");
            all.push(Finding { repairable: true, ..warning("usage", message) });
        }
    }
    all.extend(leftovers(&found.dir).into_iter().chain(hot::left_behind()).map(|path| Finding {
        repairable: true,
        ..warning("leftover", format!("`{}` was left by a killed command", path.display()))
    }));
    all
}

/// Checks whether the mode and the group of the database match the sharing.
fn mode(location: &Directory, found: &Found, recorded: Option<Sharing>) -> Vec<Finding> {
    let (path, mode) = (found.database.display(), found.meta.mode() & 0o7777);
    let mut all = Vec::new();
    if database_mode(location, found, recorded) != mode {
        let message = format!("`{path}` has the mode {mode:o}");
        all.push(Finding { repairable: true, ..warning("permissions", message) });
    }
    if let Some(Sharing::Group(gid)) = recorded.filter(|sharing| !sharing.is_group_of(&found.meta)) {
        let message = format!(
            "the store is shared with group {gid}, but `{path}` has group {}; `tokenctl init --group {gid}` shares it again",
            found.meta.gid()
        );
        all.push(warning("permissions", message));
    }
    all
}

/// Corrects modes, turns WAL mode off and removes leftovers, if they belong to the owner of the store.
/// Problems that the next change repairs are left to it.
pub fn repair(location: &Directory) -> Result<(), StoreError> {
    let found = location.find()?;
    let failed = |path: &Path, err: &io::Error| StoreError::io("repair", path, err);
    for path in leftovers(&found.dir) {
        fs::remove_file(&path).map_err(|err| failed(&path, &err))?;
    }
    for path in hot::left_behind() {
        fs::remove_dir_all(&path).map_err(|err| failed(&path, &err))?;
    }
    let set_mode = |path: &Path, mode: &dyn Fn(u32) -> u32| {
        let opened = files::open(path, false);
        opened
            .and_then(|opened| opened.set_mode(found.meta.uid(), mode(opened.meta.mode())))
            .map_err(|err| unsafe_to_change(path, &err))
    };
    let problems = location.unsafe_files(&found)?;
    let was_open = is_open(&problems);
    for problem in problems {
        if problem.by_mode && problem.path.starts_with(&found.dir) {
            set_mode(&problem.path, &|mode| mode & !0o022)?;
        } else if problem.path == journal(&found.database) {
            return Err(problem.into());
        }
    }
    if matches!(found.version(), Err(StoreError::Wal { .. })) || has_foreign_tables(&found) {
        found.leave_wal()?;
    }
    let expected = database_mode(location, &found, recorded(location, was_open));
    set_mode(&found.database, &|_| expected)?;
    for name in usage::FILES {
        let path = found.dir.join(name);
        let is_there = || files::look(&path).is_ok_and(|meta| meta.is_some_and(|meta| !meta.is_dir()));
        if usage::Usage::to_read(beside(&found), name).since().is_none() && is_there() {
            fs::remove_file(&path).map_err(|err| failed(&path, &err))?;
        }
    }
    Ok(())
}

/// Whether the store has tables of Litestream, although it is no longer in WAL mode.
fn has_foreign_tables(found: &Found) -> bool {
    matches!(Sqlite::connect(found, Access::Read), Err(Opening::Failed(StoreError::Wal { .. })))
}

/// Files that killed commands left. None of them was ever part of the store.
fn leftovers(dir: &Path) -> Vec<PathBuf> {
    let left = |name: &str| name.starts_with(build::TEMPORARY) || name.starts_with(usage::TEMPORARY);
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(left))
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .collect()
}

/// Checks the hash chain, whether the objects match it, and whether the tokens comply with the settings.
pub fn content<E: From<StoreError>>(
    store: &Store,
    uid: u32,
    now: Timestamp,
    watch: Watch<'_, E>,
) -> Result<Vec<Finding>, E> {
    let report = store.audit_history(None, now, true, watch)?;
    let mut all = Vec::new();
    let chained = report.first_bad.is_none();
    if let Some(bad) = report.first_bad {
        all.push(error("audit_chain", format!("entry {}: {}", bad.seq, bad.problem)));
    }
    let sound = report.rows.is_empty();
    for row in report.rows {
        let what = row.id.map_or_else(|| "the".to_owned(), |id| format!("token {}", shown(&id)));
        all.push(error("row_digest", format!("{what} {} does not match its last event", shown(&row.name))));
    }
    let last = if chained { store.read(|view| Ok::<_, StoreError>(view.head()?.time))? } else { None };
    if let Some(last) = last.filter(|last| *last > now) {
        all.push(warning("clock", format!("the last change was made at {last}, the clock says {now}")));
    }
    if !sound {
        return Ok(all);
    }
    let settings = store.read(|view| view.settings())?;
    let owner = store.belongs_to(uid);
    let (mut from, mut done, total) = (FIRST, 0, store.count());
    loop {
        watch(Step::new("checking rules", done, total))?;
        let (last, tokens) = store.read(|view| {
            let rows = view.rows_from(from)?;
            Ok::<_, StoreError>((rows.last().copied(), view.tokens(&rows, now)?))
        })?;
        done += tokens.len();
        all.extend(tokens.iter().flat_map(|token| policy(token, &settings, (uid, owner), now)));
        match last.and_then(|last| last.checked_add(1)) {
            Some(next) if all.len() < PAGE => from = next,
            _ => return Ok(all),
        }
    }
}

/// Finds tokens that the rules of the store would no longer allow, and unfinished deliveries. Users can
/// finish their own deliveries, and the owner of the store can finish all of them.
fn policy(token: &Token, settings: &Settings, (uid, owner): (u32, bool), now: Timestamp) -> Vec<Finding> {
    let mut all = Vec::new();
    if let Some(delivery) = token.delivery.as_ref().filter(|delivery| delivery.deadline <= now) {
        let whose = if delivery.uid == uid { String::new() } else { format!(" of uid {}", delivery.uid) };
        let message = format!(
            "the delivery of `{}`, begun at {},{whose} was never finished",
            token.name, delivery.started_at
        );
        all.push(Finding { repairable: delivery.uid == uid || owner, ..warning("leftover", message) });
    }
    if matches!(token.status(now), Status::Revoked | Status::Expired) {
        return all;
    }
    let mut beyond = |why: &str| all.push(warning("policy", format!("`{}` {why}", token.name)));
    if let (Some(max), Some(face)) = (settings.max_ttl, token.face()) {
        let too_long = face.expires_at.is_none_or(|end| end.since(face.created_at) > max.secs());
        if too_long {
            beyond(&format!("has a longer lifetime than max-ttl ({max})"));
        }
    }
    if settings.require_owner && token.owner.is_none() {
        beyond("has no owner");
    }
    if settings.require_description && token.description.is_none() {
        beyond("has no description");
    }
    all
}

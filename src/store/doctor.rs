//! What is wrong with a store, as far as it can be opened at all.

use std::fs;
use std::path::Path;

use super::error::StoreError;
use super::open::{self, Access, Found, Location};
use super::{Opening, Sharing, Store, hot, usage};
use super::{PAGE, build};
use crate::domain::settings::Settings;
use crate::domain::text::shown;
use crate::domain::token::{Status, Token};
use crate::domain::when::Timestamp;

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
    /// Whether a repair can mend it without losing anything.
    pub repairable: bool,
}

fn error(code: &'static str, message: impl Into<String>) -> Finding {
    Finding { code, severity: Severity::Error, message: message.into(), repairable: false }
}

fn warning(code: &'static str, message: impl Into<String>) -> Finding {
    Finding { severity: Severity::Warning, ..error(code, message) }
}

/// Looks at everything; changes nothing. An error means that the store cannot be opened even to look.
pub fn examine(location: &Location, uid: u32, now: Timestamp) -> Result<Vec<Finding>, StoreError> {
    let found = location.find()?;
    let mut all: Vec<Finding> = location
        .unsafe_files(&found)?
        .into_iter()
        .map(|it| Finding {
            repairable: true,
            ..error("permissions", format!("`{}`: {}; {}", it.path.display(), it.why, it.fix))
        })
        .collect();
    open::header(&found.database)?;
    all.extend(files(&found));
    let store = match Store::connect(&found, Access::Read) {
        Ok(store) => store,
        Err(Opening::HotJournal) => Store::open_to_read(&Location { named: true, dir: found.dir.clone() })?,
        Err(Opening::Failed(StoreError::Damaged(why))) => {
            all.push(error("schema", why));
            return Ok(all);
        }
        Err(Opening::Failed(err)) => return Err(err),
    };
    if store.is_copy() {
        all.push(Finding {
            repairable: true,
            ..warning("leftover", "a killed writer left its journal; the next change rolls it back")
        });
    }
    let integrity = integrity(&store)?;
    let sound = integrity.is_empty();
    all.extend(integrity);
    if sound {
        all.extend(content(&store, uid, now)?);
    }
    Ok(all)
}

/// The files of use, and what killed commands left behind.
fn files(found: &Found) -> Vec<Finding> {
    let mut all = Vec::new();
    for name in [usage::SECRETS, usage::SCOPES] {
        if usage::Usage::to_read(&found.dir, name).since().is_none() {
            let message = format!("`{name}` is missing or unreadable: last use is not recorded");
            all.push(Finding { repairable: true, ..warning("usage", message) });
        }
    }
    let leftovers = fs::read_dir(&found.dir).into_iter().flatten().flatten().filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name.starts_with(build::TEMPORARY) || name.starts_with("usage.new-")).then_some(name)
    });
    all.extend(leftovers.map(|name| Finding {
        repairable: true,
        ..warning("leftover", format!("`{}` was left by a killed command", shown(&name)))
    }));
    let foreign_mode =
        Sharing::of(&found.database).is_ok_and(|sharing| mode_of(&found.database) != sharing.database_mode());
    if foreign_mode {
        let message = format!("`{}` has the mode {:o}", found.database.display(), mode_of(&found.database));
        all.push(Finding { repairable: true, ..warning("permissions", message) });
    }
    if hot::journal(&found.database).is_symlink() {
        all.push(error("permissions", "the journal is a symbolic link"));
    }
    all
}

fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::symlink_metadata(path).map_or(0, |meta| meta.mode() & 0o7777)
}

/// SQLite's own checks.
fn integrity(store: &Store) -> Result<Vec<Finding>, StoreError> {
    let run = || {
        let mut all = Vec::new();
        let mut statement = store.conn.prepare("PRAGMA integrity_check(20)")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let line: String = row.get(0)?;
            if line != "ok" {
                all.push(error("integrity", line));
            }
        }
        let mut statement = store.conn.prepare("PRAGMA foreign_key_check")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
            all.push(error("integrity", format!("a row of `{table}` belongs to no `{parent}`")));
        }
        Ok(all)
    };
    match run().map_err(|err| store.failed(&err)) {
        Err(StoreError::Damaged(why)) => Ok(vec![error("integrity", why)]),
        all => all,
    }
}

/// The audit chain, the objects under it, and what the settings say of them.
fn content(store: &Store, uid: u32, now: Timestamp) -> Result<Vec<Finding>, StoreError> {
    let report = store.audit(None, now)?;
    let mut all = Vec::new();
    let chained = report.first_bad.is_none();
    if let Some(bad) = report.first_bad {
        all.push(error("audit_chain", format!("entry {}: {}", bad.seq, bad.problem)));
    }
    let sound = report.rows.is_empty();
    for row in report.rows {
        let what = row.id.map_or_else(|| "the".to_owned(), |id| format!("token {}", shown(&id)));
        all.push(error("row_digest", format!("{what} {} is not what its last event says", shown(&row.name))));
    }
    let last = if chained { store.read(|view| Ok::<_, StoreError>(view.head()?.time))? } else { None };
    if let Some(last) = last.filter(|last| *last > now) {
        all.push(warning("clock", format!("the last change was made at {last}, the clock says {now}")));
    }
    if !sound {
        return Ok(all);
    }
    let settings = store.read(|view| view.settings())?;
    let mut after = 0;
    loop {
        let (last, tokens) = store.read(|view| {
            let rows = view.rows_after(after)?;
            Ok::<_, StoreError>((rows.last().copied(), view.tokens(&rows, now)?))
        })?;
        all.extend(tokens.iter().flat_map(|token| policy(token, &settings, uid, now)));
        match last {
            Some(last) if all.len() < PAGE => after = last,
            _ => return Ok(all),
        }
    }
}

/// What of a live token the store's rules would no longer admit, and deliveries that nobody finished.
fn policy(token: &Token, settings: &Settings, uid: u32, now: Timestamp) -> Vec<Finding> {
    let mut all = Vec::new();
    if let Some(delivery) = token.delivery.as_ref().filter(|it| it.deadline <= now) {
        let whose = if delivery.uid == uid { String::new() } else { format!(" of uid {}", delivery.uid) };
        let message = format!(
            "the delivery of `{}`, under way since {},{whose} was never finished",
            token.name, delivery.started_at
        );
        all.push(Finding { repairable: delivery.uid == uid, ..warning("leftover", message) });
    }
    if matches!(token.status(now), Status::Revoked | Status::Expired) {
        return all;
    }
    let mut beyond = |why: &str| all.push(warning("policy", format!("`{}` {why}", token.name)));
    if let (Some(max), Some(face)) = (settings.max_ttl, token.face()) {
        let too_long = face.expires_at.is_none_or(|end| end.since(face.created_at) > max.secs());
        if too_long {
            beyond(&format!("lives longer than max-ttl ({max})"));
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

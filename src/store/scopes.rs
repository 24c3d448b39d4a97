//! Reads and writes the catalogue of scopes.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::params;

use super::sql::{Count, RowNumber};
use super::{Matched, StoreError, View, Write};
use crate::domain::changes;
use crate::domain::digest::Form;
use crate::domain::event::{Action, Subject};
use crate::domain::scope::{Catalogue, Entry};

impl View<'_> {
    pub fn catalogue(&self) -> Result<Catalogue, StoreError> {
        let run = || {
            let mut counts = BTreeMap::new();
            let mut entries: BTreeMap<i64, Entry> = BTreeMap::new();
            let mut all = self.prepare(
                "SELECT row, id, name, description, created_at, retired_at, include_count, seal FROM scope",
            )?;
            let mut rows = all.query(&[])?;
            while let Some(row) = rows.next()? {
                self.begins_unbroken::<8>("scope", &row)?;
                let entry = Entry {
                    row: row.get::<RowNumber>(0)?.0,
                    id: row.get(1)?,
                    name: row.get(2)?,
                    description: row.get(3)?,
                    includes: BTreeSet::new(),
                    created_at: row.get(4)?,
                    retired_at: row.get(5)?,
                };
                counts.insert(entry.row, row.get::<Count>(6)?.0);
                entries.insert(entry.row, entry);
            }
            if entries.is_empty() {
                return Ok(Catalogue::default());
            }
            let sql = "SELECT i.scope, i.included, i.seal, s.name FROM scope_include i LEFT JOIN scope s ON s.row = i.included";
            let mut includes = self.prepare(sql)?;
            let mut rows = includes.query(&[])?;
            while let Some(row) = rows.next()? {
                self.begins_unbroken::<3>("scope_include", &row)?;
                if let (Some(entry), Some(included)) = (entries.get_mut(&row.get(0)?), row.get(3)?) {
                    entry.includes.insert(included);
                }
            }
            if self.checks_seals()
                && let Some(row) =
                    entries.values().find(|entry| counts.get(&entry.row) != Some(&entry.includes.len()))
            {
                let why = format!("scopes that scope row {} includes are missing", row.row);
                return Err(rusqlite::Error::ToSqlConversionFailure(why.into()).into());
            }
            Ok(Catalogue::new(entries.into_values()))
        };
        self.ok(run())
    }

    /// How many unrevoked tokens hold each scope directly, by the scope's row.
    pub fn token_counts_by_scope(&self) -> Result<BTreeMap<i64, i64>, StoreError> {
        let sql = "SELECT g.scope, count(*) FROM granted g JOIN tokens t ON t.row = g.token
             WHERE t.revoked_at IS NULL GROUP BY g.scope";
        let run = || self.prepare(sql)?.all(&[], |row| Ok((row.get(0)?, row.get(1)?)));
        self.ok(run())
    }

    /// The rows of the unrevoked tokens that hold any of these scopes directly.
    pub fn tokens_with_scopes(&self, scopes: &[i64]) -> Result<Vec<i64>, StoreError> {
        let sql = "SELECT DISTINCT g.token FROM granted g JOIN tokens t ON t.row = g.token
             WHERE t.revoked_at IS NULL AND g.scope = ?1";
        let run = || {
            let mut statement = self.prepare(sql)?;
            let mut all = BTreeSet::new();
            for scope in scopes {
                all.extend(statement.all::<i64, Vec<_>>(&[scope], |row| row.get(0))?);
            }
            Ok(all.into_iter().collect())
        };
        self.ok(run())
    }
}

impl Write<'_> {
    /// Adds a scope, and records the event. The row number is ignored. Returns the scope as it is stored.
    pub fn insert_scope(&self, entry: &Entry, action: Action) -> Result<Entry, StoreError> {
        let (before, matched) = self.compare_catalogue(action)?;
        let sql = "INSERT INTO scope (id, name, description, created_at)
             VALUES (?4, ?1, ?2, ?3) RETURNING row";
        // The last twelve digits of a UUID are random.
        let uuid = self.uuid()?;
        let id = uuid.rsplit('-').next();
        let row = self.enter_row(sql, params![entry.name, entry.description, entry.created_at, id])?;
        let references = [("scope_include", "scope"), ("scope_include", "included"), ("granted", "scope")];
        self.starts_alone("scope", row, &references)?;
        self.save_scope(&Entry { row, ..entry.clone() })?;
        let after = self.record_catalogue(action, &before, matched)?;
        let missing = || StoreError::Damaged("a scope that was just written is missing".to_owned());
        after.get(&entry.name).cloned().ok_or_else(missing)
    }

    /// Replaces scopes, identified by their rows, and their includes. Records one event for all of them.
    pub fn save_scopes(&self, entries: &[Entry], action: Action) -> Result<(), StoreError> {
        let (before, matched) = self.compare_catalogue(action)?;
        for entry in entries {
            self.save_scope(entry)?;
        }
        self.record_catalogue(action, &before, matched).map(drop)
    }

    /// Restores the scopes of a backup. A scope that has been retired since stays retired, and newer scopes
    /// are kept.
    pub(super) fn restore_catalogue(&self, backup: &Catalogue) -> Result<(), StoreError> {
        let current = self.catalogue()?;
        let restored = |old: &Entry| {
            let existing = current.iter().find(|existing| existing.id == old.id)?;
            Some(Entry {
                row: existing.row,
                retired_at: old.retired_at.or(existing.retired_at),
                ..old.clone()
            })
        };
        let entries: Vec<Entry> = backup.iter().filter_map(restored).collect();
        if entries.iter().all(|entry| current.get(&entry.name) == Some(entry)) {
            return Ok(());
        }
        let (before, matched) = self.compare_catalogue(Action::Restore)?;
        // Two scopes might have swapped their names, so each gets a temporary name first.
        for entry in &entries {
            self.run("UPDATE scope SET name = '*' || row WHERE row = ?1", &[&entry.row])?;
        }
        for entry in &entries {
            self.run("UPDATE scope SET name = ?2 WHERE row = ?1", params![entry.row, entry.name])?;
        }
        entries.iter().try_for_each(|entry| self.save_scope(entry))?;
        self.record_catalogue(Action::Restore, &before, matched).map(drop)
    }

    fn compare_catalogue(&self, action: Action) -> Result<(Catalogue, Matched), StoreError> {
        let found = self.catalogue()?;
        let matched = self.compare(action, &Subject::Catalogue, |form| form.catalogue(&found))?;
        Ok((found, matched))
    }

    fn record_catalogue(
        &self,
        action: Action,
        before: &Catalogue,
        matched: Matched,
    ) -> Result<Catalogue, StoreError> {
        let after = self.catalogue()?;
        let changes = changes::of_catalogue(before, &after);
        self.record(action, Subject::Catalogue, Some(Form::Two.catalogue(&after)), changes, matched)?;
        Ok(after)
    }

    fn save_scope(&self, entry: &Entry) -> Result<(), StoreError> {
        self.run(
            "UPDATE scope SET name = ?2, description = ?3, retired_at = ?4 WHERE row = ?1",
            params![entry.row, entry.name, entry.description, entry.retired_at],
        )?;
        self.run("DELETE FROM scope_include WHERE scope = ?1", &[&entry.row])?;
        for included in &entry.includes {
            let sql = "INSERT INTO scope_include (scope, included) SELECT CAST(?1 AS bigint), row FROM scope WHERE name = ?2";
            self.run(sql, params![entry.row, included])?;
        }
        self.seal_scope(entry.row)
    }
}

//! Reads and writes the settings: one row for each value that differs from its default, and for each fact
//! about the store.

use rusqlite::params;

use super::{Matched, StoreError, View, Write};
use crate::domain::changes;
use crate::domain::digest::Form;
use crate::domain::event::{Action, Subject};
use crate::domain::settings::{Fact, Key, Settings};

impl View<'_> {
    pub fn settings(&self) -> Result<Settings, StoreError> {
        let run =
            || self.prepare("SELECT key, value FROM setting")?.all(&[], |row| Ok((row.get(0)?, row.get(1)?)));
        let rows: Vec<(String, String)> = self.ok(run())?;
        let mut settings = Settings::default();
        for (key, value) in rows {
            if let Some(fact) = Fact::ALL.into_iter().find(|fact| fact.word() == key) {
                settings.facts.insert(fact, value);
                continue;
            }
            key.parse::<Key>().and_then(|key| settings.set(key, &value)).map_err(|invalid| {
                StoreError::Damaged(format!("a setting is not valid: {}", invalid.message))
            })?;
        }
        Ok(settings)
    }
}

impl Write<'_> {
    /// Writes the settings that have changed, and records the event.
    pub fn save_settings(&self, settings: &Settings) -> Result<(), StoreError> {
        let before = self.settings()?;
        let matched = self.compare(Action::Settings, &Subject::Settings, |form| form.settings(&before))?;
        self.write_settings(Action::Settings, &before, settings, matched)
    }

    pub(super) fn write_settings(
        &self,
        action: Action,
        before: &Settings,
        after: &Settings,
        matched: Matched,
    ) -> Result<(), StoreError> {
        let (old, new) = (before.rows(), after.rows());
        for key in old.keys().filter(|key| !new.contains_key(*key)) {
            self.run("DELETE FROM setting WHERE key = ?1", &[key])?;
        }
        for (key, value) in new.iter().filter(|(key, value)| old.get(*key) != Some(value)) {
            let sql = "INSERT INTO setting (key, value) VALUES (?1, ?2)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value";
            self.run(sql, params![key, value])?;
        }
        let after = self.settings()?;
        let changes = changes::of_settings(before, &after);
        self.record(action, Subject::Settings, Some(Form::Two.settings(&after)), changes, matched)
    }
}

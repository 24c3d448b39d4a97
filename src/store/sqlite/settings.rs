//! The settings: a row for each that is not its default.

use rusqlite::params;

use super::{StoreError, View, Write};
use crate::domain::digest;
use crate::domain::event::{Action, Subject};
use crate::domain::settings::{Key, Settings};

impl View<'_> {
    pub fn settings(&self) -> Result<Settings, StoreError> {
        let run = || {
            let mut statement = self.conn().prepare_cached("SELECT key, value FROM setting")?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        let rows: Vec<(String, String)> = self.ok(run())?;
        let mut settings = Settings::default();
        for (key, value) in rows {
            key.parse::<Key>().and_then(|key| settings.set(key, &value)).map_err(|invalid| {
                StoreError::Damaged(format!("a setting is not one: {}", invalid.message))
            })?;
        }
        Ok(settings)
    }
}

impl Write<'_> {
    /// Writes one setting and records the event.
    pub fn save_setting(&self, settings: &Settings, key: Key) -> Result<(), StoreError> {
        let action = Action::Settings;
        let matched = self.compare(action, &Subject::Settings, digest::settings(&self.settings()?))?;
        let value = settings.get(key);
        let run = || {
            if value == Settings::default().get(key) {
                return self.conn().execute("DELETE FROM setting WHERE key = ?1", [key.word()]);
            }
            let sql = "INSERT INTO setting (key, value) VALUES (?1, ?2)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value";
            self.conn().execute(sql, params![key.word(), value])
        };
        self.ok(run())?;
        self.record(action, Subject::Settings, Some(digest::settings(&self.settings()?)), matched)
    }
}

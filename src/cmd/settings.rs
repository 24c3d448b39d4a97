//! `settings`: the defaults and requirements of a store.

use clap::Args;

use crate::app::{App, Outcome};
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::takes::Takes;
use crate::domain::settings::{Key, Settings as Values};
use crate::domain::text::shown;
use crate::error::Error;
use crate::store::Store;
use crate::ui::json::SettingsDoc;
use crate::ui::table::{Column, Fill, Table};
use crate::ui::{Screen, escape};

#[derive(Args)]
pub struct Settings {
    /// prefix, default-ttl, max-ttl, grace, url, header, require-owner or require-description
    #[arg(value_name = "KEY", add = Takes::Setting)]
    key: Option<Key>,
    /// The new value; an empty one returns to the default
    #[arg(value_name = "VALUE", requires = "key", allow_hyphen_values = true)]
    value: Option<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Settings {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let (store, values, old) = if let (Some(key), Some(value)) = (self.key, &self.value) {
            self.set(app, key, value)?
        } else {
            let store = app.open_to_read()?;
            let values = store.read(|view| view.settings())?;
            (store, values, None)
        };
        let changed = old.is_some();
        if app.json() {
            let path = store.path().to_string_lossy().into_owned();
            app.print_json(&SettingsDoc::new(&values, &path, store.version(), changed))?;
            return Ok(Outcome::Done);
        }
        match (self.key, &self.value) {
            (Some(key), Some(_)) => {
                let (key, new) = (key.word(), values.shown(key));
                app.talk().note(&match old {
                    Some(old) => format!("{key} is now `{new}`; it was `{old}`"),
                    None => format!("{key} is already `{new}`"),
                });
            }
            (Some(key), None) => app.print(&format!("{}\n", shown(&values.shown(key))))?,
            (None, _) => app.print_paged(&table(&store, &values, app.screen()))?,
        }
        if let (Some(default), Some(max)) = (values.default_ttl, values.max_ttl)
            && changed
            && default > max
        {
            app.talk().warn(&format!(
                "default-ttl ({default}) is longer than max-ttl ({max}): a token without an explicit lifetime will be \
                 refused"
            ));
        }
        Ok(Outcome::Done)
    }

    /// The settings as they are now, and the old value if it differed.
    fn set(
        &self,
        app: &mut App<'_>,
        key: Key,
        value: &str,
    ) -> Result<(Store, Values, Option<String>), Error> {
        Values::default().set(key, value)?;
        let author = self.change.author(app);
        let store = app.open_to_write(&author)?;
        let (values, old) = store.write(&*app.ctx.machine, &author, |tx| {
            let before = tx.settings()?;
            let mut after = before.clone();
            after.set(key, value)?;
            if after == before {
                return Ok::<_, Error>((after, None));
            }
            tx.save_settings(&after)?;
            Ok((after, Some(before.shown(key))))
        })?;
        Ok((store, values, old))
    }
}

/// Prints one setting per line, aligned for people, with tabs for scripts.
fn table(store: &Store, values: &Values, screen: Screen) -> String {
    let mut rows = vec![
        ("path", store.path().to_string_lossy().into_owned()),
        ("schema-version", store.version().to_string()),
        ("pattern", values.prefix.pattern()),
    ];
    rows.extend(Key::ALL.map(|key| (key.word(), values.shown(key))));
    if screen.width.is_some() {
        let columns = [Column::new("", Fill::Whole), Column::new("", Fill::Wrap(12))];
        let row = |(key, value): (&str, String)| vec![key.into(), shown(&value).to_string().into()];
        return Table::new(screen, columns).rows(rows.into_iter().map(row).collect());
    }
    let mut text = Vec::new();
    for (key, value) in rows {
        escape::tsv_line(&[key, &value], &mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

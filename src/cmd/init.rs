//! `init`: makes the store, or shares it with a group.

use clap::Args;

use crate::app::{App, Outcome};
use crate::cmd::args::change::ChangeArgs;
use crate::domain::Invalid;
use crate::error::Error;
#[cfg(feature = "postgres")]
use crate::store::StoreError;
use crate::store::{self, Sharing};
use crate::ui::json::InitDoc;

#[derive(Args)]
pub struct Init {
    /// Allow the members of this group to list and verify tokens, but not to change them
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Create the tables and roles in PostgreSQL instead of only printing the SQL
    #[arg(long, conflicts_with = "group")]
    apply: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Init {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let location = app.location()?;
        #[cfg(feature = "postgres")]
        if let store::Location::Server(address) = &location {
            return self.on_server(app, address);
        }
        if self.apply {
            let what = Invalid::new("`--apply` is for a store in PostgreSQL");
            return Err(what.hint("name one with `--store postgres://HOST/DATABASE`").into());
        }
        let unknown = |name: &String| {
            Invalid::new(format!("no such group `{}`", name.escape_debug()))
                .hint("list them with `getent group`")
        };
        let gid = self
            .group
            .as_ref()
            .map(|name| app.ctx.machine.group_id(name).ok_or_else(|| unknown(name)))
            .transpose()?;
        let author = self.change.author(app);
        let sharing = gid.map_or(Sharing::Private, Sharing::Group);
        let made = store::make(&location, sharing, &*app.ctx.machine, &author)?;
        // Opening it proves that the directory holds a store.
        let path = app.open_to_write(&author)?.path().to_owned();
        let shared = match gid {
            Some(gid) if !made => store::share(&location, gid, &*app.ctx.machine, &author)?,
            _ => false,
        };
        let changed = made || shared;
        if app.json() {
            app.print_json(&InitDoc {
                path: &path.to_string_lossy(),
                group: self.group.as_deref(),
                changed,
            })?;
        } else {
            let what = if made {
                "created a new store"
            } else if shared {
                "shared the store"
            } else {
                "there is already a store"
            };
            app.talk().note(&format!("{what} at {}", path.display()));
        }
        Ok(Outcome::Done)
    }

    /// Makes the store on a server, or prints the SQL that has to be run there first.
    #[cfg(feature = "postgres")]
    fn on_server(&self, app: &mut App<'_>, address: &store::Address) -> Result<Outcome, Error> {
        if self.group.is_some() {
            let what = Invalid::new("`--group` is for a store in files");
            return Err(what.hint("grant roles of PostgreSQL instead").into());
        }
        let author = self.change.author(app);
        let changed = match store::make_on_server(address, self.apply, &*app.ctx.machine, &author) {
            Err(StoreError::Missing(_)) if !app.json() => {
                app.print(&store::script())?;
                app.talk().note(
                    "nothing was changed; `--apply` runs this, as a role that may make schemas and roles",
                );
                return Ok(Outcome::Done);
            }
            changed => changed?,
        };
        let url = address.url().display().to_string();
        if app.json() {
            app.print_json(&InitDoc { path: &url, group: None, changed })?;
        } else {
            let what = if changed { "created a new store" } else { "there is a store" };
            app.talk().note(&format!("{what} at {url}"));
        }
        Ok(Outcome::Done)
    }
}

//! `init`: makes the store, or shares it with a group.

use clap::Args;

use crate::app::{App, Outcome};
use crate::cmd::args::change::ChangeArgs;
use crate::domain::Invalid;
use crate::error::Error;
use crate::store::{self, Sharing};
use crate::ui::json::InitDoc;

#[derive(Args)]
pub struct Init {
    /// Let the members of this group list and verify, but not change tokens
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Init {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let location = app.location()?;
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
                "made a new store"
            } else if shared {
                "shared the store"
            } else {
                "there is already a store"
            };
            app.talk().note(&format!("{what} at {}", path.display()));
        }
        Ok(Outcome::Done)
    }
}

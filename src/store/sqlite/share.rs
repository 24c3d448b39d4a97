//! The recorded sharing of a store, and the mode that its database should have.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use super::build::unsafe_to_change;
use super::found::Found;
use super::location::Directory;
use super::{Store, StoreError, schema};
use crate::domain::event::Author;
use crate::domain::settings::Fact;
use crate::domain::when::Clock;
use crate::store::sharing::Sharing;
use crate::store::{files, usage};

impl Store {
    /// The recorded sharing. `None` if it cannot be read. A store of version 1 has no record, so the mode of
    /// its directory decides.
    pub(super) fn sharing(&self) -> Option<Sharing> {
        let (settings, found) = (self.read(|view| view.settings()).ok()?, &self.files().ok()?.found);
        if self.version() != schema::VERSION {
            return fs::symlink_metadata(&found.dir).ok().map(|dir| Sharing::of(&dir, &found.meta));
        }
        Sharing::recorded(settings.facts.get(&Fact::Sharing)?)
    }

    /// The sharing of new files beside the database. It is private unless the database has the recorded
    /// group.
    pub(super) fn sharing_of_new_files(&self) -> Sharing {
        let ours = |sharing: &Sharing| self.files().is_ok_and(|files| sharing.is_group_of(&files.found.meta));
        self.sharing().filter(ours).unwrap_or(Sharing::Private)
    }
}

/// The mode that the database should have according to the recorded sharing. A group counts only if the
/// database has this group. Otherwise a backup that another user restored would be open to a group that
/// nobody chose.
pub fn database_mode(location: &Directory, found: &Found, recorded: Option<Sharing>) -> u32 {
    let mode = found.meta.mode() & 0o7777;
    let kept = if location.trusts_group { mode & 0o060 } else { 0 };
    let sharing = match recorded {
        // The mode of a store that cannot be read can be either one.
        None if mode == Sharing::Group(0).database_mode() => return mode,
        Some(sharing) if sharing.is_group_of(&found.meta) => sharing,
        _ => Sharing::Private,
    };
    sharing.database_mode() | kept
}

/// Gives an existing store to a group, and records this. Returns whether this changed anything.
///
/// This opens the files of the store, so it must be called only while no connection to the database is open.
pub fn share(location: &Directory, gid: u32, clock: &dyn Clock, author: &Author) -> Result<bool, StoreError> {
    let sharing = Sharing::Group(gid);
    // The record is written first. If the process is killed in between, the files are less open than
    // recorded.
    let recorded = Store::file_to_write(location, clock, author, None)?.write(clock, author, |tx| {
        let mut settings = tx.settings()?;
        let is_new = settings.facts.insert(Fact::Sharing, sharing.to_string()) != Some(sharing.to_string());
        if is_new { tx.save_settings(&settings).map(|()| true) } else { Ok(false) }
    })?;
    share_files(&location.find()?, sharing).map(|changed| changed || recorded)
}

fn share_files(found: &Found, sharing: Sharing) -> Result<bool, StoreError> {
    let files =
        [(found.dir.clone(), sharing.directory_mode()), (found.database.clone(), sharing.database_mode())];
    let usage = usage::FILES.map(|name| (found.dir.join(name), sharing.usage_mode()));
    let mut changed = false;
    for (path, mode) in files.into_iter().chain(usage) {
        let failed = |err: &io::Error| unsafe_to_change(&path, err);
        let opened = match files::open(&path, false) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(|err| failed(&err))?,
        };
        opened.belongs_to(found.meta.uid()).map_err(|err| failed(&err))?;
        if opened.meta.mode() & 0o7777 != mode || !sharing.is_group_of(&opened.meta) {
            sharing.apply(&opened.file, mode).map_err(|err| StoreError::io("share", &path, &err))?;
            changed = true;
        }
    }
    Ok(changed)
}

//! Making a store: whole under a temporary name, on disk, then renamed without replacing. Who comes second uses
//! the first's.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::Store;
use super::error::StoreError;
use super::open::{self, Access, Location};
use super::schema;
use crate::domain::event::Author;
use crate::domain::when::Clock;
use crate::store::sharing::Sharing;
use crate::store::usage;

/// What a database under construction is called; one that is left over was never a store.
pub const TEMPORARY: &str = "tokens.db.new-";

/// Makes the store unless there is one. Returns whether this call made it.
pub fn make(
    location: &Location,
    sharing: Sharing,
    clock: &dyn Clock,
    author: &Author,
) -> Result<bool, StoreError> {
    if location.exists() {
        return Ok(false);
    }
    clock.now()?;
    directory(location, sharing)?;
    let failed = |err: &io::Error| StoreError::io("make a store in", &location.dir, err);
    let dir = fs::canonicalize(&location.dir).map_err(|err| failed(&err))?;
    let new = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&dir).map_err(|err| failed(&err))?;
    fill(new.path(), clock, author)?;
    sharing.apply(new.as_file(), sharing.database_mode()).map_err(|err| failed(&err))?;
    new.as_file().sync_all().map_err(|err| failed(&err))?;
    usage::make(&dir, sharing, clock.now()?).map_err(|err| failed(&err))?;
    let made = match new.persist_noclobber(dir.join(open::DATABASE)) {
        Ok(_) => true,
        Err(err) if err.error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(err) => return Err(failed(&err.error)),
    };
    sync_directory(&dir).map_err(|err| failed(&err))?;
    Ok(made)
}

/// Makes the store's directory where it is missing. What could not be opened afterwards is not made.
fn directory(location: &Location, sharing: Sharing) -> Result<(), StoreError> {
    let failed = |err: &io::Error| StoreError::io("make the directory", &location.dir, err);
    let missing: Vec<&Path> = location.dir.ancestors().take_while(|path| !path.exists()).collect();
    let there = location.dir.ancestors().nth(missing.len()).unwrap_or(Path::new("/"));
    let there = fs::canonicalize(there).map_err(|err| failed(&err))?;
    let wrong = if missing.is_empty() {
        location.unsafe_directory(&there)?
    } else {
        // The new directory lies inside this one, which so is itself an ancestor to look at.
        open::unsafe_ancestors(&there.join("new"))?
    };
    if let Some(wrong) = wrong.into_iter().next() {
        return Err(wrong.into());
    }
    for path in missing.iter().rev() {
        // Another command may be making the same ones.
        match DirBuilder::new().mode(0o700).create(path) {
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made.map_err(|err| failed(&err))?,
        }
        // Whatever the umask took away.
        fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(|err| failed(&err))?;
    }
    if !missing.is_empty() || sharing != Sharing::Private {
        let dir = File::open(&location.dir).map_err(|err| failed(&err))?;
        sharing.apply(&dir, sharing.directory_mode()).map_err(|err| failed(&err))?;
        sync_directory(&there).map_err(|err| failed(&err))?;
    }
    Ok(())
}

/// Turns the empty file into a database with our tables and the first entry of the audit chain.
fn fill(path: &Path, clock: &dyn Clock, author: &Author) -> Result<(), StoreError> {
    let conn = open::connect(path, Access::Write).map_err(|err| StoreError::sqlite(path, &err))?;
    let store = Store::from_connection(conn, path.to_owned());
    store.write(clock, author, |tx| {
        schema::migrate(tx.conn(), 0).map_err(|err| StoreError::sqlite(path, &err))?;
        tx.record_init()
    })
}

/// Gives an existing store to a group. Returns whether that changed anything.
pub fn share(dir: &Path, gid: u32) -> io::Result<bool> {
    let sharing = Sharing::Group(gid);
    let mut changed = false;
    let files = [
        (dir.to_owned(), sharing.directory_mode()),
        (dir.join(open::DATABASE), sharing.database_mode()),
        (dir.join(usage::SECRETS), sharing.usage_mode()),
        (dir.join(usage::SCOPES), sharing.usage_mode()),
    ];
    for (path, mode) in files {
        let meta = match fs::symlink_metadata(&path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
            meta => meta?,
        };
        if meta.mode() & 0o7777 != mode || meta.gid() != gid {
            sharing.apply(&File::open(&path)?, mode)?;
            changed = true;
        }
    }
    Ok(changed)
}

pub fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

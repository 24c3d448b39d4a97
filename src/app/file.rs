//! A file for other programs, which is replaced as a whole or not at all: a reader sees the old content or the new.

use std::fs::Permissions;
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::Error;

/// Writes the file beside its path and renames it. A file that exists keeps its mode; a new one gets what the umask
/// leaves of 0666.
pub fn replace_file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
) -> Result<(), Error> {
    let failed = |err| Error::File { path: path.to_owned(), err };
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // The collector of node_exporter reads whatever ends in `.prom`.
    let builder = builder.prefix(".tokenctl-").suffix(".tmp").permissions(Permissions::from_mode(0o666));
    let mut file = BufWriter::new(builder.tempfile_in(dir).map_err(failed)?);
    write(&mut file).map_err(|err| match err {
        Error::Output(err) => failed(err),
        err => err,
    })?;
    let file = file.into_inner().map_err(|err| failed(err.into_error()))?;
    if let Ok(old) = path.metadata() {
        file.as_file().set_permissions(old.permissions()).map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map(drop).map_err(|err| failed(err.error))
}

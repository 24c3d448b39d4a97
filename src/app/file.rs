//! A file for other programs that is replaced atomically, so that readers see the old content or the new.

use std::fs::{self, Permissions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::context::Output;
use crate::domain::Invalid;
use crate::error::Error;

/// Refuses a path that is not a regular file, or that is one of the store's files.
pub fn check_replaceable(path: &Path, store: &Path) -> Result<(), Error> {
    let is_other = path.symlink_metadata().is_ok_and(|meta| !meta.is_file());
    if is_other {
        let bad = Invalid::new(format!("`{}` is not a regular file", path.display()));
        return Err(bad.hint("name a file, which is then replaced as a whole").into());
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_the_stores = fs::canonicalize(dir).is_ok_and(|dir| dir == store)
        && (name.starts_with("tokens.db") || name.starts_with("usage."));
    if is_the_stores {
        let bad = Invalid::new(format!("`{}` is a name that the store uses itself", path.display()));
        return Err(bad.hint("name a file outside of the store's directory").into());
    }
    Ok(())
}

/// Fails if standard output is closed or a device such as `/dev/null`, where the output would be lost.
pub fn check_kept(stdout: &dyn Output) -> Result<(), Error> {
    let why = "it is closed, deleted or a device like /dev/null";
    if stdout.is_nowhere() { Err(Error::Output(io::Error::other(why))) } else { Ok(()) }
}

/// The error for output that is useless unless it is complete, so that a closed pipe is a failure.
pub fn cut_short(err: io::Error) -> Error {
    match err.kind() {
        ErrorKind::BrokenPipe => Error::Output(io::Error::other("the reader went away before the end")),
        _ => Error::Output(err),
    }
}

/// Writes a temporary file and renames it. An existing file keeps its mode; a new one gets 0666 less the umask.
pub fn replace_file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
) -> Result<(), Error> {
    let failed = |err| Error::File { path: path.to_owned(), err };
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // The collector of node_exporter reads every name that ends in `.prom`, so the temporary file must not.
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

//! Reads the content of a file as a whole, and hashes secrets to compare them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::domain::secret::{Secret, SecretHash};

/// The largest file that is read, in bytes. No larger file is expected to contain a secret.
const MAX_FILE: u64 = 1 << 20;

/// What is at a path.
pub enum AtPath {
    /// A regular file and its content.
    File(File, Zeroizing<Vec<u8>>),
    /// A link, a directory, a pipe or a device.
    Other,
    Absent,
}

/// Reads a regular file of reasonable size. Never opens anything else, never waits, and never follows a link.
pub fn read(path: &Path) -> io::Result<AtPath> {
    match fs::symlink_metadata(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(AtPath::Absent),
        Ok(meta) if !meta.is_file() => return Ok(AtPath::Other),
        meta => meta?,
    };
    let mut options = OpenOptions::new();
    let mut file = options.read(true).custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK)).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > MAX_FILE {
        return Err(io::Error::other("not a regular file of at most 1 MiB"));
    }
    // The buffer has its final size from the start, because growing it would leave copies of its content
    // behind.
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0) + 1));
    Read::by_ref(&mut file).take(MAX_FILE).read_to_end(&mut content)?;
    Ok(AtPath::File(file, content))
}

/// Converts flags of `open` to the type of the standard library. All flags used here are small positive
/// numbers.
pub fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

/// The hash of the text, if it can be a secret.
pub fn hash_of(text: &[u8]) -> Option<SecretHash> {
    Secret::read(Zeroizing::new(text.to_vec())).map(|secret| secret.hash())
}

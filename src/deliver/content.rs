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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_a_regular_file_of_at_most_a_mebibyte_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let of_length = |len: usize| {
            fs::write(at("file"), vec![b'x'; len]).unwrap();
            match read(&at("file")) {
                Ok(AtPath::File(_, content)) => Some(content.len()),
                _ => None,
            }
        };
        assert_eq!(of_length(0), Some(0));
        assert_eq!(of_length(1_048_576), Some(1_048_576));
        assert_eq!(of_length(1_048_577), None);
        symlink(at("file"), at("link")).unwrap();
        assert!(matches!(read(&at("link")), Ok(AtPath::Other)));
        assert!(matches!(read(dir.path()), Ok(AtPath::Other)));
        assert!(matches!(read(&at("absent")), Ok(AtPath::Absent)));
        let beyond = read(&at("file").join("beyond"));
        assert_eq!(beyond.err().map(|err| err.kind()), Some(io::ErrorKind::NotADirectory));
    }

    #[test]
    fn a_flag_is_passed_to_the_system() {
        let dir = tempfile::tempdir().unwrap();
        symlink(dir.path(), dir.path().join("link")).unwrap();
        let mut options = OpenOptions::new();
        let options = options.read(true).custom_flags(flags(OFlags::NOFOLLOW));
        assert!(options.open(dir.path().join("link")).is_err());
        assert!(options.open(dir.path()).is_ok());
    }
}

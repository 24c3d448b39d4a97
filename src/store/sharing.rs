//! Who may use the files of a store besides its owner, as group and modes.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

/// Who may use the files besides the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    Private,
    /// The group reads and records use, and never writes tokens.
    Group(u32),
}

impl Sharing {
    pub fn directory_mode(self) -> u32 {
        match self {
            Self::Private => 0o700,
            Self::Group(_) => 0o2750,
        }
    }

    pub fn database_mode(self) -> u32 {
        match self {
            Self::Private => 0o600,
            Self::Group(_) => 0o640,
        }
    }

    pub fn usage_mode(self) -> u32 {
        match self {
            Self::Private => 0o600,
            Self::Group(_) => 0o660,
        }
    }

    /// As the mode of an existing database says.
    pub fn of(database: &Path) -> io::Result<Self> {
        let meta = fs::symlink_metadata(database)?;
        Ok(if meta.mode() & 0o040 == 0 { Self::Private } else { Self::Group(meta.gid()) })
    }

    /// Gives an open file or directory its group and mode, whatever the umask was.
    pub fn apply(self, file: &File, mode: u32) -> io::Result<()> {
        if let Self::Group(gid) = self {
            fchown(file, None, Some(gid))?;
        }
        file.set_permissions(Permissions::from_mode(mode))
    }
}

//! Who may use the files of a store besides its owner, as group and modes.

use std::fmt;
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

/// Who may use the files besides the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    Private,
    /// The group reads and records use, and never writes tokens.
    Group(u32),
}

impl fmt::Display for Sharing {
    /// As the store records it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private => f.write_str("private"),
            Self::Group(gid) => write!(f, "group:{gid}"),
        }
    }
}

impl Sharing {
    /// What the store has recorded of itself.
    pub fn recorded(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "private" => Some(Self::Private),
            Some(("group", gid)) => gid.parse().ok().map(Self::Group),
            _ => None,
        }
    }

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

    /// Whether what has the modes of this sharing is open to nobody else: it must have the group.
    pub fn is_group_of(self, meta: &Metadata) -> bool {
        match self {
            Self::Private => true,
            Self::Group(gid) => meta.gid() == gid,
        }
    }

    /// How a store of version 1 is shared, which did not record it: with its group if `init --group` gave it the
    /// directory, whose mode says so. The mode of the database says nothing: a restored backup may have any.
    pub fn of(dir: &Metadata, database: &Metadata) -> Self {
        let group = Self::Group(dir.gid());
        let shared = dir.mode() & 0o7777 == group.directory_mode() && database.gid() == dir.gid();
        if shared { group } else { Self::Private }
    }

    /// Gives an open file or directory its group and mode, whatever the umask was.
    pub fn apply(self, file: &File, mode: u32) -> io::Result<()> {
        if let Self::Group(gid) = self {
            fchown(file, None, Some(gid))?;
        }
        file.set_permissions(Permissions::from_mode(mode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_store_records_is_read_as_a_sharing() {
        for sharing in [Sharing::Private, Sharing::Group(7)] {
            assert_eq!(Sharing::recorded(&sharing.to_string()), Some(sharing));
        }
        for other in ["", "public", "group", "group:", "group:x", "user:7"] {
            assert_eq!(Sharing::recorded(other), None, "{other}");
        }
    }
}

//! Sharing of a store: which users besides its owner can use its files, as a group and modes.

use std::fmt;
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

/// Which users besides the owner can use the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    Private,
    /// The group can read the store and record uses, but it cannot write tokens.
    Group(u32),
}

impl fmt::Display for Sharing {
    /// The form in which the store records it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private => f.write_str("private"),
            Self::Group(gid) => write!(f, "group:{gid}"),
        }
    }
}

impl Sharing {
    /// Parses the form in which the store records it.
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

    /// Whether a file with the modes of this sharing is closed to all other users, because its group is the
    /// right one.
    pub fn is_group_of(self, meta: &Metadata) -> bool {
        match self {
            Self::Private => true,
            Self::Group(gid) => meta.gid() == gid,
        }
    }

    /// The sharing of a store of version 1, which did not record it. The store is shared with its group if
    /// the mode of the directory shows that `init --group` was used. The mode of the database proves nothing,
    /// because a restored backup can have any mode.
    pub fn of(dir: &Metadata, database: &Metadata) -> Self {
        let group = Self::Group(dir.gid());
        let shared = dir.mode() & 0o7777 == group.directory_mode() && database.gid() == dir.gid();
        if shared { group } else { Self::Private }
    }

    /// Sets the group and mode of an open file or directory, independently of the umask.
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
    fn a_recorded_sharing_can_be_parsed_and_other_texts_cannot() {
        for sharing in [Sharing::Private, Sharing::Group(7)] {
            assert_eq!(Sharing::recorded(&sharing.to_string()), Some(sharing));
        }
        for other in ["", "public", "group", "group:", "group:x", "user:7"] {
            assert_eq!(Sharing::recorded(other), None, "{other}");
        }
    }

    #[test]
    fn a_store_of_version_one_is_shared_if_its_directory_has_the_mode_of_a_shared_one() {
        use std::fs;
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("database");
        fs::write(&database, "").unwrap();
        let of = |mode| {
            fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
            Sharing::of(&fs::metadata(dir.path()).unwrap(), &fs::metadata(&database).unwrap())
        };
        let gid = fs::metadata(dir.path()).unwrap().gid();
        let shared = Sharing::Group(gid).directory_mode();
        assert_eq!(
            (of(0o700), of(shared), of(shared | 0o1000)),
            (Sharing::Private, Sharing::Group(gid), Sharing::Private)
        );
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&database, None, Some(gid + 1)).unwrap();
            assert_eq!(of(shared), Sharing::Private, "the database has another group");
        }
    }
}

//! Opens files that other users might have changed. Only this module opens such files.
//!
//! - It does not follow a symbolic link, and does not wait for a FIFO.
//! - The kind, the owner and the number of links are read from the open file, so that nobody can replace it
//!   in between.
//! - Modes, groups and owners are changed through the open file as well, never by path.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;

/// An open file or directory, and its metadata.
#[derive(Debug)]
pub struct Opened {
    pub file: File,
    pub meta: Metadata,
}

/// Opens a file for reading, or for reading and writing.
pub fn open(path: &Path, write: bool) -> io::Result<Opened> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).write(write).custom_flags(flags).open(path)?;
    let mut meta = file.metadata()?;
    // On a file system that cannot rename without replacing, a new file has a second link for a moment.
    for _ in 0..50 {
        if !meta.is_file() || meta.nlink() == 1 {
            break;
        }
        thread::sleep(Duration::from_millis(1));
        meta = file.metadata()?;
    }
    Ok(Opened { file, meta })
}

impl Opened {
    /// Sets the mode, if this is a directory or a regular file with one link, and has this owner. On a file,
    /// only the bits for reading, writing and executing are ever set.
    pub fn set_mode(&self, owner: u32, mode: u32) -> io::Result<()> {
        self.belongs_to(owner)?;
        let mode = mode & if self.meta.is_dir() { 0o2777 } else { 0o777 };
        if self.meta.mode() & 0o7777 == mode {
            return Ok(());
        }
        self.file.set_permissions(Permissions::from_mode(mode))
    }

    /// Fails unless this is a directory or a regular file with one link, and has this owner.
    pub fn belongs_to(&self, owner: u32) -> io::Result<()> {
        match problem(&self.meta, owner) {
            Some(why) if !self.meta.is_dir() => Err(io::Error::other(why)),
            _ if self.meta.uid() != owner => Err(io::Error::other(foreign(self.meta.uid()))),
            _ => Ok(()),
        }
    }
}

/// Why a file is refused: because it is not regular, has several links, or has another owner.
pub fn problem(meta: &Metadata, owner: u32) -> Option<String> {
    if !meta.is_file() {
        Some(format!("it is {}, not a regular file", kind(meta)))
    } else if meta.nlink() != 1 {
        Some(format!("it has {} hard links", meta.nlink()))
    } else if meta.uid() != owner {
        Some(foreign(meta.uid()))
    } else {
        None
    }
}

fn foreign(uid: u32) -> String {
    format!("it belongs to uid {uid}")
}

/// The kind of a file, with its article.
pub fn kind(meta: &Metadata) -> &'static str {
    let kind = meta.file_type();
    match () {
        () if kind.is_dir() => "a directory",
        () if kind.is_symlink() => "a symbolic link",
        () if kind.is_fifo() => "a FIFO",
        () if kind.is_socket() => "a socket",
        () if kind.is_file() => "a regular file",
        () => "a device",
    }
}

/// The metadata of a path, without following a link. `None` if there is no file.
pub fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        // The file was removed in between, as a journal is when its writer commits.
        Ok(meta) if meta.is_file() && meta.nlink() == 0 => Ok(None),
        meta => meta.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode};
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_symbolic_link_is_not_followed_and_a_hard_link_is_detected() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link, twin) = (dir.path().join("file"), dir.path().join("link"), dir.path().join("twin"));
        fs::write(&file, "text").unwrap();
        symlink(&file, &link).unwrap();
        assert_eq!(open(&link, false).unwrap_err().raw_os_error(), Some(40), "ELOOP");
        let owner = fs::metadata(&file).unwrap().uid();
        open(&file, true).unwrap().belongs_to(owner).unwrap();
        assert!(open(&file, true).unwrap().belongs_to(owner + 1).is_err());
        fs::hard_link(&file, twin).unwrap();
        let refused = open(&file, true).unwrap().set_mode(owner, 0o600).unwrap_err();
        assert_eq!(refused.to_string(), "it has 2 hard links");
    }

    #[test]
    fn every_kind_of_file_has_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("file"), "text").unwrap();
        symlink("file", path("link")).unwrap();
        let socket = UnixListener::bind(path("socket")).unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(CWD, path("fifo"), FileType::Fifo, mode, 0).unwrap();
        let named = |path: &Path| kind(&look(path).unwrap().unwrap());
        assert_eq!(
            ["", "link", "fifo", "socket", "file"].map(|name| named(&path(name))),
            ["a directory", "a symbolic link", "a FIFO", "a socket", "a regular file"]
        );
        assert_eq!(named(Path::new("/dev/null")), "a device");
        drop(socket);
        assert!(look(&path("missing")).unwrap().is_none());
        assert!(look(&path("file/below")).is_err(), "an error was taken for a missing file");
    }

    #[test]
    fn a_refused_file_or_directory_is_reported_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "text").unwrap();
        for path in [dir.path(), &file] {
            let opened = open(path, false).unwrap();
            let owner = opened.meta.uid();
            let refused = opened.belongs_to(owner + 1).unwrap_err();
            assert_eq!(refused.to_string(), format!("it belongs to uid {owner}"));
        }
    }

    #[test]
    fn set_mode_never_sets_the_setuid_or_setgid_bit_of_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "text").unwrap();
        let opened = open(&path, false).unwrap();
        opened.set_mode(opened.meta.uid(), 0o6755).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o755);
    }

    #[test]
    fn only_the_bits_of_a_mode_that_a_store_needs_are_set() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "text").unwrap();
        let owner = fs::metadata(&file).unwrap().uid();
        let set = |path: &Path, mode| {
            open(path, false).unwrap().set_mode(owner, mode).unwrap();
            fs::metadata(path).unwrap().mode() & 0o7777
        };
        assert_eq!((set(&file, 0o4640), set(&file, 0o600)), (0o640, 0o600));
        assert_eq!((set(dir.path(), 0o5750), set(dir.path(), 0o700)), (0o750, 0o700));
    }
}

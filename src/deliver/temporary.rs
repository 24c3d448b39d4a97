//! The temporary file beside a target. It is created before its secret is in the store, gets the owner and
//! mode of the file that it will replace, and is renamed once.
//!
//! Removing it ensures that its secret never gets into place. Recovery removes it before it reads the target,
//! so that a delivery that was only stopped cannot put a secret there after it was rolled back.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, OFlags, RenameFlags};
use rustix::io::Errno;

use super::content::flags;
use super::metadata::copy_metadata;
use super::target::sync;
use crate::domain::secret::SecretHash;
use crate::domain::when::Timestamp;

const PREFIX: &str = ".tokenctl-";
/// A temporary file that is older than this many seconds belongs to a delivery that is over.
const MAX_AGE: i64 = 15 * 60;

pub struct Temporary {
    path: PathBuf,
    file: File,
    /// The file whose owner and mode were copied, as it was then.
    like: Option<Identity>,
    /// Whether the file still has its temporary name, and not yet that of the target.
    has_temporary_name: bool,
}

/// Identifies a version of a file. Any change of content, owner or mode makes another version, because it
/// sets the time of change (`ctime`), which no program can set back.
#[derive(PartialEq, Eq)]
struct Identity {
    dev: u64,
    ino: u64,
    len: u64,
    ctime: (i64, i64),
}

impl From<&Metadata> for Identity {
    fn from(meta: &Metadata) -> Self {
        Self { dev: meta.dev(), ino: meta.ino(), len: meta.len(), ctime: (meta.ctime(), meta.ctime_nsec()) }
    }
}

/// Whether both describe the same file.
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

impl Temporary {
    /// Creates the file, empty and private, with the owner, mode and attributes of the target if there is
    /// one.
    pub fn create(target: &Path, hash: &SecretHash, like: Option<&Metadata>) -> io::Result<Self> {
        let path = name(target, hash);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(flags(OFlags::NOFOLLOW))
            .open(&path)?;
        let mut made = Self { path, file, like: None, has_temporary_name: true };
        made.file.set_permissions(Permissions::from_mode(0o600))?;
        made.look_like(target, like)?;
        Ok(made)
    }

    fn look_like(&mut self, target: &Path, like: Option<&Metadata>) -> io::Result<()> {
        copy_metadata(&self.file, target, like)?;
        self.like = like.map(Identity::from);
        Ok(())
    }

    /// Writes the content and makes it durable. `seen` is the target that the file will replace.
    pub fn fill(&mut self, target: &Path, content: &[u8], seen: Option<&Metadata>) -> io::Result<()> {
        if self.like != seen.map(Identity::from) {
            self.look_like(target, seen)?;
        }
        self.file.write_all(content)?;
        sync(&self.file)
    }

    /// Renames the file to the target, unless the target has changed or this file no longer has its temporary
    /// name.
    pub fn put(&mut self, target: &Path, seen: Option<&Metadata>) -> io::Result<()> {
        let ours = self.file.metadata()?;
        let named = fs::symlink_metadata(&self.path);
        if !named.is_ok_and(|named| is_same(&named, &ours) && named.nlink() == 1) {
            return Err(io::Error::other("another command took this delivery over"));
        }
        let renamed = match seen {
            None => self.rename_to_nothing(target),
            Some(seen) if Identity::from(seen) == Identity::from(&fs::symlink_metadata(target)?) => {
                fs::rename(&self.path, target)
            }
            Some(_) => Err(io::Error::other("somebody else changed it meanwhile")),
        };
        // Over a network, a rename can succeed and still be reported as failed.
        let in_place = || fs::symlink_metadata(target).is_ok_and(|found| is_same(&found, &ours));
        if renamed.is_ok() || in_place() {
            self.has_temporary_name = false;
            return Ok(());
        }
        renamed
    }

    /// Renames the file without replacing anything. Some file systems, such as ZFS, NFS, 9p and FUSE, do not
    /// support this, but they support links.
    fn rename_to_nothing(&self, target: &Path) -> io::Result<()> {
        match rustix::fs::renameat_with(CWD, &self.path, CWD, target, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(CWD, &self.path, CWD, target, AtFlags::empty())?;
                fs::remove_file(&self.path)
            }
            renamed => Ok(renamed?),
        }
    }

    /// Removes the files that killed commands of this user left in a directory before their deliveries began.
    pub fn sweep(dir: &Path, opened: &File, now: Timestamp) {
        // std is not used here, because it panics if a directory cannot be closed.
        for entry in Dir::read_from(opened).into_iter().flatten().flatten() {
            let is_old = |meta: &Metadata| meta.mtime().saturating_add(MAX_AGE) <= now.unix();
            let name = entry.file_name().to_str().unwrap_or_default();
            let tag = name.strip_prefix(PREFIX).unwrap_or_default();
            let is_tag = tag.len() == 16 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
            let path = dir.join(name);
            if is_tag && fs::symlink_metadata(&path).is_ok_and(|meta| is_old(&meta) && is_leftover(&meta)) {
                // If this fails, the next delivery tries again.
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Removes the temporary file of a delivery that might still be running. Returns whether there was one.
    /// Fails if the file still exists and could be renamed.
    pub fn remove(target: &Path, hash: &SecretHash) -> io::Result<bool> {
        let path = name(target, hash);
        let meta = match fs::symlink_metadata(&path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(false),
            meta => meta?,
        };
        let at_target = fs::symlink_metadata(target).ok();
        let linked = at_target.as_ref().is_some_and(|found| is_same(&meta, found));
        if !(linked || meta.is_file() && meta.nlink() == 1) {
            // Another file has this name, and `put` would not rename it.
            return Ok(false);
        }
        // It might already have the owner of the file that it was to replace.
        if !linked && !is_leftover(&meta) && at_target.is_none_or(|found| found.uid() != meta.uid()) {
            return Err(io::Error::other(format!("`{}` belongs to uid {}", path.display(), meta.uid())));
        }
        fs::remove_file(&path).map(|()| true)
    }
}

/// Whether this is a regular file of this user with one link.
fn is_leftover(meta: &Metadata) -> bool {
    meta.is_file() && meta.nlink() == 1 && meta.uid() == rustix::process::geteuid().as_raw()
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.has_temporary_name && fs::remove_file(&self.path).is_err() {
            let ours = self.file.metadata().ok().zip(fs::symlink_metadata(&self.path).ok());
            // A file that cannot be removed is emptied, since it is harmless without the secret.
            if ours.is_some_and(|(ours, named)| is_same(&ours, &named) && ours.nlink() == 1) {
                let _ = self.file.set_len(0);
            }
        }
    }
}

/// The path of a delivery's temporary file. It is derived from the hash of the secret, so that recovery can
/// find the file.
fn name(target: &Path, hash: &SecretHash) -> PathBuf {
    let tag = u64::from_be_bytes(std::array::from_fn(|at| hash.as_bytes()[at]));
    target.with_file_name(format!("{PREFIX}{tag:016x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_file_with_the_temporary_name_is_neither_followed_nor_written() {
        let dir = tempfile::tempdir().unwrap();
        let (target, hash) = (dir.path().join("target"), SecretHash::from_bytes([7; 32]));
        let planted = name(&target, &hash);
        fs::write(&planted, "theirs").unwrap();
        let refused = Temporary::create(&target, &hash, None).err().map(|err| err.kind());
        assert_eq!(refused, Some(io::ErrorKind::AlreadyExists));
        assert_eq!(fs::read_to_string(&planted).unwrap(), "theirs");
    }

    #[test]
    fn a_temporary_file_of_another_user_is_removed_only_beside_a_file_of_that_user() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (target, hash) = (dir.path().join("target"), SecretHash::from_bytes([7; 32]));
        let make = |path: &Path, uid| {
            fs::write(path, "").unwrap();
            std::os::unix::fs::chown(path, Some(uid), None).unwrap();
        };
        let remove = |ours: u32, theirs: Option<u32>| {
            let _ = fs::remove_file(&target);
            make(&name(&target, &hash), ours);
            if let Some(uid) = theirs {
                make(&target, uid);
            }
            Temporary::remove(&target, &hash).ok()
        };
        assert_eq!((remove(7, None), remove(7, Some(8)), remove(7, Some(7))), (None, None, Some(true)));
        assert_eq!((remove(0, None), remove(0, Some(7))), (Some(true), Some(true)));
        assert_eq!(Temporary::remove(&target, &hash).ok(), Some(false));
    }

    #[test]
    fn only_old_temporary_files_of_this_user_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let names = [
            ".tokenctl-0123456789abcdef",
            ".tokenctl-0123456789abcdeg",
            ".tokenctl-0123",
            "0123456789abcdef",
        ];
        for name in names {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let left = |after: i64| {
            let written = fs::symlink_metadata(dir.path().join(names[3])).unwrap().mtime();
            let now = Timestamp::from_unix(written + after).unwrap();
            Temporary::sweep(dir.path(), &File::open(dir.path()).unwrap(), now);
            names.map(|name| dir.path().join(name).exists())
        };
        assert_eq!(left(14 * 60), [true; 4]);
        assert_eq!(left(16 * 60), [false, true, true, true]);
    }

    #[test]
    fn a_temporary_file_that_was_moved_keeps_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        let mut made = Temporary::create(&target, &SecretHash::from_bytes([7; 32]), None).unwrap();
        made.fill(&target, b"a secret", None).unwrap();
        let moved = dir.path().join("moved");
        fs::rename(&made.path, &moved).unwrap();
        fs::create_dir(&made.path).unwrap();
        drop(made);
        assert_eq!(fs::read(&moved).unwrap(), b"a secret");
    }
}

//! Checks a file that will contain a secret, and reads its current content.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, OFlags, StatxAttributes, StatxFlags};
use zeroize::Zeroizing;

use super::content::{AtPath, flags, read};
use super::{Accepted, Refusal, Temporary};
use crate::domain::Invalid;
use crate::domain::secret::SecretHash;
use crate::domain::when::Timestamp;
use crate::store;

/// A file that will contain a secret.
pub struct Target {
    /// An absolute path, with symbolic links in its directory resolved.
    pub path: PathBuf,
    dir: PathBuf,
    /// The open directory.
    opened: File,
    /// Created before the secret is in the store, so that recovery can ensure that it is never renamed.
    temporary: Option<Temporary>,
}

/// Fails if files in this directory cannot take secrets.
pub fn check_directory(dir: &Path, store: &Path) -> Result<(), Refusal> {
    Target::new(&dir.join("NAME"), store).map(drop)
}

/// The state of a target when it was checked.
pub struct Seen {
    pub meta: Option<Metadata>,
    /// The content of the file. Empty if there is no file.
    pub content: Zeroizing<Vec<u8>>,
}

impl Seen {
    /// Whether the file belongs to neither this user nor root.
    fn is_foreign(&self) -> bool {
        self.meta.as_ref().is_some_and(|meta| is_foreign(meta.uid()))
    }
}

fn is_foreign(uid: u32) -> bool {
    uid != 0 && uid != rustix::process::geteuid().as_raw()
}

fn refusal(path: &Path, why: &str) -> Invalid {
    Invalid::new(format!("`{}` cannot take a secret: {why}", path.display()))
}

impl Target {
    /// Fails unless the directory exists outside of `store`, and only this user and root can change or
    /// replace it.
    pub fn new(path: &Path, store: &Path) -> Result<Self, Refusal> {
        let refuse = |why: &str| Refusal::Failed(refusal(path, why));
        let name = path.file_name().ok_or_else(|| refuse("it does not name a file"))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |err: io::Error| refuse(&format!("its directory: {err}"));
        let dir = fs::canonicalize(parent).map_err(failed)?;
        let directory = flags(OFlags::DIRECTORY);
        let opened = OpenOptions::new().read(true).custom_flags(directory).open(&dir).map_err(failed)?;
        let mode = opened.metadata().map_err(failed)?.mode();
        if mode & 0o022 != 0 {
            return Err(refuse(&format!("others can write its directory (mode {:o})", mode & 0o7777)));
        }
        if fs::canonicalize(store).is_ok_and(|store| dir.starts_with(store)) {
            return Err(refuse("its directory is the store's own"));
        }
        let target = Self { path: dir.join(name), dir, opened, temporary: None };
        if target.path.to_str().is_none() {
            return Err(refuse("its name is not UTF-8"));
        }
        target.check_ancestors()?;
        Ok(target)
    }

    /// Fails unless only this user and root can change what the path leads to.
    fn check_ancestors(&self) -> Result<(), Refusal> {
        let problems = store::unsafe_parents_of(&self.path).map_err(|err| self.refuse(&err.to_string()))?;
        if let Some(problem) = problems.into_iter().next() {
            let why = format!("`{}`: {}", problem.path.display(), problem.why);
            return Err(Refusal::Failed(refusal(&self.path, &why).hint(problem.fix)));
        }
        for dir in self.dir.ancestors() {
            let owner = fs::symlink_metadata(dir).map_err(|err| self.refuse(&err.to_string()))?.uid();
            if is_foreign(owner) {
                return Err(self.refuse(&format!("`{}` belongs to uid {owner}", dir.display())));
            }
        }
        let attributes = attributes(&self.dir).map_err(|err| self.refuse(&err.to_string()))?;
        if attributes.intersects(StatxAttributes::APPEND | StatxAttributes::IMMUTABLE) {
            return Err(self.refuse("nothing can be renamed in its directory (see `lsattr -d`)"));
        }
        Ok(())
    }

    fn refuse(&self, why: &str) -> Refusal {
        Refusal::Failed(refusal(&self.path, why))
    }

    /// Reads the current state: no file, or a regular file that the world can neither read nor write.
    pub fn look(&self) -> Result<Seen, Refusal> {
        let failed = |err: io::Error| self.refuse(&err.to_string());
        let meta = match fs::symlink_metadata(&self.path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                return Ok(Seen { meta: None, content: Zeroizing::default() });
            }
            meta => meta.map_err(failed)?,
        };
        if meta.is_symlink() {
            return Err(self.refuse("it is a symbolic link"));
        }
        if !meta.is_file() {
            return Err(self.refuse("it is not a regular file"));
        }
        if meta.mode() & 0o006 != 0 {
            return Err(
                self.refuse(&format!("its mode {:o} lets the world read or write it", meta.mode() & 0o7777))
            );
        }
        if attributes(&self.path).map_err(failed)?.contains(StatxAttributes::MOUNT_ROOT) {
            return Err(self.mounted());
        }
        match read(&self.path).map_err(failed)? {
            AtPath::File(_, content) => Ok(Seen { meta: Some(meta), content }),
            AtPath::Other | AtPath::Absent => Err(self.refuse("somebody else changed it meanwhile")),
        }
    }

    /// The refusal of a file that is mounted separately. It can be written, but not replaced.
    fn mounted(&self) -> Refusal {
        let why = "it is mounted as a single file, so it cannot be replaced";
        Refusal::Failed(refusal(&self.path, why).hint("mount its directory instead"))
    }

    /// Refuses a file of another user, unless it already contains a secret of this token.
    pub fn check_owner(&self, seen: &Seen, holds_ours: bool) -> Result<(), Refusal> {
        if !seen.is_foreign() || holds_ours {
            return Ok(());
        }
        let uid = seen.meta.as_ref().map_or(0, Metadata::uid);
        let why = format!("it belongs to uid {uid} and does not contain a secret of this token yet");
        let path = self.path.display();
        let hint = format!("run `chown root {path}`, deliver, then give it back with `chown {uid} {path}`");
        Err(Refusal::Failed(refusal(&self.path, &why).hint(hint)))
    }

    /// Creates the temporary file that will replace the target.
    pub fn reserve(&mut self, seen: &Seen, hash: &SecretHash, now: Timestamp) -> Result<(), Refusal> {
        Temporary::sweep(&self.dir, &self.opened, now);
        let temporary = Temporary::create(&self.path, hash, seen.meta.as_ref())
            .map_err(|err| self.refuse(&err.to_string()))?;
        self.temporary = Some(temporary);
        Ok(())
    }

    /// Replaces the target with this content: writes the temporary file to disk, renames it, and syncs the
    /// directory.
    pub fn replace(&mut self, seen: &Seen, content: &[u8]) -> Result<Accepted, Refusal> {
        let Some(temporary) = &mut self.temporary else { return Err(self.refuse("it was not prepared")) };
        let filled = temporary.fill(&self.path, content, seen.meta.as_ref());
        if let Err(err) = filled.and_then(|()| temporary.put(&self.path, seen.meta.as_ref())) {
            return Err(match err.raw_os_error() {
                Some(code) if code == rustix::io::Errno::BUSY.raw_os_error() => self.mounted(),
                _ => self.refuse(&err.to_string()),
            });
        }
        match sync(&self.opened) {
            Ok(()) => Ok(Accepted::Whole),
            Err(err) => Ok(Accepted::NotDurable(format!("its directory could not be synced: {err}"))),
        }
    }

    /// Locks the directory against other tokenctl processes that edit files in it, until the result is
    /// dropped.
    pub fn lock(&self) -> Result<File, Refusal> {
        const TRIES: u32 = 500;
        let dir = File::open(&self.dir).map_err(|err| self.refuse(&err.to_string()))?;
        for _ in 0..TRIES {
            match dir.try_lock() {
                Err(TryLockError::WouldBlock) => std::thread::sleep(std::time::Duration::from_millis(20)),
                // Without locks, as on NFS, the check before the rename still finds most changes by others.
                Ok(()) | Err(TryLockError::Error(_)) => return Ok(dir),
            }
        }
        Err(self.refuse("another process holds its directory locked"))
    }
}

/// The attributes of a file besides its mode. Empty if the file system does not report them.
fn attributes(path: &Path) -> io::Result<StatxAttributes> {
    let status = rustix::fs::statx(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty());
    match status {
        Ok(status) => Ok(status.stx_attributes & status.stx_attributes_mask),
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => Ok(StatxAttributes::empty()),
        Err(err) => Err(err.into()),
    }
}

/// Makes a file or directory durable, if its file system supports that. CIFS, vboxsf and some FUSE file
/// systems do not support it for directories.
pub fn sync(file: &File) -> io::Result<()> {
    use rustix::io::Errno;
    const UNSUPPORTED: [Errno; 4] = [Errno::INVAL, Errno::BADF, Errno::NOSYS, Errno::OPNOTSUPP];
    match file.sync_all() {
        Err(err) if UNSUPPORTED.iter().any(|it| err.raw_os_error() == Some(it.raw_os_error())) => Ok(()),
        done => done,
    }
}

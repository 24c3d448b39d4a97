//! What sinks that write a file have in common: which targets are safe, and replacing one whole.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, RenameFlags};
use zeroize::Zeroizing;

use super::{Handed, Refusal};
use crate::domain::secret::{Secret, SecretHash};

/// A larger file is no file of secrets.
const MAX_FILE: u64 = 1 << 20;

/// A file that is to hold a secret.
pub struct Target {
    /// Absolute, its directory without symbolic links.
    pub path: PathBuf,
    dir: PathBuf,
}

/// Whether files in this directory can take secrets.
pub fn check_directory(dir: &Path) -> Result<(), Refusal> {
    Target::new(&dir.join("NAME")).map(drop)
}

/// What a target was when it was looked at.
pub struct Seen {
    meta: Option<Metadata>,
    /// Its content; empty where it is absent.
    pub content: Zeroizing<Vec<u8>>,
}

impl Target {
    /// In its directory's own path; the directory must be there, and others must not be able to write it.
    pub fn new(path: &Path) -> Result<Self, Refusal> {
        let refuse = |why: &str| Refusal::Failed(format!("`{}` cannot take a secret: {why}", path.display()));
        let name = path.file_name().ok_or_else(|| refuse("it names no file"))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let dir = fs::canonicalize(parent).map_err(|err| refuse(&format!("its directory: {err}")))?;
        let meta = fs::metadata(&dir).map_err(|err| refuse(&format!("its directory: {err}")))?;
        if !meta.is_dir() {
            return Err(refuse("its directory is none"));
        }
        if meta.mode() & 0o022 != 0 {
            return Err(refuse(&format!("others can write its directory (mode {:o})", meta.mode() & 0o7777)));
        }
        let target = Self { path: dir.join(name), dir };
        if target.path.to_str().is_none() {
            return Err(refuse("its name is not UTF-8"));
        }
        Ok(target)
    }

    fn refuse(&self, why: &str) -> Refusal {
        Refusal::Failed(format!("`{}` cannot take a secret: {why}", self.path.display()))
    }

    /// Looks at what is there: nothing, or a regular file that the world cannot read.
    pub fn look(&self) -> Result<Seen, Refusal> {
        let meta = match fs::symlink_metadata(&self.path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                return Ok(Seen { meta: None, content: Zeroizing::default() });
            }
            meta => meta.map_err(|err| self.refuse(&err.to_string()))?,
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
        let content = read(&self.path).map_err(|err| self.refuse(&err.to_string()))?;
        Ok(Seen { meta: Some(meta), content })
    }

    /// Replaces what was seen by `content`: a temporary beside it, on disk, renamed, the directory on disk.
    pub fn replace(&self, seen: &Seen, content: &[u8], hash: &SecretHash) -> Result<Handed, Refusal> {
        let temporary = temporary(&self.dir, hash);
        let prepared = Self::prepare(seen, content, &temporary);
        if let Err(err) = prepared.and_then(|()| self.put(seen, &temporary)) {
            // It cannot be in place yet; what is left of it is ours.
            let _ = fs::remove_file(&temporary);
            return Err(self.refuse(&err.to_string()));
        }
        match File::open(&self.dir).and_then(|dir| dir.sync_all()) {
            Ok(()) => Ok(Handed::Whole),
            Err(err) => Ok(Handed::NotDurable(format!("its directory could not be synced: {err}"))),
        }
    }

    fn prepare(seen: &Seen, content: &[u8], temporary: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0))
            .open(temporary)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        if let Some(meta) = &seen.meta {
            let ours = file.metadata()?;
            let changed = |was: u32, is: u32| (was != is).then_some(was);
            let (uid, gid) = (changed(meta.uid(), ours.uid()), changed(meta.gid(), ours.gid()));
            if uid.is_some() || gid.is_some() {
                fchown(&file, uid, gid).map_err(|err| {
                    io::Error::new(err.kind(), format!("its owner and group cannot be kept: {err}"))
                })?;
            }
        }
        file.write_all(content)?;
        if let Some(meta) = &seen.meta {
            file.set_permissions(Permissions::from_mode(meta.mode() & 0o7777))?;
        }
        file.sync_all()
    }

    /// Renames, unless somebody else changed the target since it was seen.
    fn put(&self, seen: &Seen, temporary: &Path) -> io::Result<()> {
        let Some(was) = &seen.meta else {
            let cwd = rustix::fs::CWD;
            return Ok(rustix::fs::renameat_with(cwd, temporary, cwd, &self.path, RenameFlags::NOREPLACE)?);
        };
        let is = fs::symlink_metadata(&self.path)?;
        let same = |meta: &Metadata| (meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec());
        if same(was) != same(&is) {
            return Err(io::Error::other("somebody else changed it meanwhile"));
        }
        fs::rename(temporary, &self.path)
    }

    /// Holds the directory against other tokenctls that edit a file in it, until dropped.
    pub fn lock(&self) -> Result<File, Refusal> {
        const TRIES: u32 = 500;
        let dir = File::open(&self.dir).map_err(|err| self.refuse(&err.to_string()))?;
        for _ in 0..TRIES {
            if dir.try_lock().is_ok() {
                return Ok(dir);
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Err(self.refuse("another process holds its directory locked"))
    }
}

/// The name that a delivery's temporary has, from the hash of its secret, so that recovery finds it.
pub fn temporary(dir: &Path, hash: &SecretHash) -> PathBuf {
    let tag = u64::from_be_bytes(std::array::from_fn(|at| hash.as_bytes()[at]));
    dir.join(format!(".tokenctl-{tag:016x}"))
}

/// The content of a regular file of reasonable size; never waits for a pipe, never follows a link.
pub fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > MAX_FILE {
        return Err(io::Error::other("not a regular file of at most 1 MiB"));
    }
    // Room for all of it at once: growing would leave copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0) + 1));
    Read::by_ref(&mut file).take(MAX_FILE).read_to_end(&mut content)?;
    Ok(content)
}

/// The hash of text that is a secret.
pub fn hash_of(text: &[u8]) -> Option<SecretHash> {
    Secret::read(Zeroizing::new(text.to_vec())).map(|secret| secret.hash())
}

//! Copies the owner, mode, access control list and other attributes of a file to the file that replaces it.

use std::collections::BTreeMap;
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

/// The extended attribute that contains an access control list.
const ACL: &str = "system.posix_acl_access";
/// The maximum size of all attribute names of a file together, and of one value (xattr(7)).
const MAX_BYTES: usize = 64 << 10;

/// Gives `file` the owner, mode and attributes of the file at `path`, whose metadata is `original`. Fails if
/// something cannot be copied.
pub fn copy_metadata(file: &File, path: &Path, original: Option<&Metadata>) -> io::Result<()> {
    let Some(original) = original else { return Ok(()) };
    let ours = file.metadata()?;
    let changed = |wanted: u32, actual: u32| (wanted != actual).then_some(wanted);
    let (uid, gid) = (changed(original.uid(), ours.uid()), changed(original.gid(), ours.gid()));
    if uid.is_some() || gid.is_some() {
        fchown(file, uid, gid).map_err(|err| not_kept("its owner and group", &err))?;
    }
    copy_attributes(file, path).map_err(|err| not_kept("its attributes", &err))?;
    // The mode is set last, because setting an owner or an access control list changes it.
    file.set_permissions(Permissions::from_mode(original.mode() & 0o7777))
}

fn not_kept(what: &str, err: &io::Error) -> io::Error {
    io::Error::new(err.kind(), format!("{what} cannot be kept: {err}"))
}

fn copy_attributes(file: &File, path: &Path) -> io::Result<()> {
    let wanted = attributes(
        |list| rustix::fs::llistxattr(path, list),
        |name, value| rustix::fs::lgetxattr(path, name, value),
    )?;
    let present = attributes(
        |list| rustix::fs::flistxattr(file, list),
        |name, value| rustix::fs::fgetxattr(file, name, value),
    )?;
    for (name, value) in wanted.iter().filter(|(name, value)| present.get(*name) != Some(*value)) {
        rustix::fs::fsetxattr(file, name.as_str(), value, XattrFlags::empty())?;
    }
    // A list that was inherited from the directory would give other users access once the mode is set.
    if present.contains_key(ACL) && !wanted.contains_key(ACL) {
        rustix::fs::fremovexattr(file, ACL)?;
    }
    Ok(())
}

type Attributes = BTreeMap<String, Vec<u8>>;

/// The extended attributes of a file by name. Empty if the file system does not support them.
fn attributes(
    list: impl Fn(&mut [u8]) -> Result<usize, Errno>,
    get: impl Fn(&str, &mut [u8]) -> Result<usize, Errno>,
) -> io::Result<Attributes> {
    let mut buffer = vec![0; MAX_BYTES];
    let names = match list(&mut buffer) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Attributes::new()),
        len => buffer[..len?].to_vec(),
    };
    let mut all = Attributes::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = String::from_utf8_lossy(name).into_owned();
        let len = get(&name, &mut buffer)?;
        all.insert(name, buffer[..len].to_vec());
    }
    Ok(all)
}

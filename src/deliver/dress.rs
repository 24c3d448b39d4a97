//! Copies owner, mode, access control list and other attributes of a file to the one that replaces it.

use std::collections::BTreeMap;
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

/// The extended attribute of an access control list.
const ACL: &str = "system.posix_acl_access";
/// The limit for the names of a file's attributes together, and for one value (xattr(7)).
const LONGEST: usize = 64 << 10;

/// Gives `file` the owner, permissions and attributes of the file at `path`, whose metadata is `like`. Fails if
/// something cannot be copied.
pub fn dress(file: &File, path: &Path, like: Option<&Metadata>) -> io::Result<()> {
    let Some(like) = like else { return Ok(()) };
    let ours = file.metadata()?;
    let changed = |was: u32, is: u32| (was != is).then_some(was);
    let (uid, gid) = (changed(like.uid(), ours.uid()), changed(like.gid(), ours.gid()));
    if uid.is_some() || gid.is_some() {
        fchown(file, uid, gid).map_err(|err| lost("its owner and group", &err))?;
    }
    copy_attributes(file, path).map_err(|err| lost("its attributes", &err))?;
    // The mode comes last, since setting a list or an owner changes it.
    file.set_permissions(Permissions::from_mode(like.mode() & 0o7777))
}

fn lost(what: &str, err: &io::Error) -> io::Error {
    io::Error::new(err.kind(), format!("{what} cannot be kept: {err}"))
}

fn copy_attributes(file: &File, path: &Path) -> io::Result<()> {
    let wanted = attributes(
        |list| rustix::fs::llistxattr(path, list),
        |name, value| rustix::fs::lgetxattr(path, name, value),
    )?;
    let had = attributes(
        |list| rustix::fs::flistxattr(file, list),
        |name, value| rustix::fs::fgetxattr(file, name, value),
    )?;
    for (name, value) in wanted.iter().filter(|(name, value)| had.get(*name) != Some(*value)) {
        rustix::fs::fsetxattr(file, name.as_str(), value, XattrFlags::empty())?;
    }
    // A list inherited from the directory would give others access once the mode is set.
    if had.contains_key(ACL) && !wanted.contains_key(ACL) {
        rustix::fs::fremovexattr(file, ACL)?;
    }
    Ok(())
}

type Attributes = BTreeMap<String, Vec<u8>>;

/// The extended attributes of a file by their names; empty if the file system does not support them.
fn attributes(
    list: impl Fn(&mut [u8]) -> Result<usize, Errno>,
    get: impl Fn(&str, &mut [u8]) -> Result<usize, Errno>,
) -> io::Result<Attributes> {
    let mut buffer = vec![0; LONGEST];
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

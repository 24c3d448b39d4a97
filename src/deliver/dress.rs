//! Owner, mode, access control list and other attributes of a file, carried over to the one that replaces it.

use std::collections::BTreeMap;
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

/// Who may read a file, as an access control list says it.
const ACL: &str = "system.posix_acl_access";
/// Neither the names of a file's attributes nor one value are longer (xattr(7)).
const LONGEST: usize = 64 << 10;

/// Gives `file` everything that decides who may use the file at `path`, which is described by `like`; fails if something
/// cannot be kept.
pub fn dress(file: &File, path: &Path, like: Option<&Metadata>) -> io::Result<()> {
    let Some(like) = like else { return Ok(()) };
    let ours = file.metadata()?;
    let changed = |was: u32, is: u32| (was != is).then_some(was);
    let (uid, gid) = (changed(like.uid(), ours.uid()), changed(like.gid(), ours.gid()));
    if uid.is_some() || gid.is_some() {
        fchown(file, uid, gid).map_err(|err| lost("its owner and group", &err))?;
    }
    copy_attributes(file, path).map_err(|err| lost("its attributes", &err))?;
    // Last, because a list that is set changes the mode, and a change of owner too.
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
    // A list that the directory hands down would let others in once the mode is set.
    if had.contains_key(ACL) && !wanted.contains_key(ACL) {
        rustix::fs::fremovexattr(file, ACL)?;
    }
    Ok(())
}

type Attributes = BTreeMap<String, Vec<u8>>;

/// The extended attributes of a file by their names; none where its file system has none.
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

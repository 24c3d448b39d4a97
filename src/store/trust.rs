//! Decides which users besides the owner can have write access to a file without making the store unsafe:
//! members of the owner's private group, and members of a group that the caller trusts explicitly.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;

const WRITABLE_BY_GROUP: u32 = 0o020;
const WRITABLE_BY_OTHERS: u32 = 0o002;

/// Whether an untrusted user can write this file. Members of the group `trusted` are trusted.
pub fn others_can_write(meta: &Metadata, trusted: Option<u32>) -> bool {
    let group = || trusted == Some(meta.gid()) || is_private_group_of(meta.uid(), meta.gid());
    meta.mode() & WRITABLE_BY_OTHERS != 0 || meta.mode() & WRITABLE_BY_GROUP != 0 && !group()
}

fn is_private_group_of(uid: u32, gid: u32) -> bool {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    is_private(&read("/etc/passwd"), &read("/etc/group"), uid, gid)
}

/// Whether a group has the name of a user and no other member, according to passwd(5) and group(5). A group
/// that they do not list can have any members.
fn is_private(passwd: &str, group: &str, uid: u32, gid: u32) -> bool {
    let (uid, gid) = (uid.to_string(), gid.to_string());
    let users = || passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let Some(name) = users().find(|user| user.get(2) == Some(&&*uid)).map(|user| user[0]) else {
        return false;
    };
    let mut groups = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let members = groups.find(|group| group[0] == name && group.get(2) == Some(&&*gid));
    let alone = members.is_some_and(|group| {
        group
            .get(3)
            .is_none_or(|members| members.split(',').all(|member| member.is_empty() || member == name))
    });
    alone && users().all(|user| user.get(3) != Some(&&*gid) || user[0] == name)
}

#[cfg(test)]
mod tests {
    use super::is_private;

    #[test]
    fn a_group_is_private_if_its_user_is_the_only_member() {
        let passwd = "ann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1001:100::/home/bob:/bin/sh\n";
        let is = |passwd, group, gid| is_private(passwd, group, 1000, gid);
        assert!(is(passwd, "users:x:100:\nann:x:1000:\n", 1000));
        assert!(is(passwd, "ann:x:1000:ann\n", 1000));
        assert!(!is(passwd, "ann:x:1000:bob\n", 1000), "a second member");
        assert!(!is(passwd, "users:x:100:\n", 100), "a group of many");
        assert!(!is(passwd, "", 1000), "a group that is not listed");
        assert!(!is("", "ann:x:1000:\n", 1000), "a user that is not listed");
        let shared = format!("{passwd}eve:x:1002:1000::/:/bin/sh\n");
        assert!(!is(&shared, "ann:x:1000:\n", 1000), "the primary group of somebody else");
    }
}

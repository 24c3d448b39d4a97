//! Looks up users and groups without the C library. In a static program, the C library would load the modules
//! of `/etc/nsswitch.conf` together with a second C library, and the systemd module then crashes for a user
//! that is not in `/etc/passwd`. So this module reads the files, and runs `getent`, which is linked like the
//! system, for names in other databases (LDAP, sssd, systemd).

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A user, as passwd(5) describes one.
pub struct User {
    pub login: OsString,
    pub home: PathBuf,
}

pub fn by_uid(uid: u32) -> Option<User> {
    let key = uid.to_string();
    let fields = find("passwd", &key, |fields| fields.get(2).is_some_and(|field| *field == key.as_bytes()))?;
    let text = |at: usize| Some(OsString::from_vec(fields.get(at)?.clone()));
    Some(User { login: text(0)?, home: text(5)?.into() })
}

/// The id of a group, given its name or number.
pub fn group_id(name: &str) -> Option<u32> {
    let id = |fields: Vec<Vec<u8>>| String::from_utf8(fields.get(2)?.clone()).ok()?.parse().ok();
    let is_group = |fields: &[&[u8]]| fields[0] == name.as_bytes();
    in_file("group", is_group)
        .and_then(id)
        .or_else(|| name.parse().ok())
        .or_else(|| from_getent("group", name, is_group).and_then(id))
}

/// The fields of the first entry that matches.
fn find(database: &str, key: &str, matches: impl Fn(&[&[u8]]) -> bool + Copy) -> Option<Vec<Vec<u8>>> {
    in_file(database, matches).or_else(|| from_getent(database, key, matches))
}

fn in_file(database: &str, matches: impl Fn(&[&[u8]]) -> bool) -> Option<Vec<Vec<u8>>> {
    first(&fs::read(format!("/etc/{database}")).ok()?, matches)
}

/// The matching entry in the output of `getent`. `None` if that command is missing.
fn from_getent(database: &str, key: &str, matches: impl Fn(&[&[u8]]) -> bool) -> Option<Vec<Vec<u8>>> {
    if key.starts_with('-') {
        return None;
    }
    let mut getent = Command::new("getent");
    getent.args([database, key]).stdin(Stdio::null()).stderr(Stdio::null());
    first(&getent.output().ok()?.stdout, matches)
}

fn first(entries: &[u8], matches: impl Fn(&[&[u8]]) -> bool) -> Option<Vec<Vec<u8>>> {
    let lines = entries.split(|byte| *byte == b'\n');
    let mut all = lines.map(|line| line.split(|byte| *byte == b':').collect::<Vec<_>>());
    let found = all.find(|fields| matches(fields))?;
    Some(found.into_iter().map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_by_a_whole_field() {
        let entries =
            b"# a comment\nroot:x:0:0:root:/root:/bin/sh\n+::::::\nann:x:10:10::/home/ann:/bin/sh\n";
        let found = |uid: &[u8]| {
            let fields = first(entries, |fields| fields.get(2).is_some_and(|field| *field == uid))?;
            String::from_utf8(fields[0].clone()).ok()
        };
        assert_eq!(found(b"10"), Some("ann".to_owned()));
        assert_eq!(found(b"0"), Some("root".to_owned()));
        assert_eq!(found(b"1"), None);
    }

    #[test]
    fn root_is_a_user_and_a_group_and_a_number_is_a_group() {
        let root = by_uid(0).unwrap();
        assert_eq!((root.login, root.home), ("root".into(), "/root".into()));
        assert_eq!(group_id("root"), Some(0));
        assert_eq!(group_id("60124"), Some(60124));
        assert_eq!(group_id("no-such-group"), None);
        assert_eq!(group_id("--help"), None);
        assert_eq!(group_id(""), None);
    }
}

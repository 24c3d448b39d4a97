//! Who holds a lock on the database, from the kernel's list.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The pids that hold POSIX locks on a file, ours left out; empty where `/proc/locks` cannot tell.
pub fn holders(path: &Path) -> Vec<u32> {
    let (Ok(meta), Ok(locks)) = (fs::metadata(path), fs::read_to_string("/proc/locks")) else {
        return Vec::new();
    };
    let (major, minor) = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
    let file = format!("{major:02x}:{minor:02x}:{}", meta.ino());
    let mut pids: Vec<u32> = locks
        .lines()
        // `1: POSIX  ADVISORY  READ 708 fe:00:2534 1073741826 1073742335`; a waiting one has `->` in second place.
        .filter_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [_, "POSIX", _, _, pid, inode, ..] if inode == file => pid.parse().ok(),
            _ => None,
        })
        .filter(|pid| *pid != std::process::id())
        .collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

//! Waits for locks on the database, and finds out which processes hold them.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// ENOLCK, the only other error of a lock for which SQLite waits.
const NO_LOCKS: i32 = rustix::io::Errno::NOLCK.raw_os_error();

/// How long readers and writers wait for each other. With 1 s, 30 to 64 of 1,000 concurrent creates failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

thread_local! {
    /// How long the store that this thread uses waits. SQLite calls a plain function without a connection, so
    /// the store sets this each time before it uses its connection.
    static WAIT: Cell<Duration> = const { Cell::new(PATIENCE) };
    /// When the current wait began.
    static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Why the file system refused a lock that nobody holds.
    static REFUSED: Cell<Option<i32>> = const { Cell::new(None) };
}

/// Sets how long the next connection that this thread uses waits for a lock.
pub fn be_patient(patience: Duration) {
    WAIT.set(patience);
}

/// Lets a connection wait for a lock as long as set by [`be_patient`].
///
/// SQLite's own waiting sleeps longer and longer, so a late arrival can overtake a process that is already
/// waiting: of 1,000 creates by 50 processes, some starved for 20 s. Here all processes try equally often, at
/// random moments.
pub fn wait(conn: &mut Connection) -> rusqlite::Result<()> {
    conn.busy_handler(Some(|tries| {
        let refused = std::io::Error::last_os_error().raw_os_error().filter(|errno| *errno == NO_LOCKS);
        REFUSED.set(refused);
        if refused.is_some() || WAIT.get().is_zero() {
            return false;
        }
        let now = Instant::now();
        if tries == 0 || SINCE.get().is_none() {
            SINCE.set(Some(now));
        }
        let waited = SINCE.get().map_or(Duration::ZERO, |since| now - since);
        let jitter = u64::from(std::process::id()).wrapping_add(u64::try_from(tries).unwrap_or(0)) % 4;
        thread::sleep(Duration::from_millis(1 + jitter));
        waited < WAIT.get()
    }))
}

/// Why the file system refused the last lock of this thread, if it did.
pub fn refusal() -> Option<std::io::Error> {
    REFUSED.get().map(std::io::Error::from_raw_os_error)
}

/// The ids of other processes that hold POSIX locks on a file. Empty if they are not known.
pub fn pids(path: &Path) -> Vec<u32> {
    let (Ok(meta), Ok(locks)) = (fs::metadata(path), fs::read_to_string("/proc/locks")) else {
        return Vec::new();
    };
    let (major, minor) = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
    let file = format!("{major:02x}:{minor:02x}:{}", meta.ino());
    let mut pids: Vec<u32> = locks
        .lines()
        // `1: POSIX  ADVISORY  READ 708 fe:00:2534 1073741826 1073742335`. A waiting process has `->` as its
        // second word.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_has_its_own_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("database");
        let holder = Connection::open(&path).unwrap();
        holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
        let mut waiting = Connection::open(&path).unwrap();
        wait(&mut waiting).unwrap();
        be_patient(PATIENCE);
        // An earlier wait of this thread began long ago.
        SINCE.set(Instant::now().checked_sub(PATIENCE * 2));
        thread::scope(|scope| {
            scope.spawn(move || {
                thread::sleep(Duration::from_millis(100));
                holder.execute_batch("COMMIT").unwrap();
            });
            waiting.execute_batch("BEGIN IMMEDIATE").unwrap();
        });
    }
}

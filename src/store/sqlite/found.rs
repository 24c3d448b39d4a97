//! A store that was found. Its header is checked before SQLite opens the file.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::lock;
use super::open::{Access, GLANCE, connect};
use super::schema;
use crate::store::error::{StoreError, read_only};
use crate::store::files;

pub const DATABASE: &str = "tokens.db";
/// The length of the header that is read before SQLite opens the file.
pub const HEADER_LEN: usize = 100;

/// An existing store: its real directory, and the metadata of its database when its header was read.
#[derive(Debug, Clone)]
pub struct Found {
    pub dir: PathBuf,
    pub database: PathBuf,
    pub meta: Metadata,
    /// The first bytes of the database.
    pub head: Vec<u8>,
}

impl Found {
    /// A database that this process has just created. Its header is not read.
    pub fn unread(database: &Path) -> io::Result<Self> {
        let dir = database.parent().unwrap_or(Path::new("/")).to_owned();
        Ok(Self {
            dir,
            database: database.to_owned(),
            meta: fs::symlink_metadata(database)?,
            head: Vec::new(),
        })
    }

    /// The version in the header, or 0 if there is none.
    pub fn stamp(&self) -> i64 {
        let bytes = self.head.get(60..64).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_be_bytes).map_or(0, i64::from)
    }

    /// Checks the header of the file. Returns the version.
    pub fn version(&self) -> Result<i64, StoreError> {
        let foreign = |why: &str| StoreError::Foreign { path: self.database.clone(), why: why.to_owned() };
        let bytes = &self.head;
        if bytes.len() < HEADER_LEN {
            return Err(foreign("it is too short for a database"));
        }
        // https://www.sqlite.org/fileformat.html, section 1.3: big-endian integers at fixed offsets.
        let int = |at: usize| {
            i64::from(u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]))
        };
        if !bytes.starts_with(b"SQLite format 3\0") {
            return Err(foreign("it is not an SQLite database"));
        }
        if int(68) != schema::APPLICATION_ID {
            return Err(foreign("it is the database of another program"));
        }
        let (known, found) = (schema::VERSION, self.stamp());
        if found > known {
            return Err(StoreError::Newer { found, known });
        }
        // A rollback journal or a write-ahead log, schema format 4, UTF-8.
        let modes = [bytes[18], bytes[19]];
        if !(modes == [1, 1] || modes == [2, 2]) || int(44) != 4 || int(56) != 1 || found == 0 {
            return Err(StoreError::Damaged("its header is not one that tokenctl writes".to_owned()));
        }
        if modes == [2, 2] || look(&beside(&self.database, "-wal"))?.is_some() {
            return Err(StoreError::Wal { path: self.database.clone() });
        }
        Ok(found)
    }

    /// Fails with the reason if the files cannot be changed.
    pub fn check_writable(&self) -> Result<(), StoreError> {
        for path in [&self.database, &self.dir] {
            if let Err(err) = rustix::fs::access(path, rustix::fs::Access::WRITE_OK) {
                return Err(read_only(path, err));
            }
        }
        Ok(())
    }

    /// Sets the journal mode back in a store that another program has set to write-ahead logging, and drops
    /// the tables of Litestream. Fails while another process has the store open.
    pub fn leave_wal(&self) -> Result<(), StoreError> {
        for path in ["-wal", "-shm"].map(|end| beside(&self.database, end)) {
            if let Some(why) = look(&path)?.and_then(|meta| files::problem(&meta, self.meta.uid())) {
                let fix = "find out who created this file, and move it away".to_owned();
                return Err(StoreError::Unsafe { path, why, fix });
            }
        }
        let run = || {
            let conn = connect(&self.database, Access::Write)?;
            lock::be_patient(GLANCE);
            let mode: String = conn.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
            // A table of another program might refer to a table of the store, so dropping it would delete
            // rows there.
            conn.execute_batch("PRAGMA foreign_keys = OFF")?;
            schema::drop_litestream(&conn)?;
            Ok(mode)
        };
        match run() {
            Ok(mode) if mode == "delete" => Ok(()),
            Ok(_) => Err(StoreError::Locked(lock::pids(&self.database))),
            Err(err) => Err(StoreError::sqlite(&self.database, &err)),
        }
    }
}

/// The rollback journal of a database.
pub fn journal(database: &Path) -> PathBuf {
    beside(database, "-journal")
}

/// A file that SQLite keeps beside a database.
fn beside(database: &Path, end: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

pub fn look(path: &Path) -> Result<Option<Metadata>, StoreError> {
    files::look(path).map_err(|err| StoreError::Unreadable { path: path.to_owned(), why: err.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the header says after these bytes of a sound one have changed.
    fn said(at: usize, bytes: &[u8], beside_it: Option<&str>) -> String {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join(DATABASE);
        fs::write(&database, "").unwrap();
        if let Some(end) = beside_it {
            fs::write(beside(&database, end), "").unwrap();
        }
        let mut head = vec![0; HEADER_LEN];
        let application = u32::try_from(schema::APPLICATION_ID).unwrap().to_be_bytes();
        let sound: [(usize, &[u8]); 6] = [
            (0, b"SQLite format 3\0"),
            (18, &[1, 1]),
            (44, &[0, 0, 0, 4]),
            (56, &[0, 0, 0, 1]),
            (60, &[0, 0, 0, 2]),
            (68, &application),
        ];
        for (at, bytes) in sound.into_iter().chain([(at, bytes)]) {
            head[at..at + bytes.len()].copy_from_slice(bytes);
        }
        match (Found { head, ..Found::unread(&database).unwrap() }).version() {
            Ok(version) => version.to_string(),
            Err(StoreError::Foreign { .. }) => "foreign".to_owned(),
            Err(StoreError::Newer { found, known }) => format!("{found} is newer than {known}"),
            Err(StoreError::Damaged(_)) => "damaged".to_owned(),
            Err(StoreError::Wal { .. }) => "wal".to_owned(),
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn each_field_of_the_header_is_checked() {
        let cases: [(usize, &[u8], &str); 13] = [
            (18, &[1, 1], "2"),
            (60, &[0, 0, 0, 1], "1"),
            (0, b"Q", "foreign"),
            (68, &[0], "foreign"),
            (71, &[0], "foreign"),
            (60, &[0, 0, 0, 3], "3 is newer than 2"),
            (60, &[0, 0, 0, 0], "damaged"),
            (18, &[2, 1], "damaged"),
            (18, &[1, 2], "damaged"),
            (18, &[3, 3], "damaged"),
            (44, &[0, 0, 0, 3], "damaged"),
            (56, &[0, 0, 0, 2], "damaged"),
            (18, &[2, 2], "wal"),
        ];
        for (at, bytes, expected) in cases {
            assert_eq!(said(at, bytes, None), expected, "{bytes:?} at {at}");
        }
        assert_eq!(said(0, b"S", Some("-wal")), "wal");
        assert_eq!(said(0, b"S", Some("-journal")), "2");
    }
}

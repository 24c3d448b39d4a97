//! A connection that trusts nothing in its file.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::lock::{self, PATIENCE};

/// Who is typing does not wait.
pub const GLANCE: Duration = Duration::from_millis(50);

/// The statements that a connection keeps.
const STATEMENTS: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    /// To read soon or not at all.
    Glance,
    /// To ask one question and go.
    Once,
    Write,
}

impl Access {
    pub fn patience(self) -> Duration {
        match self {
            Self::Read | Self::Once | Self::Write => PATIENCE,
            Self::Glance => GLANCE,
        }
    }
}

/// A connection that runs nothing the file brings along.
pub fn connect(path: &Path, access: Access) -> rusqlite::Result<Connection> {
    let mode = match access {
        Access::Read | Access::Glance | Access::Once => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut conn = Connection::open_with_flags(path, flags)?;
    lock::be_patient(access.patience());
    lock::wait(&mut conn)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    for off in [
        DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA,
        DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER,
        DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW,
        DbConfig::SQLITE_DBCONFIG_DQS_DML,
        DbConfig::SQLITE_DBCONFIG_DQS_DDL,
    ] {
        conn.set_db_config(off, false)?;
    }
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
    // Or each statement is prepared once more when its parameters are bound.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // More than one change needs, or a command would prepare one statement several times.
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // No temporary files: what a reader sorts stays in memory.
    conn.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON")?;
    if access == Access::Write {
        conn.execute_batch("PRAGMA synchronous = EXTRA")?;
    }
    Ok(conn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::found::DATABASE;
    use std::fs;

    fn connection(access: Access) -> (tempfile::TempDir, Connection) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join(DATABASE);
        fs::write(&path, "").unwrap();
        let conn = connect(&path, access).unwrap();
        (dir, conn)
    }

    #[test]
    fn a_connection_trusts_nothing_in_the_file() {
        for access in [Access::Read, Access::Glance, Access::Once, Access::Write] {
            let (_dir, conn) = connection(access);
            let is_on = |config| conn.db_config(config).unwrap();
            assert!(is_on(DbConfig::SQLITE_DBCONFIG_DEFENSIVE));
            assert!(is_on(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY));
            assert!(is_on(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG));
            for off in [
                DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA,
                DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER,
                DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW,
                DbConfig::SQLITE_DBCONFIG_DQS_DML,
                DbConfig::SQLITE_DBCONFIG_DQS_DDL,
            ] {
                assert!(!is_on(off), "{off:?}");
            }
            let pragma =
                |name| conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).unwrap();
            let values = ["foreign_keys", "cell_size_check", "temp_store"].map(pragma);
            assert_eq!(values, [1, 1, 2], "on, on, MEMORY");
            // A reader syncs nothing.
            assert!(access != Access::Write || pragma("synchronous") == 3, "EXTRA");
        }
    }

    #[test]
    fn sqlite_follows_no_link_to_a_database() {
        let (dir, _conn) = connection(Access::Write);
        let dir = dir.path().canonicalize().unwrap();
        std::os::unix::fs::symlink(dir.join(DATABASE), dir.join("link")).unwrap();
        assert!(connect(&dir.join("link"), Access::Read).is_err());
    }

    #[test]
    fn no_sqlite_is_linked_that_deletes_what_a_journal_names() {
        // The first version in whose source it was seen that only a file of the name of a super-journal is deleted.
        assert!(rusqlite::version_number() >= 3_054_001, "{}", rusqlite::version());
    }
}

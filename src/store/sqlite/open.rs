//! Opens connections that run nothing that the database file contains.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::lock::{self, PATIENCE};

/// How long completion waits for a lock while somebody types.
pub const GLANCE: Duration = Duration::from_millis(50);

/// How many statements a connection caches.
const STATEMENTS: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    /// For completion, which hardly waits.
    Glance,
    /// For a single verification.
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

/// Opens a connection that runs nothing that the file contains.
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
    // Without this, each statement would be prepared again when its parameters are bound.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // A change needs fewer statements. With a smaller cache, a command would prepare a statement several
    // times.
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // Sorting uses memory instead of temporary files.
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
            // A reader does not sync anything.
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
    fn the_source_of_the_linked_sqlite_was_checked() {
        // This is the first version whose source was checked. It deletes only a file with the name of a
        // super-journal.
        assert!(rusqlite::version_number() >= 3_054_001, "{}", rusqlite::version());
    }
}

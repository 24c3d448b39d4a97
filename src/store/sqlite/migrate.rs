//! Migrates a store of version 1 to the current version, in one transaction of the first command that writes.
//!
//! Objects that match their last entry get a new entry with their new digest. Objects that were changed by
//! hand get none, so they are still reported. They do not stop the migration, because one such row would
//! prevent every revocation.

use std::os::unix::fs::{MetadataExt, fchown};

use super::build::{TEMPORARY, sync_directory};
use super::open::{self, Access};
use super::{FIRST, Found, Matched, Store, StoreError, VERSION, Write, backup, schema, v1};
use crate::domain::digest::Form;
use crate::domain::event::{Action, Author, Subject};
use crate::domain::scope::Catalogue;
use crate::domain::settings::Settings;
use crate::domain::when::Clock;
use crate::store::sharing::Sharing;

/// The name of the copy of the old database, beside the new one.
const COPY: &str = "tokens.db.v1";

pub fn migrate(store: &Store, clock: &dyn Clock, author: &Author) -> Result<(), StoreError> {
    let files = store.files()?;
    let set = |pragmas: &str| files.conn.execute_batch(pragmas).map_err(|err| files.failed(&err));
    // This cannot be set within a transaction.
    set("PRAGMA foreign_keys = OFF")?;
    let before = files.version.get();
    let done = store.transact(clock, author, convert);
    if done.is_err() {
        files.version.set(before);
    }
    set("PRAGMA foreign_keys = ON").and(done)
}

fn convert(tx: &Write<'_>) -> Result<(), StoreError> {
    let files = tx.view.store.files()?;
    let (conn, ok) = (&files.conn, |done: rusqlite::Result<()>| done.map_err(|err| files.failed(&err)));
    if files.stamped().map_err(|err| files.failed(&err))? == VERSION {
        // Another process has already migrated the store.
        return ok(files.follow_migration());
    }
    copy(&files.found)?;
    let sound = Sound::find(tx)?;
    ok(v1::unview(conn).and_then(|()| v1::convert(conn, schema::create)))?;
    ok(schema::stamp(conn))?;
    files.version.set(VERSION);
    let scopes: Vec<i64> = tx.column("SELECT row FROM scope", &[])?;
    scopes.into_iter().try_for_each(|row| tx.seal_scope(row))?;
    each_token(tx, |row| tx.seal_token(row))?;
    sound.record(tx)
}

/// Keeps a copy of the old database. The transaction is open, so nobody changes the database meanwhile.
/// SQLite makes the copy, because opening the file directly would drop the locks of this process.
fn copy(found: &Found) -> Result<(), StoreError> {
    let path = found.dir.join(COPY);
    let failed = |err: &std::io::Error| StoreError::io("copy the store to", &path, err);
    let new =
        tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&found.dir).map_err(|err| failed(&err))?;
    let run = || {
        let from = open::connect(&found.database, Access::Read)?;
        backup::copy_to_new(&from, new.path())
    };
    run().map_err(|err| StoreError::sqlite(new.path(), &err))?;
    let sync = || {
        let file = new.as_file();
        if file.metadata()?.uid() != found.meta.uid() {
            fchown(file, Some(found.meta.uid()), None)?;
        }
        file.sync_all()
    };
    sync().map_err(|err| failed(&err))?;
    new.persist(&path).map_err(|err| failed(&err.error))?;
    sync_directory(&found.dir).map_err(|err| failed(&err))
}

/// The objects that match their last entries.
struct Sound {
    tokens: Vec<i64>,
    catalogue: Option<Catalogue>,
    settings: Option<Settings>,
}

impl Sound {
    fn find(tx: &Write<'_>) -> Result<Self, StoreError> {
        let mut tokens = Vec::new();
        each_token(tx, |row| {
            let token = readable(tx.token(row, tx.now))?;
            if let Some(token) = token
                && tx.is_as_recorded(&Subject::of(&token), |form| form.token(&token))?
            {
                tokens.push(row);
            }
            Ok(())
        })?;
        let mut catalogue = readable(tx.catalogue())?;
        if let Some(all) = &catalogue
            && !tx.is_as_recorded(&Subject::Catalogue, |form| form.catalogue(all))?
        {
            catalogue = None;
        }
        let mut settings = readable(tx.settings())?;
        if let Some(all) = &settings
            && !tx.is_as_recorded(&Subject::Settings, |form| form.settings(all))?
        {
            settings = None;
        }
        Ok(Self { tokens, catalogue, settings })
    }

    fn record(self, tx: &Write<'_>) -> Result<(), StoreError> {
        let record =
            |subject, digest| tx.record(Action::Migrate, subject, Some(digest), Vec::new(), Matched::Yes);
        if self.catalogue.is_some() {
            record(Subject::Catalogue, Form::Two.catalogue(&tx.catalogue()?))?;
        }
        if let Some(before) = self.settings {
            let found = &tx.view.store.files()?.found;
            let dir = std::fs::symlink_metadata(&found.dir);
            let dir = dir.map_err(|err| StoreError::io("look at", &found.dir, &err))?;
            let facts = tx.first_facts(Sharing::of(&dir, &found.meta))?;
            let after = Settings { facts, ..before.clone() };
            tx.write_settings(Action::Migrate, &before, &after, Matched::Yes)?;
        }
        self.tokens.into_iter().try_for_each(|row| {
            let token = tx.token(row, tx.now)?;
            record(Subject::of(&token), Form::Two.token(&token))
        })
    }
}

/// Turns damage into `None`, so that it does not stop the migration.
fn readable<T>(found: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match found {
        Err(StoreError::Damaged(_)) => Ok(None),
        found => found.map(Some),
    }
}

fn each_token(tx: &Write<'_>, mut f: impl FnMut(i64) -> Result<(), StoreError>) -> Result<(), StoreError> {
    let mut from = Some(FIRST);
    while let Some(start) = from {
        let rows = tx.rows_from(start)?;
        rows.iter().try_for_each(|row| f(*row))?;
        from = rows.last().and_then(|last| last.checked_add(1));
    }
    Ok(())
}

//! `backup`: a consistent copy of the store in one file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueHint};
use rustix::fs::{FlockOperation, OFlags, flock};

use crate::app::{App, Outcome, check_kept, check_replaceable, cut_short};
use crate::deliver::DeliverError;
use crate::domain::Invalid;
use crate::domain::event::Anchor;
use crate::error::Error;
use crate::store::Store;
use crate::ui::json::{BackupDoc, HeadDoc};

/// How the names of unfinished backups begin. A killed command may leave one.
const TEMPORARY: &str = ".tokenctl-backup-";
/// A younger file may not be locked yet.
const A_MOMENT: Duration = Duration::from_secs(60);

#[derive(Args)]
pub struct Backup {
    /// Write the copy to this file; `-` writes it to stdout
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

impl Backup {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        if self.file == Path::new("-") {
            return self.to_stdout(app);
        }
        let store = app.open_to_read()?;
        let path = std::path::absolute(&self.file).map_err(|err| self.failed(err))?;
        self.check(&store, &path)?;
        let dir = path.parent().unwrap_or(Path::new("/"));
        let dir = fs::canonicalize(dir).map_err(|err| self.failed(err))?;
        sweep(&dir);
        let new = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&dir);
        let new = new.map_err(|err| self.failed(err))?;
        // Without locks, nothing is removed.
        let _ = flock(&new, FlockOperation::NonBlockingLockExclusive);
        let head = store.back_up(new.path())?;
        new.as_file().sync_all().map_err(|err| self.failed(err))?;
        let bytes = new.as_file().metadata().map_err(|err| self.failed(err))?.len();
        let put = if self.force { new.persist(&path) } else { new.persist_noclobber(&path) };
        put.map_err(|err| match err.error.kind() {
            io::ErrorKind::AlreadyExists => self.exists(),
            _ => self.failed(err.error),
        })?;
        File::open(&dir).and_then(|dir| dir.sync_all()).map_err(|err| self.failed(err))?;
        self.report(app, &path, bytes, &head)
    }

    /// Finds errors that can be known before the work begins.
    fn check(&self, store: &Store, path: &Path) -> Result<(), Error> {
        if !self.force && path.symlink_metadata().is_ok() {
            return Err(self.exists());
        }
        check_replaceable(path, store.path())
    }

    fn report(&self, app: &mut App<'_>, path: &Path, bytes: u64, head: &Anchor) -> Result<Outcome, Error> {
        if app.json() {
            let path = &path.to_string_lossy();
            app.print_json(&BackupDoc { path, bytes, head: HeadDoc::new(head) })?;
        } else {
            app.talk().note(&format!("backed up to {} ({bytes} bytes)", self.file.display()));
            app.print(&format!("{head}\n"))?;
        }
        Ok(Outcome::Done)
    }

    /// The copy is complete before the first byte is written, so that a slow reader holds no lock.
    fn to_stdout(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        if app.json() {
            return Err(Invalid::new("`--json` cannot be combined with the copy itself on stdout")
                .hint("use only one of them")
                .into());
        }
        if app.ctx.terminal.stdout {
            return Err(Invalid::new("a copy cannot be printed on a terminal")
                .hint("redirect it, or name a file")
                .into());
        }
        check_kept(&*app.ctx.stdout)?;
        let store = app.open_to_read()?;
        let mut new = tempfile::NamedTempFile::new().map_err(|err| self.failed(err))?;
        let path = fs::canonicalize(new.path()).map_err(|err| self.failed(err))?;
        let head = store.back_up(&path)?;
        io::copy(new.as_file_mut(), &mut *app.ctx.stdout)
            .and_then(|_| app.ctx.stdout.flush())
            .and_then(|()| app.ctx.stdout.sync())
            .map_err(cut_short)?;
        app.talk().note(&format!("audit head {head}"));
        Ok(Outcome::Done)
    }

    fn exists(&self) -> Error {
        DeliverError::NotReplaced(format!("`{}` exists", self.file.display())).into()
    }

    fn failed(&self, err: io::Error) -> Error {
        Error::File { path: self.file.clone(), err }
    }
}

/// Removes the files that killed backups of this user left in a directory. A running backup holds a lock on its
/// file, except for the moment in which it makes it. No other code depends on this.
fn sweep(dir: &Path) {
    let us = rustix::process::geteuid().as_raw();
    let is_left = |path: &Path| {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = File::options().read(true).custom_flags(flags).open(path)?;
        let meta = file.metadata()?;
        let is_old = meta.modified()?.elapsed().is_ok_and(|age| age > A_MOMENT);
        let is_ours = meta.is_file() && meta.nlink() == 1 && meta.uid() == us;
        Ok::<_, io::Error>(
            is_ours && is_old && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok(),
        )
    };
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let is_named = entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes());
        if is_named && is_left(&entry.path()).unwrap_or(false) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

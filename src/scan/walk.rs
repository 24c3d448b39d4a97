//! Walks folders as ripgrep does, and searches their files in several threads.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;

use ignore::{DirEntry, WalkBuilder, WalkState};

use super::finder::Finder;
use super::kind::Skipped;
use super::piece::{Buffer, Hit, Source};

/// How many hits of one file are reported at once.
const HITS: usize = 1_000;

/// What to search.
#[derive(Debug)]
pub struct Walk {
    /// Files and folders. Without any, nothing is walked.
    pub paths: Vec<PathBuf>,
    /// Whether to search hidden files.
    pub hidden: bool,
    /// Whether to search what ignore files exclude.
    pub ignored: bool,
    /// Whether to search binary files to their end.
    pub binary: bool,
}

/// What a walk reports.
#[derive(Debug)]
pub enum Report {
    /// Hits of one file, in order. More may follow.
    Hits {
        path: PathBuf,
        hits: Vec<Hit>,
    },
    Skipped {
        path: PathBuf,
        what: Skipped,
    },
    Unread {
        path: Option<PathBuf>,
        err: io::Error,
    },
    /// An ignore file with an invalid pattern.
    Odd(String),
}

impl Walk {
    /// Searches everything. Stops early if the reports are no longer taken.
    pub fn run(&self, finder: &Finder, reports: &SyncSender<Report>) {
        let Some((first, rest)) = self.paths.split_first() else { return };
        let mut builder = WalkBuilder::new(first);
        for path in rest {
            builder.add(path);
        }
        builder.hidden(!self.hidden);
        if self.ignored {
            builder.ignore(false).parents(false).git_ignore(false).git_global(false).git_exclude(false);
        } else {
            builder.add_custom_ignore_filename(".rgignore");
        }
        builder.build_parallel().run(|| {
            let (mut buffer, reports) = (Buffer::default(), reports.clone());
            Box::new(move |entry| {
                let sent = match entry {
                    Ok(entry) => self.visit(entry, finder, &mut buffer, &reports),
                    Err(err) if is_gone(&err) => true,
                    Err(err) => reports.send(unread(err)).is_ok(),
                };
                if sent { WalkState::Continue } else { WalkState::Quit }
            })
        });
    }

    /// Searches an entry if it is a file. Returns whether its report was taken.
    fn visit(
        &self,
        entry: DirEntry,
        finder: &Finder,
        buffer: &mut Buffer,
        reports: &SyncSender<Report>,
    ) -> bool {
        if let Some(err) = entry.error()
            && reports.send(Report::Odd(err.to_string())).is_err()
        {
            return false;
        }
        let is_named = entry.depth() == 0;
        let kind = entry.file_type();
        // A path that was named is always read, even if it is a pipe or a link to a file.
        let is_searched = kind.is_some_and(|kind| kind.is_file() || is_named && !kind.is_dir());
        if !is_searched {
            return true;
        }
        let path = entry.into_path();
        let mut hits = Vec::new();
        let searched = open(&path, is_named).and_then(|mut file| {
            let source = if is_named || self.binary { Source::Any } else { Source::Text };
            source.search(&mut file, finder, buffer, &mut |hit| {
                hits.push(hit);
                hits.len() < HITS || {
                    let hits = std::mem::take(&mut hits);
                    reports.send(Report::Hits { path: path.clone(), hits }).is_ok()
                }
            })
        });
        let report = match searched {
            Ok(what) => what.map(|what| Report::Skipped { path: path.clone(), what }),
            // It was removed after its folder was read.
            Err(err) if err.kind() == ErrorKind::NotFound && !is_named => None,
            Err(err) => Some(Report::Unread { path: Some(path.clone()), err }),
        };
        let hits = (!hits.is_empty()).then_some(Report::Hits { path, hits });
        hits.into_iter().chain(report).all(|report| reports.send(report).is_ok())
    }
}

/// Opens a file without waiting, since it may have become a pipe after its folder was read.
fn open(path: &Path, is_named: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    if !is_named {
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    options.open(path)
}

/// A folder that existed when its parent was read.
fn is_gone(err: &ignore::Error) -> bool {
    let found = err.io_error().map(io::Error::kind);
    found == Some(ErrorKind::NotFound) && err.depth().is_some_and(|depth| depth > 0)
}

fn unread(err: ignore::Error) -> Report {
    let path = path_of(&err);
    let text = err.to_string();
    let err = err.into_io_error().unwrap_or_else(|| io::Error::other(text));
    Report::Unread { path, err }
}

/// The path of an error.
fn path_of(err: &ignore::Error) -> Option<PathBuf> {
    match err {
        ignore::Error::WithPath { path, .. } => Some(path.clone()),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        ignore::Error::Loop { child, .. } => Some(child.clone()),
        _ => None,
    }
}

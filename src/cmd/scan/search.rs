//! The search itself: secrets found in files are looked up in batches and reported in order of path.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::mpsc;

use crate::app::{App, Outcome};
use crate::domain::secret::SecretHash;
use crate::domain::token::{Status, Token};
use crate::domain::when::Timestamp;
use crate::error::Error;
use crate::scan::{Buffer, Finder, Hit, Report, Skipped, Source, Walk};
use crate::store::{PAGE, Parts, Store, StoreError};
use crate::ui::escape;
use crate::ui::json::Leak;
use crate::ui::leaks::{Format, Leaks};

/// How much is collected before it is looked up and reported in order.
const BATCH: usize = 4 * PAGE;

/// A search under way.
pub struct Search<'a, 'b> {
    app: &'a mut App<'b>,
    store: &'a Store,
    finder: &'a Finder,
    now: Timestamp,
    leaks: Leaks,
    /// The reader of the output has gone away.
    mute: bool,
    batch: Vec<(Vec<u8>, News)>,
    binaries: usize,
    done: SearchResult,
}

/// What to report about a path.
enum News {
    Hit(Hit),
    Archive(&'static str),
    Unread(io::Error),
    Odd(String),
}

/// The result of a search.
#[derive(Default)]
pub struct SearchResult {
    /// The working secrets that were found.
    pub working: BTreeSet<[u8; 32]>,
    /// The last error of reading; the others have been reported.
    unread: Option<Error>,
}

/// What the store knows of a secret, if it knows it.
type Known = Option<(Token, Status)>;

impl<'a, 'b> Search<'a, 'b> {
    pub fn new(
        app: &'a mut App<'b>,
        store: &'a Store,
        finder: &'a Finder,
        now: Timestamp,
        format: Format,
    ) -> Self {
        let leaks = Leaks::new(format, app.out_style());
        let mute = app.quiet();
        let done = SearchResult::default();
        Self { app, store, finder, now, leaks, mute, batch: Vec::new(), binaries: 0, done }
    }

    /// Searches standard input.
    pub fn stream(&mut self) -> Result<(), Error> {
        let mut stdin = std::mem::replace(&mut self.app.ctx.stdin, Box::new(io::empty()));
        let mut failed = None;
        let finder = self.finder;
        let mut take = |hit: Hit| {
            let path = hit.path.clone().unwrap_or_else(|| b"-".to_vec());
            self.batch.push((path, News::Hit(hit)));
            // A history is reported in its own order.
            failed = if self.batch.len() < BATCH { None } else { self.flush().err() };
            failed.is_none()
        };
        let searched = Source::Stream.search(&mut *stdin, finder, &mut Buffer::default(), &mut take);
        if let Some(err) = failed {
            return Err(err);
        }
        match searched {
            Ok(Some(Skipped::Archive(name))) => self.batch.push((b"-".to_vec(), News::Archive(name))),
            Ok(_) => {}
            Err(err) => self.batch.push((b"-".to_vec(), News::Unread(err))),
        }
        self.flush()
    }

    /// Searches files and folders.
    pub fn walk(&mut self, walk: &Walk) -> Result<(), Error> {
        let finder = self.finder;
        std::thread::scope(|scope| {
            let (sender, reports) = mpsc::sync_channel(64);
            scope.spawn(move || walk.run(finder, &sender));
            for report in &reports {
                self.take(report);
                if self.batch.len() >= BATCH {
                    self.flush_sorted()?;
                }
            }
            self.flush_sorted()
        })
    }

    fn take(&mut self, report: Report) {
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        match report {
            Report::Hits { path, hits } => {
                let path = bytes(&path);
                self.batch.extend(hits.into_iter().map(|hit| (path.clone(), News::Hit(hit))));
            }
            Report::Skipped { what: Skipped::Binary, .. } => self.binaries += 1,
            Report::Skipped { path, what: Skipped::Archive(name) } => {
                self.batch.push((bytes(&path), News::Archive(name)));
            }
            Report::Unread { path, err } => {
                let path = path.map(|path| bytes(&path)).unwrap_or_default();
                self.batch.push((path, News::Unread(err)));
            }
            Report::Odd(text) => self.batch.push((Vec::new(), News::Odd(text))),
        }
    }

    fn flush_sorted(&mut self) -> Result<(), Error> {
        self.batch.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.flush()
    }

    /// Looks up and reports what was collected.
    fn flush(&mut self) -> Result<(), Error> {
        let batch = std::mem::take(&mut self.batch);
        let hashes = batch.iter().filter_map(|(_, news)| match news {
            News::Hit(hit) => Some((*hit.hash.as_bytes(), hit.hash)),
            _ => None,
        });
        let known = self.known(&hashes.collect())?;
        for (path, news) in batch {
            let path = escape::path(&self.finder.masked(&path));
            match news {
                News::Hit(hit) => {
                    let known = known.get(hit.hash.as_bytes()).and_then(Option::as_ref);
                    self.report(&path, &hit, known)?;
                }
                News::Archive(name) if !self.app.quiet() => {
                    self.app.talk().warn(&format!("`{path}` was not searched: it is compressed ({name})"));
                }
                News::Archive(_) => {}
                News::Unread(err) => self.unread(&path, err),
                News::Odd(text) => {
                    let text = escape::path(&self.finder.masked(text.as_bytes()));
                    self.app.talk().warn(&format!("cannot read an ignore file: {text}"));
                }
            }
        }
        Ok(())
    }

    /// What the store knows of these secrets. Each transaction looks up at most a page.
    fn known(&self, hashes: &BTreeMap<[u8; 32], SecretHash>) -> Result<BTreeMap<[u8; 32], Known>, Error> {
        let parts = Parts { labels: false, grants: false, rest: false };
        let mut all = BTreeMap::new();
        let mut hashes = hashes.iter();
        loop {
            let page: Vec<_> = hashes.by_ref().take(PAGE).collect();
            if page.is_empty() {
                return Ok(all);
            }
            self.store.read(|view| {
                for (key, hash) in page {
                    let found = view.presented(hash, self.now, parts)?;
                    let found = found.filter(|found| found.token.is_visible(self.now));
                    let known = found.map(|found| {
                        let status = found.token.secret_status(found.secret(), self.now);
                        (found.token, status)
                    });
                    all.insert(*key, known);
                }
                Ok::<_, StoreError>(())
            })?;
        }
    }

    fn report(&mut self, path: &str, hit: &Hit, known: Option<&(Token, Status)>) -> Result<(), Error> {
        if known.is_some_and(|(_, status)| !status.is_over()) {
            self.done.working.insert(*hit.hash.as_bytes());
        }
        if self.mute {
            return Ok(());
        }
        let leak = Leak {
            path,
            line: hit.line,
            column: hit.column,
            commit: hit.commit.as_deref(),
            hint: &hit.hint,
            known: known.map(|(token, status)| (token, *status)),
        };
        self.app.clear();
        let written = self.leaks.write(&leak, &mut *self.app.ctx.stdout);
        self.check_written(written)
    }

    /// The answer is the exit code, which a closed pipe does not change.
    fn check_written(&mut self, written: io::Result<()>) -> Result<(), Error> {
        match written {
            Err(err) if err.kind() == ErrorKind::BrokenPipe => self.mute = true,
            written => written.map_err(Error::Output)?,
        }
        Ok(())
    }

    fn unread(&mut self, path: &str, err: io::Error) {
        let what = if path.is_empty() { "a folder".to_owned() } else { format!("`{path}`") };
        if let Some(before) = self.done.unread.replace(Error::Input { what, err }) {
            report_error(self.app, &before);
        }
    }

    /// Ends the report.
    pub fn finish(mut self) -> Result<SearchResult, Error> {
        if !self.mute {
            let written = self.leaks.finish(&mut *self.app.ctx.stdout);
            self.check_written(written)?;
        }
        let files = match self.binaries {
            0 => return Ok(self.done),
            1 => "1 binary file was".to_owned(),
            many => format!("{many} binary files were"),
        };
        self.app.talk().note(&format!("{files} not searched; see `--binary`"));
        Ok(self.done)
    }
}

fn report_error(app: &mut App<'_>, err: &Error) {
    app.talk().error(err.code(), &err.to_string(), err.hint().as_deref());
}

impl SearchResult {
    /// A working secret is more important than a file that could not be read.
    pub fn outcome(self, app: &mut App<'_>) -> Result<Outcome, Error> {
        match self.unread {
            Some(err) if self.working.is_empty() => Err(err),
            Some(err) => {
                report_error(app, &err);
                Ok(Outcome::No)
            }
            None if self.working.is_empty() => Ok(Outcome::Done),
            None => Ok(Outcome::No),
        }
    }
}

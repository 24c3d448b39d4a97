//! The running command, which every verb gets, and its outcome.

mod file;
mod global;
mod look;
mod pager;
pub mod present;
mod progress;
pub mod prompt;

use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;

use serde::Serialize;

use crate::context::{Context, OpensAt, Terminal};
use crate::deliver::{self, Missing};
use crate::domain::Invalid;
use crate::domain::event::Author;
use crate::domain::text::shown;
use crate::error::Error;
use crate::store::{self, Directory, Location, Sharing, Store, StoreError};
use crate::ui::progress::Progress;
use crate::ui::{Screen, Style, Talk, json};
pub use file::{check_kept, check_replaceable, cut_short, replace_file};
pub use global::{Global, HEADING};
pub use look::{Look, style};
use pager::Paged;

/// The running command: its machine and the global flags.
pub struct App<'a> {
    pub ctx: &'a mut Context,
    global: &'a Global,
    progress: Progress,
    shows_progress: bool,
}

impl<'a> App<'a> {
    pub fn new(ctx: &'a mut Context, global: &'a Global) -> Self {
        let shows_progress =
            ctx.terminal.stderr && !ctx.machine.is_dumb() && global.quiet.is_none() && global.json.is_none();
        let progress = Progress::since(ctx.machine.uptime());
        Self { ctx, global, progress, shows_progress }
    }

    pub fn look(&self) -> Look {
        let color = self.global.color.unwrap_or_default();
        let style = style(color, self.ctx.terminal.stderr, self.ctx);
        Look { json: self.global.json.is_some(), quiet: self.global.quiet.is_some(), color, style }
    }

    pub fn talk(&mut self) -> Talk<'_> {
        self.clear();
        self.look().talk(self.ctx)
    }

    pub fn json(&self) -> bool {
        self.global.json.is_some()
    }

    /// The format chosen by `--format` or `--json`, which exclude each other.
    pub fn format<F: Copy + PartialEq>(&self, chosen: Option<F>, json: F) -> Result<Option<F>, Invalid> {
        match chosen {
            Some(format) if self.json() && format != json => {
                Err(Invalid::new("`--json` cannot be combined with another `--format`")
                    .hint("use only one of them"))
            }
            None if self.json() => Ok(Some(json)),
            chosen => Ok(chosen),
        }
    }

    pub fn quiet(&self) -> bool {
        self.global.quiet.is_some()
    }

    /// The style of what goes to stdout.
    pub fn out_style(&self) -> Style {
        style(self.global.color.unwrap_or_default(), self.ctx.terminal.stdout, self.ctx)
    }

    /// The screen on which a person reads stdout.
    pub fn screen(&self) -> Screen {
        self.screen_of(self.ctx.terminal.stdout, self.out_style())
    }

    /// The screen on which a person reads stderr.
    pub fn talk_screen(&self) -> Screen {
        self.screen_of(self.ctx.terminal.stderr, self.look().style)
    }

    fn screen_of(&self, terminal: bool, style: Style) -> Screen {
        let (columns, _) = self.size();
        Screen { width: terminal.then_some(columns), ascii: self.ascii(terminal), style }
    }

    /// Columns and rows of the terminal. One that does not report them gets those of the environment or 80 × 24.
    fn size(&self) -> (usize, usize) {
        let stated = |key: &str| self.ctx.machine.env(key)?.to_str()?.parse().ok().filter(|n| *n > 0);
        let size =
            |reported: Option<u16>, key, usual| reported.or_else(|| stated(key)).map_or(usual, usize::from);
        let terminal = self.ctx.terminal;
        (size(terminal.width, "COLUMNS", 80), size(terminal.height, "LINES", 24))
    }

    /// Whether to print ASCII only: on a dumb terminal, in a locale without UTF-8, and on a terminal without a
    /// locale. Files and pipes without a locale get UTF-8, since their reader is unknown.
    fn ascii(&self, terminal: bool) -> bool {
        let env = |key| self.ctx.machine.env(key).filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(env);
        let is_ascii = locale.map_or(terminal, |locale| {
            let locale = locale.to_string_lossy().to_ascii_lowercase();
            !(locale.contains("utf-8") || locale.contains("utf8"))
        });
        is_ascii || terminal && self.ctx.machine.is_dumb()
    }

    /// Whether questions can be asked.
    pub fn can_ask(&self) -> bool {
        self.ctx.terminal.can_ask() && self.global.no_input.is_none()
    }

    /// Whether `--yes` was given.
    pub fn assumes_yes(&self) -> bool {
        self.global.yes.is_some()
    }

    /// Requires confirmation, by `--yes` or by a person.
    pub fn confirm(&mut self, question: &str) -> Result<(), Error> {
        if self.assumes_yes() {
            return Ok(());
        }
        self.ask(question, "`--yes` confirms")
    }

    /// Requires confirmation by a person. Without a terminal it fails, and the hint names the flag that confirms.
    pub fn ask(&mut self, question: &str, hint: &str) -> Result<(), Error> {
        if !self.can_ask() {
            let asked = question.trim_end_matches('?');
            return Err(Error::InputNeeded(
                Invalid::new(format!("confirmation is required: {asked}")).hint(hint),
            ));
        }
        self.clear();
        let answer = self.ctx.machine.confirm(&shown(question).to_string());
        self.progress = Progress::since(self.ctx.machine.uptime());
        match answer {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Declined),
            Err(err) => Err(asking(err)),
        }
    }

    /// Writes a document to stdout.
    pub fn print_json(&mut self, document: &impl Serialize) -> Result<(), Error> {
        self.clear();
        let text = format!("{}\n", json::text(document));
        self.ctx.stdout.write_all(text.as_bytes()).map_err(Error::Output)
    }

    /// Writes text to stdout.
    pub fn print(&mut self, text: &str) -> Result<(), Error> {
        self.clear();
        self.ctx
            .stdout
            .write_all(text.as_bytes())
            .and_then(|()| self.ctx.stdout.flush())
            .map_err(Error::Output)
    }

    /// Writes to stdout. Text for a person that is longer than the screen goes through the pager. Formats for
    /// machines never do, since their lines can be thousands of characters long.
    pub fn paged<T>(
        &mut self,
        human: bool,
        write: impl FnOnce(&mut dyn Write) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.through_pager(human, OpensAt::Start, write)
    }

    /// Like [`App::paged`], but for a text that is read from its end, like a log.
    pub fn paged_from_end<T>(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.through_pager(true, OpensAt::End, write)
    }

    fn through_pager<T>(
        &mut self,
        human: bool,
        opens_at: OpensAt,
        write: impl FnOnce(&mut dyn Write) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Terminal { stdin, stdout, .. } = self.ctx.terminal;
        let pages = human && stdin && stdout && self.global.no_pager.is_none() && !self.ctx.machine.is_dumb();
        let start = if pages { self.ctx.machine.pager(opens_at) } else { None };
        // A prompt takes the last row.
        let rows = self.size().1.saturating_sub(1);
        let mut out = Paged::new(&mut *self.ctx.stdout, rows, start);
        let done = write(&mut out);
        let shown = out.finish().map_err(Error::Output);
        done.and_then(|done| shown.map(|()| done))
    }

    /// Writes text to stdout, through the pager if it is long.
    pub fn print_paged(&mut self, text: &str) -> Result<(), Error> {
        self.paged(true, |out| out.write_all(text.as_bytes()).map_err(Error::Output))
    }

    /// Where the store is: from the flag, the variable, or the user's data directory.
    pub fn location(&self) -> Result<Location, Error> {
        let machine = &self.ctx.machine;
        let named = self.global.store.clone().or_else(|| machine.env("TOKENCTL_STORE"));
        if let Some(dir) = named {
            if dir.is_empty() {
                return Err(Invalid::new("`--store` names no directory").into());
            }
            if let Some(url) = dir.to_str().filter(|dir| store::is_url(dir)) {
                return self.server(url);
            }
            let dir = std::path::absolute(&dir)
                .map_err(|err| Error::Input { what: "the working directory".to_owned(), err })?;
            let variable = machine.env("TOKENCTL_TRUST_GROUP");
            let trusts_group =
                self.global.trust_group.is_some() || variable.is_some_and(|value| value == "1");
            return Ok(Location::Directory(Directory { dir, named: true, trusts_group }));
        }
        if self.global.trust_group.is_some() {
            return Err(Invalid::new(
                "`--trust-group` works only for a store that `--store` or TOKENCTL_STORE names",
            )
            .hint("add `--store DIR`")
            .into());
        }
        let data = machine.env("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let data = data.or_else(|| machine.home().map(|home| home.join(".local/share")));
        let data = data.ok_or_else(|| {
            Invalid::new("there is no home directory")
                .hint("name a store with `--store DIR` or `TOKENCTL_STORE`")
        })?;
        Ok(Location::Directory(Directory { dir: data.join("tokenctl"), named: false, trusts_group: false }))
    }

    #[cfg(feature = "postgres")]
    fn server(&self, url: &str) -> Result<Location, Error> {
        Ok(Location::Server(Box::new(self.address(url)?)))
    }

    /// The server that a URL names.
    #[cfg(feature = "postgres")]
    pub fn address(&self, url: &str) -> Result<store::Address, Error> {
        if self.global.trust_group.is_some() {
            return Err(Invalid::new("`--trust-group` is for a store in files").into());
        }
        let machine = &self.ctx.machine;
        let (home, login) = (machine.home(), machine.actor().login);
        let around = store::Surroundings {
            env: &|key| machine.env(key),
            home: home.as_deref(),
            login: login.as_deref(),
        };
        Ok(store::Address::read(url, &around)?)
    }

    #[cfg(not(feature = "postgres"))]
    #[expect(clippy::unused_self, reason = "the other one asks the machine")]
    fn server(&self, _: &str) -> Result<Location, Error> {
        Err(Invalid::new("this tokenctl is built without PostgreSQL")
            .hint("the Debian package has it, and `cargo install tokenctl --features postgres`")
            .into())
    }

    pub fn open_to_read(&self) -> Result<Store, Error> {
        Ok(Store::open_to_read(&self.location()?)?)
    }

    /// Opens the store for a change, after settling the deliveries that killed commands of this user left.
    pub fn open_to_write(&mut self, author: &Author) -> Result<Store, Error> {
        self.open_and_recover(author, Missing::Unmounted)
    }

    /// Like the previous function, but returns nothing if there is no store. A server is contacted only once.
    pub fn open_if_there(&mut self, author: &Author) -> Result<Option<Store>, Error> {
        let location = self.location()?;
        if location.dir().is_some() && !location.exists() {
            return Ok(None);
        }
        match self.open_to_write(author) {
            Err(Error::Store(StoreError::Missing(_))) if location.dir().is_none() => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Opens the store for a change, if a person has decided what a missing file means.
    pub fn open_and_recover(&mut self, author: &Author, missing: Missing) -> Result<Store, Error> {
        let store = Store::open_to_write(&self.location()?, &*self.ctx.machine, author)?;
        for left in deliver::recover(&store, &*self.ctx.machine, author, missing)? {
            self.talk().warn(&left);
        }
        Ok(store)
    }

    /// Opens the store for a change that creates a missing store first.
    pub fn open_or_make(&mut self, author: &Author) -> Result<Store, Error> {
        let made = store::make(&self.location()?, Sharing::Private, &*self.ctx.machine, author)?;
        let store = self.open_to_write(author)?;
        if made {
            self.warn_of_new_store(&store);
        }
        Ok(store)
    }

    pub fn warn_of_new_store(&mut self, store: &Store) {
        let path = store.path().display().to_string();
        self.talk().warn(&format!("created a new store at {path}"));
    }
}

/// The outcome of a command that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// The command succeeded, and its answer is negative, which is exit 3.
    No,
}

/// Ignores a closed pipe, for verbs whose exit code is the answer.
pub fn keep_answer(printed: Result<(), Error>) -> Result<(), Error> {
    match printed {
        Err(Error::Output(err)) if err.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// The error if a question got no answer.
pub fn asking(err: io::Error) -> Error {
    match err.kind() {
        ErrorKind::Interrupted => Error::Interrupted,
        _ => Error::Input { what: "the answer".to_owned(), err },
    }
}

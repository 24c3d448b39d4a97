//! The real machine. Only this module reads the clock, the environment, random numbers and the terminal.

mod clipboard;
mod foreground;
mod interrupts;
mod pager;
mod process;
mod streams;
mod terminal;
mod users;
mod zone;

use std::any::Any;
use std::cell::Cell;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{Local, NaiveDate, NaiveTime, TimeZone};
use rand::TryRng;
use rand::rngs::SysRng;
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit};
use zeroize::Zeroizing;

use crate::clock::SystemClock;
use crate::context::{
    Actor, Choice, Clipboard, Clock, Context, CopyMethod, Job, JobEnd, Machine, OpensAt, Question,
    StartPager, Zone,
};

pub use clipboard::hold as hold_clipboard;

/// Creates the context of a real process. Turns core dumps off, because they could contain a secret. Sets the
/// umask so that only the user can open new files, unless they are shared on purpose.
pub fn context() -> Context {
    leave_no_core();
    make_the_file_size_limit_an_error();
    let umask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
    Context {
        machine: Box::new(Host { umask, started: Instant::now(), asked_zone: Cell::new(false) }),
        stdin: streams::input(),
        stdout: streams::output(),
        stderr: streams::talk(),
        terminal: terminal::look(),
    }
}

fn leave_no_core() {
    // If the limit cannot be lowered, it was already lower.
    let _ = rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Turns a write beyond the file size limit (`ulimit -f`) into an error that can be reported. Otherwise a
/// signal would kill the process. The signal has a handler and is not ignored, because commands that are
/// started would inherit an ignored signal.
fn make_the_file_size_limit_an_error() {
    // If the handler cannot be registered, the signal kills the process as usual.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

/// The maximum length, in characters, of a text of the environment that is stored in the log.
const CLAIM_MAX: usize = 64;

struct Host {
    /// The caller's umask, with which commands are started.
    umask: Mode,
    started: Instant,
    /// Whether a local time has been computed.
    asked_zone: Cell<bool>,
}

impl Clock for Host {
    fn unix(&self) -> i64 {
        SystemClock.unix()
    }

    fn micros(&self) -> i64 {
        SystemClock.micros()
    }
}

impl Zone for Host {
    fn unix(&self, day: NaiveDate, time: NaiveTime) -> Option<i64> {
        self.asked_zone.set(true);
        // A local time that the clock skips counts as an hour later.
        let wall = day.and_time(time);
        Local
            .from_local_datetime(&wall)
            .earliest()
            .or_else(|| Local.from_local_datetime(&(wall + chrono::TimeDelta::hours(1))).earliest())
            .map(|instant| instant.timestamp())
    }
}

impl Machine for Host {
    fn fill_random(&self, buffer: &mut [u8]) -> io::Result<()> {
        SysRng.try_fill_bytes(buffer).map_err(io::Error::other)
    }

    fn has_borrowed_rights(&self) -> bool {
        let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
        user != rustix::process::geteuid() || group != rustix::process::getegid()
    }

    fn zone_problem(&self) -> Option<String> {
        self.asked_zone.get().then(|| zone::problem(self.env("TZ")))?
    }

    fn env(&self, key: &str) -> Option<OsString> {
        variable(key).filter(|value| !value.is_empty())
    }

    fn leave_to_exit(&self, value: Box<dyn Any>) {
        std::mem::forget(value);
    }

    fn home(&self) -> Option<PathBuf> {
        let from_database = || users::by_uid(uid()).map(|user| user.home);
        self.env("HOME").map(PathBuf::from).or_else(from_database)
    }

    fn actor(&self) -> Actor {
        // Each event stores these texts of the environment. They can have any length, so they are cut.
        let text = |value: OsString| Some(value.into_string().ok()?.chars().take(CLAIM_MAX).collect());
        let login = users::by_uid(uid()).and_then(|user| text(user.login));
        Actor {
            uid: uid(),
            login: login.or_else(|| self.env("LOGNAME").and_then(text)),
            sudo_user: self.env("SUDO_USER").and_then(text),
            host: rustix::system::uname().nodename().to_str().ok().map(str::to_owned),
        }
    }

    fn keep_memory_private(&self) {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // If this fails, secrets are as safe as they were before.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }

    fn pid(&self) -> u32 {
        std::process::id()
    }

    fn group_id(&self, name: &str) -> Option<u32> {
        users::group_id(name)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(File::open(path)?))
    }

    fn run(&self, job: &Job<'_>) -> io::Result<JobEnd> {
        process::run(job, self.umask)
    }

    fn pager(&self, opens_at: OpensAt) -> Option<StartPager> {
        pager::of(variable, self.umask, opens_at)
    }

    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    fn columns(&self) -> Option<u16> {
        terminal::columns()
    }

    fn defer_interrupts(&self, defer: bool) {
        interrupts::defer_interrupts(defer);
    }

    fn interrupted(&self) -> bool {
        interrupts::interrupted()
    }

    fn clipboard(&self, method: CopyMethod, stay: Duration, name: &str) -> io::Result<Box<dyn Clipboard>> {
        clipboard::reach(method, stay, name, &|key| self.env(key))
    }

    fn confirm(&self, question: &str) -> io::Result<bool> {
        self.person().confirm(question)
    }

    fn ask(&self, question: &Question<'_>, initial: &str) -> io::Result<Zeroizing<String>> {
        self.person().ask(question, initial)
    }

    fn ask_hidden(&self, question: &str) -> io::Result<Zeroizing<Vec<u8>>> {
        self.person().ask_hidden(question).map(|text| Zeroizing::new(text.as_bytes().to_vec()))
    }

    fn select(&self, question: &Question<'_>, choices: &[Choice]) -> io::Result<usize> {
        self.person().select(question, choices)
    }

    fn choose(&self, question: &Question<'_>, choices: &[Choice]) -> io::Result<Vec<usize>> {
        self.person().choose(question, choices)
    }
}

impl Host {
    fn person(&self) -> terminal::Person {
        terminal::Person { dumb: self.is_dumb() }
    }
}

/// An environment variable, empty or not.
#[expect(clippy::disallowed_methods, reason = "the one reading of the environment")]
fn variable(key: &str) -> Option<OsString> {
    std::env::var_os(key)
}

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

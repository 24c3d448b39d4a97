//! The parts of the machine that a command uses. `src/host` implements it for the real machine, tests for a simulated
//! one.

use std::any::Any;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

pub use crate::domain::event::Actor;
pub use crate::domain::text::{is_hidden, shown};
pub use crate::domain::when::{Clock, Zone};

/// Where a program runs: its machine and its streams.
pub struct Context {
    pub machine: Box<dyn Machine>,
    pub stdin: Box<dyn Read>,
    pub stdout: Box<dyn Output>,
    pub stderr: Box<dyn Write>,
    pub terminal: Terminal,
}

/// Which streams are terminals, and how large.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terminal {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// Columns of the terminal, if it reports them.
    pub width: Option<u16>,
    /// Its rows.
    pub height: Option<u16>,
}

impl Terminal {
    /// Whether questions can be asked, which are shown on stderr and answered on stdin.
    pub fn can_ask(self) -> bool {
        self.stdin && self.stderr
    }
}

/// Starts the user's pager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpensAt {
    Start,
    End,
}

/// Starts the pager, which shows what is written to it. Dropping it closes its input and waits until the user
/// has left it.
pub type StartPager = Box<dyn FnOnce() -> io::Result<Box<dyn Write>>>;

/// Standard output, which may be the destination of a secret.
pub trait Output: Write {
    /// Whether output would be lost, since it is closed, a device such as `/dev/null`, or a deleted file.
    fn is_nowhere(&self) -> bool;

    /// The file behind it, if it is a regular file.
    fn file(&self) -> Option<OutputFile> {
        None
    }

    /// Makes the output durable, if it is a regular file.
    fn sync(&mut self) -> io::Result<()>;
}

/// A regular file that is standard output.
pub struct OutputFile {
    pub path: PathBuf,
    pub meta: std::fs::Metadata,
}

/// A command that gets data on its stdin. Its output goes to the stderr of this program.
pub struct Job<'a> {
    /// The text for `sh -c`.
    pub command: &'a str,
    /// Its stdin. It is in the pipe before the command starts, so it must fit into a pipe.
    pub input: &'a [u8],
    pub env: &'a [(&'a str, &'a str)],
    /// After this time its process group is killed.
    pub timeout: Duration,
    /// Whether its output is discarded instead of going to our stderr.
    pub mute: bool,
}

/// The result of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEnd {
    /// Exit 0, with this many bytes of its input left unread.
    Done {
        unread: u64,
    },
    Exit(i32),
    Signal(i32),
    TimedOut,
    /// It was killed after Ctrl-C.
    Interrupted,
}

/// A way to reach a person's clipboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyMethod {
    /// A Wayland or X11 display.
    Display,
    /// A buffer of the tmux session in which the program runs.
    Tmux,
    /// The escape sequence OSC 52, which the terminal may ignore.
    Osc52,
}

impl CopyMethod {
    /// All methods, the best one first.
    pub const ALL: [CopyMethod; 3] = [Self::Display, Self::Tmux, Self::Osc52];

    pub fn word(self) -> &'static str {
        match self {
            Self::Display => "display",
            Self::Tmux => "tmux",
            Self::Osc52 => "osc52",
        }
    }
}

/// A clipboard that can be reached. Dropping this clears it, unless the text is to stay. [`CopyMethod::Osc52`]
/// cannot clear it.
pub trait Clipboard {
    /// Puts text there, and reads it back if that is possible.
    fn put(&mut self, text: &[u8]) -> io::Result<()>;

    /// Keeps it there until its time is over or something else is copied.
    fn stay(&mut self) -> io::Result<()>;
}

/// A question to a person. Its texts are safe to show on a terminal.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub text: &'a str,
    /// Shown beside it if there is room.
    pub hint: &'a str,
    pub color: bool,
}

/// An item to choose. Its texts are safe to show on a terminal.
#[derive(Debug, Clone)]
pub struct Choice {
    pub name: String,
    /// Shown beside it if there is room.
    pub about: String,
    /// Whether it is chosen at first.
    pub chosen: bool,
}

pub trait Machine: Clock + Zone {
    /// Fills a buffer from the operating system's generator.
    fn fill_random(&self, buffer: &mut [u8]) -> io::Result<()>;

    /// Whether the program runs with the rights of another user than the one who started it.
    fn has_borrowed_rights(&self) -> bool {
        false
    }

    /// Why the local times that were computed so far may be wrong.
    fn zone_problem(&self) -> Option<String> {
        None
    }

    /// An environment variable; an empty one counts as absent.
    fn env(&self, key: &str) -> Option<OsString>;

    /// Keeps a value until the process exits, which frees its memory at once. Dropping it costs a tenth of a
    /// `verify`.
    fn leave_to_exit(&self, it: Box<dyn Any>) {
        drop(it);
    }

    /// Whether the terminal is dumb: without colours and cursor movement.
    fn is_dumb(&self) -> bool {
        self.env("TERM").is_some_and(|term| term == "dumb")
    }

    /// The home directory of the user, from the environment or the user database.
    fn home(&self) -> Option<PathBuf>;

    fn actor(&self) -> Actor;

    /// From now on, keeps our memory out of core dumps and away from other processes of the user. An ordinary user's
    /// process can then no longer open `/dev/stdin` and the like, so open files first.
    fn keep_memory_private(&self);

    fn pid(&self) -> u32;

    /// The id of a group, given its name or number.
    fn group_id(&self, name: &str) -> Option<u32>;

    /// A file to read a secret from.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>>;

    /// Runs a command until it exits or takes too long.
    fn run(&self, job: &Job<'_>) -> io::Result<JobEnd>;

    /// The user's pager, or `None` without one.
    fn pager(&self, opens_at: OpensAt) -> Option<StartPager>;

    /// Waits this long.
    fn pause(&self, time: Duration);

    /// Time since the start, by a monotonic clock.
    fn uptime(&self) -> Duration;

    /// The present width of the terminal on stderr; none while another job has the terminal.
    fn columns(&self) -> Option<u16>;

    /// Defers Ctrl-C until [`Machine::interrupted`] is called. A second one still kills the process.
    fn defer_interrupts(&self, defer: bool);

    /// Whether Ctrl-C was pressed since.
    fn interrupted(&self) -> bool;

    /// Reaches the clipboard this way, for text that stays this long. In tmux, the name is that of the buffer.
    fn clipboard(&self, method: CopyMethod, stay: Duration, name: &str) -> io::Result<Box<dyn Clipboard>>;

    /// Asks for a yes or no. Fails with [`io::ErrorKind::Interrupted`] after Ctrl-C, as the other questions do.
    fn confirm(&self, question: &str) -> io::Result<bool>;

    /// Asks for a line of text, which begins as `initial`.
    fn ask(&self, question: &Question<'_>, initial: &str) -> io::Result<Zeroizing<String>>;

    /// Asks for a line that is not shown while it is typed.
    fn ask_hidden(&self, question: &str) -> io::Result<Zeroizing<Vec<u8>>>;

    /// Asks for one of several, and returns its index.
    fn select(&self, question: &Question<'_>, choices: &[Choice]) -> io::Result<usize>;

    /// Asks for some of several, and returns their indices.
    fn choose(&self, question: &Question<'_>, choices: &[Choice]) -> io::Result<Vec<usize>>;
}

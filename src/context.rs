//! What a command may ask of the machine. `src/host` answers for a real one, tests for one of their own.

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
    /// Columns of the terminal, where it tells.
    pub width: Option<u16>,
    /// Its rows.
    pub height: Option<u16>,
}

impl Terminal {
    /// Somebody is there to answer: questions are seen on stderr and answered on stdin.
    pub fn can_ask(self) -> bool {
        self.stdin && self.stderr
    }
}

/// Where a pager opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpensAt {
    Start,
    End,
}

/// Starts the pager: what is then written to it is shown to the user. Dropping it ends its input and waits until the
/// user has left it.
pub type StartPager = Box<dyn FnOnce() -> io::Result<Box<dyn Write>>>;

/// Standard output, which may be the receiver of a secret.
pub trait Output: Write {
    /// Whether what is written goes nowhere: closed, a device such as `/dev/null`, or a deleted file.
    fn is_nowhere(&self) -> bool;

    /// The regular file that it is.
    fn file(&self) -> Option<OutputFile> {
        None
    }

    /// Makes what was written durable where it is a regular file.
    fn sync(&mut self) -> io::Result<()>;
}

/// A regular file that is standard output.
pub struct OutputFile {
    pub path: PathBuf,
    pub meta: std::fs::Metadata,
}

/// A command that receives something on its stdin. What it prints goes to our stderr.
pub struct Job<'a> {
    /// For `sh -c`.
    pub command: &'a str,
    /// In its pipe before it starts; at most what a pipe takes at once.
    pub input: &'a [u8],
    pub env: &'a [(&'a str, &'a str)],
    /// Then its process group is killed.
    pub timeout: Duration,
    /// Whether what it prints goes nowhere, not to our stderr.
    pub mute: bool,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEnd {
    /// Exit 0, with so many bytes of its input left unread.
    Done {
        unread: u64,
    },
    Exit(i32),
    Signal(i32),
    TimedOut,
    /// Ctrl-C, and so it was killed.
    Interrupted,
}

/// A way to the clipboard of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyWay {
    /// A Wayland or X11 display.
    Display,
    /// A buffer of the tmux that we run in.
    Tmux,
    /// The escape sequence OSC 52, for the terminal to heed or not.
    Osc52,
}

impl CopyWay {
    /// The best first.
    pub const ALL: [CopyWay; 3] = [Self::Display, Self::Tmux, Self::Osc52];

    pub fn word(self) -> &'static str {
        match self {
            Self::Display => "display",
            Self::Tmux => "tmux",
            Self::Osc52 => "osc52",
        }
    }
}

/// A clipboard that can be reached. Unless told to stay, what was put there leaves when this is dropped; only
/// [`CopyWay::Osc52`] can take nothing back.
pub trait Clipboard {
    /// Puts text there, and reads it back where that can be done.
    fn put(&mut self, text: &[u8]) -> io::Result<()>;

    /// Lets it stay until its time is over or something else is copied.
    fn stay(&mut self) -> io::Result<()>;
}

/// A question to a person; its texts are fit for a terminal.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub text: &'a str,
    /// Said beside it where there is room.
    pub hint: &'a str,
    pub color: bool,
}

/// What can be chosen, in texts that are fit for a terminal.
#[derive(Debug, Clone)]
pub struct Choice {
    pub name: String,
    /// Said beside it where there is room.
    pub about: String,
    /// Chosen to begin with.
    pub chosen: bool,
}

pub trait Machine: Clock + Zone {
    /// Fills a buffer from the operating system's generator.
    fn fill_random(&self, buffer: &mut [u8]) -> io::Result<()>;

    /// Whether the program runs with the rights of another user than the one who started it.
    fn has_borrowed_rights(&self) -> bool {
        false
    }

    /// Why the local times that were asked for so far may be wrong.
    fn zone_problem(&self) -> Option<String> {
        None
    }

    /// An environment variable; an empty one counts as absent.
    fn env(&self, key: &str) -> Option<OsString>;

    /// Takes what the end of the process releases by itself; to do it piece by piece is a tenth of a `verify`.
    fn leave_to_exit(&self, it: Box<dyn Any>) {
        drop(it);
    }

    /// Whether the terminal draws nothing: no colours, no cursor to move.
    fn is_dumb(&self) -> bool {
        self.env("TERM").is_some_and(|term| term == "dumb")
    }

    /// The home directory of the user, from the environment or the user database.
    fn home(&self) -> Option<PathBuf>;

    fn actor(&self) -> Actor;

    /// Keeps other processes of the user, and any core dump, away from our memory from here on. A process of an ordinary
    /// user can then no longer open `/dev/stdin` and the like, so files are opened before.
    fn keep_memory_private(&self);

    fn pid(&self) -> u32;

    /// The id of a group by its name or number.
    fn group_id(&self, name: &str) -> Option<u32>;

    /// A file to read a secret from.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>>;

    /// Runs a command to its end, or until it takes too long.
    fn run(&self, job: &Job<'_>) -> io::Result<JobEnd>;

    /// The user's pager; `None` where there is none, or none is wanted.
    fn pager(&self, opens_at: OpensAt) -> Option<StartPager>;

    /// Waits this long.
    fn pause(&self, time: Duration);

    /// Time since the start, by a clock that only goes forward.
    fn uptime(&self) -> Duration;

    /// Columns of the terminal that stderr is, as wide as it is now; none while another job has the terminal.
    fn columns(&self) -> Option<u16>;

    /// Has a Ctrl-C wait until [`Machine::interrupted`] asks for it; a second one ends us all the same.
    fn defer_interrupts(&self, defer: bool);

    /// Whether one waits.
    fn interrupted(&self) -> bool;

    /// Reaches the clipboard this way, for text that is to stay so long; the name is that of the buffer in tmux.
    fn clipboard(&self, way: CopyWay, stay: Duration, name: &str) -> io::Result<Box<dyn Clipboard>>;

    /// A yes or no on the terminal; [`io::ErrorKind::Interrupted`] after Ctrl-C, as of the other questions.
    fn confirm(&self, question: &str) -> io::Result<bool>;

    /// A line of text, which begins as `initial`.
    fn ask(&self, question: &Question<'_>, initial: &str) -> io::Result<Zeroizing<String>>;

    /// A line that is not shown while it is typed.
    fn ask_hidden(&self, question: &str) -> io::Result<Zeroizing<Vec<u8>>>;

    /// One of several, by its place.
    fn select(&self, question: &Question<'_>, choices: &[Choice]) -> io::Result<usize>;

    /// Some of several, by their places.
    fn choose(&self, question: &Question<'_>, choices: &[Choice]) -> io::Result<Vec<usize>>;
}

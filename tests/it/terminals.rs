//! Real terminals: a pseudoterminal whose other end the tests hold, and a screen of tmux.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::processes::eventually;
use crate::support::{Ran, World, run, search_path};

/// A pseudoterminal: the end of the test and the end of the program.
pub fn terminal() -> (File, OwnedFd) {
    use rustix::pty::OpenptFlags;
    let ours =
        rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal can be opened");
    rustix::pty::grantpt(&ours).expect("a terminal can be opened");
    rustix::pty::unlockpt(&ours).expect("a terminal can be opened");
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let name = rustix::pty::ptsname(&ours, Vec::new()).expect("a terminal can be opened");
    let theirs = rustix::fs::open(name.as_c_str(), flags, rustix::fs::Mode::empty())
        .expect("a terminal can be opened");
    (File::from(ours), theirs)
}

/// A terminal in which Ctrl-S was pressed, so it accepts no output.
pub fn stopped() -> (File, OwnedFd) {
    let (mut keyboard, screen) = terminal();
    keyboard.write_all(b"\x13").expect("the terminal can be written to");
    (keyboard, screen)
}

/// Reads the output until the last program in the terminal exits.
pub fn all(mut screen: File) -> String {
    let mut bytes = Vec::new();
    // Linux reports an error when the other end is closed.
    let _ = screen.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A program in a separate tmux server, which exits with the test.
pub struct Screen {
    dir: TempDir,
}

impl Screen {
    /// Starts a shell on a screen of this many columns and rows. It finds the real program, and its directory and store
    /// are those of the world.
    pub fn new(world: &World, size: (u16, u16), env: &[(&str, &str)]) -> Self {
        let mut shell = Command::new("sh");
        shell.env("TOKENCTL_STORE", world.store()).env("PS1", "$ ").current_dir(world.dir.path());
        let screen = Self::of(shell.envs(env.iter().copied()), size);
        screen.wait("$");
        screen
    }

    /// Starts a command in its directory. Its environment consists of the variables that the command sets and of
    /// `PATH`.
    pub fn of(command: &Command, (columns, rows): (u16, u16)) -> Self {
        let screen = Self { dir: tempfile::tempdir().expect("a temporary directory can be created") };
        let mut tmux = screen.client();
        tmux.env_clear().env("LANG", "C.UTF-8").env("SHELL", "/bin/sh").env("PATH", search_path());
        tmux.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
        tmux.current_dir(command.get_current_dir().unwrap_or(Path::new("/")));
        tmux.args(["-f", "/dev/null", "new-session", "-d"]);
        tmux.args(["-x", &columns.to_string(), "-y", &rows.to_string()]);
        run(tmux.arg(command.get_program()).args(command.get_args()), b"").ok();
        screen
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("tmux")
    }

    fn client(&self) -> Command {
        let mut tmux = Command::new("tmux");
        tmux.env("LC_ALL", "C.UTF-8").arg("-u").arg("-S").arg(self.socket());
        tmux
    }

    /// Runs a tmux command on this server.
    pub fn tmux(&self, args: &[&str]) -> Ran {
        run(self.client().args(args), b"")
    }

    /// Presses these keys, which have the names that tmux uses.
    #[track_caller]
    pub fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat()).ok();
    }

    /// Types text.
    #[track_caller]
    pub fn type_text(&self, text: &str) {
        self.press(&["-l", text]);
    }

    /// Runs a command in the shell on a cleared screen. Afterwards, the screen shows its exit code.
    #[track_caller]
    pub fn run(&self, command: &str) {
        // The screen is cleared first, so that output of an earlier command is not taken for output of this one.
        self.press(&["-R"]);
        self.type_text(&format!("{command}; echo EXIT $?"));
        self.press(&["Enter"]);
    }

    /// The text on the screen, without spaces at the ends of lines.
    pub fn shown(&self) -> String {
        let text = self.tmux(&["capture-pane", "-p"]).out;
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    /// Waits until a line on the screen starts with this text. Returns the screen.
    #[track_caller]
    pub fn wait(&self, start: &str) -> String {
        self.wait_for(start, |shown| shown.lines().any(|line| line.starts_with(start)))
    }

    /// Waits until a condition on the screen is true. Returns the screen.
    #[track_caller]
    pub fn wait_for(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        eventually(|| {
            let shown = self.shown();
            if is_there(&shown) { Ok(shown) } else { Err(format!("no {what:?}:\n{shown}")) }
        })
    }

    pub fn cursor_is_shown(&self) -> bool {
        self.tmux(&["display-message", "-p", "#{cursor_flag}"]).line() == "1"
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

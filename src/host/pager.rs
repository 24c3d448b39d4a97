//! The user's pager, chosen as in other programs: `PAGER`, or else `less`. There is none if it is empty or
//! `cat`.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::fs::Mode;

use super::interrupts::{OnlyRecorded, only_record_interrupts};
use super::process::as_caller;
use crate::context::{OpensAt, StartPager};

/// The variable LESS for the pager, which must show colours. If the user has not set LESS, less also exits if
/// the text fits, and leaves the text on the screen. A command such as `+G` is last, because it takes the
/// rest of the value.
fn less(flags: Option<OsString>, opens_at: OpensAt) -> OsString {
    let mut flags = flags
        .map_or_else(|| "FRX".into(), |flags| [OsStr::new("-R "), &flags].into_iter().collect::<OsString>());
    if opens_at == OpensAt::End {
        flags.push(" +G");
    }
    flags
}

/// The pager that an environment selects, which is started with this umask.
pub fn of(env: impl Fn(&str) -> Option<OsString>, umask: Mode, opens_at: OpensAt) -> Option<StartPager> {
    let pager = env("PAGER").unwrap_or_else(|| "less".into());
    let path = env("PATH").unwrap_or_default();
    if pager.is_empty() || pager == "cat" || !can_start(pager.to_str()?, &path) {
        return None;
    }
    // lv also needs a flag to show colours.
    let variables = [("LESS", less(env("LESS"), opens_at)), ("LV", env("LV").unwrap_or_else(|| "-c".into()))];
    Some(Box::new(move || {
        let mut command = Command::new("sh");
        command.arg("-c").arg(pager).envs(variables).stdin(Stdio::piped());
        // Ctrl-C is for the pager. This process stays until the pager has released the terminal.
        let only_recorded = only_record_interrupts();
        let mut child = as_caller(umask, || command.spawn())?;
        Ok(Box::new(Pager { input: child.stdin.take(), child, _only_recorded: only_recorded }))
    }))
}

/// Whether the shell will find the program. Anything more than a command and its arguments is assumed to
/// work.
fn can_start(pager: &str, path: &OsStr) -> bool {
    let program = pager.split_whitespace().next().unwrap_or_default();
    if program.contains(|c: char| !(c.is_alphanumeric() || "._+/-".contains(c))) {
        return true;
    }
    let is_executable = |path: &Path| {
        std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return is_executable(Path::new(program));
    }
    std::env::split_paths(path).any(|dir| is_executable(&dir.join(program)))
}

struct Pager {
    input: Option<ChildStdin>,
    child: Child,
    _only_recorded: OnlyRecorded,
}

impl Write for Pager {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.input.as_mut().map_or(Err(io::ErrorKind::BrokenPipe.into()), |input| input.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        self.input = None;
        // Its exit status does not matter to the command.
        let _ = self.child.wait();
    }
}

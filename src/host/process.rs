//! Runs the commands that read a secret from their standard input.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::Mode;
use rustix::process::{Pid, Signal};

use super::foreground::Foreground;
use super::interrupts::{await_children, with_interrupts};
use crate::context::{Job, JobEnd};

/// The pauses between checks of a running command: short at first, then longer.
const PAUSES: std::ops::Range<Duration> = Duration::from_millis(1)..Duration::from_millis(50);

/// Runs a command by `sh -c`, in a new process group and with this umask. Its input is in the pipe before it
/// starts.
pub fn run(job: &Job<'_>, umask: Mode) -> io::Result<JobEnd> {
    let (input, unread) = {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        // A pipe takes at least 4096 bytes without a reader (pipe(7), PIPE_BUF).
        File::from(writer).write_all(job.input)?;
        (reader.try_clone()?, reader)
    };
    with_interrupts(|stop| {
        let stdout =
            if job.mute { Stdio::null() } else { Stdio::from(io::stderr().as_fd().try_clone_to_owned()?) };
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(job.command)
            .envs(job.env.iter().copied())
            .stdin(Stdio::from(input))
            .stdout(stdout)
            .process_group(0);
        let mut child = as_caller(umask, || command.spawn())?;
        let foreground = Foreground::give(&child);
        let started = Instant::now();
        let mut pause = PAUSES.start;
        loop {
            if let Some(status) = child.try_wait()? {
                let unread = rustix::io::ioctl_fionread(&unread).unwrap_or(u64::MAX);
                // The terminal sends Ctrl-C to the command, which has the foreground, and not to this
                // process.
                let by_ctrl_c = foreground.is_some() && status.signal() == Some(Signal::INT.as_raw());
                return Ok(if by_ctrl_c { JobEnd::Interrupted } else { job_end(status, unread) });
            }
            if stop.requested() {
                kill(&mut child);
                return Ok(JobEnd::Interrupted);
            }
            if started.elapsed() >= job.timeout {
                kill(&mut child);
                return Ok(JobEnd::TimedOut);
            }
            thread::sleep(pause.min(job.timeout));
            pause = (pause * 2).min(PAUSES.end);
        }
    })
}

/// Runs a function with the umask of the caller of this program.
pub fn as_caller<T>(umask: Mode, f: impl FnOnce() -> T) -> T {
    await_children();
    let previous = rustix::process::umask(umask);
    let done = f();
    rustix::process::umask(previous);
    done
}

fn job_end(status: ExitStatus, unread: u64) -> JobEnd {
    match (status.code(), status.signal()) {
        (Some(0), _) => JobEnd::Done { unread },
        (Some(code), _) => JobEnd::Exit(code),
        (None, signal) => JobEnd::Signal(signal.unwrap_or(0)),
    }
}

/// Kills the command and everything that it started.
pub fn kill(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hook is allowed to run for five minutes. This test uses a shorter time.
    #[test]
    fn a_command_that_does_not_exit_in_time_is_killed_with_everything_that_it_started() {
        let dir = tempfile::tempdir().expect("a temporary directory can be created");
        let pids = dir.path().join("pids");
        let command = format!("sleep infinity & echo $$ $! >{}; wait", pids.display());
        let timeout = Duration::from_secs(2);
        let job = Job { command: &command, input: b"", env: &[], timeout, mute: true };
        assert_eq!(run(&job, Mode::RWXG | Mode::RWXO).expect("`sh` can be started"), JobEnd::TimedOut);
        let pids = std::fs::read_to_string(pids).expect("the command wrote its process ids");
        assert_eq!(pids.split_whitespace().count(), 2);
        for pid in pids.split_whitespace() {
            let is_gone = || {
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                matches!(
                    stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next()),
                    None | Some('Z')
                )
            };
            // A killed process takes a moment to disappear.
            let looks = (0..200).find(|_| {
                is_gone() || {
                    thread::sleep(PAUSES.end);
                    false
                }
            });
            assert!(looks.is_some(), "{pid} is still there");
        }
    }
}

//! Gives the foreground of the terminal to a command, because only processes in the foreground can read from
//! the terminal.

use std::fs::{File, OpenOptions};
use std::process::Child;

use nix::sys::signal::{SigSet, SigmaskHow, Signal as Blocked};
use rustix::process::{Pid, Signal, getpgrp, kill_process_group};
use rustix::termios::{tcgetpgrp, tcsetpgrp};

/// The foreground, which a child has until this is dropped.
pub struct Foreground {
    terminal: File,
}

impl Foreground {
    /// Gives the foreground to the process group of a child, if this process has it.
    pub fn give(child: &Child) -> Option<Self> {
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
        if tcgetpgrp(&terminal).ok()? != getpgrp() {
            return None;
        }
        let group = Pid::from_child(child);
        tcsetpgrp(&terminal, group).ok()?;
        // The child might already have been stopped because it tried to read, which is allowed now.
        let _ = kill_process_group(group, Signal::CONT);
        Some(Self { terminal })
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        let mut stop = SigSet::empty();
        stop.add(Blocked::SIGTTOU);
        // Without this, taking the foreground from the background would stop this process.
        if let Ok(before) = stop.thread_swap_mask(SigmaskHow::SIG_BLOCK) {
            let _ = tcsetpgrp(&self.terminal, getpgrp());
            let _ = before.thread_set_mask();
        }
    }
}

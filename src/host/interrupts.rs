//! Handles Ctrl-C and other requests to exit while the code asks for it. At other times these signals kill
//! the process at once.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::pipe::{PipeFlags, pipe_with};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::{pipe, unregister};
use signal_hook::{SigId, flag};

/// Tells whether Ctrl-C or another request to exit was received.
pub struct Stop {
    received: Arc<AtomicBool>,
    /// A signal also writes to this pipe, so that a wait that begins after the signal ends as well.
    pipe: io::Result<OwnedFd>,
}

impl Stop {
    fn new(signals: impl Iterator<Item = i32>) -> Self {
        let received = Arc::<AtomicBool>::default();
        let pipe = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).map_err(io::Error::from);
        let pipe = pipe.and_then(|(reader, writer)| {
            for signal in signals {
                flag::register(signal, Arc::clone(&received))?;
                pipe::register(signal, writer.try_clone()?)?;
            }
            Ok(reader)
        });
        Self { received, pipe }
    }

    pub fn requested(&self) -> bool {
        self.received.load(Ordering::SeqCst)
    }

    /// A descriptor that becomes readable when a signal is received, and stays readable.
    pub fn readable(&self) -> io::Result<BorrowedFd<'_>> {
        match &self.pipe {
            Ok(pipe) => Ok(pipe.as_fd()),
            Err(err) => Err(err.kind().into()),
        }
    }
}

struct Interrupts {
    /// Whether Ctrl-C kills the process at once.
    by_ctrl_c: Arc<AtomicBool>,
    /// Whether the other signals kill it at once.
    by_others: Arc<AtomicBool>,
    stop: Stop,
    /// The handlers by which a second Ctrl-C kills the process while the first one is deferred.
    second: Mutex<Vec<SigId>>,
}

static INTERRUPTS: OnceLock<Interrupts> = OnceLock::new();

fn interrupts() -> &'static Interrupts {
    INTERRUPTS.get_or_init(|| {
        let fatal = || Arc::new(AtomicBool::new(true));
        let (by_ctrl_c, by_others) = (fatal(), fatal());
        let hangup = (!is_ignored(SIGHUP)).then_some(SIGHUP);
        let signals = [SIGINT, SIGTERM].into_iter().chain(hangup);
        for signal in signals.clone() {
            let fatal = if signal == SIGINT { &by_ctrl_c } else { &by_others };
            // If a handler cannot be registered, the signal kills the process at once, as it does at other
            // times.
            let _ = flag::register_conditional_default(signal, Arc::clone(fatal));
        }
        Interrupts { by_ctrl_c, by_others, stop: Stop::new(signals), second: Mutex::default() }
    })
}

/// Ensures that children can be waited for even if the caller ignored SIGCHLD, because their exit status
/// would be lost. The children get the default action again.
pub fn await_children() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        if is_ignored(SIGCHLD) {
            let _ = flag::register(SIGCHLD, Arc::default());
        }
    });
}

/// Whether the caller ignored the signal, as `nohup` ignores SIGHUP. Such a signal stays ignored.
fn is_ignored(signal: i32) -> bool {
    // The mask is hexadecimal, and its lowest bit is for signal 1 (proc_pid_status(5)).
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

impl Interrupts {
    fn set_fatal(&self, fatal: bool) {
        self.by_ctrl_c.store(fatal, Ordering::SeqCst);
        self.by_others.store(fatal, Ordering::SeqCst);
    }
}

/// Starts or stops deferring the first Ctrl-C until [`interrupted`] is called. A second one still kills the
/// process.
pub fn defer_interrupts(defer: bool) {
    let interrupts = interrupts();
    let mut second = interrupts.second.lock().unwrap_or_else(PoisonError::into_inner);
    for id in second.drain(..) {
        unregister(id);
    }
    if defer {
        let first = Arc::new(AtomicBool::new(false));
        second.extend(flag::register_conditional_default(SIGINT, Arc::clone(&first)));
        second.extend(flag::register(SIGINT, first));
    }
    interrupts.by_ctrl_c.store(!defer, Ordering::SeqCst);
}

pub fn interrupted() -> bool {
    INTERRUPTS.get().is_some_and(|interrupts| interrupts.stop.requested())
}

/// Runs a function that handles Ctrl-C and other requests to exit itself. Its argument tells whether one was
/// received.
pub fn with_interrupts<T>(f: impl FnOnce(&Stop) -> T) -> T {
    let _only_recorded = only_record_interrupts();
    f(&interrupts().stop)
}

/// While this exists, Ctrl-C and other requests to exit are only recorded.
pub struct OnlyRecorded(());

pub fn only_record_interrupts() -> OnlyRecorded {
    interrupts().set_fatal(false);
    OnlyRecorded(())
}

impl Drop for OnlyRecorded {
    fn drop(&mut self) {
        interrupts().set_fatal(true);
    }
}

//! Who answers to Ctrl-C and to a request to end: we do where that is said, elsewhere they end us at once.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::pipe::{PipeFlags, pipe_with};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::{pipe, unregister};
use signal_hook::{SigId, flag};

/// Ctrl-C or a request to end, once it came.
pub struct Stop {
    came: Arc<AtomicBool>,
    /// A signal writes into this pipe, so that a wait that begins behind the signal ends too.
    pipe: io::Result<OwnedFd>,
}

impl Stop {
    fn new(signals: impl Iterator<Item = i32>) -> Self {
        let came = Arc::<AtomicBool>::default();
        let pipe = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).map_err(io::Error::from);
        let pipe = pipe.and_then(|(reader, writer)| {
            for signal in signals {
                flag::register(signal, Arc::clone(&came))?;
                pipe::register(signal, writer.try_clone()?)?;
            }
            Ok(reader)
        });
        Self { came, pipe }
    }

    pub fn requested(&self) -> bool {
        self.came.load(Ordering::SeqCst)
    }

    /// Becomes readable when it comes, and stays so.
    pub fn readable(&self) -> io::Result<BorrowedFd<'_>> {
        match &self.pipe {
            Ok(pipe) => Ok(pipe.as_fd()),
            Err(err) => Err(err.kind().into()),
        }
    }
}

struct Interrupts {
    /// Ctrl-C ends us at once.
    by_ctrl_c: Arc<AtomicBool>,
    /// So do the others.
    by_others: Arc<AtomicBool>,
    stop: Stop,
    /// What makes a second Ctrl-C end us, while the first one waits.
    second: Mutex<Vec<SigId>>,
}

static INTERRUPTS: OnceLock<Interrupts> = OnceLock::new();

fn interrupts() -> &'static Interrupts {
    INTERRUPTS.get_or_init(|| {
        let ends = || Arc::new(AtomicBool::new(true));
        let (by_ctrl_c, by_others) = (ends(), ends());
        let hangup = (!is_ignored(SIGHUP)).then_some(SIGHUP);
        let signals = [SIGINT, SIGTERM].into_iter().chain(hangup);
        for signal in signals.clone() {
            let ends = if signal == SIGINT { &by_ctrl_c } else { &by_others };
            // Without these handlers the signal ends us at once, as it does everywhere else.
            let _ = flag::register_conditional_default(signal, Arc::clone(ends));
        }
        Interrupts { by_ctrl_c, by_others, stop: Stop::new(signals), second: Mutex::default() }
    })
}

/// Makes sure that a child can be waited for, whatever our caller did: while its signal is ignored, nobody learns how it
/// ended. Children get the default again.
pub fn await_children() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        if is_ignored(SIGCHLD) {
            let _ = flag::register(SIGCHLD, Arc::default());
        }
    });
}

/// Whether who started us had it ignored, as `nohup` does with a hangup. Then it stays so.
fn is_ignored(signal: i32) -> bool {
    // A mask in hexadecimal, the lowest bit for signal 1: proc_pid_status(5).
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

impl Interrupts {
    fn end_us(&self, end: bool) {
        self.by_ctrl_c.store(end, Ordering::SeqCst);
        self.by_others.store(end, Ordering::SeqCst);
    }
}

/// Has the first Ctrl-C wait for a look at [`interrupted`], or no longer. A second one ends us all the same.
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

/// Runs something that has its own answer to Ctrl-C and to a request to end: whether one came is in its argument.
/// Elsewhere they end us at once.
pub fn with_interrupts<T>(f: impl FnOnce(&Stop) -> T) -> T {
    let _deaf = deaf();
    f(&interrupts().stop)
}

/// As long as this lives, Ctrl-C and a request to end are only noted.
pub struct Deaf(());

pub fn deaf() -> Deaf {
    interrupts().end_us(false);
    Deaf(())
}

impl Drop for Deaf {
    fn drop(&mut self) {
        interrupts().end_us(true);
    }
}

//! Who answers to Ctrl-C and to a request to end: we do where that is said, elsewhere they end us at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::unregister;
use signal_hook::{SigId, flag};

struct Interrupts {
    /// Ctrl-C ends us at once.
    by_ctrl_c: Arc<AtomicBool>,
    /// So do the others.
    by_others: Arc<AtomicBool>,
    came: Arc<AtomicBool>,
    /// What makes a second Ctrl-C end us, while the first one waits.
    second: Mutex<Vec<SigId>>,
}

static INTERRUPTS: OnceLock<Interrupts> = OnceLock::new();

fn interrupts() -> &'static Interrupts {
    INTERRUPTS.get_or_init(|| {
        let ends = || Arc::new(AtomicBool::new(true));
        let interrupts = Interrupts {
            by_ctrl_c: ends(),
            by_others: ends(),
            came: Arc::default(),
            second: Mutex::default(),
        };
        let hangup = (!is_ignored(SIGHUP)).then_some(SIGHUP);
        for signal in [SIGINT, SIGTERM].into_iter().chain(hangup) {
            let ends = if signal == SIGINT { &interrupts.by_ctrl_c } else { &interrupts.by_others };
            // Without these handlers the signal ends us at once, as it does everywhere else.
            let _ = flag::register_conditional_default(signal, Arc::clone(ends));
            let _ = flag::register(signal, Arc::clone(&interrupts.came));
        }
        interrupts
    })
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
    INTERRUPTS.get().is_some_and(|interrupts| interrupts.came.load(Ordering::SeqCst))
}

/// Runs something that has its own answer to Ctrl-C and to a request to end: whether one came is in its argument.
/// Elsewhere they end us at once.
pub fn with_interrupts<T>(f: impl FnOnce(&AtomicBool) -> T) -> T {
    let _deaf = deaf();
    f(&interrupts().came)
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

//! Questions on the terminal. Ctrl-C at one of them gives the cursor back and is an answer; elsewhere it ends us.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use dialoguer::console::Term;
use dialoguer::{Confirm, MultiSelect, Password};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use zeroize::Zeroizing;

use crate::context::Terminal;

pub fn look() -> Terminal {
    // Of a stream that is no terminal there is no size.
    let size = Term::stdout().size_checked().or_else(|| Term::stderr().size_checked());
    Terminal {
        stdin: io::stdin().is_terminal(),
        stdout: io::stdout().is_terminal(),
        stderr: io::stderr().is_terminal(),
        width: size.map(|(_, columns)| columns),
        height: size.map(|(rows, _)| rows),
    }
}

pub fn confirm(question: &str) -> io::Result<bool> {
    asking(|term| Confirm::new().with_prompt(question).default(false).interact_on(term))
}

pub fn choose(question: &str, choices: &[String]) -> io::Result<Vec<usize>> {
    asking(|term| MultiSelect::new().with_prompt(question).items(choices).interact_on(term))
}

pub fn ask_hidden(question: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    asking(|term| Password::new().with_prompt(question).allow_empty_password(true).interact_on(term))
        .map(|text| Zeroizing::new(text.into_bytes()))
}

/// Runs a question with Ctrl-C as one of its answers.
fn asking<T>(question: impl FnOnce(&Term) -> dialoguer::Result<T>) -> io::Result<T> {
    let term = Term::stderr();
    let answer = with_interrupts(|_| question(&term));
    let _ = term.show_cursor();
    answer.map_err(|dialoguer::Error::IO(err)| err)
}

/// Runs something that has its own answer to Ctrl-C and to a request to end: whether one came is in its argument.
/// Elsewhere they end us at once.
pub fn with_interrupts<T>(f: impl FnOnce(&AtomicBool) -> T) -> T {
    let deaf = deaf();
    f(&deaf.0.came)
}

/// As long as this lives, Ctrl-C and a request to end are only noted.
pub struct Deaf(&'static Flags);

struct Flags {
    end_us: Arc<AtomicBool>,
    came: Arc<AtomicBool>,
}

pub fn deaf() -> Deaf {
    static FLAGS: OnceLock<Flags> = OnceLock::new();
    let flags = FLAGS.get_or_init(|| {
        let flags = Flags { end_us: Arc::new(AtomicBool::new(true)), came: Arc::default() };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // Without these handlers the signal ends us at once, as it does everywhere else.
            let _ = flag::register_conditional_default(signal, Arc::clone(&flags.end_us));
            let _ = flag::register(signal, Arc::clone(&flags.came));
        }
        flags
    });
    flags.end_us.store(false, Ordering::SeqCst);
    Deaf(flags)
}

impl Drop for Deaf {
    fn drop(&mut self) {
        self.0.end_us.store(true, Ordering::SeqCst);
    }
}

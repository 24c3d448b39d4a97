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
    let stdout = io::stdout().is_terminal();
    Terminal {
        stdin: io::stdin().is_terminal(),
        stdout,
        stderr: io::stderr().is_terminal(),
        width: stdout.then(|| Term::stdout().size_checked()).flatten().map(|(_rows, columns)| columns),
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

/// Columns of the terminal that stderr is. None while we run in the background: it shows what another job says.
pub fn columns() -> Option<u16> {
    let stderr = io::stderr();
    // A terminal that is not the one which controls us has no foreground.
    if rustix::termios::tcgetpgrp(&stderr).is_ok_and(|group| group != rustix::process::getpgrp()) {
        return None;
    }
    let known =
        rustix::termios::tcgetwinsize(&stderr).ok().map(|size| size.ws_col).filter(|columns| *columns > 0);
    Some(known.unwrap_or(80))
}

/// Who answers to Ctrl-C, and to a request to end.
struct Interrupts {
    /// Ctrl-C ends us at once.
    by_ctrl_c: Arc<AtomicBool>,
    /// So do the others.
    by_others: Arc<AtomicBool>,
    came: Arc<AtomicBool>,
}

static INTERRUPTS: OnceLock<Interrupts> = OnceLock::new();

fn interrupts() -> &'static Interrupts {
    INTERRUPTS.get_or_init(|| {
        let ends = || Arc::new(AtomicBool::new(true));
        let interrupts = Interrupts { by_ctrl_c: ends(), by_others: ends(), came: Arc::default() };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let ends = if signal == SIGINT { &interrupts.by_ctrl_c } else { &interrupts.by_others };
            // Without these handlers the signal ends us at once, as it does everywhere else; with them the second does.
            let _ = flag::register_conditional_default(signal, Arc::clone(ends));
            let _ = flag::register_conditional_default(signal, Arc::clone(&interrupts.came));
            let _ = flag::register(signal, Arc::clone(&interrupts.came));
        }
        interrupts
    })
}

/// Has the first Ctrl-C wait for a look at [`interrupted`], or no longer.
pub fn defer_interrupts(defer: bool) {
    interrupts().by_ctrl_c.store(!defer, Ordering::SeqCst);
}

pub fn interrupted() -> bool {
    INTERRUPTS.get().is_some_and(|interrupts| interrupts.came.load(Ordering::SeqCst))
}

/// Runs something that has its own answer to Ctrl-C and to a request to end: whether one came is in its argument.
/// Elsewhere they end us at once.
pub fn with_interrupts<T>(f: impl FnOnce(&AtomicBool) -> T) -> T {
    let interrupts = interrupts();
    let end_us = |end| {
        interrupts.by_ctrl_c.store(end, Ordering::SeqCst);
        interrupts.by_others.store(end, Ordering::SeqCst);
    };
    end_us(false);
    let done = f(&interrupts.came);
    end_us(true);
    done
}

//! Questions on the terminal. Ctrl-C at one of them gives the cursor back and is an answer; elsewhere it ends us.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use dialoguer::console::Term;
use dialoguer::{Confirm, MultiSelect, Password};
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
    static INTERRUPT_ENDS_US: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    let ends_us = INTERRUPT_ENDS_US.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(true));
        // Without the handler Ctrl-C ends us at once, as it does everywhere else.
        let _ =
            signal_hook::flag::register_conditional_default(signal_hook::consts::SIGINT, Arc::clone(&flag));
        flag
    });
    let term = Term::stderr();
    ends_us.store(false, Ordering::SeqCst);
    let answer = question(&term);
    ends_us.store(true, Ordering::SeqCst);
    let _ = term.show_cursor();
    answer.map_err(|dialoguer::Error::IO(err)| err)
}

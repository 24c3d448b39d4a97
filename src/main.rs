//! A shim: the program is a function of its arguments and its machine.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    // A process that the program started for itself holds a clipboard.
    let done = tokenctl::host::hold_clipboard(&args);
    ExitCode::from(done.unwrap_or_else(|| tokenctl::run(args, &mut tokenctl::host::context())))
}

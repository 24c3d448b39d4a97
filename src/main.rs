//! A shim: the program is a function of its arguments and its machine.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = std::env::args_os().collect();
    ExitCode::from(tokenctl::run(args, &mut tokenctl::host::context()))
}

//! The report of a failed command.

use std::ffi::OsString;
use std::io::ErrorKind;

use crate::app::Look;
use crate::context::Context;
use crate::domain::secret::contains_secret;
use crate::error::Error;

/// Reports why a command failed, and returns its exit code. A closed pipe is not a failure.
pub fn report(err: &Error, look: Look, ctx: &mut Context) -> u8 {
    if let Error::Output(err) = err
        && err.kind() == ErrorKind::BrokenPipe
    {
        return 0;
    }
    look.talk(ctx).error(err.code(), &err.to_string(), err.hint().as_deref());
    err.code().exit()
}

/// Whether an argument contains one of our secrets. Every process of the machine can read arguments.
pub fn exposes_secret(args: &[OsString]) -> bool {
    args.iter().any(|arg| contains_secret(arg.as_encoded_bytes()))
}

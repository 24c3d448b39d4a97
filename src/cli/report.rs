//! What is said when a command did not do what was asked.

use std::ffi::OsString;
use std::io::ErrorKind;

use crate::app::Look;
use crate::context::Context;
use crate::domain::secret::contains_secret;
use crate::error::Error;

/// Says why a command failed. Returns its exit code; a reader that went away is no failure.
pub fn report(err: &Error, look: Look, ctx: &mut Context) -> u8 {
    if let Error::Output(err) = err
        && err.kind() == ErrorKind::BrokenPipe
    {
        return 0;
    }
    look.talk(ctx).error(err.code(), &err.to_string(), err.hint().as_deref());
    err.code().exit()
}

/// Whether one of our secrets stands in an argument, where every process of the machine can read it.
pub fn exposes_secret(args: &[OsString]) -> bool {
    args.iter().any(|arg| contains_secret(arg.as_encoded_bytes()))
}

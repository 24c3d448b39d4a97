//! `tokenctl`: htpasswd for API tokens.
//!
//! The layers, each of which imports only from those below it:
//!
//! - `main` hands the arguments and the machine to [`run`];
//! - [`host`] is this machine; it implements what [`context`] lets a command ask for;
//! - [`cmd`] has a file a verb; [`error`] turns what went wrong into a code, an exit and a hint;
//! - [`deliver`] hands a secret over so that it is neither lost nor orphaned;
//! - [`scan`] finds in files what could be a secret;
//! - [`store`] alone knows SQL, [`ui`] alone how things look;
//! - [`domain`] has the rules, as functions of their arguments.

pub mod cmd;
pub mod context;
pub mod deliver;
pub mod domain;
pub mod error;
pub mod host;
pub mod scan;
pub mod store;
pub mod ui;

use std::ffi::OsString;

use clap::Parser;

use crate::cmd::{App, Cli, Outcome};
use crate::context::Context;
use crate::error::Error;

/// The program: parses, runs the verb, reports. Returns the exit code.
pub fn run(args: Vec<OsString>, ctx: &mut Context) -> u8 {
    if let Some(shell) = cmd::asking_shell(&args, ctx) {
        return cmd::complete(&shell, &args[2..], ctx);
    }
    let look = cmd::Look::guess(&args, ctx);
    if cmd::exposes_secret(&args) {
        return cmd::report(&Error::SecretAsArgument, look, ctx);
    }
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(err) => return cmd::usage(args, err, look, ctx),
    };
    let mut app = App::new(ctx, &cli.global);
    let look = app.look();
    let ran = cli.verb.run(&mut app);
    app.clear();
    match ran {
        Ok(Outcome::Done) => 0,
        Ok(Outcome::No) => 3,
        Err(err) => cmd::report(&err, look, ctx),
    }
}

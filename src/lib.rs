//! `tokenctl`: htpasswd for API tokens.
//!
//! A service verifies presented secrets with a [`Verifier`]. It needs no default feature of this crate:
//!
//! ```toml
//! tokenctl = { version = "0.1", default-features = false }
//! ```
//!
//! Everything else serves the program. `docs/architecture.md` explains what it guarantees and where. These are
//! its layers, each of which imports only from those below it:
//!
//! - `main` passes the arguments and the machine to `run`;
//! - `cli` is the command line as a whole, `cmd` has one file per verb, `app` is the context of a verb;
//! - `error` gives each failure its code and its hint;
//! - `deliver` brings a secret to its destination so that it is neither lost nor orphaned;
//! - `scan` finds text that looks like a secret in files; `serve` answers over HTTP;
//! - [`verify`] turns a presented text into a verdict;
//! - [`store`] is the only user of SQL, and `ui` decides how output looks;
//! - `host` implements the traits of `context` for the real machine;
//! - [`domain`] has the rules, as functions of their arguments.

#[cfg(feature = "cli")]
pub mod app;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
#[cfg(feature = "cli")]
pub mod cmd;
#[cfg(feature = "cli")]
pub mod context;
#[cfg(feature = "cli")]
pub mod deliver;
pub mod domain;
#[cfg(feature = "cli")]
pub mod error;
#[cfg(feature = "cli")]
pub mod host;
#[cfg(feature = "cli")]
pub mod scan;
#[cfg(feature = "serve")]
pub mod serve;
pub mod store;
#[cfg(feature = "cli")]
pub mod ui;
mod verifier;
pub mod verify;

#[cfg(feature = "cli")]
pub use cli::run;
pub use domain::verdict::{Reason, Requirements};
pub use verifier::{Verifier, VerifyError};
pub use verify::{Request, Verdict};

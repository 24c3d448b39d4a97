//! `tokenctl`: htpasswd for API tokens.
//!
//! A service verifies presented secrets with a [`Verifier`]. It needs no default feature of this crate:
//!
//! ```toml
//! tokenctl = { version = "0.1", default-features = false }
//! ```
//!
//! Everything else is for the program; `docs/architecture.md` says what it guarantees, and which file holds it. Its
//! layers, each of which imports only from those below it:
//!
//! - `main` hands the arguments and the machine to `run`;
//! - `cli` is the command line as a whole, `cmd` has one file per verb, `app` is what a verb is given;
//! - `error` turns what went wrong into a code and a hint;
//! - `deliver` brings a secret to its destination so that it is neither lost nor orphaned;
//! - `scan` finds in files what could be a secret; `serve` answers over HTTP;
//! - [`verify`] turns a presented text into a verdict;
//! - [`store`] alone knows SQL, `ui` alone how things look;
//! - `host` is this machine; it implements what `context` lets a command ask for;
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
pub use domain::verdict::{Ask, Reason};
pub use verifier::{Verifier, VerifyError};
pub use verify::{Request, Verdict};

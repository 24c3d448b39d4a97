//! `tokenctl`: htpasswd for API tokens.
//!
//! The layers, each of which imports only from those below it:
//!
//! - `main` hands the arguments and the machine to [`run`];
//! - [`host`] is this machine; it implements what [`context`] lets a command ask for;
//! - [`cli`] is the command line as a whole, [`cmd`] has a file a verb, [`app`] is what a verb is handed;
//! - [`error`] turns what went wrong into a code, an exit and a hint;
//! - [`deliver`] hands a secret over so that it is neither lost nor orphaned;
//! - [`scan`] finds in files what could be a secret;
//! - [`store`] alone knows SQL, [`ui`] alone how things look;
//! - [`domain`] has the rules, as functions of their arguments.

pub mod app;
pub mod cli;
pub mod clock;
pub mod cmd;
pub mod context;
pub mod deliver;
pub mod domain;
pub mod error;
pub mod host;
pub mod scan;
pub mod store;
pub mod ui;
mod verifier;
pub mod verify;

pub use cli::run;
pub use domain::verdict::{Ask, Reason};
pub use verifier::{Verifier, VerifyError};
pub use verify::{Request, Verdict};

//! What could be a secret of a store, found in files, folders and streams.
//!
//! - Files are read in pieces, so memory grows neither with a file nor with the number of files.
//! - What is found leaves this room as a hash and a hint, never as text; pieces of files are wiped.
//! - Nothing here opens the store: whether something found is a secret, and of what token, is looked up by the caller.

mod finder;
mod history;
mod kind;
mod piece;
mod position;
mod utf16;
mod walk;

pub use finder::{Finder, Found, Known};
pub use kind::Skipped;
pub use piece::{Buffer, Hit, Source};
pub use walk::{Report, Walk};

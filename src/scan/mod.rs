//! Searches files, folders and streams for text that could be a secret of a store.
//!
//! - Files are read in pieces, so memory grows neither with the size nor with the number of files.
//! - A possible secret is returned as a hash and a hint, never as text, and the pieces that were read are
//!   wiped from memory.
//! - This module does not open the store. The caller looks up whether a finding is a secret, and of which token.

mod finder;
mod history;
mod kind;
mod piece;
mod position;
mod utf16;
mod walk;

pub use finder::{Candidate, Finder, Known};
pub use kind::Skipped;
pub use piece::{Buffer, Hit, Source};
pub use walk::{Report, Walk};

//! The interface of a process that holds a clipboard.

use std::io;

/// The first argument of such a process.
pub const MARK: &str = "--hold-clipboard";

/// An event for the process that holds a clipboard.
pub enum Event {
    /// The process that started this one has exited. The secret might be confirmed.
    Stay,
    /// Another program copied something, or the process that started this one takes the secret back.
    Leave,
}

/// A clipboard that this process holds.
pub trait Hold {
    /// Puts a text there and reads it back.
    fn put(&mut self, text: &[u8]) -> io::Result<()>;

    /// Clears what would remain after the process exits.
    fn leave(&mut self) {}
}

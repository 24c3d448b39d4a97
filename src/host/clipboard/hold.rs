//! What a process that holds a clipboard does, whichever clipboard that is.

use std::io;

/// The first argument of such a process.
pub const MARK: &str = "--hold-clipboard";

/// What ends the holding of a clipboard, or lets it go on.
pub enum Event {
    /// The process that started this one is done, or dead: the secret may be confirmed.
    Stay,
    /// Another program copied something, or the process that started this one takes the secret back.
    Leave,
}

/// A clipboard that this process holds.
pub trait Hold {
    /// Puts text there and reads it back.
    fn put(&mut self, text: &[u8]) -> io::Result<()>;

    /// Takes away what does not go with the process.
    fn leave(&mut self) {}
}

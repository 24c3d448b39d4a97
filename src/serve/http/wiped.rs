//! Buffers that may hold secrets. What leaves them, or is copied when they grow, is wiped.

use zeroize::{Zeroize, Zeroizing};

/// Makes room for this many more bytes.
pub fn reserve(buffer: &mut Zeroizing<Vec<u8>>, more: usize) {
    if buffer.capacity() - buffer.len() < more {
        let capacity = (buffer.len() + more).max(buffer.capacity() * 2);
        let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
        larger.extend_from_slice(buffer);
        *buffer = larger;
    }
}

/// Removes this many bytes from the front.
pub fn consume(buffer: &mut Vec<u8>, used: usize) {
    buffer.copy_within(used.., 0);
    let left = buffer.len() - used;
    buffer[left..].zeroize();
    buffer.truncate(left);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_keeps_what_is_not_consumed() {
        let mut buffer = Zeroizing::new(b"abcdef".to_vec());
        consume(&mut buffer, 4);
        assert_eq!(**buffer, b"ef"[..]);
        reserve(&mut buffer, 100);
        assert!(buffer.capacity() >= 102);
        assert_eq!(**buffer, b"ef"[..]);
        consume(&mut buffer, 2);
        assert!(buffer.is_empty());
    }
}

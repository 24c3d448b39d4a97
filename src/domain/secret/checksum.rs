//! The checksum at the end of a generated secret, by which a mistyped or cut one is refused without a look at the store.

use super::{ALPHABET, CHECK_LEN};

/// CRC-32 (IEEE 802.3, reflected), four bits at a time. A larger table would not pay off for 46 bytes.
fn crc32(text: &[u8]) -> u32 {
    const TABLE: [u32; 16] = {
        let mut table = [0; 16];
        let (mut i, mut nibble) = (0, 0);
        while i < table.len() {
            let mut bits = 0;
            let mut value: u32 = nibble;
            while bits < 4 {
                value = if value & 1 == 1 { (value >> 1) ^ 0xedb8_8320 } else { value >> 1 };
                bits += 1;
            }
            table[i] = value;
            i += 1;
            nibble += 1;
        }
        table
    };
    !text.iter().fold(!0, |crc, byte| {
        let crc = crc ^ u32::from(*byte);
        let crc = (crc >> 4) ^ TABLE[(crc & 15) as usize];
        (crc >> 4) ^ TABLE[(crc & 15) as usize]
    })
}

pub fn checksum(text: &[u8]) -> [u8; CHECK_LEN] {
    let mut rest = crc32(text);
    let mut out = [0; CHECK_LEN];
    for slot in out.iter_mut().rev() {
        *slot = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_crc32() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}

//! Where secrets that this program made appear inside other text.

use std::ops::Range;

use memchr::memchr;

use super::{BODY_LEN, shape};

/// Lengths of a prefix.
const PREFIX_LEN: Range<usize> = 2..11;

/// The first secret of this program's shape, checksum included, whose underscore is at `from` or later, whatever
/// surrounds it.
///
/// A secret ends in [`BODY_LEN`] letters and digits. The search looks at the last byte where such a run could end and
/// walks back, so most of the text is never looked at.
pub fn find_secret(text: &[u8], from: usize) -> Option<Range<usize>> {
    let mut start = from + 1;
    loop {
        let end = start + BODY_LEN;
        let body = text.get(start..end)?;
        if let Some(gap) = body.iter().rposition(|byte| !IS_BODY[usize::from(*byte)]) {
            start += gap + 1;
            continue;
        }
        if let Some(found) = secret_around(text, start - 1) {
            return Some(found);
        }
        // The body is preceded by an underscore, and none is inside this run.
        start = end + memchr(b'_', &text[end..])? + 1;
    }
}

/// Whether such a secret is anywhere in `text`.
pub fn contains_secret(text: &[u8]) -> bool {
    find_secret(text, 0).is_some()
}

/// The secret whose underscore is here; of the prefixes that it could have, the one that its checksum covers.
fn secret_around(text: &[u8], underscore: usize) -> Option<Range<usize>> {
    let end = underscore + 1 + BODY_LEN;
    PREFIX_LEN
        .take_while(|len| *len <= underscore)
        .map(|len| underscore - len..end)
        .find(|range| shape(&text[range.clone()]) == Some(true))
}

/// Whether a byte may be in the body of a secret.
static IS_BODY: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::super::tests::minted;
    use super::*;

    #[test]
    fn our_secret_is_found_inside_other_text() {
        let secret = minted();
        for (before, after) in
            [("", ""), ("--x=", ""), ("a_b_", "zz"), ("https://h/?t=", "&x"), ("Bearer ", "\n")]
        {
            let text = [before.as_bytes(), secret.expose(), after.as_bytes()].concat();
            assert!(contains_secret(&text), "{before}…{after}");
        }
        let mut wrong = secret.expose().to_vec();
        wrong[20] ^= 1;
        assert!(!contains_secret(&wrong));
        assert!(!contains_secret(b"tkn_short") && !contains_secret(b"") && !contains_secret(&[b'_'; 100]));
    }

    #[test]
    fn every_secret_in_a_text_is_found_where_it_is() {
        let secret = minted();
        let secret = secret.expose();
        let filler =
            [&b"int snake_case_name = f(a_b, 0x1234); "[..], &[b'A'; 100], b"_", &[b'z'; 80]].concat();
        let mut text = Vec::new();
        let mut expected = Vec::new();
        for len in 0..filler.len() {
            text.extend_from_slice(&filler[..len]);
            expected.push(text.len()..text.len() + secret.len());
            text.extend_from_slice(secret);
            text.push(b'\n');
        }
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(range) = find_secret(&text, from) {
            from = range.end;
            found.push(range);
        }
        assert_eq!(found, expected);
    }
}

//! Searches other text for secrets that this program generated.

use std::ops::Range;

use super::{BODY_LEN, checksum_is_right};

/// The possible lengths of a prefix.
const PREFIX_LEN: Range<usize> = 2..11;

/// How many bytes `is_run` tests at once. Compilers use vector instructions for a window of this size.
const WINDOW: usize = 16;
/// The distance between the starts of windows. A run of at least `BODY_LEN` letters and digits always
/// contains a whole window.
const STRIDE: usize = BODY_LEN - WINDOW + 1;

/// Finds the first secret that this program could have generated: its form and its checksum are correct. Its underscore
/// is at `from` or later. The text around it does not matter.
///
/// A secret ends in `BODY_LEN` letters and digits, and runs of this length are rare in other text. So the
/// search looks at one window in every `STRIDE` bytes, and looks closer only if the window contains nothing
/// but letters and digits.
pub fn find_secret(text: &[u8], from: usize) -> Option<Range<usize>> {
    // `floor` is the first position where a body can begin, and `at` is the start of the window.
    let mut floor = from + 1;
    let mut at = floor;
    loop {
        if !is_run(text.get(at..at + WINDOW)?) {
            at += STRIDE;
            continue;
        }
        let before = text[floor..at].iter().rposition(|byte| !is_in_body(*byte));
        let start = before.map_or(floor, |gap| floor + gap + 1);
        let rest = &text[at + WINDOW..];
        let end = at + WINDOW + rest.iter().position(|byte| !is_in_body(*byte)).unwrap_or(rest.len());
        // A body follows an underscore, and an underscore is not part of a run. So a body can only be at the start of
        // a run.
        if end - start >= BODY_LEN
            && text[start - 1] == b'_'
            && let Some(found) = secret_around(text, start - 1)
        {
            return Some(found);
        }
        (floor, at) = (end, end);
    }
}

fn is_run(window: &[u8]) -> bool {
    // This loop does not branch, so that compilers can use vector instructions.
    window.iter().fold(true, |all, byte| all & is_in_body(*byte))
}

/// Whether a byte can be in the body of a secret.
fn is_in_body(byte: u8) -> bool {
    let (letter, digit) = ((byte | 0x20).wrapping_sub(b'a'), byte.wrapping_sub(b'0'));
    u8::from(letter < 26) | u8::from(digit < 10) != 0
}

/// Whether `find_secret` finds a secret in the text.
pub fn contains_secret(text: &[u8]) -> bool {
    find_secret(text, 0).is_some()
}

/// The secret whose underscore is at this position, if there is one. Several prefixes are possible, and the
/// checksum determines the right one.
fn secret_around(text: &[u8], underscore: usize) -> Option<Range<usize>> {
    let end = underscore + 1 + BODY_LEN;
    PREFIX_LEN
        .take_while(|len| *len <= underscore)
        .map(|len| underscore - len..end)
        .find(|range| checksum_is_right(&text[range.clone()]) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::super::tests::minted;
    use super::*;

    #[test]
    fn a_generated_secret_is_found_inside_other_text() {
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
        assert!(!contains_secret(&[b'A'; 100]), "no underscore");
        let cut = [&[b' '; 100], &secret.expose()[..40]].concat();
        assert!(!contains_secret(&cut), "the text ends before the secret does");
    }

    #[test]
    fn every_secret_in_a_text_is_found_at_its_position() {
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

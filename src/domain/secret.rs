//! Secrets. Only [`Secret::expose`] gives access to the text of a plain secret.

mod checksum;
mod entropy;
mod find;

use blake3::hazmat::HasherExt;
use zeroize::Zeroizing;

use super::Invalid;
use checksum::checksum;
pub use find::{contains_secret, find_secret};

/// The key that BLAKE3 derives from `tokenctl 2026-11-22 api token secret v1`, so that the stored hashes fit
/// no other use. If it changed, no existing secret would be found.
const CONTEXT_KEY: [u8; 32] = [
    0x38, 0x2d, 0xa7, 0x55, 0xa3, 0x04, 0x2f, 0xb6, 0x23, 0x05, 0xe2, 0x9c, 0x54, 0x5c, 0x93, 0xcb, 0xd9,
    0xbf, 0xfc, 0x45, 0x37, 0x69, 0x2b, 0xbb, 0x21, 0x4c, 0x15, 0x14, 0xc2, 0xad, 0x3b, 0xc3,
];
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_LEN: usize = 32;
const CHECK_LEN: usize = 6;
const BODY_LEN: usize = RANDOM_LEN + CHECK_LEN;
/// The allowed lengths of a secret that was made elsewhere, in characters.
pub const FOREIGN_LEN: std::ops::RangeInclusive<usize> = 16..=512;
/// The longest input that is read, in bytes: the longest secret, and some text that is pasted with it by
/// mistake.
pub const INPUT_MAX: usize = 512 + 64;
/// The scheme that precedes a secret in an `Authorization` header.
const BEARER: &[u8] = b"Bearer ";
const HINT_LEN: usize = 4;

/// A plain secret, which is wiped when it is dropped. It deliberately implements none of Debug, Display,
/// Clone and Serialize.
pub struct Secret(Zeroizing<Vec<u8>>);

/// The BLAKE3 hash of a secret with a key of this program, 32 bytes. The store finds secrets by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretHash(blake3::Hash);

impl SecretHash {
    /// Hashes a text that might be a secret.
    pub fn of(text: &[u8]) -> Self {
        Self(blake3::Hasher::new_from_context_key(&CONTEXT_KEY).update(text).finalize())
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes.into())
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

/// The prefix of new secrets: `[a-z][a-z0-9]{1,9}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Prefix {
    /// A regular expression that matches secrets with this prefix. It cannot verify the checksum.
    pub fn pattern(&self) -> String {
        format!("{}_[0-9A-Za-z]{{{BODY_LEN}}}", self.0)
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self("tkn".to_owned())
    }
}

impl std::str::FromStr for Prefix {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if is_prefix(text.as_bytes()) {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(format!("`{}` is not a prefix", text.escape_debug()))
            .hint("use a lower-case letter, then 1 to 9 lower-case letters or digits"))
    }
}

fn is_prefix(text: &[u8]) -> bool {
    let lower = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (2..=10).contains(&text.len()) && text[0].is_ascii_lowercase() && text.iter().all(lower)
}

/// Fills `out` with random characters of `alphabet`, each equally likely. Random bytes beyond the largest
/// multiple of its length are discarded.
pub fn random_text<E>(
    out: &mut [u8],
    alphabet: &[u8],
    fill: &mut dyn FnMut(&mut [u8]) -> Result<(), E>,
) -> Result<(), E> {
    let limit = 256 / alphabet.len() * alphabet.len();
    let mut pool = Zeroizing::new([0u8; 64]);
    let mut left = 0;
    for slot in out {
        loop {
            if left == 0 {
                fill(&mut pool[..])?;
                left = pool.len();
            }
            left -= 1;
            let byte = usize::from(pool[left]);
            if byte < limit {
                *slot = alphabet[byte % alphabet.len()];
                break;
            }
        }
    }
    Ok(())
}

impl Secret {
    /// Generates `PREFIX_`, 32 base62 characters from `fill`, and a checksum of 6 characters over everything
    /// before it.
    pub fn mint<E>(prefix: &Prefix, fill: &mut dyn FnMut(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let head = prefix.0.len() + 1;
        // The buffer must not grow, because a reallocation would leave a copy in memory.
        let mut text = Zeroizing::new(Vec::with_capacity(head + BODY_LEN));
        text.extend_from_slice(prefix.0.as_bytes());
        text.push(b'_');
        text.resize(head + RANDOM_LEN, 0);
        random_text(&mut text[head..], ALPHABET, fill)?;
        let check = checksum(&text);
        text.extend_from_slice(&check);
        Ok(Self(text))
    }

    /// Reads a secret, which can be followed by one newline. Returns `None` for a text that cannot be a
    /// secret: too short, too long, not printable ASCII, or in the form of a generated secret with a wrong
    /// checksum.
    pub fn read(mut input: Zeroizing<Vec<u8>>) -> Option<Self> {
        for end in [b'\n', b'\r'] {
            if input.last() == Some(&end) {
                input.pop();
            } else if end == b'\n' {
                break;
            }
        }
        let printable = input.iter().all(u8::is_ascii_graphic);
        if !printable || !FOREIGN_LEN.contains(&input.len()) || checksum_is_right(&input) == Some(false) {
            return None;
        }
        Some(Self(input))
    }

    /// Reads what a person typed or pasted. Ignores whitespace around it and a leading `Bearer`.
    pub fn read_pasted(input: &[u8]) -> Option<Self> {
        // Input of the maximum length might have been cut off within the secret.
        if input.len() >= INPUT_MAX {
            return None;
        }
        let text = input.trim_ascii();
        let scheme =
            text.split_at_checked(BEARER.len()).filter(|(start, _)| start.eq_ignore_ascii_case(BEARER));
        let text = scheme.map_or(text, |(_, token)| token.trim_ascii_start());
        Self::read(Zeroizing::new(text.to_vec()))
    }

    /// The text of the secret. The caller is responsible for what happens to it.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }

    /// The hint `tkn_AbCd…`: enough to recognise the secret, but too little to guess it.
    pub fn hint(&self) -> String {
        hint(&self.0)
    }
}

/// The hint of a secret.
pub fn hint(secret: &[u8]) -> String {
    let head = if checksum_is_right(secret).is_some() { secret.len() - BODY_LEN } else { 0 };
    format!("{}…", String::from_utf8_lossy(&secret[..head + HINT_LEN]))
}

/// The first four characters of a secret that was made elsewhere, as its hint shows them. `None` for the hint
/// of a generated secret.
pub fn foreign_head(hint: &str) -> Option<&[u8]> {
    hint.strip_suffix('…').map(str::as_bytes).filter(|head| head.len() == HINT_LEN)
}

/// Whether the checksum of a text in the form of a generated secret is right. `None` if it does not have this
/// form.
fn checksum_is_right(text: &[u8]) -> Option<bool> {
    let head = text.len().checked_sub(BODY_LEN + 1)?;
    let (prefix, rest) = text.split_at(head);
    if rest[0] != b'_' || !is_prefix(prefix) || !rest[1..].iter().all(u8::is_ascii_alphanumeric) {
        return None;
    }
    let (all, check) = text.split_at(text.len() - CHECK_LEN);
    Some(checksum(all) == check)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn counting() -> impl FnMut(&mut [u8]) -> Result<(), Infallible> {
        let mut next = 0u8;
        move |buf| {
            for b in buf {
                *b = next;
                next = next.wrapping_add(37);
            }
            Ok(())
        }
    }

    pub(super) fn minted() -> Secret {
        Secret::mint(&Prefix::default(), &mut counting()).unwrap()
    }

    fn read(text: &[u8]) -> Option<Vec<u8>> {
        Secret::read(Zeroizing::new(text.to_vec())).map(|s| s.expose().to_vec())
    }

    #[test]
    fn the_hash_is_derived_with_the_key_of_this_context() {
        let context = "tokenctl 2026-11-22 api token secret v1";
        assert_eq!(CONTEXT_KEY, blake3::hazmat::hash_derive_key_context(context));
        assert_eq!(*SecretHash::of(b"a secret").as_bytes(), blake3::derive_key(context, b"a secret"));
    }

    /// A secret from an earlier release. If the checksum were computed differently, existing secrets would be
    /// malformed.
    #[test]
    fn the_checksum_of_a_secret_never_changes() {
        assert!(read(b"tkn_0123456789abcdefghijABCDEFGHIJKL0LoDuO").is_some());
    }

    #[test]
    fn a_generated_secret_has_the_documented_form_and_can_be_read() {
        let secret = minted();
        let text = secret.expose();
        assert_eq!(text.len(), 4 + 38);
        assert!(text.starts_with(b"tkn_") && text[4..].iter().all(u8::is_ascii_alphanumeric));
        assert_eq!(checksum_is_right(text), Some(true));
        for end in [&b""[..], b"\n", b"\r\n", b"\r"] {
            let with_end = [text, end].concat();
            assert_eq!(read(&with_end).is_some(), end != b"\r", "{end:?}");
        }
        assert_eq!(secret.hint(), format!("{}…", String::from_utf8_lossy(&text[..8])));
    }

    #[test]
    fn pasted_text_is_trimmed() {
        let secret = minted();
        let text = String::from_utf8(secret.expose().to_vec()).unwrap();
        let pasted = |text: &str| Secret::read_pasted(text.as_bytes()).map(|it| it.hash());
        for around in ["{}", "{} ", " \t{}\r\n\n", "Bearer {}", "bearer  {}\n"] {
            assert_eq!(pasted(&around.replace("{}", &text)), Some(secret.hash()), "{around:?}");
        }
        for other in ["Basic {}", "{} {}", "Bearer Bearer {}", "Bearer "] {
            assert_eq!(pasted(&other.replace("{}", &text)), None, "{other:?}");
        }
        // Input that is longer than the limit must not be accepted by its first part.
        let longest = format!("Bearer {}", "x".repeat(INPUT_MAX));
        assert_eq!(pasted(&longest[..INPUT_MAX]), None);
        assert!(pasted(&format!("Bearer {}\n", "x".repeat(512))).is_some());
    }

    #[test]
    fn a_secret_with_one_changed_character_is_malformed() {
        let text = minted().expose().to_vec();
        for at in 4..text.len() {
            let mut changed = text.clone();
            changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
            assert_eq!(read(&changed), None, "{at}");
        }
    }

    #[test]
    fn secrets_made_elsewhere_are_read_and_other_text_is_not() {
        assert!(read(b"0123456789abcdef").is_some());
        assert!(read(&[b'x'; 512]).is_some());
        // These texts only look similar to generated secrets, so no checksum is checked.
        for text in ["Tkn_{}", "tkn-{}", "t_{}", "tkn_-{}"] {
            assert!(read(text.replace("{}", &"x".repeat(BODY_LEN)).as_bytes()).is_some(), "{text}");
        }
        for text in [
            &b""[..],
            b"\n",
            b"short",
            b"has a space in the text",
            b"sixteen\x00bytes\x01ab",
            &[b'x'; 513],
            b"x\n\n",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(read(b"0123456789abcdef\n\n"), None);
    }

    #[test]
    fn every_random_byte_is_used_once_and_every_character_is_equally_likely() {
        let every: Vec<u8> = (0..=255).collect();
        let mut fills = 0u8;
        let mut fill = |pool: &mut [u8]| {
            let next = usize::from(fills % 4) * 64;
            pool.copy_from_slice(&every[next..next + 64]);
            fills += 1;
            Ok::<_, Infallible>(())
        };
        // All 256 values of a byte. 8 of them are discarded, so each of the 62 characters appears 4 times.
        let mut text = [0; 248];
        random_text(&mut text, ALPHABET, &mut fill).expect("the source of bytes does not fail");
        text.sort_unstable();
        assert_eq!(text.to_vec(), ALPHABET.iter().flat_map(|letter| [*letter; 4]).collect::<Vec<_>>());
        assert_eq!(fills, 4);
    }

    #[test]
    fn secrets_with_the_shortest_and_the_longest_prefix_are_found() {
        for prefix in ["ab", "abcdefghij"] {
            let secret = Secret::mint(&prefix.parse().expect("the prefix is valid"), &mut counting())
                .expect("the secret can be generated");
            for before in ["", "-", "--token="] {
                assert!(contains_secret(&[before.as_bytes(), secret.expose()].concat()), "{before}{prefix}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_presented_text_causes_a_panic(input in proptest::collection::vec(0u8.., 0..600)) {
            let _ = contains_secret(&input);
            if let Some(secret) = Secret::read(Zeroizing::new(input)) {
                let _ = (secret.hint(), secret.nominal_bits(), secret.distinct_bits(), secret.hash());
            }
        }
    }
}

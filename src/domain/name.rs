//! Names and ids of tokens, and references to them.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use super::Invalid;
use super::secret::random_text;

/// A token's name: `[A-Za-z0-9][A-Za-z0-9._@-]{0,63}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'@' | b'-'));
        if first && rest && text.len() <= 64 {
            return Ok(Self(text.to_owned()));
        }
        let shown: String = text.chars().take(64).collect();
        Err(Invalid::new(format!("`{}` is not a name", shown.escape_debug()))
            .hint("use letters, digits and . _ @ -, a letter or digit first, at most 64"))
    }
}

/// The characters of an id.
const ID_ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const ID_LEN: usize = 12;
/// The length of the shortest id prefix that can refer to a token.
pub const ID_PREFIX_MIN: usize = 6;

/// A name for a new token. It must not look like an id, because it could be mistaken for the id of another
/// token. Older stores can contain such names, so only new names are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewName(pub Name);

impl FromStr for NewName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let name: Name = text.parse()?;
        if is_new_id(text.as_bytes()) {
            return Err(Invalid::new(format!("`{text}` looks like the id of a token"))
                .hint("use a name of another length, without a digit, or with a capital or one of . _ @ -"));
        }
        Ok(Self(name))
    }
}

/// Whether a text has the form of the ids that this version creates. They contain a digit, so that an
/// ordinary word of the same length can be a name.
fn is_new_id(text: &[u8]) -> bool {
    text.len() == ID_LEN && text.iter().copied().all(is_id_byte) && text.iter().any(u8::is_ascii_digit)
}

/// A token's id: 12 random lower-case letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(String);

impl TokenId {
    /// The id of a token that is only planned. It is shown and checked, but never stored.
    pub fn planned() -> Self {
        Self("planned00000".to_owned())
    }

    /// Creates a random id. `fill` fills a buffer with random bytes, and its error is returned.
    pub fn random<E>(fill: &mut dyn FnMut(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut id = [0; ID_LEN];
        while !is_new_id(&id) {
            random_text(&mut id, ID_ALPHABET, fill)?;
        }
        Ok(Self(id.iter().copied().map(char::from).collect()))
    }
}

impl Deref for TokenId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TokenId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.len() == ID_LEN && is_id_prefix(text) {
            return Ok(Self(text.to_owned()));
        }
        let shown: String = text.chars().take(64).collect();
        Err(Invalid::new(format!("`{}` is not an id of a token", shown.escape_debug()))
            .hint("an id has 12 lower-case letters and digits"))
    }
}

/// Whether a text has the form of an id, or of an id prefix that is long enough to refer to a token.
pub fn is_id_prefix(text: &str) -> bool {
    (ID_PREFIX_MIN..=ID_LEN).contains(&text.len()) && text.bytes().all(is_id_byte)
}

/// Whether a byte is in [`ID_ALPHABET`].
fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// Returns the beginning and the end of a name that a list has shortened in its middle. Each has at least two
/// characters.
pub fn cut_ends(text: &str) -> Option<(&str, &str)> {
    let (head, tail) = text.split_once('…').or_else(|| text.split_once("..."))?;
    let name: Result<Name, Invalid> = format!("{head}{tail}").parse();
    (head.len() >= 2 && tail.len() >= 2 && name.is_ok()).then_some((head, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_contains_nothing_that_a_shell_or_terminal_interprets() {
        for text in ["a", "ci.build-7_x@host", &"x".repeat(64)] {
            assert!(text.parse::<Name>().is_ok(), "{text}");
        }
        for text in ["", "-a", ".a", "a b", "a/b", "a\n", "é", "$(x)", &"x".repeat(65)] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_new_name_must_not_look_like_an_id() {
        for text in ["abcdef123456", "0123456789ab", "aaaaaaaaaaa0"] {
            assert!(text.parse::<NewName>().is_err() && text.parse::<Name>().is_ok(), "{text}");
        }
        for text in ["notification", "service1-web", "abcdef12345", "abcdef1234567", "Abcdef123456"] {
            assert!(text.parse::<NewName>().is_ok(), "{text}");
        }
        assert!("a b".parse::<NewName>().is_err());
    }

    #[test]
    fn an_id_has_exactly_twelve_lower_case_letters_and_digits() {
        assert!("abcdef123456".parse::<TokenId>().is_ok());
        for text in ["", "abcdef12345", "abcdef1234567", "abcdef12345A", "abcdef12345-", "é2345678901"] {
            assert!(text.parse::<TokenId>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_id_prefix_has_six_to_twelve_characters() {
        assert!(is_id_prefix("abc123") && is_id_prefix("abcdef123456"));
        assert!(!is_id_prefix("abc12") && !is_id_prefix("abcdef1234567") && !is_id_prefix("ABC123"));
    }

    #[test]
    fn a_cut_name_has_two_characters_at_each_end() {
        assert_eq!(cut_ends("depl…st-1"), Some(("depl", "st-1")));
        assert_eq!(cut_ends("dep...-1"), Some(("dep", "-1")));
        let long = "x".repeat(32);
        for text in
            ["deploy", "tkn_AbCd…", "a…bc", "ab…c", "ab…*d", "-b…cd", "ab…c…de", &format!("{long}…{long}x")]
        {
            assert_eq!(cut_ends(text), None, "{text}");
        }
    }
}

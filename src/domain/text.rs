//! Checks free text that people type: descriptions, owners, reasons, labels and icons. Such text must not
//! contain hidden characters, or control characters that move the cursor.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::Invalid;

const MAX_CHARS: usize = 1_000;
const MAX_LABEL_CHARS: usize = 63;
/// Variation selector 16, which asks for the emoji form of the preceding character. It is the only invisible
/// character that an icon can contain.
const EMOJI_STYLE: char = '\u{fe0f}';
const JOINER: char = '\u{200d}';
const NON_JOINER: char = '\u{200c}';
const SKIN_TONES: RangeInclusive<char> = '\u{1f3fb}'..='\u{1f3ff}';
const KEYCAP: char = '\u{20e3}';

/// Whether a character is invisible or controls the display: a control character, a direction mark, a filler,
/// or another character without width.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// How many characters must be added, removed, changed or swapped to turn one word into the other.
pub fn edit_distance(word: &str, other: &str) -> usize {
    strsim::osa_distance(word, other)
}

/// Returns the word that is most similar to a mistyped one, or `None` if no word is similar enough.
pub fn nearest<'a>(typed: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// A longer word is not compared, since the time grows with the product of both lengths.
    const MAX_BYTES: usize = 100;
    /// The minimum Jaro-Winkler similarity, where 1 means equal. A word with one mistyped character usually
    /// exceeds it.
    const MIN_SIMILARITY: f64 = 0.8;
    if typed.len() > MAX_BYTES {
        return None;
    }
    let typed = typed.to_lowercase();
    let distance = |word: &'a str| {
        let other = word.to_lowercase();
        let is_similar = strsim::jaro_winkler(&other, &typed) > MIN_SIMILARITY;
        is_similar.then(|| (strsim::osa_distance(&other, &typed), word))
    };
    words.into_iter().filter_map(distance).min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

/// The characters of a text, and whether each one is hidden. A joiner or an emoji variation selector does not
/// count as hidden if it changes how its neighbours look.
pub fn chars_with_hidden(text: &str) -> impl Iterator<Item = (char, bool)> + '_ {
    let mut before = None;
    let mut chars = text.chars().peekable();
    std::iter::from_fn(move || {
        let c = chars.next()?;
        let hidden = is_hidden(c)
            && !before.is_some_and(|before| changes_neighbours(before, c, chars.peek().copied()));
        before = Some(c);
        Some((c, hidden))
    })
}

fn changes_neighbours(before: char, c: char, after: Option<char>) -> bool {
    let after = |is: fn(char) -> bool| after.is_some_and(is);
    match c {
        EMOJI_STYLE if after(|c| c == KEYCAP) => matches!(before, '0'..='9' | '#' | '*'),
        EMOJI_STYLE => is_emoji(before),
        JOINER if after(is_emoji) => is_emoji(before) || before == EMOJI_STYLE,
        JOINER | NON_JOINER => joins(before) && after(joins),
        _ => false,
    }
}

/// Whether a character is in one of the blocks of emoji, or of symbols that have an emoji form.
fn is_emoji(c: char) -> bool {
    matches!(c,
        '©' | '®' | '‼' | '⁉' | '™' | 'ℹ' | '\u{2190}'..='\u{21ff}' | '\u{2300}'..='\u{23ff}' | 'Ⓜ'
        | '\u{25a0}'..='\u{27bf}' | '\u{2900}'..='\u{297f}' | '\u{2b00}'..='\u{2bff}' | '〰' | '〽' | '㊗' | '㊙'
        | '\u{1f000}'..='\u{1faff}')
}

/// Whether a character belongs to a script whose letters join. Between other letters, such as Latin ones, a
/// joiner has no visible effect, so it could only serve to hide something.
fn joins(c: char) -> bool {
    let script = matches!(c, '\u{590}'..='\u{1cff}' | '\u{a800}'..='\u{abff}' | '\u{fb50}'..='\u{fefc}' | '\u{10a00}'..='\u{11fff}');
    script && (c.is_alphabetic() || is_combining_mark(c))
}

/// The first hidden character of a text.
pub fn hidden_in(text: &str) -> Option<char> {
    chars_with_hidden(text).find(|(_, hidden)| *hidden).map(|(c, _)| c)
}

/// Converts a text to its stored form: trimmed, and in Unicode normalization form C, so that texts that look
/// the same are equal.
fn normalize(text: &str) -> String {
    text.trim().nfc().collect()
}

fn check_visible(what: &str, text: &str) -> Result<(), Invalid> {
    if let Some(c) = hidden_in(text) {
        return Err(Invalid::new(format!(
            "the {what} contains the invisible character {}",
            c.escape_unicode()
        ))
        .hint("use one line of visible characters"));
    }
    if text.chars().nth(MAX_CHARS).is_some() {
        return Err(Invalid::new(format!("the {what} is longer than {MAX_CHARS} characters")));
    }
    Ok(())
}

/// One line of up to 1,000 visible characters, trimmed. An empty line is treated as no value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line(String);

impl Line {
    /// Wraps a text from the store without checking it again.
    pub fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// `None` if empty.
    pub fn into_option(self) -> Option<String> {
        Some(self.0).filter(|text| !text.is_empty())
    }
}

impl FromStr for Line {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        check_visible("text", text)?;
        Ok(Self(normalize(text)))
    }
}

/// Text that must not be empty, such as the value of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NonEmpty(pub String);

impl FromStr for NonEmpty {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.parse::<Line>()?.into_option().map(Self).ok_or_else(|| Invalid::new("the value is empty"))
    }
}

/// An icon: one character that is at most two columns wide, or an empty text for no icon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Icon(String);

impl Icon {
    /// Wraps an icon from the store without checking it again.
    pub fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub fn into_option(self) -> Option<String> {
        Some(self.0).filter(|text| !text.is_empty())
    }
}

impl FromStr for Icon {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bare = text.strip_suffix(EMOJI_STYLE).unwrap_or(text);
        check_visible("icon", bare)?;
        let is_single = !bare.contains(is_hidden) && text.graphemes(true).count() == 1;
        let is_valid = is_single && (1..=2).contains(&text.width()) && text.trim() == text;
        if is_valid || text.is_empty() {
            return Ok(Self(normalize(text)));
        }
        Err(Invalid::new("the icon is not a single character or emoji").hint("use one character, like `🔑`"))
    }
}

/// A label `KEY=VALUE`. The key is at most 63 ASCII letters, digits and `. _ - /`, and starts with a letter
/// or digit. The value is one visible line. An empty value removes the label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    pub key: String,
    pub value: String,
}

/// Fails if two labels have the same key.
pub fn check_unique_keys<'a>(labels: impl IntoIterator<Item = &'a Label>) -> Result<(), Invalid> {
    let mut keys = BTreeSet::new();
    match labels.into_iter().find(|label| !keys.insert(&label.key)) {
        Some(twice) => Err(Invalid::new(format!("the label `{}` is given twice", twice.key))),
        None => Ok(()),
    }
}

impl FromStr for Label {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let not_a_label = || {
            Invalid::new(format!("`{}` is not a label", text.escape_debug()))
                .hint("use KEY=VALUE, like `env=production`")
        };
        let (key, value) = text.split_once('=').ok_or_else(not_a_label)?;
        let first = key.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        let rest = key.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
        if !first || !rest || key.len() > MAX_LABEL_CHARS {
            return Err(not_a_label());
        }
        check_visible("label", value)?;
        Ok(Self { key: key.to_owned(), value: normalize(value) })
    }
}

/// A label whose value is not empty. Tokens have such labels, and `verify` can require them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetLabel(pub Label);

impl FromStr for SetLabel {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let label: Label = text.parse()?;
        if label.value.is_empty() {
            return Err(Invalid::new(format!("the label `{}` has no value", label.key)).hint("use KEY=VALUE"));
        }
        Ok(Self(label))
    }
}

/// A boolean setting, `true` or `false`.
pub fn switch(text: &str) -> Result<bool, Invalid> {
    text.parse().map_err(|_| Invalid::new(format!("`{}` is neither `true` nor `false`", text.escape_debug())))
}

/// Escapes the hidden characters of a text, so that a text of unknown origin is safe to show.
pub fn shown(text: &str) -> impl fmt::Display + '_ {
    struct Shown<'a>(&'a str);
    impl fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            use fmt::Write as _;
            for (c, hidden) in chars_with_hidden(self.0) {
                if hidden { write!(f, "{}", c.escape_unicode())? } else { f.write_char(c)? }
            }
            Ok(())
        }
    }
    Shown(text)
}

/// Removes skin tones, variation selectors and joiners from emoji.
pub fn plain_emoji(text: &mut String) {
    let mut before = ' ';
    text.retain(|c| {
        let joins_emoji = c == JOINER && (is_emoji(before) || before == EMOJI_STYLE);
        before = c;
        !joins_emoji && c != EMOJI_STYLE && !SKIN_TONES.contains(&c)
    });
}

/// Returns an icon for display, without its variation selector, because terminals disagree about the width of
/// a character that has one.
pub fn shown_icon(icon: &str) -> String {
    shown(icon.trim_end_matches(EMOJI_STYLE)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_word_finds_the_intended_one() {
        let words = ["name", "status", "last-used"];
        for (typed, meant) in [("nmae", "name"), ("STATUS", "status"), ("last_used", "last-used")] {
            assert_eq!(nearest(typed, words), Some(meant));
        }
        // The word with the smallest distance wins, and the first one among equals.
        let family = ["deploy-000", "deploy-090", "deploy-099"];
        assert_eq!(nearest("deploy-09x", family), Some("deploy-090"));
        assert_eq!(nearest("deploy-9x9", family), Some("deploy-099"));
        assert_eq!(nearest("owner", words), None);
        assert_eq!(nearest("", words), None);
        // Words of more than 100 bytes are not compared, since that would take too long.
        let long = "x".repeat(101);
        assert_eq!(nearest(&long, [&*long]), None);
    }

    #[test]
    fn hidden_and_control_characters_are_refused() {
        for text in [
            "a\nb",
            "a\tb",
            "\x1b[31m",
            "a\u{202e}b",
            "a\u{200b}b",
            "\u{feff}a",
            "a\u{2028}b",
            "\u{7f}",
            "\u{9b}",
        ] {
            assert!(text.parse::<Line>().is_err(), "{text:?}");
            assert!(format!("env={text}").parse::<Label>().is_err(), "{text:?}");
        }
        assert!("x".repeat(1_000).parse::<Line>().is_ok());
        assert!("x".repeat(1_001).parse::<Line>().is_err());
        assert_eq!("  ".parse::<Line>().unwrap().into_option(), None);
        assert_eq!(shown("a\x1b[0m\u{202e}").to_string(), "a\\u{1b}[0m\\u{202e}");
    }

    #[test]
    fn joiners_and_variation_selectors_are_allowed_where_they_change_their_neighbours() {
        for text in [
            "⚠\u{fe0f} prod",
            "1\u{fe0f}\u{20e3}",
            "👨\u{200d}👩\u{200d}👧",
            "❤\u{fe0f}\u{200d}🔥",
            "👩\u{1f3fd}\u{200d}💻",
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
        ] {
            assert_eq!(text.parse::<Line>().unwrap().into_option().as_deref(), Some(text));
            assert_eq!(shown(text).to_string(), text);
        }
        for text in [
            "\u{200d}",
            "a\u{200d}b",
            "a\u{200c}b",
            "می\u{200c}",
            "م\u{200c} ی",
            "a\u{fe0f}",
            "1\u{fe0f}",
            "\u{fe0f}⚠",
            "⚠\u{fe0f}\u{fe0f}",
            "🔑\u{200d}",
            "م\u{200f}ی",
            "م\u{202e}ی",
        ] {
            assert!(text.parse::<Line>().is_err(), "{text:?}");
            assert!(shown(text).to_string().contains("\\u{"), "{text:?}");
        }
    }

    #[test]
    fn plain_emoji_have_no_modifiers_and_letters_are_unchanged() {
        let mut text = "👩\u{1f3fd}\u{200d}💻 ⚠\u{fe0f}, ❤\u{fe0f}\u{200d}🔥, क्\u{200d}ष".to_owned();
        plain_emoji(&mut text);
        assert_eq!(text, "👩💻 ⚠, ❤🔥, क्\u{200d}ष");
    }

    #[test]
    fn texts_that_look_the_same_are_the_same() {
        assert_eq!("Zoe\u{308}".parse::<Line>(), "Zo\u{eb}".parse::<Line>());
        assert_eq!("who=Zoe\u{308}".parse::<Label>(), "who=Zo\u{eb}".parse::<Label>());
        assert_eq!("e\u{301}".parse::<Icon>(), "\u{e9}".parse::<Icon>());
    }

    #[test]
    fn an_icon_is_one_character_at_most_two_columns_wide() {
        for text in ["🔑", "⚙️", "é", "K", ""] {
            assert!(text.parse::<Icon>().is_ok(), "{text:?}");
        }
        for text in ["ab", "🔑🔑", "\u{200d}", "\x1b", " ", "\u{fe0f}", "👨\u{200d}👩\u{200d}👧", "\u{301}"]
        {
            assert!(text.parse::<Icon>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_label_is_key_and_value() {
        let label: Label = "env=a=b".parse().unwrap();
        assert_eq!((label.key.as_str(), label.value.as_str()), ("env", "a=b"));
        for text in ["env", "=x", "-a=x", "a b=x", "", "k\u{e9}=x"] {
            assert!(text.parse::<Label>().is_err(), "{text:?}");
        }
        assert!("env=".parse::<Label>().is_ok());
        let key = |len| format!("{}=x", "k".repeat(len)).parse::<Label>();
        assert!(key(MAX_LABEL_CHARS).is_ok() && key(MAX_LABEL_CHARS + 1).is_err());
        assert!("env=".parse::<SetLabel>().is_err());
    }
}

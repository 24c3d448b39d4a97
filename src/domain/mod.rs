//! The rules of tokenctl. They depend only on their arguments, and use no clock, random numbers, disk or
//! terminal.

pub mod address;
pub mod changes;
pub mod check;
pub mod code;
pub mod destination;
pub mod digest;
pub mod event;
pub mod filter;
pub mod hook;
pub mod lifetime;
pub mod name;
pub mod plan;
pub mod policy;
pub mod prune;
pub mod restore;
pub mod scope;
pub mod secret;
pub mod settings;
pub mod text;
pub mod token;
pub mod verdict;
pub mod wanted;
pub mod when;
pub mod widening;

/// The error for a value that breaks a rule. `message` names the value, and `hint` says what to type instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    pub message: String,
    pub hint: Option<String>,
}

impl Invalid {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// The error for a word that is not one of `words`. The hint suggests the most similar word, or lists
    /// them all.
    pub fn no_such(what: &str, typed: &str, words: &[&str]) -> Self {
        let hint = match text::nearest(typed, words.iter().copied()) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("use one of {}", words.join(", ")),
        };
        let article = if what.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        Self::new(format!("`{}` is not {article} {what}", typed.escape_debug())).hint(hint)
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl std::fmt::Display for Invalid {
    /// Formats only the message; callers show the hint below it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Invalid {}

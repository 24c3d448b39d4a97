//! The rules, without clock, random, disk or terminal: everything here is a function of its arguments.

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

/// A value that a person typed and that no rule admits. `message` names the value, `hint` what to type instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    pub message: String,
    pub hint: Option<String>,
}

impl Invalid {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// A word that is none of these; the hint is the one it is most like, or all.
    pub fn no_such(what: &str, typed: &str, words: &[&str]) -> Self {
        let hint = match text::nearest(typed, words.iter().copied()) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("one of {}", words.join(", ")),
        };
        Self::new(format!("`{}` is not a {what}", typed.escape_debug())).hint(hint)
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl std::fmt::Display for Invalid {
    /// The message; whoever shows it shows the hint below it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Invalid {}

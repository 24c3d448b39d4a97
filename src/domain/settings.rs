//! The settings of a store: the name, default and rule of each.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::Invalid;
use super::secret::Prefix;
use super::text::{self, Line};
use super::when::{Span, is_none};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub prefix: Prefix,
    /// The lifetime of a token that is created without one. `None` means that it does not expire.
    pub default_ttl: Option<Span>,
    pub max_ttl: Option<Span>,
    pub grace: Span,
    /// The URL at which the secret is used, for the usage hint.
    pub url: Option<String>,
    /// The header that carries the secret, which replaces `{}`.
    pub header: String,
    pub require_owner: bool,
    pub require_description: bool,
    /// Facts about the store, which users cannot set.
    pub facts: BTreeMap<Fact, String>,
}

/// Facts about the store. Their keys differ from those of all settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// A random UUID.
    StoreId,
    /// `private`, or `group:GID` with the group that is allowed to read the store.
    Sharing,
}

impl Fact {
    pub const ALL: [Fact; 2] = [Self::StoreId, Self::Sharing];

    pub fn word(self) -> &'static str {
        match self {
            Self::StoreId => "store-id",
            Self::Sharing => "sharing",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            prefix: Prefix::default(),
            default_ttl: Some(Span::days(90)),
            max_ttl: None,
            grace: Span::hours(24),
            url: None,
            header: "Authorization: Bearer {}".to_owned(),
            require_owner: false,
            require_description: false,
            facts: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Prefix,
    DefaultTtl,
    MaxTtl,
    Grace,
    Url,
    Header,
    RequireOwner,
    RequireDescription,
}

impl Key {
    pub const ALL: [Key; 8] = [
        Self::Prefix,
        Self::DefaultTtl,
        Self::MaxTtl,
        Self::Grace,
        Self::Url,
        Self::Header,
        Self::RequireOwner,
        Self::RequireDescription,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::DefaultTtl => "default-ttl",
            Self::MaxTtl => "max-ttl",
            Self::Grace => "grace",
            Self::Url => "url",
            Self::Header => "header",
            Self::RequireOwner => "require-owner",
            Self::RequireDescription => "require-description",
        }
    }
}

impl FromStr for Key {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let found = Self::ALL.into_iter().find(|key| key.word() == text);
        found.ok_or_else(|| Invalid::no_such("setting", text, &Self::ALL.map(Self::word)))
    }
}

impl Settings {
    /// The value for display. An absent value is `none`.
    pub fn shown(&self, key: Key) -> String {
        let value = self.get(key);
        if value.is_empty() { "none".to_owned() } else { value }
    }

    /// The stored rows by key: the values that differ from the defaults, and the facts.
    pub fn rows(&self) -> BTreeMap<&'static str, String> {
        let default = Self::default();
        let set = Key::ALL.into_iter().filter(|key| self.get(*key) != default.get(*key));
        let facts = self.facts.iter().map(|(fact, value)| (fact.word(), value.clone()));
        set.map(|key| (key.word(), self.get(key))).chain(facts).collect()
    }

    /// The value in the form that `set` parses. An absent value is `none` or empty. Digests cover this text.
    pub fn get(&self, key: Key) -> String {
        let span = |span: Option<Span>| span.map_or_else(|| "none".to_owned(), |span| span.to_string());
        match key {
            Key::Prefix => self.prefix.as_str().to_owned(),
            Key::DefaultTtl => span(self.default_ttl),
            Key::MaxTtl => span(self.max_ttl),
            Key::Grace => self.grace.to_string(),
            Key::Url => self.url.clone().unwrap_or_default(),
            Key::Header => self.header.clone(),
            Key::RequireOwner => self.require_owner.to_string(),
            Key::RequireDescription => self.require_description.to_string(),
        }
    }

    /// Sets `key` to `value`. An empty value restores the default.
    pub fn set(&mut self, key: Key, value: &str) -> Result<(), Invalid> {
        let default = Self::default();
        let value = match value {
            "" => &default.get(key),
            value => value,
        };
        let positive = || match value.parse::<Span>()? {
            span if span.is_zero() => Err(Invalid::new(format!("`{value}` is zero"))),
            span => Ok(Some(span)),
        };
        let lifetime = || if is_none(value) { Ok(None) } else { positive() };
        match key {
            Key::Prefix => self.prefix = value.parse()?,
            Key::DefaultTtl => self.default_ttl = lifetime()?,
            Key::MaxTtl => self.max_ttl = lifetime()?,
            Key::Grace => self.grace = value.parse()?,
            Key::Url => self.url = url(value)?,
            Key::Header => self.header = header(value)?,
            Key::RequireOwner => self.require_owner = text::switch(value)?,
            Key::RequireDescription => self.require_description = text::switch(value)?,
        }
        Ok(())
    }
}

/// The URL and the header are printed within a shell command, in quotes.
fn is_safe_in_quotes(text: &str) -> bool {
    !text.contains(['"', '\\', '`', '$', '!'])
}

fn url(value: &str) -> Result<Option<String>, Invalid> {
    let url = value.parse::<Line>()?.into_option().filter(|url| !is_none(url));
    if url.as_ref().is_none_or(|url| is_safe_in_quotes(url) && !url.contains([' ', '\''])) {
        return Ok(url);
    }
    Err(Invalid::new("the url has a blank or a character that is special to shells")
        .hint("like `https://api.example/v1`"))
}

fn header(value: &str) -> Result<String, Invalid> {
    let line = value.parse::<Line>()?.into_option().unwrap_or_default();
    if line.matches("{}").count() == 1 && line.contains(':') && is_safe_in_quotes(&line) {
        return Ok(line);
    }
    Err(Invalid::new("the header is not `Name: value` with one `{}` for the secret")
        .hint("like `Authorization: Bearer {}`"))
}

/// The error that the store requires something that is missing.
pub fn demand(what: &str) -> Invalid {
    Invalid::new(format!("this store requires {what} for every token"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_valid_and_an_empty_value_restores_it() {
        for key in Key::ALL {
            let default = Settings::default();
            let mut changed = default.clone();
            for value in ["none", "abc", "X-Key: {}", "true", "7d"] {
                let _ = changed.set(key, value);
            }
            assert_ne!(changed.get(key), default.get(key), "{}", key.word());
            assert_eq!(changed.set(key, ""), Ok(()), "{}", key.word());
            assert_eq!(changed.get(key), default.get(key));
        }
    }

    #[test]
    fn a_value_that_breaks_its_rule_changes_nothing() {
        let invalid = [
            (Key::Prefix, "Tkn"),
            (Key::Prefix, "t"),
            (Key::DefaultTtl, "0d"),
            (Key::MaxTtl, "90"),
            (Key::Grace, "none"),
            (Key::Header, "Authorization: Bearer"),
            (Key::Header, "X: \"{}\""),
            (Key::RequireOwner, "yes"),
            (Key::Url, "a\nb"),
            (Key::Url, "https://h/$(id)"),
        ];
        for (key, value) in invalid {
            let mut settings = Settings::default();
            assert!(settings.set(key, value).is_err(), "{} {value}", key.word());
            assert_eq!(settings, Settings::default());
        }
    }
}

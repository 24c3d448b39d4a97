//! Scopes: their spelling, the catalogue of existing scopes, and which scopes include which.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::Invalid;
use super::text;
use super::when::Timestamp;

/// Words `[a-z0-9][a-z0-9._-]*` joined by `:`, at most 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope(String);

impl Scope {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Scope {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let word = |word: &str| {
            let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            word.bytes().next().is_some_and(lower) && word.bytes().all(|b| lower(b) || b"._-".contains(&b))
        };
        if text.len() <= 64 && text.split(':').all(word) {
            return Ok(Self(text.to_owned()));
        }
        let shown: String = text.chars().take(64).collect();
        Err(Invalid::new(format!("`{}` is not a scope", shown.escape_debug()))
            .hint("use lower-case words joined by `:`, like `events:read`, at most 64 characters"))
    }
}

/// One scope of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The row in the store. Grants refer to it, so a rename does not change them.
    pub row: i64,
    /// 12 random characters that identify the scope in the log. Empty in a store of version 1, which had no
    /// ids.
    pub id: String,
    pub name: Scope,
    pub description: Option<String>,
    pub includes: BTreeSet<Scope>,
    pub created_at: Timestamp,
    pub retired_at: Option<Timestamp>,
}

/// The scopes that exist, by name.
#[derive(Debug, Clone, Default)]
pub struct Catalogue(BTreeMap<Scope, Entry>);

impl Catalogue {
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        Self(entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, scope: &Scope) -> Option<&Entry> {
        self.0.get(scope)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.values()
    }

    /// The scopes that can be granted.
    pub fn open(&self) -> impl Iterator<Item = &Entry> {
        self.iter().filter(|entry| entry.retired_at.is_none())
    }

    /// The existing scope that is most similar to a mistyped one.
    pub fn nearest(&self, scope: &Scope) -> Option<&str> {
        text::nearest(scope.as_str(), self.0.keys().map(Scope::as_str))
    }

    /// All scopes that these grants allow: the granted ones and everything that they include.
    pub fn closure<'a>(&'a self, grants: impl IntoIterator<Item = &'a Scope>) -> BTreeSet<&'a Scope> {
        let mut held = BTreeSet::new();
        let mut open: Vec<&Scope> = grants.into_iter().collect();
        while let Some(scope) = open.pop() {
            if held.insert(scope) {
                open.extend(self.0.get(scope).into_iter().flat_map(|entry| &entry.includes));
            }
        }
        held
    }

    /// Returns the catalogue with this entry in place of the one with the same row. If its name is new, the
    /// includes of other scopes follow.
    #[must_use]
    pub fn with(&self, changed: &Entry) -> Self {
        let old = self.iter().find(|entry| entry.row == changed.row).map(|entry| &entry.name);
        let others = self.iter().filter(|entry| entry.row != changed.row).cloned().map(|mut entry| {
            if old.is_some_and(|old| entry.includes.remove(old)) {
                entry.includes.insert(changed.name.clone());
            }
            entry
        });
        Self::new(others.chain([changed.clone()]).collect::<Vec<_>>())
    }

    /// Whether `scope` would include itself, directly or through others, if it included these scopes.
    pub fn would_circle<'a>(&'a self, scope: &Scope, includes: impl IntoIterator<Item = &'a Scope>) -> bool {
        self.closure(includes).contains(scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        text.parse().expect(text)
    }

    fn catalogue(includes: &[(&str, &[&str])]) -> Catalogue {
        Catalogue::new(includes.iter().zip(1..).map(|((name, includes), row)| Entry {
            row,
            id: format!("scope{row:07}"),
            name: scope(name),
            description: None,
            includes: includes.iter().map(|s| scope(s)).collect(),
            created_at: Timestamp::MIN,
            retired_at: None,
        }))
    }

    #[test]
    fn a_scope_is_words_joined_by_colons() {
        for text in ["admin", "events:read", "a.b-c_d:0:z", &"x".repeat(64)] {
            assert!(text.parse::<Scope>().is_ok(), "{text}");
        }
        for text in ["", ":", "a:", ":a", "a::b", "A", "a b", "*", "a:*", "-a", "a\n", &"x".repeat(65)] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }

    #[test]
    fn includes_are_followed_through_all_levels() {
        let all = catalogue(&[("admin", &["write"]), ("write", &["read"]), ("read", &[]), ("other", &[])]);
        let admin = scope("admin");
        let held: Vec<&str> = all.closure([&admin]).into_iter().map(Scope::as_str).collect();
        assert_eq!(held, ["admin", "read", "write"]);
        assert!(all.would_circle(&scope("read"), [&admin]));
        assert!(!all.would_circle(&admin, [&scope("read")]));
    }

    #[test]
    fn a_mistyped_scope_finds_the_most_similar_one() {
        let all = catalogue(&[("events:read", &[]), ("events:write", &[]), ("admin", &[])]);
        assert_eq!(all.nearest(&scope("event:read")), Some("events:read"));
        assert_eq!(all.nearest(&scope("zzz")), None);
    }

    #[test]
    fn a_renamed_scope_stays_included() {
        let before = catalogue(&[("write", &["read"]), ("read", &[]), ("other", &[])]);
        let renamed = Entry { name: scope("see"), ..before.get(&scope("read")).unwrap().clone() };
        let after = before.with(&renamed);
        let includes: Vec<_> = after
            .iter()
            .map(|it| (it.name.as_str(), it.includes.iter().map(Scope::as_str).collect()))
            .collect();
        assert_eq!(includes, [("other", vec![]), ("see", vec![]), ("write", vec!["see"])]);
    }
}

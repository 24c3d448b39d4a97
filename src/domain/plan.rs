//! The changes that make a store match a file, in the order in which they are made.

use super::changes::{self, Change};
use super::name::Name;
use super::scope::Entry;
use super::settings::{Key, Settings};
use super::token::Token;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Setting,
    Scope,
    Token,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Setting => "setting",
            Self::Scope => "scope",
            Self::Token => "token",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Create,
    Update,
    Revoke,
}

impl Doing {
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Revoke => "revoke",
        }
    }
}

/// One change to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub kind: Kind,
    pub name: String,
    pub doing: Doing,
    pub changes: Vec<Change>,
    /// Whether a token can do more than before. A new token does not count.
    pub widens: bool,
}

/// Fields that are not listed, because they follow from other fields or change with time.
const DERIVED: [&str; 4] = ["name", "expires_at", "secrets", "revoked_secrets"];

/// Converts a change to the key and value that the file has for it.
fn as_wanted(change: &mut Change) {
    let key = match change.field.as_str() {
        "disabled_at" => {
            for side in [&mut change.from, &mut change.to] {
                *side = side.take().map(|_| true.to_string());
            }
            "disabled"
        }
        "until" => "expires",
        "hook" => "after",
        _ => return,
    };
    key.clone_into(&mut change.field);
}

impl Item {
    /// The change of a setting, if its value differs.
    pub fn of_setting(key: Key, before: &Settings, after: &Settings) -> Option<Self> {
        let (from, to) = (before.shown(key), after.shown(key));
        let name = key.word().to_owned();
        (from != to).then(|| Self {
            kind: Kind::Setting,
            doing: Doing::Update,
            changes: vec![Change { field: name.clone(), from: Some(from), to: Some(to) }],
            name,
            widens: false,
        })
    }

    pub fn of_scope(before: Option<&Entry>, after: &Entry, widens: bool) -> Self {
        Self {
            kind: Kind::Scope,
            name: after.name.to_string(),
            doing: if before.is_some() { Doing::Update } else { Doing::Create },
            changes: changes::of_scope(before, after),
            widens,
        }
    }

    /// The creation or change of a token.
    pub fn of_token(before: Option<&Token>, after: &Token, widens: bool) -> Self {
        let mut changes = changes::of_token(before, Some(after));
        changes.retain(|change| !DERIVED.contains(&change.field.as_str()));
        changes.iter_mut().for_each(as_wanted);
        Self {
            kind: Kind::Token,
            name: after.name.to_string(),
            doing: if before.is_some() { Doing::Update } else { Doing::Create },
            changes,
            widens,
        }
    }

    /// The creation of a token of which only the name is known.
    pub fn of_new(name: &Name) -> Self {
        let (kind, name) = (Kind::Token, name.to_string());
        Self { kind, name, doing: Doing::Create, changes: Vec::new(), widens: false }
    }

    pub fn is_of_token(&self, name: &Name) -> bool {
        self.kind == Kind::Token && self.name == name.as_str()
    }

    pub fn of_revocation(token: &Token) -> Self {
        let (kind, name) = (Kind::Token, token.name.to_string());
        Self { kind, name, doing: Doing::Revoke, changes: Vec::new(), widens: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::tests::{at, secret, token};

    #[test]
    fn a_change_has_the_key_that_the_file_uses() {
        let before = token(vec![secret(1, 0)]);
        let mut after = before.clone();
        after.disabled_at = Some(at(1));
        after.lifetime = crate::domain::lifetime::Lifetime::Until(at(9));
        after.hook = Some("reload".to_owned());
        let fields = Item::of_token(Some(&before), &after, false).changes;
        let words: Vec<_> = fields.iter().map(|it| (&*it.field, it.to.as_deref().unwrap_or("-"))).collect();
        let until = String::from_utf8(at(9).rfc3339().to_vec()).unwrap();
        assert_eq!(words, [("disabled", "true"), ("expires", &*until), ("after", "reload")]);
    }

    #[test]
    fn an_item_belongs_to_a_token_if_kind_and_name_match() {
        let (demo, other): (Name, Name) = ("demo".parse().unwrap(), "other".parse().unwrap());
        let item = Item::of_new(&demo);
        assert!(item.is_of_token(&demo) && !item.is_of_token(&other));
        assert!(!Item { kind: Kind::Scope, ..item }.is_of_token(&demo));
    }
}

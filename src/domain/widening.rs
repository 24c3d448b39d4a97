//! Widening: what tokens can do after a change that they could not do before.
//!
//! A widening is a value, so that a person approves exactly what was shown. If it has grown by the time of
//! the change, the approval does not cover it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::address::{AllowFrom, Network};
use super::name::{Name, TokenId};
use super::scope::{Catalogue, Scope};
use super::token::Token;

/// How many tokens, scopes or labels a message lists.
const MAX_LISTED: usize = 5;

/// What each token gains by a change, by the id of the token. Revoked tokens gain nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Widening {
    tokens: BTreeMap<TokenId, Gain>,
    /// Retired scopes that can be granted again.
    reopened: BTreeSet<Scope>,
}

/// What one token gains.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Gain {
    name: Name,
    scopes: BTreeSet<Scope>,
    /// Key and value.
    labels: BTreeSet<(String, String)>,
    /// Networks from which clients can newly use the token. `None` means all networks.
    sources: BTreeSet<Option<Network>>,
}

/// The approval of a widening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approval {
    /// A flag approves every widening.
    Any,
    /// This widening was shown and approved. It is empty as long as nothing was shown.
    Shown(Widening),
}

impl Approval {
    /// Returns the widening as an error unless it is approved.
    pub fn covers(&self, widening: Widening) -> Result<(), Widening> {
        match self {
            Self::Any => Ok(()),
            Self::Shown(shown) if shown.includes(&widening) => Ok(()),
            Self::Shown(_) => Err(widening),
        }
    }
}

impl Widening {
    /// What a token gains if it or the catalogue changes: scopes that it holds directly or through others,
    /// labels that are added or changed, and networks from which clients can use it.
    pub fn of_token(before: (&Token, &Catalogue), after: (&Token, &Catalogue)) -> Self {
        let held = |(token, catalogue): (&Token, &Catalogue)| -> BTreeSet<Scope> {
            token.held_scopes(catalogue).into_iter().cloned().collect()
        };
        let token = after.0;
        let scopes: BTreeSet<Scope> = held(after).difference(&held(before)).cloned().collect();
        let new = |(key, value): &(&String, &String)| before.0.labels.get(*key) != Some(*value);
        let labels = token.labels.iter().filter(new);
        let labels: BTreeSet<_> = labels.map(|(key, value)| (key.clone(), value.clone())).collect();
        let sources = sources(before.0.allow_from.as_ref(), token.allow_from.as_ref());
        let mut widening = Self::default();
        let gains = !(scopes.is_empty() && labels.is_empty() && sources.is_empty());
        if token.revoked_at.is_none() && gains {
            let name = token.name.clone();
            widening.tokens.insert(token.id.clone(), Gain { name, scopes, labels, sources });
        }
        widening
    }

    /// The widening by a retired scope that can be granted again.
    pub fn of_reopened(scope: &Scope) -> Self {
        Self { reopened: BTreeSet::from([scope.clone()]), ..Self::default() }
    }

    /// Adds the widening of other tokens.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.tokens.extend(other.tokens);
        self.reopened.extend(other.reopened);
        self
    }

    /// The tokens that gain something, by id and name.
    pub fn tokens(&self) -> Vec<(TokenId, Name)> {
        self.tokens.iter().map(|(id, gain)| (id.clone(), gain.name.clone())).collect()
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether this widening covers the other one.
    fn includes(&self, other: &Self) -> bool {
        other.reopened.is_subset(&self.reopened)
            && other.tokens.iter().all(|(id, gain)| {
                self.tokens.get(id).is_some_and(|shown| {
                    gain.scopes.is_subset(&shown.scopes)
                        && gain.labels.is_subset(&shown.labels)
                        && gain.sources.is_subset(&shown.sources)
                })
            })
    }
}

impl fmt::Display for Widening {
    /// The text for people, such as "2 tokens gain `read` (`a`, `b`)".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reopened = some_of(self.reopened.iter().map(ToString::to_string));
        let again = "can be granted again";
        if self.tokens.is_empty() {
            return write!(f, "{reopened} {again}");
        }
        let gains: BTreeSet<String> = self
            .tokens
            .values()
            .flat_map(|gain| {
                let labels = gain.labels.iter().map(|(key, value)| format!("{key}={value}"));
                let sources = gain.sources.iter().map(|it| match it {
                    Some(network) => format!("from {network}"),
                    None => "from everywhere".to_owned(),
                });
                gain.scopes.iter().map(ToString::to_string).chain(labels).chain(sources)
            })
            .collect();
        let count = self.tokens.len();
        let tokens = if count == 1 { "token gains" } else { "tokens gain" };
        let names = some_of(self.tokens.values().map(|gain| gain.name.to_string()));
        write!(f, "{count} {tokens} {} ({names})", some_of(gains.into_iter()))?;
        if reopened.is_empty() { Ok(()) } else { write!(f, ", and {reopened} {again}") }
    }
}

/// The networks that the new rule adds to the old one. Without a rule, all addresses are allowed.
fn sources(before: Option<&AllowFrom>, after: Option<&AllowFrom>) -> BTreeSet<Option<Network>> {
    match (before, after) {
        (None, _) => BTreeSet::new(),
        (Some(_), None) => BTreeSet::from([None]),
        (Some(before), Some(after)) => after.beyond(before).map(Some).collect(),
    }
}

/// Lists the first few words in backticks, and counts the others.
pub fn some_of(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    let named = words.iter().take(MAX_LISTED).cloned().collect::<Vec<_>>().join(", ");
    match words.len().saturating_sub(MAX_LISTED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::tests::{at, token};

    /// A token with these labels, whose id starts with the letter `id`.
    fn labelled(id: &str, labels: &[(&str, &str)]) -> Token {
        let mut it = token(Vec::new());
        it.id = format!("{id}bcdef123456").parse().unwrap();
        it.labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        it
    }

    fn gain(id: &str, before: &[(&str, &str)], after: &[(&str, &str)]) -> Widening {
        let none = Catalogue::default();
        Widening::of_token((&labelled(id, before), &none), (&labelled(id, after), &none))
    }

    #[test]
    fn adding_or_changing_a_label_widens_and_removing_one_does_not() {
        assert_eq!(gain("a", &[], &[("role", "admin")]).to_string(), "1 token gains `role=admin` (`demo`)");
        assert!(!gain("a", &[("env", "dev")], &[("env", "prod")]).is_empty());
        assert!(gain("a", &[("env", "dev"), ("x", "y")], &[("x", "y")]).is_empty());
    }

    #[test]
    fn a_revoked_token_gains_nothing() {
        let none = Catalogue::default();
        let mut after = labelled("a", &[("role", "admin")]);
        after.revoked_at = Some(at(1));
        assert!(Widening::of_token((&labelled("a", &[]), &none), (&after, &none)).is_empty());
    }

    #[test]
    fn an_approval_covers_only_what_was_shown() {
        let shown = gain("a", &[], &[("x", "1")]).and(gain("b", &[], &[("x", "1")]));
        let approval = Approval::Shown(shown.clone());
        assert_eq!(approval.covers(shown), Ok(()));
        assert_eq!(approval.covers(gain("a", &[], &[("x", "1")])), Ok(()));
        for grown in [gain("c", &[], &[("x", "1")]), gain("a", &[], &[("x", "1"), ("y", "2")])] {
            assert_eq!(approval.covers(grown.clone()), Err(grown.clone()));
            assert_eq!(Approval::Any.covers(grown), Ok(()));
        }
    }

    #[test]
    fn a_message_names_the_first_tokens_and_counts_the_others() {
        let all = ["a", "b", "c", "d", "e", "f", "g"].map(|id| gain(id, &[], &[("x", "1")]));
        let all = all.into_iter().fold(Widening::default(), Widening::and);
        let names = ["`demo`"; 5].join(", ");
        assert_eq!(all.to_string(), format!("7 tokens gain `x=1` ({names} and 2 more)"));
    }
}

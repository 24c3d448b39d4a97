//! The wanted state: the settings, scopes and tokens that a file in version control describes, and what must
//! change in a store to match it. Anything that the file leaves out is left unchanged.

use std::collections::{BTreeMap, BTreeSet};

use super::Invalid;
use super::address::AllowFrom;
use super::destination::{Destination, RememberedDestination};
use super::lifetime::{Lifetime, Terms};
use super::name::Name;
use super::policy::Refused;
use super::scope::{Catalogue, Entry, Scope};
use super::settings::{Key, Settings};
use super::text::Label;
use super::token::{Field, Grant, NewToken, Token, TokenChange};
use super::when::{Span, Timestamp};

#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub settings: Vec<(Key, String)>,
    pub scopes: BTreeMap<Scope, WantedScope>,
    pub tokens: BTreeMap<Name, WantedToken>,
}

#[derive(Debug, Clone, Default)]
pub struct WantedScope {
    pub description: Field<String>,
    pub includes: Option<BTreeSet<Scope>>,
}

#[derive(Debug, Clone, Default)]
pub struct WantedToken {
    pub description: Field<String>,
    pub owner: Field<String>,
    pub icon: Field<String>,
    /// The complete set of scopes that are granted directly.
    pub scopes: Option<BTreeSet<Scope>>,
    /// The complete set of labels.
    pub labels: Option<BTreeMap<String, String>>,
    pub lifetime: Option<Lifetime>,
    pub not_before: Field<Timestamp>,
    pub rotate_every: Field<Span>,
    pub grace: Field<Span>,
    pub allow_from: Field<AllowFrom>,
    pub destination: Field<Destination>,
    pub hook: Field<String>,
    pub disabled: Option<bool>,
}

impl Wanted {
    pub fn settings_over(&self, current: &Settings) -> Result<Settings, Invalid> {
        let mut settings = current.clone();
        self.settings.iter().try_for_each(|(key, value)| settings.set(*key, value))?;
        Ok(settings)
    }

    /// The scopes that are new or differ from the current ones. A new scope gets a negative row number as a
    /// placeholder. A retired scope stays retired, because the file does not say whether a scope can be
    /// granted.
    pub fn scopes_over(&self, current: &Catalogue, now: Timestamp) -> Result<Vec<Entry>, Refused> {
        let entry = |(row, (name, wanted)): (i64, (&Scope, &WantedScope))| {
            let new = || Entry {
                row,
                id: String::new(),
                name: name.clone(),
                description: None,
                includes: BTreeSet::new(),
                created_at: now,
                retired_at: None,
            };
            let mut entry = current.get(name).cloned().unwrap_or_else(new);
            wanted.description.apply(&mut entry.description);
            if let Some(includes) = &wanted.includes {
                entry.includes.clone_from(includes);
            }
            entry
        };
        let rows = (1..).map(|nth: i64| -nth);
        let all = rows.zip(&self.scopes).map(entry).filter(|entry| current.get(&entry.name) != Some(entry));
        let all: Vec<Entry> = all.collect();
        let after = all.iter().fold(current.clone(), |catalogue, entry| catalogue.with(entry));
        all.iter().try_for_each(|entry| check_includes(entry, current, &after))?;
        Ok(all)
    }
}

fn check_includes(entry: &Entry, before: &Catalogue, after: &Catalogue) -> Result<(), Refused> {
    let name = &entry.name;
    let kept = before.get(name).map(|entry| entry.includes.clone()).unwrap_or_default();
    for scope in entry.includes.difference(&kept) {
        match after.get(scope) {
            None => {
                let missing = Invalid::new(format!("`{name}` includes `{scope}`, which does not exist"));
                let hint = after.nearest(scope).map_or_else(
                    || format!("define it in a section `[scopes.\"{scope}\"]`"),
                    |nearest| format!("did you mean `{nearest}`?"),
                );
                return Err(missing.hint(hint).into());
            }
            Some(included) if included.retired_at.is_some() => {
                let retired = Invalid::new(format!("`{name}` includes `{scope}`, which is retired"));
                return Err(Refused::Forbidden(
                    retired.hint(format!("bring it back with `tokenctl scopes define {scope}`")),
                ));
            }
            Some(_) => {}
        }
    }
    if after.would_circle(name, &entry.includes) {
        let circle = Invalid::new(format!("`{name}` would include itself"));
        return Err(circle.hint("scopes must not include each other in a circle").into());
    }
    Ok(())
}

impl WantedToken {
    /// The new state of an existing token. `grants`, if given, replaces its grants. A new destination belongs
    /// to `host` and `uid`.
    pub fn over(
        &self,
        before: &Token,
        grants: Option<BTreeMap<i64, Grant>>,
        settings: &Settings,
        (host, uid): (Option<&str>, u32),
        now: Timestamp,
    ) -> Result<Token, Refused> {
        let destination = match &self.destination {
            Field::Set(Some(destination)) if !before.remembers(Some(destination)) => {
                let (destination, host) = (destination.clone(), host.map(str::to_owned));
                Field::Set(Some(RememberedDestination { destination, host, uid }))
            }
            Field::Set(None) => Field::Set(None),
            _ => Field::Keep,
        };
        let change = TokenChange {
            description: self.description.clone(),
            owner: self.owner.clone(),
            icon: self.icon.clone(),
            labels: self.labels_over(before),
            // A lifetime that is unchanged does not start again now.
            lifetime: self.lifetime.filter(|lifetime| *lifetime != before.lifetime),
            revives: false,
            not_before: if self.not_before == Field::Set(before.not_before) {
                Field::Keep
            } else {
                self.not_before.clone()
            },
            rotate_every: self.rotate_every.clone(),
            grace: self.grace.clone(),
            destination,
            hook: self.hook.clone(),
            allow_from: self.allow_from.clone(),
        };
        let mut after = change.apply(before, settings, now)?;
        if let Some(grants) = grants {
            after.grants = grants;
        }
        match self.disabled {
            Some(true) => after.disable(now),
            Some(false) => after.enable(),
            None => false,
        };
        Ok(after)
    }

    /// Returns the labels to set. A label to remove has an empty value.
    fn labels_over(&self, before: &Token) -> Vec<Label> {
        let Some(labels) = &self.labels else { return Vec::new() };
        let removed = before.labels.keys().filter(|key| !labels.contains_key(*key));
        let removed = removed.map(|key| Label { key: key.clone(), value: String::new() });
        let set = labels.iter().map(|(key, value)| Label { key: key.clone(), value: value.clone() });
        removed.chain(set).collect()
    }

    /// The token to create if no token has this name.
    pub fn new_token(&self, name: &Name, grants: BTreeMap<i64, Grant>) -> NewToken {
        NewToken {
            name: name.clone(),
            description: self.description.value(),
            owner: self.owner.value(),
            icon: self.icon.value(),
            labels: self.labels.clone().unwrap_or_default(),
            grants,
            terms: Terms {
                lifetime: self.lifetime,
                not_before: self.not_before.value(),
                rotate_every: self.rotate_every.value(),
                grace: self.grace.value(),
            },
            allow_from: self.allow_from.value(),
        }
    }

    /// Whether the file gives a path or a command that rotations of this token would use.
    pub fn remembers_something(&self) -> bool {
        self.destination.value().is_some() || self.hook.value().is_some()
    }

    /// Whether the file gives a command that rotations of this token would run.
    pub fn remembers_command(&self) -> bool {
        self.destination.value().is_some_and(|it| it.command().is_some()) || self.hook.value().is_some()
    }

    /// Adds the fields that only a stored token can have to a token that was just created from
    /// [`WantedToken::new_token`].
    #[must_use]
    pub fn complete(&self, token: Token, now: Timestamp) -> Token {
        let disabled_at = (self.disabled == Some(true)).then_some(now);
        Token { hook: self.hook.value(), disabled_at, ..token }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::tests::{at, secret, token};

    fn over(wanted: &WantedToken, before: &Token) -> Result<Token, Refused> {
        wanted.over(before, None, &Settings::default(), (Some("here"), 7), at(5))
    }

    #[test]
    fn keys_that_are_left_out_stay_and_a_second_run_changes_nothing() {
        let mut before = token(vec![secret(1, 0)]);
        before.owner = Some("ann".to_owned());
        before.labels =
            BTreeMap::from([("env".to_owned(), "dev".to_owned()), ("x".to_owned(), "y".to_owned())]);
        assert_eq!(over(&WantedToken::default(), &before).as_ref(), Ok(&before));
        let wanted = WantedToken {
            description: Field::Set(Some("text".to_owned())),
            labels: Some(BTreeMap::from([("env".to_owned(), "prod".to_owned())])),
            lifetime: Some(Lifetime::Ttl(Span::days(30))),
            destination: Field::Set(Some(Destination::File { path: "/a".to_owned() })),
            disabled: Some(true),
            ..WantedToken::default()
        };
        let after = over(&wanted, &before).expect("the change is allowed");
        assert_eq!(after.labels, BTreeMap::from([("env".to_owned(), "prod".to_owned())]));
        assert_eq!((after.owner.as_deref(), after.disabled_at), (Some("ann"), Some(at(5))));
        assert_eq!(after.expires_at(), Some(at(5 + 30 * 86_400)));
        assert_eq!(after.destination.as_ref().map(|it| it.uid), Some(7));
        let again = wanted.over(&after, None, &Settings::default(), (None, 8), at(6 * 86_400));
        assert_eq!(again.as_ref(), Ok(&after), "neither a new lifetime nor another owner of the destination");
    }

    #[test]
    fn an_expired_token_is_not_revived_by_another_lifetime() {
        let mut before = token(vec![secret(1, 0)]);
        before.secrets[0].expires_at = Some(at(3));
        before.lifetime = Lifetime::Ttl(Span::from_secs(3).expect("the span is in range"));
        let same = WantedToken { lifetime: Some(before.lifetime), ..WantedToken::default() };
        assert_eq!(over(&same, &before).as_ref(), Ok(&before));
        let longer = WantedToken { lifetime: Some(Lifetime::Endless), ..WantedToken::default() };
        assert!(matches!(over(&longer, &before), Err(Refused::Forbidden(_))));
    }

    #[test]
    fn scopes_may_include_each_other_in_any_order_but_not_in_a_circle() {
        let scope = |text: &str| text.parse::<Scope>().expect(text);
        let wanted = |pairs: &[(&str, &[&str])]| {
            let entry = |(name, includes): &(&str, &[&str])| {
                let includes = includes.iter().map(|text| scope(text)).collect();
                (scope(name), WantedScope { description: Field::Keep, includes: Some(includes) })
            };
            Wanted { scopes: pairs.iter().map(entry).collect(), ..Wanted::default() }
        };
        let none = Catalogue::default();
        let all = wanted(&[("admin", &["read"]), ("read", &[])])
            .scopes_over(&none, at(0))
            .expect("the change is allowed");
        assert_eq!(all.iter().map(|it| it.row).collect::<Vec<_>>(), [-1, -2]);
        let stored = Catalogue::new(all.into_iter().map(|it| Entry { row: -it.row, ..it }));
        assert_eq!(wanted(&[("admin", &["read"])]).scopes_over(&stored, at(9)), Ok(Vec::new()));
        for (pairs, why) in [
            (&[("admin", &["reed"] as &[&str])][..], "includes `reed`, which does not exist"),
            (&[("read", &["admin"])], "would include itself"),
        ] {
            let Err(Refused::Invalid(invalid)) = wanted(pairs).scopes_over(&stored, at(9)) else {
                panic!("{pairs:?}")
            };
            assert!(invalid.message.contains(why), "{}", invalid.message);
        }
    }

    #[test]
    fn a_destination_can_be_cleared_and_a_start_can_be_changed() {
        let mut before = token(vec![secret(1, 0)]);
        before.destination = Some(RememberedDestination {
            destination: Destination::File { path: "/a".to_owned() },
            host: None,
            uid: 7,
        });
        before.not_before = Some(at(20));
        let same = WantedToken { not_before: Field::Set(Some(at(20))), ..WantedToken::default() };
        assert_eq!(over(&same, &before).as_ref(), Ok(&before));
        let wanted = WantedToken {
            destination: Field::Set(None),
            not_before: Field::Set(Some(at(30))),
            ..WantedToken::default()
        };
        let after = over(&wanted, &before).expect("allowed");
        assert_eq!(after, Token { destination: None, not_before: Some(at(30)), ..before });
    }

    #[test]
    fn a_new_scope_does_not_include_a_retired_one() {
        let wanted = |name: &str| Wanted {
            scopes: [(
                name.parse().unwrap(),
                WantedScope { description: Field::Keep, includes: Some(["old".parse().unwrap()].into()) },
            )]
            .into(),
            ..Wanted::default()
        };
        let entry = |row, name: &str, includes: &[&str], retired_at| Entry {
            row,
            id: format!("scope{row:07}"),
            name: name.parse().unwrap(),
            description: None,
            includes: includes.iter().map(|scope| scope.parse().unwrap()).collect(),
            created_at: at(0),
            retired_at,
        };
        let stored = Catalogue::new([entry(1, "old", &[], Some(at(2))), entry(2, "kept", &["old"], None)]);
        let Err(Refused::Forbidden(why)) = wanted("new").scopes_over(&stored, at(9)) else {
            panic!("allowed")
        };
        assert_eq!(why.message, "`new` includes `old`, which is retired");
        assert_eq!(wanted("kept").scopes_over(&stored, at(9)), Ok(Vec::new()));
    }

    #[test]
    fn a_token_in_a_file_can_have_a_path_or_a_command() {
        let of = |destination: Option<Destination>, hook: Option<&str>| {
            let (destination, hook) = (Field::Set(destination), Field::Set(hook.map(str::to_owned)));
            let wanted = WantedToken { destination, hook, ..WantedToken::default() };
            (wanted.remembers_something(), wanted.remembers_command())
        };
        let file = || Some(Destination::File { path: "/a".to_owned() });
        let command = || Some(Destination::Command { command: "keep".to_owned() });
        assert_eq!(of(None, None), (false, false));
        assert_eq!(of(file(), None), (true, false));
        assert_eq!(of(command(), None), (true, true));
        assert_eq!(of(None, Some("reload")), (true, true));
    }
}

//! The fields that a change modified. They are computed by comparing the object before and after, so that no
//! command can forget one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::scope::{Catalogue, Entry};
use super::settings::Settings;
use super::token::Token;
use super::when::{Span, Timestamp};

/// The longest text in the log, in characters. Longer ones are cut.
const MAX_CHARS: usize = 200;

/// The change of one field. A field with several values has one change for each value that was added or
/// removed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    pub field: String,
    pub from: Option<String>,
    pub to: Option<String>,
}

impl fmt::Display for Change {
    /// Formats it for people: `owner: ann → bob`, `scopes: +read`, `hook: -systemctl reload app`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = &self.field;
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => write!(f, "{field}: {from} → {to}"),
            (None, Some(to)) => write!(f, "{field}: +{to}"),
            (Some(from), None) => write!(f, "{field}: -{from}"),
            (None, None) => f.write_str(field),
        }
    }
}

/// The values of a field: at most one, or any number that are added and removed individually.
enum Values {
    One(Option<String>),
    Several(Vec<String>),
}

type Field = (String, Values);

/// The changes of a token. `before` is `None` for a new token, `after` for a removed one.
pub fn of_token(before: Option<&Token>, after: Option<&Token>) -> Vec<Change> {
    between(&before.map(token).unwrap_or_default(), &after.map(token).unwrap_or_default())
}

pub fn of_catalogue(before: &Catalogue, after: &Catalogue) -> Vec<Change> {
    let by_id = |catalogue: &Catalogue, id: &str| catalogue.iter().find(|it| it.id == id).cloned();
    let ids: BTreeSet<&str> = before.iter().chain(after.iter()).map(|entry| entry.id.as_str()).collect();
    let mut all = Vec::new();
    for id in ids {
        let (old, new) = (by_id(before, id), by_id(after, id));
        // Both sides get the same name. Otherwise a rename would look like a new scope with all its fields.
        let Some(name) = new.as_ref().or(old.as_ref()).map(|entry| entry.name.to_string()) else { continue };
        let fields = |entry: Option<&Entry>| entry.map(|entry| scope(&name, entry)).unwrap_or_default();
        all.extend(between(&fields(old.as_ref()), &fields(new.as_ref())));
    }
    all
}

/// The changes of one scope except its name. The field names do not contain the name of the scope.
pub fn of_scope(before: Option<&Entry>, after: &Entry) -> Vec<Change> {
    let fields = |entry: &Entry| -> Vec<Field> {
        let of = |field: &str| field.to_owned();
        scope("", entry)
            .into_iter()
            .skip(1)
            .map(|(field, values)| (of(field.trim_start_matches('.')), values))
            .collect()
    };
    between(&before.map(fields).unwrap_or_default(), &fields(after))
}

pub fn of_settings(before: &Settings, after: &Settings) -> Vec<Change> {
    let (before, after) = (before.rows(), after.rows());
    let keys: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    let one = |value: Option<&String>| Values::One(value.cloned());
    let side = |rows: &BTreeMap<&str, String>| -> Vec<Field> {
        keys.iter().map(|key| ((*key).to_owned(), one(rows.get(key)))).collect()
    };
    between(&side(&before), &side(&after))
}

/// The fields of a token, in the order of the keys of its document.
fn token(token: &Token) -> Vec<Field> {
    use Values::{One, Several};
    let hints = |which: &dyn Fn(&&super::token::StoredSecret) -> bool| {
        Several(token.secrets.iter().filter(which).map(|secret| secret.hint.clone()).collect())
    };
    // A token whose first secret is not yet confirmed has the expiry that the confirmation will set.
    let first_delivery = token.delivery.as_ref().filter(|_| token.current().is_none());
    let expires_at = first_delivery.map_or(token.expires_at(), |delivery| delivery.expires_at);
    let span = |span: Option<Span>| One(span.map(|span| span.to_string()));
    let fields = [
        ("name", One(Some(token.name.to_string()))),
        ("description", One(token.description.clone())),
        ("owner", One(token.owner.clone())),
        ("icon", One(token.icon.clone())),
        ("labels", Several(token.label_words())),
        ("scopes", Several(token.scopes().map(ToString::to_string).collect())),
        ("disabled_at", instant(token.disabled_at)),
        ("revoked_at", instant(token.revoked_at)),
        ("expires_at", instant(expires_at)),
        ("not_before", instant(token.not_before)),
        ("ttl", span(token.lifetime.ttl())),
        ("until", instant(token.lifetime.until())),
        ("rotate_every", span(token.rotate_every)),
        ("grace", span(token.grace)),
        ("destination", One(token.destination.as_ref().map(ToString::to_string))),
        ("hook", One(token.hook.clone())),
        ("pending_hook", One(token.pending_hook.as_ref().map(|hook| hook.command.clone()))),
        ("allow_from", Several(token.networks().iter().map(ToString::to_string).collect())),
        ("secrets", hints(&|_| true)),
        ("revoked_secrets", hints(&|secret| secret.revoked_at.or(token.revoked_at).is_some())),
    ];
    fields.into_iter().map(|(field, values)| (field.to_owned(), values)).collect()
}

fn scope(name: &str, entry: &Entry) -> Vec<Field> {
    let of = |field: &str| format!("{name}.{field}");
    vec![
        ("scope".to_owned(), Values::One(Some(entry.name.to_string()))),
        (of("description"), Values::One(entry.description.clone())),
        (of("includes"), Values::Several(entry.includes.iter().map(ToString::to_string).collect())),
        (of("retired_at"), instant(entry.retired_at)),
    ]
}

fn instant(time: Option<Timestamp>) -> Values {
    Values::One(time.map(|time| String::from_utf8_lossy(&time.rfc3339()).into_owned()))
}

/// Compares two objects field by field. An empty list of fields means that the object does not exist.
fn between(before: &[Field], after: &[Field]) -> Vec<Change> {
    let mut all = Vec::new();
    let names = if after.is_empty() { before } else { after };
    for (index, (field, _)) in names.iter().enumerate() {
        let mut push = |from: Option<&String>, to: Option<&String>| {
            all.push(Change { field: field.clone(), from: from.map(|it| cut(it)), to: to.map(|it| cut(it)) });
        };
        let (old, new) = (values(before, index), values(after, index));
        match after.get(index).or(before.get(index)) {
            Some((_, Values::One(_))) if old != new => push(old.first().copied(), new.first().copied()),
            Some((_, Values::Several(_))) => {
                old.iter().filter(|value| !new.contains(value)).for_each(|value| push(Some(value), None));
                new.iter().filter(|value| !old.contains(value)).for_each(|value| push(None, Some(value)));
            }
            _ => {}
        }
    }
    all
}

fn values(side: &[Field], index: usize) -> Vec<&String> {
    match side.get(index) {
        Some((_, Values::One(value))) => value.iter().collect(),
        Some((_, Values::Several(all))) => all.iter().collect(),
        None => Vec::new(),
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_CHARS {
        return text.to_owned();
    }
    format!("{}…", text.chars().take(MAX_CHARS).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::tests::{at, secret, token};

    fn words(changes: &[Change]) -> Vec<String> {
        let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".to_owned());
        changes.iter().map(|it| format!("{} {} {}", it.field, side(&it.from), side(&it.to))).collect()
    }

    #[test]
    fn each_changed_field_and_each_added_or_removed_element_is_listed() {
        let before = token(vec![secret(1, 0)]);
        let mut after = before.clone();
        after.owner = Some("ann".to_owned());
        after.labels.insert("env".to_owned(), "prod".to_owned());
        after.secrets[0].revoked_at = Some(at(5));
        let hint = &before.secrets[0].hint;
        let expected =
            ["owner - ann".to_owned(), "labels - env=prod".to_owned(), format!("revoked_secrets - {hint}")];
        assert_eq!(words(&of_token(Some(&before), Some(&after))), expected);
        assert_eq!(words(&of_token(Some(&after), Some(&before)))[..2], ["owner ann -", "labels env=prod -"]);
        assert_eq!(of_token(Some(&after), Some(&after)), []);
        assert_eq!(
            words(&of_token(None, Some(&before))),
            ["name - demo".to_owned(), format!("secrets - {hint}")]
        );
    }

    #[test]
    fn a_long_text_is_cut_and_marked() {
        let before = token(vec![secret(1, 0)]);
        let after = Token { description: Some("é".repeat(201)), ..before.clone() };
        let changes = of_token(Some(&before), Some(&after));
        assert_eq!(changes[0].to, Some(format!("{}…", "é".repeat(200))));
    }

    #[test]
    fn the_changes_of_a_scope_do_not_contain_its_name() {
        let entry = |includes: &[&str], retired: Option<i64>| Entry {
            row: 1,
            id: "abcdef123456".to_owned(),
            name: "write".parse().unwrap(),
            description: Some("changes events".to_owned()),
            includes: includes.iter().map(|scope| scope.parse().unwrap()).collect(),
            created_at: at(0),
            retired_at: retired.map(at),
        };
        let new = entry(&["read"], None);
        assert_eq!(words(&of_scope(None, &new)), ["description - changes events", "includes - read"]);
        let changes = words(&of_scope(Some(&new), &entry(&["list"], Some(0))));
        assert_eq!(changes[..2], ["includes read -", "includes - list"]);
        assert!(changes[2].starts_with("retired_at - "), "{changes:?}");
    }
}

//! The fields that a change changed. They are computed from the object before and after, so that no command can
//! forget one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::scope::{Catalogue, Entry};
use super::settings::Settings;
use super::token::Token;
use super::when::{Span, Timestamp};

/// The longest text in the log; longer ones are cut.
const LONGEST: usize = 200;

/// One changed field, named as its flag. For a field with several values, it is one value that was added or
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

/// The values of a field: at most one, or any number that are added and removed singly.
enum Values {
    One(Option<String>),
    Several(Vec<String>),
}

type Field = (String, Values);

/// The changes of a token. `None` before means that it is new, `None` after that it is gone.
pub fn of_token(before: Option<&Token>, after: Option<&Token>) -> Vec<Change> {
    between(&before.map(token).unwrap_or_default(), &after.map(token).unwrap_or_default())
}

pub fn of_catalogue(before: &Catalogue, after: &Catalogue) -> Vec<Change> {
    let by_id = |catalogue: &Catalogue, id: &str| catalogue.iter().find(|it| it.id == id).cloned();
    let ids: BTreeSet<&str> = before.iter().chain(after.iter()).map(|entry| entry.id.as_str()).collect();
    let mut all = Vec::new();
    for id in ids {
        let (was, is) = (by_id(before, id), by_id(after, id));
        // Both sides get one name, or a rename would look like a new scope with all its fields.
        let Some(name) = is.as_ref().or(was.as_ref()).map(|entry| entry.name.to_string()) else { continue };
        let fields = |entry: Option<&Entry>| entry.map(|entry| scope(&name, entry)).unwrap_or_default();
        all.extend(between(&fields(was.as_ref()), &fields(is.as_ref())));
    }
    all
}

/// The fields of one scope, without its name.
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
    // For a token whose first secret is not confirmed, the expiry that it will have.
    let under_way = token.delivery.as_ref().filter(|_| token.current().is_none());
    let promised = under_way.map_or(token.expires_at(), |delivery| delivery.expires_at);
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
        ("expires_at", instant(promised)),
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

/// Compares field by field. A missing side has no values.
fn between(before: &[Field], after: &[Field]) -> Vec<Change> {
    let mut all = Vec::new();
    let names = if after.is_empty() { before } else { after };
    for (at, (field, _)) in names.iter().enumerate() {
        let mut push = |from: Option<&String>, to: Option<&String>| {
            all.push(Change { field: field.clone(), from: from.map(|it| cut(it)), to: to.map(|it| cut(it)) });
        };
        let (was, is) = (values(before, at), values(after, at));
        match after.get(at).or(before.get(at)) {
            Some((_, Values::One(_))) if was != is => push(was.first().copied(), is.first().copied()),
            Some((_, Values::Several(_))) => {
                was.iter().filter(|value| !is.contains(value)).for_each(|value| push(Some(value), None));
                is.iter().filter(|value| !was.contains(value)).for_each(|value| push(None, Some(value)));
            }
            _ => {}
        }
    }
    all
}

fn values(side: &[Field], at: usize) -> Vec<&String> {
    match side.get(at) {
        Some((_, Values::One(value))) => value.iter().collect(),
        Some((_, Values::Several(all))) => all.iter().collect(),
        None => Vec::new(),
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    format!("{}…", text.chars().take(LONGEST).collect::<String>())
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
    fn a_change_says_each_field_and_each_element_that_came_or_went() {
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
    fn a_change_of_a_scope_says_its_fields_without_its_name() {
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

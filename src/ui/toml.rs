//! Writes a store as a file for `apply`: settings that differ from the defaults, scopes, and tokens by name.

use toml::{Table, Value};

use crate::domain::destination::Destination;
use crate::domain::scope::Entry;
use crate::domain::settings::{Key, Settings};
use crate::domain::token::Token;
use crate::domain::when::Timestamp;

/// The table of settings; empty if all are the defaults.
pub fn settings(settings: &Settings) -> String {
    let default = Settings::default();
    let mut text = String::new();
    for key in Key::ALL.into_iter().filter(|key| settings.get(*key) != default.get(*key)) {
        let value = match settings.shown(key).parse::<bool>() {
            Ok(value) => value.into(),
            Err(_) => Value::String(settings.shown(key)),
        };
        line(&mut text, key.word(), &value);
    }
    if text.is_empty() { text } else { format!("[settings]\n{text}\n") }
}

pub fn scope(entry: &Entry) -> String {
    let mut text = heading("scopes", entry.name.as_str());
    if let Some(retired) = entry.retired_at {
        text.insert_str(
            0,
            &format!("# Retired at {retired}; `apply` neither reopens nor retires a scope.\n"),
        );
    }
    optional(&mut text, "description", entry.description.as_deref());
    list(&mut text, "includes", entry.includes.iter().map(ToString::to_string));
    text + "\n"
}

/// The section of a token. `has_scopes` tells whether the store has scopes.
pub fn token(token: &Token, has_scopes: bool) -> String {
    let mut text = heading("tokens", &token.name);
    optional(&mut text, "description", token.description.as_deref());
    optional(&mut text, "owner", token.owner.as_deref());
    optional(&mut text, "icon", token.icon.as_deref());
    if has_scopes {
        line(&mut text, "scopes", &array(token.scopes().map(ToString::to_string)));
    }
    if !token.labels.is_empty() {
        let labels = token.labels.iter().map(|(key, value)| (key.clone(), Value::String(value.clone())));
        line(&mut text, "labels", &Value::Table(labels.collect::<Table>()));
    }
    let span = |span: Option<crate::domain::when::Span>| span.map(|span| span.to_string());
    match (token.lifetime.ttl(), token.lifetime.until()) {
        (Some(ttl), _) => optional(&mut text, "ttl", Some(&ttl.to_string())),
        (None, Some(until)) => optional(&mut text, "expires", Some(&until.to_string())),
        (None, None) => line(&mut text, "no_expiry", &true.into()),
    }
    let start = token.not_before.as_ref().map(Timestamp::to_string);
    optional(&mut text, "not_before", start.as_deref());
    optional(&mut text, "rotate_every", span(token.rotate_every).as_deref());
    optional(&mut text, "grace", span(token.grace).as_deref());
    list(&mut text, "allow_from", token.networks().iter().map(ToString::to_string));
    match token.destination.as_ref().map(|it| &it.destination) {
        Some(Destination::File { path }) => optional(&mut text, "out", Some(path)),
        Some(Destination::EnvFile { path, variable }) => {
            optional(&mut text, "env_file", Some(path));
            optional(&mut text, "env_name", Some(variable));
        }
        Some(Destination::Command { command }) => optional(&mut text, "exec", Some(command)),
        None => {}
    }
    optional(&mut text, "after", token.hook.as_deref());
    if token.disabled_at.is_some() {
        line(&mut text, "disabled", &true.into());
    }
    text + "\n"
}

fn heading(table: &str, name: &str) -> String {
    let is_bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_bare { format!("[{table}.{name}]\n") } else { format!("[{table}.\"{name}\"]\n") }
}

fn line(text: &mut String, key: &str, value: &Value) {
    text.push_str(&format!("{key} = {value}\n"));
}

fn optional(text: &mut String, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        line(text, key, &Value::String(value.to_owned()));
    }
}

fn list(text: &mut String, key: &str, words: impl Iterator<Item = String>) {
    let words = array(words);
    if words.as_array().is_some_and(|words| !words.is_empty()) {
        line(text, key, &words);
    }
}

fn array(words: impl Iterator<Item = String>) -> Value {
    Value::Array(words.map(Value::String).collect())
}

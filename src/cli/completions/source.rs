//! The candidates for the values of an argument, which are fixed words or come from the store.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap_complete::CompletionCandidate;

use crate::app::{App, Global};
use crate::cmd::args::takes::Takes;
use crate::context::Context;
use crate::domain::check::FindingCode;
use crate::domain::event::Action;
use crate::domain::scope::{Entry, Scope};
use crate::domain::settings::Key;
use crate::domain::text::shown;
use crate::domain::token::{Status, Token};
use crate::domain::when::{Timestamp, relative};
use crate::store::{Location, Store, StoreError, View};
use crate::ui::column::COLUMNS;
use crate::ui::list::FORMATS;
use crate::ui::{findings, log};

/// The source of the candidates, read from the words before the one being typed.
pub struct Source {
    location: Option<Location>,
    now: Option<Timestamp>,
    /// The words after the verb, which are not offered again.
    used: Vec<String>,
}

type Candidates = Vec<CompletionCandidate>;

impl Source {
    pub fn new(words: &[OsString], ctx: &mut Context) -> Self {
        let used = words.iter().skip(2).filter_map(|word| word.to_str().map(str::to_owned)).collect();
        let now = ctx.machine.now().ok();
        let store =
            store_named(words).map(|dir| match (Path::new(&dir).strip_prefix("~"), ctx.machine.home()) {
                // The shell has not expanded the path yet.
                (Ok(below), Some(home)) => home.join(below).into_os_string(),
                _ => dir,
            });
        let location = App::new(ctx, &Global { store, ..Global::default() }).location().ok();
        Self { location, now, used }
    }

    pub fn candidates(&self, takes: Takes, verb: &str, start: &OsStr) -> Candidates {
        let Some(start) = start.to_str() else { return Vec::new() };
        let fixed = |words: &[&'static str]| {
            words.iter().filter(|word| word.starts_with(start)).map(CompletionCandidate::new).collect()
        };
        match takes {
            Takes::Status => fixed(&Status::ALL.map(Status::word)),
            Takes::Column => fixed(&COLUMNS.map(|column| column.word)),
            Takes::Action => fixed(&Action::ALL.map(Action::word)),
            Takes::Format => match verb {
                "check" => fixed(&findings::FORMATS.map(|(word, _)| word)),
                "audit" => fixed(&log::FORMATS.map(|(word, _)| word)),
                _ => fixed(&FORMATS.map(|(word, _)| word)),
            },
            Takes::Finding => fixed(&FindingCode::ALL.map(FindingCode::word)),
            Takes::Setting => fixed(&Key::ALL.map(Key::word)),
            Takes::Token | Takes::Scope | Takes::OpenScope | Takes::Owner | Takes::Label => {
                let mut found = self.stored(takes, verb, start).unwrap_or_default();
                found.retain(|it| it.get_value().to_str().is_some_and(|word| self.is_offered(word)));
                found
            }
        }
    }

    /// Free text can contain anything. Only text without special characters is offered, and blanks only to shells
    /// that quote them.
    fn is_offered(&self, word: &str) -> bool {
        let plain = |c: char| c.is_alphanumeric() || "-_.:/@=+% ".contains(c);
        word.starts_with(char::is_alphanumeric)
            && word.chars().all(plain)
            && self.used.iter().all(|it| it != word)
    }

    fn stored(&self, takes: Takes, verb: &str, start: &str) -> Option<Candidates> {
        let now = self.now?;
        let store = Store::open_to_glance(self.location.as_ref()?).ok()?;
        let found = store.read(|view| match (takes, verb) {
            (Takes::Token, "enable") => tokens(view, start, Some(true), now),
            (Takes::Token, "disable") => tokens(view, start, Some(false), now),
            (Takes::Token, _) => tokens(view, start, None, now),
            (Takes::OpenScope, "remove") => self.held_scopes(view, start, now),
            (Takes::OpenScope, _) => scopes(view, start, |entry| entry.retired_at.is_none()),
            (Takes::Scope, _) => scopes(view, start, |_| true),
            (Takes::Owner, _) => view.owners(start).map(plain),
            _ => labels(view, start),
        });
        found.ok()
    }

    /// The scopes of the token that the line names.
    fn held_scopes(&self, view: &View<'_>, start: &str, now: Timestamp) -> Result<Candidates, StoreError> {
        for word in &self.used {
            if let [token] = &view.candidates(word, now)?[..] {
                let held: Vec<&Scope> = token.scopes().collect();
                return scopes(view, start, |entry| held.contains(&&entry.name));
            }
        }
        Ok(Vec::new())
    }
}

/// The value of the last `--store`.
fn store_named(words: &[OsString]) -> Option<OsString> {
    let pairs = words.iter().zip(words.iter().skip(1).map(Some).chain([None]));
    let named = pairs.filter_map(|(word, next)| match word.to_str()?.strip_prefix("--store")? {
        "" => next.cloned(),
        value => value.strip_prefix('=').map(OsString::from),
    });
    named.last()
}

fn plain(words: Vec<String>) -> Candidates {
    words.into_iter().map(CompletionCandidate::new).collect()
}

fn with_help(word: &str, help: Option<&str>) -> CompletionCandidate {
    CompletionCandidate::new(word).help(help.map(|help| shown(help).to_string().into()))
}

fn tokens(
    view: &View<'_>,
    start: &str,
    disabled: Option<bool>,
    now: Timestamp,
) -> Result<Candidates, StoreError> {
    let rows = view.rows_by_start(start, disabled)?;
    let mut tokens = view.tokens(&rows, now)?;
    tokens.retain(|token| token.is_visible(now));
    Ok(tokens.iter().map(|token| with_help(&token.name, Some(&state(token, now)))).collect())
}

fn state(token: &Token, now: Timestamp) -> String {
    let status = token.status(now);
    match (status, token.expires_at()) {
        (Status::Expired, Some(end)) => format!("expired {}", relative(end, now)),
        (Status::Active, Some(end)) => format!("active, expires {}", relative(end, now)),
        (Status::Active, None) => "active, never expires".to_owned(),
        (status, _) => status.word().to_owned(),
    }
}

fn scopes(view: &View<'_>, start: &str, wanted: impl Fn(&Entry) -> bool) -> Result<Candidates, StoreError> {
    let catalogue = view.catalogue()?;
    let found = catalogue.iter().filter(|entry| entry.name.as_str().starts_with(start) && wanted(entry));
    Ok(found.map(|entry| with_help(entry.name.as_str(), entry.description.as_deref())).collect())
}

/// Completes the key and `=` first, then the values of that key.
fn labels(view: &View<'_>, start: &str) -> Result<Candidates, StoreError> {
    let words = match start.split_once('=') {
        None => view.label_keys(start)?.into_iter().map(|key| format!("{key}=")).collect(),
        Some((key, start)) => {
            view.label_values(key, start)?.into_iter().map(|value| format!("{key}={value}")).collect()
        }
    };
    Ok(plain(words))
}

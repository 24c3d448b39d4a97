//! The questions of `edit` without a flag, with the present values as defaults, and an overview of the changes.

use super::Edit;
use crate::app::App;
use crate::app::prompt::{icon, line, show, text};
use crate::cmd::args::lifetime;
use crate::cmd::args::lifetime::Clearable;
use crate::cmd::args::select::Reference;
use crate::domain::Invalid;
use crate::domain::settings::Settings;
use crate::domain::text::{Icon, Label, Line, SetLabel, check_unique_keys};
use crate::domain::token::Token;
use crate::domain::when::{Span, Timestamp};
use crate::error::Error;

/// Asks what to change of a token. The result has only the changed values, and none if every answer was left
/// alone.
pub fn ask(app: &mut App<'_>, given: &Edit, name: &Reference) -> Result<Edit, Error> {
    let now = app.ctx.machine.now()?;
    let (token, settings) =
        app.open_to_read()?.read(|view| Ok::<_, Error>((name.resolve(view, now)?, view.settings()?)))?;
    if token.revoked_at.is_some() {
        return Err(Error::Revoked(token.name.to_string()));
    }
    let mut edit = given.clone();
    describe(app, &token, &settings, &mut edit)?;
    plan(app, &token, &settings, &mut edit)?;
    let after = applied(app, &edit, &token, &settings)?;
    let changes = changes(&token, &after, now);
    if !changes.is_empty() {
        show(app, &token.name, &changes);
        app.confirm(&format!("change `{}`?", token.name))?;
    }
    Ok(edit)
}

/// The token as it would become.
fn applied(app: &App<'_>, edit: &Edit, token: &Token, settings: &Settings) -> Result<Token, Error> {
    let now = app.ctx.machine.now()?;
    Ok(edit.change_of(now, &*app.ctx.machine)?.apply(token, settings, now)?)
}

fn describe(app: &mut App<'_>, token: &Token, settings: &Settings, edit: &mut Edit) -> Result<(), Error> {
    let required = settings.require_description.then_some("a description");
    let description = line(app, "Description", token.description.as_deref(), required)?;
    edit.description = Some(description).filter(|line| line.clone().into_option() != token.description);
    let required = settings.require_owner.then_some("an owner");
    let owner = line(app, "Owner", token.owner.as_deref(), required)?;
    edit.owner = Some(owner).filter(|line: &Line| line.clone().into_option() != token.owner);
    let icon = icon(app, token.icon.as_deref())?;
    edit.icon = Some(icon).filter(|icon: &Icon| icon.clone().into_option() != token.icon);
    let present: Vec<String> =
        token.labels.iter().map(|(key, value)| format!("{key}={}", escaped(value))).collect();
    edit.labels = text(app, "Labels", "optional, k=v, k=v", &present.join(", "), |_, answer| {
        relabelled(token, &labels(answer)?)
    })?;
    Ok(())
}

/// Asks for lifetime, rotation and grace period. Each must fit the answers before it.
fn plan(app: &mut App<'_>, token: &Token, settings: &Settings, edit: &mut Edit) -> Result<(), Error> {
    let keep = lifetime::ask::in_words(token.lifetime, token.expires_at(), app.ctx.machine.now()?);
    let mut trial = edit.clone();
    (trial.rotate_every, trial.grace) = (Some(Clearable(None)), Some(Clearable(None)));
    edit.lifetime = lifetime::ask::ask(app, settings, Some(&keep), |app, lifetime| {
        trial.lifetime = lifetime.clone();
        applied(app, &trial, token, settings).map(|_| ())
    })?;
    trial.lifetime = edit.lifetime.clone();
    trial.grace = Some(Clearable(Some(Span::days(0))));
    let every =
        text(app, "Rotate every", "30d, empty for never", &in_words(token.rotate_every), |app, answer| {
            let every: Clearable = answer.trim().parse()?;
            trial.rotate_every = Some(every);
            applied(app, &trial, token, settings).map(|_| every)
        })?;
    let hint = format!("empty for {}", settings.grace);
    let grace = text(app, "Grace", &hint, &in_words(token.grace), |app, answer| {
        let grace: Clearable = answer.trim().parse()?;
        trial.grace = Some(grace);
        applied(app, &trial, token, settings).map(|_| grace)
    })?;
    edit.rotate_every = Some(every).filter(|every| every.0 != token.rotate_every);
    edit.grace = Some(grace).filter(|grace| grace.0 != token.grace);
    Ok(())
}

fn in_words(span: Option<Span>) -> String {
    span.map(|span| span.to_string()).unwrap_or_default()
}

/// A label's value as it is written in a list of labels.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,")
}

/// Parses a list of labels, in which `\,` is a comma within a value.
fn labels(text: &str) -> Result<Vec<Label>, Error> {
    let mut all = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ',' => all.push(String::new()),
            '\\' => all.last_mut().into_iter().for_each(|label| label.extend(chars.next())),
            c => all.last_mut().into_iter().for_each(|label| label.push(c)),
        }
    }
    let filled = all.iter().map(|label| label.trim()).filter(|label| !label.is_empty());
    let labels = filled.map(|label| label.parse().map(|SetLabel(label)| label));
    let labels: Vec<Label> = labels.collect::<Result<_, Invalid>>()?;
    Ok(labels)
}

/// The flags that turn the labels of a token into these.
fn relabelled(token: &Token, wanted: &[Label]) -> Result<Vec<Label>, Error> {
    let same = |label: &&Label| token.labels.get(&label.key) != Some(&label.value);
    let gone = token.labels.keys().filter(|key| wanted.iter().all(|label| label.key != **key));
    let gone = gone.map(|key| Label { key: key.clone(), value: String::new() });
    check_unique_keys(wanted)?;
    Ok(wanted.iter().filter(same).cloned().chain(gone).collect())
}

/// Lists the differences, each with its old and new value.
fn changes(before: &Token, after: &Token, now: Timestamp) -> Vec<(&'static str, String)> {
    let sides = |side: &Token| {
        [
            ("description", side.description.clone().unwrap_or_default()),
            ("owner", side.owner.clone().unwrap_or_default()),
            ("icon", side.icon.clone().unwrap_or_default()),
            ("labels", side.label_words().join(", ")),
            ("lifetime", lifetime::ask::in_words(side.lifetime, side.expires_at(), now)),
            ("rotation", side.rotate_every.map(|every| format!("every {every}")).unwrap_or_default()),
            ("grace", in_words(side.grace)),
        ]
    };
    let none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    let pairs = sides(before).into_iter().zip(sides(after)).filter(|(before, after)| before != after);
    pairs.map(|((key, before), (_, after))| (key, format!("{} → {}", none(before), none(after)))).collect()
}

//! How long: the lifetimes that the store admits, its default first.

use super::{choice, refuse, select, text};
use crate::cmd::App;
use crate::cmd::describe::end_in_words;
use crate::cmd::lifetime::LifetimeArgs;
use crate::context::Choice;
use crate::domain::lifetime::Lifetime;
use crate::domain::settings::Settings;
use crate::domain::when::{End, Span, Timestamp, When};
use crate::error::Error;

/// What is offered beside the store's default.
const USUAL: [Span; 4] = [Span::days(7), Span::days(30), Span::days(90), Span::days(365)];

/// What a row of the list means.
enum Pick {
    Keep,
    Set(LifetimeArgs),
    Other,
}

/// Asks for a lifetime until `admits` finds nothing wrong with it. Where there is something to keep, in words, that
/// is offered first; kept is the flags not given.
pub fn ask(
    app: &mut App<'_>,
    settings: &Settings,
    keep: Option<&str>,
    mut admits: impl FnMut(&App<'_>, &LifetimeArgs) -> Result<(), Error>,
) -> Result<LifetimeArgs, Error> {
    let (choices, mut picks): (Vec<Choice>, Vec<Pick>) = rows(app, settings, keep)?.into_iter().unzip();
    loop {
        let at = select(app, "Lifetime", &choices)?;
        let chosen = match picks.get_mut(at) {
            None | Some(Pick::Keep) => return Ok(LifetimeArgs::default()),
            Some(Pick::Set(lifetime)) => admits(app, lifetime).map(|()| lifetime.clone()),
            Some(Pick::Other) => text(app, "Lifetime or end", "45d, 2027-06-30", "", |app, answer| {
                let lifetime = read(answer)?;
                admits(app, &lifetime)?;
                Ok(lifetime)
            }),
        };
        match chosen {
            Ok(lifetime) => return Ok(lifetime),
            Err(err) => refuse(app, err)?,
        }
    }
}

fn rows(app: &App<'_>, settings: &Settings, keep: Option<&str>) -> Result<Vec<(Choice, Pick)>, Error> {
    let now = app.ctx.machine.now()?;
    let admitted = |span: &Span| settings.max_ttl.is_none_or(|max| *span <= max);
    let default = settings.default_ttl.filter(admitted);
    let spans =
        default.into_iter().chain(USUAL.into_iter().filter(|span| admitted(span) && Some(*span) != default));
    let by_default = |is: bool| if is { "default, " } else { "" };
    let mut rows = Vec::new();
    if let Some(present) = keep {
        rows.push((choice("keep", present, true), Pick::Keep));
    }
    let endless = || {
        let about = format!("{}until it is revoked", by_default(settings.default_ttl.is_none()));
        let lifetime = LifetimeArgs { no_expiry: true, ..LifetimeArgs::default() };
        (choice("no expiry", &about, false), Pick::Set(lifetime))
    };
    let endless = settings.max_ttl.is_none().then(endless);
    let (first, last) = if settings.default_ttl.is_none() { (endless, None) } else { (None, endless) };
    rows.extend(first);
    rows.extend(spans.filter_map(|span| {
        let about = format!("{}until {}", by_default(Some(span) == default), now.plus(span)?);
        let lifetime = LifetimeArgs { ttl: Some(span), ..LifetimeArgs::default() };
        Some((choice(&span.to_string(), &about, false), Pick::Set(lifetime)))
    }));
    rows.push((choice("other", "another duration, or a date", false), Pick::Other));
    rows.extend(last);
    Ok(rows)
}

/// A duration is a lifetime, anything else an end.
fn read(text: &str) -> Result<LifetimeArgs, Error> {
    Ok(match text.trim().parse()? {
        When::In(span) => LifetimeArgs { ttl: Some(span), ..LifetimeArgs::default() },
        when => LifetimeArgs { expires: Some(End(when)), ..LifetimeArgs::default() },
    })
}

/// A lifetime and the end that it gives a secret.
pub fn in_words(lifetime: Lifetime, end: Option<Timestamp>, now: Timestamp) -> String {
    let ttl = lifetime.ttl().map(|ttl| format!("{ttl}, ")).unwrap_or_default();
    ttl + &end_in_words(end, now)
}

//! The question for a lifetime. It offers those that the store allows, its default first.

use super::LifetimeArgs;
use crate::app::App;
use crate::app::prompt::{choice, refuse, select, text};
use crate::cmd::args::describe::expiry_in_words;
use crate::context::Choice;
use crate::domain::lifetime::Lifetime;
use crate::domain::settings::Settings;
use crate::domain::when::{Expiry, Span, Timestamp, When, is_never};
use crate::error::Error;

/// The lifetimes that are offered besides the store's default.
const USUAL: [Span; 4] = [Span::days(7), Span::days(30), Span::days(90), Span::days(365)];

/// The meaning of a row of the list.
enum Pick {
    Keep,
    Set(LifetimeArgs),
    Other,
}

/// Asks for a lifetime until `check` accepts it. A present lifetime, in words, is offered first; keeping it is
/// the same as giving no flag.
pub fn ask(
    app: &mut App<'_>,
    settings: &Settings,
    keep: Option<&str>,
    mut check: impl FnMut(&App<'_>, &LifetimeArgs) -> Result<(), Error>,
) -> Result<LifetimeArgs, Error> {
    let (choices, picks): (Vec<Choice>, Vec<Pick>) = rows(app, settings, keep)?.into_iter().unzip();
    loop {
        let at = select(app, "Lifetime", &choices)?;
        let chosen = match picks.get(at) {
            None | Some(Pick::Keep) => return Ok(LifetimeArgs::default()),
            Some(Pick::Set(lifetime)) => check(app, lifetime).map(|()| lifetime.clone()),
            Some(Pick::Other) => text(app, "Lifetime or expiry", "45d, 2027-06-30", "", |app, answer| {
                let lifetime = read(answer)?;
                check(app, &lifetime)?;
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
    let admitted = |ttl: &Option<Span>| settings.max_ttl.is_none_or(|max| ttl.is_some_and(|ttl| ttl <= max));
    let default = settings.default_ttl;
    // `None` means no expiry.
    let usual = USUAL.into_iter().map(Some).chain([None]).filter(|ttl| *ttl != default);
    let mut rows: Vec<_> =
        keep.map(|present| (choice("keep", present, true), Pick::Keep)).into_iter().collect();
    for ttl in std::iter::once(default).chain(usual).filter(admitted) {
        let (name, end) = match ttl {
            Some(ttl) => (ttl.to_string(), Lifetime::Ttl(ttl).expiry(now)?),
            None => ("no expiry".to_owned(), None),
        };
        let end = end.map_or_else(|| "it is revoked".to_owned(), |end| end.to_string());
        let by_default = if ttl == default { "default, " } else { "" };
        let lifetime = LifetimeArgs { ttl, expires: None, no_expiry: ttl.is_none() };
        rows.push((choice(&name, &format!("{by_default}until {end}"), false), Pick::Set(lifetime)));
    }
    rows.push((choice("other", "another duration, or a date", false), Pick::Other));
    Ok(rows)
}

/// A duration is a lifetime, anything else an expiry.
fn read(text: &str) -> Result<LifetimeArgs, Error> {
    let text = text.trim();
    if !text.is_empty() && is_never(text) {
        return Ok(LifetimeArgs { no_expiry: true, ..LifetimeArgs::default() });
    }
    Ok(match text.parse()? {
        When::In(span) => LifetimeArgs { ttl: Some(span), ..LifetimeArgs::default() },
        when => LifetimeArgs { expires: Some(Expiry(when)), ..LifetimeArgs::default() },
    })
}

/// A lifetime and the resulting expiry.
pub fn in_words(lifetime: Lifetime, end: Option<Timestamp>, now: Timestamp) -> String {
    let ttl = lifetime.ttl().map(|ttl| format!("{ttl}, ")).unwrap_or_default();
    ttl + &expiry_in_words(end, now)
}

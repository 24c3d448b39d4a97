//! Asks for values that no flag gives. The answers fill the same arguments as the flags, and nothing else changes.

use super::{App, asking};
use crate::context::{Choice, Question};
use crate::domain::Invalid;
use crate::domain::secret::contains_secret;
use crate::domain::settings::demand;
use crate::domain::text::{Icon, Line, shown};
use crate::error::Error;

/// Asks for a line until it can be parsed. An invalid line is shown again, so that it can be corrected.
pub fn text<T>(
    app: &mut App<'_>,
    question: &str,
    hint: &str,
    initial: &str,
    mut read: impl FnMut(&App<'_>, &str) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut initial = initial.to_owned();
    loop {
        let color = app.look().style.color;
        let answer =
            app.ctx.machine.ask(&Question { text: question, hint, color }, &initial).map_err(asking)?;
        if contains_secret(answer.as_bytes()) {
            let exposed = Invalid::new("the answer contains a secret; this secret is now exposed");
            refuse(app, exposed.hint("revoke it, and answer without it").into())?;
            continue;
        }
        match read(app, &answer) {
            Ok(value) => return Ok(value),
            Err(err) => refuse(app, err)?,
        }
        initial.clone_from(&answer);
    }
}

/// Asks the user to choose one of several items, and returns its index.
pub fn select(app: &App<'_>, question: &str, choices: &[Choice]) -> Result<usize, Error> {
    let hint = "move with the arrows, choose with enter";
    let question = Question { text: question, hint, color: app.look().style.color };
    app.ctx.machine.select(&question, choices).map_err(asking)
}

/// A choice whose texts are not trusted.
pub fn choice(name: &str, about: &str, chosen: bool) -> Choice {
    Choice { name: shown(name).to_string(), about: shown(about).to_string(), chosen }
}

/// Reports what is wrong with an answer, so that the question is repeated. Fails if no other answer would help.
pub fn refuse(app: &mut App<'_>, err: Error) -> Result<(), Error> {
    if !matches!(err.code().exit(), 2 | 4 | 5) {
        return Err(err);
    }
    let mut talk = app.talk();
    // This is a message to the person who answers, not the outcome of the command.
    talk.json = false;
    talk.error(err.code(), &err.to_string(), err.hint().as_deref());
    Ok(())
}

/// Asks for one line of text, which may be empty unless the store requires it.
pub fn line(
    app: &mut App<'_>,
    question: &str,
    initial: Option<&str>,
    required: Option<&str>,
) -> Result<Line, Error> {
    let hint = if required.is_some() { "" } else { "optional" };
    text(app, question, hint, initial.unwrap_or_default(), |_, answer| {
        let line: Line = answer.parse()?;
        match required {
            Some(what) if line == Line::default() => Err(Error::Policy(demand(what))),
            _ => Ok(line),
        }
    })
}

pub fn icon(app: &mut App<'_>, initial: Option<&str>) -> Result<Icon, Error> {
    text(app, "Icon", "optional, one character", initial.unwrap_or_default(), |_, answer| {
        Ok(answer.trim().parse()?)
    })
}

/// Shows aligned lines on stderr.
pub fn show(app: &mut App<'_>, head: &str, rows: &[(&str, String)]) {
    let screen = app.talk_screen();
    let page = crate::ui::page::pairs(rows, screen);
    let head = screen.style.bold(&shown(head).to_string());
    let _ = app.ctx.stderr.write_all(format!("\n{head}\n{page}\n").as_bytes());
}

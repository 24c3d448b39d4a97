//! The answers that several verbs give.

use super::{App, Outcome};
use crate::domain::token::Token;
use crate::domain::when::Timestamp;
use crate::error::Error;
use crate::store::Store;
use crate::ui::json::{ChangedDoc, TokenDoc};

/// Says what became of one token.
pub fn say_changed(app: &mut App<'_>, token: &Token, changed: bool, done: &str) {
    let note =
        if changed { format!("{done} `{}`", token.name) } else { format!("`{}` is so already", token.name) };
    app.talk().note(&note);
}

/// The answer of a verb that changes one token.
pub fn one(
    app: &mut App<'_>,
    store: &Store,
    token: &Token,
    changed: bool,
    now: Timestamp,
    note: &str,
) -> Result<Outcome, Error> {
    if app.json() {
        app.print_json(&ChangedDoc { token: TokenDoc::new(token, &store.times(now)), changed })?;
    } else {
        app.talk().note(note);
    }
    Ok(Outcome::Done)
}

//! Reports that several verbs share.

use super::{App, Outcome};
use crate::domain::changes::Change;
use crate::domain::token::Token;
use crate::domain::when::Timestamp;
use crate::error::Error;
use crate::store::Store;
use crate::ui::json::{ChangedDoc, TokenDoc};

/// Reports the change of one token.
pub fn say_changed(app: &mut App<'_>, name: &str, changed: bool, done: &str) {
    let note = if changed { format!("{done} `{name}`") } else { format!("`{name}` is already {done}") };
    app.talk().note(&note);
}

/// Reports the changed fields below it, each with its old and new value.
pub fn say_changes(app: &mut App<'_>, changes: &[Change]) {
    let ascii = app.talk_screen().ascii;
    for change in changes {
        let words = change.to_string();
        let words = if ascii { words.replace('→', "->") } else { words };
        app.talk().note(&format!("  {words}"));
    }
}

/// The output of a verb that changes one token.
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

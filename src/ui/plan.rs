//! The text of a plan for people: each change, and its fields below it.

use super::Style;
use crate::domain::plan::{Doing, Item};
use crate::domain::text::shown;

/// The lines of one change, and why it cannot be made.
pub fn lines(item: &Item, error: Option<(&str, Option<&str>)>, style: Style) -> String {
    let mark = match item.doing {
        Doing::Create => style.green("+"),
        Doing::Update => style.yellow("~"),
        Doing::Revoke => style.red("-"),
    };
    let widens = if item.widens { " (widens)" } else { "" };
    let (doing, kind) = (item.doing.word(), item.kind.word());
    let mut text = format!("{mark} {doing} {kind} {}{widens}\n", shown(&item.name));
    for change in &item.changes {
        text.push_str(&format!("    {}\n", shown(&change.to_string())));
    }
    if let Some((message, hint)) = error {
        text.push_str(&format!("    {} {}\n", style.red("error:"), shown(message)));
        text.push_str(&hint.map(|hint| format!("    hint: {}\n", shown(hint))).unwrap_or_default());
    }
    text
}

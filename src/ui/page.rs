//! One token as a page for a person.

use super::Style;
use crate::domain::event::Event;
use crate::domain::filter::Times;
use crate::domain::text::shown;
use crate::domain::token::{LastUse, Status, Token};
use crate::domain::when::{Timestamp, relative};

/// Everything about a token; `ended` tells of how many ended secrets there are.
pub fn token(token: &Token, events: &[Event], times: &Times, style: Style) -> String {
    let now = times.at;
    let when = |instant: Timestamp| format!("{instant} ({})", relative(instant, now));
    let mut page = Page { text: String::new(), style };
    let status = token.status(now);
    let colored = match status {
        Status::Active => style.green(status.word()),
        Status::Revoked | Status::Expired => style.red(status.word()),
        Status::Disabled | Status::Pending | Status::Provisional => style.yellow(status.word()),
    };
    let icon = token.icon.as_ref().map(|icon| format!("{} ", shown(icon))).unwrap_or_default();
    page.text.push_str(&format!("{icon}{}  {colored}\n", style.bold(&shown(&token.name).to_string())));
    page.field("id", &token.id);
    page.optional("description", token.description.as_deref());
    page.optional("owner", token.owner.as_deref());
    let labels: Vec<String> = token.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    page.optional("labels", Some(labels.join(", ")).as_deref().filter(|text| !text.is_empty()));
    page.field("created", &format!("{} by {}", when(token.created_at), shown(&token.created_by)));
    page.field("expires", &token.expires_at().map_or_else(|| "never".to_owned(), when));
    page.optional("valid from", token.not_before.map(when).as_deref());
    page.optional(
        "lifetime",
        token.lifetime.ttl().map(|ttl| format!("{ttl} for every new secret")).as_deref(),
    );
    page.optional("until", token.lifetime.until().map(when).as_deref());
    page.optional("rotation", token.rotate_every.map(|every| format!("every {every}")).as_deref());
    page.optional("grace", token.grace.map(|grace| grace.to_string()).as_deref());
    page.optional("rotated", token.rotated_at().map(when).as_deref());
    page.field(
        "last used",
        &match token.last_use(times.usage_since) {
            LastUse::At(time) => when(time),
            LastUse::Never => "never".to_owned(),
            LastUse::NotRecorded => "not recorded".to_owned(),
        },
    );
    page.optional("disabled", token.disabled_at.map(when).as_deref());
    page.optional("revoked", token.revoked_at.map(when).as_deref());

    page.section("scopes", token.grants.is_empty());
    let mut grants: Vec<_> = token.grants.values().collect();
    grants.sort_by(|a, b| a.scope.cmp(&b.scope));
    page.rows(grants.into_iter().map(|grant| {
        let asked = grant
            .last_asked_at
            .map_or("-".to_owned(), |time| format!("asked for {}", relative(time, times.now)));
        vec![grant.scope.to_string(), asked]
    }));
    page.section("secrets", token.secrets.is_empty());
    page.rows(token.secrets.iter().rev().map(|secret| {
        let used = secret.last_used_at.map_or("-".to_owned(), |time| {
            // Whether a client still has to learn of the new secret.
            let since = match secret.superseded_at {
                Some(rotated) if time >= rotated => ", after the rotation",
                Some(_) => ", before the rotation",
                None => "",
            };
            format!("used {}{since}", relative(time, times.now))
        });
        let end = match (secret.revoked_at.or(token.revoked_at), secret.expires_at) {
            (Some(time), _) => format!("revoked {}", relative(time, now)),
            (None, Some(end)) if end <= now => format!("ended {}", relative(end, now)),
            (None, Some(end)) => format!("ends {}", relative(end, now)),
            (None, None) => "no end".to_owned(),
        };
        let status = token.secret_status(secret, now).word().to_owned();
        vec![shown(&secret.hint).to_string(), secret.role().word().to_owned(), status, end, used]
    }));
    page.section("events", events.is_empty());
    page.rows(events.iter().map(|event| {
        let reason = event.reason.as_ref().map(|reason| shown(reason).to_string()).unwrap_or_default();
        let actor = shown(&event.actor.display_name()).to_string();
        vec![event.time.to_string(), shown(&event.action).to_string(), actor, reason]
    }));
    page.text
}

/// Names and values in two columns, the values within the width as far as their words allow it.
pub fn pairs(rows: &[(&str, String)], width: usize, style: Style) -> String {
    let names = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let indent = names + 4;
    let mut text = String::new();
    for (name, value) in rows {
        let value = wrapped(&shown(value).to_string(), width.saturating_sub(indent + 1));
        let value = value.join(&format!("\n{}", " ".repeat(indent)));
        text.push_str(&format!("  {}  {value}\n", style.dim(&format!("{name:<names$}"))));
    }
    text
}

/// Lines of at most so many columns, or of one word.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    use unicode_width::UnicodeWidthStr;
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

struct Page {
    text: String,
    style: Style,
}

impl Page {
    fn field(&mut self, name: &str, value: &str) {
        let name = self.style.dim(&format!("{name:<12}"));
        self.text.push_str(&format!("  {name} {}\n", shown(value)));
    }

    fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }

    fn section(&mut self, name: &str, empty: bool) {
        if !empty {
            self.text.push_str(&format!("{}\n", self.style.dim(name)));
        }
    }

    /// Cells in aligned columns.
    fn rows(&mut self, rows: impl Iterator<Item = Vec<String>>) {
        use unicode_width::UnicodeWidthStr;
        let rows: Vec<Vec<String>> = rows.collect();
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest =
            |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.width()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(widest).collect();
        for row in &rows {
            let mut line = String::from("  ");
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.push_str(&" ".repeat(width - cell.width() + 2));
            }
            self.text.push_str(line.trim_end());
            self.text.push('\n');
        }
    }
}

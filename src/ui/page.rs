//! The page about one token, for a person.

use unicode_width::UnicodeWidthStr;

use super::table::{Cell, Column, Fill, Table};
use super::{Ink, Screen, tint};
use crate::domain::destination::RememberedDestination;
use crate::domain::event::Event;
use crate::domain::filter::Times;
use crate::domain::hook::PendingHook;
use crate::domain::text::{shown, shown_icon};
use crate::domain::token::{Grant, LastUse, Status, StoredSecret, Token};
use crate::domain::verdict::{Reason, refusal};
use crate::domain::when::{Timestamp, relative};

const WHOLE: Column = Column::new("", Fill::Whole);
/// The width of the longest heading, so that all pages look alike.
const LABEL: Column = Column::new("description", Fill::Whole);
/// The form for text of any length.
const TEXT: Column = Column::new("", Fill::Wrap(20));
/// How many scopes are listed in one column before several columns are used.
const FEW: usize = 8;
/// How many revoked or expired secrets are listed, since a token that is rotated daily has hundreds.
const ENDED: usize = 10;

/// The whole page of a token, with its last events.
pub fn token(token: &Token, events: &[Event], times: &Times, screen: Screen) -> String {
    let table = |columns: &[Column], rows| Table::new(screen, columns).indented(2).rows(rows);
    let mut page = title(token, times.at, screen);
    page.push_str(&table(&[LABEL, TEXT], fields(token, times)));
    let (listed, more) = listed_secrets(token, times.at);
    let secrets = listed.into_iter().map(|it| secret(token, it, times, screen)).collect();
    let mut secrets = table(&[WHOLE; 5], secrets);
    if more > 0 {
        secrets.push_str(&format!("  and {more} more that have expired or were revoked\n"));
    }
    let events_columns = [WHOLE, WHOLE, Column::new("", Fill::Wrap(8)), TEXT];
    for (name, section) in [
        ("scopes", scopes(token, times.now, screen)),
        ("secrets", secrets),
        ("events", table(&events_columns, events.iter().map(event).collect())),
    ] {
        if !section.is_empty() {
            page.push_str(&format!("{}\n{section}", screen.style.dim(name)));
        }
    }
    page
}

/// The working secrets and the latest of the others, newest first, and how many are left out.
fn listed_secrets(token: &Token, now: Timestamp) -> (Vec<&StoredSecret>, usize) {
    let mut ended = 0;
    let is_listed = |secret: &&StoredSecret| {
        let has_ended = token.revoked_at.is_some() || secret.is_over(now);
        ended += usize::from(has_ended);
        !has_ended || ended <= ENDED
    };
    let listed: Vec<&StoredSecret> = token.secrets.iter().rev().filter(is_listed).collect();
    let more = token.secrets.len() - listed.len();
    (listed, more)
}

fn title(token: &Token, now: Timestamp, screen: Screen) -> String {
    let icon = token.icon.as_deref().filter(|_| !screen.ascii).map(shown_icon).unwrap_or_default();
    let name = Cell { text: shown(&token.name).to_string(), ink: Some(Ink::Bold) };
    let row = vec![icon.into(), name, status(token.status(now))];
    Table::new(screen, [Column { gap: 1, ..WHOLE }, TEXT, WHOLE]).rows(vec![row])
}

fn status(status: Status) -> Cell {
    Cell { text: status.word().to_owned(), ink: Some(tint(status)) }
}

fn fields(token: &Token, times: &Times) -> Vec<Vec<Cell>> {
    let now = times.at;
    let when = |instant: Timestamp| format!("{instant} ({})", relative(instant, now));
    let last_used = match token.last_use(times.usage_since) {
        LastUse::At(time) => when(time),
        LastUse::Never => "never".to_owned(),
        LastUse::NotRecorded => "not recorded".to_owned(),
    };
    let fields = [
        ("id", Some(token.id.to_string())),
        ("description", token.description.clone()),
        ("owner", token.owner.clone()),
        ("labels", Some(token.label_words().join(", ")).filter(|text| !text.is_empty())),
        ("created", Some(format!("{} by {}", when(token.created_at), token.created_by))),
        ("expires", Some(token.expires_at().map_or_else(|| "never".to_owned(), when))),
        ("valid from", token.not_before.map(when)),
        ("lifetime", token.lifetime.ttl().map(|ttl| format!("{ttl} for every new secret"))),
        ("until", token.lifetime.until().map(when)),
        ("rotation", token.rotate_every.map(|every| format!("every {every}"))),
        ("due", token.due_at().map(|due| due_in_words(due, token.is_due(now), now))),
        ("grace", token.grace.map(|grace| grace.to_string())),
        ("destination", token.destination.as_ref().map(destination)),
        ("hook", token.hook.clone()),
        ("pending", token.pending_hook.as_ref().map(|hook| pending(hook, now))),
        ("allowed from", token.allow_from.as_ref().map(|rule| rule.to_string().replace(',', ", "))),
        ("rotated", token.rotated_at().map(when)),
        ("last used", Some(last_used)),
        ("disabled", token.disabled_at.map(when)),
        ("revoked", token.revoked_at.map(when)),
    ];
    let row = |(name, value): (&str, Option<String>)| {
        let ink = (name == "expires" && token.expires_soon(now)).then_some(Ink::Yellow);
        Some(vec![
            Cell { text: name.to_owned(), ink: Some(Ink::Dim) },
            Cell { text: shown(&value?).to_string(), ink },
        ])
    };
    fields.into_iter().filter_map(row).collect()
}

fn destination(it: &RememberedDestination) -> String {
    let host = it.host.as_ref().map(|host| format!(" on {host}")).unwrap_or_default();
    format!("{it} (uid {}{host})", it.uid)
}

/// A pending hook.
fn pending(hook: &PendingHook, now: Timestamp) -> String {
    let failed = hook.failed_at.map(|time| format!(", failed {}", relative(time, now))).unwrap_or_default();
    format!("{} (since {}{failed})", hook.command, hook.created_at)
}

/// When the next rotation is due, or that it is overdue.
fn due_in_words(due: Timestamp, is_due: bool, now: Timestamp) -> String {
    let when = format!("{due} ({})", relative(due, now));
    if is_due { format!("{when}, not rotated yet") } else { when }
}

/// The scopes and when each was last required. Many scopes are shown in several columns, sorted downwards.
fn scopes(token: &Token, now: Timestamp, screen: Screen) -> String {
    let mut grants: Vec<&Grant> = token.grants.values().collect();
    grants.sort_by(|a, b| a.scope.cmp(&b.scope));
    let pair = |grant: &&Grant| {
        let required = |time| format!("required {}", relative(time, now));
        [grant.scope.to_string(), grant.last_required_at.map_or_else(|| none(screen), required)]
    };
    let pairs: Vec<[String; 2]> = grants.iter().map(pair).collect();
    let widest = |at: usize| pairs.iter().map(|pair| pair[at].width()).max().unwrap_or(0);
    let apart = Column { gap: 4, ..WHOLE };
    let each = widest(0) + WHOLE.gap + if widest(1) > 0 { widest(1) + apart.gap } else { 0 };
    let beside = screen.width.filter(|_| pairs.len() > FEW).map_or(1, |width| (width / each).max(1));
    let high = pairs.len().div_ceil(beside);
    let row = |at: usize| {
        let row = pairs.iter().skip(at).step_by(high);
        row.flatten().map(|text| Cell::from(text.as_str())).collect()
    };
    let columns = [WHOLE, apart].repeat(beside);
    Table::new(screen, columns).indented(2).rows((0..high).map(row).collect())
}

/// The text for a missing value, which is blank on a screen.
fn none(screen: Screen) -> String {
    if screen.width.is_some() { String::new() } else { "-".to_owned() }
}

fn secret(token: &Token, it: &StoredSecret, times: &Times, screen: Screen) -> Vec<Cell> {
    let now = times.at;
    let used = it.last_used_at.map_or_else(
        || none(screen),
        |time| {
            // Whether a client still uses the previous secret.
            let since = match it.superseded_at {
                Some(rotated) if time >= rotated => ", after the rotation",
                Some(_) => ", before the rotation",
                None => "",
            };
            format!("used {}{since}", relative(time, times.now))
        },
    );
    let end = match (it.revoked_at.or(token.revoked_at), it.expires_at) {
        (Some(time), _) => format!("revoked {}", relative(time, now)),
        (None, Some(end)) if end <= now => format!("expired {}", relative(end, now)),
        (None, Some(end)) => format!("expires {}", relative(end, now)),
        (None, None) => "no end".to_owned(),
    };
    let state = token.secret_status(it, now);
    let used = match it.refused_at {
        // The reason is that of the current status.
        Some(time) => {
            let why = refusal(token, it, now).map_or("", Reason::word);
            format!("refused {} ({why})", relative(time, times.now))
        }
        None => used,
    };
    let hint = shown(&it.hint).to_string();
    let status = status(state);
    vec![hint.into(), it.role().word().into(), status, end.into(), used.into()]
}

/// Names and values in two columns, the values wrapped.
pub fn pairs(rows: &[(&str, String)], screen: Screen) -> String {
    let row = |(name, value): &(&str, String)| {
        vec![Cell { text: (*name).to_owned(), ink: Some(Ink::Dim) }, shown(value).to_string().into()]
    };
    Table::new(screen, [WHOLE, TEXT]).indented(2).rows(rows.iter().map(row).collect())
}

fn event(event: &Event) -> Vec<Cell> {
    let reason = event.reason.as_deref().unwrap_or_default();
    let actor = event.actor.display_name();
    [&event.time.to_string(), event.action.as_str(), &actor, reason]
        .map(|text| shown(text).to_string().into())
        .into()
}

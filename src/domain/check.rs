//! The findings about a token, computed from the token, its recorded uses, and the time. This module depends
//! on neither the store nor the output.

use std::str::FromStr;

use super::Invalid;
use super::filter::Times;
use super::token::{Grant, LastUse, Role, Status, StoredSecret, Token};
use super::verdict::refusal;
use super::when::{Span, Timestamp, relative};

/// How long after its expiry a token is reported.
const RECENT: Span = Span::days(7);
/// How late a rotation can be before it is reported. It is a day, so that a daily job is never late.
const LATE: Span = Span::days(1);
/// A token or scope that has not been used for this long is reported.
const UNUSED: Span = Span::days(90);

/// The kind of a finding. Its word never changes. A new kind must be added to `ALL`; the compiler reports
/// everything else that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingCode {
    Expiring,
    Expired,
    RotationOverdue,
    HookPending,
    PreviousInUse,
    RefusedInUse,
    Unused,
    NeverUsed,
    NoExpiry,
    NoDestination,
    ScopeUnused,
    Provisional,
}

/// How severe a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// A client is refused, or will be refused unless somebody acts.
    Error,
    Warning,
}

impl Severity {
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A finding about one token.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    pub code: FindingCode,
    /// The time since which it applies, if known.
    pub since: Option<Timestamp>,
    /// A sentence that names the token.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// The parameters of an examination of tokens.
#[derive(Debug, Clone, Copy)]
pub struct Exam {
    pub times: Times,
    /// How long before its expiry a token is reported.
    pub window: Span,
    /// The time since which uses of scopes have been recorded. `None` if they are not recorded.
    pub scopes_since: Option<Timestamp>,
}

/// The time since which a finding applies, its message, and its hint.
type Details = (Option<Timestamp>, String, String);

impl FindingCode {
    /// In the order in which they are reported for a token.
    pub const ALL: [FindingCode; 12] = [
        Self::Expiring,
        Self::Expired,
        Self::RotationOverdue,
        Self::HookPending,
        Self::PreviousInUse,
        Self::RefusedInUse,
        Self::Unused,
        Self::NeverUsed,
        Self::NoExpiry,
        Self::NoDestination,
        Self::ScopeUnused,
        Self::Provisional,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::RotationOverdue => "rotation_overdue",
            Self::HookPending => "hook_pending",
            Self::PreviousInUse => "previous_in_use",
            Self::RefusedInUse => "refused_in_use",
            Self::Unused => "unused",
            Self::NeverUsed => "never_used",
            Self::NoExpiry => "no_expiry",
            Self::NoDestination => "no_destination",
            Self::ScopeUnused => "scope_unused",
            Self::Provisional => "provisional",
        }
    }

    pub fn severity(self) -> Severity {
        match self {
            Self::Expired
            | Self::RotationOverdue
            | Self::HookPending
            | Self::PreviousInUse
            | Self::RefusedInUse => Severity::Error,
            Self::Expiring
            | Self::Unused
            | Self::NeverUsed
            | Self::NoExpiry
            | Self::NoDestination
            | Self::ScopeUnused
            | Self::Provisional => Severity::Warning,
        }
    }

    /// Returns the finding of this kind about the token, if there is one.
    fn find(self, token: &Token, exam: &Exam) -> Option<Details> {
        match self {
            Self::Expiring => expiring(token, exam),
            Self::Expired => expired(token, exam.times.now),
            Self::RotationOverdue => rotation_overdue(token, exam.times.now),
            Self::HookPending => hook_pending(token, exam.times.now),
            Self::PreviousInUse => previous_in_use(token, exam.times.now),
            Self::RefusedInUse => refused_in_use(token, exam.times.now),
            Self::Unused => unused(token, exam.times.now),
            Self::NeverUsed => never_used(token, &exam.times),
            Self::NoExpiry => no_expiry(token, exam.times.now),
            Self::NoDestination => no_destination(token, exam.times.now),
            Self::ScopeUnused => scope_unused(token, exam),
            Self::Provisional => provisional(token, exam.times.now),
        }
    }
}

impl FromStr for FindingCode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let found = Self::ALL.into_iter().find(|code| code.word() == text.replace('-', "_"));
        found.ok_or_else(|| Invalid::no_such("finding", text, &Self::ALL.map(Self::word)))
    }
}

/// Returns the findings of these kinds about a token.
pub fn examine(token: &Token, exam: &Exam, codes: &[FindingCode]) -> Vec<Finding> {
    let find = |code: &FindingCode| {
        let (since, message, hint) = code.find(token, exam)?;
        Some(Finding { code: *code, since, message, hint })
    };
    codes.iter().filter_map(find).collect()
}

fn when(instant: Timestamp, now: Timestamp) -> String {
    format!("{instant} ({})", relative(instant, now))
}

fn is_active(token: &Token, now: Timestamp) -> bool {
    token.status(now) == Status::Active
}

fn is_older(instant: Timestamp, span: Span, now: Timestamp) -> bool {
    now.since(instant) > span.secs()
}

/// The token expires within the window and is in the second half of its lifetime.
fn expiring(token: &Token, exam: &Exam) -> Option<Details> {
    let now = exam.times.now;
    if !token.expires_within(exam.window, now) {
        return None;
    }
    let (name, end, start) = (&token.name, token.expires_at()?, token.face()?.created_at);
    let half = Span::from_secs(end.since(start) / 2).unwrap_or(exam.window);
    let since = end.minus(half.min(exam.window));
    let hint = match token.lifetime.until() {
        Some(_) => format!("use `tokenctl edit {name} --expires DATE` to give it more time"),
        None => format!("use `tokenctl rotate {name}` to deliver a new secret"),
    };
    Some((Some(since), format!("`{name}` expires {}", when(end, now)), hint))
}

fn expired(token: &Token, now: Timestamp) -> Option<Details> {
    let (name, end) = (&token.name, token.expires_at()?);
    if token.status(now) != Status::Expired || is_older(end, RECENT, now) {
        return None;
    }
    let revive = match token.lifetime.until() {
        Some(_) => format!("`tokenctl edit {name} --expires DATE --revive`"),
        None => format!("`tokenctl rotate {name} --revive`"),
    };
    let hint = format!("revive it with {revive}, or revoke it with `tokenctl revoke {name}`");
    Some((Some(end), format!("`{name}` expired {}", when(end, now)), hint))
}

fn rotation_overdue(token: &Token, now: Timestamp) -> Option<Details> {
    let due = token.due_at().filter(|_| token.is_due(now))?;
    let name = &token.name;
    let hint = format!("run `tokenctl rotate {name}`, and find out why the scheduled job did not");
    is_older(due, LATE, now)
        .then(|| (Some(due), format!("`{name}` was due for rotation {}", when(due, now)), hint))
}

/// The hook of a rotation has not succeeded, and no process is running it.
fn hook_pending(token: &Token, now: Timestamp) -> Option<Details> {
    let hook = token.pending_hook.as_ref().filter(|hook| !hook.is_claimed(now))?;
    let (name, uid) = (&token.name, hook.uid);
    let state = hook.failed_at.map_or("has not run".to_owned(), |time| format!("failed {}", when(time, now)));
    let message = format!("`{}` after the rotation of `{name}` {state}", hook.command);
    let hint = format!("run `tokenctl rotate --due` as uid {uid} to run it again");
    Some((Some(hook.created_at), message, hint))
}

/// The token has a rotation policy, but no destination is stored with it.
fn no_destination(token: &Token, now: Timestamp) -> Option<Details> {
    let works = matches!(token.status(now), Status::Active | Status::Pending);
    token.rotate_every.filter(|_| works && token.destination.is_none())?;
    let name = &token.name;
    let hint = format!(
        "set one with `tokenctl edit {name} --out FILE`, so that `tokenctl rotate --due` can deliver"
    );
    Some((None, format!("`{name}` has a rotation policy and no destination"), hint))
}

/// A client still uses the previous secret, whose grace period is running out.
fn previous_in_use(token: &Token, now: Timestamp) -> Option<Details> {
    let is_used = |secret: &&StoredSecret| {
        let used_late = secret.last_used_at.zip(secret.superseded_at).is_some_and(|(used, by)| used >= by);
        secret.role() == Role::Previous && used_late && token.secret_status(secret, now) == Status::Active
    };
    let secret = token.secrets.iter().rev().find(is_used)?;
    let (name, end) = (&token.name, secret.expires_at?);
    let used = when(secret.last_used_at?, now);
    let message = format!(
        "a client used the previous secret of `{name}` {used}, after the rotation; it stops working {}",
        when(end, now)
    );
    Some((secret.superseded_at, message, "give that client the current secret before then".to_owned()))
}

/// A client still presents a secret that has expired or was revoked.
fn refused_in_use(token: &Token, now: Timestamp) -> Option<Details> {
    let is_recent = |at: &Timestamp| !is_older(*at, Span::days(1), now);
    let refused = token.secrets.iter().filter_map(|secret| secret.refused_at.zip(Some(secret)));
    let (at, secret) = refused.filter(|(at, _)| is_recent(at)).max_by_key(|(at, _)| *at)?;
    let (name, hint) = (&token.name, &secret.hint);
    let state = refusal(token, secret, now)?.word();
    let message = format!("a client presented the {state} secret {hint} of `{name}` {}", when(at, now));
    let hint = if secret.role() == Role::Current {
        "find that client, and remove the secret from it or give it one that works"
    } else {
        "give that client the current secret"
    };
    Some((Some(at), message, hint.to_owned()))
}

fn unused(token: &Token, now: Timestamp) -> Option<Details> {
    let used = token.last_used_at().filter(|used| is_active(token, now) && is_older(*used, UNUSED, now))?;
    let name = &token.name;
    let hint = format!("if nobody needs it, run `tokenctl disable {name}`");
    Some((Some(used), format!("`{name}` was last used {}", when(used, now)), hint))
}

fn never_used(token: &Token, times: &Times) -> Option<Details> {
    if !(is_active(token, times.now) && times.never_used(token)) {
        return None;
    }
    let name = &token.name;
    let message = match (token.last_use(times.usage_since), times.usage_since) {
        (LastUse::NotRecorded, Some(since)) => {
            format!("no use of `{name}` is recorded since {}", when(since, times.now))
        }
        _ => format!("`{name}` was created {} and never used", when(token.created_at, times.now)),
    };
    let hint = format!("if nobody needs it, run `tokenctl revoke {name}`");
    Some((Some(token.created_at.max(times.usage_since?)), message, hint))
}

fn no_expiry(token: &Token, now: Timestamp) -> Option<Details> {
    let works = matches!(token.status(now), Status::Active | Status::Pending);
    let current = token.current().filter(|current| works && current.expires_at.is_none())?;
    let name = &token.name;
    let hint = format!("set a lifetime with `tokenctl edit {name} --ttl 90d`");
    Some((Some(current.created_at), format!("`{name}` never expires"), hint))
}

/// The token is in use, but no verification has required these scopes for [`UNUSED`].
fn scope_unused(token: &Token, exam: &Exam) -> Option<Details> {
    let now = exam.times.now;
    let recorded = exam.scopes_since?.max(token.created_at);
    let in_use = token.last_used_at().is_some_and(|used| !is_older(used, UNUSED, now));
    if !(is_active(token, now) && in_use && is_older(recorded, UNUSED, now)) {
        return None;
    }
    let is_idle = |grant: &&Grant| grant.last_required_at.is_none_or(|last| is_older(last, UNUSED, now));
    let idle: Vec<&Grant> = token.grants.values().filter(is_idle).collect();
    let since = idle.iter().map(|grant| grant.last_required_at.unwrap_or(recorded)).max()?;
    let mut scopes: Vec<&str> = idle.iter().map(|grant| grant.scope.as_str()).collect();
    scopes.sort_unstable();
    let (name, list) = (&token.name, scopes.join(", "));
    let message = format!("`{name}` has scopes that no check has required in {UNUSED}: {list}");
    Some((Some(since), message, format!("`tokenctl scopes remove {name} {}`", scopes.join(" "))))
}

/// A delivery was interrupted, and has been neither confirmed nor rolled back.
fn provisional(token: &Token, now: Timestamp) -> Option<Details> {
    let delivery = token.delivery.as_ref().filter(|delivery| delivery.deadline <= now)?;
    let (name, uid, deadline) = (&token.name, delivery.uid, delivery.deadline);
    let message = format!("a delivery of `{name}` by uid {uid} was not confirmed by {}", when(deadline, now));
    let hint = format!("run `tokenctl doctor --repair` as uid {uid} to confirm it or roll it back");
    Some((Some(deadline), message, hint))
}

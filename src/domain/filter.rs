//! The filter that selects tokens for `list`, and for changes whose tokens are not given by name.

use super::scope::{Catalogue, Scope};
use super::text::Label;
use super::token::{Status, Token};
use super::when::{Span, Timestamp};

/// A token without a recorded use counts as never used only if it has existed, and uses have been recorded,
/// for longer than this.
const NEVER_USED_AFTER: Span = Span::days(30);

/// A token must meet all conditions. It must have one of `statuses` and one of `owners`, but all `scopes` and
/// `labels`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub statuses: Vec<Status>,
    /// Scopes that the token holds directly or through includes.
    pub scopes: Vec<Scope>,
    pub owners: Vec<String>,
    pub labels: Vec<Label>,
    pub expires_within: Option<Span>,
    /// Only tokens that are due for rotation.
    pub overdue: bool,
    pub due_within: Option<Span>,
    pub unused_for: Option<Span>,
    pub never_used: bool,
    /// Text in the name, description or owner, ignoring case.
    pub search: Option<String>,
    /// Whether revoked and expired tokens are included.
    pub all: bool,
}

impl Filter {
    /// Whether the filter has no condition. `all` does not count as one.
    pub fn is_empty(&self) -> bool {
        *self == Filter { all: self.all, ..Filter::default() }
    }

    /// Whether revoked and expired tokens are hidden, since neither `all` nor `statuses` includes them.
    pub fn hides_what_is_over(&self) -> bool {
        !self.all && self.statuses.is_empty()
    }

    /// Whether this token meets all conditions at these times.
    pub fn meets(&self, token: &Token, times: &Times, catalogue: &Catalogue) -> bool {
        if !token.is_visible(times.at) {
            return false;
        }
        let status = token.status(times.at);
        let by_status = if self.statuses.is_empty() {
            self.all || !status.is_over()
        } else {
            self.statuses.contains(&status)
        };
        by_status
            && (self.owners.is_empty()
                || token.owner.as_ref().is_some_and(|owner| self.owners.contains(owner)))
            && self.labels.iter().all(|label| token.labels.get(&label.key) == Some(&label.value))
            && self
                .expires_within
                .is_none_or(|span| token.expires_at().is_some_and(|end| end.since(times.at) <= span.secs()))
            && (!self.overdue || token.due_at().is_some_and(|due| due <= times.at))
            && self
                .due_within
                .is_none_or(|span| token.due_at().is_some_and(|due| due.since(times.at) <= span.secs()))
            && self.unused_for.is_none_or(|span| {
                token.last_used_at().is_some_and(|used| times.now.since(used) > span.secs())
            })
            && (!self.never_used || times.never_used(token))
            && self.search.as_ref().is_none_or(|text| contains_text(token, text))
            && (self.scopes.is_empty() || {
                let held = token.held_scopes(catalogue);
                self.scopes.iter().all(|scope| held.contains(scope))
            })
    }
}

/// The times on which a selection depends.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub now: Timestamp,
    /// The time for which statuses are computed: `now`, or a later time given by `--at`.
    pub at: Timestamp,
    /// The time since which uses have been recorded. `None` if they are not recorded.
    pub usage_since: Option<Timestamp>,
}

impl Times {
    /// Whether no use of the token is recorded, although it has existed, and uses have been recorded, for
    /// more than 30 days.
    pub fn never_used(&self, token: &Token) -> bool {
        let old = |instant: Timestamp| self.now.since(instant) > NEVER_USED_AFTER.secs();
        token.last_used_at().is_none() && old(token.created_at) && self.usage_since.is_some_and(old)
    }
}

fn contains_text(token: &Token, text: &str) -> bool {
    let text = text.to_lowercase();
    [Some(&*token.name), token.description.as_deref(), token.owner.as_deref()]
        .into_iter()
        .flatten()
        .any(|field| field.to_lowercase().contains(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::StoredSecret;
    use crate::domain::token::tests::{at, secret, token};

    const DAY: i64 = 86_400;

    fn meets(filter: &Filter, token: &Token, now: i64) -> bool {
        let times = Times { now: at(now), at: at(now), usage_since: Some(at(0)) };
        filter.meets(token, &times, &Catalogue::default())
    }

    #[test]
    fn revoked_and_expired_tokens_are_hidden_unless_requested() {
        let mut it = token(vec![secret(1, 0)]);
        it.revoked_at = Some(at(1));
        assert!(!meets(&Filter::default(), &it, 5));
        assert!(meets(&Filter { all: true, ..Filter::default() }, &it, 5));
        assert!(meets(&Filter { statuses: vec![Status::Revoked], ..Filter::default() }, &it, 5));
        assert!(!meets(&Filter { statuses: vec![Status::Active], ..Filter::default() }, &it, 5));
    }

    #[test]
    fn an_expiry_within_a_span_includes_its_last_second() {
        let it = token(vec![StoredSecret { expires_at: Some(at(14 * DAY)), ..secret(1, 0) }]);
        let within = Filter { expires_within: Some(Span::days(14)), ..Filter::default() };
        assert!(meets(&within, &it, 0));
        let within = Filter { expires_within: Some(Span::days(13)), ..Filter::default() };
        assert!(!meets(&within, &it, 0));
        assert!(!meets(&within, &token(vec![secret(1, 0)]), 0));
    }

    #[test]
    fn never_used_requires_a_token_and_a_recording_older_than_thirty_days() {
        let never = Filter { never_used: true, ..Filter::default() };
        let it = token(vec![secret(1, 0)]);
        assert!(!meets(&never, &it, 30 * DAY));
        assert!(meets(&never, &it, 30 * DAY + 1));
        let unrecorded = Times { now: at(90 * DAY), at: at(90 * DAY), usage_since: None };
        assert!(!never.meets(&it, &unrecorded, &Catalogue::default()));
        let used = token(vec![StoredSecret { last_used_at: Some(at(5)), ..secret(1, 0) }]);
        assert!(!meets(&never, &used, 90 * DAY));
        let unused = Filter { unused_for: Some(Span::days(30)), ..Filter::default() };
        assert!(meets(&unused, &used, 31 * DAY));
        assert!(!meets(&unused, &used, 30 * DAY));
        assert!(!meets(&unused, &it, 90 * DAY));
    }

    #[test]
    fn search_covers_name_description_and_owner_and_ignores_case() {
        let mut it = token(vec![secret(1, 0)]);
        it.description = Some("Größe".to_owned());
        for text in ["DEM", "GRÖSSE".to_lowercase().as_str(), "größe"] {
            let hit = meets(&Filter { search: Some(text.to_owned()), ..Filter::default() }, &it, 5);
            assert_eq!(hit, text != "grösse", "{text}");
        }
    }

    #[test]
    fn different_filters_must_all_hold() {
        let mut it = token(vec![secret(1, 0)]);
        it.owner = Some("ann".to_owned());
        it.labels.insert("env".to_owned(), "prod".to_owned());
        let label: Label = "env=prod".parse().unwrap();
        let filter = |owner: &str| Filter {
            owners: vec!["bob".to_owned(), owner.to_owned()],
            labels: vec![label.clone()],
            ..Filter::default()
        };
        assert!(meets(&filter("ann"), &it, 5));
        assert!(!meets(&filter("eve"), &it, 5));
    }

    #[test]
    fn a_filter_that_only_includes_revoked_and_expired_tokens_is_empty() {
        assert!(Filter { all: true, ..Filter::default() }.is_empty());
        assert!(!Filter { statuses: vec![Status::Active], ..Filter::default() }.is_empty());
    }
}

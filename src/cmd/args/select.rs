//! The tokens of a command, selected by name or by the filters of `list`.

use clap::Args;

use super::takes::Takes;
use crate::domain::Invalid;
use crate::domain::filter::{Filter, Times};
use crate::domain::scope::{Catalogue, Scope};
use crate::domain::secret::SecretHash;
use crate::domain::text::{NonEmpty, SetLabel, nearest};
use crate::domain::token::{Status, Token};
use crate::domain::when::{Span, Timestamp};
use crate::error::{Error, Subject};
use crate::store::{FIRST, Parts, Store, StoreError, View};

/// A reference to a token: its name, its id, at least six characters of the id, a secret's hint, or the name as
/// a narrow list cuts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference(String);

impl std::str::FromStr for Reference {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::new("the name is empty"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Reference {
    /// The one token that it refers to.
    pub fn resolve(&self, view: &View<'_>, now: Timestamp) -> Result<Token, Error> {
        let mut found = view.candidates(&self.0, now)?;
        if found.len() > 1 {
            let ids = found.into_iter().map(|token| token.id.to_string()).collect();
            return Err(Error::Ambiguous { reference: self.0.clone(), ids });
        }
        found.pop().ok_or_else(|| Error::NotFound {
            what: Subject::Token,
            name: self.0.clone(),
            nearest: self.nearest(view, now),
        })
    }

    /// The id of the token that it refers to, which may have been pruned so that only its events are left.
    pub fn resolve_logged(&self, view: &View<'_>, now: Timestamp) -> Result<String, Error> {
        match self.resolve(view, now) {
            Err(missing @ Error::NotFound { .. }) => view.logged_id(&self.0)?.ok_or(missing),
            found => found.map(|token| token.id.to_string()),
        }
    }

    /// The most similar name: in a small store of all names, in a large one of those that begin alike. Errors are
    /// ignored, since this is only for a hint.
    fn nearest(&self, view: &View<'_>, now: Timestamp) -> Option<String> {
        let names = view.names_beside(&self.0).ok()?;
        let name = nearest(&self.0, names.iter().map(String::as_str))?;
        let token = view.token(view.named(&name.parse().ok()?).ok()??, now).ok()?;
        token.is_visible(now).then(|| token.name.to_string())
    }
}

/// The heading of the flags that choose tokens.
pub const FILTERS: &str = "Filters";

#[derive(Args)]
pub struct FilterArgs {
    /// Only tokens with one of these statuses
    #[arg(long = "status", value_name = "A,B", value_delimiter = ',', help_heading = FILTERS, add = Takes::Status)]
    statuses: Vec<Status>,
    /// Only tokens with all of these scopes, directly or included in others
    #[arg(short, long = "scope", value_name = "A,B", value_delimiter = ',', help_heading = FILTERS)]
    #[arg(add = Takes::Scope)]
    scopes: Vec<Scope>,
    /// Only tokens of this owner; repeat it for several owners
    #[arg(long = "owner", value_name = "WHO", help_heading = FILTERS, add = Takes::Owner)]
    owners: Vec<NonEmpty>,
    /// Only tokens with this label; repeat it to require several
    #[arg(short, long = "label", value_name = "KEY=VALUE", help_heading = FILTERS, add = Takes::Label)]
    labels: Vec<SetLabel>,
    /// Only tokens that expire within this time
    #[arg(long, value_name = "DURATION", help_heading = FILTERS)]
    expires_within: Option<Span>,
    /// Only tokens whose rotation is due
    #[arg(long, help_heading = FILTERS)]
    overdue: bool,
    /// Only tokens whose rotation is due or becomes due within this time
    #[arg(long, value_name = "DURATION", help_heading = FILTERS)]
    due_within: Option<Span>,
    /// Only tokens whose last use is longer ago than this
    #[arg(long, value_name = "DURATION", help_heading = FILTERS)]
    unused_for: Option<Span>,
    /// Only tokens older than 30 days for which no use is recorded
    #[arg(long, help_heading = FILTERS)]
    never_used: bool,
    /// Only tokens with this text in their name, description or owner
    #[arg(long, value_name = "TEXT", help_heading = FILTERS)]
    search: Option<NonEmpty>,
}

impl FilterArgs {
    pub fn filter(&self) -> Filter {
        Filter {
            statuses: self.statuses.clone(),
            scopes: self.scopes.clone(),
            owners: self.owners.iter().map(|owner| owner.0.clone()).collect(),
            labels: self.labels.iter().map(|label| label.0.clone()).collect(),
            expires_within: self.expires_within,
            overdue: self.overdue,
            due_within: self.due_within,
            unused_for: self.unused_for,
            never_used: self.never_used,
            search: self.search.as_ref().map(|text| text.0.clone()),
            all: false,
        }
    }
}

// Names or filters, never both. A doc comment would become the help of the verbs.
#[derive(Args)]
pub struct TargetArgs {
    /// The tokens, by name or id
    #[arg(value_name = "NAME", add = Takes::Token)]
    names: Vec<Reference>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    pub rehearsal: RehearsalArgs,
}

// Checks of a selection. This is not a doc comment for the same reason.
#[derive(Args)]
pub struct RehearsalArgs {
    /// Show what would be changed, and change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Fail unless exactly this many tokens would change
    #[arg(long, value_name = "N")]
    pub expect: Option<usize>,
}

/// Tokens as they were read.
pub struct Selection {
    pub tokens: Vec<Token>,
    /// Whether filters selected them.
    pub is_by_filter: bool,
}

pub fn owner_of(view: &View<'_>, hash: &SecretHash, now: Timestamp) -> Result<Token, Error> {
    let found = view.presented(hash, now, Parts::ALL)?;
    let token = found.map(|found| found.token).filter(|token| token.is_visible(now));
    token.ok_or_else(|| Error::NotFound {
        what: Subject::Token,
        name: "of this secret".to_owned(),
        nearest: None,
    })
}

impl RehearsalArgs {
    /// Fails if another number of changes was expected.
    pub fn expect(&self, found: usize) -> Result<(), Error> {
        match self.expect {
            Some(expected) if expected != found => Err(Error::CountDiffers { expected, found }),
            _ => Ok(()),
        }
    }
}

impl TargetArgs {
    /// Whether neither a name nor a filter is given.
    pub fn is_empty(&self) -> bool {
        self.names_none() && self.filter.filter().is_empty()
    }

    pub fn names_none(&self) -> bool {
        self.names.is_empty()
    }

    /// The name, if there is exactly one and no filter.
    pub fn single(&self) -> Option<&Reference> {
        match &self.names[..] {
            [name] if self.filter.filter().is_empty() => Some(name),
            _ => None,
        }
    }

    /// As [`TargetArgs::select`], but with `all_due` and nothing given, every token is selected, expired ones
    /// included.
    pub fn select_due(&self, store: &Store, now: Timestamp, all_due: bool) -> Result<Selection, Error> {
        if !(all_due && self.names_none()) {
            return self.select(store, now);
        }
        by_filter(store, &self.filter_due(all_due), now)
    }

    fn filter_due(&self, all_due: bool) -> Filter {
        Filter { all: all_due, ..self.filter.filter() }
    }

    /// Fails if there are filters that no longer match a token.
    pub fn check_again(
        &self,
        view: &View<'_>,
        token: &Token,
        now: Timestamp,
        all_due: bool,
    ) -> Result<(), Error> {
        if !self.names_none() {
            return Ok(());
        }
        let meets = self.filter_due(all_due).meets(token, &view.times(now), &view.catalogue()?);
        if meets { Ok(()) } else { Err(Error::SelectionChanged { lost: 1 }) }
    }

    pub fn select(&self, store: &Store, now: Timestamp) -> Result<Selection, Error> {
        if self.names.is_empty() {
            return by_filter(store, &self.filter.filter(), now);
        }
        Ok(Selection { tokens: named(&self.names, store, now)?, is_by_filter: false })
    }

    pub fn names(&self) -> &[Reference] {
        &self.names
    }

    pub fn filter(&self) -> Filter {
        self.filter.filter()
    }

    /// Fails if there are both names and filters. Without either, every token is selected.
    pub fn check_optional(&self) -> Result<(), Invalid> {
        if self.names.is_empty() && self.filter.filter().is_empty() { Ok(()) } else { self.check() }
    }

    /// Passes each selected token on, revoked and expired ones included.
    pub fn each(
        &self,
        store: &Store,
        now: Timestamp,
        mut take: impl FnMut(Token) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if !self.names.is_empty() {
            return named(&self.names, store, now)?.into_iter().try_for_each(take);
        }
        let filter = Filter { all: true, ..self.filter.filter() };
        let catalogue = known_scopes(store, &filter.scopes)?;
        let each = |page: Vec<Token>| page.into_iter().try_for_each(&mut take);
        filtered(store, &filter, &catalogue, now, now, each)
    }

    /// Fails unless there are either names or filters. It is called before the store is opened.
    pub fn check(&self) -> Result<(), Invalid> {
        match (self.names.is_empty(), self.filter.filter().is_empty()) {
            (false, false) => {
                Err(Invalid::new("names and filters cannot be combined").hint("use only one of them"))
            }
            (true, true) => {
                Err(Invalid::new("no token is named").hint("pass NAME, or a filter like `--owner WHO`"))
            }
            _ => Ok(()),
        }
    }
}

fn by_filter(store: &Store, filter: &Filter, now: Timestamp) -> Result<Selection, Error> {
    let mut tokens = Vec::new();
    let known = known_scopes(store, &filter.scopes)?;
    filtered(store, filter, &known, now, now, |page| {
        tokens.extend(page);
        Ok(())
    })?;
    tokens.sort_by(|a: &Token, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    Ok(Selection { tokens, is_by_filter: true })
}

/// The tokens of these names, each once. An unknown name is an error.
pub fn named(names: &[Reference], store: &Store, now: Timestamp) -> Result<Vec<Token>, Error> {
    store.read(|view| resolved(names, view, now))
}

pub fn resolved(names: &[Reference], view: &View<'_>, now: Timestamp) -> Result<Vec<Token>, Error> {
    let mut tokens: Vec<Token> = Vec::new();
    for name in names {
        let token = name.resolve(view, now)?;
        if tokens.iter().all(|known| known.row != token.row) {
            tokens.push(token);
        }
    }
    Ok(tokens)
}

/// The catalogue. Fails if one of these scopes is not in it.
pub fn known_scopes(store: &Store, scopes: &[Scope]) -> Result<Catalogue, Error> {
    let catalogue = store.read(|view| view.catalogue())?;
    scope_rows(scopes, &catalogue, false)?;
    Ok(catalogue)
}

/// Passes every token to `take`, in the order of creation. Each page is read completely first.
pub fn filtered(
    store: &Store,
    filter: &Filter,
    catalogue: &Catalogue,
    now: Timestamp,
    at: Timestamp,
    mut take: impl FnMut(Vec<Token>) -> Result<(), Error>,
) -> Result<(), Error> {
    let times = Times { at, ..store.times(now) };
    let mut from = FIRST;
    loop {
        let (last, mut page) = store.read(|view| {
            let rows = view.rows_from(from)?;
            Ok::<_, StoreError>((rows.last().copied(), view.tokens(&rows, now)?))
        })?;
        page.retain(|token| filter.meets(token, &times, catalogue));
        take(page)?;
        match last.and_then(|last| last.checked_add(1)) {
            Some(next) => from = next,
            None => return Ok(()),
        }
    }
}

/// The rows of these scopes. A scope that does not exist or is retired is an error.
pub fn scope_rows(
    scopes: &[Scope],
    catalogue: &Catalogue,
    to_grant: bool,
) -> Result<Vec<(i64, Scope)>, Error> {
    scopes
        .iter()
        .map(|scope| {
            let entry = catalogue.get(scope).ok_or_else(|| unknown_scope(scope, catalogue))?;
            if to_grant && entry.retired_at.is_some() {
                let invalid =
                    Invalid::new(format!("the scope `{scope}` is retired and can no longer be granted"))
                        .hint(format!("bring it back with `tokenctl scopes define {scope}`"));
                return Err(Error::Policy(invalid));
            }
            Ok((entry.row, scope.clone()))
        })
        .collect()
}

/// The error for an unknown scope, with a similar one as a hint.
pub fn unknown_scope(scope: &Scope, catalogue: &Catalogue) -> Error {
    let nearest = catalogue.nearest(scope).map(str::to_owned);
    Error::NotFound { what: Subject::Scope, name: scope.to_string(), nearest }
}

//! The tokens that are selected for a change, in the state before the user was asked. There can be very many, so they
//! are listed in a temporary database and read page by page.

use std::collections::BTreeSet;

use super::select::{Reference, TargetArgs, filtered, known_scopes, owner_of, resolved};
use crate::domain::filter::{Filter, Times};
use crate::domain::name::TokenId;
use crate::domain::scope::Catalogue;
use crate::domain::secret::SecretHash;
use crate::domain::token::Token;
use crate::domain::when::Timestamp;
use crate::error::Error;
use crate::store::{Listed, OneListed, Order, Store, StoreError, View};

/// Whether a change makes a difference to a token. It is applied to a copy before anything is changed.
pub type Differs<'a> = &'a dyn Fn(&Token) -> Result<bool, Error>;

pub struct Choice {
    list: Listed,
    by: By,
    /// The number of tokens to which the change makes a difference.
    pub changes: usize,
    /// One of the tokens. If there is only one, this is it.
    pub first: Option<Token>,
}

enum By {
    Names(Vec<Reference>),
    Filter(Filter, Times),
    Secret(SecretHash),
}

/// The current state of a choice.
pub enum Meant<'a> {
    Ids(BTreeSet<TokenId>),
    Filter(&'a Filter, &'a Times, Catalogue),
}

/// A note about a token: whether the change makes a difference to it, or whether it is gone.
const DIFFERS: &str = "differs";
const SAME: &str = "same";
const GONE: &str = "gone";

impl Choice {
    /// Selects the tokens with these names, or those that match the filters.
    pub fn of(
        targets: &TargetArgs,
        store: &Store,
        now: Timestamp,
        differs: Differs<'_>,
    ) -> Result<Self, Error> {
        if targets.names_none() {
            return Self::by_filter(&targets.filter(), store, now, differs);
        }
        let tokens = store.read(|view| resolved(targets.names(), view, now))?;
        Self::new(Order::Given, By::Names(targets.names().to_vec()), tokens, differs)
    }

    /// Selects the token to which a secret belongs.
    pub fn of_secret(
        hash: &SecretHash,
        store: &Store,
        now: Timestamp,
        differs: Differs<'_>,
    ) -> Result<Self, Error> {
        let token = store.read(|view| owner_of(view, hash, now))?;
        Self::new(Order::Given, By::Secret(*hash), vec![token], differs)
    }

    fn by_filter(
        filter: &Filter,
        store: &Store,
        now: Timestamp,
        differs: Differs<'_>,
    ) -> Result<Self, Error> {
        let known = known_scopes(store, &filter.scopes)?;
        let times = Times { at: now, ..store.times(now) };
        let mut choice = Self::new(Order::Name, By::Filter(filter.clone(), times), Vec::new(), differs)?;
        filtered(store, filter, &known, now, now, |page| choice.add(page, differs))?;
        Ok(choice)
    }

    fn new(order: Order, by: By, tokens: Vec<Token>, differs: Differs<'_>) -> Result<Self, Error> {
        let mut choice = Self { list: Listed::new(order)?, by, changes: 0, first: None };
        choice.add(tokens, differs)?;
        Ok(choice)
    }

    fn add(&mut self, tokens: Vec<Token>, differs: Differs<'_>) -> Result<(), Error> {
        for token in tokens {
            let changes = differs(&token)?;
            self.changes += usize::from(changes);
            self.list.add(&token, if changes { DIFFERS } else { SAME })?;
            self.first.get_or_insert(token);
        }
        Ok(())
    }

    pub fn count(&self) -> usize {
        self.list.count
    }

    pub fn is_by_filter(&self) -> bool {
        matches!(self.by, By::Filter(..))
    }

    pub fn meant(&self, view: &View<'_>, now: Timestamp) -> Result<Meant<'_>, Error> {
        let tokens = match &self.by {
            By::Names(names) => resolved(names, view, now)?,
            By::Secret(hash) => vec![owner_of(view, hash, now)?],
            By::Filter(filter, times) => return Ok(Meant::Filter(filter, times, view.catalogue()?)),
        };
        Ok(Meant::Ids(tokens.into_iter().map(|token| token.id).collect()))
    }

    /// Passes on the tokens that still exist, in their state in this transaction, page by page. `take` returns
    /// whether it changes a token.
    pub fn change(
        &self,
        view: &View<'_>,
        now: Timestamp,
        mut take: impl FnMut(Token) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        self.list.each(|page| {
            let mut tokens = present(view, &page, now)?.into_iter().peekable();
            for it in &page {
                let note = match tokens.next_if(|(listed, _)| listed.place == it.place) {
                    None => GONE,
                    Some((_, token)) => {
                        if take(token)? {
                            DIFFERS
                        } else {
                            SAME
                        }
                    }
                };
                if note != it.note {
                    self.list.note(it.place, note)?;
                }
            }
            Ok(())
        })
    }

    /// Passes on the names of the tokens that still existed, and whether the change makes a difference to each.
    pub fn each_name(&self, mut take: impl FnMut(&str, bool)) -> Result<(), Error> {
        self.list.each(|page| {
            page.iter().filter(|it| it.note != GONE).for_each(|it| take(&it.name, it.note == DIFFERS));
            Ok(())
        })
    }

    /// Passes on the tokens themselves in the same way, page by page.
    pub fn each(
        &self,
        store: &Store,
        now: Timestamp,
        mut take: impl FnMut(Vec<(bool, Token)>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.list.each(|mut page| {
            page.retain(|it| it.note != GONE);
            let tokens = store.read(|view| present(view, &page, now))?;
            take(tokens.into_iter().map(|(it, token)| (it.note == DIFFERS, token)).collect())
        })
    }
}

impl Meant<'_> {
    pub fn has(&self, token: &Token) -> bool {
        match self {
            Self::Ids(ids) => ids.contains(&token.id),
            Self::Filter(filter, times, catalogue) => filter.meets(token, times, catalogue),
        }
    }
}

/// Returns the tokens that are still the listed ones, since another token may have got the same row.
fn present<'a>(
    view: &View<'_>,
    page: &'a [OneListed],
    now: Timestamp,
) -> Result<Vec<(&'a OneListed, Token)>, StoreError> {
    let rows: Vec<i64> = page.iter().map(|it| it.row).collect();
    // Both are in the same order.
    let mut listed = page.iter();
    let tokens = view.tokens(&rows, now)?.into_iter();
    let found = tokens.filter_map(|token| Some((listed.find(|it| it.row == token.row)?, token)));
    Ok(found.filter(|(it, token)| it.id == token.id).collect())
}

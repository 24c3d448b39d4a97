//! The description of a new token, from the flags that `create` and `adopt` share.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;

use super::allow::AllowArgs;
use super::lifetime::{HEADING, LifetimeArgs, NotBefore};
use super::select::scope_rows;
use super::takes::Takes;
use crate::app::App;
use crate::context::Machine;
use crate::deliver::{self, Begun, Fate};
use crate::domain::Invalid;
use crate::domain::lifetime::Terms;
use crate::domain::name::{Name, TokenId};
use crate::domain::scope::{Catalogue, Scope};
use crate::domain::settings::Settings;
use crate::domain::text::{Icon, Label, Line, SetLabel, check_unique_keys};
use crate::domain::token::{Grant, Memory, NewToken, Status, Token};
use crate::domain::when::{Span, Timestamp, Zone, relative};
use crate::error::{Error, Subject};
use crate::store::{Store, StoreError, View, Write};

#[derive(Args, Clone)]
pub struct TokenArgs {
    /// Describe what the token is for
    #[arg(short, long, value_name = "TEXT")]
    pub description: Option<Line>,
    /// Set the person or team that is responsible for it
    #[arg(long, value_name = "WHO", add = Takes::Owner)]
    pub owner: Option<Line>,
    /// Mark it in lists with an icon: one character or emoji
    #[arg(long, value_name = "GLYPH")]
    pub icon: Option<Icon>,
    /// Add a label, which `verify --label` can require
    #[arg(short, long = "label", value_name = "KEY=VALUE", add = Takes::Label)]
    pub labels: Vec<SetLabel>,
    /// Grant these scopes
    #[arg(short, long = "scope", value_name = "A,B", value_delimiter = ',', help_heading = "Scopes", add = Takes::OpenScope)]
    pub scopes: Vec<Scope>,
    /// Grant all scopes that exist now
    #[arg(long, conflicts_with = "scopes", help_heading = "Scopes")]
    pub all_scopes: bool,
    #[command(flatten)]
    allow: AllowArgs,
    #[command(flatten)]
    pub lifetime: LifetimeArgs,
    /// Make it valid only from this date or time, or after this duration
    #[arg(long, value_name = "WHEN", help_heading = HEADING)]
    not_before: Option<NotBefore>,
    /// Rotate it at this interval, with `rotate --due`
    #[arg(long, value_name = "DURATION", help_heading = HEADING)]
    rotate_every: Option<Span>,
    /// Keep a previous secret valid for this long
    #[arg(long, value_name = "DURATION", help_heading = HEADING)]
    grace: Option<Span>,
    /// Do nothing if a token with this name exists and can be used
    #[arg(long)]
    pub if_missing: bool,
    /// Whether an expired token of the name is rotated. `None` if the verb has no flag for that.
    #[arg(skip)]
    pub revives: Option<bool>,
}

/// Why no token was made or rotated.
pub enum Halt {
    Error(Error),
    /// There is nothing to do: with `--if-missing` the token exists, or with `--due` it is not due.
    Already(Box<Token>),
}

impl<E: Into<Error>> From<E> for Halt {
    fn from(err: E) -> Self {
        Self::Error(err.into())
    }
}

/// The rules of the store for the flags.
#[derive(Default)]
pub struct Rules {
    pub settings: Settings,
    pub catalogue: Catalogue,
}

impl TokenArgs {
    /// Fills in what no flag gives from an existing token, as if its flags had been given.
    #[must_use]
    pub fn like(mut self, token: &Token) -> Self {
        let line = |text: &Option<String>| text.as_deref().map(Line::stored);
        self.description = self.description.or_else(|| line(&token.description));
        self.owner = self.owner.or_else(|| line(&token.owner));
        self.icon = self.icon.or_else(|| token.icon.as_deref().map(Icon::stored));
        if self.labels.is_empty() {
            let label = |(key, value): (&String, &String)| Label { key: key.clone(), value: value.clone() };
            self.labels = token.labels.iter().map(label).map(SetLabel).collect();
        }
        if !self.grants_something() {
            self.scopes = token.scopes().cloned().collect();
        }
        if !self.allow.is_given() {
            self.allow = AllowArgs::of(token.allow_from.as_ref());
        }
        if self.by_default() {
            self.lifetime = LifetimeArgs::of(token.lifetime);
        }
        self.not_before = self.not_before.or_else(|| token.not_before.map(NotBefore::at));
        self.rotate_every = self.rotate_every.or(token.rotate_every);
        self.grace = self.grace.or(token.grace);
        self
    }

    /// Checks that the name is free, after rolling back a killed creation of it. With `--if-missing`, a usable token
    /// of the name is [`Halt::Already`].
    pub fn claim(&self, tx: &Write<'_>, name: &Name) -> Result<(), Halt> {
        match vacate(tx, name)? {
            Some(token) => Err(self.conflict(name, token, tx.now)),
            None => Ok(()),
        }
    }

    /// Checks that the name is free without changing anything.
    pub fn look_up(&self, view: &View<'_>, name: &Name, now: Timestamp) -> Result<(), Halt> {
        match token_named(view, name, now)?.filter(|token| token.is_visible(now)) {
            Some(token) => Err(self.conflict(name, token, now)),
            None => Ok(()),
        }
    }

    fn conflict(&self, name: &Name, token: Token, now: Timestamp) -> Halt {
        let conflict =
            |why: &str, hint: &str| Error::Policy(Invalid::new(format!("`{name}` {why}")).hint(hint));
        if let (None, Some(delivery)) = (token.current(), &token.delivery) {
            return Error::under_way(&token, delivery).into();
        }
        if !self.if_missing {
            return Error::NameTaken { what: Subject::Token, name: token.name.to_string() }.into();
        }
        match token.status(now) {
            Status::Disabled => {
                conflict("exists, but is disabled", "enable it with `tokenctl enable`").into()
            }
            Status::Expired if self.revives != Some(true) => {
                let by = match self.revives {
                    Some(_) => "`--revive`".to_owned(),
                    None => format!("`tokenctl rotate {name} --revive`"),
                };
                conflict(
                    "exists, but has expired",
                    &format!("use {by} to give it a new secret, or revoke it first"),
                )
                .into()
            }
            _ => Halt::Already(Box::new(token)),
        }
    }

    /// The token that the flags describe.
    pub fn describe(
        &self,
        name: &Name,
        catalogue: &Catalogue,
        now: Timestamp,
        zone: &dyn Zone,
    ) -> Result<NewToken, Error> {
        Ok(NewToken {
            name: name.clone(),
            description: self.description.clone().and_then(Line::into_option),
            owner: self.owner.clone().and_then(Line::into_option),
            icon: self.icon.clone().and_then(Icon::into_option),
            labels: self.labels()?,
            grants: self.grants(catalogue)?,
            terms: self.terms(now, zone)?,
            allow_from: self.allow.rule()?,
        })
    }

    fn terms(&self, now: Timestamp, zone: &dyn Zone) -> Result<Terms, Invalid> {
        Ok(Terms {
            lifetime: self.lifetime.resolve(now, zone)?,
            not_before: self.not_before.map(|start| start.resolve(now, zone)).transpose()?.flatten(),
            rotate_every: self.rotate_every,
            grace: self.grace,
        })
    }

    /// Checks the name and builds the token, ready for its first secret.
    pub fn enter(&self, tx: &Write<'_>, name: &Name, machine: &dyn Machine) -> Result<Begun, Halt> {
        self.claim(tx, name)?;
        let id = new_id(machine)?;
        let new = self.describe(name, &tx.catalogue()?, tx.now, machine)?;
        let (token, expires_at) = new.plan(id, &tx.settings()?, &tx.author.actor.display_name(), tx.now)?;
        // A new token has no previous secret that could have a grace period.
        Ok(Begun { token, is_new: true, expires_at, grace: None, memory: Memory::default() })
    }

    fn labels(&self) -> Result<BTreeMap<String, String>, Invalid> {
        let labels = self.labels.iter().map(|SetLabel(label)| label);
        check_unique_keys(labels.clone())?;
        Ok(labels.map(|label| (label.key.clone(), label.value.clone())).collect())
    }

    fn grants(&self, catalogue: &Catalogue) -> Result<BTreeMap<i64, Grant>, Error> {
        let grant = |scope: &Scope| Grant {
            row: 0,
            scope_id: String::new(),
            scope: scope.clone(),
            last_required_at: None,
        };
        if self.all_scopes {
            return Ok(catalogue.open().map(|entry| (entry.row, grant(&entry.name))).collect());
        }
        if self.scopes.is_empty() && catalogue.open().next().is_some() {
            return Err(Error::InputNeeded(
                Invalid::new("this store has scopes, so some must be granted")
                    .hint("pass `--scope A,B` or `--all-scopes`"),
            ));
        }
        let rows = scope_rows(&self.scopes, catalogue, true)?;
        Ok(rows.into_iter().map(|(row, scope)| (row, grant(&scope))).collect())
    }

    pub fn grants_something(&self) -> bool {
        !self.scopes.is_empty() || self.all_scopes
    }

    /// Fails if a given flag is wrong, before any question is asked.
    pub fn check_given(&self, rules: &Rules, now: Timestamp, zone: &dyn Zone) -> Result<(), Error> {
        self.labels()?;
        self.allow.rule()?;
        if self.grants_something() {
            self.grants(&rules.catalogue)?;
        }
        if !self.by_default() {
            self.terms(now, zone)?.check(&rules.settings, now)?;
        }
        Ok(())
    }

    /// Fails unless this lifetime fits the given flags.
    pub fn check_lifetime(
        &self,
        lifetime: &LifetimeArgs,
        settings: &Settings,
        now: Timestamp,
        zone: &dyn Zone,
    ) -> Result<(), Error> {
        let lifetime = lifetime.resolve(now, zone)?;
        Terms { lifetime, ..self.terms(now, zone)? }.check(settings, now)?;
        Ok(())
    }

    /// Whether the store's default lifetime applies.
    pub fn by_default(&self) -> bool {
        !self.lifetime.is_given()
    }

    /// Warns of each given flag that differs from an existing token.
    pub fn warn_of_differences(
        &self,
        app: &mut App<'_>,
        store: &Store,
        token: &Token,
        now: Timestamp,
    ) -> Result<(), Error> {
        let same_line = |given: &Option<Line>, has: &Option<String>| {
            given.as_ref().is_none_or(|given| given.clone().into_option() == *has)
        };
        let scopes: BTreeSet<&Scope> = token.scopes().collect();
        let catalogue = store.read(|view| view.catalogue())?;
        let open: BTreeSet<&Scope> = catalogue.open().map(|entry| &entry.name).collect();
        let lifetime = self.lifetime.resolve(now, &*app.ctx.machine)?;
        let start = match self.not_before {
            Some(start) => Some(start.resolve(now, &*app.ctx.machine)?),
            None => None,
        };
        let same = [
            ("--description", same_line(&self.description, &token.description)),
            ("--owner", same_line(&self.owner, &token.owner)),
            ("--icon", self.icon.as_ref().is_none_or(|icon| icon.clone().into_option() == token.icon)),
            ("--label", self.labels.is_empty() || self.labels()? == token.labels),
            ("--scope", self.scopes.is_empty() || self.scopes.iter().collect::<BTreeSet<_>>() == scopes),
            ("--all-scopes", !self.all_scopes || open == scopes),
            ("--ttl, --expires, --no-expiry", lifetime.is_none_or(|lifetime| lifetime == token.lifetime)),
            ("--allow-from", !self.allow.is_given() || self.allow.rule()? == token.allow_from),
            ("--not-before", start.is_none_or(|start| start == token.not_before)),
            ("--rotate-every", self.rotate_every.is_none_or(|every| Some(every) == token.rotate_every)),
            ("--grace", self.grace.is_none_or(|grace| Some(grace) == token.grace)),
        ];
        for (flag, _) in same.iter().filter(|(_, same)| !same) {
            app.talk().warn(&format!("`{}` exists and differs from {flag}; it was not changed", token.name));
        }
        Ok(())
    }
}

/// The token with this name.
pub fn token_named(view: &View<'_>, name: &Name, now: Timestamp) -> Result<Option<Token>, StoreError> {
    view.named(name)?.map(|row| view.token(row, now)).transpose()
}

/// Rolls back a killed creation of this name. Returns the token that has the name, if one still does.
pub fn vacate(tx: &Write<'_>, name: &Name) -> Result<Option<Token>, StoreError> {
    match token_named(tx, name, tx.now)? {
        Some(token) if !token.is_visible(tx.now) => {
            deliver::abandon(tx, &token, &Fate::RollBack)?;
            Ok(None)
        }
        holder => Ok(holder),
    }
}

/// The expiry of a token in words.
pub fn expiry_in_words(end: Option<Timestamp>, now: Timestamp) -> String {
    end.map_or_else(|| "never expires".to_owned(), |end| format!("expires {end} ({})", relative(end, now)))
}

/// An id for a new token.
pub fn new_id(machine: &dyn Machine) -> Result<TokenId, Error> {
    TokenId::random(&mut |bytes| machine.fill_random(bytes)).map_err(Error::Generator)
}

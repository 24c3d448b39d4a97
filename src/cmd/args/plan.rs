//! The plan of changes that make a store match a file, and its output.

use std::collections::BTreeMap;

use super::describe::new_id;
use super::select::scope_rows;
use super::widen;
use crate::app::{App, Outcome};
use crate::context::Machine;
use crate::domain::Invalid;
use crate::domain::destination::{Destination, RememberedDestination};
use crate::domain::event::Actor;
use crate::domain::name::Name;
use crate::domain::plan::{Doing, Item};
use crate::domain::scope::{Catalogue, Entry};
use crate::domain::settings::{Key, Settings};
use crate::domain::token::{Field, Grant, NewToken, Token};
use crate::domain::wanted::{Wanted, WantedToken};
use crate::domain::when::Timestamp;
use crate::domain::widening::Widening;
use crate::error::Error;
use crate::store::{FIRST, View};
use crate::ui::json::{ErrorDoc, ItemDoc, PlanDoc};
use crate::ui::plan;

/// Words for planned actions, for [`Plan::in_words`].
pub const TO_DO: [&str; 3] = ["to create", "to update", "to revoke"];

/// The changes of a store.
pub struct Plan {
    pub settings: Settings,
    /// Scopes that are new or changed.
    pub scopes: Vec<Entry>,
    pub steps: Vec<Step>,
    pub widening: Widening,
}

/// One change, and why it cannot be made.
pub struct Step {
    pub item: Item,
    pub what: What,
    pub error: Option<Error>,
}

pub enum What {
    /// The whole catalogue, or all settings, which change at once.
    Setting,
    Scope,
    Create(Name),
    Update {
        before: Box<Token>,
        after: Box<Token>,
    },
    Revoke(Box<Token>),
}

/// The input of a plan, besides the store.
pub struct Sight<'a> {
    pub wanted: &'a Wanted,
    /// Whether to revoke tokens that the file does not name.
    pub exclusive: bool,
    pub actor: &'a Actor,
    pub machine: &'a dyn Machine,
}

impl Plan {
    pub fn new(view: &View<'_>, sight: &Sight<'_>, now: Timestamp) -> Result<Self, Error> {
        let (settings, catalogue) = (view.settings()?, view.catalogue()?);
        let after = sight.wanted.settings_over(&settings)?;
        let scopes = sight.wanted.scopes_over(&catalogue, now)?;
        let wanted_catalogue = scopes.iter().fold(catalogue.clone(), |all, entry| all.with(entry));
        let mut steps: Vec<Step> = Key::ALL
            .into_iter()
            .filter_map(|key| Item::of_setting(key, &settings, &after))
            .map(|item| Step { item, what: What::Setting, error: None })
            .collect();
        for entry in &scopes {
            let widens = !widen::of_catalogue(view, now, &catalogue, &catalogue.with(entry))?.is_empty();
            let item = Item::of_scope(catalogue.get(&entry.name), entry, widens);
            steps.push(Step { item, what: What::Scope, error: None });
        }
        let widening = widen::of_catalogue(view, now, &catalogue, &wanted_catalogue)?;
        let mut plan = Self { settings: after, scopes, steps, widening };
        plan.add_tokens(view, sight, (&catalogue, &wanted_catalogue), now)?;
        if sight.exclusive {
            plan.add_revocations(view, sight.wanted, now)?;
        }
        Ok(plan)
    }

    fn add_tokens(
        &mut self,
        view: &View<'_>,
        sight: &Sight<'_>,
        catalogues: (&Catalogue, &Catalogue),
        now: Timestamp,
    ) -> Result<(), Error> {
        for (name, wanted) in &sight.wanted.tokens {
            let present = view.named(name)?.map(|row| view.token(row, now)).transpose()?;
            let Some(before) = present.filter(|token| token.is_visible(now)) else {
                let made = self.create(view, sight, (name, wanted), catalogues.1, now);
                let (item, error) = match made {
                    Ok(token) => (Item::of_token(None, &token, false), None),
                    Err(err) => (Item::of_new(name), Some(err)),
                };
                self.steps.push(Step { item, what: What::Create(name.clone()), error });
                continue;
            };
            if let (Some(delivery), None) = (&before.delivery, before.current()) {
                let error = Some(Error::under_way(&before, delivery));
                self.steps.push(Step { item: Item::of_new(name), what: What::Create(name.clone()), error });
                continue;
            }
            let changed = grants(wanted, Some(&before), catalogues.1).and_then(|grants| {
                let by = (sight.actor.host.as_deref(), sight.actor.uid);
                Ok(wanted.over(&before, grants, &self.settings, by, now)?)
            });
            let (after, mut error) = match changed {
                Ok(after) if after == before => continue,
                Ok(after) => (after, None),
                Err(err) => (before.clone(), Some(err)),
            };
            if let (Field::Set(Some(destination)), true) =
                (&wanted.destination, after.destination != before.destination)
            {
                error = error.or_else(|| check_free(view, sight, &before, destination, now).err());
            }
            let gain = Widening::of_token((&before, catalogues.0), (&after, catalogues.1));
            let item = Item::of_token(Some(&before), &after, !gain.is_empty());
            self.widening = std::mem::take(&mut self.widening).and(gain);
            let what = What::Update { before: Box::new(before), after: Box::new(after) };
            self.steps.push(Step { item, what, error });
        }
        self.check_shared_destinations(sight.wanted);
        Ok(())
    }

    /// The token that would be made, as far as it is known.
    fn create(
        &self,
        view: &View<'_>,
        sight: &Sight<'_>,
        (name, wanted): (&Name, &WantedToken),
        catalogue: &Catalogue,
        now: Timestamp,
    ) -> Result<Token, Error> {
        let new = new_token(wanted, name, catalogue)?;
        let (token, _) = new.plan(new_id(sight.machine)?, &self.settings, "", now)?;
        let token = wanted.complete(token, now);
        let Some(destination) = wanted.destination.value() else { return Ok(token) };
        check_free(view, sight, &token, &destination, now)?;
        let Actor { host, uid, .. } = sight.actor.clone();
        Ok(Token { destination: Some(RememberedDestination { destination, host, uid }), ..token })
    }

    /// Two tokens of the file cannot share a destination.
    fn check_shared_destinations(&mut self, wanted: &Wanted) {
        let mut seen: Vec<(&Name, &Destination)> = Vec::new();
        for (name, token) in &wanted.tokens {
            let Field::Set(Some(destination)) = &token.destination else { continue };
            if let Some((other, _)) = seen.iter().find(|(_, it)| destination.collides_with(it)) {
                let taken = format!("{} is the destination of `{other}` too", destination.in_words());
                let hint = "choose another file or variable; two tokens cannot share one";
                if let Some(step) = self.steps.iter_mut().find(|step| step.item.is_of_token(name)) {
                    step.error.get_or_insert(Error::Policy(Invalid::new(taken).hint(hint)));
                }
            }
            seen.push((name, destination));
        }
    }

    fn add_revocations(&mut self, view: &View<'_>, wanted: &Wanted, now: Timestamp) -> Result<(), Error> {
        let mut from = Some(FIRST);
        let mut others = Vec::new();
        while let Some(start) = from {
            let rows = view.rows_from(start)?;
            let is_other = |token: &Token| {
                token.revoked_at.is_none()
                    && token.is_visible(now)
                    && !wanted.tokens.contains_key(&token.name)
            };
            others.extend(view.tokens(&rows, now)?.into_iter().filter(is_other));
            from = rows.last().and_then(|last| last.checked_add(1));
        }
        others.sort_by(|a, b| a.name.cmp(&b.name));
        self.steps.extend(others.into_iter().map(|token| Step {
            item: Item::of_revocation(&token),
            what: What::Revoke(Box::new(token)),
            error: None,
        }));
        Ok(())
    }

    /// The first token whose creation is under way: its process, its start and its deadline.
    pub fn under_way(&self) -> Option<(&Name, (u32, Timestamp), Timestamp)> {
        self.steps.iter().find_map(|step| match (&step.what, &step.error) {
            (What::Create(name), Some(Error::UnderWay { pid, started_at, deadline, .. })) => {
                Some((name, (*pid, *started_at), *deadline))
            }
            _ => None,
        })
    }

    /// The names of the tokens to make.
    pub fn created(&self) -> impl Iterator<Item = &Name> {
        self.steps
            .iter()
            .filter_map(|step| if let What::Create(name) = &step.what { Some(name) } else { None })
    }

    pub fn revoked(&self) -> Vec<Token> {
        let revoked =
            |step: &Step| if let What::Revoke(token) = &step.what { Some((**token).clone()) } else { None };
        self.steps.iter().filter_map(revoked).collect()
    }

    /// Writes the plan to stdout.
    pub fn show(&self, app: &mut App<'_>, changed: bool, dry_run: bool) -> Result<(), Error> {
        let errors: Vec<_> = self
            .steps
            .iter()
            .map(|step| step.error.as_ref().map(|err| (err.code(), err.to_string(), err.hint())))
            .collect();
        if app.json() {
            let items = self.steps.iter().zip(&errors).map(|(step, error)| {
                let error = error.as_ref().map(|(code, message, hint)| ErrorDoc {
                    code: code.word(),
                    message,
                    hint: hint.as_deref(),
                    exit: code.exit(),
                });
                ItemDoc::new(&step.item, error)
            });
            return app.print_json(&PlanDoc {
                changed,
                dry_run,
                count: self.steps.len(),
                plan: items.collect(),
            });
        }
        let style = app.out_style();
        let mut text = String::new();
        for (step, error) in self.steps.iter().zip(&errors) {
            let error = error.as_ref().map(|(_, message, hint)| (message.as_str(), hint.as_deref()));
            text.push_str(&plan::lines(&step.item, error, style));
        }
        app.print_paged(&text)
    }

    /// Fails with the first error of a step, if there is one.
    pub fn fail(self) -> Result<Outcome, Error> {
        let (all, failed) = (self.steps.len(), self.steps.iter().filter(|it| it.error.is_some()).count());
        let first = self.steps.into_iter().find_map(|step| step.error);
        first.map_or(Ok(Outcome::Done), |first| {
            Err(Error::Some { failed, all, of: "changes", done: "applied".into(), first: Box::new(first) })
        })
    }

    /// The number of each action, in these words.
    pub fn in_words(&self, [create, update, revoke]: [&str; 3]) -> String {
        let count = |doing| self.steps.iter().filter(|step| step.item.doing == doing).count();
        let all = [(Doing::Create, create), (Doing::Update, update), (Doing::Revoke, revoke)];
        let some = all.into_iter().map(|(doing, word)| (count(doing), word)).filter(|(count, _)| *count > 0);
        some.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
    }

    /// Whether anything was done. Revocations were done only if everything else was.
    pub fn changes_something(&self, is_whole: bool) -> bool {
        let is_done = |step: &Step| is_whole || step.error.is_none() && !matches!(step.what, What::Revoke(_));
        self.steps.iter().any(is_done)
    }

    pub fn has_errors(&self) -> bool {
        self.steps.iter().any(|step| step.error.is_some())
    }
}

/// The token that a section describes. If the store has scopes, it must name those to grant.
pub fn new_token(wanted: &WantedToken, name: &Name, catalogue: &Catalogue) -> Result<NewToken, Error> {
    let grants = grants(wanted, None, catalogue)?;
    if grants.is_none() && catalogue.open().next().is_some() {
        let none = Invalid::new(format!("this store has scopes, but `tokens.{name}` has no `scopes`"));
        return Err(none.hint("write `scopes = [\"A\", \"B\"]`, or `scopes = []` for none").into());
    }
    Ok(wanted.new_token(name, grants.unwrap_or_default()))
}

/// The scopes that a section grants; `None` if it has no key for them. Scopes that are held already may be
/// retired.
pub fn grants(
    wanted: &WantedToken,
    before: Option<&Token>,
    catalogue: &Catalogue,
) -> Result<Option<BTreeMap<i64, Grant>>, Error> {
    let Some(scopes) = &wanted.scopes else { return Ok(None) };
    let held = before.into_iter().flat_map(|token| &token.grants);
    let kept = held.filter(|(_, grant)| scopes.contains(&grant.scope));
    let mut grants: BTreeMap<i64, Grant> = kept.map(|(row, grant)| (*row, grant.clone())).collect();
    let new = scopes.iter().filter(|scope| !grants.values().any(|grant| grant.scope == **scope));
    let new: Vec<_> = new.cloned().collect();
    grants.extend(
        scope_rows(&new, catalogue, true)?.into_iter().map(|(row, scope)| {
            (row, Grant { row: 0, scope_id: String::new(), scope, last_required_at: None })
        }),
    );
    Ok(Some(grants))
}

/// Fails if another token keeps the file or variable of a destination. A token that moves elsewhere in the same
/// plan does not count.
fn check_free(
    view: &View<'_>,
    sight: &Sight<'_>,
    token: &Token,
    destination: &Destination,
    now: Timestamp,
) -> Result<(), Error> {
    let keeps_it = |other: &Token| match sight.wanted.tokens.get(&other.name).map(|it| &it.destination) {
        Some(Field::Set(to)) => to.as_ref().is_some_and(|to| to.collides_with(destination)),
        _ => true,
    };
    let sharing: Vec<Token> =
        view.sharing_file(destination, sight.actor, now)?.into_iter().filter(keeps_it).collect();
    Ok(token.check_destination(destination, &sharing)?)
}

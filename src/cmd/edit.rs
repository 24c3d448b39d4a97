//! `edit`: the description, owner, icon, labels, lifetime and policy of tokens.

mod ask;

use clap::Args;

use crate::app::{App, Outcome};
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::describe::demanded;
use crate::cmd::args::lifetime::{Clearable, HEADING, LifetimeArgs, NotBefore, admitted_end, revives};
use crate::cmd::args::many::{answer, change_all};
use crate::cmd::args::select::{Reference, named};
use crate::cmd::args::takes::Takes;
use crate::cmd::args::widen::{self, WidenArgs};
use crate::context::Machine;
use crate::domain::Invalid;
use crate::domain::event::Action;
use crate::domain::lifetime::in_order;
use crate::domain::scope::Catalogue;
use crate::domain::settings::Settings;
use crate::domain::text::{Icon, Label, Line, each_once};
use crate::domain::token::Token;
use crate::domain::when::{Clock, Timestamp};
use crate::domain::widening::Widening;
use crate::error::Error;

#[derive(Args, Clone)]
pub struct Edit {
    /// The tokens, by name or id
    #[arg(value_name = "NAME", required = true, add = Takes::Token)]
    pub names: Vec<Reference>,
    /// Say what they are for; empty clears it
    #[arg(short, long, value_name = "TEXT")]
    pub description: Option<Line>,
    /// Name who answers for them; empty clears it
    #[arg(long, value_name = "WHO", add = Takes::Owner)]
    pub owner: Option<Line>,
    /// Mark them in lists with one glyph; empty clears it
    #[arg(long, value_name = "GLYPH")]
    pub icon: Option<Icon>,
    /// Set a label, or remove it with `KEY=`
    #[arg(short, long = "label", value_name = "KEY=VALUE", add = Takes::Label)]
    pub labels: Vec<Label>,
    #[command(flatten)]
    pub lifetime: LifetimeArgs,
    /// Let them be good only from this date, time or duration on; `none` clears it
    #[arg(long, value_name = "WHEN", help_heading = HEADING)]
    not_before: Option<NotBefore>,
    /// Make them due for rotation this often; `none` clears it
    #[arg(long, value_name = "DURATION", help_heading = HEADING)]
    pub rotate_every: Option<Clearable>,
    /// Let a replaced secret live on this long; `none` returns to the setting
    #[arg(long, value_name = "DURATION", help_heading = HEADING)]
    pub grace: Option<Clearable>,
    /// Give an expired token another lifetime, which brings it back to life
    #[arg(long, help_heading = HEADING)]
    revive: bool,
    #[command(flatten)]
    widen: WidenArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Edit {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        if self.says_something() {
            return self.change(app);
        }
        match &self.names[..] {
            [name] if app.can_ask() => ask::ask(app, self, name)?.change(app),
            _ => Err(Invalid::new("nothing to change is given")
                .hint("a flag like `--owner WHO`; `tokenctl edit --help` lists them")
                .into()),
        }
    }

    fn change(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        each_once(&self.labels)?;
        let author = self.change.author(app);
        let store = app.open_to_write(&author)?;
        let now = app.ctx.machine.now()?;
        let selected = named(&self.names, &store, now)?;
        let done = self.widen.run(app, |app, approval| {
            let machine = &*app.ctx.machine;
            store.write(machine as &dyn Clock, &author, |tx| {
                let settings = tx.settings()?;
                let mut widening = Widening::default();
                // No scope changes here, so the catalogue does not matter.
                let catalogue = Catalogue::default();
                let apply = |token: &mut Token, now| {
                    let before = token.clone();
                    let changed = self.apply(token, &settings, now, machine)?;
                    let gain = Widening::of_token((&before, &catalogue), (token, &catalogue));
                    widening = std::mem::take(&mut widening).and(gain);
                    Ok(changed)
                };
                let done = change_all(tx, &selected, Action::Edit, apply)?;
                widen::check(approval, "adding or changing a label", widening)?;
                Ok::<_, Error>(done)
            })
        })?;
        answer(app, &store, &done, "edited", now)
    }

    fn says_something(&self) -> bool {
        self.description.is_some()
            || self.owner.is_some()
            || self.icon.is_some()
            || !self.labels.is_empty()
            || self.lifetime.is_given()
            || self.not_before.is_some()
            || self.rotate_every.is_some()
            || self.grace.is_some()
    }

    /// Makes the change of a token, unless it may not be; whether that makes a difference.
    pub fn apply(
        &self,
        token: &mut Token,
        settings: &Settings,
        now: Timestamp,
        machine: &dyn Machine,
    ) -> Result<bool, Error> {
        if token.revoked_at.is_some() {
            return Err(Error::Revoked(token.name.clone()));
        }
        let before = token.clone();
        if let Some(text) = &self.description {
            token.description = text.clone().into_option();
        }
        if let Some(text) = &self.owner {
            token.owner = text.clone().into_option();
        }
        if let Some(icon) = &self.icon {
            token.icon = icon.clone().into_option();
        }
        for label in &self.labels {
            if label.value.is_empty() {
                token.labels.remove(&label.key);
            } else {
                token.labels.insert(label.key.clone(), label.value.clone());
            }
        }
        if let Some(Clearable(every)) = self.rotate_every {
            token.rotate_every = every;
        }
        if let Some(Clearable(grace)) = self.grace {
            token.grace = grace;
        }
        if let Some(lifetime) = self.lifetime.resolve(now, machine)? {
            if token.has_expired(now) && !self.revive {
                return Err(revives(token));
            }
            let end = admitted_end(lifetime, settings, now)?;
            token.set_lifetime(lifetime, end);
        }
        if let Some(start) = self.not_before {
            token.not_before = start.resolve(now, token.expires_at(), machine)?;
        }
        if let (Some(start), Some(end)) = (token.not_before, token.expires_at())
            && end <= start
            && *token != before
        {
            let never = format!("`{}` would end at {end}, before it is good at {start}", token.name);
            return Err(Invalid::new(never).hint("a later end, or an earlier `--not-before`").into());
        }
        in_order(token.lifetime, token.rotate_every, token.grace, settings.grace)?;
        demanded(token, settings)?;
        Ok(*token != before)
    }
}

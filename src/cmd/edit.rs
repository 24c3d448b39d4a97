//! `edit`: changes the description, owner, icon, labels, lifetime and policy of tokens.

mod ask;

use std::str::FromStr;

use clap::Args;

use crate::app::present::{say_changed, say_changes};
use crate::app::{App, Outcome};
use crate::cmd::args::allow::AllowArgs;
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::destination::{self, FileOrCommandArgs};
use crate::cmd::args::lifetime::{Clearable, HEADING, LifetimeArgs, NotBefore};
use crate::cmd::args::many::{self, change_all};
use crate::cmd::args::memory::{HookCommand, check_destination};
use crate::cmd::args::select::{Reference, named};
use crate::cmd::args::takes::Takes;
use crate::cmd::args::widen::{self, WidenArgs};
use crate::domain::Invalid;
use crate::domain::changes;
use crate::domain::destination::RememberedDestination;
use crate::domain::event::{Action, Actor, Author};
use crate::domain::scope::Catalogue;
use crate::domain::text::{Icon, Label, Line, check_unique_keys};
use crate::domain::token::{Field, Token, TokenChange};
use crate::domain::when::{Clock, Timestamp, Zone};
use crate::domain::widening::Widening;
use crate::error::Error;
use crate::store::Store;

#[derive(Args, Clone)]
pub struct Edit {
    /// The tokens, by name or id
    #[arg(value_name = "NAME", required = true, add = Takes::Token)]
    pub names: Vec<Reference>,
    /// Describe what the tokens are for; empty clears it
    #[arg(short, long, value_name = "TEXT")]
    pub description: Option<Line>,
    /// Set the person or team that is responsible; empty clears it
    #[arg(long, value_name = "WHO", add = Takes::Owner)]
    pub owner: Option<Line>,
    /// Mark them in lists with an icon; empty clears it
    #[arg(long, value_name = "GLYPH")]
    pub icon: Option<Icon>,
    /// Set a label, or remove it with `KEY=`
    #[arg(short, long = "label", value_name = "KEY=VALUE", add = Takes::Label)]
    pub labels: Vec<Label>,
    #[command(flatten)]
    allow: AllowArgs,
    #[command(flatten)]
    pub lifetime: LifetimeArgs,
    /// Make them valid only from this date or time, or after this duration; `none` clears it
    #[arg(long, value_name = "WHEN", help_heading = HEADING)]
    not_before: Option<NotBefore>,
    /// Rotate them at this interval, with `rotate --due`; `none` clears it
    #[arg(long, value_name = "DURATION", help_heading = HEADING)]
    pub rotate_every: Option<Clearable>,
    /// Keep a previous secret valid for this long; `none` returns to the setting of the store
    #[arg(long, value_name = "DURATION", help_heading = HEADING)]
    pub grace: Option<Clearable>,
    /// Allow a new lifetime for an expired token, which makes it valid again
    #[arg(long, help_heading = HEADING)]
    revive: bool,
    #[command(flatten)]
    pub destination: FileOrCommandArgs,
    /// Forget the stored destination
    #[arg(long, help_heading = destination::HEADING, group = "destination")]
    no_destination: bool,
    /// Run this hook with `sh -c` after each rotation that delivers to the stored destination; `none` clears it
    #[arg(long, value_name = "COMMAND", help_heading = destination::HEADING)]
    after: Option<After>,
    #[command(flatten)]
    widen: WidenArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Edit {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        if self.has_changes() {
            return self.change(app);
        }
        match &self.names[..] {
            [name] if app.can_ask() => ask::ask(app, self, name)?.change(app),
            _ => Err(Invalid::new("nothing to change is given")
                .hint("pass a flag like `--owner WHO`; see `tokenctl edit --help`")
                .into()),
        }
    }

    fn change(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        check_unique_keys(&self.labels)?;
        self.allow.rule()?;
        let author = self.change.author(app);
        let store = app.open_to_write(&author)?;
        let now = app.ctx.machine.now()?;
        let selected = named(&self.names, &store, now)?;
        let (place, problem) = self.new_destination(app, &store, &author, &selected)?;
        let (done, differences) = self.widen.run(app, |app, approval| {
            let machine = &*app.ctx.machine;
            store.write(machine as &dyn Clock, &author, |tx| {
                let settings = tx.settings()?;
                let mut widening = Widening::default();
                let mut differences = Vec::new();
                // No scope changes here, so the catalogue does not matter.
                let catalogue = Catalogue::default();
                let apply = |token: &mut Token, now| {
                    let change = TokenChange { destination: place.clone(), ..self.change_of(now, machine)? };
                    let after = change.apply(token, &settings, now)?;
                    if let Field::Set(Some(place)) = &place {
                        check_destination(tx, token, &place.destination, &author.actor, now)?;
                    }
                    let gain = Widening::of_token((token, &catalogue), (&after, &catalogue));
                    widening = std::mem::take(&mut widening).and(gain);
                    let changed = after != *token;
                    differences.push(changes::of_token(Some(token), Some(&after)));
                    *token = after;
                    Ok(changed)
                };
                let done = change_all(tx, &selected, Action::Edit, apply)?;
                let what = if self.allow.is_given() {
                    "allowing another address"
                } else {
                    "adding or changing a label"
                };
                widen::check(approval, what, widening)?;
                Ok::<_, Error>((done, differences))
            })
        })?;
        if let Some(problem) = problem {
            app.talk().warn(&format!("a rotation would not deliver there now: {problem}"));
        }
        if app.json() {
            return many::report_all(app, &store, &done, "edited", now);
        }
        for (one, differences) in done.iter().zip(&differences) {
            if one.changed {
                say_changed(app, &one.token.name, true, "edited");
            } else {
                app.talk().note(&format!("`{}` has these values already", one.token.name));
            }
            say_changes(app, differences);
        }
        Ok(Outcome::Done)
    }

    fn has_changes(&self) -> bool {
        self.description.is_some()
            || self.owner.is_some()
            || self.icon.is_some()
            || !self.labels.is_empty()
            || self.allow.is_given()
            || self.lifetime.is_given()
            || self.not_before.is_some()
            || self.rotate_every.is_some()
            || self.grace.is_some()
            || self.destination.is_given()
            || self.no_destination
            || self.after.is_some()
    }

    /// The change of the flags.
    fn change_of(&self, now: Timestamp, zone: &dyn Zone) -> Result<TokenChange, Invalid> {
        let start = self.not_before.map(|start| start.resolve(now, zone)).transpose()?;
        let line = |given: &Option<Line>| set(given.clone().map(Line::into_option));
        let span = |given: Option<Clearable>| set(given.map(|Clearable(span)| span));
        Ok(TokenChange {
            description: line(&self.description),
            owner: line(&self.owner),
            icon: set(self.icon.clone().map(Icon::into_option)),
            labels: self.labels.clone(),
            lifetime: self.lifetime.resolve(now, zone)?,
            revives: self.revive,
            not_before: set(start),
            rotate_every: span(self.rotate_every),
            grace: span(self.grace),
            destination: Field::Keep,
            hook: set(self.after.clone().map(|After(hook)| hook)),
            allow_from: if self.allow.is_given() { Field::Set(self.allow.rule()?) } else { Field::Keep },
        })
    }

    /// The destination that the flags set or clear, and why a rotation could not deliver there now.
    fn new_destination(
        &self,
        app: &mut App<'_>,
        store: &Store,
        author: &Author,
        selected: &[Token],
    ) -> Result<(Field<RememberedDestination>, Option<String>), Error> {
        if self.destination.is_given() || matches!(self.after, Some(After(Some(_)))) {
            let runs = self.destination.exec.is_some() || matches!(self.after, Some(After(Some(_))));
            store.check_commands(runs)?;
        }
        if !self.destination.is_given() && !self.no_destination {
            return Ok((Field::Keep, None));
        }
        let [token] = selected else {
            let several = Invalid::new("a destination belongs to one token, and several are named");
            return Err(several.hint("run the command once for each").into());
        };
        if self.no_destination {
            return Ok((Field::Set(None), None));
        }
        let (destination, problem) = self.destination.look(app, store.path(), &token.secret_hashes())?;
        let Actor { host, uid, .. } = author.actor.clone();
        Ok((Field::Set(Some(RememberedDestination { destination, host, uid })), problem))
    }
}

/// The hook to set; `none` clears it.
#[derive(Clone)]
struct After(Option<String>);

impl FromStr for After {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "none" {
            return Ok(Self(None));
        }
        text.parse().map(|HookCommand(command)| Self(Some(command)))
    }
}

/// The value of a flag; an empty one clears it.
#[expect(clippy::option_option, reason = "the outer one is whether the flag is given")]
fn set<T>(given: Option<Option<T>>) -> Field<T> {
    given.map_or(Field::Keep, Field::Set)
}

//! `rotate`: gives a token a new secret. The old one keeps working for its grace period.

mod several;

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::app::{App, Outcome};
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::delivery::{self, Delivered, rotated_in_words};
use crate::cmd::args::describe::Halt;
use crate::cmd::args::destination::{self, DestinationArgs};
use crate::cmd::args::hooks;
use crate::cmd::args::lifetime::{HEADING, LifetimeArgs};
use crate::cmd::args::memory::MemoryArgs;
use crate::cmd::args::route::{self, DeliveryRoute, Flags};
use crate::cmd::args::select::{TargetArgs, named};
use crate::context::Machine;
use crate::deliver::{self, Begun, DeliverError, Fate, Missing};
use crate::domain::event::{Action, Author};
use crate::domain::policy::{self, Replacement, Rotation};
use crate::domain::settings::Settings;
use crate::domain::token::{Delivery, Memory, Token};
use crate::domain::when::{Span, Timestamp};
use crate::error::{Error, Subject};
use crate::store::{Store, Write};
use crate::ui::json::{ChangedDoc, NoSecretDoc, TokenDoc};

// Elsewhere these flags describe the token; here they apply to the new secret alone.
#[derive(Args)]
#[command(mut_arg("ttl", |arg| arg.help("Make the new secret expire after this time, like `90d`")))]
#[command(mut_arg("expires", |arg| arg.help("Make the new secret expire at this date or RFC 3339 time")))]
#[command(mut_arg("no_expiry", |arg| arg.help("The new secret never expires")))]
pub struct Rotate {
    #[command(flatten)]
    targets: TargetArgs,
    /// Rotate only tokens that are due; without names, every token that is due
    #[arg(long)]
    due: bool,
    /// Keep the old secret valid for this long
    #[arg(long, value_name = "DURATION", conflicts_with = "now", help_heading = HEADING)]
    grace: Option<Span>,
    /// Revoke all older secrets of the token at once
    #[arg(long, help_heading = HEADING)]
    now: bool,
    #[command(flatten)]
    lifetime: LifetimeArgs,
    /// Rotate a token even if it has expired, which makes it valid again
    #[arg(long, help_heading = HEADING)]
    revive: bool,
    /// Discard the secret of an interrupted rotation, and make a new one
    #[arg(long, alias = "take-over")]
    replace_pending: bool,
    #[command(flatten)]
    destination: DestinationArgs,
    /// Print the secret instead of delivering it to the stored destination
    #[arg(long, help_heading = destination::HEADING, group = "destination")]
    stdout: bool,
    /// Write each secret to a file in this directory, named after its token
    #[arg(long, value_name = "DIR", help_heading = destination::HEADING, group = "destination")]
    #[arg(value_hint = ValueHint::DirPath)]
    out_dir: Option<PathBuf>,
    /// Store this destination and hook with the token, and replace the stored ones
    #[arg(long, help_heading = destination::HEADING, conflicts_with_all = ["no_remember", "stdout", "copy", "out_dir"])]
    remember: bool,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Rotate {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        if let Some(name) = self.targets.single()
            && self.out_dir.is_none()
            && !self.targets.rehearsal.dry_run
        {
            let author = self.change.author(app);
            let store = app.open_to_write(&author)?;
            let now = app.ctx.machine.now()?;
            let token = named(std::slice::from_ref(name), &store, now)?.remove(0);
            self.targets.rehearsal.expect(1)?;
            return self.one(app, &store, &author, &token);
        }
        self.several(app)
    }

    /// Whether a single named token is rotated.
    fn is_single(&self) -> bool {
        self.targets.single().is_some() && self.out_dir.is_none()
    }

    fn flags(&self) -> Flags<'_> {
        Flags {
            args: &self.destination,
            memory: &self.memory,
            named: self.stdout || !self.destination.is_stdout(),
            single: self.is_single(),
            due: self.due,
            remember: self.remember,
            dir: self.out_dir.as_deref(),
        }
    }

    fn one(
        &self,
        app: &mut App<'_>,
        store: &Store,
        author: &Author,
        token: &Token,
    ) -> Result<Outcome, Error> {
        let rotated = self
            .flags()
            .route(store, author, token)
            .and_then(|route| Ok((self.rotate(app, store, author, token, &route)?, route)));
        match rotated {
            Ok((delivered, route)) => {
                let mut notes = rotated_in_words(&delivered.token).to_vec();
                notes.extend(route::newly_remembered(token, &delivered.token));
                route.warn_of_other_places(app, token, &delivered);
                hooks::report_and_run(
                    app,
                    store,
                    author,
                    self.memory.after(),
                    &route.args,
                    delivered,
                    &notes,
                )?;
            }
            Err(Halt::Already(token)) => {
                if app.json() {
                    let times = store.times(app.ctx.machine.now()?);
                    let token = ChangedDoc { token: TokenDoc::new(&token, &times), changed: false };
                    app.print_json(&NoSecretDoc { token, secret: None, error: None })?;
                } else {
                    app.talk().note(&format!("`{}` is not due; nothing was changed", token.name));
                }
                hooks::run_pending(app, store, author, self.memory.after(), &token)?;
            }
            Err(Halt::Error(err)) => return Err(err),
        }
        Ok(Outcome::Done)
    }

    fn rotate(
        &self,
        app: &mut App<'_>,
        store: &Store,
        author: &Author,
        token: &Token,
        route: &DeliveryRoute,
    ) -> Result<Delivered, Halt> {
        let had_expired = token.expires_at().filter(|_| {
            let now = app.ctx.machine.now();
            now.is_ok_and(|now| token.has_expired(now))
        });
        let rotated = self.rotate_settled(app, store, author, token, route);
        if let (Ok(_), Some(end)) = (&rotated, had_expired) {
            delivery::warn_of_revival(app, token, end);
        }
        rotated
    }

    /// Tries again if another run changed the token's file after the token was read.
    fn rotate_settled(
        &self,
        app: &mut App<'_>,
        store: &Store,
        author: &Author,
        token: &Token,
        route: &DeliveryRoute,
    ) -> Result<Delivered, Halt> {
        let mut token = token.clone();
        loop {
            let rotated = self.rotate_as_seen(app, store, author, &token, route);
            let Err(Halt::Error(Error::Deliver(DeliverError::NotReplaced(_)))) = &rotated else {
                return rotated;
            };
            // The file may hold a secret that another run has put there meanwhile.
            let now = app.ctx.machine.now()?;
            let again = store.read(|view| view.tokens(&[token.row], now))?.pop();
            match again.filter(|again| again.id == token.id && again.secret_hashes() != token.secret_hashes())
            {
                Some(again) => token = again,
                None => return rotated,
            }
        }
    }

    fn rotate_as_seen(
        &self,
        app: &mut App<'_>,
        store: &Store,
        author: &Author,
        token: &Token,
        route: &DeliveryRoute,
    ) -> Result<Delivered, Halt> {
        if self.due && !token.is_due(app.ctx.machine.now()?) {
            return Err(Halt::Already(Box::new(token.clone())));
        }
        // The file of an unfinished rotation is read before the lock is taken.
        let fate =
            if self.replace_pending { deliver::fate(token, Missing::Unmounted) } else { Fate::RollBack };
        let order = delivery::Order {
            action: Action::Rotate,
            args: &route.args,
            ours: &token.secret_hashes(),
            keeps_variable: token.destination.is_some() && !self.remember,
        };
        delivery::deliver(app, store, author, &order, |tx, machine, destination| {
            let begun = self.prepare(tx, token, &fate, machine)?;
            let memory = route.to_store(tx, &begun.token, destination)?;
            Ok(Begun { memory, ..begun })
        })
    }

    /// Within the first transaction, ends an unfinished delivery, then checks the token as it is now.
    fn prepare(
        &self,
        tx: &Write<'_>,
        seen: &Token,
        fate: &Fate,
        machine: &dyn Machine,
    ) -> Result<Begun, Halt> {
        let now = tx.now;
        let gone = || Error::NotFound { what: Subject::Token, name: seen.name.to_string(), nearest: None };
        let mut token =
            tx.tokens(&[seen.row], now)?.pop().filter(|token| token.id == seen.id).ok_or_else(gone)?;
        self.targets.check_again(tx, &token, now, self.due)?;
        if let Some(delivery) = token.delivery.clone() {
            let dead = delivery.is_dead(now);
            let same = seen.delivery.as_ref() == Some(&delivery);
            if !self.may_replace_delivery(&token, &delivery, now) || !(dead || same) {
                return Err(Error::under_way(&token, &delivery).into());
            }
            deliver::abandon(tx, &token, if dead { &Fate::RollBack } else { fate })?;
            token = tx.token(token.row, now)?;
        }
        self.begin(&token, &tx.settings()?, now, machine)
    }

    /// Whether an unfinished delivery may be ended for this one.
    fn may_replace_delivery(&self, token: &Token, delivery: &Delivery, now: Timestamp) -> bool {
        token.current().is_some() && (delivery.is_dead(now) || self.replace_pending)
    }

    /// Checks that the token may get a new secret, and computes its expiry.
    fn begin(
        &self,
        token: &Token,
        settings: &Settings,
        now: Timestamp,
        machine: &dyn Machine,
    ) -> Result<Begun, Halt> {
        policy::check_can_rotate(token)?;
        if self.due && !token.is_due(now) {
            return Err(Halt::Already(Box::new(token.clone())));
        }
        let rotation = Rotation {
            lifetime: self.lifetime.resolve(now, machine)?,
            grace: self.grace,
            at_once: self.now,
            by_policy: self.due,
            revives: self.revive,
        };
        let Replacement { expires_at, grace } = rotation.check(token, settings, now)?;
        Ok(Begun { token: token.clone(), is_new: false, expires_at, grace, memory: Memory::default() })
    }
}

//! `apply`: makes the store match a file. All changes of existing objects are one transaction. Then each new
//! token is created and its secret delivered. Tokens that the file does not name are revoked last.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::app::{App, Outcome};
use crate::cmd::args::arrivals;
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::delivery::{self, Delivered};
use crate::cmd::args::describe::{Halt, new_id, vacate};
use crate::cmd::args::destination::{DestinationArgs, FileOrCommandArgs, HEADING};
use crate::cmd::args::many::change_all;
use crate::cmd::args::memory::check_destination;
use crate::cmd::args::newcomer::wait_out;
use crate::cmd::args::plan::{Plan, Sight, TO_DO, What, grants, new_token};
use crate::cmd::args::select::RehearsalArgs;
use crate::cmd::args::wanted::WantedArgs;
use crate::cmd::args::widen::{self, WidenArgs};
use crate::context::Machine;
use crate::deliver::{self, Begun, DeliverError};
use crate::domain::Invalid;
use crate::domain::code::Code;
use crate::domain::destination::Destination;
use crate::domain::event::{Action, Author};
use crate::domain::name::Name;
use crate::domain::scope::Entry;
use crate::domain::token::{Field, Memory, Token};
use crate::domain::wanted::{Wanted, WantedToken};
use crate::domain::widening::Approval;
use crate::error::{Error, Subject};
use crate::store::{Step as Progress, Store, StoreError, UNCHANGED, Write};

#[derive(Args)]
pub struct Apply {
    #[command(flatten)]
    wanted: WantedArgs,
    /// Revoke the tokens that the file does not name
    #[arg(long)]
    exclusive: bool,
    /// Write each new secret without a destination to a file in this directory, named after its token
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = HEADING)]
    out_dir: Option<PathBuf>,
    #[command(flatten)]
    rehearsal: RehearsalArgs,
    #[command(flatten)]
    widen: WidenArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Apply {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let wanted = self.wanted.read(app, true)?;
        if self.exclusive && wanted.tokens.is_empty() {
            let bad = Invalid::new("the file names no token, and `--exclusive` would revoke all");
            return Err(bad.hint("to revoke them, use `tokenctl revoke` with filters").into());
        }
        let author = self.change.author(app);
        if let Some(dir) = &self.out_dir {
            deliver::check_directory(dir, &app.location()?.shown()).map_err(DeliverError::from)?;
        }
        let exists = app.location()?.exists();
        let dry_run = self.rehearsal.dry_run;
        let (store, mut plan) = loop {
            let store = match (exists, dry_run) {
                (true, false) => app.open_to_write(&author)?,
                (true, true) => app.open_to_read()?,
                (false, _) => arrivals::store(app, &author, true)?,
            };
            let plan = self.plan(app, &store, &author, &wanted)?;
            // A creation that another process has begun is over by its deadline, even if that process was killed.
            match plan.under_way().filter(|_| !dry_run) {
                Some((name, begun, deadline)) if app.ctx.machine.now()? < deadline => {
                    wait_out(app, name, begun, deadline)?;
                }
                _ => break (store, plan),
            }
        };
        self.check(app, &store, &wanted, &mut plan)?;
        self.rehearsal.expect(plan.steps.len())?;
        if dry_run || plan.steps.is_empty() || plan.has_errors() {
            plan.show(app, false, dry_run)?;
            let end = if plan.steps.is_empty() {
                "the store matches the file".to_owned()
            } else {
                plan.in_words(TO_DO)
            };
            app.talk().note(&format!("{end}; nothing was changed"));
            return plan.fail();
        }
        ask(app, &plan)?;
        let store = if exists { store } else { app.open_or_make(&author)? };
        let mut plan = self.widen.run(app, |app, approval| {
            let machine = &*app.ctx.machine;
            let sight = self.sight(&wanted, &author, machine);
            store.write(machine, &author, |tx| self.change(tx, &sight, approval))
        })?;
        if plan.has_errors() {
            plan.show(app, false, false)?;
            return plan.fail();
        }
        self.create_all(app, &store, &author, &wanted, &mut plan);
        let mut done = Ok(());
        // Nothing is revoked while a token that may replace it is missing.
        if !plan.has_errors() {
            let revoked = plan.revoked();
            let revoke =
                |tx: &Write<'_>| change_all(tx, &revoked, Action::Revoke, |token, now| Ok(token.revoke(now)));
            done = store.write(&*app.ctx.machine, &author, revoke).map(drop).map_err(of_the_rest);
        }
        let is_whole = done.is_ok() && !plan.has_errors();
        plan.show(app, plan.changes_something(is_whole), false)?;
        if is_whole {
            app.talk().note(&plan.in_words(["created", "updated", "revoked"]));
        } else {
            app.talk().warn("some changes are not made; run it again to complete them");
        }
        done?;
        plan.fail()
    }

    fn sight<'a>(&self, wanted: &'a Wanted, author: &'a Author, machine: &'a dyn Machine) -> Sight<'a> {
        Sight { wanted, exclusive: self.exclusive, actor: &author.actor, machine }
    }

    fn plan(&self, app: &App<'_>, store: &Store, author: &Author, wanted: &Wanted) -> Result<Plan, Error> {
        let machine = &*app.ctx.machine;
        let sight = self.sight(wanted, author, machine);
        store.read_now(machine, |view, now| Plan::new(view, &sight, now))
    }

    /// Checks each new secret and each new destination for whether a delivery would succeed.
    fn check(&self, app: &mut App<'_>, store: &Store, wanted: &Wanted, plan: &mut Plan) -> Result<(), Error> {
        let (mut sets_commands, mut runs) = (false, false);
        for step in plan.steps.iter_mut().filter(|step| step.error.is_none()) {
            let checked = match &step.what {
                What::Create(name) => {
                    let token = &wanted.tokens[name];
                    sets_commands |= token.remembers_something();
                    runs |= token.remembers_command();
                    self.destination(name, token).and_then(|args| args.check(app, &[]))
                }
                What::Update { before, after } => {
                    let moved =
                        after.destination.as_ref().filter(|it| before.destination.as_ref() != Some(it));
                    let hooked = after.hook.is_some() && after.hook != before.hook;
                    sets_commands |= moved.is_some() || hooked;
                    runs |= hooked || moved.is_some_and(|it| it.destination.command().is_some());
                    moved.map_or(Ok(()), |moved| look(app, store, before, &moved.destination))
                }
                What::Setting | What::Scope | What::Revoke(_) => Ok(()),
            };
            step.error = checked.err();
        }
        if sets_commands { Ok(store.check_commands(runs)?) } else { Ok(()) }
    }

    /// Where the secret of a new token goes.
    fn destination(&self, name: &Name, token: &WantedToken) -> Result<DestinationArgs, Error> {
        match (&token.destination, &self.out_dir) {
            (Field::Set(Some(destination)), _) => Ok(DestinationArgs::of(destination)),
            (_, Some(dir)) => Ok(DestinationArgs::of(&Destination::File {
                path: dir.join(name.as_str()).to_string_lossy().into_owned(),
            })),
            (_, None) => Err(Error::NoDestination {
                name: name.to_string(),
                why: "is new, and has no destination for its secret".to_owned(),
                hint: "set `out`, `env_file` or `exec` in its section of the file, or pass `--out-dir DIR`",
            }),
        }
    }

    /// Changes existing objects: settings, scopes, then tokens by name.
    fn change(&self, tx: &Write<'_>, sight: &Sight<'_>, approval: &Approval) -> Result<Plan, Error> {
        let plan = Plan::new(tx, sight, tx.now)?;
        if plan.has_errors() {
            // The store has changed since the plan was checked, so nothing is done.
            return Ok(plan);
        }
        let what = format!("applying `{}`", self.wanted.file.display());
        widen::check(approval, &what, plan.widening.clone())?;
        if plan.settings != tx.settings()? {
            tx.save_settings(&plan.settings)?;
        }
        save_scopes(tx, &plan.scopes)?;
        let catalogue = tx.catalogue()?;
        let by = (sight.actor.host.as_deref(), sight.actor.uid);
        for step in &plan.steps {
            let What::Update { before, .. } = &step.what else { continue };
            let wanted = &sight.wanted.tokens[&before.name];
            let grants = grants(wanted, Some(before), &catalogue)?;
            let after = wanted.over(before, grants, &plan.settings, by, tx.now)?;
            tx.update(before, &after, Action::Apply)?;
        }
        Ok(plan)
    }

    /// Creates each new token, and records errors in its step.
    fn create_all(
        &self,
        app: &mut App<'_>,
        store: &Store,
        author: &Author,
        wanted: &Wanted,
        plan: &mut Plan,
    ) {
        let of = plan.created().count();
        let (mut done, mut interrupted) = (0, false);
        for step in &mut plan.steps {
            let made = match &step.what {
                What::Create(_) | What::Revoke(_) if interrupted => Err(Halt::Error(Error::Interrupted)),
                What::Create(name) => app
                    .step(&Progress::new("creating tokens", done, of))
                    .map_err(Halt::Error)
                    .and_then(|()| self.create(app, store, author, name, &wanted.tokens[name])),
                _ => continue,
            };
            done += 1;
            match made {
                Ok(made) => report_created(app, &made),
                Err(Halt::Error(err)) => {
                    interrupted |= err.code() == Code::Interrupted;
                    step.error = Some(err);
                }
                Err(Halt::Already(_)) => {}
            }
        }
    }

    fn create(
        &self,
        app: &mut App<'_>,
        store: &Store,
        author: &Author,
        name: &Name,
        wanted: &WantedToken,
    ) -> Result<Delivered, Halt> {
        let args = self.destination(name, wanted)?;
        let remembers = matches!(wanted.destination, Field::Set(Some(_)));
        let enter = |tx: &Write<'_>, machine: &dyn Machine, destination: Option<&Destination>| {
            if vacate(tx, name)?.is_some() {
                return Err(Error::NameTaken { what: Subject::Token, name: name.to_string() }.into());
            }
            let new = new_token(wanted, name, &tx.catalogue()?)?;
            let by = tx.author.actor.display_name();
            let (token, expires_at) = new.plan(new_id(machine)?, &tx.settings()?, &by, tx.now)?;
            let token = wanted.complete(token, tx.now);
            let mut memory = Memory::default();
            if let Some(destination) = destination.filter(|_| remembers) {
                check_destination(tx, &token, destination, &tx.author.actor, tx.now)?;
                memory.remember = true;
            }
            Ok(Begun { token, is_new: true, expires_at, grace: None, memory })
        };
        let order = delivery::Order { action: Action::Create, args: &args, ours: &[], keeps_variable: false };
        delivery::deliver(app, store, author, &order, enter)
    }
}

/// The message of a store's error is only about its transaction, but earlier ones have changed things.
fn of_the_rest(err: Error) -> Error {
    match err {
        Error::Store(StoreError::Io { what, settled: UNCHANGED }) => Error::Store(StoreError::Io {
            what,
            settled: "nothing was revoked; what was created or updated stays",
        }),
        err => err,
    }
}

/// Asks before tokens are revoked.
fn ask(app: &mut App<'_>, plan: &Plan) -> Result<(), Error> {
    let revoked = plan.revoked();
    let names: Vec<String> = revoked.iter().map(|token| format!("`{}`", token.name)).collect();
    match &names[..] {
        [] => Ok(()),
        [one] => app.confirm(&format!("revoke {one}, which the file does not name?")),
        all => {
            let question = format!("revoke {} tokens that the file does not name", all.len());
            app.confirm(&format!("{question} ({})?", all.join(", ")))
        }
    }
}

/// Whether a rotation of the token could deliver there. A file with other content is only a warning.
fn look(app: &mut App<'_>, store: &Store, token: &Token, destination: &Destination) -> Result<(), Error> {
    let (_, problem) = FileOrCommandArgs::of(destination).look(app, store.path(), &token.secret_hashes())?;
    if let Some(problem) = problem {
        app.talk().warn(&format!("a rotation of `{}` would not deliver there now: {problem}", token.name));
    }
    Ok(())
}

/// New scopes are inserted first, so that any scope can include them.
fn save_scopes(tx: &Write<'_>, scopes: &[Entry]) -> Result<(), Error> {
    let mut changed = Vec::new();
    for entry in scopes {
        if entry.row > 0 {
            changed.push(entry.clone());
            continue;
        }
        let bare = Entry { includes: BTreeSet::new(), ..entry.clone() };
        let stored = tx.insert_scope(&bare, Action::Apply)?;
        if !entry.includes.is_empty() {
            changed.push(Entry { includes: entry.includes.clone(), ..stored });
        }
    }
    if changed.is_empty() { Ok(()) } else { Ok(tx.save_scopes(&changed, Action::Apply)?) }
}

fn report_created(app: &mut App<'_>, made: &Delivered) {
    let place = made.destination.as_ref().map(Destination::in_words).unwrap_or_default();
    app.talk().note(&format!("created `{}`; its secret went to {place}", made.token.name));
}

//! `restore`: makes the store what it was at a backup, except for what was revoked or has expired since.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::app::{App, Outcome};
use crate::cmd::args::change::ChangeArgs;
use crate::cmd::args::commands::CommandsArgs;
use crate::cmd::args::widen::{self, WidenArgs};
use crate::domain::Invalid;
use crate::domain::event::Author;
use crate::domain::name::{Name, TokenId};
use crate::error::Error;
use crate::store::{self, Live, Restoration, Store};
use crate::ui::json::{HeadDoc, NamedDoc, RestoreDoc};

#[derive(Args)]
pub struct Restore {
    /// The file that `tokenctl backup` wrote
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Show what would change, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Discard tokens, secrets and deliveries that are newer than the backup
    #[arg(long)]
    discard_newer: bool,
    /// Replace a damaged store, or one with another history; it is kept as `tokens.db.before-restore`
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    commands: CommandsArgs,
    #[command(flatten)]
    widen: WidenArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Restore {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let author = self.change.author(app);
        let backup = self.open(app, &author)?;
        let plan = self.widen.run(app, |app, approval| {
            let plan = plan(app, &backup, &author)?;
            if !self.dry_run {
                widen::check(approval, "restoring the backup", plan.widening.clone())?;
            }
            Ok(plan)
        })?;
        if self.dry_run || !plan.changed {
            return self.report(app, &plan, false);
        }
        self.check_allowed(&plan)?;
        self.commands.confirm(app, "the backup", &plan.commands)?;
        app.confirm(&self.question(&plan))?;
        plan.install(&app.location()?, &*app.ctx.machine)?;
        self.report(app, &plan, true)
    }

    fn open(&self, app: &mut App<'_>, author: &Author) -> Result<Store, Error> {
        let now = app.ctx.machine.now()?;
        let opened = store::open_backup::<Error>(&self.file, &now, author, &mut |step| app.step(&step));
        opened.map_err(|err| match err {
            Error::Interrupted => err,
            err => Error::Backup { path: self.file.clone(), err: Box::new(err) },
        })
    }

    /// Fails if the restore would lose something that no flag allows it to lose.
    fn check_allowed(&self, plan: &Restoration) -> Result<(), Error> {
        let why = match &plan.live {
            Live::Unusable(why, _) => Some(format!("the current store cannot be used: {why}")),
            Live::OtherHistory(head) => Some(format!(
                "the current log, whose head is {head}, does not continue the log of the backup"
            )),
            Live::Missing | Live::SameHistory(_) => None,
        };
        if let Some(why) = why.filter(|_| !self.force) {
            let hint = "`--force` replaces the store, and keeps it as `tokens.db.before-restore`";
            return Err(Error::Policy(Invalid::new(why).hint(hint)));
        }
        if plan.discarded.is_empty() || self.discard_newer {
            return Ok(());
        }
        let names: Vec<String> = plan.discarded.iter().map(|(_, name)| format!("`{name}`")).collect();
        let newer = format!(
            "clients would lose access, since the backup has no secret of theirs: {}",
            names.join(", ")
        );
        Err(Error::Newer(
            Invalid::new(newer).hint("pass `--discard-newer`, and rotate them again afterwards"),
        ))
    }

    fn question(&self, plan: &Restoration) -> String {
        let file = self.file.display();
        match &plan.live {
            Live::Missing => format!("create a store from `{file}`?"),
            Live::SameHistory(head) => {
                let behind = head.seq - plan.backup_head.seq;
                format!("restore the store as of {behind} events ago from `{file}`?")
            }
            Live::OtherHistory(_) | Live::Unusable(..) => format!("replace the store by `{file}`?"),
        }
    }

    fn report(&self, app: &mut App<'_>, plan: &Restoration, changed: bool) -> Result<Outcome, Error> {
        if app.json() {
            let widened = plan.widening.tokens();
            app.print_json(&RestoreDoc {
                changed,
                dry_run: self.dry_run,
                backup_head: HeadDoc::new(&plan.backup_head),
                head: HeadDoc::new(&plan.head),
                kept_ended: documents(&plan.kept_ended),
                discarded: documents(&plan.discarded),
                widened: documents(&widened),
            })?;
            return Ok(Outcome::Done);
        }
        for (tokens, what) in [
            (&plan.kept_ended, "revoked or expired since the backup, and stays so"),
            (&plan.discarded, "discarded, since it is newer than the backup"),
            (&plan.widening.tokens(), "may do more than before"),
        ] {
            for (id, name) in tokens {
                app.talk().note(&format!("`{name}` ({id}): {what}"));
            }
        }
        let note = match (changed, plan.changed) {
            (true, _) => format!("restored the store from {}", self.file.display()),
            (false, true) => "it would change the store; nothing was changed".to_owned(),
            (false, false) => "the store is what the backup says; nothing was changed".to_owned(),
        };
        app.talk().note(&note);
        Ok(Outcome::Done)
    }
}

fn plan(app: &mut App<'_>, backup: &Store, author: &Author) -> Result<Restoration, Error> {
    let (now, location) = (app.ctx.machine.now()?, app.location()?);
    store::plan(&location, backup, &now, author, &mut |step| app.step(&step))
}

fn documents(all: &[(TokenId, Name)]) -> Vec<NamedDoc<'_>> {
    all.iter().map(|(id, name)| NamedDoc { id: Some(id), name }).collect()
}

//! The command line as a whole: parsing, help, the wording of usage errors, and the verbs about the program
//! itself.

mod completions;
mod help;
mod man;
mod mistake;
mod parse;
mod report;

use std::ffi::OsString;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Arg, ArgAction, Args, Command, Subcommand};

use crate::app::{App, HEADING, Look, Outcome};
#[cfg(feature = "serve")]
use crate::cmd::serve;
use crate::cmd::{
    adopt, apply, audit, backup, check, create, diff, disable, doctor, edit, enable, export, import, init,
    list, prune, rename, restore, revoke, rotate, scan, scopes, settings, show, verify,
};
use crate::context::Context;
use crate::domain::Invalid;
use crate::error::Error;
use completions::{asking_shell, complete};
pub use help::{Example, GROUPS, VERBS};
pub use man::{ENVIRONMENT, FILES};
use mistake::report_clap;
pub use parse::command;
use report::{exposes_secret, report};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default());

/// Runs the program: parses the line, runs the verb, and reports its result. Returns the exit code.
pub fn run(args: Vec<OsString>, ctx: &mut Context) -> u8 {
    if ctx.machine.has_borrowed_rights() {
        return report(&borrowed_rights().into(), Look::guess(&args, ctx), ctx);
    }
    if let Some(shell) = asking_shell(&args, ctx) {
        return complete(&shell, &args[2..], ctx);
    }
    let args = help::as_flags(args);
    let look = Look::guess(&args, ctx);
    if exposes_secret(&args) {
        return report(&Error::SecretAsArgument, look, ctx);
    }
    let cli = match parse::parse(&args, &*ctx.machine) {
        Ok(cli) => cli,
        Err(err) => return report_clap(args, err, look, ctx),
    };
    let mut app = App::new(ctx, &cli.global);
    let look = app.look();
    let ran = cli.verb.run(&mut app);
    app.clear();
    if let Some(why) = app.ctx.machine.zone_problem() {
        app.talk().warn(&format!("{why}; dates were read in UTC"));
    }
    match ran {
        Ok(Outcome::Done) => 0,
        Ok(Outcome::No) => 3,
        Err(err) => {
            let dir = app.location().map(|location| location.shown()).unwrap_or_default();
            report(&err.of_store(&dir), look, ctx)
        }
    }
}

/// In a setuid or setgid program, the environment and the paths come from one user and the rights from another.
fn borrowed_rights() -> Invalid {
    Invalid::new("the program was started with the rights of another user (setuid or setgid)")
        .hint("`chmod ug-s` on the program, and `sudo -u USER tokenctl …` to run it as another user")
}

fn help_flag() -> Arg {
    let help = "Print help; `--help` says more than `-h`";
    Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::Help)
        .help(help)
        .global(true)
        .help_heading(HEADING)
}

/// Adds flags to a verb.
type Augment = fn(Command) -> Command;

#[derive(Subcommand)]
#[command(defer = true)]
pub enum Verb {
    /// Create the store
    Init(init::Init),
    /// Create a token and deliver its secret, once
    Create(create::Create),
    /// Create a token for a secret that exists already
    Adopt(adopt::Adopt),
    /// List tokens, without revoked and expired ones
    #[command(visible_alias = "ls")]
    List(list::List),
    /// Show everything about one token
    Show(show::Show),
    /// Give a token another name
    Rename(rename::Rename),
    /// Change the owner, labels, lifetime or policy of tokens
    Edit(edit::Edit),
    /// Define scopes, and grant them to tokens
    Scopes(scopes::Scopes),
    /// Pause tokens until they are enabled again
    Disable(disable::Disable),
    /// Make disabled tokens work again
    Enable(enable::Enable),
    /// Revoke tokens immediately; this cannot be undone
    Revoke(revoke::Revoke),
    /// Replace secrets; the old ones work for a grace period
    Rotate(rotate::Rotate),
    /// Check a secret; exit 0 if it is valid, 3 if it is not
    Verify(verify::Verify),
    /// Check secrets for proxies and services, over HTTP
    #[cfg(feature = "serve")]
    Serve(serve::Serve),
    /// Find secrets in files and histories; exit 3 if one works
    Scan(scan::Scan),
    /// Report tokens that need attention; exit 3 if there are any
    Check(check::Check),
    /// Show the log of changes, newest last
    Audit(audit::Audit),
    /// Check the store for problems; exit 3 if there are any
    Doctor(doctor::Doctor),
    /// Show the settings of the store, or change one
    Settings(settings::Settings),
    /// Copy the store into one file
    Backup(backup::Backup),
    /// Restore the store from a backup
    Restore(restore::Restore),
    /// Write the store as JSON lines, without secrets
    Export(export::Export),
    /// Read a store, or single tokens, from an export
    Import(import::Import),
    /// Remove revoked and expired tokens, and old secrets
    Prune(prune::Prune),
    /// Compare the store with a file; exit 3 if they differ
    Diff(diff::Diff),
    /// Make the store match a file of tokens and scopes
    Apply(apply::Apply),
    /// Print the script that sets up TAB completion in a shell
    Completions(completions::Completions),
    /// Print the manual page, or write one for each command
    Man(man::Man),
}

impl Verb {
    /// The name of the verb with this name or alias, and what adds its flags. Clap's derived functions can only build all
    /// verbs.
    fn flags(name: &str) -> Option<(&'static str, Augment)> {
        let verb: (_, Augment) = match name {
            "init" => ("init", init::Init::augment_args),
            "create" => ("create", create::Create::augment_args),
            "adopt" => ("adopt", adopt::Adopt::augment_args),
            "list" | "ls" => ("list", |verb| list::List::augment_args(verb.alias("ls"))),
            "show" => ("show", show::Show::augment_args),
            "rename" => ("rename", rename::Rename::augment_args),
            "edit" => ("edit", edit::Edit::augment_args),
            "scopes" => ("scopes", scopes::Scopes::augment_args),
            "disable" => ("disable", disable::Disable::augment_args),
            "enable" => ("enable", enable::Enable::augment_args),
            "revoke" => ("revoke", revoke::Revoke::augment_args),
            "rotate" => ("rotate", rotate::Rotate::augment_args),
            "verify" => ("verify", verify::Verify::augment_args),
            #[cfg(feature = "serve")]
            "serve" => ("serve", serve::Serve::augment_args),
            "scan" => ("scan", scan::Scan::augment_args),
            "check" => ("check", check::Check::augment_args),
            "audit" => ("audit", audit::Audit::augment_args),
            "doctor" => ("doctor", doctor::Doctor::augment_args),
            "settings" => ("settings", settings::Settings::augment_args),
            "backup" => ("backup", backup::Backup::augment_args),
            "restore" => ("restore", restore::Restore::augment_args),
            "export" => ("export", export::Export::augment_args),
            "import" => ("import", import::Import::augment_args),
            "prune" => ("prune", prune::Prune::augment_args),
            "diff" => ("diff", diff::Diff::augment_args),
            "apply" => ("apply", apply::Apply::augment_args),
            "completions" => ("completions", completions::Completions::augment_args),
            "man" => ("man", man::Man::augment_args),
            _ => return None,
        };
        Some(verb)
    }

    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        match self {
            Self::Init(it) => it.run(app),
            Self::Create(it) => it.run(app),
            Self::Adopt(it) => it.run(app),
            Self::List(it) => it.run(app),
            Self::Show(it) => it.run(app),
            Self::Rename(it) => it.run(app),
            Self::Edit(it) => it.run(app),
            Self::Scopes(it) => it.run(app),
            Self::Disable(it) => it.run(app),
            Self::Enable(it) => it.run(app),
            Self::Revoke(it) => it.run(app),
            Self::Rotate(it) => it.run(app),
            Self::Verify(it) => it.run(app),
            #[cfg(feature = "serve")]
            Self::Serve(it) => it.run(app),
            Self::Scan(it) => it.run(app),
            Self::Check(it) => it.run(app),
            Self::Audit(it) => it.run(app),
            Self::Doctor(it) => it.run(app),
            Self::Settings(it) => it.run(app),
            Self::Backup(it) => it.run(app),
            Self::Restore(it) => it.run(app),
            Self::Export(it) => it.run(app),
            Self::Import(it) => it.run(app),
            Self::Prune(it) => it.run(app),
            Self::Diff(it) => it.run(app),
            Self::Apply(it) => it.run(app),
            Self::Completions(it) => it.run(app),
            Self::Man(it) => it.run(app),
        }
    }
}

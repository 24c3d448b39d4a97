//! The verbs, a file each, and what they share: the global flags and a command under way.

mod adopt;
mod app;
mod audit;
mod change;
mod completions;
mod create;
mod describe;
mod disable;
mod doctor;
mod edit;
mod enable;
mod help;
mod init;
mod lifetime;
mod list;
mod man;
mod many;
mod mistake;
mod pager;
mod present;
mod progress;
mod rename;
mod report;
mod revoke;
mod rotate;
mod scan;
mod scopes;
mod select;
mod settings;
mod show;
mod sink;
mod verify;
mod widen;
mod wizard;

use std::ffi::OsString;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Arg, ArgAction, Args, Parser, Subcommand, ValueHint};

use crate::error::Error;
use crate::ui::Color;
pub use app::App;
use app::{asking, keep_answer};
pub use completions::{asking_shell, complete};
pub use help::{Example, GROUPS, VERBS};
pub use man::ENVIRONMENT;
pub use mistake::usage;
pub use report::{Look, exposes_secret, report};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default());

/// The heading of the flags that every verb takes.
const GLOBAL: &str = "Global options";

/// htpasswd for API tokens: create, hand over once, verify, rotate, revoke
#[derive(Parser)]
#[command(name = "tokenctl", version, styles = STYLES)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(disable_help_flag = true, arg = help_flag())]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

fn help_flag() -> Arg {
    let help = "Print help; `--help` says more than `-h`";
    Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::Help)
        .help(help)
        .global(true)
        .help_heading(GLOBAL)
}

#[derive(Args, Default)]
pub struct Global {
    /// Use the store in this directory [env: TOKENCTL_STORE] [default: tokenctl in the XDG data directory]
    #[arg(long, value_name = "DIR", global = true, help_heading = GLOBAL, value_parser = clap::builder::OsStringValueParser::new())]
    #[arg(value_hint = ValueHint::DirPath)]
    store: Option<OsString>,
    /// Answer in JSON, errors too
    #[arg(long, global = true, help_heading = GLOBAL)]
    json: bool,
    /// Never ask, as if there were no terminal
    #[arg(long, global = true, help_heading = GLOBAL)]
    no_input: bool,
    /// Answer yes to the question whether to go on
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    yes: bool,
    /// Say only errors and warnings
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    quiet: bool,
    /// When to colour
    #[arg(
        long,
        value_name = "WHEN",
        global = true,
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    #[arg(help_heading = GLOBAL, help = "When to colour: auto, always or never")]
    color: Color,
    /// Never show long output through the pager
    #[arg(long, global = true, help_heading = GLOBAL)]
    no_pager: bool,
}

#[derive(Subcommand)]
#[command(defer = true)]
pub enum Verb {
    /// Make the store
    Init(init::Init),
    /// Create a token and hand its secret over, once
    Create(create::Create),
    /// Make a token for a secret that exists already
    Adopt(adopt::Adopt),
    /// List the tokens, without those revoked or expired
    #[command(visible_alias = "ls")]
    List(list::List),
    /// Show everything about one token
    Show(show::Show),
    /// Give a token another name
    Rename(rename::Rename),
    /// Change description, labels, lifetime and policy of tokens
    Edit(edit::Edit),
    /// Manage the scopes that exist, and those of a token
    Scopes(scopes::Scopes),
    /// Pause tokens until they are enabled again
    Disable(disable::Disable),
    /// End the pause of disabled tokens
    Enable(enable::Enable),
    /// End tokens for good, at once
    Revoke(revoke::Revoke),
    /// Give tokens new secrets; the old stay good for a grace
    Rotate(rotate::Rotate),
    /// Say whether a secret is good: exit 0 if so, 3 if not
    Verify(verify::Verify),
    /// Find the store's secrets in files, folders or standard input: exit 3 if one works
    Scan(scan::Scan),
    /// Show what happened, newest last
    Audit(audit::Audit),
    /// Look for damage and broken rules: exit 3 if there is any
    Doctor(doctor::Doctor),
    /// Show the settings of the store, or change one
    Settings(settings::Settings),
    /// Print the script for a shell that makes TAB complete words
    Completions(completions::Completions),
    /// Print the manual page, or write one for each command
    Man(man::Man),
}

impl Verb {
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
            Self::Scan(it) => it.run(app),
            Self::Audit(it) => it.run(app),
            Self::Doctor(it) => it.run(app),
            Self::Settings(it) => it.run(app),
            Self::Completions(it) => it.run(app),
            Self::Man(it) => it.run(app),
        }
    }
}

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// The answer is no.
    No,
}

//! The verbs, a file each, and what they share: the global flags and a command under way.

mod adopt;
mod app;
mod audit;
mod change;
mod create;
mod describe;
mod disable;
mod doctor;
mod edit;
mod enable;
mod init;
mod lifetime;
mod list;
mod many;
mod present;
mod progress;
mod rename;
mod report;
mod revoke;
mod rotate;
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
use clap::{Args, Parser, Subcommand};

use crate::error::Error;
use crate::ui::Color;
pub use app::App;
use app::{asking, keep_answer};
pub use report::{Look, exposes_secret, report, usage};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default());

const AFTER_HELP: &str = "\
Examples:
  tokenctl create ci-deploy --owner ann --ttl 30d    print a new secret, once
  tokenctl verify --scope events:read < secret.txt   exit 0 when it is good, 3 when not
  tokenctl list --expires-within 14d
  tokenctl revoke ci-deploy

Exit codes: 0 done, 1 failed, 2 usage, 3 the answer is no, 4 not found, 5 conflict,
6 store unusable, 7 delivery failed, 130 interrupted";

/// htpasswd for API tokens: create, hand over once, verify, rotate, revoke
#[derive(Parser)]
#[command(name = "tokenctl", version, styles = STYLES, after_help = AFTER_HELP, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Args)]
pub struct Global {
    /// Use the store in this directory [env: TOKENCTL_STORE] [default: tokenctl in the XDG data directory]
    #[arg(long, value_name = "DIR", global = true, help_heading = "Global options", value_parser = clap::builder::OsStringValueParser::new())]
    store: Option<OsString>,
    /// Answer in JSON, errors too
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,
    /// Never ask, as if there were no terminal
    #[arg(long, global = true, help_heading = "Global options")]
    no_input: bool,
    /// Answer yes to the question whether to go on
    #[arg(short, long, global = true, help_heading = "Global options")]
    yes: bool,
    /// Say only errors and warnings
    #[arg(short, long, global = true, help_heading = "Global options")]
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
    #[arg(help_heading = "Global options", help = "When to colour: auto, always or never")]
    color: Color,
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
    /// Change what is said of tokens, their labels and their lifetime
    Edit(edit::Edit),
    /// Manage the scopes that exist, and those of a token
    Scopes(scopes::Scopes),
    /// Pause tokens until they are enabled again
    Disable(disable::Disable),
    /// End the pause of disabled tokens
    Enable(enable::Enable),
    /// End tokens for good, at once
    Revoke(revoke::Revoke),
    /// Give tokens a new secret; the old one stays good for its grace
    Rotate(rotate::Rotate),
    /// Say whether a secret is good: exit 0 if so, 3 if not
    Verify(verify::Verify),
    /// Show what happened, newest last
    Audit(audit::Audit),
    /// Look for damage, unsafe files, leftovers and broken rules: exit 3 if there is any
    Doctor(doctor::Doctor),
    /// Show the settings of the store, or change one
    Settings(settings::Settings),
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
            Self::Audit(it) => it.run(app),
            Self::Doctor(it) => it.run(app),
            Self::Settings(it) => it.run(app),
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

//! The verbs, a file each, and what they share: the global flags and a command under way.

mod adopt;
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
mod rename;
mod revoke;
mod rotate;
mod scopes;
mod select;
mod settings;
mod show;
mod sink;
mod verify;
mod widen;

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::error::{ContextKind, ContextValue, ErrorKind as ClapKind};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;

use crate::context::Context;
use crate::deliver;
use crate::domain::Invalid;
use crate::domain::event::Author;
use crate::domain::secret::contains_secret;
use crate::domain::text::{is_hidden, shown};
use crate::error::Error;
use crate::store::{Location, Store};
use crate::ui::{self, Color, Style, Talk};

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

/// How to talk.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    json: bool,
    quiet: bool,
    color: Color,
    style: Style,
}

impl Look {
    /// Before the arguments are parsed: what they seem to ask for.
    pub fn guess(args: &[OsString], ctx: &Context) -> Self {
        let flags = args.iter().take_while(|arg| *arg != "--").filter_map(|arg| arg.to_str());
        let flags: Vec<&str> = flags.collect();
        let has = |flag: &str| flags.contains(&flag);
        let next = flags.iter().zip(flags.iter().skip(1)).find(|(flag, _)| **flag == "--color");
        let color =
            flags.iter().find_map(|flag| flag.strip_prefix("--color=")).or(next.map(|(_, word)| *word));
        let color = color.and_then(|word| Color::from_str(word, false).ok()).unwrap_or_default();
        Self { json: has("--json"), quiet: false, color, style: style(color, ctx.terminal.stderr, ctx) }
    }

    fn talk(self, ctx: &mut Context) -> Talk<'_> {
        Talk { err: &mut *ctx.stderr, style: self.style, quiet: self.quiet, json: self.json }
    }
}

fn style(color: Color, terminal: bool, ctx: &Context) -> Style {
    let forced = ctx.machine.env("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    let plain =
        ctx.machine.env("NO_COLOR").is_some() || ctx.machine.env("TERM").is_some_and(|term| term == "dumb");
    let color = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => !plain && (terminal || forced),
    };
    Style { color }
}

/// Says why a command failed. Returns its exit code; a reader that went away is no failure.
pub fn report(err: &Error, look: Look, ctx: &mut Context) -> u8 {
    if let Error::Output(err) = err
        && err.kind() == ErrorKind::BrokenPipe
    {
        return 0;
    }
    look.talk(ctx).error(err.code(), err.exit(), &err.to_string(), err.hint().as_deref());
    err.exit()
}

/// Whether one of our secrets stands in an argument, where every process of the machine can read it.
pub fn exposes_secret(args: &[OsString]) -> bool {
    args.iter().any(|arg| contains_secret(arg.as_encoded_bytes()))
}

/// Says what clap has to say: help and version on stdout with exit 0, what is wrong on stderr with exit 2.
pub fn usage(mut err: clap::Error, look: Look, ctx: &mut Context) -> u8 {
    // What was typed stands in one line of the message, whatever it holds.
    let hides = |text: &str| text.contains(is_hidden).then(|| shown(text).to_string());
    let typed = err.context().filter_map(|(kind, value)| match value {
        ContextValue::String(text) => hides(text).map(|text| (kind, text)),
        _ => None,
    });
    for (kind, text) in typed.collect::<Vec<_>>() {
        err.insert(kind, ContextValue::String(text));
    }
    if !err.use_stderr() {
        let out = style(look.color, ctx.terminal.stdout, ctx);
        let text = if out.color { err.render().ansi().to_string() } else { err.render().to_string() };
        return match ctx.stdout.write_all(text.as_bytes()).and_then(|()| ctx.stdout.flush()) {
            Ok(()) => 0,
            Err(err) => report(&Error::Output(err), look, ctx),
        };
    }
    let text = err.render().to_string();
    if look.json {
        let missing = err.kind() == ClapKind::DisplayHelpOnMissingArgumentOrSubcommand;
        // What is wrong may go on for several lines, until the first empty one.
        let first =
            text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect::<Vec<_>>().join(" ");
        let message = if missing { "no command given" } else { first.trim_start_matches("error: ") };
        let tip = err
            .get(ContextKind::Suggested)
            .and_then(|_| text.lines().find_map(|line| line.trim().strip_prefix("tip: ")));
        let hint = tip.unwrap_or("`tokenctl --help` shows how it is used");
        look.talk(ctx).error("usage", 2, message, Some(hint));
    } else if look.style.color && !text.chars().any(|c| c != '\n' && is_hidden(c)) {
        let _ = ctx.stderr.write_all(err.render().ansi().to_string().as_bytes());
    } else {
        // clap repeats what was typed.
        let lines: Vec<String> = text.lines().map(|line| shown(line).to_string()).collect();
        let _ = ctx.stderr.write_all(format!("{}\n", lines.join("\n")).as_bytes());
    }
    2
}

/// A command under way: its machine and the global flags.
pub struct App<'a> {
    pub ctx: &'a mut Context,
    global: &'a Global,
}

impl<'a> App<'a> {
    pub fn new(ctx: &'a mut Context, global: &'a Global) -> Self {
        Self { ctx, global }
    }

    pub fn look(&self) -> Look {
        let color = self.global.color;
        let style = style(color, self.ctx.terminal.stderr, self.ctx);
        Look { json: self.global.json, quiet: self.global.quiet, color, style }
    }

    pub fn talk(&mut self) -> Talk<'_> {
        self.look().talk(self.ctx)
    }

    pub fn json(&self) -> bool {
        self.global.json
    }

    pub fn quiet(&self) -> bool {
        self.global.quiet
    }

    /// The style of what goes to stdout.
    pub fn out_style(&self) -> Style {
        style(self.global.color, self.ctx.terminal.stdout, self.ctx)
    }

    /// Whether somebody is there to answer.
    pub fn can_ask(&self) -> bool {
        self.ctx.terminal.can_ask() && !self.global.no_input
    }

    /// Goes on only with a yes: from the flag, or from a person.
    pub fn confirm(&mut self, question: &str) -> Result<(), Error> {
        if self.global.yes {
            return Ok(());
        }
        self.ask(question, "`--yes` answers yes")
    }

    /// Goes on only with a yes from a person; without one the hint says which flag there is instead.
    pub fn ask(&mut self, question: &str, hint: &str) -> Result<(), Error> {
        if !self.can_ask() {
            let asked = question.trim_end_matches('?');
            return Err(Error::InputNeeded(
                Invalid::new(format!("a person must say yes to: {asked}")).hint(hint),
            ));
        }
        match self.ctx.machine.confirm(&shown(question).to_string()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Declined),
            Err(err) => Err(asking(err)),
        }
    }

    /// Writes a document to stdout.
    pub fn print_json(&mut self, document: &impl Serialize) -> Result<(), Error> {
        ui::write_json(&mut *self.ctx.stdout, document).map_err(Error::Output)
    }

    /// Writes text to stdout.
    pub fn print(&mut self, text: &str) -> Result<(), Error> {
        self.ctx
            .stdout
            .write_all(text.as_bytes())
            .and_then(|()| self.ctx.stdout.flush())
            .map_err(Error::Output)
    }

    /// Where the store is: by flag, by variable, or in the user's data directory.
    pub fn location(&self) -> Result<Location, Error> {
        let machine = &self.ctx.machine;
        let named = self.global.store.clone().or_else(|| machine.env("TOKENCTL_STORE"));
        if let Some(dir) = named {
            if dir.is_empty() {
                return Err(Invalid::new("`--store` names no directory").into());
            }
            let dir = std::path::absolute(&dir)
                .map_err(|err| Error::Input { what: "the working directory".to_owned(), err })?;
            return Ok(Location { dir, named: true });
        }
        let data = machine.env("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let data = data.or_else(|| machine.home().map(|home| home.join(".local/share")));
        let data = data.ok_or_else(|| {
            Invalid::new("there is no home directory").hint("name a store with `--store DIR`")
        })?;
        Ok(Location { dir: data.join("tokenctl"), named: false })
    }

    pub fn open_to_read(&self) -> Result<Store, Error> {
        Ok(Store::open_to_read(&self.location()?)?)
    }

    /// Opens the store for a change, after finishing what killed commands of this user left.
    pub fn open_to_write(&self, author: &Author) -> Result<Store, Error> {
        let store = Store::open_to_write(&self.location()?, &*self.ctx.machine)?;
        deliver::recover(&store, &*self.ctx.machine, author)?;
        Ok(store)
    }
}

/// For verbs that answer by their exit code: a reader that went away changes nothing of the answer.
fn keep_answer(printed: Result<(), Error>) -> Result<(), Error> {
    match printed {
        Err(Error::Output(err)) if err.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// A question that got no answer.
fn asking(err: io::Error) -> Error {
    match err.kind() {
        ErrorKind::Interrupted => Error::Interrupted,
        _ => Error::Input { what: "the answer".to_owned(), err },
    }
}

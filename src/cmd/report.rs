//! What is said when a command did not do what was asked: by clap, or by ourselves.

use std::ffi::OsString;
use std::io::ErrorKind;

use clap::ValueEnum;
use clap::error::{ContextKind, ContextValue, ErrorKind as ClapKind};

use crate::context::Context;
use crate::domain::secret::contains_secret;
use crate::domain::text::{is_hidden, shown};
use crate::error::Error;
use crate::ui::{Color, Style, Talk};

/// How to talk.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub json: bool,
    pub quiet: bool,
    pub color: Color,
    pub style: Style,
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

    pub fn talk(self, ctx: &mut Context) -> Talk<'_> {
        Talk { err: &mut *ctx.stderr, style: self.style, quiet: self.quiet, json: self.json }
    }
}

/// Colours on a stream, or none, as flag, environment and terminal say.
pub fn style(color: Color, terminal: bool, ctx: &Context) -> Style {
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

//! How a command reports: with or without colour, as text or as JSON.

use std::ffi::OsString;

use clap::ValueEnum;

use crate::context::Context;
use crate::ui::{Color, Style, Talk};

/// The form of a command's reports.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub json: bool,
    pub quiet: bool,
    pub color: Color,
    pub style: Style,
}

impl Look {
    /// Guesses it from arguments that are not parsed yet.
    pub fn guess(args: &[OsString], ctx: &Context) -> Self {
        let flags = args.iter().take_while(|arg| *arg != "--").filter_map(|arg| arg.to_str());
        let flags: Vec<&str> = flags.collect();
        let has = |flag: &str| flags.contains(&flag);
        let next = flags.iter().zip(flags.iter().skip(1)).find(|(flag, _)| **flag == "--color");
        let color =
            flags.iter().find_map(|flag| flag.strip_prefix("--color=")).or(next.map(|(_, word)| *word));
        let color = color.and_then(|word| Color::from_str(word, false).ok()).unwrap_or_default();
        let quiet = has("--quiet") || has("-q");
        Self { json: has("--json"), quiet, color, style: style(color, ctx.terminal.stderr, ctx) }
    }

    pub fn talk(self, ctx: &mut Context) -> Talk<'_> {
        Talk { err: &mut *ctx.stderr, style: self.style, quiet: self.quiet, json: self.json }
    }
}

/// Whether a stream gets colour, by flag, environment and terminal.
pub fn style(color: Color, terminal: bool, ctx: &Context) -> Style {
    let forced = ctx.machine.env("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    let plain = ctx.machine.env("NO_COLOR").is_some() || ctx.machine.is_dumb();
    let color = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => !plain && (terminal || forced),
    };
    Style { color }
}

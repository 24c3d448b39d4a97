//! The text of `-h` and `--help`: the flags as clap shows them, and around them the texts of `help/verbs.rs`.
//!
//! Parsing does not use this module, so that `verify` does not pay for it.

mod verbs;

use std::ffi::OsString;

use clap::Command;
use clap::builder::styling::Style;

use super::{STYLES, parse};
use crate::domain::code::EXITS;
pub use verbs::{Example, GROUPS, VERBS, Verb};

/// The greatest width of help.
const WIDEST: usize = 100;
/// Below this width, the name of a group is above its verbs instead of beside them.
const NARROW: usize = 60;

/// The whole command line, with all its verbs built.
pub fn tree(width: usize) -> Command {
    let mut root = parse::command().term_width(width);
    root.build();
    root
}

/// The usage of a command, in one line.
pub fn usage(path: &str) -> Option<String> {
    let mut command = &mut tree(0);
    for word in path.split_whitespace() {
        command = command.find_subcommand_mut(word)?;
    }
    let usage = command.render_usage().to_string();
    Some(usage.lines().next()?.trim_start_matches("Usage: ").to_owned())
}

/// The words of a command after `tokenctl`.
pub fn path(command: &Command) -> &str {
    let name = command.get_bin_name().unwrap_or_default();
    name.split_once(' ').map_or("", |(_, path)| path)
}

pub fn verb(path: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|verb| verb.path == path)
}

/// Hides all flags but the global ones, or all but the others.
pub fn only(command: Command, global: bool) -> Command {
    command.mut_args(|arg| {
        let hidden = arg.is_hide_set() || arg.is_global_set() != global;
        arg.hide(hidden)
    })
}

/// The subcommands of a command, without hidden ones.
pub fn below(command: &Command) -> Vec<&Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set()).collect()
}

/// The help for these arguments: the long one with `--help`, one screen with `-h` or without a command.
pub fn requested(args: Vec<OsString>, width: Option<u16>) -> Option<clap::Error> {
    let long = args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--help");
    let width = width.map_or(WIDEST, |width| usize::from(width).min(WIDEST));
    let root = tree(width);
    let global = only(root.clone(), true)
        .help_template("{options}")
        .render_help()
        .ansi()
        .to_string()
        .trim_end()
        .to_owned();
    Page { long, width, global }.of(root).try_get_matches_from(args).err()
}

/// Rewrites `help [COMMAND]` and `version`, which other programs have, as `--help` and `--version`.
pub fn as_flags(mut args: Vec<OsString>) -> Vec<OsString> {
    match args.get(1).and_then(|word| word.to_str()) {
        Some("help") => {
            args.remove(1);
            args.push("--help".into());
        }
        Some("version") if args.len() == 2 => args[1] = "--version".into(),
        _ => {}
    }
    args
}

struct Page {
    long: bool,
    width: usize,
    /// The flags that every verb takes.
    global: String,
}

impl Page {
    /// Sets the help of a command and of its subcommands.
    fn of(&self, mut command: Command) -> Command {
        let usage = command.render_usage().ansi().to_string().trim_end().to_owned();
        let command = if path(&command).is_empty() { command } else { only(command, false) };
        let template = self.template(&command, &usage);
        command.help_template(template).mut_subcommands(|sub| self.of(sub))
    }

    fn template(&self, command: &Command, usage: &str) -> String {
        let verb = verb(path(command)).filter(|_| self.long);
        let is_root = path(command).is_empty();
        let more = verb.map_or(&[][..], |verb| verb.more);
        if is_root && !self.long {
            // One screen.
            let end = "See `tokenctl --help` for more, and `tokenctl COMMAND --help` for one command";
            let end = wrapped("", end, self.width);
            return format!("{{about}}\n{usage}\n{}\n{end}", self.listing(command, true));
        }
        let mut parts = vec!["{about}".to_owned()];
        parts.extend(more.iter().map(|more| wrapped("", &format!("{more}."), self.width)));
        parts.push(usage.to_owned());
        if is_root {
            parts.push(self.listing(command, false));
            parts.push(format!("{}{{options}}", heading("Options")));
        } else {
            if command.has_subcommands() || command.get_arguments().any(|arg| !arg.is_hide_set()) {
                parts.push("{all-args}".to_owned());
            }
            parts.push(format!("{}{}", heading("Global options"), self.global));
        }
        parts.extend(verb.map(|verb| self.examples(verb)));
        if is_root {
            parts.push(self.exits());
        }
        parts.join("\n\n")
    }

    /// The verbs by groups. In the short help, some groups are a single line.
    fn listing(&self, root: &Command, short: bool) -> String {
        let (header, literal) = (STYLES.get_header(), STYLES.get_literal());
        let narrow = self.width < NARROW;
        let indent = if narrow { 2 } else { 9 };
        let mut lines = Vec::new();
        for group in &GROUPS {
            let mut first = format!("{header}{}:{header:#}{:2$}", group.name, "", 8 - group.name.len());
            if narrow {
                lines.push(std::mem::take(&mut first).trim_end().to_owned());
            }
            if let Some(about) = group.about.filter(|_| short && !narrow) {
                let names = group.verbs.join(", ");
                lines.push(format!("{first}{literal}{names}{literal:#}  {about}"));
                continue;
            }
            for verb in group.verbs.iter().filter_map(|verb| root.find_subcommand(verb)) {
                let start = if first.is_empty() { " ".repeat(indent) } else { std::mem::take(&mut first) };
                let names: Vec<&str> =
                    std::iter::once(verb.get_name()).chain(verb.get_visible_aliases()).collect();
                let names = format!("{:<13}", names.join(", "));
                let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
                let about = wrapped(&" ".repeat(indent + names.len()), &about, self.width);
                lines.push(format!("{start}{literal}{names}{literal:#}{}", about.trim_start()));
            }
        }
        lines.join("\n")
    }

    fn examples(&self, verb: &Verb) -> String {
        let (dim, literal) = (Style::new().dimmed(), STYLES.get_literal());
        let example = |Example(does, line): &Example| {
            let does = wrapped("  # ", does, self.width);
            // Continued lines are indented further.
            let line = wrapped("  ", line, self.width.saturating_sub(4)).replace('\n', "\n    ");
            format!("{dim}{does}{dim:#}\n{literal}{line}{literal:#}")
        };
        let examples: Vec<String> = verb.examples.iter().map(example).collect();
        format!("{}{}", heading("Examples"), examples.join("\n"))
    }

    fn exits(&self) -> String {
        let exits = EXITS.iter().map(|row| wrapped(&format!("  {:<5}", row.exit), row.meaning, self.width));
        format!("{}{}", heading("Exit codes"), exits.collect::<Vec<_>>().join("\n"))
    }
}

fn heading(text: &str) -> String {
    let header = STYLES.get_header();
    format!("{header}{text}:{header:#}\n")
}

/// Wraps text to `width` columns. The first line begins with `start`, the others are indented by its width.
fn wrapped(start: &str, text: &str, width: usize) -> String {
    let indent = start.chars().count();
    let mut out = start.to_owned();
    let mut column = indent;
    for word in text.split(' ') {
        let len = word.chars().count();
        if column > indent && column + 1 + len > width {
            out.push_str(&format!("\n{:indent$}", ""));
            column = indent;
        } else if column > indent {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += len;
    }
    out
}

//! Prints what clap reports: help and version go to stdout, and usage errors have the form of all other errors.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::help;
use super::report::report;
use crate::app::{Look, style};
use crate::context::Context;
use crate::domain::Invalid;
use crate::domain::code::Code;
use crate::domain::text::{edit_distance, nearest};
use crate::domain::token::Status;
use crate::error::Error;

/// Commands that take access away, which are proposed only with care.
const DESTRUCTIVE: [&str; 2] = ["revoke", "scopes retire"];

/// Flags that people look for in the wrong command: the command, the flag, and a hint.
const ELSEWHERE: [(&str, &str, &str); 4] = [
    ("edit", "--scope", "`tokenctl scopes set NAME SCOPE` changes the scopes of a token"),
    ("edit", "--scopes", "`tokenctl scopes set NAME SCOPE` changes the scopes of a token"),
    ("edit", "-s", "`tokenctl scopes set NAME SCOPE` changes the scopes of a token"),
    ("edit", "--name", "`tokenctl rename NAME NEW` renames a token"),
];

/// Help that was requested and the version go to stdout with exit 0. A usage error, or the help that is shown when the command is
/// missing, goes to stderr with exit 2.
pub fn report_clap(args: Vec<OsString>, err: clap::Error, look: Look, ctx: &mut Context) -> u8 {
    match err.kind() {
        ErrorKind::DisplayHelp => {
            let help = help::requested(args, ctx.terminal.width);
            print(&help.unwrap_or(err), look, ctx)
        }
        ErrorKind::DisplayVersion => print(&err, look, ctx),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if !look.json => {
            let err = help::requested(args, ctx.terminal.width).unwrap_or(err);
            let _ = ctx.stderr.write_all(rendered(&err, look.style.color).as_bytes());
            2
        }
        _ => {
            let Invalid { message, hint } = invalid_of(&err);
            look.talk(ctx).error(Code::Usage, &message, hint.as_deref());
            2
        }
    }
}

fn print(err: &clap::Error, look: Look, ctx: &mut Context) -> u8 {
    let text = rendered(err, style(look.color, ctx.terminal.stdout, ctx).color);
    match ctx.stdout.write_all(text.as_bytes()).and_then(|()| ctx.stdout.flush()) {
        Ok(()) => 0,
        Err(err) => report(&Error::Output(err), look, ctx),
    }
}

fn rendered(err: &clap::Error, color: bool) -> String {
    if color { err.render().ansi().to_string() } else { err.render().to_string() }
}

/// The error and its hint, which proposes a word, or shows how the argument or the command is written.
fn invalid_of(err: &clap::Error) -> Invalid {
    let arg = first(err, ContextKind::InvalidArg);
    let value = first(err, ContextKind::InvalidValue).unwrap_or_default();
    let error = match (err.kind(), arg) {
        (ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand, _) => {
            Invalid::new("no command given")
        }
        (ErrorKind::InvalidSubcommand, _) => no_such_command(err),
        (ErrorKind::UnknownArgument, Some(arg)) => Invalid::new(format!("unexpected argument `{arg}`")),
        (ErrorKind::InvalidValue, Some(arg)) if value.is_empty() => {
            Invalid::new(format!("`{}` needs a value", flag(&arg))).hint(format!("write it as `{arg}`"))
        }
        (ErrorKind::InvalidValue, Some(arg)) => {
            let words = all(err, ContextKind::ValidValue);
            Invalid::no_such(
                &format!("value of `{}`", flag(&arg)),
                &value,
                &words.iter().map(String::as_str).collect::<Vec<_>>(),
            )
        }
        (ErrorKind::ValueValidation, Some(arg)) => refused(err, &arg, &value),
        (ErrorKind::ArgumentConflict, Some(arg)) => {
            let others: Vec<String> = all(err, ContextKind::PriorArg).iter().map(|it| flag(it)).collect();
            let arg = flag(&arg);
            match &others[..] {
                [] => Invalid::new(format!("`{arg}` cannot be used here")),
                [other] if *other == arg => Invalid::new(format!("`{arg}` is given twice")),
                others => Invalid::new(format!("`{arg}` cannot be used with `{}`", others.join("`, `"))),
            }
        }
        (ErrorKind::MissingRequiredArgument, Some(_)) => {
            let missing = all(err, ContextKind::InvalidArg);
            let verb = if missing.len() == 1 { "is" } else { "are" };
            Invalid::new(format!("`{}` {verb} missing", missing.join("` and `")))
        }
        _ => {
            // clap's message ends at the first empty line, and may have several lines before it.
            let text = err.render().to_string();
            let lines = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
            Invalid::new(lines.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").replace('\'', "`"))
        }
    };
    if error.hint.is_some() {
        return error;
    }
    let typed = first(err, ContextKind::InvalidArg).map(|arg| flag(&arg)).unwrap_or_default();
    let hint = known_hint(&command(err).unwrap_or_default(), &typed).or_else(|| {
        let similar = first(err, ContextKind::SuggestedArg)?;
        is_like(&typed, &flag(&similar)).then(|| format!("did you mean `{similar}`?"))
    });
    error.hint(hint.unwrap_or_else(|| how_it_is_used(err)))
}

/// The hint for a flag that people expect in this command and that is written in another way.
fn known_hint(path: &str, typed: &str) -> Option<String> {
    let known = ELSEWHERE.iter().find(|(verb, arg, _)| *verb == path && *arg == typed);
    let status = Status::ALL.iter().map(|status| status.word()).find(|word| typed == format!("--{word}"));
    match (known, status) {
        (Some((.., hint)), _) => Some((*hint).to_owned()),
        (None, Some(word)) if path == "list" => Some(format!("did you mean `--status {word}`?")),
        _ => None,
    }
}

/// Whether the typed flag is a part of this one, or differs from it in only a few characters.
fn is_like(typed: &str, similar: &str) -> bool {
    let bare = typed.trim_start_matches('-');
    !bare.is_empty() && similar.contains(bare) || edit_distance(typed, similar) <= (bare.len() / 4).max(1)
}

/// A value that was refused. The domain types have their own messages; clap itself refuses only values that must be
/// whole numbers. If the argument is a flag, the message names it.
fn refused(err: &clap::Error, arg: &str, value: &str) -> Invalid {
    let source = std::error::Error::source(err);
    let ours = source.and_then(|source| source.downcast_ref::<Invalid>()).cloned();
    let mut invalid =
        ours.unwrap_or_else(|| Invalid::new(format!("`{}` is not a whole number", value.escape_debug())));
    if arg.starts_with('-') {
        invalid.message = format!("`{}`: {}", flag(arg), invalid.message);
    }
    invalid.hint.get_or_insert_with(|| format!("write it as `{arg}`"));
    invalid
}

/// The error for an unknown command. It has a proposal if the word looks mistyped or is used by another program.
fn no_such_command(err: &clap::Error) -> Invalid {
    let typed = first(err, ContextKind::InvalidSubcommand).unwrap_or_default();
    let parent = command(err).map(|path| format!("{path} ")).unwrap_or_default();
    let siblings = help::VERBS.iter().filter_map(|verb| Some((verb, verb.path.strip_prefix(&*parent)?)));
    let siblings = siblings.filter(|(_, name)| !name.is_empty() && !name.contains(' '));
    let words = siblings
        .flat_map(|(verb, name)| verb.also.iter().copied().chain([name]).map(move |word| (word, verb)));
    let words: BTreeMap<&str, _> = words.collect();
    // These commands are proposed only for one of their names, with at most one wrong character. Otherwise
    // `export` in the wrong place would propose `revoke`, because `expire` is another name for it.
    let is_offered = |(word, verb): &(&&str, &&help::Verb)| {
        !DESTRUCTIVE.contains(&verb.path) || edit_distance(word, &typed.to_lowercase()) <= 1
    };
    let offered = words.iter().filter(is_offered).map(|(word, _)| *word);
    let meant = nearest(&typed, offered).and_then(|word| words.get(word));
    let error = Invalid::new(format!("no such command `{parent}{typed}`"));
    match meant {
        Some(verb) => error.hint(format!("did you mean `tokenctl {}`?", verb.path)),
        None => error,
    }
}

fn how_it_is_used(err: &clap::Error) -> String {
    let path = command(err).unwrap_or_default();
    let usage = help::usage(&path).unwrap_or_else(|| "tokenctl".to_owned());
    format!("the usage is `{usage}`; see `{} --help`", format!("tokenctl {path}").trim_end())
}

/// The command that clap was reading, without `tokenctl`.
fn command(err: &clap::Error) -> Option<String> {
    let ContextValue::StyledStr(usage) = err.get(ContextKind::Usage)? else { return None };
    let usage = usage.to_string();
    let words = usage.split_whitespace().skip(2).take_while(|word| !word.starts_with(['[', '<', '-']));
    Some(words.collect::<Vec<_>>().join(" ")).filter(|path| !path.is_empty())
}

fn first(err: &clap::Error, kind: ContextKind) -> Option<String> {
    all(err, kind).into_iter().next()
}

fn all(err: &clap::Error, kind: ContextKind) -> Vec<String> {
    match err.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

/// Returns only the flag, `--ttl` for `--ttl <DURATION>`.
fn flag(arg: &str) -> String {
    arg.split(' ').next().unwrap_or_default().to_owned()
}

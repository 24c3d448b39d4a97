//! The candidates for a shell. clap's engine finds the argument that is being typed; its values come from the
//! store.
//!
//! Errors are not reported while somebody types: unavailable candidates are left out, and the exit code is 0.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;

use clap::builder::ValueHint;
use clap::{Arg, Command, ValueEnum};
use clap_complete::engine::{self, ArgValueCompleter, CompletionCandidate};

use super::Shell;
use super::source::Source;
use crate::cli::report::exposes_secret;
use crate::cli::{VERBS, parse};
use crate::cmd::args::takes::Takes;
use crate::context::Context;
use crate::store::MOST;

/// The variable that names the shell.
const VARIABLE: &str = "TOKENCTL_COMPLETE";

/// The shell, if the arguments are a request for candidates: `tokenctl -- tokenctl WORD…`.
///
/// The variable and `--` together are not enough: if the variable were left in the environment of a service,
/// `tokenctl -- verify` would exit with 0. So the scripts pass the word `tokenctl` first, which is not a
/// command.
pub fn asking_shell(args: &[OsString], ctx: &Context) -> Option<OsString> {
    let [_, dashes, program, ..] = args else { return None };
    if *dashes != *"--" || program.as_encoded_bytes().starts_with(b"-") {
        return None;
    }
    let is_command = VERBS.iter().any(|verb| *program == *verb.path) || *program == *"ls";
    if is_command { None } else { ctx.machine.env(VARIABLE) }
}

/// Prints the candidates for the last of the words. Returns the exit code.
pub fn complete(shell: &OsStr, words: &[OsString], ctx: &mut Context) -> u8 {
    let shell = shell.to_str().and_then(|shell| Shell::from_str(shell, false).ok());
    let answer = shell.and_then(|shell| offers(shell, words, ctx)).unwrap_or_default();
    let _ = ctx.stdout.write_all(answer.as_bytes()).and_then(|()| ctx.stdout.flush());
    0
}

fn offers(shell: Shell, words: &[OsString], ctx: &mut Context) -> Option<String> {
    if exposes_secret(words) {
        return None;
    }
    let (_, before) = words.split_last()?;
    let source = Arc::new(Source::new(before, ctx));
    let mut command = parse::command();
    command.build();
    let mut command = bind(command, shell, &source);
    let here = Some(Path::new("."));
    let mut found = engine::complete(&mut command, words.to_vec(), before.len(), here).ok()?;
    // Flags are offered after a dash, or if nothing else is possible.
    let is_flag = |it: &CompletionCandidate| it.get_value().as_encoded_bytes().starts_with(b"-");
    if !found.iter().all(is_flag) {
        found.retain(|it| !is_flag(it));
    }
    let fits = |it: &&CompletionCandidate| {
        it.get_value().to_str().is_some_and(|value| shell.takes_literally(value) && !repeats(value))
    };
    Some(found.iter().filter(fits).take(MOST.into()).map(|it| shell.line(it)).collect())
}

/// Whether the last item of a comma-separated list is a repetition.
fn repeats(value: &str) -> bool {
    value.rsplit_once(',').is_some_and(|(list, last)| list.split([',', '=']).any(|item| item == last))
}

/// Adds a completer to each argument that declares the kind of its values.
fn bind(command: Command, shell: Shell, source: &Arc<Source>) -> Command {
    let verb: Arc<str> = command.get_name().into();
    command
        .mut_args(|arg| {
            // The engine panics on an argument that allows a dash, if an option without its value precedes it.
            let arg = arg.allow_hyphen_values(false);
            match (arg.get::<Takes>().copied(), arg.get_value_hint()) {
                (Some(takes), _) => from_source(arg, takes, &verb, source),
                (None, ValueHint::AnyPath) if shell.completes_paths() => instruction(arg, ":files"),
                (None, ValueHint::AnyPath) => arg.value_hint(ValueHint::FilePath),
                (None, ValueHint::DirPath) if shell.completes_paths() => instruction(arg, ":dirs"),
                (None, _) => arg,
            }
        })
        .mut_subcommands(|sub| bind(sub, shell, source))
}

fn from_source(arg: Arg, takes: Takes, verb: &Arc<str>, source: &Arc<Source>) -> Arg {
    // One of these lists is split by its type, so the engine does not see the commas.
    let arg = if takes == Takes::OpenScope { arg.value_delimiter(',') } else { arg };
    let (source, verb) = (Arc::clone(source), Arc::clone(verb));
    arg.add(ArgValueCompleter::new(move |start: &OsStr| source.candidates(takes, &verb, start)))
}

/// A word that tells the shell script to complete paths or users itself.
fn instruction(arg: Arg, word: &'static str) -> Arg {
    arg.add(ArgValueCompleter::new(move |_: &OsStr| vec![CompletionCandidate::new(word)]))
}

//! Parsing. Clap copies the global flags into every verb before it reads the line, and that costs more than
//! parsing. So at first only the verb that the line names is built, without its rare flags. A line with an error is parsed
//! again with everything, so that the message does not depend on this.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::{STYLES, Verb, help_flag};
use crate::app::Global;
use crate::cmd::args::rare::without_rare;
use crate::context::Machine;

/// The parsed command line.
pub struct Cli {
    pub global: Global,
    pub verb: Verb,
}

/// htpasswd for API tokens: create, deliver once, verify, rotate, revoke
#[derive(Parser)]
#[command(name = "tokenctl", version, styles = STYLES)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(disable_help_flag = true, arg = help_flag())]
struct Root {
    #[command(flatten)]
    _global: Global,
}

/// The whole command line.
pub fn command() -> Command {
    Verb::augment_subcommands(Root::command())
}

pub fn parse(args: &[OsString], machine: &dyn Machine) -> Result<Cli, clap::Error> {
    // Each verb is a name and a line of help here; its flags are built when it is chosen.
    let verbs = Verb::augment_subcommands(Command::new("verbs"));
    let narrow = narrow(&verbs, args);
    machine.leave_to_exit(Box::new(verbs));
    match parse_with(narrow, args, machine) {
        Err(err) if err.kind() != ErrorKind::DisplayVersion => parse_with(command(), args, machine),
        parsed => parsed,
    }
}

/// The command line with only the verb that these arguments name, if they name one.
fn narrow(verbs: &Command, args: &[OsString]) -> Command {
    let is_named = |verb: &&Command, arg: &OsString| {
        arg == verb.get_name() || verb.get_all_aliases().any(|alias| arg == alias)
    };
    let named = args.iter().skip(1).find_map(|arg| verbs.get_subcommands().find(|verb| is_named(verb, arg)));
    named.into_iter().fold(Root::command(), |root, verb| root.subcommand(without_rare(verb.clone())))
}

fn parse_with(mut command: Command, args: &[OsString], machine: &dyn Machine) -> Result<Cli, clap::Error> {
    let mut matches = command.try_get_matches_from_mut(args)?;
    let mut read = || {
        let global = Global::from_arg_matches_mut(&mut matches)?;
        Ok(Cli { global, verb: Verb::from_arg_matches_mut(&mut matches)? })
    };
    let cli = read().map_err(|err: clap::Error| err.format(&mut command));
    machine.leave_to_exit(Box::new((command, matches)));
    cli
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The results of clap for a line with only the verb that it names, and with all verbs.
    fn both(line: &str) -> (Option<String>, Option<String>) {
        let args: Vec<OsString> =
            ["tokenctl"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect();
        let read = |command: Command| {
            let matches = format!("{:?}", command.try_get_matches_from(&args).ok()?);
            // In a debug build, the matches also list the names of all verbs and flags that are known.
            let (_, read) = matches.split_once(", args: ")?;
            let without_names =
                |part: &str| part.split_once(']').map_or_else(String::new, |(_, rest)| rest.to_owned());
            let mut parts = read.split("valid_args: [");
            Some(parts.next()?.to_owned() + &parts.map(without_names).collect::<String>())
        };
        let verbs = Verb::augment_subcommands(Command::new("verbs"));
        (read(narrow(&verbs, &args)), read(command()))
    }

    #[test]
    fn a_line_is_read_the_same_with_one_verb_as_with_all() {
        for line in [
            "verify",
            "ls --json -q",
            "--color never list",
            "--store verify ls",
            "create list --label a=b --ttl 3d --yes",
            "scopes list",
            "audit verify",
            "verify --scope a,b --store list --secret-file s",
            "revoke -y -- verify",
            "settings",
        ] {
            let (one, all) = both(line);
            assert!(all.is_some(), "{line}");
            // The value of `--store` can be the name of a verb.
            assert!(one == all || one.is_none() && line.starts_with("--store"), "{line}: {one:?}");
        }
    }

    #[test]
    fn a_rare_flag_is_read_with_all_verbs() {
        for (line, flag) in [("verify --max-lag 2s", "max_lag"), ("verify -s a --at 2030-01-01", "at")] {
            let (one, all) = both(line);
            assert_eq!(one, None, "{line}");
            assert!(all.is_some_and(|read| read.contains(flag)), "{line}");
        }
    }

    #[test]
    fn a_line_that_does_not_fit_is_read_by_neither() {
        for line in
            ["", "lst", "verify list", "--store", "--json", "list --version", "--store verify", "-- verify x"]
        {
            assert_eq!(both(line), (None, None), "{line}");
        }
    }
}

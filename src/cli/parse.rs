//! Parsing. Clap builds every verb and copies the global flags into it before it reads the line, and that costs more than
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
    match parse_with(narrow(args), args, machine) {
        Err(err) if err.kind() != ErrorKind::DisplayVersion => parse_with(command(), args, machine),
        parsed => parsed,
    }
}

/// The command line with only the verb that these arguments name, if they name one.
fn narrow(args: &[OsString]) -> Command {
    let named = args.iter().skip(1).find_map(|arg| Verb::flags(arg.to_str()?));
    named.into_iter().fold(Root::command(), |root, (name, augment)| {
        root.subcommand(augment(without_rare(Command::new(name))))
    })
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
    use std::ffi::OsStr;

    use clap::parser::ValueSource;
    use clap::{ArgMatches, Id};

    use super::*;

    /// What a line sets: its verb, and each flag with its values. Defaults are not included, because a flag that is left out
    /// has none.
    type Set = Vec<(String, Vec<OsString>)>;

    fn set(matches: &ArgMatches) -> Set {
        let is_typed = |id: &&Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
        let values =
            |id: &Id| matches.get_raw(id.as_str()).into_iter().flatten().map(OsStr::to_owned).collect();
        let mut all: Set = matches.ids().filter(is_typed).map(|id| (id.to_string(), values(id))).collect();
        if let Some((verb, of_verb)) = matches.subcommand() {
            all.push((verb.to_owned(), Vec::new()));
            all.extend(set(of_verb));
        }
        all
    }

    /// What clap reads with only the verb that a line names, and with all verbs.
    fn both(line: &str) -> (Option<Set>, Option<Set>) {
        let args: Vec<OsString> =
            ["tokenctl"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect();
        let read = |command: Command| command.try_get_matches_from(&args).ok().map(|matches| set(&matches));
        (read(narrow(&args)), read(command()))
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
            "verify --scope a,b --store list",
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
    fn each_verb_has_the_same_flags_alone_as_among_all() {
        let mut root = command();
        root.build();
        let flags = |verb: &Command| -> Vec<Id> {
            verb.get_arguments().filter(|arg| !arg.is_global_set()).map(|arg| arg.get_id().clone()).collect()
        };
        for verb in root.get_subcommands() {
            for name in verb.get_all_aliases().chain([verb.get_name()]) {
                let (own, augment) = Verb::flags(name).expect(name);
                assert_eq!((own, flags(&augment(Command::new(own)))), (verb.get_name(), flags(verb)));
            }
        }
    }

    #[test]
    fn a_rare_flag_is_read_with_all_verbs() {
        for (line, flag, value) in
            [("verify --max-lag 2s", "max_lag", "2s"), ("verify -s a --at 2030-01-01", "at", "2030-01-01")]
        {
            let (one, all) = both(line);
            assert_eq!(one, None, "{line}");
            assert!(all.is_some_and(|set| set.contains(&(flag.to_owned(), vec![value.into()]))), "{line}");
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

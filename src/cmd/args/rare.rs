//! Flags that few lines name. Clap builds each flag before it reads the line, at about 1,900 instructions, so they are left
//! out at first. A line that names one does not fit, and is parsed again with all flags.

use std::ops::Deref;

use clap::{ArgMatches, Args, Command, Error, FromArgMatches, Id};

pub struct Rare<T>(T);

impl<T> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Marks a verb whose rare flags are left out. It is never shown.
pub fn without_rare(verb: Command) -> Command {
    verb.hide(true)
}

impl<T: Args + Default> Args for Rare<T> {
    fn group_id() -> Option<Id> {
        T::group_id()
    }

    fn augment_args(verb: Command) -> Command {
        if verb.is_hide_set() { verb } else { T::augment_args(verb) }
    }

    fn augment_args_for_update(verb: Command) -> Command {
        T::augment_args_for_update(verb)
    }
}

impl<T: Args + Default> FromArgMatches for Rare<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        // It is an error to ask for flags that were left out.
        let is_named = T::group_id().and_then(|group| matches.try_contains_id(group.as_str()).ok());
        if is_named == Some(true) { T::from_arg_matches(matches).map(Self) } else { Ok(Self(T::default())) }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}

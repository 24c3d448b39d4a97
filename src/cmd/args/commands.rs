//! Commands that a file brings along: rotations would run them, so somebody must have read them.

use clap::Args;

use crate::app::App;
use crate::error::Error;
use crate::store::Brought;

#[derive(Args, Clone)]
pub struct CommandsArgs {
    /// Let rotations run the commands that the file brings along
    #[arg(long)]
    accept_commands: bool,
}

impl CommandsArgs {
    /// Lists the commands, with the names of their tokens, and fails unless somebody accepts them.
    pub fn admit(&self, app: &mut App<'_>, source: &str, commands: &[Brought]) -> Result<(), Error> {
        if commands.is_empty() || self.accept_commands {
            return Ok(());
        }
        for Brought { name, command, .. } in commands {
            app.talk().warn(&format!("{source} brings a command of `{name}`: {command}"));
        }
        let question = format!("let rotations run {} commands that {source} brings along?", commands.len());
        app.ask(&question, "`--accept-commands` accepts them, once you have read them")
    }
}

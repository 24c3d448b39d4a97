//! Commands that come with a backup or an import. Rotations would run them, so a person must read them first.

use clap::Args;

use crate::app::App;
use crate::error::Error;
use crate::store::TokenCommand;

#[derive(Args, Clone)]
pub struct CommandsArgs {
    /// Accept the commands in the file, which rotations will run
    #[arg(long)]
    accept_commands: bool,
}

impl CommandsArgs {
    /// Lists the commands with the names of their tokens, and fails unless they are accepted.
    pub fn confirm(&self, app: &mut App<'_>, source: &str, commands: &[TokenCommand]) -> Result<(), Error> {
        if commands.is_empty() || self.accept_commands {
            return Ok(());
        }
        for TokenCommand { name, command, .. } in commands {
            app.talk().warn(&format!("{source} has a command of `{name}`: {command}"));
        }
        let question = format!("let rotations run {} commands that are in {source}?", commands.len());
        app.ask(&question, "read them, then pass `--accept-commands` to accept them")
    }
}

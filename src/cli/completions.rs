//! `completions`: the script by which a shell asks tokenctl for candidates when TAB is pressed.

mod offer;
mod source;

use clap::{Args, ValueEnum};
use clap_complete::CompletionCandidate;

use crate::app::{App, Outcome};
use crate::domain::text::hidden_in;
use crate::error::Error;
pub use offer::{asking_shell, complete};

#[derive(Args)]
pub struct Completions {
    /// The shell to print the script for
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

impl Completions {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        app.print(self.shell.script())?;
        Ok(Outcome::Done)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

impl Shell {
    /// The scripts for bash and zsh are not clap's, which would split words at a colon in bash and ignore the first
    /// TAB in zsh.
    fn script(self) -> &'static str {
        match self {
            Self::Bash => include_str!("../../completions/tokenctl.bash"),
            Self::Zsh => include_str!("../../completions/_tokenctl"),
            Self::Fish => include_str!("../../completions/tokenctl.fish"),
            Self::Elvish => include_str!("../../completions/tokenctl.elv"),
            Self::Powershell => include_str!("../../completions/_tokenctl.ps1"),
        }
    }

    /// Whether the shell completes paths itself, with its own quoting.
    fn completes_paths(self) -> bool {
        matches!(self, Self::Bash | Self::Zsh)
    }

    /// Whether the shell inserts the candidate without interpreting it.
    fn takes_literally(self, candidate: &str) -> bool {
        match self {
            Self::Zsh | Self::Fish | Self::Elvish => hidden_in(candidate).is_none(),
            // These shells insert a candidate without quoting it.
            Self::Bash | Self::Powershell => {
                candidate.chars().all(|c| c.is_alphanumeric() || "-_.,:/@=+%".contains(c))
            }
        }
    }

    /// A candidate as a line of the answer.
    fn line(self, candidate: &CompletionCandidate) -> String {
        let value = candidate.get_value().to_string_lossy();
        let help = candidate.get_help().map(|help| help.to_string()).unwrap_or_default();
        let help = help.lines().next().unwrap_or_default();
        match self {
            Self::Zsh => {
                let escaped = |text: &str| text.replace('\\', "\\\\");
                let value = escaped(&value).replace(':', "\\:");
                if help.is_empty() { format!("{value}\n") } else { format!("{value}:{}\n", escaped(help)) }
            }
            Self::Fish | Self::Powershell if !help.is_empty() => format!("{value}\t{help}\n"),
            _ => format!("{value}\n"),
        }
    }
}

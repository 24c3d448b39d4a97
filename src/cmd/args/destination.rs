//! The flags for the destination of a new secret, and the destination that they name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::app::App;
use crate::context::{CopyMethod, Machine, Output};
use crate::deliver::{
    Clipboard, Command, DeliverError, EnvFile, Form, OpenDestination, OutFile, Refusal, Stdout, Target,
};
use crate::domain::Invalid;
use crate::domain::destination::Destination;
use crate::domain::secret::SecretHash;
use crate::domain::when::Span;
use crate::error::Error;

/// The longest time that a command may take, well before the deadline of its delivery.
const LONGEST_EXEC: Span = Span::minutes(8);
/// How long it may take by default.
const USUAL_EXEC: Span = Span::minutes(1);
/// The longest time that a secret may stay in a clipboard.
const LONGEST_COPY: Span = Span::minutes(10);

/// The heading of the flags that name a destination.
pub const HEADING: &str = "Where the secret goes";

// The destinations that a token can remember. A doc comment would become the help of the verb.
#[derive(Args, Clone, Default)]
pub struct FileOrCommandArgs {
    /// Write the secret to this file
    #[arg(long, value_name = "FILE", help_heading = HEADING, group = "destination")]
    pub out: Option<PathBuf>,
    /// Write the secret to a variable in this env file
    #[arg(
        long,
        value_name = "FILE",
        help_heading = HEADING,
        group = "destination",
        requires = "env_name"
    )]
    env_file: Option<PathBuf>,
    /// The variable to set in the file of `--env-file`
    #[arg(long, value_name = "NAME", help_heading = HEADING, requires = "env_file")]
    env_name: Option<crate::deliver::Variable>,
    /// Run this command with `sh -c`, and pass it the secret on stdin
    #[arg(long, value_name = "COMMAND", help_heading = HEADING, group = "destination")]
    pub exec: Option<String>,
}

#[derive(Args, Clone)]
pub struct DestinationArgs {
    #[command(flatten)]
    pub to: FileOrCommandArgs,
    /// Kill the command after this long
    #[arg(
        long,
        value_name = "DURATION",
        help_heading = HEADING,
        default_value = "60s",
        requires = "exec"
    )]
    exec_timeout: Span,
    /// Copy the secret to the clipboard with this method, or the first one that works
    #[arg(
        long,
        value_name = "METHOD",
        help_heading = HEADING,
        group = "destination",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "auto"
    )]
    copy: Option<CopyChoice>,
    /// Clear the clipboard after this long, at most 10m
    #[arg(
        long,
        value_name = "DURATION",
        help_heading = HEADING,
        default_value = "45s",
        requires = "copy"
    )]
    copy_timeout: Span,
    /// Replace the file or variable even if it contains something else
    #[arg(long, help_heading = HEADING)]
    pub force: bool,
}

/// A method to reach the clipboard, or the first one that works.
#[derive(Clone, Copy, ValueEnum)]
pub enum CopyChoice {
    Auto,
    Display,
    Tmux,
    Osc52,
}

impl CopyChoice {
    /// The methods to try, in this order.
    fn methods(self) -> &'static [CopyMethod] {
        match self {
            Self::Auto => &CopyMethod::ALL,
            Self::Display => &[CopyMethod::Display],
            Self::Tmux => &[CopyMethod::Tmux],
            Self::Osc52 => &[CopyMethod::Osc52],
        }
    }
}

impl FileOrCommandArgs {
    /// The flags that would name this destination.
    pub fn of(destination: &Destination) -> Self {
        let path = destination.path().map(PathBuf::from);
        match destination {
            Destination::File { .. } => Self { out: path, ..Self::default() },
            Destination::EnvFile { variable, .. } => {
                Self { env_file: path, env_name: variable.parse().ok(), ..Self::default() }
            }
            Destination::Command { command } => Self { exec: Some(command.clone()), ..Self::default() },
        }
    }

    /// The file that they name.
    pub fn path(&self) -> Option<&Path> {
        self.out.as_deref().or(self.env_file.as_deref())
    }

    /// Whether they name this destination.
    pub fn name(&self, destination: &Destination) -> bool {
        let there = |path: &Path| {
            let path = std::path::absolute(path).ok()?;
            Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?))
        };
        let same_path = self.path().and_then(there) == destination.path().map(PathBuf::from);
        let variable = self.env_name.as_ref().map(crate::deliver::Variable::as_str);
        same_path && variable == destination.variable() && self.exec.as_deref() == destination.command()
    }

    pub fn is_given(&self) -> bool {
        self.out.is_some() || self.env_file.is_some() || self.exec.is_some()
    }

    /// The destination of these flags, and why it could not take a secret of a token that has these secrets.
    pub fn look(
        &self,
        app: &mut App<'_>,
        store: &Path,
        ours: &[SecretHash],
    ) -> Result<(Destination, Option<String>), Error> {
        let args = DestinationArgs::to(self.clone());
        let site = Site { machine: &*app.ctx.machine, form: Form::Plain, store, mute: false };
        let mut destination = args.open(&mut *app.ctx.stdout, site)?;
        let problem = match destination.check(ours) {
            Err(Refusal::NotReplaced(why)) => Some(why),
            checked => checked.map(|()| None).map_err(DeliverError::from)?,
        };
        let rememberable = destination.rememberable();
        let nowhere = || Invalid::new("the flags name no destination").into();
        rememberable.map(|destination| (destination, problem)).ok_or_else(nowhere)
    }

    /// Where the secret will go, in words.
    fn where_to(&self) -> Option<String> {
        let path = self.path().map(|path| format!("into {}", path.display()));
        path.or_else(|| self.exec.as_ref().map(|command| format!("to the command {command}")))
    }

    /// Where the secret went, in words.
    pub fn where_it_went(&self) -> Option<String> {
        let path = self.path().map(|path| format!("the secret is in {}", path.display()));
        path.or_else(|| self.exec.as_ref().map(|_| "the command has the secret".to_owned()))
    }
}

/// The surroundings that a destination needs.
pub struct Site<'a> {
    pub machine: &'a dyn Machine,
    pub form: Form<'a>,
    /// The directory of the store.
    pub store: &'a Path,
    /// Whether the output of a command is discarded.
    pub mute: bool,
}

impl DestinationArgs {
    /// Whether no other destination than standard output is named.
    pub fn is_stdout(&self) -> bool {
        !self.to.is_given() && self.copy.is_none()
    }

    /// The arguments if only these flags had been given.
    fn to(to: FileOrCommandArgs) -> Self {
        Self { to, exec_timeout: LONGEST_EXEC, copy: None, copy_timeout: LONGEST_COPY, force: false }
    }

    /// The arguments if only the flags of this destination had been given.
    pub fn of(destination: &Destination) -> Self {
        Self { exec_timeout: USUAL_EXEC, ..Self::to(FileOrCommandArgs::of(destination)) }
    }

    /// The arguments if `--copy` had been given.
    pub fn copy(&mut self, choice: CopyChoice) {
        self.copy = Some(choice);
    }

    /// The same flags with another destination; `--force` is kept if that is a file.
    #[must_use]
    pub fn with(&self, destination: &Destination) -> Self {
        let force = self.force && destination.path().is_some();
        Self { to: FileOrCommandArgs::of(destination), copy: None, force, ..self.clone() }
    }

    /// The destination of these flags.
    pub fn open<'a>(
        &'a self,
        out: &'a mut dyn Output,
        site: Site<'a>,
    ) -> Result<Box<dyn OpenDestination + 'a>, Error> {
        let FileOrCommandArgs { out: file, env_file, env_name, exec } = &self.to;
        if self.force && file.is_none() && env_file.is_none() {
            return Err(Invalid::new("`--force` without a file to replace")
                .hint("pass `--out FILE` or `--env-file FILE`")
                .into());
        }
        let timeout = within("--exec-timeout", self.exec_timeout, LONGEST_EXEC)?;
        let copy_timeout = within("--copy-timeout", self.copy_timeout, LONGEST_COPY)?;
        for (flag, path) in [("--out", file), ("--env-file", env_file)] {
            if path.as_ref().is_some_and(|path| path.as_os_str() == "-") {
                let bad = Invalid::new(format!("`{flag} -` does not name a file"));
                return Err(bad.hint("without a destination the secret goes to standard output").into());
            }
        }
        let Site { machine, form, store, mute } = site;
        let target = |path: &Path| Target::new(path, store).map_err(DeliverError::from);
        Ok(match (file, env_file, env_name, exec) {
            (Some(path), ..) => Box::new(OutFile::new(target(path)?, self.force)),
            (_, Some(path), Some(name), _) => Box::new(EnvFile::new(target(path)?, name.clone(), self.force)),
            (.., Some(text)) => Box::new(Command { machine, text, timeout, mute }),
            _ => match self.copy {
                Some(choice) => Box::new(Clipboard::new(machine, choice.methods(), copy_timeout)),
                None => Box::new(Stdout { store, out, form }),
            },
        })
    }

    /// The same flags for one of several tokens, with a file that is named after the token.
    pub fn within(&self, dir: Option<&Path>, name: &str) -> Self {
        let out = dir.map(|dir| dir.join(name)).or_else(|| self.to.out.clone());
        Self { to: FileOrCommandArgs { out, ..self.to.clone() }, ..self.clone() }
    }

    /// Whether the destination could take a secret of a token that has these secrets.
    pub fn check(&self, app: &mut App<'_>, ours: &[SecretHash]) -> Result<(), Error> {
        let store = app.location()?.shown();
        let site = Site { machine: &*app.ctx.machine, form: Form::Plain, store: &store, mute: false };
        let mut destination = self.open(&mut *app.ctx.stdout, site)?;
        destination.check(ours).map_err(|refusal| DeliverError::from(refusal).into())
    }

    /// Where the secret will go, in words, if a flag says so.
    pub fn where_to(&self) -> Option<String> {
        self.to.where_to().or_else(|| self.copy.map(|_| "to the clipboard".to_owned()))
    }
}

/// A time between 1 second and the longest that is allowed.
fn within(flag: &str, time: Span, longest: Span) -> Result<Duration, Error> {
    if time.is_zero() || time > longest {
        return Err(Invalid::new(format!("`{flag} {time}` is not between 1s and {longest}")).into());
    }
    Ok(Duration::from_secs(time.secs().unsigned_abs()))
}

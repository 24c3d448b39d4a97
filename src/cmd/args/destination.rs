//! Where a new secret goes: the flags, and the delivery that `create` and `rotate` share.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::describe::Halt;
use crate::app::App;
use crate::context::{CopyWay, Machine, Output, OutputFile};
use crate::deliver::{
    Begun, Clipboard, Command, DeliverError, Destination, EnvFile, Form, OutFile, Protocol, Stdout, Target,
};
use crate::domain::Invalid;
use crate::domain::event::{Action, Author};
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::settings::Settings;
use crate::domain::token::Token;
use crate::domain::when::{Span, Timestamp};
use crate::error::Error;
use crate::store::{Store, Write};
use crate::ui::json::{self, ChangedDoc, NoSecretDoc, TokenDoc};

/// The longest that a command may take, well before the deadline of its delivery.
const LONGEST_EXEC: Span = Span::minutes(8);
/// The longest that a secret may lie in a clipboard.
const LONGEST_COPY: Span = Span::minutes(10);

/// The heading of the flags that name a receiver.
pub const HEADING: &str = "Where the secret goes";

#[derive(Args, Clone)]
pub struct DestinationArgs {
    /// Put the secret into this file
    #[arg(long, value_name = "FILE", help_heading = HEADING, group = "destination")]
    pub out: Option<PathBuf>,
    /// Put the secret into a line of this environment file
    #[arg(
        long,
        value_name = "FILE",
        help_heading = HEADING,
        group = "destination",
        requires = "env_name"
    )]
    env_file: Option<PathBuf>,
    /// Set this variable in the environment file
    #[arg(long, value_name = "NAME", help_heading = HEADING, requires = "env_file")]
    env_name: Option<crate::deliver::Variable>,
    /// Give the secret to this command on stdin, run by `sh -c`
    #[arg(long, value_name = "COMMAND", help_heading = HEADING, group = "destination")]
    pub exec: Option<String>,
    /// Kill the command after this long
    #[arg(
        long,
        value_name = "DURATION",
        help_heading = HEADING,
        default_value = "60s",
        requires = "exec"
    )]
    exec_timeout: Span,
    /// Copy the secret to the clipboard, by the first way that works or by this one
    #[arg(
        long,
        value_name = "WAY",
        help_heading = HEADING,
        group = "destination",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "auto"
    )]
    copy: Option<Way>,
    /// Clear the clipboard after this long, at most 10m
    #[arg(
        long,
        value_name = "DURATION",
        help_heading = HEADING,
        default_value = "45s",
        requires = "copy"
    )]
    copy_timeout: Span,
    /// Replace what the file or line holds, whatever it is
    #[arg(long, help_heading = HEADING)]
    pub force: bool,
}

/// A way to the clipboard, or the first that works.
#[derive(Clone, Copy, ValueEnum)]
pub enum Way {
    Auto,
    Display,
    Tmux,
    Osc52,
}

impl Way {
    /// The ways to be tried, in this order.
    fn ways(self) -> &'static [CopyWay] {
        match self {
            Self::Auto => &CopyWay::ALL,
            Self::Display => &[CopyWay::Display],
            Self::Tmux => &[CopyWay::Tmux],
            Self::Osc52 => &[CopyWay::Osc52],
        }
    }
}

/// A token whose secret was delivered.
pub struct Delivered {
    pub token: Token,
    /// Where the secret is, as only its destination could tell.
    place: Option<String>,
}

impl DestinationArgs {
    /// Nowhere else is named: standard output.
    pub fn is_stdout(&self) -> bool {
        self.out.is_none() && self.env_file.is_none() && self.exec.is_none() && self.copy.is_none()
    }

    /// As if `--copy` had been given.
    pub fn copy(&mut self, way: Way) {
        self.copy = Some(way);
    }

    /// The destination of these flags.
    fn open<'a>(
        &'a self,
        out: &'a mut dyn Output,
        machine: &'a dyn Machine,
        form: Form<'a>,
        store: &'a Path,
    ) -> Result<Box<dyn Destination + 'a>, Error> {
        if self.force && self.out.is_none() && self.env_file.is_none() {
            return Err(Invalid::new("`--force` without a file to replace")
                .hint("`--out FILE` or `--env-file FILE`")
                .into());
        }
        let exec_timeout = within("--exec-timeout", self.exec_timeout, LONGEST_EXEC)?;
        let copy_timeout = within("--copy-timeout", self.copy_timeout, LONGEST_COPY)?;
        for (flag, path) in [("--out", &self.out), ("--env-file", &self.env_file)] {
            if path.as_ref().is_some_and(|path| path.as_os_str() == "-") {
                let bad = Invalid::new(format!("`{flag} -` does not name a file"));
                return Err(bad.hint("without a destination the secret goes to standard output").into());
            }
        }
        let target = |path: &Path| Target::new(path, store).map_err(DeliverError::from);
        Ok(match (&self.out, &self.env_file, &self.env_name, &self.exec) {
            (Some(path), ..) => Box::new(OutFile::new(target(path)?, self.force)),
            (_, Some(path), Some(name), _) => Box::new(EnvFile::new(target(path)?, name.clone(), self.force)),
            (.., Some(text)) => Box::new(Command { machine, text, timeout: exec_timeout }),
            _ => match self.copy {
                Some(way) => Box::new(Clipboard::new(machine, way.ways(), copy_timeout)),
                None => Box::new(Stdout { store, out, form }),
            },
        })
    }

    /// The same flags for one of several tokens: a file of its name.
    pub fn within(&self, dir: Option<&Path>, name: &str) -> Self {
        Self { out: dir.map(|dir| dir.join(name)).or_else(|| self.out.clone()), ..self.clone() }
    }

    /// Whether the destination could take a secret of a token that has these.
    pub fn check(&self, app: &mut App<'_>, ours: &[SecretHash]) -> Result<(), Error> {
        let store = app.location()?.dir;
        let mut destination = self.open(&mut *app.ctx.stdout, &*app.ctx.machine, Form::Plain, &store)?;
        destination.check(ours).map_err(|refusal| DeliverError::from(refusal).into())
    }

    /// Where the secret will go, in words, where a flag says so.
    pub fn where_to(&self) -> Option<String> {
        let path =
            self.out.as_ref().or(self.env_file.as_ref()).map(|path| format!("into {}", path.display()));
        path.or_else(|| self.exec.as_ref().map(|command| format!("to the command {command}")))
            .or_else(|| self.copy.map(|_| "to the clipboard".to_owned()))
    }

    /// Where the secret went, in words.
    fn place(&self) -> Option<String> {
        let path = self.out.as_ref().or(self.env_file.as_ref());
        let path = path.map(|path| format!("the secret is in {}", path.display()));
        path.or_else(|| self.exec.as_ref().map(|_| "the command has the secret".to_owned()))
    }
}

/// A time that must be within 1 s and the longest.
fn within(flag: &str, time: Span, longest: Span) -> Result<Duration, Error> {
    if time.is_zero() || time > longest {
        return Err(Invalid::new(format!("`{flag} {time}` is not between 1s and {longest}")).into());
    }
    Ok(Duration::from_secs(time.secs().unsigned_abs()))
}

/// Mints a secret and hands it over. `prepare` makes or checks its token within the first transaction.
pub fn deliver(
    app: &mut App<'_>,
    store: &Store,
    author: &Author,
    action: Action,
    args: &DestinationArgs,
    ours: &[SecretHash],
    prepare: impl FnOnce(&Write<'_>, &dyn Machine) -> Result<Begun, Halt>,
) -> Result<Delivered, Halt> {
    let is_json = app.json();
    let machine = &*app.ctx.machine;
    let settings = store.read(|view| view.settings())?;
    let members = |token: &Token| {
        let times = store.times(delivered_at(token));
        let document = ChangedDoc { token: TokenDoc::new(token, &times), changed: true };
        json::text(&document).into_bytes()
    };
    let form = if is_json { Form::Json(&members) } else { Form::Plain };
    let mut destination = args.open(&mut *app.ctx.stdout, machine, form, store.path())?;
    destination.check(ours).map_err(DeliverError::from)?;
    machine.keep_memory_private();
    let secret =
        Secret::mint(&settings.prefix, &mut |bytes| machine.fill_random(bytes)).map_err(Error::Generator)?;
    let delivery = Protocol { store, clock: machine, author, pid: machine.pid(), action };
    let token = delivery.run(&secret, &mut *destination, |tx| prepare(tx, machine))?;
    Ok(Delivered { token, place: destination.place() })
}

/// The answer after a delivery: the document where the destination was not stdout, and notes for a person, `said` first.
///
/// The secret is delivered by now: what fails here must not sound as if nothing had been changed.
pub fn answer(
    app: &mut App<'_>,
    store: &Store,
    destination: &DestinationArgs,
    Delivered { token, place }: &Delivered,
    said: &[String],
) -> Result<(), Error> {
    let now = delivered_at(token);
    if app.json() && !destination.is_stdout() {
        let token = ChangedDoc { token: TokenDoc::new(token, &store.times(now)), changed: true };
        let printed = app.print_json(&NoSecretDoc { token, secret: None });
        printed.map_err(|err| match err {
            Error::Output(err) => Error::Deliver(DeliverError::Cut(err.to_string())),
            err => err,
        })?;
    }
    let start = token.not_before.filter(|start| *start > now);
    let usage = store.read(|view| view.settings()).map(|settings| usage_hint(&settings));
    let place = place.clone().or_else(|| destination.place());
    let readable = destination.is_stdout().then(|| app.ctx.stdout.file()).flatten();
    let readable = readable.filter(|file| file.meta.mode() & 0o004 != 0);
    let mut talk = app.talk();
    if let Some(OutputFile { path, meta }) = readable {
        let (path, mode) = (path.display(), meta.mode() & 0o7777);
        talk.warn(&format!("everybody can read the secret in `{path}` (mode {mode:o}): `chmod 600 {path}`"));
    }
    for note in said {
        talk.note(note);
    }
    if let Some(start) = start {
        talk.note(&format!("good from {start} on"));
    }
    if let Some(place) = place {
        talk.note(&place);
    } else {
        talk.note("this secret is shown once; keep it now");
        if let Ok(usage) = usage {
            talk.note(&usage);
        }
    }
    Ok(())
}

fn usage_hint(settings: &Settings) -> String {
    let header = settings.header.replace("{}", "$TOKEN");
    let url = settings.url.as_deref().unwrap_or("https://…");
    format!("use it: curl -H \"{header}\" {}", quoted(url))
}

/// As one word of a shell command.
fn quoted(url: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || ":/._-~%=+,@…".contains(c);
    if url.chars().all(plain) { url.to_owned() } else { format!("\"{url}\"") }
}

/// When the current secret was delivered.
pub fn delivered_at(token: &Token) -> Timestamp {
    token.current().and_then(|secret| secret.delivered_at).unwrap_or(token.created_at)
}

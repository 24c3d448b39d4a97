//! `verify`: is this secret good, and for what is asked.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use crate::app::{App, Outcome, asking, keep_answer};
use crate::cmd::args::takes::Takes;
use crate::domain::Invalid;
use crate::domain::scope::Scope;
use crate::domain::secret::{INPUT_MAX, Secret};
use crate::domain::text::SetLabel;
use crate::domain::token::Role;
use crate::domain::verdict::Ask;
use crate::domain::when::{Edge, Timestamp, When, Zone};
use crate::error::Error;
use crate::ui::json::VerdictDoc;
use crate::verify::{self, Manner, Request, Verdict};

#[derive(Args)]
pub struct Verify {
    /// Read the secret from this file, not from stdin
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Require these scopes
    #[arg(short, long = "scope", value_name = "A,B", value_delimiter = ',', add = Takes::Scope)]
    scopes: Vec<Scope>,
    /// Require this label
    #[arg(short, long = "label", value_name = "KEY=VALUE", add = Takes::Label)]
    labels: Vec<SetLabel>,
    /// Answer for this instant to come
    #[arg(long, value_name = "WHEN")]
    at: Option<When>,
}

impl Verify {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let at = future(self.at, &*app.ctx.machine)?;
        let input = input(app, self.secret_file.as_deref(), "Secret to verify")?;
        let typed = is_prompt(app, self.secret_file.as_deref());
        // What a program presents is taken as it is.
        let secret = if typed { Secret::read_pasted(&input) } else { Secret::read(input) };
        let ask = Ask {
            scopes: self.scopes.clone(),
            labels: self.labels.iter().map(|label| label.0.clone()).collect(),
        };
        let request = Request::of_secret(secret.as_ref(), &ask);
        if request.is_malformed() {
            return answer(app, &Verdict::malformed());
        }
        let store = app.open_to_read()?;
        let manner = Manner { at, describe: app.json() };
        let verdict = verify::one(&store, &*app.ctx.machine, request, manner)?;
        answer(app, &verdict)
    }
}

/// An instant of `--at`, which must be to come.
pub fn future(at: Option<When>, machine: &dyn crate::context::Machine) -> Result<Option<Timestamp>, Error> {
    let Some(when) = at else { return Ok(None) };
    let now = machine.now()?;
    let at = when.resolve(now, machine as &dyn Zone, Edge::Start)?;
    if at < now {
        return Err(Invalid::new(format!("{at} is in the past"))
            .hint("`--at` takes an instant to come")
            .into());
    }
    Ok(Some(at))
}

/// Whether a secret will be typed on the terminal that stdin is.
fn is_prompt(app: &App<'_>, file: Option<&Path>) -> bool {
    file.is_none_or(|path| path == Path::new("-")) && app.ctx.terminal.stdin
}

/// A presented secret: from a file, from stdin, or typed on the terminal that stdin is. Only so much is read that what
/// cannot be a secret is known.
pub fn input(app: &mut App<'_>, file: Option<&Path>, question: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut opened;
    let (source, what): (&mut dyn Read, String) = match file.filter(|path| *path != Path::new("-")) {
        Some(path) => {
            let what = format!("`{}`", path.display());
            opened = app.ctx.machine.open(path).map_err(|err| Error::Input { what: what.clone(), err })?;
            (&mut *opened, what)
        }
        None if is_prompt(app, file) => {
            if !app.can_ask() {
                return Err(Error::InputNeeded(
                    Invalid::new("no secret on stdin").hint("`--secret-file FILE`, or a pipe"),
                ));
            }
            return app.ctx.machine.ask_hidden(question).map_err(asking);
        }
        None => (&mut *app.ctx.stdin, "stdin".to_owned()),
    };
    let mut text = Zeroizing::new(vec![0; INPUT_MAX]);
    let mut len = 0;
    while len < text.len() {
        match source.read(&mut text[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(err) if err.kind() == ErrorKind::Interrupted => {}
            Err(err) => return Err(Error::Input { what, err }),
        }
    }
    text.truncate(len);
    Ok(text)
}

fn answer(app: &mut App<'_>, verdict: &Verdict) -> Result<Outcome, Error> {
    let text = if app.json() {
        let missing = verdict.missing_scopes().iter().collect();
        let document = VerdictDoc::new(verdict.reason(), missing, verdict.token().zip(verdict.secret()));
        serde_json::to_string(&document).unwrap_or_default()
    } else {
        let mut words = vec![verdict.reason().word()];
        words.extend(verdict.token().map(|token| token.name.as_str()));
        words.extend(verdict.is_previous().then_some(Role::Previous.word()));
        words.join(" ")
    };
    if !app.quiet() {
        keep_answer(app.print(&format!("{text}\n")))?;
    }
    Ok(if verdict.is_valid() { Outcome::Done } else { Outcome::No })
}

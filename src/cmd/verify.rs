//! `verify`: is this secret good, and for what is asked.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use crate::app::{App, Outcome, asking, keep_answer};
use crate::cmd::args::takes::Takes;
use crate::domain::Invalid;
use crate::domain::scope::{Catalogue, Scope};
use crate::domain::secret::{INPUT_MAX, Secret};
use crate::domain::text::{SetLabel, shown};
use crate::domain::token::Role;
use crate::domain::verdict::{Ask, Reason, judge};
use crate::domain::when::{ClockWrong, Edge, Timestamp, When, Zone};
use crate::error::Error;
use crate::store::{Parts, Presented, StoreError};
use crate::ui::json::{self, VerdictDoc};

/// A clock this far before a secret's creation is wrong, in seconds.
const CLOCK_TOLERANCE: i64 = 5 * 60;

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
        let Some(secret) = secret else {
            return answer(app, Reason::Malformed, Vec::new(), None);
        };
        let ask = Ask {
            scopes: self.scopes.clone(),
            labels: self.labels.iter().map(|label| label.0.clone()).collect(),
        };

        let store = app.open_to_read()?;
        let asked = app.ctx.machine.now()?;
        // What the answer does not depend on is not read.
        let parts = Parts {
            labels: app.json() || !ask.labels.is_empty(),
            grants: app.json() || !ask.scopes.is_empty(),
        };
        let (found, catalogue) = store.read(|view| {
            let found = view.presented(&secret.hash(), asked, parts)?;
            let catalogue = if ask.scopes.is_empty() { Catalogue::default() } else { view.catalogue()? };
            Ok::<_, StoreError>((found, catalogue))
        })?;
        // The store may have been locked for a while; the answer is for the present.
        let now = app.ctx.machine.now()?;
        let Some(found) = found else { return answer(app, Reason::Unknown, Vec::new(), None) };
        let created = found.secret().created_at;
        if created.since(now) > CLOCK_TOLERANCE {
            return Err(ClockWrong(format!(
                "the clock says {now}, but this secret was created at {created}"
            ))
            .into());
        }
        for scope in ask.scopes.iter().filter(|scope| catalogue.get(scope).is_none()) {
            app.talk().warn(&format!("the scope `{scope}` does not exist in this store"));
        }
        let (reason, missing) = judge(&found.token, found.secret(), &ask, &catalogue, at.unwrap_or(now));
        if reason == Reason::Unknown {
            return answer(app, reason, missing, None);
        }
        if reason == Reason::Valid && at.is_none() {
            store.record_use(&found, &ask.scopes, &catalogue, now);
        }
        answer(app, reason, missing, Some(&found))
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
            app.ctx.machine.keep_memory_private();
            return app.ctx.machine.ask_hidden(question).map_err(asking);
        }
        None => (&mut *app.ctx.stdin, "stdin".to_owned()),
    };
    app.ctx.machine.keep_memory_private();
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

fn answer(
    app: &mut App<'_>,
    reason: Reason,
    missing: Vec<&Scope>,
    found: Option<&Presented>,
) -> Result<Outcome, Error> {
    let text = if app.json() {
        let document = VerdictDoc::new(reason, missing, found.map(|found| (&found.token, found.secret())));
        json::text(&document)
    } else {
        let mut words = vec![reason.word()];
        words.extend(found.map(|found| found.token.name.as_str()));
        if reason == Reason::Valid && found.is_some_and(|found| found.secret().role() == Role::Previous) {
            words.push(Role::Previous.word());
        }
        shown(&words.join(" ")).to_string()
    };
    if !app.quiet() {
        keep_answer(app.print(&format!("{text}\n")))?;
    }
    Ok(if reason == Reason::Valid { Outcome::Done } else { Outcome::No })
}

//! The delivery that `create` and `rotate` share, and the output after it.

use std::os::unix::fs::MetadataExt;

use super::describe::{Halt, expiry_in_words};
use super::destination::{DestinationArgs, Site};
use crate::app::App;
use crate::context::{Machine, OutputFile};
use crate::deliver::{Begun, DeliverError, Form, Protocol};
use crate::domain::Invalid;
use crate::domain::destination::Destination;
use crate::domain::event::{Action, Author};
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::settings::Settings;
use crate::domain::token::{Role, Token};
use crate::domain::when::Timestamp;
use crate::error::Error;
use crate::store::{Store, Write};
use crate::ui::json::{self, ChangedDoc, ErrorDoc, NoSecretDoc, TokenDoc};

/// A token whose secret was delivered.
pub struct Delivered {
    pub token: Token,
    /// The destination, if a token can remember it.
    pub destination: Option<Destination>,
    /// Where the secret is, in the words of its destination.
    place: Option<String>,
}

/// What to deliver, and where.
pub struct Order<'a> {
    pub action: Action,
    pub args: &'a DestinationArgs,
    /// The current secrets of the token.
    pub ours: &'a [SecretHash],
    /// Whether to refuse a file that contains a secret of the token in another variable.
    pub keeps_variable: bool,
}

/// Generates a secret and delivers it. `prepare` makes or checks the token within the first transaction.
pub fn deliver(
    app: &mut App<'_>,
    store: &Store,
    author: &Author,
    order: &Order<'_>,
    prepare: impl FnOnce(&Write<'_>, &dyn Machine, Option<&Destination>) -> Result<Begun, Halt>,
) -> Result<Delivered, Halt> {
    let (is_json, mute) = (app.json(), app.quiet());
    let machine = &*app.ctx.machine;
    let settings = store.read(|view| view.settings())?;
    let members = |token: &Token| {
        let times = store.times(delivered_at(token));
        let document = ChangedDoc { token: TokenDoc::new(token, &times), changed: true };
        json::text(&document).into_bytes()
    };
    let form = if is_json { Form::Json(&members) } else { Form::Plain };
    let site = Site { machine, form, store: store.path(), mute };
    let mut destination = order.args.open(&mut *app.ctx.stdout, site)?;
    destination.check(order.ours).map_err(DeliverError::from)?;
    let rememberable = destination.rememberable();
    let other_variable = destination.other_variable().map(str::to_owned);
    if let (Some(other), true) = (&other_variable, order.keeps_variable) {
        return Err(another_variable(rememberable.as_ref(), other).into());
    }
    machine.keep_memory_private();
    let secret =
        Secret::mint(&settings.prefix, &mut |bytes| machine.fill_random(bytes)).map_err(Error::Generator)?;
    let delivery = Protocol { store, clock: machine, author, pid: machine.pid(), action: order.action };
    let token = delivery.run(&secret, &mut *destination, |tx| prepare(tx, machine, rememberable.as_ref()))?;
    let place = destination.where_it_went();
    drop(destination);
    if let Some((other, rememberable)) = other_variable.zip(rememberable.as_ref()) {
        app.talk().warn(&format!(
            "the new secret is {}, but {other} there still holds another secret of `{}`",
            rememberable.in_words(),
            token.name
        ));
    }
    Ok(Delivered { token, destination: rememberable, place })
}

fn another_variable(destination: Option<&Destination>, other: &str) -> Error {
    let name = destination.and_then(Destination::variable).unwrap_or_default();
    let path = destination.and_then(Destination::path).unwrap_or_default();
    let bad = format!("{name} is not in `{path}`, where {other} contains a secret of this token");
    Error::Policy(
        Invalid::new(bad)
            .hint(format!("pass `--env-name {other}`, or `--remember` to use {name} from now on")),
    )
}

/// The document of a delivery that did not go to stdout, with what failed after it.
///
/// By now the secret is delivered, so an error here must not say that nothing was changed.
pub fn document(
    app: &mut App<'_>,
    store: &Store,
    destination: &DestinationArgs,
    token: &Token,
    failed: Option<&Error>,
) -> Result<(), Error> {
    if !app.json() || destination.is_stdout() {
        return Ok(());
    }
    let failed = failed.map(|err| (err.code(), err.to_string(), err.hint()));
    let error = failed.as_ref().map(|(code, message, hint)| ErrorDoc::new(*code, message, hint.as_deref()));
    let token = ChangedDoc { token: TokenDoc::new(token, &store.times(delivered_at(token))), changed: true };
    app.print_json(&NoSecretDoc { token, secret: None, error }).map_err(|err| match err {
        Error::Output(err) => Error::Deliver(DeliverError::Cut(err.to_string())),
        err => err,
    })
}

/// Reports a delivery to a person, beginning with the text of the verb.
pub fn report(
    app: &mut App<'_>,
    store: &Store,
    destination: &DestinationArgs,
    Delivered { token, place, .. }: &Delivered,
    notes: &[String],
) {
    let now = delivered_at(token);
    let start = token.not_before.filter(|start| *start > now);
    let usage = store.read(|view| view.settings()).map(|settings| usage_hint(&settings));
    let place = place.clone().or_else(|| destination.to.where_it_went());
    let readable = destination.is_stdout().then(|| app.ctx.stdout.file()).flatten();
    let readable = readable.filter(|file| file.meta.mode() & 0o004 != 0);
    let mut talk = app.talk();
    if let Some(OutputFile { path, meta }) = readable {
        let (path, mode) = (path.display(), meta.mode() & 0o7777);
        talk.warn(&format!("everybody can read the secret in `{path}` (mode {mode:o}): `chmod 600 {path}`"));
    }
    for note in notes {
        talk.note(note);
    }
    if let Some(start) = start {
        talk.note(&format!("valid from {start} on"));
    }
    if let Some(place) = place {
        talk.note(&place);
    } else {
        talk.note("this secret is shown once; keep it now");
        if let Ok(usage) = usage {
            talk.note(&usage);
        }
    }
}

/// Reports that a rotation revived an expired token.
pub fn warn_of_revival(app: &mut App<'_>, token: &Token, end: Timestamp) {
    let revived = format!("`{}` had expired at {end}; the rotation revived it", token.name);
    app.talk().warn(&revived);
}

fn usage_hint(settings: &Settings) -> String {
    let header = settings.header.replace("{}", "$TOKEN");
    let url = settings.url.as_deref().unwrap_or("https://…");
    format!("use it: curl -H \"{header}\" {}", quoted(url))
}

/// Quotes a text as one word of a shell command.
fn quoted(url: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || ":/._-~%=+,@…".contains(c);
    if url.chars().all(plain) { url.to_owned() } else { format!("\"{url}\"") }
}

/// The text about a rotation: the expiry of the new secret and of the previous one.
pub fn rotated_in_words(token: &Token) -> [String; 2] {
    let now = delivered_at(token);
    let new = expiry_in_words(token.expires_at(), now);
    let previous = token.secrets.iter().rev().find(|secret| secret.role() == Role::Previous);
    let old = match previous {
        Some(previous) if !previous.is_over(now) => expiry_in_words(previous.expires_at, now),
        _ => "no longer works".to_owned(),
    };
    [format!("rotated `{}` ({}), {new}", token.name, token.id), format!("the previous secret {old}")]
}

/// When the current secret was delivered.
pub fn delivered_at(token: &Token) -> Timestamp {
    token.current().and_then(|secret| secret.delivered_at).unwrap_or(token.created_at)
}

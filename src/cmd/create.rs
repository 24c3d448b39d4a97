//! `create`: a new token, and its first secret handed over.

use clap::Args;

use super::change::ChangeArgs;
use super::describe::{Halt, Rules, TokenArgs, end_in_words};
use super::{App, Outcome};
use crate::deliver::{Form, Handover, Sink, Stdout};
use crate::domain::event::{Action, Author};
use crate::domain::filter::Times;
use crate::domain::lifetime::Lifetime;
use crate::domain::name::Name;
use crate::domain::secret::Secret;
use crate::domain::settings::Settings;
use crate::domain::token::Token;
use crate::domain::when::Timestamp;
use crate::error::Error;
use crate::store::{self, Sharing, Store, StoreError};
use crate::ui::json::{ChangedDoc, NoSecretDoc, TokenDoc};

/// Create a token and print its secret, once
#[derive(Args)]
pub struct Create {
    /// The name: letters, digits and . _ @ -
    #[arg(value_name = "NAME")]
    name: Name,
    #[command(flatten)]
    token: TokenArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Create {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let author = self.change.author(app);
        let store = match self.prepare(app, &author) {
            Ok(store) => store,
            Err(Halt::Exists(token)) => return existing(app, &self.token, &token, true),
            Err(Halt::Error(err)) => return Err(err),
        };
        let mut token = self.token.clone();
        let (settings, catalogue) =
            store.read(|view| Ok::<_, StoreError>((view.settings()?, view.catalogue()?)))?;
        token.ask_scopes(app, &catalogue)?;
        let (made, warned) = match self.deliver(app, &store, &author, &token, &settings) {
            Ok(made) => made,
            Err(Halt::Exists(token)) => return existing(app, &self.token, &token, true),
            Err(Halt::Error(err)) => return Err(err),
        };
        explain(app, &made, &settings, warned);
        Ok(Outcome::Done)
    }

    /// Checks all that can be checked before anything is changed, and opens the store, making a missing one.
    fn prepare(&self, app: &mut App<'_>, author: &Author) -> Result<Store, Halt> {
        open_or_make(app, author, &self.name, &self.token, |app| {
            Stdout { out: &mut *app.ctx.stdout, form: Form::Plain }
                .check()
                .map_err(|why| crate::deliver::DeliverError::Failed(why).into())
        })
    }

    fn deliver(
        &self,
        app: &mut App<'_>,
        store: &Store,
        author: &Author,
        args: &TokenArgs,
        settings: &Settings,
    ) -> Result<(Token, bool), Halt> {
        let json = app.json();
        let machine = &*app.ctx.machine;
        let secret = Secret::mint(&settings.prefix, &mut |bytes| machine.fill_random(bytes))
            .map_err(Error::Generator)?;
        let usage_since = store.read(|view| Ok::<_, StoreError>(view.usage_since()))?;
        let members = |token: &Token| {
            let now = token.current().and_then(|secret| secret.delivered_at).unwrap_or(token.created_at);
            let times = Times { now, at: now, usage_since };
            let document = ChangedDoc { token: TokenDoc::new(token, &times), changed: true };
            serde_json::to_vec(&document).unwrap_or_default()
        };
        let form = if json { Form::Json(&members) } else { Form::Plain };
        let mut sink = Stdout { out: &mut *app.ctx.stdout, form };
        let pid = machine.pid();
        let handover = Handover { store, clock: machine, author, pid, action: Action::Create };
        let made = handover.run(&secret, &mut sink, |tx| args.enter(tx, &self.name, machine))?;
        let by_default = args.by_default() && made.lifetime != Lifetime::Endless;
        Ok((made, by_default))
    }
}

/// Opens the store for a new token. What can be refused without a store is refused before one is made.
pub fn open_or_make(
    app: &mut App<'_>,
    author: &Author,
    name: &Name,
    args: &TokenArgs,
    check: impl FnOnce(&mut App<'_>) -> Result<(), Error>,
) -> Result<Store, Halt> {
    let location = app.location()?;
    if location.exists() {
        let store = app.open_to_write(author)?;
        let now = app.ctx.machine.now()?;
        store.read(|view| args.look_up(view, name, now))?;
        check(app)?;
        return Ok(store);
    }
    check(app)?;
    let now = app.ctx.machine.now()?;
    let rules =
        Rules { settings: Settings::default(), catalogue: crate::domain::scope::Catalogue::default() };
    args.plan(name, &rules, author, now, &*app.ctx.machine)?;
    let made = store::make(&location, Sharing::Private, &*app.ctx.machine, author)?;
    let store = app.open_to_write(author)?;
    if made {
        let path = store.path().display().to_string();
        app.talk().warn(&format!("made a new store at {path}"));
    }
    Ok(store)
}

/// The answer of `--if-missing` when it is not.
pub fn existing(
    app: &mut App<'_>,
    args: &TokenArgs,
    token: &Token,
    with_secret: bool,
) -> Result<Outcome, Error> {
    let now = app.ctx.machine.now()?;
    args.warn_of_differences(app, token, now)?;
    if app.json() {
        let store = app.open_to_read()?;
        let times = super::present::present(&store, now)?;
        let document = ChangedDoc { token: TokenDoc::new(token, &times), changed: false };
        if with_secret {
            app.print_json(&NoSecretDoc { token: document, secret: None })?;
        } else {
            app.print_json(&document)?;
        }
    } else {
        app.talk().note(&format!("`{}` exists; nothing was changed", token.name));
    }
    Ok(Outcome::Done)
}

/// Says that the store's default lifetime applies.
pub fn default_lifetime(token: &Token) -> String {
    let ttl = token.lifetime.ttl().map(|ttl| ttl.to_string()).unwrap_or_default();
    format!("the lifetime is the default, {ttl}; --ttl, --expires or --no-expiry set another")
}

/// What to know about a secret that was just handed over, and how to use it.
fn explain(app: &mut App<'_>, token: &Token, settings: &Settings, by_default: bool) {
    let now: Timestamp = token.current().and_then(|secret| secret.delivered_at).unwrap_or(token.created_at);
    let header = settings.header.replace("{}", "$TOKEN");
    let url = settings.url.as_deref().unwrap_or("https://…");
    let end = end_in_words(token.expires_at(), now);
    let mut talk = app.talk();
    talk.note(&format!("created `{}` ({}), {end}", token.name, token.id));
    if by_default {
        talk.note(&default_lifetime(token));
    }
    if let Some(start) = token.not_before.filter(|start| *start > now) {
        talk.note(&format!("good from {start} on"));
    }
    talk.note("this secret is shown once; keep it now");
    talk.note(&format!("use it: curl -H \"{header}\" {url}"));
}

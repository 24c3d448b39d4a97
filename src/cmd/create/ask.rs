//! The questions of `create` without a name, an overview of the answers, and the choice of a destination.

use super::Order;
use crate::app::App;
use crate::app::prompt::{choice, icon, line, select, show, text};
use crate::cmd::args::describe::{Halt, Rules, TokenArgs};
use crate::cmd::args::destination::{self, DestinationArgs};
use crate::cmd::args::memory::MemoryArgs;
use crate::cmd::args::{grants, lifetime};
use crate::domain::Invalid;
use crate::domain::event::Author;
use crate::domain::name::{Name, NewName, TokenId};
use crate::domain::token::Token;
use crate::domain::when::Timestamp;
use crate::error::Error;
use crate::store::Store;

/// A destination to choose: its name, its explanation, and its flags.
type Offer = (&'static str, &'static str, fn(&mut DestinationArgs));

/// The destinations to choose from if no flag names one. Of several with the same name, the first that works is
/// offered.
const OFFERS: &[Offer] = &[
    ("Print the secret", "once, to standard output", |_| ()),
    ("Copy the secret", "to the clipboard, for a short time", |destination| {
        destination.copy(destination::CopyChoice::Display);
    }),
    ("Copy the secret", "to the clipboard of tmux, for a short time", |destination| {
        destination.copy(destination::CopyChoice::Tmux);
    }),
    ("Copy the secret", "by asking the terminal, which may ignore it", |destination| {
        destination.copy(destination::CopyChoice::Osc52);
    }),
];

/// Asks for what the flags do not give of a token to create.
pub fn ask(
    app: &mut App<'_>,
    author: &Author,
    token: TokenArgs,
    destination: DestinationArgs,
    memory: MemoryArgs,
) -> Result<Order, Error> {
    if !app.can_ask() {
        return Err(Error::InputNeeded(
            Invalid::new("no name is given")
                .hint("run `tokenctl create NAME`, or run it on a terminal to be asked"),
        ));
    }
    destination.check(app, &[])?;
    let store = app.location()?.exists().then(|| app.open_to_read()).transpose()?;
    let rules = match &store {
        Some(store) => store.read(|view| {
            Ok::<_, Error>(Rules { settings: view.settings()?, catalogue: view.catalogue()? })
        })?,
        None => Rules::default(),
    };
    token.check_given(&rules, app.ctx.machine.now()?, &*app.ctx.machine)?;
    let (name, is_there) = name(app, store.as_ref(), &token)?;
    let mut order = Order { name, token, destination, memory };
    // With `--if-missing` there is nothing to create.
    if is_there {
        return Ok(order);
    }
    order.describe(app, &rules)?;
    let machine = &*app.ctx.machine;
    let now = machine.now()?;
    let new = order.token.describe(&order.name, &rules.catalogue, now, machine)?;
    let creator = author.actor.display_name();
    let (planned, expiry) = new.plan(TokenId::planned(), &rules.settings, &creator, now)?;
    overview(app, &planned, expiry, &order.destination);
    if !app.assumes_yes() {
        order.confirm(app)?;
    }
    Ok(order)
}

/// Asks for a free name. With `--if-missing`, an existing one is accepted.
fn name(app: &mut App<'_>, store: Option<&Store>, args: &TokenArgs) -> Result<(Name, bool), Error> {
    text(app, "Name", "letters, digits, . _ @ -", "", |app, answer| {
        let NewName(name) = answer.trim().parse()?;
        let Some(store) = store else { return Ok((name, false)) };
        let now = app.ctx.machine.now()?;
        match store.read(|view| args.look_up(view, &name, now)) {
            Ok(()) => Ok((name, false)),
            Err(Halt::Already(_)) => Ok((name, true)),
            Err(Halt::Error(err)) => Err(err),
        }
    })
}

impl Order {
    fn describe(&mut self, app: &mut App<'_>, rules: &Rules) -> Result<(), Error> {
        let settings = &rules.settings;
        if self.token.description.is_none() {
            let required = settings.require_description.then_some("a description");
            self.token.description = Some(line(app, "Description", None, required)?);
        }
        if self.token.owner.is_none() {
            let required = settings.require_owner.then_some("an owner");
            self.token.owner = Some(line(app, "Owner", None, required)?);
        }
        if self.token.icon.is_none() {
            self.token.icon = Some(icon(app, None)?);
        }
        grants::grant(app, &mut self.token, &rules.catalogue)?;
        if self.token.by_default() {
            let token = self.token.clone();
            self.token.lifetime = lifetime::ask::ask(app, settings, None, |app, lifetime| {
                token.check_lifetime(lifetime, settings, app.ctx.machine.now()?, &*app.ctx.machine)
            })?;
        }
        Ok(())
    }

    /// Asks for confirmation, together with the destination of the secret.
    fn confirm(&mut self, app: &mut App<'_>) -> Result<(), Error> {
        let given: &[Offer] = &[("Create it", "", |_| ())];
        let offers = if self.destination.is_stdout() { OFFERS } else { given };
        let works = |(.., choose): &&Offer| {
            let mut destination = self.destination.clone();
            choose(&mut destination);
            destination.check(app, &[]).is_ok()
        };
        let mut offers: Vec<&Offer> = offers.iter().filter(works).collect();
        offers.dedup_by_key(|(name, ..)| name);
        let mut choices: Vec<_> = offers.iter().map(|(name, about, _)| choice(name, about, false)).collect();
        choices.push(choice("Cancel", "do not create it", false));
        let at = select(app, &format!("Create `{}`", self.name), &choices)?;
        let (_, _, choose) = offers.get(at).ok_or(Error::Declined)?;
        choose(&mut self.destination);
        Ok(())
    }
}

fn overview(app: &mut App<'_>, token: &Token, end: Option<Timestamp>, destination: &DestinationArgs) {
    let granted = token.scopes().map(ToString::to_string).collect::<Vec<_>>();
    let rows = [
        ("description", token.description.clone()),
        ("owner", token.owner.clone()),
        ("labels", Some(token.label_words().join(", "))),
        ("scopes", Some(granted.join(", "))),
        ("lifetime", Some(lifetime::ask::in_words(token.lifetime, end, token.created_at))),
        ("valid from", token.not_before.map(|start| start.to_string())),
        ("rotation", token.rotate_every.map(|every| format!("every {every}"))),
        ("grace", token.grace.map(|grace| grace.to_string())),
        ("secret", destination.where_to()),
    ];
    let given = |(key, value): (&'static str, Option<String>)| {
        value.filter(|value| !value.is_empty()).map(|value| (key, value))
    };
    let icon = token.icon.as_ref().map(|icon| format!("{icon} ")).unwrap_or_default();
    show(app, &format!("{icon}{}", token.name), &rows.into_iter().filter_map(given).collect::<Vec<_>>());
}

//! Widening needs approval. A person sees which tokens gain what, or a flag approves all of it.

use clap::Args;

use crate::app::App;
use crate::domain::scope::Catalogue;
use crate::domain::token::Token;
use crate::domain::when::Timestamp;
use crate::domain::widening::{Approval, Widening};
use crate::error::Error;
use crate::store::{PAGE, StoreError, View};

#[derive(Args, Clone)]
pub struct WidenArgs {
    /// Allow tokens to do more than before
    #[arg(long)]
    pub allow_widen: bool,
}

impl WidenArgs {
    /// Runs a change that fails with [`Error::Widens`] unless its widening is approved. A person approves exactly
    /// what was shown. If the widening has grown by the time of the change, the question is asked again.
    pub fn run<T>(
        &self,
        app: &mut App<'_>,
        mut change: impl FnMut(&mut App<'_>, &Approval) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut approval =
            if self.allow_widen { Approval::Any } else { Approval::Shown(Widening::default()) };
        loop {
            match change(app, &approval) {
                Err(widens @ Error::Widens { .. }) if app.can_ask() => {
                    app.ask(&format!("{widens}. Go on?"), "pass `--allow-widen` to allow it")?;
                    let Error::Widens { widening, .. } = widens else { return Err(widens) };
                    approval = Approval::Shown(*widening);
                }
                done => return done,
            }
        }
    }
}

/// Fails unless the widening of a change is approved.
pub fn check(approval: &Approval, what: &str, widening: Widening) -> Result<(), Error> {
    approval
        .covers(widening)
        .map_err(|widening| Error::Widens { what: what.to_owned(), widening: Box::new(widening) })
}

/// Passes each unrevoked token that holds a scope of the catalogue to `take`.
pub fn each_token_with_scopes(
    view: &View<'_>,
    now: Timestamp,
    catalogue: &Catalogue,
    mut take: impl FnMut(Token),
) -> Result<(), StoreError> {
    let every: Vec<i64> = catalogue.iter().map(|entry| entry.row).collect();
    for rows in view.tokens_with_scopes(&every)?.chunks(PAGE) {
        view.tokens(rows, now)?.into_iter().for_each(&mut take);
    }
    Ok(())
}

/// What tokens gain when the catalogue is replaced.
pub fn of_catalogue(
    view: &View<'_>,
    now: Timestamp,
    before: &Catalogue,
    after: &Catalogue,
) -> Result<Widening, StoreError> {
    let mut widening = Widening::default();
    each_token_with_scopes(view, now, before, |token| {
        let gain = Widening::of_token((&token, before), (&token.regranted(after), after));
        widening = std::mem::take(&mut widening).and(gain);
    })?;
    Ok(widening)
}

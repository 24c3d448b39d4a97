//! Granting more than before is said aloud: it names how many tokens gain, and asks.

use clap::Args;

use crate::app::App;
use crate::domain::scope::Catalogue;
use crate::domain::token::Token;
use crate::error::Error;

#[derive(Args, Clone)]
pub struct WidenArgs {
    /// Let tokens be good for more than before
    #[arg(long)]
    pub allow_widen: bool,
}

impl WidenArgs {
    /// Runs a change that fails with [`Error::Widens`] unless it is approved; then asks, and runs it approved.
    pub fn run<T>(
        &self,
        app: &mut App<'_>,
        change: impl Fn(&App<'_>, bool) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match change(app, self.allow_widen) {
            Err(widens @ Error::Widens { .. }) if app.can_ask() => {
                app.ask(&format!("{widens}. Go on?"), "`--allow-widen` allows it")?;
                change(app, true)
            }
            done => done,
        }
    }
}

/// Fails unless `approved` when a change lets this many tokens be good for more.
pub fn check(approved: bool, what: &str, tokens: usize) -> Result<(), Error> {
    if approved || tokens == 0 { Ok(()) } else { Err(Error::Widens { what: what.to_owned(), tokens }) }
}

/// Whether a token may do more after a change of its grants or of the catalogue.
pub fn gains(before: (&Token, &Catalogue), after: (&Token, &Catalogue)) -> bool {
    let had = before.1.closure(before.0.grants.values().map(|grant| &grant.scope));
    let has = after.1.closure(after.0.grants.values().map(|grant| &grant.scope));
    !has.is_subset(&had)
}

//! The question of `scopes set` without a scope.

use crate::app::App;
use crate::cmd::args::grants::ask;
use crate::cmd::args::select::Reference;
use crate::domain::Invalid;
use crate::domain::scope::Scope;
use crate::error::Error;

/// Asks for the scopes of a token, starting from the present ones.
pub fn of_token(app: &mut App<'_>, token: &Reference) -> Result<Vec<Scope>, Error> {
    if !app.can_ask() {
        return Err(Error::InputNeeded(
            Invalid::new("no scope is given").hint("`tokenctl scopes set TOKEN SCOPE`"),
        ));
    }
    let now = app.ctx.machine.now()?;
    let (token, catalogue) =
        app.open_to_read()?.read(|view| Ok::<_, Error>((token.resolve(view, now)?, view.catalogue()?)))?;
    if token.revoked_at.is_some() {
        return Err(Error::Revoked(token.name.to_string()));
    }
    ask(app, &catalogue, &token.scopes().collect())
}

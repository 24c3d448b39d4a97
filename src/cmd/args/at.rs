//! `--at`: an instant in the future.

use crate::context::Machine;
use crate::domain::Invalid;
use crate::domain::when::{Edge, Timestamp, When, Zone};
use crate::error::Error;

/// The instant of `--at`, which must be in the future.
pub fn future(at: Option<When>, machine: &dyn Machine) -> Result<Option<Timestamp>, Error> {
    let Some(when) = at else { return Ok(None) };
    let now = machine.now()?;
    let at = when.resolve(now, machine as &dyn Zone, Edge::Start)?;
    if at < now {
        return Err(Invalid::new(format!("{at} is in the past"))
            .hint("`--at` takes an instant in the future")
            .into());
    }
    Ok(Some(at))
}

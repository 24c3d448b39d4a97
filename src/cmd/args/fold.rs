//! Shortens the logs that people read, by leaving out the confirmations of deliveries, which repeat the event that began
//! the delivery.

use crate::domain::event::{Action, Event};
use crate::error::Error;
use crate::store::View;

/// The creation or rotation that this event confirms, if the same actor did both.
pub fn confirmed_by(view: &View<'_>, event: &Event) -> Result<Option<Event>, Error> {
    if !Action::Confirm.names(&event.action) {
        return Ok(None);
    }
    Ok(view.beginning_of(event)?.filter(|begun| begun.actor == event.actor))
}

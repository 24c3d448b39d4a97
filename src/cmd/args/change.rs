//! The flags of every change: a reason for the audit log, and permission to use a clock that went back.

use clap::Args;

use crate::app::App;
use crate::domain::event::Author;
use crate::domain::text::Line;

#[derive(Args, Clone)]
pub struct ChangeArgs {
    /// Record this reason in the audit log
    #[arg(long, value_name = "TEXT")]
    reason: Option<Line>,
    /// Continue even if the clock is behind the last event in the log
    #[arg(long)]
    accept_clock: bool,
}

impl ChangeArgs {
    pub fn author(&self, app: &App<'_>) -> Author {
        Author {
            actor: app.ctx.machine.actor(),
            reason: self.reason.clone().and_then(Line::into_option),
            accept_clock: self.accept_clock,
        }
    }
}

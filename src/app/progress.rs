//! Telling how far a long command is, where somebody looks at a terminal that can show it.

use super::App;
use crate::error::Error;
use crate::store::Step;
use crate::ui::progress::line;

impl App<'_> {
    /// Says how far it is. Call it often, and never while a lock is held: the terminal may be stuck. While the line
    /// stands Ctrl-C waits for this, which then fails.
    pub fn step(&mut self, &Step { what, done, of }: &Step) -> Result<(), Error> {
        if !self.shows_progress {
            return Ok(());
        }
        let machine = &*self.ctx.machine;
        if machine.interrupted() {
            self.clear();
            return Err(Error::Interrupted);
        }
        let now = machine.uptime();
        if self.progress.is_due(now)
            && let Some(columns) = machine.columns()
        {
            machine.defer_interrupts(true);
            self.progress.show(now, &line(what, done, of, columns), &mut *self.ctx.stderr);
        }
        Ok(())
    }

    /// Takes the line away, before anything else is said.
    pub fn clear(&mut self) {
        if self.progress.is_shown() {
            self.progress.erase(&mut *self.ctx.stderr);
            self.ctx.machine.defer_interrupts(false);
        }
    }
}

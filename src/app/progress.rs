//! The progress of a long command, shown only on a terminal that can show it.

use super::App;
use crate::error::Error;
use crate::store::Step;
use crate::ui::progress::line;

impl App<'_> {
    /// Updates the progress line. Call it often, but never while a lock is held, since the terminal may be stuck. While
    /// the line is shown, Ctrl-C does not end the program; this function returns it as an error.
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

    /// Removes the progress line. Call it before you print anything else.
    pub fn clear(&mut self) {
        if self.progress.is_shown() {
            self.progress.erase(&mut *self.ctx.stderr);
            self.ctx.machine.defer_interrupts(false);
        }
    }
}

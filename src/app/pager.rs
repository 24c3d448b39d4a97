//! Output that is longer than the screen goes through the user's pager.

use std::io::{self, Write};

use crate::context::{Output, StartPager};

/// Holds text back until it is clear whether it fits the screen. If it does not, it goes through the pager.
pub struct Paged<'a> {
    screen: &'a mut dyn Output,
    /// The number of lines that fit on the screen.
    rows: usize,
    held: Vec<u8>,
    to: To,
}

enum To {
    Undecided(StartPager),
    Screen,
    Pager(Box<dyn Write>),
}

impl<'a> Paged<'a> {
    /// Without a pager, all text goes straight to the screen.
    pub fn new(screen: &'a mut dyn Output, rows: usize, start: Option<StartPager>) -> Self {
        Self { screen, rows, held: Vec::new(), to: start.map_or(To::Screen, To::Undecided) }
    }

    /// Shows the rest, and waits until the user has left the pager.
    pub fn finish(mut self) -> io::Result<()> {
        if let To::Undecided(_) = self.to {
            self.to = To::Screen;
        }
        self.flush()
    }

    fn decide(&mut self) {
        self.to = match std::mem::replace(&mut self.to, To::Screen) {
            To::Undecided(start) => start().map_or(To::Screen, To::Pager),
            decided => decided,
        };
    }

    fn pass_on(&mut self, bytes: &[u8]) -> io::Result<()> {
        let to: &mut dyn Write = match &mut self.to {
            To::Undecided(_) | To::Screen => &mut *self.screen,
            To::Pager(pager) => pager,
        };
        to.write_all(bytes)?;
        to.flush()
    }

    fn is_long(&self) -> bool {
        self.held.iter().filter(|byte| **byte == b'\n').nth(self.rows).is_some()
    }
}

impl Write for Paged<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let To::Undecided(_) = self.to {
            self.held.extend_from_slice(bytes);
            if self.is_long() {
                self.decide();
            }
            self.flush()?;
        } else {
            self.pass_on(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let To::Undecided(_) = self.to {
            return Ok(());
        }
        let held = std::mem::take(&mut self.held);
        self.pass_on(&held)
    }
}

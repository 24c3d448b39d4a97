//! The commands that follow rotations.

use super::Rotate;
use crate::app::App;
use crate::domain::event::Author;
use crate::domain::token::Token;
use crate::error::Error;
use crate::store::Store;

impl Rotate {
    pub fn run_hook(&self, _: &mut App<'_>, _: &Store, _: &Author, _: &Token) -> Result<(), Error> {
        Ok(())
    }
}

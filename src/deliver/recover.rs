//! What a killed hand-over left: withdrawn by the next change of the same user after its deadline.

use super::withdraw;
use crate::context::Clock;
use crate::domain::event::Author;
use crate::domain::token::Token;
use crate::store::{Store, StoreError, Write};

/// Withdraws the heirs of this user's deliveries past their deadline. Part of every change, before its own work.
pub fn recover(store: &Store, clock: &dyn Clock, author: &Author) -> Result<(), StoreError> {
    let now = clock.now()?;
    let uid = author.actor.uid;
    if store.read(|view| view.overdue(uid, now))?.is_empty() {
        return Ok(());
    }
    let author = Author { reason: None, ..author.clone() };
    store.write(clock, &author, |tx| {
        for row in tx.overdue(uid, tx.now)? {
            withdraw(tx, &tx.token(row, tx.now)?)?;
        }
        Ok(())
    })
}

/// Frees the name of a creation that nobody confirmed in time, whoever began it.
pub fn withdraw_dead(tx: &Write<'_>, token: &Token) -> Result<(), StoreError> {
    withdraw(tx, token)
}

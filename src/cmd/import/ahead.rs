//! Two threads: one parses the lines of an export, ahead of the other, which reads them and inserts what they say.

use std::sync::mpsc::sync_channel;
use std::thread;

use crate::cmd::args::lines::Chunk;
use crate::error::Error;

/// How many chunks are read before the first of them is inserted.
const AHEAD: usize = 4;

/// Passes on what `work` makes of each chunk, in order.
pub fn each<T: Send>(
    mut read: impl FnMut() -> Result<Chunk, Error>,
    mut work: impl FnMut(&Chunk) -> T + Send,
    mut take: impl FnMut(Chunk, T) -> Result<(), Error>,
) -> Result<(), Error> {
    thread::scope(|scope| {
        let (hand_over, chunks) = sync_channel::<Chunk>(AHEAD);
        let (give_back, results) = sync_channel::<(Chunk, T)>(AHEAD);
        // Either thread stops when the other one does.
        scope.spawn(move || {
            for chunk in chunks {
                let result = work(&chunk);
                if give_back.send((chunk, result)).is_err() {
                    break;
                }
            }
        });
        let (mut under_way, mut goes_on) = (0, true);
        loop {
            while goes_on && under_way < AHEAD {
                let chunk = read()?;
                goes_on = !chunk.lines.is_empty();
                if goes_on && hand_over.send(chunk).is_ok() {
                    under_way += 1;
                }
            }
            let Some((chunk, result)) = (under_way > 0).then(|| results.recv().ok()).flatten() else {
                return Ok(());
            };
            under_way -= 1;
            take(chunk, result)?;
        }
    })
}

//! Two threads: one parses the lines of an export, ahead of the other, which inserts them into the store.

use std::sync::mpsc::sync_channel;
use std::thread;

use serde_json::{Map, Value};

use crate::cmd::args::lines::{Lines, Tally, bad, parse};
use crate::error::Error;
use crate::store::Prepared;

/// How many lines are passed on at once,
const BATCH: usize = 256;
/// and how many batches can wait to be inserted.
const AHEAD: usize = 4;

/// A line without its number.
enum Piece {
    Content(String, Prepared),
    End(Map<String, Value>),
}

/// Passes each line on, in order, with its number.
pub fn each(
    lines: &mut Lines,
    mut take: impl FnMut(usize, Prepared) -> Result<(), Error>,
) -> Result<(), Error> {
    thread::scope(|scope| {
        let (hand_over, batches) = sync_channel::<Vec<(usize, Vec<u8>)>>(AHEAD);
        let (give_back, prepared) = sync_channel::<Vec<(usize, Result<Piece, String>)>>(AHEAD);
        // Either thread stops when the other one does.
        scope.spawn(move || {
            for batch in batches {
                let pieces = batch.into_iter().map(|(number, text)| (number, piece(&text)));
                if give_back.send(pieces.collect()).is_err() {
                    break;
                }
            }
        });
        let (mut tally, mut under_way, mut goes_on) = (Tally::default(), 0, true);
        loop {
            while goes_on && under_way < AHEAD {
                let batch = lines.batch(BATCH)?;
                goes_on = !batch.is_empty();
                if goes_on && hand_over.send(batch).is_ok() {
                    under_way += 1;
                }
            }
            let Some(pieces) = (under_way > 0).then(|| prepared.recv().ok()).flatten() else { break };
            under_way -= 1;
            for (number, piece) in pieces {
                match piece.map_err(|why| bad(&number.to_string(), &why))? {
                    Piece::Content(kind, line) => {
                        tally.add(number, &kind, &Map::new())?;
                        take(number, line)?;
                    }
                    Piece::End(fields) => drop(tally.add(number, "end", &fields)?),
                }
            }
        }
        tally.finish(lines.number())
    })
}

fn piece(text: &[u8]) -> Result<Piece, String> {
    match parse(text)? {
        (kind, fields) if kind == "end" => Ok(Piece::End(fields)),
        (kind, fields) => Prepared::of(&kind, fields).map(|line| Piece::Content(kind, line)),
    }
}

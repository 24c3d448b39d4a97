//! Lists tokens in order of name, straight from the index. A second thread takes the next pages from the store while one
//! is written.

use std::io::Write;
use std::sync::mpsc::sync_channel;
use std::thread;

use super::{List, Writer};
use crate::domain::filter::{Filter, Times};
use crate::domain::scope::Catalogue;
use crate::error::Error;
use crate::store::{Page, Pages, Reader, Store};

/// How many pages are taken ahead. On a busy machine a thread that waits for another one may get the processor back only
/// after 4 ms, and this many pages keep the other one busy for that long.
const AHEAD: usize = 12;

/// How the output ended.
enum End {
    /// All of them are written, or as many tokens as the list may have.
    Written,
    /// The page after this name is damaged.
    Damage(Option<String>),
}

/// Writes the tokens of pages that belong to the list.
struct Sheet<'a> {
    list: &'a mut Writer,
    out: &'a mut dyn Write,
    reader: Reader,
    filter: &'a Filter,
    catalogue: &'a Catalogue,
    times: Times,
    limit: usize,
    text: Vec<u8>,
}

impl List {
    pub(super) fn stream(
        &self,
        store: &mut Store,
        (filter, catalogue): (&Filter, &Catalogue),
        times: Times,
        list: &mut Writer,
        out: &mut dyn Write,
    ) -> Result<(), Error> {
        let mut pages = store.pages_by_name(self.reverse, times.now);
        let (reader, limit) = (pages.reader(), self.limit.unwrap_or(usize::MAX));
        let mut sheet = Sheet { list, out, reader, filter, catalogue, times, limit, text: Vec::new() };
        let mut page = Page::default();
        // The first page needs no second thread.
        while pages.take(&mut page)? {
            let end = match sheet.write(&page)? {
                None => ahead(&mut pages, &mut sheet)?,
                Some(end) => end,
            };
            match end {
                End::Written => return Ok(()),
                // It is looked at again, for an error that names the place.
                End::Damage(after) => pages.again(after),
            }
        }
        Ok(())
    }
}

/// Writes the other pages.
fn ahead(pages: &mut Pages<'_>, sheet: &mut Sheet<'_>) -> Result<End, Error> {
    if pages.is_over() {
        return Ok(End::Written);
    }
    thread::scope(|scope| {
        let (hand_over, taken) = sync_channel(AHEAD);
        let (give_back, spare) = sync_channel(AHEAD);
        for _ in 0..AHEAD {
            // This thread has the other end.
            let _ = give_back.send(Page::default());
        }
        // Either thread stops when the other one does.
        scope.spawn(move || {
            for mut page in spare {
                let next = pages.take(&mut page).map(|is_there| is_there.then_some(page));
                let goes_on = matches!(next, Ok(Some(_)));
                if hand_over.send(next).is_err() || !goes_on {
                    return;
                }
            }
        });
        while let Ok(next) = taken.recv() {
            let Some(page) = next? else { break };
            if let Some(end) = sheet.write(&page)? {
                return Ok(end);
            }
            let _ = give_back.send(page);
        }
        Ok(End::Written)
    })
}

impl Sheet<'_> {
    /// Writes a page at once. Returns whether that ends the list.
    fn write(&mut self, page: &Page) -> Result<Option<End>, Error> {
        let list = &mut *self.list;
        let is_whole = self.reader.each(page, |token| {
            if list.count < self.limit && self.filter.meets(token, &self.times, self.catalogue) {
                list.add(token);
            }
        });
        if !is_whole {
            list.drop_page();
            return Ok(Some(End::Damage(page.after.clone())));
        }
        self.text.clear();
        list.end_page(&mut self.text);
        self.out.write_all(&self.text).map_err(Error::Output)?;
        Ok((list.count >= self.limit).then_some(End::Written))
    }
}

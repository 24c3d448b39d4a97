//! A list to choose from with the arrow keys. Rows are cut to the width and the list scrolls, so that the number
//! of lines on the screen is known.

use std::io;

use dialoguer::console::{Key, Term};
use unicode_width::UnicodeWidthStr;

use super::keys::Keys;
use super::{cancelled, cut, dim};
use crate::context::{Choice, Question};

/// The maximum number of visible rows.
const ROWS: usize = 12;
/// The minimum width at which the explanation of a choice is shown.
const MIN_ABOUT_WIDTH: usize = 6;

pub fn select(
    term: &Term,
    keys: &Keys<'_>,
    question: &Question<'_>,
    choices: &[Choice],
) -> io::Result<usize> {
    let list = List { question, choices, several: false };
    let chosen = list.run(term, keys)?;
    chosen.first().copied().ok_or_else(cancelled)
}

pub fn choose(
    term: &Term,
    keys: &Keys<'_>,
    question: &Question<'_>,
    choices: &[Choice],
) -> io::Result<Vec<usize>> {
    List { question, choices, several: true }.run(term, keys)
}

struct List<'a> {
    question: &'a Question<'a>,
    choices: &'a [Choice],
    /// Whether rows can be marked. If not, the row under the cursor is the answer.
    several: bool,
}

struct State {
    cursor: usize,
    /// The first visible row.
    top: usize,
    marked: Vec<bool>,
}

impl List<'_> {
    fn run(&self, term: &Term, keys: &Keys<'_>) -> io::Result<Vec<usize>> {
        let marked: Vec<bool> = self.choices.iter().map(|choice| choice.chosen).collect();
        let first = marked.iter().position(|marked| *marked && !self.several);
        let mut state = State { cursor: first.unwrap_or(0), top: 0, marked };
        term.hide_cursor()?;
        loop {
            let (rows, columns) = term.size();
            let lines = self.lines(&mut state, rows.into(), columns.into());
            // The last line has no newline, so that a full screen does not scroll.
            term.write_str(&format!("\r{}", lines.join("\r\n")))?;
            let answer = keys.next();
            if lines.len() > 1 {
                term.move_cursor_up(lines.len() - 1)?;
            }
            term.write_str("\r\x1b[J")?;
            match answer {
                Ok(Key::Enter) => break,
                Ok(Key::Escape | Key::Char('q' | '\x04')) => return Err(cancelled()),
                Ok(key) => self.press(&mut state, &key),
                Err(err) => return Err(err),
            }
        }
        let chosen = self.chosen(&state);
        let names: Vec<&str> = chosen.iter().map(|at| &*self.choices[*at].name).collect();
        term.write_line(&format!("{}: {}", self.question.text, names.join(", ")))?;
        Ok(chosen)
    }

    fn chosen(&self, state: &State) -> Vec<usize> {
        if !self.several {
            return vec![state.cursor];
        }
        (0..self.choices.len()).filter(|at| state.marked[*at]).collect()
    }

    fn press(&self, state: &mut State, key: &Key) {
        let last = self.choices.len().saturating_sub(1);
        match key {
            Key::ArrowDown | Key::Tab | Key::Char('j') => {
                state.cursor = if state.cursor == last { 0 } else { state.cursor + 1 };
            }
            Key::ArrowUp | Key::BackTab | Key::Char('k') => {
                state.cursor = state.cursor.checked_sub(1).unwrap_or(last);
            }
            Key::PageDown => state.cursor = (state.cursor + ROWS).min(last),
            Key::PageUp => state.cursor = state.cursor.saturating_sub(ROWS),
            Key::Home => state.cursor = 0,
            Key::End => state.cursor = last,
            Key::Char(' ') if self.several => state.marked[state.cursor] ^= true,
            Key::Char('a') if self.several => {
                let all = state.marked.iter().all(|marked| *marked);
                state.marked.fill(!all);
            }
            _ => {}
        }
    }

    /// The question and the visible rows, each at most one line on the screen.
    fn lines(&self, state: &mut State, rows: usize, columns: usize) -> Vec<String> {
        let columns = columns.saturating_sub(1);
        let seen = rows.saturating_sub(1).clamp(1, ROWS);
        state.top = state.top.clamp((state.cursor + 1).saturating_sub(seen), state.cursor);
        let shown = state.top..(state.top + seen).min(self.choices.len());
        let mut head = format!("{}:", self.question.text);
        if shown.len() < self.choices.len() {
            head.push_str(&format!(" {}-{} of {}", shown.start + 1, shown.end, self.choices.len()));
        }
        let head = cut(&head, columns);
        let hint = cut(self.question.hint, columns.saturating_sub(head.width() + 1));
        let head = format!("{head} {}", dim(&hint, self.question.color));
        let names = self.choices.iter().map(|choice| choice.name.width()).max().unwrap_or(0);
        // A screen with one line shows only the row.
        let head = (rows > 1).then_some(head);
        head.into_iter().chain(shown.map(|at| self.row(state, at, names.min(columns / 2), columns))).collect()
    }

    fn row(&self, state: &State, at: usize, names: usize, columns: usize) -> String {
        let choice = &self.choices[at];
        let cursor = if at == state.cursor { ">" } else { " " };
        let mark = match (self.several, state.marked[at]) {
            (false, _) => "",
            (true, true) => " [x]",
            (true, false) => " [ ]",
        };
        let name = cut(&choice.name, columns.saturating_sub(cursor.len() + mark.len() + 1));
        let start = format!("{cursor}{mark} {name}{}", " ".repeat(names.saturating_sub(name.width())));
        let room = columns.saturating_sub(start.width() + 2);
        let about = if room < MIN_ABOUT_WIDTH { String::new() } else { cut(&choice.about, room) };
        format!("{start}  {}", dim(&about, self.question.color)).trim_end().to_owned()
    }
}

//! Asks for one line of text. A long line scrolls sideways instead of wrapping.

use std::io;

use dialoguer::console::{Key, Term};
use dialoguer::theme::{SimpleTheme, Theme};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
use zeroize::Zeroizing;

use super::keys::Keys;
use super::{cancelled, cut, dim};
use crate::context::{Question, is_hidden};

/// More characters than an answer can have, so that the text is never moved in memory.
const CAPACITY: usize = 4_096;

pub fn ask(
    term: &Term,
    keys: &Keys<'_>,
    question: &Question<'_>,
    initial: &str,
) -> io::Result<Zeroizing<String>> {
    let mut line = Line::new(initial);
    let hint = if question.hint.is_empty() { String::new() } else { format!(" ({})", question.hint) };
    let columns = usize::from(term.size().1);
    // If there is not enough room, the hint is left out before the text is cut.
    let hint = if question.text.width() + hint.width() + 20 > columns { String::new() } else { hint };
    let head = format!("{}{}: ", cut(question.text, columns / 2), dim(&hint, question.color));
    let taken = cut(question.text, columns / 2).width() + hint.width() + 2;
    let draw = |line: &Line| {
        let room = usize::from(term.size().1).saturating_sub(taken + 1).max(4);
        let (before, after) = line.visible_part(room);
        // The terminal saves the position of the cursor, because only the terminal knows how wide its
        // characters are.
        term.write_str(&format!("\r{head}{before}\x1b7{after}\x1b[K\x1b8"))
    };
    if !edit(keys, &mut line, draw)? {
        term.write_line("")?;
        return Err(cancelled());
    }
    let all: String = line.text.iter().map(|c| drawn(*c)).collect();
    term.write_line(&format!("\r{}: {all}\x1b[K", question.text))?;
    Ok(line.into_text())
}

pub fn ask_hidden(term: &Term, keys: &Keys<'_>, question: &str) -> io::Result<Zeroizing<String>> {
    let mut line = Line::new("");
    let answered = edit(keys, &mut line, |_| term.write_str(&format!("\r{question}: \x1b[K")))?;
    term.write_line(if answered { "[hidden]" } else { "" })?;
    if answered { Ok(line.into_text()) } else { Err(cancelled()) }
}

/// Asks for yes or no. Enter means no, and Escape or `q` cancels the question.
pub fn confirm(term: &Term, keys: &Keys<'_>, question: &str) -> io::Result<bool> {
    let (theme, mut asked, mut answered) = (SimpleTheme, String::new(), String::new());
    theme.format_confirm_prompt(&mut asked, question, Some(false)).map_err(io::Error::other)?;
    term.write_str(&asked)?;
    let answer = loop {
        match keys.next() {
            Ok(Key::Char('y' | 'Y')) => break Ok(true),
            Ok(Key::Char('n' | 'N') | Key::Enter) => break Ok(false),
            Ok(Key::Escape | Key::Char('q' | '\x04')) => break Err(cancelled()),
            Ok(_) => {}
            Err(err) => break Err(err),
        }
    };
    if let Ok(answer) = answer {
        theme
            .format_confirm_prompt_selection(&mut answered, question, Some(answer))
            .map_err(io::Error::other)?;
        term.clear_line()?;
    }
    // The next output starts on a new line.
    term.write_line(&answered)?;
    answer
}

/// Reads keys until the line is finished. Returns false if it was cancelled.
fn edit(keys: &Keys<'_>, line: &mut Line, draw: impl Fn(&Line) -> io::Result<()>) -> io::Result<bool> {
    loop {
        draw(line)?;
        match keys.next() {
            Ok(Key::Enter) => return Ok(true),
            Ok(Key::Char('\x04')) if line.text.is_empty() => return Ok(false),
            Ok(key) => line.press(&key),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => return Ok(false),
            Err(err) => return Err(err),
        }
    }
}

/// The typed text, and the position of the cursor.
struct Line {
    text: Zeroizing<Vec<char>>,
    cursor: usize,
}

impl Line {
    fn new(initial: &str) -> Self {
        let mut text = Zeroizing::new(Vec::with_capacity(CAPACITY));
        text.extend(initial.chars().take(CAPACITY));
        Self { cursor: text.len(), text }
    }

    fn press(&mut self, key: &Key) {
        match key {
            Key::Char(c) if !c.is_control() && self.text.len() < CAPACITY => {
                self.text.insert(self.cursor, *c);
                self.cursor += 1;
            }
            Key::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.text.remove(self.cursor);
            }
            Key::Del | Key::Char('\x04') if self.cursor < self.text.len() => {
                self.text.remove(self.cursor);
            }
            Key::ArrowLeft => self.cursor = self.cursor.saturating_sub(1),
            Key::ArrowRight => self.cursor = (self.cursor + 1).min(self.text.len()),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = self.text.len(),
            // As in other programs, Ctrl-K deletes to the end, Ctrl-U to the start, and Ctrl-W the previous
            // word.
            Key::Char('\x0b') => self.text.truncate(self.cursor),
            Key::Char('\x15') => self.delete_back_to(0),
            Key::Char('\x17') => {
                let blank = |c: &char| c.is_whitespace();
                let word = self.text[..self.cursor].iter().rposition(|c| !blank(c)).unwrap_or(0);
                let start = self.text[..word].iter().rposition(blank).map_or(0, |at| at + 1);
                self.delete_back_to(start);
            }
            _ => {}
        }
    }

    fn delete_back_to(&mut self, start: usize) {
        self.text.drain(start..self.cursor);
        self.cursor = start;
    }

    /// The visible part in this many columns: the text before the cursor, and the text after it.
    fn visible_part(&self, room: usize) -> (String, String) {
        let mut left = room.saturating_sub(1);
        let mut fits = |c: &char| {
            let rest = left.checked_sub(drawn(*c).width().unwrap_or(0));
            left = rest.unwrap_or(0);
            rest.is_some()
        };
        let before = self.text[..self.cursor].iter().rev().take_while(|c| fits(c)).count();
        let after = self.text[self.cursor..].iter().take_while(|c| fits(c)).count();
        let text = |range: &[char]| range.iter().map(|c| drawn(*c)).collect();
        (
            text(&self.text[self.cursor - before..self.cursor]),
            text(&self.text[self.cursor..self.cursor + after]),
        )
    }

    fn into_text(self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.text.iter().map(|c| c.len_utf8()).sum()));
        text.extend(self.text.iter());
        text
    }
}

/// Replaces a character that could move the cursor or be hidden. A joiner or variation selector is kept,
/// because it changes its neighbours.
fn drawn(c: char) -> char {
    if is_hidden(c) && !matches!(c, '\u{fe0f}' | '\u{200c}' | '\u{200d}') {
        char::REPLACEMENT_CHARACTER
    } else {
        c
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(initial: &str, keys: &[Key]) -> Line {
        let mut line = Line::new(initial);
        for key in keys {
            line.press(key);
        }
        line
    }

    #[test]
    fn keys_edit_a_line_at_the_cursor() {
        let left = || Key::ArrowLeft;
        let text = |initial, keys: &[Key]| typed(initial, keys).into_text().to_string();
        assert_eq!(text("ab", &[Key::Char('c')]), "abc");
        assert_eq!(text("ac", &[left(), Key::Char('b'), Key::End, Key::Char('d')]), "abcd");
        assert_eq!(text("漢é", &[Key::Backspace, Key::Backspace, Key::Backspace]), "");
        assert_eq!(text("abc", &[Key::Home, Key::Del, Key::ArrowRight, Key::Char('\x04')]), "b");
        assert_eq!(text("one two  ", &[Key::Char('\x17')]), "one ");
        assert_eq!(text("one two", &[Key::Char('\x17'), Key::Char('\x17'), Key::Char('\x17')]), "");
        assert_eq!(text("one two", &[left(), Key::Char('\x15')]), "o");
        assert_eq!(text("one two", &[left(), Key::Char('\x0b')]), "one tw");
        assert_eq!(text("", &[Key::Char('\x1b'), Key::Char('\u{9b}'), Key::Tab, Key::Escape]), "");
    }

    #[test]
    fn a_line_scrolls_sideways_by_columns() {
        assert_eq!(typed("abc", &[]).visible_part(4), ("abc".to_owned(), String::new()));
        assert_eq!(typed("abcdef", &[]).visible_part(4), ("def".to_owned(), String::new()));
        assert_eq!(typed("漢字漢", &[]).visible_part(5), ("字漢".to_owned(), String::new()));
        assert_eq!(typed("abcdef", &[Key::Home]).visible_part(4), (String::new(), "abc".to_owned()));
        assert_eq!(
            typed("a\u{202e}\x1b", &[]).visible_part(9),
            ("a\u{fffd}\u{fffd}".to_owned(), String::new())
        );
    }
}

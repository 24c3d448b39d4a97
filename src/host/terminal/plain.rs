//! Questions for a dumb terminal: whole lines, and lists to choose from by number.

use std::io;

use dialoguer::console::Term;
use zeroize::Zeroizing;

use super::cancelled;
use super::keys::Keys;
use crate::context::{Choice, Question, shown};

/// More bytes than a terminal accepts in one line.
const MAX_BYTES: usize = 4_097;

pub fn confirm(term: &Term, keys: &Keys<'_>, question: &str) -> io::Result<bool> {
    let answer = prompt(term, keys, &format!("{question} [y/N] "))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Shows the current value. An empty line keeps it, and `-` clears it.
pub fn ask(
    term: &Term,
    keys: &Keys<'_>,
    question: &Question<'_>,
    initial: &str,
) -> io::Result<Zeroizing<String>> {
    let Question { text, hint, .. } = question;
    if initial.is_empty() {
        let hint = if hint.is_empty() { String::new() } else { format!(" ({hint})") };
        return prompt(term, keys, &format!("{text}{hint}: "));
    }
    let answer = prompt(term, keys, &format!("{text} [{}] (empty keeps it, - clears it): ", shown(initial)))?;
    Ok(match answer.as_str() {
        "" => Zeroizing::new(initial.to_owned()),
        "-" => Zeroizing::default(),
        _ => answer,
    })
}

pub fn ask_hidden(term: &Term, keys: &Keys<'_>, question: &str) -> io::Result<Zeroizing<String>> {
    let answer = prompt(term, keys, &format!("{question}: "));
    term.write_line("")?;
    answer
}

pub fn select(
    term: &Term,
    keys: &Keys<'_>,
    question: &Question<'_>,
    choices: &[Choice],
) -> io::Result<usize> {
    let preset = choices.iter().position(|choice| choice.chosen).unwrap_or(0);
    show(term, question, choices, false)?;
    loop {
        let answer = prompt(term, keys, &format!("number [{}]: ", preset + 1))?;
        match numbers(&answer, choices.len()).as_deref() {
            Some([]) => return Ok(preset),
            Some([at]) => return Ok(*at),
            _ => term.write_line(&format!("type one number from 1 to {}", choices.len()))?,
        }
    }
}

pub fn choose(
    term: &Term,
    keys: &Keys<'_>,
    question: &Question<'_>,
    choices: &[Choice],
) -> io::Result<Vec<usize>> {
    show(term, question, choices, true)?;
    let preset: Vec<usize> = (0..choices.len()).filter(|at| choices[*at].chosen).collect();
    loop {
        let answer = prompt(term, keys, "numbers, like 1,3 (empty keeps the marks, - clears them): ")?;
        match numbers(&answer, choices.len()) {
            Some(none) if none.is_empty() => return Ok(preset),
            Some(chosen) => return Ok(chosen),
            None if answer.trim() == "-" => return Ok(Vec::new()),
            None => term.write_line(&format!("type numbers from 1 to {}", choices.len()))?,
        }
    }
}

fn show(term: &Term, question: &Question<'_>, choices: &[Choice], several: bool) -> io::Result<()> {
    term.write_line(&format!("{}:", question.text))?;
    for (choice, number) in choices.iter().zip(1..) {
        let mark = match (several, choice.chosen) {
            (false, _) => "",
            (true, true) => "[x] ",
            (true, false) => "[ ] ",
        };
        let line = format!("{number:>3}  {mark}{}  {}", choice.name, choice.about);
        term.write_line(line.trim_end())?;
    }
    Ok(())
}

/// The indices for the numbers in an answer, in order. `None` unless all are numbers from 1 to `count`.
fn numbers(answer: &str, count: usize) -> Option<Vec<usize>> {
    let words = answer.split([',', ' ']).filter(|word| !word.is_empty());
    let index = |word: &str| word.parse::<usize>().ok().filter(|n| (1..=count).contains(n)).map(|n| n - 1);
    let mut indices = words.map(index).collect::<Option<Vec<usize>>>()?;
    indices.sort_unstable();
    indices.dedup();
    Some(indices)
}

/// Reads a line, without its newline. Fails at the end of input and after a request to exit.
fn prompt(term: &Term, keys: &Keys<'_>, text: &str) -> io::Result<Zeroizing<String>> {
    term.write_str(text)?;
    let answer = line(keys);
    if answer.is_err() {
        term.write_line("")?;
    }
    answer
}

fn line(keys: &Keys<'_>) -> io::Result<Zeroizing<String>> {
    keys.wait(None)?;
    // This reads directly from the terminal, which returns one line at a time. The buffer of std would keep a
    // copy.
    let mut bytes = Zeroizing::new([0; MAX_BYTES]);
    let read = rustix::io::read(io::stdin(), &mut bytes[..])?;
    if read == 0 {
        return Err(cancelled());
    }
    let text = Zeroizing::new(String::from_utf8_lossy(&bytes[..read]).into_owned());
    Ok(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn choices_are_numbered_from_one() {
        assert_eq!(numbers("", 3), Some(vec![]));
        assert_eq!(numbers("3, 1 1", 3), Some(vec![0, 2]));
        for text in ["0", "4", "x", "-1", "1,x"] {
            assert_eq!(numbers(text, 3), None, "{text}");
        }
    }
}

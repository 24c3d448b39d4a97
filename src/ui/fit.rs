//! Cuts or wraps text to the columns of a terminal.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// The longest beginning of a text that is not wider than this.
fn start(text: &str, width: usize) -> &str {
    let ends = text.grapheme_indices(true).map(|(at, glyph)| at + glyph.len());
    let end = ends.take_while(|end| text[..*end].width() <= width).last().unwrap_or(0);
    &text[..end]
}

/// The longest end of a text that is not wider than this.
fn end_of(text: &str, width: usize) -> &str {
    let starts = text.grapheme_indices(true).map(|(at, _)| at).rev();
    let start = starts.take_while(|start| text[*start..].width() <= width).last().unwrap_or(text.len());
    &text[start..]
}

/// Cuts a text at its end, and puts a mark there.
pub fn cut(text: &str, width: usize, mark: &str) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    match width.checked_sub(mark.width()) {
        Some(room) => format!("{}{mark}", start(text, room)),
        None => start(text, width).to_owned(),
    }
}

/// Cuts a text in its middle, and puts a mark there, since similar names often differ at their ends.
pub fn cut_middle(text: &str, width: usize, mark: &str) -> String {
    match width.checked_sub(mark.width()) {
        Some(room) if text.width() > width => {
            format!("{}{mark}{}", start(text, room.div_ceil(2)), end_of(text, room / 2))
        }
        _ => cut(text, width, mark),
    }
}

/// Breaks a text into lines that are not wider than this, at blanks and after commas, and within words only if
/// they are longer than a line.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for mut piece in text.split_inclusive([' ', ',']) {
        if !line.is_empty() && format!("{line}{piece}").trim_end().width() > width {
            lines.push(line.trim_end().to_owned());
            line.clear();
        }
        while piece.trim_end().width() > width {
            // A line takes at least one glyph, however narrow it is.
            let glyph = piece.graphemes(true).next().map_or(piece.len(), str::len);
            let (head, rest) = piece.split_at(start(piece, width).len().max(glyph));
            lines.push(head.to_owned());
            piece = rest;
        }
        line.push_str(piece);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_text_is_as_wide_as_it_may_be() {
        assert_eq!(cut("abcdef", 6, "…"), "abcdef");
        assert_eq!(cut("abcdef", 5, "…"), "abcd…");
        assert_eq!(cut("abcdef", 5, "..."), "ab...");
        assert_eq!(cut("abcdef", 2, "..."), "ab");
        assert_eq!(cut("日本語", 4, "…"), "日…");
        assert_eq!(cut_middle("deploy-eu-west-1", 9, "…"), "depl…st-1");
        assert_eq!(cut_middle("deploy-eu-west-1", 10, "..."), "depl...t-1");
        assert_eq!(cut_middle("deploy", 6, "…"), "deploy");
        assert_eq!(cut_middle("🇩🇪🇫🇷🇮🇹", 5, "…"), "🇩🇪…🇮🇹");
    }

    #[test]
    fn lines_break_at_blanks_and_after_commas() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a:read,b:read,c:read", 14), ["a:read,b:read,", "c:read"]);
        assert_eq!(wrap("abcdefgh ij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("日本語", 1), ["日", "本", "語"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("a  b", 4), ["a  b"]);
    }
}

//! Tables with aligned columns, whose lines are not wider than the screen.
//!
//! If the screen is too narrow for all columns, a list leaves out the last ones; in other tables each row
//! continues on indented lines. Without a screen, columns are as wide as their cells. Empty columns are left
//! out.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Color, ColumnConstraint, ContentArrangement, Width};
use unicode_width::UnicodeWidthStr;

use super::{Ink, Screen, fit};

/// How a cell that is wider than its column is shown, and how narrow the column may become.
#[derive(Debug, Clone, Copy)]
pub enum Fill {
    /// The column is as wide as its widest cell.
    Whole,
    /// It is cut at its end.
    Cut(usize),
    /// It is cut in its middle.
    CutMiddle(usize),
    /// It continues on the next line.
    Wrap(usize),
}

#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub heading: &'static str,
    pub fill: Fill,
    /// Blanks before the next column.
    pub gap: usize,
}

impl Column {
    pub const fn new(heading: &'static str, fill: Fill) -> Self {
        Self { heading, fill, gap: 2 }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Cell {
    pub text: String,
    pub ink: Option<Ink>,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), ink: None }
    }
}

pub struct Table {
    pub screen: Screen,
    pub columns: Vec<Column>,
    /// Blanks before each row.
    pub indent: usize,
    /// Whether the last columns may be left out.
    pub drops: bool,
    /// The width of the widest cell so far in each column, including its heading if there is any text.
    wants: Vec<usize>,
}

/// A column on a line: its index and its width.
type Slot = (usize, usize);

impl Table {
    pub fn new(screen: Screen, columns: impl Into<Vec<Column>>) -> Self {
        let columns = columns.into();
        let wants = vec![0; columns.len()];
        Self { screen, columns, indent: 0, drops: false, wants }
    }

    #[must_use]
    pub fn indented(self, indent: usize) -> Self {
        Self { indent, ..self }
    }

    /// Writes these rows below a heading.
    pub fn headed(&mut self, rows: Vec<Vec<Cell>>) -> String {
        let rows = self.measured(rows);
        let lines = self.lines();
        let heading = |column: &Column| Cell { text: column.heading.to_owned(), ink: Some(Ink::Dim) };
        let mut all = vec![self.columns.iter().map(heading).collect()];
        all.extend(rows);
        self.drawn(&all, &lines)
    }

    /// Writes these rows. Columns only get wider from page to page.
    pub fn rows(&mut self, rows: Vec<Vec<Cell>>) -> String {
        let rows = self.measured(rows);
        self.drawn(&rows, &self.lines())
    }

    fn drawn(&self, rows: &[Vec<Cell>], lines: &[Vec<Slot>]) -> String {
        if let [slots] = lines {
            return self.grid(0, slots, rows);
        }
        let mut text = String::new();
        for row in rows {
            for (number, slots) in lines.iter().enumerate() {
                // An empty cell gets no line.
                if slots.iter().any(|(at, _)| row.get(*at).is_some_and(|cell| !cell.text.is_empty())) {
                    text.push_str(&self.grid(number, slots, std::slice::from_ref(row)));
                }
            }
        }
        text
    }

    fn measured(&mut self, mut rows: Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
        for cell in rows.iter_mut().flatten() {
            self.screen.spell(&mut cell.text);
        }
        for (at, want) in self.wants.iter_mut().enumerate() {
            let widest = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.text.width()).max();
            if let Some(widest) = widest.filter(|widest| *widest > 0) {
                *want = self.columns[at].heading.width().max(widest).max(*want);
            }
        }
        rows
    }

    /// The columns of each line of a row, and their widths.
    fn lines(&self) -> Vec<Vec<Slot>> {
        let mut lines: Vec<Vec<Slot>> = vec![Vec::new()];
        for at in (0..self.columns.len()).filter(|at| self.wants[*at] > 0) {
            let number = lines.len() - 1;
            let gap = lines[number].last().map_or(0, |(last, _)| self.columns[*last].gap);
            let room = self.spare(number, &lines[number]).saturating_sub(gap);
            let least = self.least(at);
            if least <= room || lines[number].is_empty() {
                lines[number].push((at, least.min(room)));
            } else if self.drops {
                break;
            } else {
                lines.push(vec![(at, least.min(self.spare(number + 1, &[])))]);
            }
        }
        for (number, line) in lines.iter_mut().enumerate() {
            let mut spare = self.spare(number, line);
            for (at, width) in line {
                let more = self.wants[*at].saturating_sub(*width).min(spare);
                *width += more;
                spare -= more;
            }
        }
        lines
    }

    /// The columns of the screen that a line of a row leaves free.
    fn spare(&self, number: usize, slots: &[Slot]) -> usize {
        let gaps = slots.iter().rev().skip(1).map(|(at, _)| self.columns[*at].gap);
        let used: usize = gaps.chain(slots.iter().map(|(_, width)| *width)).sum();
        self.screen.width.unwrap_or(usize::MAX).saturating_sub(self.hang(number) + used)
    }

    /// How narrow a column may become.
    fn least(&self, at: usize) -> usize {
        let Column { heading, fill, .. } = self.columns[at];
        match fill {
            Fill::Whole => self.wants[at],
            Fill::Cut(least) | Fill::CutMiddle(least) | Fill::Wrap(least) => {
                self.wants[at].min(least.max(heading.width()))
            }
        }
    }

    /// The indentation of a line of a row.
    fn hang(&self, line: usize) -> usize {
        let hang = if line == 0 { self.indent } else { self.indent + 2 };
        hang.min(self.screen.width.unwrap_or(usize::MAX).saturating_sub(1))
    }

    /// The cells of one line of these rows.
    fn grid(&self, number: usize, slots: &[Slot], rows: &[Vec<Cell>]) -> String {
        let mut grid = comfy_table::Table::new();
        grid.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).force_no_tty();
        if self.screen.style.color {
            grid.enforce_styling();
        }
        let none = Cell::default();
        for row in rows {
            grid.add_row(slots.iter().map(|(at, width)| {
                let cell = row.get(*at).unwrap_or(&none);
                let drawn = comfy_table::Cell::new(self.fitted(&cell.text, *at, *width).join("\n"));
                match cell.ink {
                    Some(ink) => inked(drawn, ink),
                    None => drawn,
                }
            }));
        }
        let last = slots.len().saturating_sub(1);
        for (place, (column, (at, width))) in grid.column_iter_mut().zip(slots).enumerate() {
            let padding = (
                if place == 0 { self.hang(number) } else { 0 },
                if place == last { 0 } else { self.columns[*at].gap },
            );
            let short = |columns: usize| u16::try_from(columns).unwrap_or(u16::MAX);
            column.set_padding((short(padding.0), short(padding.1)));
            let width = Width::Fixed(short(padding.0 + width + padding.1));
            column.set_constraint(ColumnConstraint::Absolute(width));
        }
        let text = grid.trim_fmt();
        if text.is_empty() { text } else { format!("{text}\n") }
    }

    fn fitted(&self, text: &str, column: usize, width: usize) -> Vec<String> {
        let mark = self.screen.mark();
        match self.columns[column].fill {
            _ if text.width() <= width => vec![text.to_owned()],
            Fill::Cut(_) => vec![fit::cut(text, width, mark)],
            Fill::CutMiddle(_) => vec![fit::cut_middle(text, width, mark)],
            Fill::Whole if self.drops => vec![fit::cut(text, width, mark)],
            Fill::Whole | Fill::Wrap(_) => fit::wrap(text, width),
        }
    }
}

fn inked(cell: comfy_table::Cell, ink: Ink) -> comfy_table::Cell {
    match ink {
        Ink::Bold => cell.add_attribute(Attribute::Bold),
        Ink::Dim => cell.add_attribute(Attribute::Dim),
        Ink::Red => cell.fg(Color::DarkRed),
        Ink::Green => cell.fg(Color::DarkGreen),
        Ink::Yellow => cell.fg(Color::DarkYellow),
    }
}

//! Aligned tables for terminals and pipes: what a character looks like, how wide it is, and what is
//! left out where the terminal is too narrow. Knows nothing of what the cells mean.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns between two columns.
const GAP: usize = 2;
/// No elided column gets narrower than this.
const NARROWEST: usize = 12;
/// Colours of labels, in the order in which labels appear: cyan, magenta, yellow, green, blue, red.
const COLOURS: [u8; 6] = [36, 35, 33, 32, 34, 31];

/// How a table shall look where it is going.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal; `None` for a pipe or a file, where nothing is elided.
    pub width: Option<usize>,
    /// Whether escape sequences may be used.
    pub colour: bool,
}

/// On which side a column's cells are flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The title.
    pub title: &'static str,
    /// Where its cells are flush.
    pub align: Align,
    /// Whether its cells may be elided.
    pub elastic: bool,
}

impl Column {
    /// A column of text.
    pub const fn text(title: &'static str) -> Self {
        Self {
            title,
            align: Align::Left,
            elastic: false,
        }
    }

    /// A column of numbers.
    pub const fn number(title: &'static str) -> Self {
        Self {
            title,
            align: Align::Right,
            elastic: false,
        }
    }

    /// A column of text that may be elided.
    pub const fn elastic(title: &'static str) -> Self {
        Self {
            title,
            align: Align::Left,
            elastic: true,
        }
    }
}

/// A cell: printable text, and the number of a colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    colour: Option<usize>,
}

impl Cell {
    /// A cell in the colour of the `number`th label.
    pub fn coloured(text: &str, number: usize) -> Self {
        Self {
            text: visible(text),
            colour: Some(number),
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: visible(text.as_ref()),
            colour: None,
        }
    }
}

/// A table under construction.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    titles: bool,
    rows: Vec<Vec<Cell>>,
    /// What the widest cells of earlier pages took.
    widest: Vec<usize>,
}

impl Table {
    /// An empty table.
    pub fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self {
            columns: columns.into(),
            titles: true,
            rows: Vec::new(),
            widest: Vec::new(),
        }
    }

    /// An empty table without a line of titles, for names and values.
    pub fn pairs() -> Self {
        Self {
            columns: vec![Column::text(""), Column::text("")],
            titles: false,
            rows: Vec::new(),
            widest: Vec::new(),
        }
    }

    /// Adds a row; one cell for each column.
    pub fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        let cells = cells.into();
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The rows so far, as a page of a table that goes on: the first has the titles, and no column is narrower than on earlier ones.
    pub fn take(&mut self, style: Style) -> String {
        let page = self.render(style);
        self.widest = self.needed();
        self.titles = false;
        self.rows.clear();
        page
    }

    /// The finished table; each line ends in a line feed and has no blanks before it.
    pub fn render(&self, style: Style) -> String {
        let widths = self.widths(style.width);
        let mut out = String::new();
        if self.titles {
            let titles: Vec<Cell> = self.columns.iter().map(|c| c.title.into()).collect();
            self.line(&mut out, &titles, &widths, style);
        }
        for row in &self.rows {
            self.line(&mut out, row, &widths, style);
        }
        out
    }

    /// The width of each column's widest cell.
    fn needed(&self) -> Vec<usize> {
        let columns = self.columns.iter().enumerate();
        let widest = columns.map(|(at, column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(at));
            let cells = cells.map(|cell| cell.text.width());
            let title = if self.titles { column.title.width() } else { 0 };
            let earlier = self.widest.get(at).copied().unwrap_or(0);
            cells.max().unwrap_or(0).max(title).max(earlier)
        });
        widest.collect()
    }

    /// The width of each column, so that the elastic ones give way, the widest first.
    fn widths(&self, available: Option<usize>) -> Vec<usize> {
        let mut widths = self.needed();
        let Some(available) = available else {
            return widths;
        };
        let gaps = GAP * self.columns.len().saturating_sub(1);
        let mut excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(available);
        while excess > 0 {
            let mut elastic: Vec<(usize, usize)> = widths
                .iter()
                .copied()
                .enumerate()
                .filter(|&(at, width)| {
                    self.columns.get(at).is_some_and(|column| column.elastic) && width > NARROWEST
                })
                .map(|(at, width)| (width, at))
                .collect();
            elastic.sort_unstable();
            let Some((widest, at)) = elastic.pop() else {
                break;
            };
            let next = elastic.last().map_or(NARROWEST, |&(width, _)| width);
            // Down to the next one's width; equal ones give way one column at a time.
            let give = (widest - next.max(NARROWEST)).clamp(1, excess);
            if let Some(width) = widths.get_mut(at) {
                *width -= give;
            }
            excess -= give;
        }
        widths
    }

    fn line(&self, out: &mut String, cells: &[Cell], widths: &[usize], style: Style) {
        let start = out.len();
        for (at, ((cell, column), &width)) in cells.iter().zip(&self.columns).zip(widths).enumerate() {
            if at > 0 {
                out.push_str(&" ".repeat(GAP));
            }
            let text = elide(&cell.text, width);
            let blanks = " ".repeat(width.saturating_sub(text.width()));
            if column.align == Align::Right {
                out.push_str(&blanks);
            }
            match cell.colour.filter(|_| style.colour) {
                Some(number) => out.push_str(&coloured(&text, number)),
                None => out.push_str(&text),
            }
            if column.align == Align::Left {
                out.push_str(&blanks);
            }
        }
        let end = out.trim_end_matches(' ').len().max(start);
        out.truncate(end);
        out.push('\n');
    }
}

fn coloured(text: &str, number: usize) -> String {
    let colour = COLOURS.get(number % COLOURS.len()).copied().unwrap_or(0);
    format!("\u{1b}[{colour}m{text}\u{1b}[0m")
}

/// Text with everything that would act on a terminal, or hide in it, written out: control
/// characters, invisible ones, and those that turn the direction of writing around.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if is_hidden(character) => {
                out.push_str(&format!("\\u{{{:x}}}", u32::from(character)));
            }
            _ => out.push(character),
        }
    }
    out
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        )
}

/// Text that is at most `width` columns wide; where something was cut off it ends in `…`.
pub fn elide(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used + 1 > width {
            break;
        }
        out.push(character);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new([
            Column::number("begin"),
            Column::text("label"),
            Column::elastic("text"),
        ]);
        table.row([Cell::from("0"), Cell::coloured("DISEASE", 0), "flu".into()]);
        table.row([
            Cell::from("1234"),
            Cell::coloured("X", 1),
            "chronic obstructive pulmonary disease".into(),
        ]);
        table
    }

    #[test]
    fn columns_are_aligned_and_lines_end_without_blanks() {
        assert_eq!(
            sample().render(Style::default()),
            "begin  label    text\n    0  DISEASE  flu\n 1234  X        chronic obstructive pulmonary disease\n"
        );
    }

    #[test]
    fn pages_of_a_table_are_aligned_and_titled_once() {
        let mut table = sample();
        let first = table.take(Style::default());
        assert_eq!(first, sample().render(Style::default()));
        assert_eq!(table.rows(), 0, "what was taken is kept by nobody");
        table.row(["7".into(), "DRUG".into(), Cell::from("aspirin")]);
        assert_eq!(table.take(Style::default()), "    7  DRUG     aspirin\n");
        assert_eq!(table.take(Style::default()), "");
    }

    #[test]
    fn a_narrow_terminal_elides_the_elastic_column() {
        let style = Style {
            width: Some(36),
            colour: false,
        };
        let text = sample().render(style);
        assert_eq!(text.lines().nth(2), Some(" 1234  X        chronic obstructive…"));
        assert!(text.lines().all(|line| line.width() <= 36));
    }

    #[test]
    fn two_elastic_columns_give_way_alike() {
        let mut table = Table::new([Column::elastic("a"), Column::elastic("b")]);
        table.row(["x".repeat(60).as_str().into(), Cell::from("y".repeat(40))]);
        assert_eq!(table.widths(Some(52)), [25, 25]);
        assert_eq!(table.widths(Some(92)), [50, 40]);
        assert_eq!(table.widths(Some(5)), [12, 12]);
        assert_eq!(table.widths(None), [60, 40]);
    }

    #[test]
    fn colour_does_not_move_a_column() {
        let plain = sample().render(Style::default());
        let colourful = sample().render(Style {
            width: None,
            colour: true,
        });
        assert!(colourful.contains("\u{1b}[36mDISEASE\u{1b}[0m"));
        let stripped = colourful
            .replace("\u{1b}[36m", "")
            .replace("\u{1b}[35m", "")
            .replace("\u{1b}[0m", "");
        assert_eq!(stripped, plain);
    }

    #[test]
    fn wide_characters_count_twice() {
        let mut table = Table::new([Column::text("a"), Column::text("b")]);
        table.row(["糖尿病".into(), Cell::from("x")]);
        table.row(["flu".into(), Cell::from("y")]);
        assert_eq!(
            table.render(Style::default()),
            "a       b\n糖尿病  x\nflu     y\n"
        );
    }

    #[test]
    fn nothing_acts_on_the_terminal() {
        assert_eq!(
            visible("a\u{1b}[31mb\r\n\tc\0\u{202e}d\u{9b}\u{feff}é"),
            "a\\u{1b}[31mb\\r\\n\\tc\\u{0}\\u{202e}d\\u{9b}\\u{feff}é"
        );
    }

    #[test]
    fn elision_fits_exactly() {
        assert_eq!(elide("diabetes", 8), "diabetes");
        assert_eq!(elide("diabetes", 7), "diabet…");
        assert_eq!(elide("糖尿病", 4), "糖…");
        assert_eq!(elide("糖尿病", 5), "糖尿…");
        assert_eq!(elide("x", 0), "");
    }

    #[test]
    fn pairs_have_no_titles() {
        let mut table = Table::pairs();
        table.row(["state".into(), Cell::from("ready")]);
        table.row(["pid".into(), Cell::from("7")]);
        assert_eq!(table.render(Style::default()), "state  ready\npid    7\n");
    }
}

//! Text as a reader sees it: runs of white space are one space, blocks begin lines, cells of a row are parted by tabs.

use mednerd_plugin::Decoded;

use crate::pieces::Pieces;

/// What stands between two words; the strongest of those that are asked for counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Break {
    Nothing,
    /// White space of the source.
    Space,
    Tab,
    Line,
    /// A line and an empty one.
    Blank,
}

/// The text of a document as it grows.
pub struct Flow {
    pieces: Pieces,
    /// What the next word is parted by from the last one.
    between: Break,
    /// Where white space stood in the source that parts them.
    space: Option<(usize, usize)>,
    /// Stands before the next word: of an item.
    marker: &'static str,
    /// A row has text in a cell.
    in_row: bool,
    /// A cell has begun, and nothing is in it.
    cell_is_empty: bool,
    /// The cell has several lines.
    has_lines: bool,
}

impl Flow {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            pieces: Pieces::default(),
            between: Break::Nothing,
            space: None,
            marker: "",
            in_row: false,
            cell_is_empty: false,
            has_lines: false,
        }
    }

    /// All of it.
    pub fn finish(mut self) -> Decoded {
        if !self.pieces.is_empty() {
            let end = self.pieces.end();
            self.pieces.replace("\n", end, end);
        }
        self.pieces.finish()
    }

    /// Text that stands in the source at `at`, its white space as it may be.
    pub fn text(&mut self, text: &str, at: usize) {
        let mut at = at;
        // A word, and the character behind it that belongs to none.
        for part in text.split_inclusive(|c| is_space(c) || is_nothing(c)) {
            let word = part.trim_end_matches(|c| is_space(c) || is_nothing(c));
            if !word.is_empty() {
                self.verbatim(word, at);
            }
            let rest = part.get(word.len()..).unwrap_or_default();
            if rest.contains(is_space) {
                self.space(at + word.len(), at + part.len());
            }
            at += part.len();
        }
    }

    /// Characters that `begin..end` of the source stands for.
    pub fn meaning(&mut self, characters: &str, begin: usize, end: usize) {
        match () {
            () if characters.chars().all(is_nothing) => {}
            () if characters.chars().all(is_space) => self.space(begin, end),
            () => {
                self.part(begin);
                self.pieces.replace(characters, begin, end);
            }
        }
    }

    /// Text that stands in the source at `at`, and means each of its spaces and line ends.
    pub fn verbatim(&mut self, text: &str, at: usize) {
        self.part(at);
        self.has_lines |= text.contains('\n');
        self.pieces.copy(text, at);
    }

    fn space(&mut self, begin: usize, end: usize) {
        if self.between <= Break::Space {
            self.between = Break::Space;
            self.space = Some((self.space.map_or(begin, |space| space.0), end));
        }
    }

    /// What comes next stands apart within its line.
    pub fn apart(&mut self) {
        self.ask(Break::Space);
    }

    /// What comes next stands above the line.
    pub fn raise(&mut self) {
        if self.between == Break::Nothing {
            self.pieces.raise();
        }
    }

    /// Writes what stands before a word that begins at `at`.
    fn part(&mut self, at: usize) {
        let (begin, end) = self.space.take().unwrap_or((at, at));
        self.has_lines |= self.between >= Break::Line && !self.cell_is_empty;
        let separator = match std::mem::replace(&mut self.between, Break::Nothing) {
            _ if self.pieces.is_empty() => "",
            Break::Nothing => "",
            Break::Space => {
                self.pieces.replace(" ", begin, end);
                ""
            }
            Break::Tab => "\t",
            Break::Line => "\n",
            Break::Blank => "\n\n",
        };
        for inserted in [separator, std::mem::take(&mut self.marker)] {
            if !inserted.is_empty() {
                self.pieces.replace(inserted, at, at);
            }
        }
        self.in_row = true;
        self.cell_is_empty = false;
    }

    fn ask(&mut self, wanted: Break) {
        if !self.cell_is_empty {
            self.between = self.between.max(wanted);
        }
    }

    /// A block begins or ends.
    pub fn line(&mut self) {
        self.ask(Break::Line);
    }

    /// A line ends; where one has just ended, an empty one.
    pub fn end_line(&mut self) {
        self.ask(match self.between {
            Break::Line => Break::Blank,
            _ => Break::Line,
        });
    }

    /// A heading begins, or what else has an empty line before it.
    pub fn blank(&mut self) {
        self.ask(Break::Blank);
    }

    /// An item of a list begins.
    pub fn item(&mut self) {
        self.line();
        self.marker = "- ";
    }

    /// An item ends, and perhaps had nothing in it.
    pub fn end_item(&mut self) {
        self.line();
        self.marker = "";
    }

    /// A row of a table begins or ends.
    pub fn row(&mut self) {
        self.cell_is_empty = false;
        self.line();
        self.in_row = false;
    }

    /// A cell of a row begins. Behind one of several lines it is on a line of its own, or what it says would be said of the last of them.
    pub fn cell(&mut self) {
        match self.in_row && !self.has_lines {
            // Blocks that end in a cell do not end the row.
            true => self.between = Break::Tab,
            false => self.line(),
        }
        self.marker = "";
        self.cell_is_empty = true;
        self.has_lines = false;
    }
}

/// White space, which parts words.
fn is_space(c: char) -> bool {
    c.is_whitespace()
}

/// Characters that nobody sees: where a word may be parted, or must not be, and which way it is written.
pub fn is_nothing(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\0'
    )
}

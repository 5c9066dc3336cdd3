//! A decoded text as it grows, in as few pieces as its source allows.

use mednerd_plugin::Decoded;

/// The text so far.
#[derive(Default)]
pub struct Pieces {
    decoded: Decoded,
    /// Where the last piece ends in the source, if it stands there as it is: what follows it there becomes a part of it.
    copied: Option<usize>,
    /// The next text stands above the line.
    is_raised: bool,
}

impl Pieces {
    /// Appends what stands in the source at `begin`.
    pub fn copy(&mut self, text: &str, begin: usize) {
        self.power(text, begin);
        let end = begin + text.len();
        match self.decoded.pieces.last_mut() {
            Some(last) if self.copied == Some(begin) => {
                self.decoded.text.push_str(text);
                last.text_end += text.len();
                last.source_end = end;
            }
            _ => self.decoded.copy(text, begin),
        }
        self.copied = Some(end);
    }

    /// Appends what `begin..end` of the source stands for.
    pub fn replace(&mut self, text: &str, begin: usize, end: usize) {
        self.power(text, begin);
        self.decoded.replace(text, begin, end);
        self.copied = None;
    }

    /// What comes next stands above the line.
    pub fn raise(&mut self) {
        self.is_raised = true;
    }

    /// A number above the line is none of the number or word that it stands at, of which it is the power or a note: `10^9`, not 109. Units
    /// and formulas stay whole: `m2`, `Ca2+`.
    fn power(&mut self, text: &str, at: usize) {
        if !std::mem::take(&mut self.is_raised) {
            return;
        }
        let number = text.strip_prefix(['-', '−', '–']).unwrap_or(text);
        let is_digit = |c: char| c.is_ascii_digit();
        let before = self.decoded.text.chars().rev().take(3);
        let is_word = before.filter(|c| c.is_alphabetic()).count() == 3;
        if number.starts_with(is_digit) && (is_word || self.decoded.text.ends_with(is_digit)) {
            self.decoded.replace("^", at, at);
            self.copied = None;
        }
    }

    /// Whether there is no text yet.
    pub fn is_empty(&self) -> bool {
        self.decoded.text.is_empty()
    }

    /// Whether nothing stands before what comes next in its line.
    pub fn is_at_line(&self) -> bool {
        self.is_empty() || self.decoded.text.ends_with('\n')
    }

    /// Where in the source the last piece ends.
    pub fn end(&self) -> usize {
        self.decoded.pieces.last().map_or(0, |piece| piece.source_end)
    }

    /// All of it.
    pub fn finish(self) -> Decoded {
        self.decoded
    }
}

//! A decoded text as it grows, in as few pieces as its source allows.

use mednerd_plugin::Decoded;

/// The text so far.
#[derive(Default)]
pub struct Pieces {
    decoded: Decoded,
    /// Where the last piece ends in the source, if it stands there as it is: what follows it there becomes a part of it.
    copied: Option<usize>,
}

impl Pieces {
    /// Appends what stands in the source at `begin`.
    pub fn copy(&mut self, text: &str, begin: usize) {
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
        self.decoded.replace(text, begin, end);
        self.copied = None;
    }

    /// Whether there is no text yet.
    pub fn is_empty(&self) -> bool {
        self.decoded.text.is_empty()
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

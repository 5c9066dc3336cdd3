//! A document as received, where a plugin made of it the text that models read: the way back from a place in
//! that text to the place in the document.

use std::sync::Arc;

use mednerd_plugin::Decoded;

/// A document as received. Cloning shares it.
#[derive(Clone, Debug)]
pub enum Source {
    /// It came as a text.
    Text(Arc<str>),
    /// It came as bytes, which need not be UTF-8.
    Bytes(Arc<[u8]>),
}

impl Source {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// It, where it came as a text.
    pub fn text(&self) -> Option<&Arc<str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bytes(_) => None,
        }
    }
}

/// A document as received, with the map of its text.
#[derive(Debug)]
pub struct Original {
    source: Source,
    parts: Vec<Part>,
}

/// A part of the text and what it was made of; both in bytes.
#[derive(Debug)]
struct Part {
    begin: usize,
    end: usize,
    source_begin: usize,
    source_end: usize,
    /// Equal to its source, byte by byte; else it is indivisible.
    copy: bool,
}

impl Original {
    /// The document `source` that was decoded to `decoded`, which
    /// [was checked](mednerd_plugin::contract::decoded) against it.
    pub fn new(source: Source, decoded: &Decoded) -> Self {
        let parts = decoded.pieces.iter().map(|piece| {
            let text = decoded.text.get(piece.text_begin..piece.text_end);
            Part {
                begin: piece.text_begin,
                end: piece.text_end,
                source_begin: piece.source_begin,
                source_end: piece.source_end,
                // Its length alone is the plugin's word for it.
                copy: text.map(str::as_bytes) == source.bytes().get(piece.source_begin..piece.source_end),
            }
        });
        Self {
            parts: parts.collect(),
            source,
        }
    }

    /// The document.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Where `begin..end` of the text stands in the document: from the first byte of what its first character was made
    /// of to the last byte of what its last one was. `None` where it was made of nothing in the document.
    pub fn place(&self, begin: usize, end: usize) -> Option<(usize, usize)> {
        let last = self.part(end.checked_sub(1).filter(|_| begin < end)?)?;
        let first = self.part(begin)?;
        let from = match first.copy {
            true => first.source_begin + (begin - first.begin),
            false => first.source_begin,
        };
        let to = match last.copy {
            true => last.source_end - (last.end - end),
            false => last.source_end,
        };
        (from < to).then_some((from, to))
    }

    fn part(&self, at: usize) -> Option<&Part> {
        let index = self.parts.partition_point(|part| part.end <= at);
        self.parts.get(index).filter(|part| part.begin <= at)
    }
}

#[cfg(test)]
mod tests {
    use mednerd_plugin::contract;
    use proptest::prelude::*;

    use super::*;

    fn original(source: &str, build: impl FnOnce(&mut Decoded)) -> Original {
        let mut decoded = Decoded::default();
        build(&mut decoded);
        contract::decoded(&decoded, source.as_bytes(), 1000).unwrap();
        contract::on_characters(&decoded, source).unwrap();
        Original::new(Source::Text(source.into()), &decoded)
    }

    #[test]
    fn a_place_in_the_text_is_found_in_the_document() {
        // "A\T\B é" is "A&B é", and a line is added that the document does not have.
        let original = original("A\\T\\B é", |decoded| {
            decoded.copy("A", 0);
            decoded.replace("&", 1, 4);
            decoded.copy("B é", 4);
            decoded.replace("\nend", 8, 8);
        });
        for ((begin, end), expected) in [
            ((0, 1), Some((0, 1))),
            ((0, 3), Some((0, 5))),
            ((1, 2), Some((1, 4))),
            ((2, 6), Some((4, 8))),
            ((4, 8), Some((6, 8))),
            ((2, 2), None),
            ((3, 99), None),
            ((7, 9), None),
        ] {
            assert_eq!(original.place(begin, end), expected, "{begin}..{end}");
        }
    }

    #[test]
    fn a_part_that_only_is_as_long_as_its_source_is_not_divided() {
        let original = original("€ pain", |decoded| {
            decoded.replace("EUR", 0, 3);
            decoded.copy(" pain", 3);
        });
        assert_eq!(original.place(1, 2), Some((0, 3)), "not within the euro sign");
        assert_eq!(original.place(4, 8), Some((4, 8)));
    }

    proptest! {
        /// Whatever a decoder that keeps the contract does, a place lies on characters and goes forward.
        #[test]
        fn places_lie_on_characters_and_keep_their_order(
            parts in proptest::collection::vec(("[a-cé€🦴]{0,3}", "[a-cé€🦴]{1,3}", any::<bool>()), 1..20),
        ) {
            let mut source = String::new();
            let mut decoded = Decoded::default();
            for (from, to, copy) in &parts {
                let begin = source.len();
                source.push_str(from);
                if *copy {
                    decoded.copy(from, begin);
                } else {
                    decoded.replace(to, begin, source.len());
                }
            }
            prop_assert_eq!(contract::decoded(&decoded, source.as_bytes(), 10_000), Ok(()));
            prop_assert_eq!(contract::on_characters(&decoded, &source), Ok(()));
            let text = decoded.text.clone();
            let original = Original::new(Source::Text(source.as_str().into()), &decoded);
            let marks: Vec<usize> = (0..=text.len()).filter(|&at| text.is_char_boundary(at)).collect();
            for (index, &begin) in marks.iter().enumerate() {
                let mut before = 0;
                for &end in marks.iter().skip(index) {
                    let Some((from, to)) = original.place(begin, end) else { continue };
                    prop_assert!(source.get(from..to).is_some_and(|part| !part.is_empty()));
                    prop_assert!(to >= before);
                    before = to;
                }
            }
        }
    }
}

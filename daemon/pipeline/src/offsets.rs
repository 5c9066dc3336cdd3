//! Offset units and the map from a byte offset to each of them. Inside mednerd a position is a UTF-8 byte
//! offset; other units exist only at the edge, and this is the only place that converts.

/// Unit in which a client counts positions and lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OffsetUnit {
    /// Unicode scalar values, as Python's `str` counts.
    #[default]
    UnicodeCodePoint,
    /// UTF-16 code units, as Java, JavaScript and .NET count.
    Utf16CodeUnit,
    /// UTF-8 bytes, as Rust and Go count.
    Utf8Byte,
}

/// Bytes between two checkpoints: a conversion counts at most this many bytes.
const STEP: usize = 128;

/// Converts byte offsets of one text into any [`OffsetUnit`].
///
/// Built in one pass over the text; a conversion then takes constant time. For an ASCII text all units
/// coincide and nothing is kept.
#[derive(Clone, Debug)]
pub struct OffsetMap<'t> {
    text: &'t str,
    ascii: bool,
    /// What lies before byte `i * STEP`; empty for ASCII.
    checkpoints: Vec<Count>,
}

/// Characters seen so far. A character is counted at its first byte.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    characters: usize,
    /// Those outside the Basic Multilingual Plane: two UTF-16 code units each.
    astral: usize,
}

impl Count {
    fn after(mut self, bytes: &[u8]) -> Self {
        for &byte in bytes {
            self.characters += usize::from(byte & 0xC0 != 0x80);
            self.astral += usize::from(byte >= 0xF0);
        }
        self
    }

    fn in_unit(self, unit: OffsetUnit, byte: usize) -> usize {
        match unit {
            OffsetUnit::UnicodeCodePoint => self.characters,
            OffsetUnit::Utf16CodeUnit => self.characters + self.astral,
            OffsetUnit::Utf8Byte => byte,
        }
    }
}

impl<'t> OffsetMap<'t> {
    /// Reads `text` once.
    pub fn new(text: &'t str) -> Self {
        let ascii = text.is_ascii();
        let mut checkpoints = Vec::new();
        if !ascii {
            let mut count = Count::default();
            checkpoints.reserve(text.len() / STEP + 1);
            for chunk in text.as_bytes().chunks(STEP) {
                checkpoints.push(count);
                count = count.after(chunk);
            }
            checkpoints.push(count);
        }
        Self {
            text,
            ascii,
            checkpoints,
        }
    }

    /// The position of byte offset `byte` in `unit`.
    ///
    /// An offset inside a character counts as the character's beginning, one past the end of the text as the
    /// end.
    pub fn convert(&self, byte: usize, unit: OffsetUnit) -> usize {
        let byte = self.text.floor_char_boundary(byte);
        if self.ascii || unit == OffsetUnit::Utf8Byte {
            return byte;
        }
        let checkpoint = byte / STEP;
        let before = self.checkpoints.get(checkpoint).copied().unwrap_or_default();
        let rest = self
            .text
            .as_bytes()
            .get(checkpoint * STEP..byte)
            .unwrap_or_default();
        before.after(rest).in_unit(unit, byte)
    }

    /// Length of the whole text in `unit`.
    pub fn length(&self, unit: OffsetUnit) -> usize {
        self.convert(self.text.len(), unit)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::messy_text;

    fn naive(text: &str, byte: usize, unit: OffsetUnit) -> usize {
        match unit {
            OffsetUnit::UnicodeCodePoint => text[..byte].chars().count(),
            OffsetUnit::Utf16CodeUnit => text[..byte].encode_utf16().count(),
            OffsetUnit::Utf8Byte => byte,
        }
    }

    #[test]
    fn units_differ_where_they_should() {
        let text = "a\u{e9}\u{1F9B4}z";
        let map = OffsetMap::new(text);
        let of = |byte| {
            [
                OffsetUnit::UnicodeCodePoint,
                OffsetUnit::Utf16CodeUnit,
                OffsetUnit::Utf8Byte,
            ]
            .map(|unit| map.convert(byte, unit))
        };
        assert_eq!(of(0), [0, 0, 0]);
        assert_eq!(of(3), [2, 2, 3]);
        assert_eq!(of(7), [3, 4, 7]);
        assert_eq!(map.length(OffsetUnit::Utf16CodeUnit), 5);
    }

    #[test]
    fn off_boundary_rounds_down_and_past_the_end_is_the_end() {
        let map = OffsetMap::new("a\u{1F9B4}");
        for byte in 1..5 {
            assert_eq!(map.convert(byte, OffsetUnit::UnicodeCodePoint), 1);
            assert_eq!(map.convert(byte, OffsetUnit::Utf8Byte), 1);
        }
        assert_eq!(map.convert(usize::MAX, OffsetUnit::UnicodeCodePoint), 2);
        assert_eq!(OffsetMap::new("").convert(7, OffsetUnit::Utf16CodeUnit), 0);
    }

    proptest! {
        #[test]
        fn equals_counting_and_slices_equal(text in messy_text(600)) {
            let map = OffsetMap::new(&text);
            let utf16: Vec<u16> = text.encode_utf16().collect();
            let points: Vec<char> = text.chars().collect();
            let boundaries: Vec<usize> = (0..=text.len()).filter(|&b| text.is_char_boundary(b)).collect();
            for &byte in &boundaries {
                for unit in [OffsetUnit::UnicodeCodePoint, OffsetUnit::Utf16CodeUnit, OffsetUnit::Utf8Byte] {
                    prop_assert_eq!(map.convert(byte, unit), naive(&text, byte, unit));
                }
            }
            for (&begin, &end) in boundaries.iter().zip(boundaries.iter().skip(7)) {
                let in_unit = |unit| map.convert(begin, unit)..map.convert(end, unit);
                let wide = &utf16[in_unit(OffsetUnit::Utf16CodeUnit)];
                prop_assert_eq!(&String::from_utf16(wide).unwrap(), &text[begin..end]);
                let point = &points[in_unit(OffsetUnit::UnicodeCodePoint)];
                prop_assert_eq!(&point.iter().collect::<String>(), &text[begin..end]);
            }
        }
    }
}

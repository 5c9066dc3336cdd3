//! Documents that are not UTF-8: which characters their bytes stand for, and where each of them stands.

use std::borrow::Cow;

use encoding_rs::Encoding;

use crate::types::Decoded;

/// A character set of which each byte is a character, as the [Encoding Standard](https://encoding.spec.whatwg.org/) has it: where ISO 8859-1,
/// 8859-9 and 8859-11 have control characters, the quotes and dashes of Windows, which are what such a byte in a note is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Characters(&'static Encoding);

/// What a document says of its characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// UTF-8.
    Utf8,
    /// A set of one byte a character.
    Single(Characters),
    /// Something else, such as sets of several bytes a character.
    Unknown,
}

impl Named {
    /// By a label of the Encoding Standard, in any case, with ASCII white space around it or without: `latin1`, `windows-1252`.
    pub fn by_label(label: &[u8]) -> Self {
        match Encoding::for_label(label) {
            Some(set) if set == encoding_rs::UTF_8 => Self::Utf8,
            Some(set) if set.is_single_byte() => Self::Single(Characters(set)),
            _ => Self::Unknown,
        }
    }
}

impl Characters {
    /// Windows' set for western Europe.
    pub const WINDOWS_1252: Self = Self(encoding_rs::WINDOWS_1252);

    /// As many characters as there are bytes.
    pub fn decode(self, bytes: &[u8]) -> String {
        self.0.decode_without_bom_handling(bytes).0.into_owned()
    }
}

impl TryFrom<String> for Characters {
    type Error = &'static str;

    fn try_from(label: String) -> Result<Self, Self::Error> {
        match Named::by_label(label.as_bytes()) {
            Named::Single(characters) => Ok(characters),
            _ => Err("is no set of one byte a character, such as iso-8859-15 or windows-1252"),
        }
    }
}

/// A document's characters, and how many bytes each of them was.
#[derive(Clone, Debug)]
pub struct Source<'b> {
    text: Cow<'b, str>,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Utf8,
    Single,
    Utf16,
}

impl<'b> Source<'b> {
    /// What is UTF-8: as all that came as a string is, whatever it says of itself.
    pub fn utf8(bytes: &'b [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        Some(Self {
            text: text.into(),
            form: Form::Utf8,
        })
    }

    /// What begins with a byte order mark of UTF-16, which is its first character.
    pub fn utf16(bytes: &[u8]) -> Option<Self> {
        let read = match bytes.first_chunk()? {
            [0xff, 0xfe] => u16::from_le_bytes,
            [0xfe, 0xff] => u16::from_be_bytes,
            _ => return None,
        };
        let (units, _) = bytes.as_chunks();
        let characters = char::decode_utf16(units.iter().copied().map(read));
        Some(Self {
            text: characters
                .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect(),
            form: Form::Utf16,
        })
    }

    /// Bytes of this set.
    pub fn of(bytes: &[u8], characters: Characters) -> Self {
        Self {
            text: characters.decode(bytes).into(),
            form: Form::Single,
        }
    }

    /// All of its characters.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// From a map to [`Self::text`] a map to the document's bytes.
    pub fn in_bytes(&self, decoded: Decoded) -> Decoded {
        let width = match self.form {
            Form::Utf8 => return decoded,
            Form::Single => |_| 1,
            Form::Utf16 => |c: char| 2 * c.len_utf16(),
        };
        let (mut at, mut bytes) = (0, 0);
        // Pieces go forward.
        let mut byte = |to: usize| {
            let passed = self.text.get(at..to).unwrap_or_default();
            bytes += passed.chars().map(width).sum::<usize>();
            at = to;
            bytes
        };
        let mut found = Decoded::default();
        for piece in &decoded.pieces {
            let text = decoded
                .text
                .get(piece.text_begin..piece.text_end)
                .unwrap_or_default();
            let (mut begin, end) = (byte(piece.source_begin), byte(piece.source_end));
            if Some(text) != self.text.get(piece.source_begin..piece.source_end) {
                found.replace(text, begin, end);
                continue;
            }
            // What has another number of bytes in the document has a piece for each character.
            let is_same = |c: &char| c.is_ascii() && width(*c) == 1;
            for part in text.split_inclusive(|c| !is_same(&c)) {
                let same = part.trim_end_matches(|c| !is_same(&c));
                found.copy(same, begin);
                begin += same.len();
                let other = part.get(same.len()..).unwrap_or_default();
                let length: usize = other.chars().map(width).sum();
                found.replace(other, begin, begin + length);
                begin += length;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;

    /// A map of all of a source to itself, checked as mednerd checks it.
    fn whole(source: &Source<'_>, bytes: &[u8]) -> Decoded {
        let mut decoded = Decoded::default();
        decoded.copy(source.text(), 0);
        let decoded = source.in_bytes(decoded);
        contract::decoded(&decoded, bytes, 1000).unwrap();
        assert_eq!(decoded.text, source.text());
        decoded
    }

    #[test]
    fn what_is_not_utf_8_is_mapped_to_its_bytes() {
        let latin = b"na\xefve caf\xe9\xe9 \x80";
        let source = Source::of(latin, Characters::WINDOWS_1252);
        let decoded = whole(&source, latin);
        assert_eq!(decoded.text, "naïve caféé €");
        for (word, bytes) in [
            ("naïve", &latin[..5]),
            ("caféé", &latin[6..11]),
            ("€", &latin[12..]),
        ] {
            let begin = decoded.text.find(word).unwrap();
            let (from, to) = decoded.source(begin, begin + word.len()).unwrap();
            assert_eq!(&latin[from..to], bytes);
        }
    }

    #[test]
    fn utf_16_is_known_by_its_mark_and_mapped_to_its_bytes() {
        let text = "\u{feff}é 🦴 gout";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [little, big] {
            let source = Source::utf16(&bytes).unwrap();
            let decoded = whole(&source, &bytes);
            assert_eq!(decoded.text, text);
            let begin = text.find("gout").unwrap();
            // The mark, a letter, a space, a pair, a space.
            assert_eq!(decoded.source(begin, begin + 4), Some((12, 20)));
        }
        // Half of a pair and half of a unit.
        let broken = Source::utf16(b"\xff\xfe\x00\xd8a\x00b").unwrap();
        assert_eq!(broken.text(), "\u{feff}\u{fffd}a");
        assert!(Source::utf16(b"caf\xe9").is_none());
        assert!(Source::utf16(b"\xff").is_none());
    }

    #[test]
    fn utf_8_stands_as_it_is() {
        let text = "é 🦴";
        let source = Source::utf8(text.as_bytes()).unwrap();
        assert_eq!(whole(&source, text.as_bytes()).pieces.len(), 1);
        assert!(Source::utf8(b"caf\xe9").is_none());
    }

    #[test]
    fn sets_have_names() {
        assert_eq!(Named::by_label(b"UTF-8"), Named::Utf8);
        assert_eq!(
            Named::by_label(b" latin1 "),
            Named::Single(Characters::WINDOWS_1252)
        );
        for unknown in [&b"utf-16"[..], b"big5", b"klingon", b""] {
            assert_eq!(Named::by_label(unknown), Named::Unknown);
        }
        assert!(Characters::try_from("8859_15".to_owned()).is_err());
        assert!(Characters::try_from("iso-8859-15".to_owned()).is_ok());
    }
}

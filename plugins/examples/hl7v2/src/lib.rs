//! The narrative of an HL7 v2 message: the values of its OBX segments of type FT, ST and TX and the comments of its NTE segments, escapes
//! resolved (HL7 v2.5, chapter 2.7), each on a line of its own, with a map back to the bytes of the message. Which characters the
//! bytes stand for is said by MSH-18, or else by the settings; where neither does, the message must be UTF-8. The frame of MLLP and a byte
//! order mark are passed over. A batch of messages (FHS, BHS) is refused: whoever has one sends its messages one by one.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::borrow::Cow;

use mednerd_plugin::{Call, Decoded, DocumentFormat, Error, Host, Settings};

mednerd_plugin::export! {
    id: "example.hl7v2",
    version: env!("CARGO_PKG_VERSION"),
    document: Hl7,
}

/// Why a message is refused: the code in the error.
mod code {
    /// It is not UTF-8, and nothing says what else.
    pub const UTF8: i32 = 1;
    /// It does not begin with an MSH segment and its separators.
    pub const HEADER: i32 = 2;
    /// MSH-18 names a character set that is not known here.
    pub const CHARACTERS: i32 = 3;
    /// It is a batch or a file of messages.
    pub const BATCH: i32 = 4;
}

/// `[plugins.settings]`
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// The characters of messages that do not say theirs and are not UTF-8.
    characters: Option<Characters>,
}

/// What each byte stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
enum Characters {
    #[serde(rename = "8859/1")]
    Latin1,
    #[serde(rename = "8859/15")]
    Latin9,
    #[serde(rename = "windows-1252")]
    Windows1252,
}

impl Characters {
    fn of(self, byte: u8) -> char {
        match self {
            Self::Latin9 => match byte {
                0xa4 => '€',
                0xa6 => 'Š',
                0xa8 => 'š',
                0xb4 => 'Ž',
                0xb8 => 'ž',
                0xbc => 'Œ',
                0xbd => 'œ',
                0xbe => 'Ÿ',
                _ => char::from(byte),
            },
            Self::Windows1252 => {
                let other = byte.checked_sub(0x80).map(usize::from);
                other
                    .and_then(|at| WINDOWS_1252.chars().nth(at))
                    .unwrap_or(char::from(byte))
            }
            Self::Latin1 => char::from(byte),
        }
    }
}

/// Of the bytes from 0x80 to 0x9f; five stand for nothing.
const WINDOWS_1252: &str = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";

struct Hl7 {
    options: Options,
}

impl DocumentFormat for Hl7 {
    fn open(settings: &Settings, _: Host) -> Result<Self, Error> {
        let options = settings.read()?;
        Ok(Self { options })
    }

    fn formats(&self) -> Result<Vec<String>, Error> {
        Ok(vec!["hl7v2".to_owned()])
    }

    fn decode(&self, _: &str, bytes: &[u8], call: &Call<'_>) -> Result<Decoded, Error> {
        self.decode(bytes, || call.check())
    }
}

/// What begins and ends a message on a connection (MLLP).
const BEGINS: u8 = 0x0b;
const ENDS: u8 = 0x1c;
/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A message without its frame and its byte order mark, and where it begins.
fn framed(bytes: &[u8]) -> (usize, &[u8]) {
    let message = bytes.strip_prefix(&[BEGINS]).unwrap_or(bytes);
    let message = message.strip_prefix(MARK).unwrap_or(message);
    let begin = bytes.len() - message.len();
    let end = message.trim_ascii_end();
    (begin, end.strip_suffix(&[ENDS]).unwrap_or(message))
}

impl Hl7 {
    fn decode(&self, bytes: &[u8], check: impl Fn() -> Result<(), Error>) -> Result<Decoded, Error> {
        let (begin, bytes) = framed(bytes);
        if bytes.starts_with(b"FHS") || bytes.starts_with(b"BHS") {
            return Err(Error::input(code::BATCH));
        }
        let (message, single) = self.read(bytes)?;
        let message = &*message;
        let separators = Separators::of(message).ok_or(Error::input(code::HEADER))?;
        let mut decoded = Decoded::default();
        for (at, segment) in segments(message, separators.field) {
            check()?;
            if let Some((begin, value)) = narrative(segment, separators.field) {
                separators.append(&mut decoded, value, at + begin);
                let end = at + begin + value.len();
                decoded.replace("\n", end, end);
            }
        }
        let mut decoded = match single {
            true => in_bytes(&decoded, message),
            false => decoded,
        };
        for piece in &mut decoded.pieces {
            piece.source_begin += begin;
            piece.source_end += begin;
        }
        Ok(decoded)
    }

    /// The message as text, and whether each of its characters was one byte that is not UTF-8.
    fn read<'b>(&self, bytes: &'b [u8]) -> Result<(Cow<'b, str>, bool), Error> {
        let header = bytes
            .split(|byte| matches!(byte, b'\r' | b'\n'))
            .next()
            .unwrap_or_default();
        let field = header.get(3).copied().unwrap_or(b'|');
        // MSH-1 is the separator itself. Of several sets the first is the message's.
        let said = header.split(|byte| *byte == field).nth(17).unwrap_or_default();
        let said = match said.split(|byte| *byte == b'~').next().unwrap_or_default() {
            b"8859/1" => Some(Characters::Latin1),
            b"8859/15" => Some(Characters::Latin9),
            b"" | b"ASCII" | b"UNICODE UTF-8" | b"UTF-8" => None,
            _ => return Err(Error::input(code::CHARACTERS)),
        };
        match (said, std::str::from_utf8(bytes)) {
            (None, Ok(message)) => return Ok((message.into(), false)),
            // The same in all of them.
            (Some(_), Ok(message)) if bytes.is_ascii() => return Ok((message.into(), false)),
            _ => {}
        }
        let characters = said.or(self.options.characters).ok_or(Error::input(code::UTF8))?;
        let message: String = bytes.iter().map(|byte| characters.of(*byte)).collect();
        Ok((message.into(), true))
    }
}

/// A map to a message of which each character was one byte, as a map to those bytes.
fn in_bytes(decoded: &Decoded, message: &str) -> Decoded {
    let (mut at, mut bytes) = (0, 0);
    // Pieces go forward.
    let mut byte = |to: usize| {
        bytes += message.get(at..to).unwrap_or_default().chars().count();
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
        if Some(text) != message.get(piece.source_begin..piece.source_end) {
            found.replace(text, begin, end);
            continue;
        }
        // What is not ASCII has more bytes in the text than in the message, and a piece for each character.
        for part in text.split_inclusive(|c: char| !c.is_ascii()) {
            let same = part.trim_end_matches(|c: char| !c.is_ascii());
            found.copy(same, begin);
            begin += same.len();
            let other = part.get(same.len()..).unwrap_or_default();
            let length = usize::from(!other.is_empty());
            found.replace(other, begin, begin + length);
            begin += length;
        }
    }
    found
}

/// The segments of a message without their ends, and where they begin. A carriage return ends one. A line feed does where
/// tools made them of all, or where the name of a segment follows; elsewhere it is a character of the text.
fn segments(message: &str, field: char) -> impl Iterator<Item = (usize, &str)> {
    let feeds_end = !message.contains('\r');
    let ends = move |at: usize, c: char| match c {
        '\r' => true,
        '\n' => {
            feeds_end
                || message
                    .get(at + 1..)
                    .is_some_and(|rest| begins_segment(rest, field))
        }
        _ => false,
    };
    let mut from = 0;
    let stops = message.char_indices().filter(move |(at, c)| ends(*at, *c));
    let stops = stops.map(|(at, _)| at).chain([message.len()]);
    stops.map(move |to| {
        let whole = message.get(from..to).unwrap_or_default();
        // Between "\r" and "\n" there is nothing, and what stands around text is no part of it.
        let segment = whole.trim_start_matches('\n');
        let begin = from + whole.len() - segment.len();
        from = to + 1;
        (begin, segment.trim_end_matches('\n'))
    })
}

/// Whether a text begins like a segment: "OBX|". Looks no further: a message may be one long text.
fn begins_segment(text: &str, field: char) -> bool {
    let Some((&[first, second, third], rest)) = text.as_bytes().split_first_chunk() else {
        return false;
    };
    let follows = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    // Separators are ASCII.
    first.is_ascii_uppercase()
        && follows(second)
        && follows(third)
        && rest.first().is_some_and(|&byte| char::from(byte) == field)
}

/// The value of a segment that holds text, and where it begins.
fn narrative(segment: &str, field: char) -> Option<(usize, &str)> {
    let mut fields = segment.split(field);
    let value = match fields.next()? {
        "OBX" if ["FT", "ST", "TX"].contains(&fields.nth(1)?) => fields.nth(2)?,
        "NTE" => fields.nth(2)?,
        _ => return None,
    };
    // `value` is a part of `segment`.
    let begin = value.as_ptr().addr().checked_sub(segment.as_ptr().addr())?;
    Some((begin, value))
}

struct Separators {
    field: char,
    component: char,
    repetition: char,
    escape: char,
    subcomponent: char,
}

impl Separators {
    fn of(message: &str) -> Option<Self> {
        let mut letters = message.strip_prefix("MSH")?.chars();
        let separators = Self {
            field: letters.next()?,
            component: letters.next()?,
            repetition: letters.next()?,
            escape: letters.next()?,
            subcomponent: letters.next()?,
        };
        let all = [
            separators.field,
            separators.component,
            separators.repetition,
            separators.escape,
            separators.subcomponent,
        ];
        let distinct = all
            .iter()
            .enumerate()
            .all(|(at, one)| !all.iter().skip(at + 1).any(|other| one == other));
        let usable = all.iter().all(|c| c.is_ascii_punctuation());
        (distinct && usable).then_some(separators)
    }

    /// Appends a value that begins at `at` in the source. An escape that is not known stays as it is.
    fn append(&self, decoded: &mut Decoded, value: &str, at: usize) {
        let mut rest = value;
        while let Some(stop) = rest.find([self.escape, self.repetition]) {
            let here = at + value.len() - rest.len();
            let (before, after) = rest.split_at(stop);
            decoded.copy(before, here);
            let here = here + stop;
            if after.starts_with(self.repetition) {
                decoded.replace("\n", here, here + 1);
                rest = after.get(1..).unwrap_or_default();
                continue;
            }
            let inner = after.get(1..).unwrap_or_default();
            let escaped = inner.find(self.escape).and_then(|end| inner.get(..end));
            match escaped.and_then(|name| Some((name, self.resolve(name)?))) {
                Some((name, text)) => {
                    let length = name.len() + 2;
                    decoded.replace(&text, here, here + length);
                    rest = after.get(length..).unwrap_or_default();
                }
                None => {
                    decoded.copy(after.get(..1).unwrap_or_default(), here);
                    rest = inner;
                }
            }
        }
        decoded.copy(rest, at + value.len() - rest.len());
    }

    fn resolve(&self, name: &str) -> Option<String> {
        let one = match name {
            "F" => self.field,
            "S" => self.component,
            "T" => self.subcomponent,
            "R" => self.repetition,
            "E" => self.escape,
            ".br" | ".sp" => '\n',
            // Highlighting begins and ends: no text.
            "H" | "N" => return Some(String::new()),
            _ => return hexadecimal(name.strip_prefix('X')?),
        };
        Some(one.into())
    }
}

fn hexadecimal(digits: &str) -> Option<String> {
    if digits.is_empty() || !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return None;
    }
    let bytes = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok());
    String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../sample.hl7");

    fn decode(message: &str) -> Decoded {
        let separators = Separators::of(message).unwrap();
        let mut decoded = Decoded::default();
        for (at, segment) in segments(message, separators.field) {
            if let Some((begin, value)) = narrative(segment, separators.field) {
                separators.append(&mut decoded, value, at + begin);
            }
        }
        decoded
    }

    #[test]
    fn narrative_is_read_and_mapped_back() {
        let decoded = decode(SAMPLE);
        assert_eq!(
            decoded.text,
            "Seen for diabetes & asthma.\nMetformin µg.\nNext visit: May.Allergic to penicillin."
        );
        mednerd_plugin::contract::decoded(&decoded, SAMPLE.as_bytes(), 1000).unwrap();
        for word in ["diabetes", "asthma", "Metformin", "penicillin"] {
            let begin = decoded.text.find(word).unwrap();
            let (from, to) = decoded.source(begin, begin + word.len()).unwrap();
            assert_eq!(SAMPLE.get(from..to), Some(word));
        }
        let begin = decoded.text.find("& asthma").unwrap();
        let (from, to) = decoded.source(begin, begin + 8).unwrap();
        assert_eq!(SAMPLE.get(from..to), Some("\\T\\ asthma"));
    }

    #[test]
    fn messages_in_other_characters_are_mapped_to_their_bytes() {
        let read = |characters, bytes: &[u8]| {
            let options = Options { characters };
            let (message, single) = Hl7 { options }.read(bytes)?;
            let decoded = decode(&message);
            Ok::<Decoded, Error>(if single {
                in_bytes(&decoded, &message)
            } else {
                decoded
            })
        };
        let message = |said: &str, value: &[u8]| {
            let mut bytes = format!("MSH|^~\\&|LAB|{}{said}\rOBX|1|FT|||", "|".repeat(14)).into_bytes();
            bytes.extend_from_slice(value);
            bytes.push(b'\r');
            bytes
        };
        let caf = b"na\xefve \\T\\ caf\xe9\xe9 x";
        for (said, characters, value, text) in [
            ("8859/1", None, &caf[..], "naïve & caféé x"),
            ("8859/15~8859/1", None, b"2\xa4", "2€"),
            ("", Some(Characters::Windows1252), b"\x93flu\x94 \x80", "“flu” €"),
            (
                "UNICODE UTF-8",
                Some(Characters::Latin1),
                "naïve".as_bytes(),
                "naïve",
            ),
            // It says so, and could be UTF-8.
            ("8859/1", None, "é".as_bytes(), "Ã©"),
            ("8859/1", None, b"flu", "flu"),
        ] {
            let bytes = message(said, value);
            let decoded = read(characters, &bytes).unwrap();
            assert_eq!(decoded.text, text);
            mednerd_plugin::contract::decoded(&decoded, &bytes, 1000).unwrap();
        }
        let bytes = message("8859/1", caf);
        let decoded = read(None, &bytes).unwrap();
        for (word, original) in [
            ("naïve", &b"na\xefve"[..]),
            ("caféé", b"caf\xe9\xe9"),
            ("& c", b"\\T\\ c"),
        ] {
            let begin = decoded.text.find(word).unwrap();
            let (from, to) = decoded.source(begin, begin + word.len()).unwrap();
            assert_eq!(&bytes[from..to], original);
        }
        assert!(read(None, &message("", caf)).is_err());
        assert!(read(None, &message("8859/8", b"x")).is_err());
        for byte in 0..0x80 {
            assert_eq!(Characters::Windows1252.of(byte), char::from(byte));
        }
        assert_eq!(WINDOWS_1252.chars().count(), 32);
    }

    #[test]
    fn a_line_feed_within_a_value_is_text() {
        let message = "MSH|^~\\&|\rOBX|1|TX|||Has asthma.\nNo diabetes.\n\nGOUT|left\rOBX|2|TX|||Fever.\n";
        let decoded = decode(message);
        assert_eq!(decoded.text, "Has asthma.\nNo diabetes.\n\nGOUTFever.");
        mednerd_plugin::contract::decoded(&decoded, message.as_bytes(), 1000).unwrap();
        for (begin, end) in [("\r\n", "\r\n"), ("\n", "\n"), ("\n", "\r"), ("\r", "\n")] {
            let message = format!("MSH|^~\\&|{begin}OBX|1|TX|||one{end}PID|x{end}OBX|2|TX|||two{end}");
            let decoded = decode(&message);
            assert_eq!(decoded.text, "onetwo", "{message:?}");
            mednerd_plugin::contract::decoded(&decoded, message.as_bytes(), 1000).unwrap();
        }
    }

    #[test]
    fn many_lines_take_no_more_than_linear_time() {
        let time = |lines: usize| {
            let message = format!("MSH|^~\\&|\rOBX|1|TX|||{}", "\n".repeat(lines));
            let times = (0..3).map(|_| {
                let begun = std::time::Instant::now();
                assert!(decode(&message).text.is_empty());
                begun.elapsed()
            });
            times.min().unwrap()
        };
        let (few, many) = (time(50_000), time(400_000));
        // Eight times as long; 64 times where each line looks at all that follow.
        assert!(many < few * 30, "{few:?}, {many:?}");
    }

    #[test]
    fn comments_are_read_and_frame_and_mark_are_passed_over() {
        let message = "MSH|^~\\&|LAB\rOBX|1|NM|GLU||7.1\rNTE|1|L|No gout.~On metformin.|RE\rNTE|2|L\r";
        let hl7 = Hl7 {
            options: Options::default(),
        };
        let read = |bytes: &[u8]| hl7.decode(bytes, || Ok(()));
        for (before, after) in [
            ("", ""),
            ("\u{b}", "\u{1c}\r"),
            ("\u{feff}", ""),
            ("\u{b}\u{feff}", "\u{1c}\r\n"),
            ("\u{b}", "\u{1c}"),
        ] {
            let source = format!("{before}{message}{after}");
            let decoded = read(source.as_bytes()).unwrap();
            assert_eq!(decoded.text, "No gout.\nOn metformin.\n", "{source:?}");
            mednerd_plugin::contract::decoded(&decoded, source.as_bytes(), 1000).unwrap();
            let begin = decoded.text.find("metformin").unwrap();
            let (from, to) = decoded.source(begin, begin + 9).unwrap();
            assert_eq!(source.get(from..to), Some("metformin"));
        }
        for (source, code) in [
            ("FHS|^~\\&|LAB\rBHS|^~\\&|LAB\rMSH|^~\\&|LAB\r", code::BATCH),
            ("\u{b}BHS|^~\\&|LAB\r\u{1c}\r", code::BATCH),
            ("PID|1", code::HEADER),
        ] {
            assert_eq!(read(source.as_bytes()).unwrap_err(), Error::input(code));
        }
    }

    #[test]
    fn what_is_no_escape_stays() {
        let decoded = decode("MSH|^~\\&|\rOBX|1|TX|||a \\ b \\Q\\ \\XZZ\\ c\\");
        assert_eq!(decoded.text, "a \\ b \\Q\\ \\XZZ\\ c\\");
        assert!(Separators::of("MSH|||||").is_none());
        assert!(Separators::of("PID|^~\\&").is_none());
    }
}

//! The narrative of an HL7 v2 message: the values of its OBX segments of type FT, ST and TX and the comments of its NTE segments, escapes
//! resolved (HL7 v2.7, chapter 2.7), each on a line of its own, with a map back to the bytes of the message. Results that are withdrawn
//! (OBX-11 D, W or X) are left out with their comments. Which characters the bytes stand for is said by MSH-18, or else by the settings;
//! what is UTF-8 is that whatever they say, as is all that came as a string. The frame of MLLP and a byte order mark are passed over. Several
//! messages in one document, with FHS and BHS or without, are refused: whoever has them sends them one by one.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use mednerd_plugin::characters::{Characters, Named, Source};
use mednerd_plugin::{Call, Decoded, DocumentFormat, Error, Host, Settings};

mednerd_plugin::export! {
    id: "example.hl7v2",
    version: env!("CARGO_PKG_VERSION"),
    document: Hl7,
}

/// Why a message is refused: the code in the error.
mod code {
    /// It is not UTF-8, and nothing that is known here says what else.
    pub const UTF8: i32 = 1;
    /// It does not begin with an MSH segment and its separators.
    pub const HEADER: i32 = 2;
    /// It is neither ASCII nor UTF-8, and MSH-18 names a character set that is not known here.
    pub const CHARACTERS: i32 = 3;
    /// It is several messages: a batch, a file, or one after the other.
    pub const BATCH: i32 = 4;
}

/// `[plugins.settings]`
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// The characters of messages that do not say theirs and are not UTF-8, by a name that MSH-18 could have.
    characters: Option<Preset>,
}

/// The settings' set, by a name that MSH-18 could have.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(try_from = "String")]
struct Preset(Characters);

impl TryFrom<String> for Preset {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        match Said::by_name(name.as_bytes()) {
            Said::Set(Named::Single(characters)) => Ok(Self(characters)),
            _ => Err("is no set of one byte a character, such as 8859/1, 8859/15 or windows-1252"),
        }
    }
}

/// What MSH-18 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// Nothing, or that all is ASCII.
    Nothing,
    Set(Named),
}

impl Said {
    /// By the header of a message. Of several sets the first one counts that has more than ASCII.
    fn by_header(header: &[u8], field: u8, repetition: u8) -> Self {
        // MSH-1 is the separator itself.
        let names = header.split(|byte| *byte == field).nth(17).unwrap_or_default();
        let mut sets = names.split(|byte| *byte == repetition).map(Self::by_name);
        sets.find(|set| *set != Self::Nothing).unwrap_or(Self::Nothing)
    }

    /// By a name of HL7's table 0211, or one that the set has elsewhere.
    fn by_name(name: &[u8]) -> Self {
        let name: String = name
            .trim_ascii()
            .iter()
            .map(|byte| match byte {
                b' ' | b'/' | b'_' => '-',
                other => char::from(other.to_ascii_lowercase()),
            })
            .collect();
        // "8859/1", "UNICODE UTF-8"
        let name = match name.strip_prefix("8859-") {
            Some(part) => format!("iso-8859-{part}"),
            None => name.strip_prefix("unicode-").unwrap_or(&name).to_owned(),
        };
        match &*name {
            "" | "ascii" | "us-ascii" | "iso-ir6" => Self::Nothing,
            // Elsewhere it is UTF-16, in which nobody sends messages.
            "unicode" => Self::Set(Named::Utf8),
            name => Self::Set(Named::by_label(name.as_bytes())),
        }
    }
}

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
/// What switches to another character set (ISO 2022).
const ESCAPE: u8 = 0x1b;
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

/// A message's characters, and what bytes that it escapes stand for.
struct Message<'b> {
    source: Source<'b>,
    characters: Characters,
}

impl Hl7 {
    fn decode(&self, bytes: &[u8], check: impl Fn() -> Result<(), Error>) -> Result<Decoded, Error> {
        let (begin, bytes) = framed(bytes);
        if bytes.starts_with(b"FHS") || bytes.starts_with(b"BHS") {
            return Err(Error::input(code::BATCH));
        }
        let message = self.read(bytes)?;
        let text = message.source.text();
        let separators = Separators::of(text).ok_or(Error::input(code::HEADER))?;
        if has_another_frame(text, separators.field) {
            return Err(Error::input(code::BATCH));
        }
        let mut decoded = Decoded::default();
        let mut withdrawn = false;
        for (index, (at, segment)) in segments(text, separators.field).enumerate() {
            check()?;
            if index > 0 && begins_message(segment, separators.field) {
                return Err(Error::input(code::BATCH));
            }
            // Comments follow what they are about.
            if !segment.starts_with("NTE") {
                withdrawn = is_withdrawn(segment, separators.field);
            }
            if withdrawn {
                continue;
            }
            if let Some((begin, value)) = narrative(segment, separators.field) {
                separators.append(&mut decoded, value, at + begin, message.characters);
                let end = at + begin + value.len();
                decoded.replace("\n", end, end);
            }
        }
        let mut decoded = message.source.in_bytes(decoded);
        for piece in &mut decoded.pieces {
            piece.source_begin += begin;
            piece.source_end += begin;
        }
        Ok(decoded)
    }

    /// What is UTF-8 is that, whatever MSH-18 says: it came as a string, which was decoded before it came here, or from a system that
    /// says one and sends the other. In another set hardly any text is UTF-8 by chance.
    fn read<'b>(&self, bytes: &'b [u8]) -> Result<Message<'b>, Error> {
        let header = bytes
            .split(|byte| matches!(byte, b'\r' | b'\n'))
            .next()
            .unwrap_or_default();
        let separator = |at: usize, usual: u8| header.get(at).copied().unwrap_or(usual);
        let said = Said::by_header(header, separator(3, b'|'), separator(5, b'~'));
        let preset = self.options.characters.map(|Preset(characters)| characters);
        let characters = match said {
            Said::Set(Named::Single(characters)) => Some(characters),
            // Sets that are switched to look like ASCII.
            Said::Set(Named::Unknown) if bytes.contains(&ESCAPE) => {
                return Err(Error::input(code::CHARACTERS));
            }
            _ => preset,
        };
        if let Some(source) = Source::utf8(bytes) {
            return Ok(Message {
                source,
                characters: characters.unwrap_or(Characters::WINDOWS_1252),
            });
        }
        let characters = match said {
            Said::Set(Named::Unknown) => return Err(Error::input(code::CHARACTERS)),
            _ => characters.ok_or(Error::input(code::UTF8))?,
        };
        Ok(Message {
            source: Source::of(bytes, characters),
            characters,
        })
    }
}

/// Whether a segment is the first one of a message, or of several.
fn begins_message(segment: &str, field: char) -> bool {
    // A frame may begin, or the one before it end.
    let between = [BEGINS, ENDS].map(char::from);
    let segment = segment
        .trim_start_matches(|c: char| c.is_ascii_whitespace() || between.contains(&c) || c == '\u{feff}');
    ["MSH", "FHS", "BHS"].iter().any(|name| {
        // A line of a text may begin so: "MSH: 12 ng/l".
        let rest = segment.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(field) || Separators::read(rest).is_some())
    })
}

/// Whether a message follows the end of a frame.
fn has_another_frame(message: &str, field: char) -> bool {
    let mut ended = message.split(char::from(ENDS)).skip(1);
    ended.any(|rest| rest.trim_ascii_start().starts_with(char::from(BEGINS)) || begins_message(rest, field))
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

/// Whether a result is deleted (D), wrong (W) or could not be had (X).
fn is_withdrawn(segment: &str, field: char) -> bool {
    let mut fields = segment.split(field);
    let status = match fields.next() {
        Some("OBX") => fields.nth(10),
        _ => None,
    };
    status.is_some_and(|status| ["D", "W", "X"].contains(&status.trim()))
}

struct Separators {
    field: char,
    component: char,
    repetition: char,
    escape: char,
    subcomponent: char,
    /// Where a value was cut.
    truncation: char,
}

impl Separators {
    fn of(message: &str) -> Option<Self> {
        Self::read(message.strip_prefix("MSH")?)
    }

    /// As they stand behind the name of the segment that tells them.
    fn read(header: &str) -> Option<Self> {
        let mut letters = header.chars();
        let separators = Self {
            field: letters.next()?,
            component: letters.next()?,
            repetition: letters.next()?,
            escape: letters.next()?,
            subcomponent: letters.next()?,
            truncation: '#',
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
        let truncation = letters.next().filter(char::is_ascii_punctuation);
        let truncation = truncation.filter(|c| *c != separators.field);
        (distinct && usable).then_some(Self {
            truncation: truncation.unwrap_or(separators.truncation),
            ..separators
        })
    }

    /// Appends a value that begins at `at` in the source. An escape that is not known stays as it is.
    fn append(&self, decoded: &mut Decoded, value: &str, at: usize, characters: Characters) {
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
            let (text, length) = self.resolve(after, characters).unwrap_or_else(|| {
                let escape = after.get(..1).unwrap_or_default();
                (escape.to_owned(), escape.len())
            });
            decoded.replace(&text, here, here + length);
            rest = after.get(length..).unwrap_or_default();
        }
        decoded.copy(rest, at + value.len() - rest.len());
    }

    /// What the escape stands for that a text begins with, and how long it is.
    fn resolve(&self, text: &str, characters: Characters) -> Option<(String, usize)> {
        let (mut bytes, mut length) = (Vec::new(), 0);
        // Each byte of a character may have an escape of its own.
        while let Some(name) = self.name(text.get(length..)?)
            && let Some(more) = name.strip_prefix(['X', 'x']).and_then(hexadecimal)
        {
            bytes.extend(more);
            length += name.len() + 2;
            match std::str::from_utf8(&bytes) {
                Ok(read) => return Some((read.to_owned(), length)),
                Err(error) if error.error_len().is_none() => {}
                Err(_) => break,
            }
        }
        if length > 0 {
            return Some((characters.decode(&bytes), length));
        }
        let name = self.name(text)?;
        Some((self.meaning(name)?, name.len() + 2))
    }

    /// What stands between the escape character that a text begins with and the next one.
    fn name<'t>(&self, text: &'t str) -> Option<&'t str> {
        let inner = text.strip_prefix(self.escape)?;
        inner.find(self.escape).and_then(|end| inner.get(..end))
    }

    fn meaning(&self, name: &str) -> Option<String> {
        let one = match name {
            "F" => self.field,
            "S" => self.component,
            "T" => self.subcomponent,
            "R" => self.repetition,
            "E" => self.escape,
            "P" => self.truncation,
            // Highlighting begins and ends: no text.
            "H" | "N" => return Some(String::new()),
            _ => return name.strip_prefix('.').map_or_else(|| unread(name), formatting),
        };
        Some(one.into())
    }
}

/// What a command of formatted text stands for: "sp+2". Blank lines and spaces are as many as make a difference.
fn formatting(command: &str) -> Option<String> {
    let command = command.to_ascii_lowercase();
    let (name, number) = command.split_at_checked(2)?;
    let number: Option<i32> = match number.trim() {
        "" => None,
        digits => Some(digits.parse().ok()?),
    };
    let times = |most| usize::try_from(number.unwrap_or(1)).map_or(1, |number| number.clamp(1, most));
    match (name, number) {
        ("br" | "ce", None) => Some("\n".to_owned()),
        ("sp", _) => Some("\n".repeat(times(2))),
        ("sk", _) => Some(" ".repeat(times(8))),
        ("in" | "ti", _) | ("fi" | "nf", None) => Some(" ".to_owned()),
        _ => None,
    }
}

/// Nothing, for escapes that bear no text to be read here: of a vendor's own (Z), and those that switch to another character set (C, M).
fn unread(name: &str) -> Option<String> {
    let known = match name.split_at_checked(1)? {
        ("Z", own) => own.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        ("C", digits) => digits.len() == 4 && hexadecimal(digits).is_some(),
        ("M", digits) => [4, 6].contains(&digits.len()) && hexadecimal(digits).is_some(),
        _ => false,
    };
    known.then(String::new)
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let right = !digits.is_empty() && digits.len().is_multiple_of(2);
    if !right || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = (0..digits.len()).step_by(2).map(|at| digits.get(at..at + 2));
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../sample.hl7");

    fn hl7(characters: Option<&str>) -> Hl7 {
        let characters = characters.map(|name| Preset::try_from(name.to_owned()).unwrap());
        let options = Options { characters };
        Hl7 { options }
    }

    fn try_decode(bytes: &[u8]) -> Result<Decoded, Error> {
        hl7(None).decode(bytes, || Ok(()))
    }

    /// What a message becomes, checked as mednerd checks it.
    fn decode(message: &str) -> Decoded {
        let decoded = try_decode(message.as_bytes()).unwrap();
        mednerd_plugin::contract::decoded(&decoded, message.as_bytes(), 1_000_000).unwrap();
        mednerd_plugin::contract::on_characters(&decoded, message).unwrap();
        decoded
    }

    /// A message with MSH-18 and one observation.
    fn message(said: &str, value: &[u8]) -> Vec<u8> {
        let head = format!("MSH|^~\\&|LAB|{}{said}\rOBX|1|FT|||", "|".repeat(14));
        [head.as_bytes(), value, b"||||||F\r"].concat()
    }

    #[test]
    fn narrative_is_read_and_mapped_back() {
        let decoded = decode(SAMPLE);
        assert_eq!(
            decoded.text,
            "Seen for diabetes & asthma.\nMetformin µg.\nNext visit: May.\nAllergic to penicillin.\n"
        );
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
        let read = |characters, bytes: &[u8]| hl7(characters).decode(bytes, || Ok(()));
        let caf = b"na\xefve \\T\\ caf\xe9\xe9 x";
        for (said, characters, value, text) in [
            ("8859/1", None, &caf[..], "naïve & caféé x"),
            ("8859/15~8859/1", None, b"2\xa4", "2€"),
            ("", Some("windows-1252"), b"\x93flu\x94 \x80", "“flu” €"),
            ("ASCII", Some("8859/15"), b"2\xa4", "2€"),
            ("UNICODE UTF-8", Some("8859/1"), "naïve".as_bytes(), "naïve"),
            ("8859/1", None, b"flu", "flu"),
            // A mark that Latin-1 does not have, and Windows does.
            ("8859/1", None, b"\x96 caf\xe9", "– café"),
            // What is UTF-8 came as a string, or is called something else than it is.
            ("8859/1", None, "é".as_bytes(), "é"),
            ("GB 18030-2000", None, "é".as_bytes(), "é"),
            ("", Some("8859/1"), "é".as_bytes(), "é"),
        ] {
            let bytes = message(said, value);
            let decoded = read(characters, &bytes).unwrap();
            assert_eq!(decoded.text.trim_end(), text, "{said}");
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
        assert_eq!(
            read(None, &message("", caf)).unwrap_err(),
            Error::input(code::UTF8)
        );
        for name in ["UTF-8", "8859/16", "BIG-5", "klingon"] {
            assert_eq!(
                Preset::try_from(name.to_owned()).is_ok(),
                name == "8859/16",
                "{name}"
            );
        }
    }

    #[test]
    fn a_message_that_came_as_a_string_is_read_whatever_it_says_of_its_bytes() {
        for said in [
            "8859/1",
            "8859/15",
            "WINDOWS-1252",
            "8859/5",
            "ISO IR87",
            "UNICODE UTF-16",
            "?",
        ] {
            let bytes = message(said, "Fièvre à 39 °C, Müller \\T\\ “flu” 🦴".as_bytes());
            let source = String::from_utf8(bytes).unwrap();
            let decoded = decode(&source);
            assert_eq!(decoded.text, "Fièvre à 39 °C, Müller & “flu” 🦴\n", "{said}");
        }
    }

    #[test]
    fn character_sets_are_known_by_all_their_names() {
        let latin2 = b"\xb1";
        for (said, value, text) in [
            ("8859/1", &b"\xe8"[..], "è"),
            ("8859-1", b"\xe8", "è"),
            ("ISO-8859-1", b"\xe8", "è"),
            ("ISO8859-1", b"\xe8", "è"),
            ("ISO_8859-1", b"\xe8", "è"),
            ("iso 8859/1 ", b"\xe8", "è"),
            ("latin1", b"\xe8", "è"),
            ("WINDOWS-1252", b"\x80", "€"),
            ("CP1252", b"\x80", "€"),
            ("8859/2", latin2, "ą"),
            ("8859/3", latin2, "ħ"),
            ("8859/4", latin2, "ą"),
            ("8859/5", latin2, "Б"),
            ("8859/6", b"\xc7", "ا"),
            ("8859/7", b"\xc1", "Α"),
            ("8859/8", b"\xe0", "א"),
            ("8859/9", b"\xf0", "ğ"),
            ("8859/10", latin2, "ą"),
            ("8859/11", b"\xa1", "ก"),
            ("8859/13", b"\xe0", "ą"),
            ("8859/14", b"\xa1", "Ḃ"),
            ("8859/15", b"\xa4", "€"),
            // The first that has more than ASCII.
            ("ASCII~8859/2~8859/1", latin2, "ą"),
            ("~8859/1", b"\xe8", "è"),
            ("UNICODE UTF-8~8859/1", "è".as_bytes(), "è"),
            ("unicode utf-8 ", "è".as_bytes(), "è"),
            ("utf-8", "è".as_bytes(), "è"),
            ("UTF8", "è".as_bytes(), "è"),
            ("UNICODE", "è".as_bytes(), "è"),
            ("US-ASCII", b"e", "e"),
            // ASCII is the same in all of them.
            ("8859/12", b"e", "e"),
            ("klingon", b"e", "e"),
        ] {
            let decoded = try_decode(&message(said, value));
            assert_eq!(
                decoded.map(|decoded| decoded.text),
                Ok(format!("{text}\n")),
                "{said}"
            );
        }
        for (said, value, code) in [
            ("8859/12", &b"\xe8"[..], code::CHARACTERS),
            ("BIG-5", b"\xa4\xa4", code::CHARACTERS),
            ("~ISO IR87", b"\x1b$B8\x1b(B", code::CHARACTERS),
            ("UNICODE UTF-8", b"\xe8", code::UTF8),
            ("US-ASCII", b"\xe8", code::UTF8),
        ] {
            assert_eq!(
                try_decode(&message(said, value)),
                Err(Error::input(code)),
                "{said}"
            );
        }
    }

    #[test]
    fn escapes_are_read_for_what_they_mean_and_mapped_back() {
        for (value, text) in [
            ("No fever\\.sp2\\Hypertension", "No fever\n\nHypertension"),
            ("a\\.sp\\b\\.sp+1\\c\\.SP9999\\d", "a\nb\nc\n\nd"),
            ("a\\.BR\\b\\.ce\\c", "a\nb\nc"),
            ("a\\.sk3\\b\\.sk\\c\\.sk-1\\d", "a   b c d"),
            ("\\.in+4\\a\\.ti-2\\b\\.fi\\c\\.nf\\d", " a b c d"),
            ("pneu\\H\\mo\\N\\nia \\Z01\\x\\Zfett\\", "pneumonia x"),
            ("a\\C2842\\b\\M244242\\c\\M2442\\d", "abcd"),
            ("\\F\\\\S\\\\T\\\\R\\\\E\\\\P\\", "|^&~\\#"),
            ("Crohn\\x27\\s\\X0D0A\\x\\X0d\\\\X0a\\y", "Crohn's\r\nx\r\ny"),
            ("M\\XC3A9\\ni\\XC3\\\\XA8\\re", "Ménière"),
            // In a message that does not say in which set.
            ("M\\XE9\\ni\\XE8\\re", "Ménière"),
            (
                "C:\\temp\\ a \\.x\\ \\.br2\\ \\X+F\\ \\CAFE\\ \\Z-1\\",
                "C:\\temp\\ a \\.x\\ \\.br2\\ \\X+F\\ \\CAFE\\ \\Z-1\\",
            ),
        ] {
            let source = format!("MSH|^~\\&|\rOBX|1|FT|||{value} diabetes");
            let decoded = decode(&source);
            assert_eq!(decoded.text, format!("{text} diabetes\n"), "{value}");
            let begin = decoded.text.find("diabetes").unwrap();
            let (from, to) = decoded.source(begin, begin + 8).unwrap();
            assert_eq!(source.get(from..to), Some("diabetes"), "{value}");
        }
        let own = decode("MSH|^~\\&!|\rOBX|1|FT|||a \\P\\");
        assert_eq!(own.text, "a !\n");
        let greek = try_decode(&message("8859/7", b"\\XC1\\ \xc1")).unwrap();
        assert_eq!(greek.text, "Α Α\n");
        let greek = decode(&String::from_utf8(message("8859/7", "\\XC1\\ Α".as_bytes())).unwrap());
        assert_eq!(greek.text, "Α Α\n");
    }

    #[test]
    fn two_messages_are_no_document() {
        let one = "MSH|^~\\&|LAB\rOBX|1|TX|||Family history:\r";
        let other = "MSH|^~\\&|LAB\rOBX|1|TX|||asthma\r";
        for both in [
            format!("{one}{other}"),
            format!("\u{b}{one}\u{1c}\r\u{b}{other}\u{1c}\r"),
            format!("\u{b}{one}\u{1c}\u{b}{other}\u{1c}"),
            format!("\u{b}{one}\u{1c}{other}"),
            format!("{one}\u{1c}\r\n\u{feff}{other}"),
            format!("{one}\n\n{other}"),
            format!("{one}MSH$%~\\&$LAB\r"),
            format!("{one}FHS|^~\\&|LAB\r{other}"),
            // The next one was cut off.
            format!("\u{b}{one}\u{1c}\r\u{b}"),
            one.replace('\r', "\n") + &other.replace('\r', "\n"),
        ] {
            assert_eq!(
                try_decode(both.as_bytes()),
                Err(Error::input(code::BATCH)),
                "{both:?}"
            );
        }
        // Neither a hormone nor the line breaks of a word processor begin a message.
        let text = decode("MSH|^~\\&|\nOBX|1|TX|||One\u{b}two\nMSH: 12 ng/l\nOBX|2|TX|||three\n").text;
        assert_eq!(text, "One\u{b}two\nthree\n");
    }

    #[test]
    fn results_that_are_withdrawn_are_left_out_with_their_comments() {
        let result =
            |status: &str, name: &str| format!("OBX|1|TX|||{name}||||||{status}\rNTE|1||on {name}\r");
        let results: String = [
            ("F", "gout"),
            ("D", "measles"),
            ("C", "asthma"),
            ("W", "mumps"),
            ("X", "rubella"),
            ("W ", "scabies"),
            ("", "flu"),
            ("P", "croup"),
        ]
        .map(|(status, name)| result(status, name))
        .concat();
        let decoded = decode(&format!(
            "MSH|^~\\&|\r{results}OBX|9|TX|||x||||||D\rOBR|2\rNTE|1||of the order\r"
        ));
        let kept = ["gout", "asthma", "flu", "croup"];
        let kept: String = kept.iter().map(|name| format!("{name}\non {name}\n")).collect();
        assert_eq!(decoded.text, kept + "of the order\n");
    }

    #[test]
    fn a_line_feed_within_a_value_is_text() {
        let message = "MSH|^~\\&|\rOBX|1|TX|||Has asthma.\nNo diabetes.\n\nGOUT|left\rOBX|2|TX|||Fever.\n";
        let decoded = decode(message);
        assert_eq!(decoded.text, "Has asthma.\nNo diabetes.\n\nGOUT\nFever.\n");
        for (begin, end) in [("\r\n", "\r\n"), ("\n", "\n"), ("\n", "\r"), ("\r", "\n")] {
            let message = format!("MSH|^~\\&|{begin}OBX|1|TX|||one{end}PID|x{end}OBX|2|TX|||two{end}");
            let decoded = decode(&message);
            assert_eq!(decoded.text, "one\ntwo\n", "{message:?}");
        }
    }

    #[test]
    fn many_lines_take_no_more_than_linear_time() {
        let time = |lines: usize| {
            let message = format!("MSH|^~\\&|\rOBX|1|TX|||{}", "\n".repeat(lines));
            let times = (0..3).map(|_| {
                let begun = std::time::Instant::now();
                assert_eq!(try_decode(message.as_bytes()).unwrap().text, "\n");
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
        for (before, after) in [
            ("", ""),
            ("\u{b}", "\u{1c}\r"),
            ("\u{feff}", ""),
            ("\u{b}\u{feff}", "\u{1c}\r\n"),
            ("\u{b}", "\u{1c}"),
        ] {
            let source = format!("{before}{message}{after}");
            let decoded = decode(&source);
            assert_eq!(decoded.text, "No gout.\nOn metformin.\n", "{source:?}");
            let begin = decoded.text.find("metformin").unwrap();
            let (from, to) = decoded.source(begin, begin + 9).unwrap();
            assert_eq!(source.get(from..to), Some("metformin"));
        }
        for (source, code) in [
            ("FHS|^~\\&|LAB\rBHS|^~\\&|LAB\rMSH|^~\\&|LAB\r", code::BATCH),
            ("\u{b}BHS|^~\\&|LAB\r\u{1c}\r", code::BATCH),
            ("PID|1", code::HEADER),
        ] {
            assert_eq!(try_decode(source.as_bytes()).unwrap_err(), Error::input(code));
        }
    }

    #[test]
    fn what_is_no_escape_stays() {
        let decoded = decode("MSH|^~\\&|\rOBX|1|TX|||a \\ b \\Q\\ \\XZZ\\ c\\");
        assert_eq!(decoded.text, "a \\ b \\Q\\ \\XZZ\\ c\\\n");
        assert!(Separators::of("MSH|||||").is_none());
        assert!(Separators::of("PID|^~\\&").is_none());
    }
}

//! The narrative of an HL7 v2 message: the values of its OBX segments of type FT, ST and TX, escapes resolved
//! (HL7 v2.5, chapter 2.7), each on a line of its own, with a map back to the bytes of the message.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use mednerd_plugin::{Call, Decoded, DocumentFormat, Error, Host, Settings};

mednerd_plugin::export! {
    id: "example.hl7v2",
    version: env!("CARGO_PKG_VERSION"),
    document: Hl7,
}

/// Why a message is refused: the code in the error.
mod code {
    /// It is not UTF-8.
    pub const UTF8: i32 = 1;
    /// It does not begin with an MSH segment and its separators.
    pub const HEADER: i32 = 2;
}

struct Hl7;

impl DocumentFormat for Hl7 {
    fn open(_: &Settings, _: Host) -> Result<Self, Error> {
        Ok(Self)
    }

    fn formats(&self) -> Result<Vec<String>, Error> {
        Ok(vec!["hl7v2".to_owned()])
    }

    fn decode(&self, _: &str, bytes: &[u8], call: &Call<'_>) -> Result<Decoded, Error> {
        let message = std::str::from_utf8(bytes).map_err(|_| Error::input(code::UTF8))?;
        let separators = Separators::of(message).ok_or(Error::input(code::HEADER))?;
        let mut decoded = Decoded::default();
        let mut at = 0;
        for segment in message.split_inclusive(['\r', '\n']) {
            call.check()?;
            if let Some((begin, value)) = narrative(segment.trim_end_matches(['\r', '\n']), separators.field)
            {
                separators.append(&mut decoded, value, at + begin);
                let end = at + begin + value.len();
                decoded.replace("\n", end, end);
            }
            at += segment.len();
        }
        Ok(decoded)
    }
}

/// The value of a segment that holds text, and where it begins.
fn narrative(segment: &str, field: char) -> Option<(usize, &str)> {
    let mut fields = segment.split(field);
    if fields.next()? != "OBX" || !["FT", "ST", "TX"].contains(&fields.nth(1)?) {
        return None;
    }
    let value = fields.nth(2)?;
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
        let mut at = 0;
        for segment in message.split_inclusive(['\r', '\n']) {
            if let Some((begin, value)) = narrative(segment.trim_end_matches('\r'), separators.field) {
                separators.append(&mut decoded, value, at + begin);
            }
            at += segment.len();
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
    fn what_is_no_escape_stays() {
        let decoded = decode("MSH|^~\\&|\rOBX|1|TX|||a \\ b \\Q\\ \\XZZ\\ c\\");
        assert_eq!(decoded.text, "a \\ b \\Q\\ \\XZZ\\ c\\");
        assert!(Separators::of("MSH|||||").is_none());
        assert!(Separators::of("PID|^~\\&").is_none());
    }
}
